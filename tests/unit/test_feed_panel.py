"""From files to dense panels: late listings, gaps, marks, chunks of any size, settlements."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings

from backtest.core.errors import UserError
from backtest.data.catalog import Catalog
from backtest.data.panel import CLOSE, HIGH, LOW, MARK_CLOSE, MARK_HIGH, MARK_LOW, MARK_OPEN, OPEN, Chunk
from backtest.data.select import select
from tests.reference.market import Play
from tests.reference.markets import plays, write_dataset
from tests.reference.marks import mark_rows
from tests.unit.feed_datasets import HOUR, MIN, T0, candles, dense, flat, funding, marks, toml

nan = float("nan")


def same(have: np.ndarray, want: list[float]) -> None:
    np.testing.assert_array_equal(have, np.array(want, float))


def test_grid_has_late_listings_ragged_ends_and_gaps(tmp_path: Path) -> None:
    candles(tmp_path, "B", [(0, 10, 12, 9, 11, 100), (1, 11, 13, 10, 12, 200), (3, 12, 14, 11, 13, 300)])
    candles(tmp_path, "A", [(2, 5, 6, 4, 5.5, 7), (3, 5.5, 7, 5, 6, 8), (4, 6, 8, 5, 7, 9)])
    s = select(Catalog.open(tmp_path), ["B", "A", "B"])
    assert (s.symbols, s.start_ms, s.rows, s.interval_ms) == (("A", "B"), T0, 5, MIN)
    assert (s.first_row.tolist(), s.last_row.tolist()) == ([2, 0], [4, 3])
    assert s.mark_offset == 4  # no marks are given, but B has a gap, where the mark stands still
    assert s.marks == {"A": "trades", "B": "trades"}
    panel, volume = dense(s, volume=True)
    assert panel.shape == (8, 5, 2)
    same(panel[OPEN, :, 1], [10, 11, nan, 12, nan])
    same(panel[HIGH, :, 1], [12, 13, nan, 14, nan])
    same(panel[LOW, :, 1], [9, 10, nan, 11, nan])
    same(panel[CLOSE, :, 1], [11, 12, nan, 13, nan])
    same(panel[MARK_OPEN, :, 1], [10, 11, 12, 12, nan])
    same(panel[MARK_HIGH, :, 1], [12, 13, 12, 14, nan])
    same(panel[MARK_LOW, :, 1], [9, 10, 12, 11, nan])
    same(panel[MARK_CLOSE, :, 1], [11, 12, 12, 13, nan])
    same(panel[CLOSE, :, 0], [nan, nan, 5.5, 6, 7])
    same(panel[MARK_CLOSE, :, 0], [nan, nan, 5.5, 6, 7])
    assert volume is not None
    same(volume[:, 1], [100, 200, nan, 300, nan])
    assert s.counts["gap rows"] == 1
    assert s.counts["rows with an unchanged mark"] == 1
    assert s.marks["B"] == "trades, unchanged on 1 rows"


def test_without_marks_and_gaps_the_mark_is_the_trade(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(1, 2, 3))
    candles(tmp_path, "Y", flat(4, 5, start=1))
    s = select(Catalog.open(tmp_path))
    panel, _ = dense(s)
    assert s.mark_offset == 0
    assert panel.shape == (4, 3, 2)
    same(panel[OPEN + s.mark_offset], [[1, nan], [2, 4], [3, 5]])


def test_a_period_is_a_window_with_an_open_end(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(1, 2, None, 4, 5, None, 7))
    s = select(Catalog.open(tmp_path), None, T0 + 2 * MIN, T0 + 5 * MIN + 1)
    assert (s.start_ms, s.rows) == (T0 + 3 * MIN, 2)  # row 2 and row 5 are gaps: the life is rows 3 and 4
    same(dense(s)[0][OPEN, :, 0], [4, 5])
    assert select(Catalog.open(tmp_path), None, None, T0 + MIN).rows == 1


def test_given_marks_fill_gaps_and_missing_ones_are_derived(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(100, 100, 100, 100, None, None, 100))
    # Marks of the candles' interval: rows 0, 1, 3 and 5. Row 2 is derived, row 4 stands still, row 6 derived.
    rows = [(0, 101, 102, 100, 101), (1, 101, 101, 101, 101), (3, 103, 104, 103, 103.5), (5, 90, 91, 89, 90)]
    marks(tmp_path, "X", rows)
    s = select(Catalog.open(tmp_path))
    assert s.marks == {"X": "given"}
    mark = dense(s)[0][MARK_OPEN:, :, 0]
    # Basis points (row 5 has no trade): 1.01 at row 0 and 1, 1.03 at row 3; then it stays 1.03.
    # Row 2: open b(2) = 1.02, high and low b(2.5) = 1.025, close b(3) = 1.03.
    same(mark[0], [101, 101, 102, 103, 103.5, 90, 103])
    same(mark[1], [102, 101, 103, 104, 103.5, 91, 103])
    same(mark[2], [100, 101, 102, 103, 103.5, 89, 103])
    same(mark[3], [101, 101, 103, 103.5, 103.5, 90, 103])
    assert (s.counts["derived mark rows"], s.counts["rows with an unchanged mark"]) == (2, 1)
    assert s.marks == {"X": "given, derived on 2 rows, unchanged on 1 rows"}


def test_coarse_marks_lend_their_basis_and_bound_it(tmp_path: Path) -> None:
    candles(tmp_path, "X", [(k, 100, 110, 90, 100, 1) for k in range(6)])
    # Two-minute marks from row 2 on: b = 1 before it, 1.02 at row 2, 1.04 at row 4, 1.04 after it.
    marks(tmp_path, "X", [(1, 102, 103, 95, 103), (2, 104, 120, 80, 104)], 2 * MIN)
    s = select(Catalog.open(tmp_path))
    mark = dense(s)[0][MARK_OPEN:, :, 0]
    assert s.marks == {"X": "derived"}
    assert s.counts["derived mark rows"] == 6
    # Row 1 closes at b(2) = 1.02: the point is there, the row's own open is still at 1.
    same(mark[0], [100, 100, 102, 103, 104, 104])
    # Highs 110 x b(k + 1/2): 110, 110, then 111.1 and 113.3 cut to the mark candle's 103, then 114.4; of rows 4 and 5,
    # with equal trades, the first attains the mark candle's 120.
    same(mark[1], [110, 110, 103, 103, 120, 114.4])
    # Lows 90 x b(k + 1/2): 90, 90, then 91.0 and 92.7 raised to 95, then 93.6; row 4 attains 80.
    same(mark[2], [90, 90, 95, 95, 80, 93.6])
    # Row 3 closes at 104, cut to 103.
    same(mark[3], [100, 102, 103, 103, 104, 104])
    # What a decision at a close may know: trade close 100 by the last basis point strictly before it, uncut. Row 1
    # closes as the point 1.02 opens, row 3 as 1.04 does.
    same(mark[4], [100, 100, 102, 102, 104, 104])


def test_basis_points_outside_of_the_period_count_within_one_mark_interval(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(*[100] * 12))
    marks(tmp_path, "X", [(0, 102, 200, 50, 102), (1, 104, 200, 50, 104), (2, 108, 200, 50, 108)], 4 * MIN)
    s = select(Catalog.open(tmp_path), None, T0 + 5 * MIN, T0 + 7 * MIN)
    # b(4) = 1.04 lies before the period and b(8) = 1.08 after it: b(5) = 1.05, b(6) = 1.06.
    same(dense(s)[0][MARK_OPEN, :, 0], [105, 106])


def test_finer_marks_are_joined_to_one_candle_a_row(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(10, 10, 10), 2 * MIN)
    rows = [(0, 10, 11, 9, 10), (1, 10, 13, 10, 12), (2, 12, 12, 7, 8), (3, 8, 9, 8, 9), (4, 9, 9, 9, 9)]
    marks(tmp_path, "X", rows, MIN)
    s = select(Catalog.open(tmp_path))
    for size in (1, 2, 10):
        mark = dense(s, size)[0][MARK_OPEN:, :, 0]
        same(mark[0], [10, 12, 9])
        same(mark[1], [13, 12, 9])
        same(mark[2], [9, 7, 9])
        same(mark[3], [12, 9, 9])
    assert s.marks == {"X": "given"}


def big_and_ragged(folder: Path) -> None:
    """Four symbols of 10,000 rows with gaps, late listings, three kinds of marks; several row groups are not needed."""
    rng = np.random.default_rng(3)
    for j, name in enumerate("ABCD"):
        keep = np.flatnonzero((rng.random(10_000) > 0.05 * j) & (np.arange(10_000) >= 700 * j))
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.001, len(keep))))
        rows = [(int(k), c, c * 1.001, c * 0.999, c, float(k)) for k, c in zip(keep, close, strict=True)]
        candles(folder, name, rows)
        if name == "B":
            marks(folder, name, [r[:5] for r in rows if r[0] % 7])
        if name == "C":
            marks(folder, name, [(k, 100, 200, 50, 100) for k in range(170) if k % 5], HOUR)


def test_chunks_of_any_size_give_the_same_numbers(tmp_path: Path) -> None:
    big_and_ragged(tmp_path)
    s = select(Catalog.open(tmp_path))
    whole, amounts = dense(s, 65_536, volume=True)
    kinds, counts = dict(s.marks), dict(s.counts)
    for size in (997, 4_096, 10_000):
        panel, volume = dense(s, size, volume=True)
        np.testing.assert_array_equal(panel, whole)
        np.testing.assert_array_equal(volume, amounts)
        assert (dict(s.marks), dict(s.counts)) == (kinds, counts)
    short = select(Catalog.open(tmp_path), None, T0 + 690 * MIN, T0 + 730 * MIN)
    np.testing.assert_array_equal(dense(short, 1)[0], dense(short, 50)[0])


@pytest.mark.parametrize(("size", "tail"), [(1, 3), (2, 5), (4, 2), (3, 0), (100, 9)])
def test_tail_repeats_the_rows_before(tmp_path: Path, size: int, tail: int) -> None:
    candles(tmp_path, "X", flat(*range(1, 12)))
    s = select(Catalog.open(tmp_path))
    for chunk in s.chunks(size, tail=tail, volume=True):
        assert chunk.tail == min(tail, chunk.row0)
        assert chunk.rows == min(size, 11 - chunk.row0)
        assert chunk.panel.flags.c_contiguous
        seen = np.arange(chunk.row0 - chunk.tail, chunk.row0 + chunk.rows) + 1
        np.testing.assert_array_equal(chunk.panel[OPEN, :, 0], seen)
        assert chunk.volume is not None
        assert chunk.volume.shape == (len(seen), 1)


def test_leaving_early_and_failing_end_the_background(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(*range(1, 2_000)))
    candles(tmp_path, "Y", [*flat(*[1] * 1_000), (1_000, 1, 1, -1, 1, 1), *flat(*[1] * 999, start=1_001)])
    before = threading.active_count()
    early = select(Catalog.open(tmp_path), ["X"]).chunks(10)
    assert next(early).row0 == 0
    early.close()
    whole: list[Chunk] = []
    with pytest.raises(UserError, match=r"Y candles at 2023-11-15T16:40Z .*low is -1.0"):  # 1,000 minutes on
        whole.extend(select(Catalog.open(tmp_path)).chunks(100))
    assert threading.active_count() == before


def test_candles_for_features_are_joined_on_the_clock(tmp_path: Path) -> None:
    rows = [
        (3, 10, 11, 9, 10, 1),
        (4, 10, 15, 10, 14, 2),
        (5, 14, 14, 8, 9, 3),
        (9, 9, 9, 9, 9, 4),
        (10, 7, 7, 7, 7, 5),
    ]
    candles(tmp_path, "X", rows)
    s = select(Catalog.open(tmp_path))
    five = s.candles("X", 5 * MIN)
    assert five.schema["ts"] == pl.Datetime("ms", "UTC")
    # Rows 3 and 4 open in [0, 5), 5 and 9 in [5, 10). 10 opens in [10, 15), which X does not live to see close.
    assert five["ts"].dt.epoch("ms").to_list() == [T0, T0 + 5 * MIN]
    assert five.drop("ts").rows() == [(10, 15, 9, 14, 3), (14, 14, 8, 9, 7)]
    one = s.candles("X", MIN)
    assert one["close"].to_list() == [10, 14, 9, 9, 7]
    assert one["ts"].dt.epoch("ms").to_list() == [T0 + k * MIN for k in (3, 4, 5, 9, 10)]
    with pytest.raises(UserError, match="90s is not a multiple of 1m candles"):
        s.candles("X", 90_000)


def test_settlements_of_a_life_with_the_missing_ones(tmp_path: Path) -> None:
    candles(tmp_path, "A", flat(*[1] * 20, start=3), HOUR)
    candles(tmp_path, "B", flat(*[1] * 24), HOUR)
    candles(tmp_path, "C", flat(*[1] * 24), HOUR)
    funding(tmp_path, "A", [(h, h / 1000) for h in (0, 4, 8, 16, 20, 24)])
    funding(tmp_path, "B", [(8, 0.008)])
    s = select(Catalog.open(tmp_path))
    # A lives from 3 h to the end of the candle at 22 h: 12 is missing, 0 and 24 are outside.
    # B: one stamp tells no interval, so it is 8 h: 0 and 16 are missing.
    want = [(0, 1, nan), (4, 0, 0.004), (8, 0, 0.008), (8, 1, 0.008), (12, 0, nan), (16, 0, 0.016), (16, 1, nan)]
    want += [(20, 0, 0.02)]
    same(s.funding, [[T0 + h * HOUR, i, rate] for h, i, rate in want])
    assert s.no_funding == ("C",)
    assert (s.counts["missing settlements"], s.counts["symbols without funding"]) == (3, 1)
    toml(tmp_path, '[dataset]\nfunding_interval = "4h"')
    s = select(Catalog.open(tmp_path), ["B"])
    same((s.funding[:, 0] - T0) / HOUR, [0, 4, 8, 12, 16, 20])


@settings(max_examples=60, deadline=None)
@given(plays())
def test_marks_and_settlements_are_the_references(market: Play) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(market, Path(folder))
        s = select(Catalog.open(folder))
        panel, _ = dense(s, 7)
    expected = []
    for i, symbol in enumerate(sorted(market.symbols, key=lambda x: x.name)):
        offset = s.mark_offset
        for at, candle in mark_rows(symbol, market.interval_ms).items():
            have = panel[offset : offset + 4, (at - s.start_ms) // market.interval_ms, i].tolist()
            assert have == [candle.open, candle.high, candle.low, candle.close], (symbol.name, at)
        end = symbol.last_ms + market.interval_ms
        expected += [(ts, i, r) for ts, r in symbol.funding if symbol.first_ms <= ts < end]
    same(
        s.funding, [[ts, i, nan if r is None else r] for ts, i, r in sorted(expected, key=lambda x: x[:2])] or s.funding
    )
