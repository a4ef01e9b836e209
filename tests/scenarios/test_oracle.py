"""The oracle's path by hand and by fractions (docs/reference/rules-layer2.md section 4).

A *path* is [rows, 6, symbols]: the prices of a row at its open, at the four inner knots, and at its close. Without a
delay the first two inner ones are the open, so knots 0, 3, 4 and 5 are those of a candle.
"""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.engine.path import lows_first
from backtest.engine.publisher import Publisher
from backtest.venues.chain import Oracle
from tests.rules_index import rule

pytestmark = rule("layer2 4")

MINUTE = 60_000
THIRD = MINUTE // 3
T0 = 1_700_006_400_000
MARK, INTO, FURTHER = 4, 8, 16
CANDLE = [0, 3, 4, 5]
nan = float("nan")


def panel_of(rows: list[list[tuple[float, float, float, float]]], series: int = 0) -> np.ndarray:
    """[16 + 4 × series, rows, symbols]: mark and trade are the same candles (open, high, low, close)."""
    panel = np.full((FURTHER + 4 * series, len(rows), len(rows[0])), nan)
    for j, row in enumerate(rows):
        for i, candle in enumerate(row):
            panel[:4, j, i] = panel[MARK : MARK + 4, j, i] = candle
    return panel


def published(oracle: Oracle, panel: np.ndarray, chunk: int = 1000, series: int = 0) -> tuple[np.ndarray, Publisher]:
    """The oracle's path, the rows seen in chunks of so many."""
    publisher = Publisher(oracle, panel.shape[2], MINUTE, T0, MARK, INTO, series)
    pieces, fresh = [], []
    for first in range(0, panel.shape[1], chunk):
        piece = np.ascontiguousarray(panel[:, first : first + chunk])
        publisher.see(piece, first)
        assert publisher.known(first + piece.shape[1] - 1) == first + piece.shape[1]
        pieces.append(piece)
        fresh.append(publisher.fresh)
    whole = np.concatenate(pieces, axis=1)
    publisher.all_fresh = np.concatenate(fresh)  # type: ignore[attr-defined]
    return path_of(whole), publisher


def path_of(panel: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(panel[[INTO, *range(INTO + 4, INTO + 8), INTO + 3]].transpose(1, 0, 2))


def knots(panel: np.ndarray, off: int) -> np.ndarray:
    """[rows, 4, symbols]"""
    out = np.empty((panel.shape[1], 4, panel.shape[2]))
    for j in range(panel.shape[1]):
        order = (0, 2, 1, 3) if lows_first(panel, j) else (0, 1, 2, 3)
        out[j] = [panel[off + s, j] for s in order]
    return out


RISING = panel_of([[(100.0, 106.0, 97.0, 103.0)], [(104.0, 110.0, 101.0, 107.0)], [(107.0, 122.0, 104.0, 110.0)]])
"""Lows first. Knots, 20 s apart: 100 97 106 103 | 104 101 110 107 | 107 104 122 110."""


@pytest.mark.parametrize(
    ("name", "oracle", "want"),
    [
        ("nothing but the market", Oracle(), [[100, 97, 106, 103], [104, 101, 110, 107], [107, 104, 122, 110]]),
        # 40 s: two knots. Row 0: 100; (100 + 97) / 2; (98.5 + 101.5) / 2; (101.5 + 104.5) / 2.
        # Row 1: the open as the close; its lines' means are 102.5, 105.5, 108.5: (104.5 + 102.5) / 2;
        # (102.5 + 105.5) / 2; (105.5 + 108.5) / 2. Row 2's are 105.5, 113, 116.
        (
            "average of two knots",
            Oracle(average_ms=40_000),
            [[100, 98.5, 100, 103], [103, 103.5, 104, 107], [107, 107, 109.25, 114.5]],
        ),
        # 10 s: half a knot, the mean of the last half of a line: at ¾ of it.
        (
            "average within a line",
            Oracle(average_ms=10_000),
            [[100, 97.75, 103.75, 103.75], [103.75, 101.75, 107.75, 107.75], [107.75, 104.75, 117.5, 113]],
        ),
        # 30 s: 1½ knots. 100; 98.5; (98.5/2 at ¾ of the first line = 97.75 × ½ + 101.5) / 1½ = 100.25;
        # (103.75 × ½ + 104.5) / 1½ = 104.25; the same; (103.75 × ½ + 102.5) / 1½; (101.75 × ½ + 105.5) / 1½;
        # (107.75 × ½ + 108.5) / 1½; the same; (107.75 × ½ + 105.5) / 1½; (104.75 × ½ + 113) / 1½;
        # (117.5 × ½ + 116) / 1½.
        (
            "average of a knot and a half",
            Oracle(average_ms=30_000),
            [
                [100, 98.5, 100.25, 104.25],
                [104.25, 102.91667, 104.25, 108.25],  # of eight digits: 154.375 / 1.5 = 102.91666…
                [108.25, 106.25, 110.25, 116.5],
            ],
        ),
        # From 100: 97 is off by 3, 106 by 6. From 106, whose 5 % are 5.3: 103, 104, 101 (5 off), 110 (4), 107, 107,
        # 104; 122 is off by 16, and 110 from it by 12, more than 6.1.
        (
            "deviation of 5 %",
            Oracle(deviation=0.05),
            [[100, 100, 106, 106], [106, 106, 106, 106], [106, 106, 122, 110]],
        ),
        # Published at 0 s, then at 60 s (the close, 103; the open is at the same time), at 120 s and 180 s.
        ("heartbeat", Oracle(heartbeat_ms=50_000), [[100, 100, 100, 103], [103, 103, 103, 107], [107, 107, 107, 110]]),
        # Every 40 s exactly: at 0, 40, 80, 120, 160 s.
        (
            "heartbeat met",
            Oracle(heartbeat_ms=40_000),
            [[100, 100, 106, 106], [106, 101, 101, 107], [107, 107, 122, 122]],
        ),
        # 40 s: both, 106. 60 s: 103 and 104 are too near. 80 s: the heartbeat, 101. 100 s: 110, 9 off. 120 s: 107 is
        # too near. 140 s: the heartbeat, 104. 160 s: 122, 18 off. 180 s: 110, 12 off.
        (
            "heartbeat and deviation",
            Oracle(heartbeat_ms=40_000, deviation=0.05),
            [[100, 100, 106, 106], [106, 101, 110, 110], [110, 104, 122, 110]],
        ),
    ],
)
def test_knots_by_hand(name: str, oracle: Oracle, want: list[list[float]]) -> None:
    have, _ = published(oracle, RISING)
    np.testing.assert_allclose(have[:, CANDLE, 0], want, rtol=1e-15, err_msg=name)
    np.testing.assert_array_equal(have[:, 1:3, 0], have[:, [0, 0], 0])


@pytest.mark.parametrize(
    ("name", "oracle", "want"),
    [
        # 20 s: the market's jump, from 103 to 104 at 60 s, comes 20 s after the open, between two inner knots.
        (
            "a knot",
            Oracle(delay_ms=20_000),
            [[100, 100, 100, 100, 97, 106], [106, 106, 103, 104, 101, 110], [110, 110, 107, 107, 104, 122]],
        ),
        # 40 s: knots at 0, 20 s, 40 s before the jump, and behind it.
        (
            "two knots",
            Oracle(delay_ms=40_000),
            [[100, 100, 100, 100, 100, 97], [97, 97, 106, 103, 104, 101], [101, 101, 110, 107, 107, 104]],
        ),
        # 60 s: the row before, as it is.
        (
            "a row",
            Oracle(delay_ms=60_000),
            [[100] * 6, [100, 100, 100, 97, 106, 103], [104, 104, 104, 101, 110, 107]],
        ),
        # 5 s: the close is at 55 s, a quarter of the way back from 103 to 106: 103.75. Inner knots at 5 s (103, then
        # 104), 25 s, 45 s. Row 1 closes at 110 - 3 * 3/4, row 2 at 122 - 12 * 3/4.
        (
            "a quarter of a knot",
            Oracle(delay_ms=5_000),
            [
                [100, 100, 100, 97, 106, 103.75],
                [103.75, 103, 104, 101, 110, 107.75],
                [107.75, 107, 107, 104, 122, 113],
            ],
        ),
        # 70 s: nothing until 10 s into row 1. It closes at 50 s: half of the way from 106 to 103; row 2 at 108.5.
        (
            "more than a row",
            Oracle(delay_ms=70_000),
            [[100] * 6, [100, 100, 100, 97, 106, 104.5], [104.5, 103, 104, 101, 110, 108.5]],
        ),
        # 95 s: 35 s, 15 s behind a knot, so inner knots at 15, 35 (the jump) and 55 s. Row 1 closes at 97 + 9 / 4.
        (
            "a row and a half",
            Oracle(delay_ms=95_000),
            [[100] * 6, [100, 100, 100, 100, 97, 99.25], [99.25, 106, 103, 104, 101, 103.25]],
        ),
        # The averages of two knots (above), seen a row later.
        (
            "an average, a row later",
            Oracle(average_ms=40_000, delay_ms=60_000),
            [[100] * 6, [100, 100, 100, 98.5, 100, 103], [103, 103, 103, 103.5, 104, 107]],
        ),
        # A staircase 5 s later: 106 was published at 40 s, 122 at 160 s, 110 at 180 s; nothing lies between.
        (
            "a deviation of 5 %, later",
            Oracle(deviation=0.05, delay_ms=5_000),
            [[100, 100, 100, 100, 106, 106], [106] * 6, [106, 106, 106, 106, 122, 122]],
        ),
    ],
)
def test_a_delay_by_hand(name: str, oracle: Oracle, want: list[list[float]]) -> None:
    have, _ = published(oracle, RISING)
    assert have[:, :, 0].tolist() == want, name


def test_high_and_low_are_those_of_the_rows_that_fall_into_one() -> None:
    """Rows 97 to 106, 101 to 110, 104 to 122; of the first the price before it as well."""
    panel = RISING.copy()
    Publisher(Oracle(delay_ms=1_000), 1, MINUTE, T0, MARK, INTO).see(panel, 0)
    assert panel[INTO + 1 : INTO + 3, :, 0].T.tolist() == [[106, 97], [110, 97], [122, 101]]
    np.testing.assert_array_equal(panel[:INTO], RISING[:INTO])  # the market's own fields are left alone
    Publisher(Oracle(delay_ms=60_000), 1, MINUTE, T0, MARK, INTO).see(panel, 0)
    assert panel[INTO + 1 : INTO + 3, :, 0].T.tolist() == [[100, 100], [106, 97], [110, 101]]


def test_highs_first_where_the_product_falls() -> None:
    """103 / 100 × 90 / 100 < 1: highs first, for the symbol that rises too. Knots 100 106 97 103, a knot later."""
    panel = panel_of([[(100.0, 106.0, 97.0, 103.0), (100.0, 101.0, 89.0, 90.0)]])
    have, _ = published(Oracle(delay_ms=20_000), panel)
    assert have[0, 2:].T.tolist() == [[100, 100, 106, 97], [100, 100, 101, 89]]


def test_a_deviation_that_is_just_met_publishes() -> None:
    have, _ = published(Oracle(deviation=0.0625), panel_of([[(64.0, 67.75, 60.0, 66.0)]]))
    assert have[0, CANDLE, 0].tolist() == [64, 60, 67.75, 67.75]  # off by 4 = 64 / 16; by 7.75; by 1.75 < 67.75 / 16


def test_the_median_is_of_what_is_known() -> None:
    """Mark, trade and two further series. Row 0: all four, the mean of the middle two. Row 1: the second further one is
    missing. Row 2: no trade either, so the mean of two. Row 3: the mark alone."""
    panel = panel_of([[(100.0, 100.0, 100.0, 100.0)]] * 4, series=2)
    panel[:4] = 90.0
    panel[FURTHER : FURTHER + 4] = 98.0
    panel[FURTHER + 4 :] = 300.0
    panel[:4, 2:] = panel[FURTHER + 4 :, 1:] = panel[FURTHER : FURTHER + 4, 3] = nan
    have, _ = published(Oracle(median=True), panel, series=2)
    assert have[:, :, 0].tolist() == [[99.0] * 6, [98.0] * 6, [99.0] * 6, [100.0] * 6]


def test_each_series_of_a_median_has_its_own_extremes() -> None:
    """Lows first: 99 of (99, 98, 100.5) at the first extreme, 101 of (101, 103, 100.5) at the second."""
    panel = panel_of([[(100.0, 101.0, 99.0, 100.0)]], series=1)
    panel[:4, 0, 0] = 100.0, 103.0, 98.0, 100.0
    panel[FURTHER:, 0, 0] = 100.5
    have, _ = published(Oracle(median=True), panel, series=1)
    assert have[0, CANDLE, 0].tolist() == [100, 99, 101, 100]


def test_a_symbol_has_no_oracle_before_and_after_its_life() -> None:
    panel = panel_of([[(100.0,) * 4, (7.0,) * 4]] * 3)
    panel[:8, 0, 1] = panel[:8, 2, 0] = nan
    have, publisher = published(Oracle(average_ms=90_000, delay_ms=30_000, heartbeat_ms=MINUTE, limit_ms=1), panel, 2)
    np.testing.assert_array_equal(have[:, :, 0], [[100.0] * 6, [100.0] * 6, [nan] * 6])
    np.testing.assert_array_equal(have[:, :, 1], [[nan] * 6, [7.0] * 6, [7.0] * 6])
    fresh = publisher.all_fresh
    np.testing.assert_array_equal(fresh[8:, 0], [nan] * 4)
    # the second symbol's first knot is at 60 s, seen at 90 s; its heartbeat comes at the close of that row
    want = [nan] * 4 + [90] * 4 + [90, 90, 150, 150]
    np.testing.assert_array_equal((fresh[:, 1] - 3 * T0) / 3000, want)


def test_publications_are_stamped_in_thirds_of_a_millisecond() -> None:
    """A heartbeat of 50 s publishes at 0, 60, 120 and 180 s, a deviation of 5 % at 0, 40, 160 and 180 s; where nothing
    can be refused nothing is kept."""
    _, every = published(Oracle(heartbeat_ms=50_000, limit_ms=10_000), RISING)
    assert ((every.all_fresh[:, 0] - 3 * T0) / 3000).tolist() == [0] * 4 + [60] * 4 + [120] * 4
    _, moved = published(Oracle(deviation=0.05, limit_ms=10_000), RISING)
    assert ((moved.all_fresh[:, 0] - 3 * T0) / 3000).tolist() == [0, 0, 0, 40, 40, 40, 40, 40, 40, 40, 40, 160]
    # 15 s later: at the open, and 15 s (the jump), 35 s and 55 s after it; until 15 s what comes then is known
    _, late = published(Oracle(deviation=0.05, limit_ms=10_000, delay_ms=15_000), RISING)
    assert ((late.all_fresh[:, 0] - 3 * T0) / 3000).tolist() == [15, 15, 15, 55] + [55] * 4 + [55, 55, 55, 175]
    assert published(Oracle(deviation=0.05), RISING)[1].fresh.shape == (0, 1)
    assert published(Oracle(delay_ms=1, limit_ms=5), RISING)[1].fresh.shape == (0, 1)  # it publishes always


def test_rows_seen_again_keep_what_was_published() -> None:
    """Chunks with a tail: rows of the one before come again, with whatever is in the oracle's fields."""
    oracle = Oracle(average_ms=70_000, delay_ms=25_000, heartbeat_ms=70_000, deviation=0.01, limit_ms=1)
    panel = panel_of(walks(1, 40, 2))
    want, whole = published(oracle, panel)
    publisher = Publisher(oracle, 2, MINUTE, T0, MARK, INTO)
    for first, end in ((0, 10), (4, 20), (4, 20), (17, 40)):
        piece = np.ascontiguousarray(panel[:, first:end])
        piece[INTO:] = nan
        publisher.see(piece, first)
        np.testing.assert_array_equal(path_of(piece), want[first:end])
        np.testing.assert_array_equal(publisher.fresh, whole.all_fresh[4 * first : 4 * end])
    with pytest.raises(AssertionError, match="in order"):
        publisher.see(np.ascontiguousarray(panel[:, :1]), 41)


def test_a_row_on_finer_candles_is_the_path_of_these() -> None:
    """Two candles of 30 s in a row: the market's path on them, 35 s later. The first half of row 1 shows the last 5 s
    of row 0's first half, and 25 s of its second; the second half goes on to 25 s of row 1's first half."""
    first = [(100.0, 104.0, 96.0, 102.0), (90.0, 90.0, 90.0, 90.0)]
    halves = panel_of([[first[0]], [first[1]], [(80.0, 80.0, 80.0, 80.0)], [(70.0, 70.0, 70.0, 70.0)]])
    panel = panel_of([[(100.0, 104.0, 90.0, 90.0)], [(80.0, 80.0, 70.0, 70.0)]])
    publisher = Publisher(Oracle(delay_ms=35_000, limit_ms=1), 1, MINUTE, T0, MARK, INTO)
    publisher.see(panel, 0)
    whole, fresh, last = publisher.inside(lambda row: halves[:INTO, 2 * row : 2 * row + 2], 1, 1)
    np.testing.assert_array_equal(whole[:INTO], halves[:INTO, 2:])
    # 25 s into the first half: from 104, the high at 20 s, half of the way to 102 at 30 s. The jump, 5 s after.
    assert path_of(whole)[:, :, 0].tolist() == [[103, 102, 90, 90, 90, 90], [90, 90, 80, 80, 80, 80]]
    assert whole[INTO + 1 : INTO + 3, :, 0].T.tolist() == [[104, 90], [90, 80]]
    assert last.tolist() == [103]
    assert fresh.shape == (0, 1)


def test_a_jump_at_the_open_of_a_row_on_finer_candles_comes_from_the_close_before_it() -> None:
    halves = panel_of([[(100.0,) * 4], [(90.0,) * 4], [(80.0,) * 4], [(70.0,) * 4]])
    panel = panel_of([[(100.0, 100.0, 90.0, 90.0)], [(80.0, 80.0, 70.0, 70.0)]])
    publisher = Publisher(Oracle(delay_ms=30_000), 1, MINUTE, T0, MARK, INTO)
    publisher.see(panel, 0)
    whole, _, last = publisher.inside(lambda row: halves[:INTO, 2 * row : 2 * row + 2], 1, 1)
    assert path_of(whole)[:, :, 0].tolist() == [[90.0] * 6, [80.0] * 6]
    assert last.tolist() == [100]
    # of the run's first row it is the first price
    whole, _, last = publisher.inside(lambda row: halves[:INTO, 2 * row : 2 * row + 2], 0, 0)
    assert (path_of(whole)[:, :, 0].tolist(), last.tolist()) == ([[100.0] * 6, [100.0] * 6], [100])


def test_what_else_an_oracle_does_stays_as_it_is_on_finer_candles() -> None:
    """Row 1 with a deviation, a knot later: 106, at 20 s 103 and 104, at 40 s 101, at 60 s 110; a staircase. On two
    candles of 30 s the knots are 10 s apart, and the jump comes 20 s after each open."""
    panel = RISING.copy()
    publisher = Publisher(Oracle(delay_ms=20_000, deviation=1e-6, limit_ms=1), 1, MINUTE, T0, MARK, INTO)
    publisher.see(panel, 0)
    fine = np.empty((8, 2, 1))
    fine[:, 0, 0], fine[:, 1, 0] = [1, 2, 1, 2] * 2, [2, 2, 1, 1] * 2
    whole, fresh, last = publisher.inside(lambda _: fine, 1, 1)
    np.testing.assert_array_equal(whole[:8], fine)
    assert path_of(whole)[:, :, 0].tolist() == [[106, 106, 106, 103, 104, 104], [104, 104, 101, 101, 101, 110]]
    assert whole[INTO + 1 : INTO + 3, :, 0].T.tolist() == [[106, 103], [110, 101]]
    # at 0, 0, 10, 20 s and 30, 30, 40, 50 s; published at the market's knots, 20 s before
    assert ((fresh[:, 0] - 3 * T0) / 3000).tolist() == [60, 60, 60, 80, 80, 80, 100, 100]
    assert np.isnan(last).all()


def walks(seed: int, rows: int, symbols: int) -> list[list[tuple[float, float, float, float]]]:
    """Candles of prices that wander, with jumps between them."""
    draw = np.random.default_rng(seed)
    price, out = np.full(symbols, 100.0), []
    for _ in range(rows):
        path = price * np.exp(np.cumsum(draw.normal(0, 0.01, (6, symbols)), axis=0))
        out.append([(p[0], max(p), min(p), p[4]) for p in path[:5].T])
        price = path[5]
    return out


class Naive:
    """One symbol's knots with their times in thirds of a candle, in fractions; written from the page alone."""

    def __init__(self, first_row: int, rows: np.ndarray) -> None:
        self.knots = [
            (3 * (first_row + j) + s, Fraction(float(price)))
            for j, row in enumerate(rows)
            for s, price in enumerate(row)
        ]

    def at(self, time: Fraction, before: bool) -> Fraction:
        """The path; where it jumps, the price before or behind the jump; the first knot's before that."""
        if time <= self.knots[0][0]:
            return self.knots[0][1]
        here = [price for n, price in self.knots if n == time]
        if here:
            return here[0] if before else here[-1]
        for (n, a), (m, b) in itertools.pairwise(self.knots):
            if n < time < m:
                return a + (b - a) * (time - n) / (m - n)
        raise AssertionError

    def mean(self, begin: Fraction, end: Fraction) -> Fraction:
        """Of the path over `[begin, end]`, or from the first knot on."""
        begin = max(begin, Fraction(self.knots[0][0]))
        area = Fraction(0)
        for (n, _), (m, _) in itertools.pairwise(self.knots):
            a, b = max(begin, Fraction(n)), min(end, Fraction(m))
            if a < b:
                area += (b - a) * (self.at(a, False) + self.at(b, True)) / 2
        return area / (end - begin) if end > begin else self.knots[0][1]

    def averaged(self, span: Fraction) -> None:
        self.knots = [(n, self.mean(n - span, Fraction(n))) for n, _ in self.knots]

    def late(self, row: int, span: Fraction) -> list[Fraction]:
        """The path of a row, so late: at its open, at its inner knots, where it jumps twice, and at its close."""
        begin, jump = Fraction(3 * row), span % 3
        inner = [begin + jump % 1 + n for n in range(3)]
        path = [self.at(begin - span, before=False)]
        for time in inner:
            jumps = time - begin == jump
            # without a delay the row before is not seen
            path += [self.at(time - span, before=jump > 0), self.at(time - span, before=False)][not jumps :]
        return [*path, self.at(begin + 3 - span, before=True)]


def eight_digits(price: float) -> float:
    """Section 3.1 of the rules."""
    scale = 10.0 ** (7 - math.floor(math.log10(price)))
    return math.floor(price * scale * (1 + 1e-12) + 0.5) / scale


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 99),
    rows=st.integers(1, 9),
    chunk=st.integers(1, 9),
    late=st.integers(0, 3),
    average=st.sampled_from([0, 1, 999, 5_000, 20_000, 40_000, 60_000, 90_000, 120_000, 200_001]),
    delay=st.sampled_from([0, 1, 999, 5_000, 20_000, 40_000, 60_000, 90_000, 120_000, 200_001])
    | st.integers(0, 400_000),
)
def test_values_are_those_of_fractions(seed: int, rows: int, chunk: int, late: int, average: int, delay: int) -> None:
    """Two symbols, the second listed late; average and delay of whole knots, whole rows and neither."""
    panel = panel_of(walks(seed, rows, 2))
    late = min(late, rows - 1)
    panel[:8, :late, 1] = nan
    have, _ = published(Oracle(average_ms=average, delay_ms=delay), panel, chunk)
    market = knots(panel, MARK)
    for i, first in enumerate((0, late)):
        naive = Naive(first, market[first:, :, i])
        if average:
            naive.averaged(Fraction(average, THIRD))
            naive.knots = [(n, Fraction(eight_digits(float(price)))) for n, price in naive.knots]
        span = Fraction(delay, THIRD)
        want = [[float(price) for price in naive.late(row, span)] for row in range(first, rows)]
        np.testing.assert_allclose(have[first:, :, i], want, rtol=1e-15)
        if span % 1 == 0:
            assert have[first:, :, i].tolist() == want


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 99),
    chunk=st.integers(1, 15),
    average=st.sampled_from([0, 30_000]),
    heartbeat=st.sampled_from([0, 1, 20_000, 50_000, 60_000, 200_000]),
    deviation=st.sampled_from([0.0, 1e-9, 0.01, 0.02, 0.5]),
)
def test_publications_are_those_of_a_loop(
    seed: int, chunk: int, average: int, heartbeat: int, deviation: float
) -> None:
    """The naive loop runs over the values that an oracle that always publishes shows, one knot after another."""
    panel = panel_of(walks(seed, 15, 1))
    whole, _ = published(Oracle(average_ms=average), panel)
    values = whole[:, CANDLE]
    oracle = Oracle(average_ms=average, heartbeat_ms=heartbeat, deviation=deviation, limit_ms=1)
    have, publisher = published(oracle, panel, chunk)
    want, stamps, last, shown = [], [], 0, nan
    for at, value in enumerate(values[:, :, 0].ravel().tolist()):
        now = 3 * T0 + (3 * (at // 4) + at % 4) * 3 * THIRD
        always = not (heartbeat or deviation)
        beats = heartbeat > 0 and now - last >= 3 * heartbeat
        if at == 0 or always or beats or (deviation > 0 and abs(value - shown) >= deviation * shown):
            shown, last = value, now
        want.append(shown)
        stamps += [last] * (2 if at % 4 == 0 else 1 if at % 4 < 3 else 0)
    assert have[:, CANDLE].ravel().tolist() == want
    assert publisher.all_fresh[:, 0].tolist() == (stamps if heartbeat or deviation else [])


ALL_ON = Oracle(median=True, average_ms=45_000, delay_ms=33_333, heartbeat_ms=100_000, deviation=0.004, limit_ms=60_000)


def digest() -> str:
    """Every bit of the oracle's fields and stamps, with everything on, of 200 rows of 3 symbols in chunks of 64."""
    import hashlib

    panel = panel_of(walks(5, 200, 3), series=1)
    panel[:4] *= 1.001
    panel[FURTHER:] = panel[:4] * 0.9985
    panel[FURTHER:, 50:70, 1] = nan
    have, publisher = published(ALL_ON, panel, 64, series=1)
    return hashlib.sha256(have.tobytes() + publisher.all_fresh.tobytes()).hexdigest()


def test_compiled_and_interpreted_agree_to_the_bit() -> None:
    command = [sys.executable, "-c", "from tests.scenarios.test_oracle import digest; print(digest())"]
    turned = "0" if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0") else "1"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": turned}
    root = Path(__file__).parents[2]
    other = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == digest()


@pytest.mark.parametrize("chunk", [1, 2, 7, 64, 199])
def test_the_size_of_chunks_changes_nothing(chunk: int) -> None:
    panel = panel_of(walks(6, 200, 2), series=1)
    panel[FURTHER:] = panel[:4] * 1.002
    whole, one = published(ALL_ON, panel, 200, series=1)
    parts, many = published(ALL_ON, panel, chunk, series=1)
    assert whole.tobytes() == parts.tobytes()
    assert one.all_fresh.tobytes() == many.all_fresh.tobytes()


def test_two_cores_do_not_get_into_each_other_s_way() -> None:
    """As many candles at once as are worth two threads, beside the same few at a time, which one plays."""
    panel = panel_of(walks(7, 10_000, 8), series=1)
    panel[FURTHER:] = panel[:4] * 1.002
    few, _ = published(Oracle(median=True), panel, 500, series=1)
    for _ in range(5):
        many, _ = published(Oracle(median=True), panel, 10_000, series=1)
        assert few.tobytes() == many.tobytes()
