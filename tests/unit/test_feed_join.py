"""Candles of a run joined from finer ones on disk: on the clock, with marks of their own interval, like native ones."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import backtest
from backtest.core.errors import UserError
from backtest.data.catalog import Catalog
from backtest.data.lazy_frame import LazyCandles
from backtest.data.panel import CLOSE, HIGH, LOW, MARK_CLOSE, MARK_HIGH, MARK_LOW, MARK_OPEN, OPEN
from backtest.data.select import select
from backtest.data.selection import Selection
from tests.scenarios.scenario import write
from tests.scenarios.test_scenarios_same_bytes import SETTINGS, STRATEGIES, invented, lively
from tests.unit.feed_datasets import HOUR, MIN, T0, Row, candles, dense, flat, funding, marks, toml

nan = float("nan")
FIVE = 5 * MIN


def same(have: np.ndarray, want: object) -> None:
    np.testing.assert_array_equal(have, np.array(want, float))


def ragged(folder: Path, rows: int = 10_000) -> None:
    """Four 1m markets with gaps long and short, late listings, marks that are given, finer than 5m, coarser, none."""
    rng = np.random.default_rng(5)
    for j, name in enumerate("ABCD"):
        index = np.arange(rows)
        keep = np.flatnonzero((rng.random(rows) > 0.1 * j) & (index >= 701 * j) & (index < rows - 13 * j))
        keep = keep[(keep < 3_000) | (keep >= 3_000 + 400 * j)]
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.001, len(keep)))).round(6)
        # Volumes are whole numbers: their sums are exact in any order.
        made: list[Row] = [(int(k), c, c * 1.001, c * 0.999, c, float(k)) for k, c in zip(keep, close, strict=True)]
        candles(folder, name, made)
        if name == "B":
            marks(folder, name, [(k, p * 1.0002, h, lo, c) for k, p, h, lo, c, _ in made if (k // 30) % 7])
        if name == "C":
            marks(folder, name, [(k, 100, 150, 70, 100) for k in range(rows // 60) if k % 5], HOUR)
        funding(folder, name, [(8 * k, 0.0001 * k) for k in range(rows // 480 + 1)])
    toml(folder, '[dataset]\ninterval = "1m"\n' + "".join(f"[symbols.{s}]\nstep = 0.01\n" for s in "ABCD"))


def beforehand(folder: Path, to: Path, ms: int) -> Path:
    """The dataset anew in ``to``, with its candles, and marks that are finer than ``ms``, joined by Polars."""
    shutil.copytree(folder, to)
    for file in [*to.glob("candles/*/*.parquet"), *to.glob("mark/*/*.parquet")]:
        frame = pl.read_parquet(file)
        if frame["ts"].diff().min() >= dt.timedelta(milliseconds=ms):  # type: ignore[operator]
            continue
        by = pl.col("ts").dt.truncate(f"{ms}ms")
        prices = pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last()
        amount = [pl.col("volume").sum()] if "volume" in frame.columns else []
        frame.group_by(by, maintain_order=True).agg(*prices, *amount).write_parquet(file)
    said = re.sub(r'interval = "[15]m"', f'interval = "{ms // MIN}m"', (folder / "dataset.toml").read_text())
    toml(to, said)
    return to


def test_candles_are_joined_on_the_clock(tmp_path: Path) -> None:
    # X: rows 3 and 4 in [0, 5), none in [5, 10), 10 and 14 in [10, 15), 16 alone in [15, 20), where it ends.
    x: list[Row] = [
        (3, 10, 11, 9, 10, 1),
        (4, 10, 15, 10, 14, 2),
        (10, 20, 21, 20, 21, 3),
        (14, 18, 19, 12, 13, 4),
        (16, 13, 14, 13, 14, 5),
    ]
    candles(tmp_path, "X", x)
    candles(tmp_path, "Y", flat(*[7] * 20, start=5))  # complete from 5 to 25
    s = select(Catalog.open(tmp_path), None, None, None, FIVE)
    assert (s.start_ms, s.rows, s.interval_ms, s.finer) == (T0, 5, FIVE, 5)
    assert (s.first_row.tolist(), s.last_row.tolist()) == ([0, 1], [3, 4])
    panel, volume = dense(s, volume=True)
    same(panel[OPEN, :, 0], [10, nan, 20, 13, nan])
    same(panel[HIGH, :, 0], [15, nan, 21, 14, nan])
    same(panel[LOW, :, 0], [9, nan, 12, 13, nan])
    same(panel[CLOSE, :, 0], [14, nan, 13, 14, nan])
    same(panel[CLOSE, :, 1], [nan, 7, 7, 7, 7])
    assert volume is not None
    same(volume.T, [[3, nan, 7, 5, nan], [nan, 5, 5, 5, 5]])
    same(panel[MARK_CLOSE, :, 0], [14, 14, 13, 14, nan])
    # X has one candle of five less than it spans; its other three have 2, 2 and 1 of their five finer ones.
    assert (s.counts["gap rows"], s.counts["joined candles with missing parts"]) == (1, 3)
    assert select(Catalog.open(tmp_path), ["Y"], None, None, MIN).mark_offset == 0
    assert select(Catalog.open(tmp_path), ["Y"], None, None, FIVE).mark_offset == 4


def test_a_period_names_joined_candles_by_their_open(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(*range(1, 31)))
    catalog = Catalog.open(tmp_path)
    # From minute 3 to minute 16: candles that open at 5, 10 and 15; the last one is whole, its close is minute 19's.
    s = select(catalog, None, T0 + 3 * MIN, T0 + 16 * MIN, FIVE)
    assert (s.start_ms, s.rows) == (T0 + FIVE, 3)
    same(dense(s)[0][[OPEN, CLOSE], :, 0], [[6, 11, 16], [10, 15, 20]])
    with pytest.raises(UserError, match="no candles from 2023-11-15T00:01Z to 2023-11-15T00:04Z"):
        select(catalog, None, T0 + MIN, T0 + 4 * MIN, FIVE)


def test_marks_are_those_of_the_joined_interval(tmp_path: Path) -> None:
    # Hourly marks beside 1m candles: an hour's own mark where there is one; the second hour's is derived.
    candles(tmp_path, "X", flat(*[100] * 60, *[200] * 60, *[100] * 180))
    marks(tmp_path, "X", [(0, 101, 103, 99, 102), *[(k, 104, 105, 103, 104) for k in (2, 3, 4)]], HOUR)
    s = select(Catalog.open(tmp_path), None, None, None, HOUR)
    mark = dense(s)[0][:, :3, 0]
    assert s.marks == {"X": "given, derived on 1 rows"}
    # Basis 1.01 at 0 h, 1.04 at 2 h: 1.025 at 1 h, 1.0325 at 1:30, 1.04 at 2 h, on a candle flat at 200.
    same(mark[MARK_OPEN], [101, 205, 104])
    same(mark[MARK_HIGH], [103, 208, 105])
    same(mark[MARK_LOW], [99, 205, 103])
    same(mark[MARK_CLOSE], [102, 208, 104])
    same(mark[s.known_field], [102, 202, 104])  # as known: 200 x 1.01


def test_marks_between_the_two_intervals_are_joined_or_derived(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(*[100] * 20))
    marks(tmp_path, "X", [(0, 100, 101, 99, 100), (1, 102, 104, 102, 102), (2, 106, 108, 90, 100)], FIVE)
    catalog = Catalog.open(tmp_path)
    assert {ms: select(catalog, None, None, None, ms * MIN).marks["X"] for ms in (1, 5, 10)} == {
        1: "derived",
        5: "given",
        10: "given",
    }
    ten = dense(select(catalog, None, None, None, 10 * MIN))[0][MARK_OPEN : MARK_CLOSE + 1, :, 0]
    same(ten, [[100, 106], [104, 108], [99, 90], [102, 100]])


def test_funding_is_expected_as_long_as_the_finer_candles_last(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(*[1] * 9 * 60))
    funding(tmp_path, "X", [(0, 0.001), (4, 0.001), (8, 0.001)])
    s = select(Catalog.open(tmp_path), None, None, None, 24 * HOUR)
    assert (s.rows, s.counts["missing settlements"]) == (1, 0)  # 12, 16 and 20 h are not missing: data end at 9 h
    same((s.funding[:, 0] - T0) / HOUR, [0, 4, 8])


def test_like_candles_that_were_joined_beforehand(tmp_path: Path) -> None:
    ragged(tmp_path / "minutes")
    fives = Catalog.open(beforehand(tmp_path / "minutes", tmp_path / "fives", FIVE))
    minutes = Catalog.open(tmp_path / "minutes")
    assert (minutes.interval_ms, fives.interval_ms) == (MIN, FIVE)
    for period in ((None, None), (T0 + 2_903 * MIN, T0 + 4_444 * MIN)):
        s, native = select(minutes, None, *period, FIVE), select(fives, None, *period)
        everything(s, native)
    panel, volume = dense(s, volume=True)
    for size in (1, 17):
        again, amount = dense(s, size, volume=True)
        np.testing.assert_array_equal(again, panel)
        np.testing.assert_array_equal(amount, volume)


def everything(s: Selection, native: Selection) -> None:
    """All that a run looks at is the same."""
    (panel, volume), (want, amount) = dense(s, 999, volume=True), dense(native, 777, volume=True)
    np.testing.assert_array_equal(panel, want)
    np.testing.assert_array_equal(volume, amount)
    assert (s.start_ms, s.rows, s.known_field, s.mark_offset) == (
        native.start_ms, native.rows, native.known_field, native.mark_offset,
    )  # fmt: skip
    for name in ("symbols", "marks"):
        assert getattr(s, name) == getattr(native, name)
    for name in ("first_row", "last_row", "step_micro", "funding"):
        np.testing.assert_array_equal(getattr(s, name), getattr(native, name))
    short = "joined candles with missing parts"
    assert s.counts[short] > 0
    assert {**s.counts, short: 0} == native.counts
    for symbol in s.symbols:
        for every in (FIVE, 15 * MIN, HOUR):
            assert s.candles(symbol, every).equals(native.candles(symbol, every))
    assert LazyCandles(s, HOUR).frame.collect().equals(LazyCandles(native, HOUR).frame.collect())


def test_what_cannot_be_joined_is_named(tmp_path: Path) -> None:
    candles(tmp_path / "fives", "X", flat(*[1] * 12), FIVE)
    catalog = Catalog.open(tmp_path / "fives")
    for ms in (7 * MIN, MIN, 12 * MIN):
        with pytest.raises(UserError, match=rf"{ms // MIN}m is not a multiple of the data's 5m candles.*choose 5m"):
            select(catalog, None, None, None, ms)
    candles(tmp_path / "late", "X", [(k + 0.5, 1, 1, 1, 1, 1) for k in range(12)], FIVE)
    late = Catalog.open(tmp_path / "late")
    assert select(late, None, None, None, FIVE).rows == 12
    with pytest.raises(UserError, match=r"5m candles that do not open at whole multiples of 5m .* joined to 1h"):
        select(late, None, None, None, HOUR)


def test_fingerprint_knows_the_interval_and_the_drill(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(*range(1, 31)))
    catalog = Catalog.open(tmp_path)
    one, five = select(catalog), select(catalog, None, None, None, FIVE)
    prints = [one.fingerprint(), five.fingerprint(), five.fingerprint(MIN), one.fingerprint(0)]
    assert len(set(prints)) == 3
    assert select(catalog, None, None, None, MIN).fingerprint() == prints[0] == prints[3]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_run_on_joined_candles_is_the_run_on_native_ones(tmp_path: Path, strategy: type[backtest.Strategy]) -> None:
    """`every`, features, targets and history see the joined candles; every table comes out the same."""
    data = write(tmp_path / "fives", *invented(12 * 90 - 1, seed=2), interval="5m")
    native = beforehand(data, tmp_path / "hours", HOUR)
    pair = [backtest.compare(strategy, data, interval="1h", **SETTINGS), backtest.compare(strategy, native, **SETTINGS)]
    lively(pair[0]["cross"])
    assert [r.digest for r in pair[0].results] == [r.digest for r in pair[1].results]
    about = pair[0]["cross"].summary["data"]
    assert (about["interval_ms"], about["joined_from_ms"], about["drill_ms"]) == (HOUR, FIVE, None)
