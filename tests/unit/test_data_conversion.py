"""`resample`, `slice` and `merge`: by hand, and against a run on the data that they were made of."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import backtest
from backtest.core.errors import UserError
from backtest.core.times import moment
from backtest.data import conversion
from backtest.data.catalog import Catalog
from backtest.data.manifest import read_manifest
from backtest.data.merge import merge
from backtest.data.sample import write_sample
from tests.unit.feed_datasets import HOUR, MIN, T0, candles, flat, funding, marks, toml
from tests.unit.test_data_repair import bytes_of, rows

SYMBOLS = ("BTC-USD", "ETH-USD")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("conversion") / "sample", days=6, symbols=SYMBOLS, interval="15m")


def test_candles_are_joined_and_settlements_kept(tmp_path: Path) -> None:
    """Minutes 3 to 12 joined to 5m: the first candle has two, that of 00:05 lacks minute 7, the last has three."""
    folder = tmp_path / "fine"
    prices = [(n, 10 + n, 20 + n, 5 - n / 10, 11 + n, 2 * n) for n in (3, 4, 5, 6, 8, 9, 10, 11, 12)]
    candles(folder, "X", prices)
    marks(folder, "X", [(n, 10, 10 + n, 10 - n / 10, 10) for n in range(15)])
    marks(folder, "Y", flat(*[7] * 3), HOUR)  # coarser marks stay
    candles(folder, "Y", flat(*[7] * 5))
    funding(folder, "X", [(0.05, 0.0001), (0.15, -0.0002)])
    toml(folder, '[dataset]\ninterval = "1m"\n[symbols.Y]\nstep = 0.5\nmark_interval = "1h"\n')
    out = conversion.resample(folder, tmp_path / "coarse", 5 * MIN)
    assert rows(out, "candles", "X") == [
        (0, 13, 24, 4.6, 15, 6 + 8),
        (5 * MIN, 15, 29, 4.1, 20, 10 + 12 + 16 + 18),
        (10 * MIN, 20, 32, 3.8, 23, 20 + 22 + 24),
    ]
    assert rows(out, "mark", "X")[1] == (5 * MIN, 10, 19, 9.1, 10)
    assert rows(out, "mark", "Y") == [(n * HOUR, 7, 7, 7, 7) for n in range(3)]
    assert rows(out, "funding", "X") == [(3 * MIN, 0.0001), (9 * MIN, -0.0002)]
    made = read_manifest(out / "dataset.toml")
    assert (made.interval_ms, made.steps["Y"], made.mark_intervals_ms["Y"]) == (5 * MIN, 500_000, HOUR)
    assert [(c.symbol, c.series, c.what, c.rows) for c in made.history[0].changes] == [
        ("X", "candles", "1m rows joined to 5m", 3),
        ("X", "mark", "1m rows joined to 5m", 3),
        ("Y", "candles", "1m rows joined to 5m", 1),
    ]


def test_runs_agree_with_those_on_the_whole_data(sample: Path, tmp_path: Path) -> None:
    hours = conversion.resample(sample, tmp_path / "hours", HOUR)
    on_hours = backtest.run("sma_cross", hours)
    assert on_hours.digest == backtest.run("sma_cross", sample, interval="1h").digest
    span = {"start": "2024-01-02T10:20", "end": "2024-01-05"}
    part = conversion.cut(sample, tmp_path / "part", ["BTC-USD"], moment(span["start"]), moment(span["end"]))
    on_part = backtest.run("sma_cross", part)
    assert on_part.digest == backtest.run("sma_cross", sample, symbols=["BTC-USD"], **span).digest
    assert len({on_hours.digest, on_part.digest}) == 2


def test_parts_that_overlap_merge_to_the_same_bytes(sample: Path, tmp_path: Path) -> None:
    day = [moment(f"2024-01-0{n}") for n in range(1, 8)]
    first = conversion.cut(sample, tmp_path / "first", None, None, day[3])
    second = conversion.cut(sample, tmp_path / "second", ["BTC-USD"], day[2], None)
    third = conversion.cut(sample, tmp_path / "third", ["ETH-USD"], day[3], None)
    out = merge([first, second, third], tmp_path / "all")
    whole, again = bytes_of(sample), bytes_of(out)
    whole.pop("dataset.toml")
    again.pop("dataset.toml")
    assert again == whole
    shared = {(c.symbol, c.series): c.rows for c in read_manifest(out / "dataset.toml").history[-1].changes}
    assert shared == {("BTC-USD", "candles"): 96, ("BTC-USD", "mark"): 96, ("BTC-USD", "funding"): 3}
    assert Catalog.open(out).markets == Catalog.open(sample).markets


def test_a_slice_keeps_the_marks_that_reach_into_it(tmp_path: Path) -> None:
    folder = tmp_path / "whole"
    candles(folder, "X", flat(*[100] * 180))
    candles(folder, "LATE", flat(*[100] * 10, start=170))
    marks(folder, "X", flat(1, 2, 3), HOUR)
    funding(folder, "X", [(n, 0.0001) for n in range(3)])
    toml(folder, '[dataset]\ninterval = "1m"\n[symbols.LATE]\nstep = 1\n')
    out = conversion.cut(folder, tmp_path / "part", None, T0 + 90 * MIN, T0 + 120 * MIN)
    assert [row[0] for row in rows(out, "candles", "X")] == [n * MIN for n in range(90, 120)]
    assert [row[:2] for row in rows(out, "mark", "X")] == [(HOUR, 2)]  # it covers 01:30; that of 02:00 begins outside
    assert not (out / "funding").exists()
    made = read_manifest(out / "dataset.toml")
    assert "LATE" not in made.symbols
    assert made.history[0].changes[0].what == "kept 2023-11-15T01:30Z to 2023-11-15T02:00Z, X"
    with pytest.raises(UserError, match="no candles from 2024-01-01T00:00Z to the end"):
        conversion.cut(folder, tmp_path / "none", None, moment("2024-01-01"))
    with pytest.raises(UserError, match="no symbol 'Z'"):
        conversion.cut(folder, tmp_path / "none", ["Z"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["part", "whole"]


@pytest.mark.parametrize(
    ("kind", "change", "match"),
    [
        ("candles", ("close", 101.5), r"close is 101\.5, but 100\.0 in .*a; cut the overlap off"),
        ("funding", ("rate", 0.9), r"X funding at 2023-11-15T03:00Z in .*b: rate is 0\.9, but 0\.0001"),
    ],
)
def test_an_overlap_that_disagrees_is_an_error(
    tmp_path: Path, kind: str, change: tuple[str, float], match: str
) -> None:
    for name in ("a", "b"):
        candles(tmp_path / name, "X", [(n, 100, 102, 99, 100, 1) for n in range(6)], HOUR)
        funding(tmp_path / name, "X", [(n, 0.0001) for n in range(6)])
    file = tmp_path / "b" / kind / "symbol=X" / "part.parquet"
    late = pl.int_range(pl.len()) >= 3  # rows 3, 4 and 5 differ; the first is named
    pl.read_parquet(file).with_columns(
        pl.when(late).then(change[1]).otherwise(change[0]).alias(change[0])
    ).write_parquet(file)
    with pytest.raises(UserError, match=match) as error:
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert "2023-11-15T03:00Z" in str(error.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_what_cannot_be_put_together_is_one_line(tmp_path: Path) -> None:
    candles(tmp_path / "a", "X", flat(*[1] * 20))
    candles(tmp_path / "hours", "X", flat(*[1] * 20), HOUR)
    candles(tmp_path / "euro", "X", flat(*[1] * 20))
    toml(tmp_path / "euro", '[dataset]\nquote = "EUR"\n')
    candles(tmp_path / "step", "X", flat(*[1] * 20))
    toml(tmp_path / "step", "[symbols.X]\nstep = 2\n")
    toml(tmp_path / "a", "[symbols.X]\nstep = 1\n")
    before = bytes_of(tmp_path)
    wrong = {
        "hours": "candles 1h, but 1m in",
        "euro": "quote EUR, but USD in",
        "step": "step of X is 2, but 1 in another dataset",
    }
    for name, match in wrong.items():
        with pytest.raises(UserError, match=match):
            merge([tmp_path / "a", tmp_path / name], tmp_path / "out")
    with pytest.raises(UserError, match="one dataset is nothing to merge"):
        merge([tmp_path / "a"], tmp_path / "out")
    with pytest.raises(UserError, match="is a dataset that is read"):
        merge([tmp_path / "a", tmp_path / "a"], tmp_path / "a")
    with pytest.raises(UserError, match="is the dataset that is read"):
        conversion.resample(tmp_path / "a", tmp_path / "a", HOUR)
    with pytest.raises(UserError, match="90s is no multiple of the dataset's 1m"):
        conversion.resample(tmp_path / "a", tmp_path / "out", 90_000)
    assert bytes_of(tmp_path) == before
