"""The synthetic market: the same bytes each time, sound, and with what a market should have."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from backtest.core.errors import UserError
from backtest.data.catalog import Catalog
from backtest.data.check import check
from backtest.data.panel import CLOSE, LOW, MARK_CLOSE, MARK_LOW
from backtest.data.sample import SYMBOLS, write_sample
from backtest.data.select import select
from tests.unit.feed_datasets import dense


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("sample") / "market")


def digest(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_same_bytes_each_time_and_others_by_another_seed(tmp_path: Path) -> None:
    one = digest(write_sample(tmp_path / "one", days=3))
    assert len(one) == 1 + 3 * len(SYMBOLS)
    assert one == digest(write_sample(tmp_path / "two", days=3))
    assert one == digest(write_sample(tmp_path / "one", days=3))  # written anew in its place
    other = digest(write_sample(tmp_path / "three", days=3, seed=8))
    assert all(one[name] != other[name] for name in one)
    few = digest(write_sample(tmp_path / "four", days=3, symbols=["ETH-USD", "BTC-USD"]))
    assert {n: h for n, h in few.items() if n != "dataset.toml"} == {n: h for n, h in one.items() if n in few and n != "dataset.toml"}  # noqa: E501  # fmt: skip


def test_it_says_that_it_is_synthetic_and_has_no_errors(sample: Path) -> None:
    catalog = Catalog.open(sample)
    assert (catalog.symbols, catalog.interval_ms) == (tuple(sorted(SYMBOLS)), 300_000)
    assert catalog.synthetic
    assert catalog.provenance == "synthetic, seed 42"
    assert all(not m.step_assumed and m.tick and m.rows == 120 * 288 for m in catalog.markets.values())
    findings = check(sample)
    assert findings.errors == 0
    assert {f.kind for f in findings.found} <= {"outliers", "marks far from trades"}
    selection = select(catalog)
    assert selection.counts["missing settlements"] == 0
    assert not selection.no_funding


def test_it_has_what_a_market_has(sample: Path) -> None:
    catalog = Catalog.open(sample)
    s = select(catalog)
    panel, volume = dense(s, volume=True)
    ticks = np.array([catalog.markets[x].tick for x in s.symbols])
    prices = panel[:, :, :]
    off = np.abs(prices / ticks - np.rint(prices / ticks))
    assert off.max() < 1e-5  # whole ticks, up to the last digits of the division
    assert volume is not None
    assert (volume > 0).all()
    daily = np.log(panel[CLOSE, 287::288])
    returns = np.diff(daily, axis=0)
    assert (np.exp(returns.min(axis=0)) - 1 < -0.15).all()  # a day that fell by tens of percent, for all
    assert len(set(returns.argmin(axis=0))) == 1  # the same day
    hourly = np.diff(np.log(panel[CLOSE, 11::12]), axis=0)
    together = np.corrcoef(hourly.T)
    assert together[~np.eye(len(s.symbols), dtype=bool)].min() > 0.5
    size = np.abs(np.diff(np.log(panel[CLOSE, :, s.symbols.index("BTC-USD")])))
    assert np.corrcoef(size[:-12], size[12:])[0, 1] > 0.1  # wild hours follow wild hours
    apart = panel[MARK_CLOSE] / panel[CLOSE] - 1
    assert 1e-5 < np.median(np.abs(apart)) < 1e-3
    wick = panel[MARK_LOW] / panel[LOW] - 1
    assert (wick.max(axis=0) > 0.04).all()  # dives of the trades that the marks did not follow


def test_a_name_that_the_disk_refuses_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be written \(File name too long\); name another folder"):
        write_sample(tmp_path / ("x" * 300), days=1)


def test_funding_leans_with_the_premium(sample: Path) -> None:
    s = select(Catalog.open(sample))
    panel, _ = dense(s)
    # Trades are the index and its premium, marks the index and the premium's average, so the mean premium is not
    # in the files; but it leans with the day's trend, and so must the rate.
    i = s.symbols.index("BTC-USD")
    settled = s.funding[s.funding[:, 1] == i]
    rows = ((settled[:, 0] - s.start_ms) // s.interval_ms).astype(int)
    later = rows >= 288
    trend = np.log(panel[CLOSE, rows[later], i] / panel[CLOSE, rows[later] - 288, i])
    assert np.corrcoef(trend, settled[later, 2])[0, 1] > 0.3
    assert len(settled) == 120 * 3  # every eight hours
    assert np.count_nonzero(s.funding[:, 1] == s.symbols.index("DOGE-USD")) == 120 * 24  # every hour


def test_it_replaces_only_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    assert write_sample(folder, days=1) == folder  # empty: taken
    (folder / "notes.txt").write_text("keep me")
    with pytest.raises(UserError, match=r"mine: holds notes\.txt, which is not part of .*; name a new folder"):
        write_sample(folder, days=1)
    (folder / "notes.txt").rename(folder / "mark" / "notes.txt")
    with pytest.raises(UserError, match=r"holds mark/notes\.txt"):
        write_sample(folder, days=1)
    (folder / "mark" / "notes.txt").unlink()
    other = tmp_path / "mine.partial"  # a folder of the user's own
    other.mkdir()
    write_sample(folder, days=1)
    assert other.is_dir()
    (folder / "dataset.toml").write_text('[dataset]\ninterval = "5m"')
    with pytest.raises(UserError, match="holds files that are not a sample"):
        write_sample(folder, days=1)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is a file"):
        write_sample(tmp_path / "file", days=1)


@pytest.mark.parametrize("wrong", [{"days": 0}, {"interval": "7m"}, {"symbols": []}, {"symbols": ["../x"]}])
def test_arguments_that_make_no_sense(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(UserError):
        write_sample(tmp_path / "x", **{"days": 1, **wrong})
    assert list(tmp_path.iterdir()) == []
