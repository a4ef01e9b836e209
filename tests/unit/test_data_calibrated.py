"""The calibrated sample has the published figures that it names, within bands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from backtest.core.errors import SettingError
from backtest.data.calibrated_market import COINS, CORRELATIONS, SYMBOLS
from backtest.data.catalog import Catalog
from backtest.data.check import check
from backtest.data.sample import write_sample
from tests.unit.test_feed_sample import digest


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calibrated") / "market"
    return write_sample(folder, days=3 * 365, interval="15m", market="calibrated")


@pytest.fixture(scope="module")
def returns(sample: Path) -> np.ndarray:
    """Log returns of an hour of each symbol."""
    closes = [pl.read_parquet(sample / "candles" / f"symbol={s}")["close"].to_numpy()[3::4] for s in SYMBOLS]
    return np.diff(np.log(np.array(closes)), axis=1)


def test_volatility_of_daily_returns(returns: np.ndarray) -> None:
    found = np.sqrt((returns**2).mean(axis=1) * 24)  # from hours: a day has a return of each
    published = np.array([COINS[s].daily_vol for s in SYMBOLS])
    assert np.abs(found / published - 1).max() < 0.05
    assert 0.72 < published[0] * np.sqrt(365) < 0.79  # a year: 76 %


def test_correlations(returns: np.ndarray) -> None:
    found = np.corrcoef(returns)
    for (one, other), published in CORRELATIONS.items():
        i, j = (SYMBOLS.index(f"{name}-USD") for name in (one, other))
        assert abs(found[i, j] - published) < 0.04


def test_tail_index_and_clusters(returns: np.ndarray) -> None:
    for hours in returns[:3]:
        sizes = np.sort(np.abs(hours))[::-1]
        count = len(sizes) // 100
        hill = 1 / np.mean(np.log(sizes[:count] / sizes[count]))
        assert 2.4 < hill < 3.8
        near = np.minimum(np.abs(hours), sizes[count])
        assert np.corrcoef(near[:-6], near[6:])[0, 1] > 0.1  # wild hours follow wild hours


def test_funding(sample: Path) -> None:
    for symbol, at_anchor in (("BTC-USD", 0.7819), ("ETH-USD", 0.8752)):
        rates = pl.read_parquet(sample / "funding" / f"symbol={symbol}")["rate"].to_numpy()
        assert len(rates) == 3 * 365 * 3
        assert abs((rates == 0.0001).mean() - at_anchor) < 0.04
        assert (rates > 0).mean() > 0.90
        assert abs(rates.mean() - 0.0001) < 0.00002


def test_it_is_sound_and_the_same_each_time(sample: Path, tmp_path: Path) -> None:
    catalog = Catalog.open(sample)
    assert catalog.synthetic
    assert catalog.provenance == "synthetic, calibrated, seed 42"
    findings = check(sample)
    assert findings.errors == 0
    assert {f.kind for f in findings.found} <= {"outliers"}
    made = [
        write_sample(tmp_path / n, days=40, symbols=s, interval="1h", market="calibrated")
        for n, s in (("a", 7), ("b", 2))
    ]
    few = digest(made[1])
    assert Catalog.open(made[0]).symbols == tuple(sorted([*SYMBOLS, "S006-USD", "S007-USD"]))
    assert {n: h for n, h in digest(made[0]).items() if n in few and n != "dataset.toml"} == {
        n: h for n, h in few.items() if n != "dataset.toml"
    }
    with pytest.raises(SettingError, match=r"unknown value 'calm' in --market"):
        write_sample(tmp_path / "c", market="calm")
