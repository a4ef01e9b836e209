"""What the venue saw beside the market: numbers by hand, and the same however the rows are cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.results.mark_divergence import Sight

MINUTE = 60_000
T0 = 1_700_006_400_000
nan = float("nan")


def flat(*prices: float) -> np.ndarray:
    """[4, rows, 1]: candles that do not move."""
    return np.tile(np.array(prices, dtype=float)[None, :, None], (4, 1, 1))


def seen(sight: Sight) -> list[tuple[float, int, float, float]]:
    """Minutes from the start, symbol, market, venue."""
    return [((row["ts_ms"] - T0) / MINUTE, row["symbol"], row["market"], row["venue"]) for row in sight.rows()]


def watch(every: int, *frozen: tuple[float, float], symbols: int = 1) -> Sight:
    spans = [(T0 + round(a * MINUTE), T0 + round(z * MINUTE)) for a, z in frozen]
    return Sight(symbols, T0, MINUTE, every * MINUTE, spans)


def test_of_each_period_the_close_that_is_farthest_off() -> None:
    sight = watch(2)
    market, venue = flat(100, 100, 200, 100, 50), flat(101, 98, 200, 100, 50)
    sight.take(0, market, market, venue)
    # +1 % and -2 %; nothing and nothing: the first; the period that is not over.
    assert seen(sight) == [(2, 0, 100, 98), (3, 0, 200, 200), (5, 0, 50, 50)]


def test_a_frozen_mark_is_that_of_the_path_at_its_begin() -> None:
    # Row 1 rises from 100: lows first, so 100 until 20 s, then to 106 at 40 s. Frozen from 30 s into it: at 103, until
    # 3.5 minutes: the closes at 2 and 3 minutes see 103, that at 4 the market's.
    market = flat(100, 100, 110, 120)
    market[:, 1, 0] = 100, 106, 100, 106
    sight = watch(1, (1.5, 3.5))
    sight.take(0, market, market, market)
    assert seen(sight) == [(1, 0, 100, 100), (2, 0, 106, 103), (3, 0, 110, 103), (4, 0, 120, 120)]


def test_a_frozen_late_mark_is_that_of_the_late_path() -> None:
    # 25 s late: row 1 opens at 90, is at 96 after 5 s and 25 s, where it jumps to 100, at 106 after 45 s and so on to
    # 103. Frozen 35 s after its open it is at 103; 25 s after it, at the jump, at 100.
    market, venue = flat(90, 100, 100, 100), np.full((8, 4, 1), 100.0)
    venue[:, 1, 0] = 90, 106, 90, 103, 96, 96, 100, 106
    for begin, still in ((95, 103), (85, 100), (75, 96), (62.5, 93)):
        sight = Sight(1, T0, MINUTE, MINUTE, [(T0 + round(begin * 1000), T0 + 150_000)], late_ms=25_000)
        sight.take(0, market, market, venue)
        assert seen(sight)[1] == (2, 0, 100, still)
    stairs = Sight(1, T0, MINUTE, MINUTE, [(T0 + 95_000, T0 + 150_000)], holds=True, late_ms=25_000)
    stairs.take(0, market, market, venue)
    assert seen(stairs)[1] == (2, 0, 100, 100)


def test_a_close_at_the_end_of_the_freeze_sees_the_market_again() -> None:
    market = flat(100, 90, 80)
    sight = watch(1, (0.5, 2))
    sight.take(0, market, market, market)
    assert seen(sight) == [(1, 0, 100, 100), (2, 0, 90, 90), (3, 0, 80, 80)]
    sight = watch(1, (0.5, 2.001))
    sight.take(0, market, market, market)
    assert seen(sight)[1] == (2, 0, 90, 100)


def test_a_symbol_that_comes_to_life_in_a_freeze_stands_still_at_its_first_mark() -> None:
    market = np.concatenate([flat(100, 100, 100, 100), flat(nan, nan, 50, 60)], axis=2)
    sight = watch(1, (0.5, 9), symbols=2)
    sight.take(0, market, market, market)
    assert [row for row in seen(sight) if row[1] == 1] == [(3, 1, 50, 50), (4, 1, 60, 50)]


PRICES = st.lists(st.sampled_from([nan, 90.0, 100.0, 110.0, 125.0]), min_size=12, max_size=12)


@settings(max_examples=60, deadline=None)
@given(PRICES, PRICES, st.sets(st.integers(1, 11)), st.integers(1, 5))
def test_how_the_rows_are_cut_does_not_matter(
    market: list[float], venue: list[float], cuts: set[int], every: int
) -> None:
    trade, own = flat(*[100.0] * 12), flat(*market)
    oracle = np.where(np.isnan(own), nan, flat(*venue))
    frozen = ((2.5, 4.2), (6, 8.5))
    whole, parts = watch(every, *frozen), watch(every, *frozen)
    whole.take(0, trade, own, oracle)
    edges = [0, *sorted(cuts), 12]
    for first, last in pairwise(edges):
        parts.take(first, trade[:, first:last], own[:, first:last], oracle[:, first:last])
    assert whole.rows().tobytes() == parts.rows().tobytes()
    kept = whole.rows()
    assert not np.isnan(kept["market"]).any()
    assert len(kept) <= -(-12 // every) + 1


@pytest.mark.parametrize("rows", [0, 1])
def test_nothing_seen_is_nothing_kept(rows: int) -> None:
    sight = watch(1)
    if rows:
        sight.take(0, flat(100), flat(nan), flat(nan))
    assert len(sight.rows()) == 0
