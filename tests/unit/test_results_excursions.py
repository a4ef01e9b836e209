"""Excursions: the trade path's extremes between fills, against a plain walk along every candle's four knots."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.core import records
from backtest.core.enums import Cause
from backtest.data.panel import Chunk
from backtest.results.excursions import Observer
from tests.examples import examples
from tests.unit.results_records import START, rows

LENGTH = 60
"""Milliseconds of a candle: its knots are at 0, 20, 40 and 60."""
STEP = np.array([1_000_000, 1_000_000])


NONE = (math.nan, math.nan)
"""Nothing was held. The very same object: a NaN is not equal to another."""


def panel_of(*candles: tuple[float, float, float, float], other: tuple[float, ...] | None = None) -> np.ndarray:
    """One symbol's candles (open, high, low, close), and a second symbol that stands still, or is ``other``."""
    still = np.tile([[10.0]] * 4, (1, len(candles))) if other is None else np.array([other] * len(candles)).T
    return np.stack([np.array(candles).T, still], axis=2)


def fill(at: float, lots: int, price: float, symbol: int = 0, **more: int) -> dict[str, float]:
    """``at`` in candles from the start; free of cost unless ``more`` says otherwise."""
    return {
        "ts_ms": START + round(at * LENGTH),
        "lots": lots,
        "quote": round(-lots * price * 1e6),
        "symbol": symbol,
        **more,
    }


def observed(
    panel: np.ndarray, *fills: dict[str, float], cuts: tuple[int, ...] = (), **more: object
) -> list[tuple[float, float]]:
    """(high, low) after each fill, the rows played in chunks that begin at ``cuts``."""
    table = rows(records.FILL, *fills)
    observer = Observer(STEP, START, LENGTH)
    edges = [0, *cuts, panel.shape[1]]
    given = 0
    for first, last in pairwise(edges):
        end = START + last * LENGTH
        # A fill at the close of the last row is made while it is played, one at the open of the next row is not.
        made = np.flatnonzero((table["ts_ms"] < end) | ((table["ts_ms"] == end) & (table["cause"] == Cause.DELISTING)))
        upto = len(table) if last == panel.shape[1] else int(made.max(initial=-1)) + 1
        observer.take(Chunk(first, 0, panel[:, first:last], None), table[given:upto], **more)  # type: ignore[arg-type]
        given = max(given, upto)
    return [NONE if math.isnan(high) else (high, low) for high, low in observer.extremes().whole().tolist()]


UP = (100.0, 120.0, 90.0, 110.0)
"""Lows first: 100 → 90 at 20 ms → 120 at 40 ms → 110 at 60 ms."""
DOWN = (100.0, 120.0, 90.0, 95.0)
"""Highs first: 100 → 120 → 90 → 95."""


@pytest.mark.parametrize(
    ("panel", "fills", "expected"),
    [
        # From the open at 100 to the close of the next candle, where the data end.
        (panel_of(UP, DOWN), [fill(0, 1, 100)], [(120, 90)]),
        # In at 10 ms: half way from 100 to 90. Out at 30 ms: half way from 90 to 120. The high comes later.
        (panel_of(UP), [fill(1 / 6, 1, 95), fill(1 / 2, -1, 105)], [(105, 90), NONE]),
        # In at 30 ms (105), after the low; out at 50 ms: half way from 120 to 110.
        (panel_of(UP), [fill(1 / 2, 1, 105), fill(5 / 6, -1, 115)], [(120, 105), NONE]),
        # Highs first: at 30 ms, half way from 120 to 90, the high is over.
        (panel_of(DOWN), [fill(1 / 2, -1, 105)], [(105, 90)]),
        # Between two candles' insides: what is before the entry and after the exit does not count.
        (panel_of(DOWN, (100, 101, 99, 99), UP), [fill(5 / 6, 1, 92.5), fill(2 + 1 / 6, -1, 95)], [(101, 92.5), NONE]),
        # Out at the open of the last candle: the jump to 100 counts, what follows does not.
        (panel_of(DOWN, (94, 96, 93, 94), UP), [fill(1, 1, 94), fill(2, -1, 100)], [(100, 93), NONE]),
        # Additions and partial closes each begin a stretch.
        (
            panel_of(UP, DOWN),
            [fill(1 / 2, 1, 105), fill(1, 1, 100), fill(1.5, -1, 105)],
            [(120, 100), (120, 100), (105, 90)],
        ),
        # A flip holds something before and after.
        (panel_of(UP), [fill(0, 1, 100), fill(1 / 3, -2, 90)], [(100, 90), (120, 90)]),
        # A row without a candle has no path.
        (panel_of((100, 101, 99, 100), (math.nan,) * 4, (98, 98, 97, 97)), [fill(0, 1, 100)], [(101, 97)]),
        # Flat again and in again.
        (panel_of(UP, DOWN), [fill(0, 1, 100), fill(1 / 3, -1, 90), fill(1, -1, 100)], [(100, 90), NONE, (120, 90)]),
    ],
)  # fmt: skip
def test_extremes_by_hand(
    panel: np.ndarray, fills: list[dict[str, float]], expected: list[tuple[float, float]]
) -> None:
    np.testing.assert_allclose(observed(panel, *fills), expected, rtol=1e-12)


def test_the_order_of_extremes_is_the_order_of_all_markets() -> None:
    # 110 / 100 goes up, but the other market falls by half: highs first. At 10 ms: half way from 100 to 120.
    panel = panel_of(UP, other=(10.0, 10.0, 5.0, 5.0))
    assert observed(panel, fill(1 / 6, 1, 110), fill(1 / 3, -1, 120)) == [(120, 110), NONE]


def test_a_fill_at_the_close_is_not_one_at_the_next_open() -> None:
    # Both are stamped with the second candle's open. Sold at 110, the close of the first, the jump to 130 is not
    # seen; sold at 130 it is; and whoever bought at the close, with 2 of slippage in what it paid, sees it.
    panel = panel_of(UP, (130.0, 131.0, 129.0, 130.0))
    for cuts in ((), (1,)):
        assert observed(panel, fill(0, 1, 100), fill(1, -1, 110), cuts=cuts) == [(120, 90), NONE]
        assert observed(panel, fill(0, 1, 100), fill(1, -1, 130), cuts=cuts) == [(130, 90), NONE]
        late = fill(1, 1, 112, spread=2_000_000)
        assert observed(panel, late, cuts=cuts) == [(131, 129)]
    settled = fill(1, -1, 110, cause=Cause.DELISTING)
    assert observed(panel_of(UP, (math.nan,) * 4), fill(0, 1, 100), settled, cuts=(1,)) == [(120, 90), NONE]
    assert observed(panel_of(UP), fill(0, 1, 100), settled) == [(120, 90), NONE]


def test_a_fill_within_its_millisecond_has_its_own_price() -> None:
    # From 90 at 20 ms to 120 at 40 ms: 1.5 a millisecond. A level of 100.7 is met at 27.13 ms, stamped 27, where the
    # path is still at 100.5.
    panel = panel_of(UP)
    assert observed(panel, fill(0, 1, 100), fill(27 / 60, -1, 100.7))[0] == (100.7, 90)
    # A price that is not on the path then, such as a liquidation by the mark, is not one of the path's.
    assert observed(panel, fill(0, 1, 100), fill(27 / 60, -1, 300.0))[0] == (102.0, 90)


def test_a_row_that_was_played_on_finer_candles_has_their_path() -> None:
    # 60 ms in two candles of 30: 100 → 99 (10 ms) → 120 (20 ms) → 119 (30 ms) | 118 → 119 → 90 (50 ms) → 110.
    # The coarse candle goes to 90 first: bought at its open and sold at 30 ms the low would be 90.
    fine = np.stack(
        [np.array([(100.0, 120.0, 99.0, 119.0), (118.0, 119.0, 90.0, 110.0)]).T, np.full((4, 2), 10.0)], axis=2
    )
    panel = panel_of((105.0, 106.0, 104.0, 105.0), UP)
    trip = (fill(1, 1, 100), fill(1.5, -1, 118))
    # As far as the coarse candle knows the path is at 105 there, half way from 90 to 120.
    assert observed(panel, fill(1, 1, 100), fill(1.5, -1, 105))[0] == (105, 90)
    assert observed(panel, *trip, fine={1: fine})[0] == (120, 99)
    # Bought after the jump at 30 ms, the close before it does not count; 40 ms is a knot, the low comes after it.
    assert observed(panel, fill(1.5, 1, 118), fill(1 + 40 / 60, -1, 119), fine={1: fine})[0] == (119, 118)
    assert observed(panel, fill(1.5, 1, 118), fine={1: fine})[0] == (119, 90)
    assert observed(panel, fill(0, 1, 105), fill(1.5, -1, 118), fine={1: fine}, cuts=(1,))[0] == (120, 99)


# Against a plain walk


def walk(panel: np.ndarray, fills: list[dict[str, float]]) -> list[tuple[float, float]]:
    """The same, one knot after another."""
    found = []
    for n, begin in enumerate(fills):
        mine = [f for f in fills[: n + 1] if f["symbol"] == begin["symbol"]]
        later = [f for f in fills[n + 1 :] if f["symbol"] == begin["symbol"]]
        since = begin["ts_ms"] - START
        until = later[0]["ts_ms"] - START if later else math.inf
        seen = []
        if sum(f["lots"] for f in mine) != 0:
            seen = [
                price for time, price in polyline(panel, int(begin["symbol"]), since, until) if not math.isnan(price)
            ]
        found.append((max(seen), min(seen)) if seen else NONE)
    return found


def polyline(panel: np.ndarray, i: int, since: float, until: float) -> list[tuple[float, float]]:
    """Time and price of the path's knots between two times, and at both."""
    points = []
    for k in range(panel.shape[1]):
        product = 1.0
        for opened, closed in zip(panel[0, k], panel[3, k], strict=True):
            product *= 1.0 if math.isnan(opened) else closed / opened
        o, h, low, c = (float(panel[field, k, i]) for field in range(4))
        first, second = (low, h) if product >= 1 - 1e-12 else (h, low)
        corners = [(0, o), (20, first), (40, second), (60, c)]
        for (ta, pa), (tb, pb) in pairwise(corners):
            a, b = max(ta, since - k * LENGTH), min(tb, until - k * LENGTH)
            # What begins with a row's end begins after the jump.
            if a <= b and not (a == tb == LENGTH):
                points += [(k * LENGTH + t, pa + (pb - pa) * (t - ta) / (tb - ta)) for t in (a, b)]
    return points


@st.composite
def lives(draw: st.DrawFn) -> tuple[np.ndarray, list[dict[str, float]], tuple[int, ...]]:
    count = draw(st.integers(1, 8))
    prices = st.integers(80, 120).map(float)
    panel = np.empty((4, count, 2))
    for k in range(count):
        for i in range(2):
            o, c, x, y = (draw(prices) for _ in range(4))
            gap = draw(st.integers(0, 7)) == 0
            panel[:, k, i] = math.nan if gap else (o, max(o, c, x, y), min(o, c, x, y), c)
    fills = []
    for ts in sorted(draw(st.lists(st.integers(0, count * LENGTH - 1), max_size=8))):
        lots, i = draw(st.sampled_from((-2, -1, 1, 2))), draw(st.integers(0, 1))
        price = polyline(panel, i, ts, ts)[-1][1]
        fills.append(fill(ts / LENGTH, lots, 50 if math.isnan(price) else price, i))
    cuts = tuple(sorted(draw(st.sets(st.integers(1, count - 1))))) if count > 1 else ()
    return panel, fills, cuts


@settings(max_examples=examples(400), deadline=None)
@given(lives())
def test_extremes_are_those_of_a_plain_walk(life: tuple[np.ndarray, list[dict[str, float]], tuple[int, ...]]) -> None:
    panel, fills, cuts = life
    found = observed(panel, *fills, cuts=cuts)
    assert str(found) == str(observed(panel, *fills))  # to the bit, however the rows are cut
    np.testing.assert_allclose(found, walk(panel, fills), atol=1e-5)  # cash is whole micro
