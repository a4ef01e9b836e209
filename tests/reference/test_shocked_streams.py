"""Shocked streams: the engine under an overlay against the reference on candles that are shocked one by one."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtest.data.scenarios.curve import Curve
from backtest.data.scenarios.overlay import MarketShock, Overlay
from tests.reference.engine import play as reference
from tests.reference.market import Candle, Play, Symbol
from tests.reference.markets import plays
from tests.reference.shock import Shock, shocked
from tests.reference.test_engine_differential import engine, expect_equal

EXAMPLES = 8


@st.composite
def shocks(draw: st.DrawFn, market: Play) -> list[Shock]:
    """A move of some of the markets: at once or over time, and perhaps back again."""
    first = min(symbol.first_ms for symbol in market.symbols)
    rows = (max(symbol.last_ms for symbol in market.symbols) - first) // market.interval_ms + 1
    found = []
    for symbol in market.symbols:
        if not draw(st.booleans()):
            continue
        begin = float(first + draw(st.integers(0, rows * market.interval_ms - 1)))
        over = draw(st.sampled_from([0, 7, market.interval_ms // 2, 3 * market.interval_ms]))
        low = 1 + draw(st.sampled_from([-0.999, -0.3, -0.05, 0.04, 0.5]))
        points = [(begin, 1.0), (begin + over, max(0.01, low))]
        if draw(st.booleans()):
            points.append((begin + over + draw(st.integers(1, 4 * market.interval_ms)), 1 - (1 - low) / 3))
        found.append(Shock(symbol.name, tuple(points)))
    return found


def whole(symbol: Symbol, interval_ms: int) -> Symbol:
    """The market without marks, and a flat candle in each gap."""
    candles: dict[int, Candle] = {}
    close = 0.0
    for at in range(symbol.first_ms, symbol.last_ms + 1, interval_ms):
        candles[at] = symbol.candles.get(at) or Candle(close, close, close, close)
        close = candles[at].close
    return replace(symbol, candles=candles, marks={}, mark_interval_ms=None)


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(plays(), st.data())
def test_the_engine_under_an_overlay_is_the_reference_on_shocked_candles(drawn: Play, data: st.DataObject) -> None:
    # Without mark series and gaps the mark is the trade.
    symbols = type(drawn.symbols)(whole(symbol, drawn.interval_ms) for symbol in drawn.symbols)
    market = replace(drawn, symbols=symbols, beside=replace(drawn.beside, oracle=None))
    made = data.draw(shocks(market))
    curves = {shock.symbol: (Curve(shock.points),) for shock in made}
    overlay = Overlay(tuple(MarketShock(name, curve, curve) for name, curve in curves.items()))
    moved = shocked(market, made)
    with tempfile.TemporaryDirectory() as folder:
        expect_equal(moved, reference(moved), engine(market, Path(folder), overlay=overlay))
