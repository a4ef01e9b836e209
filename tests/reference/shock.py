"""A play under a scenario, from docs/reference/scenarios.md alone: candle by candle, price by price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.reference.market import Candle, Play, Symbol
from tests.reference.path import lows_first

FLOOR = 0.01


@dataclass(frozen=True)
class Shock:
    """Points (ms, factor) of one market's trades and marks, the first with the factor 1; two at one time are a jump."""

    symbol: str
    points: tuple[tuple[float, float], ...]

    def factor(self, when: float, behind: bool) -> float:
        """At a time, behind a jump that is there or before it."""
        last = (self.points[0][0], 1.0)
        for point in self.points:
            if point[0] > when or (point[0] == when and not behind):
                if last[0] == point[0] or point is self.points[0]:
                    return max(FLOOR, last[1])
                return max(FLOOR, last[1] + (point[1] - last[1]) * ((when - last[0]) / (point[0] - last[0])))
            last = point
        return max(FLOOR, last[1])


def shocked(play: Play, shocks: Sequence[Shock]) -> Play:
    """The play with the candles of the scenario; its marks are its trades."""
    by_name = {shock.symbol: shock for shock in shocks}
    opens = sorted({at for symbol in play.symbols for at in symbol.candles})
    lows = {at: lows_first({s.name: s.candles[at] for s in play.symbols if at in s.candles}) for at in opens}

    def of(symbol: Symbol) -> Symbol:
        shock = by_name.get(symbol.name)
        if shock is None:
            return symbol
        made = {at: _candle(c, at, play.interval_ms, lows[at], shock) for at, c in symbol.candles.items()}
        return replace(symbol, candles=made)

    return replace(play, symbols=type(play.symbols)(of(symbol) for symbol in play.symbols))


def _candle(candle: Candle, at: int, interval: int, lows: bool, shock: Shock) -> Candle:
    extremes = (candle.low, candle.high) if lows else (candle.high, candle.low)
    knots = (candle.open, *extremes, candle.close)
    times = (float(at), at + interval / 3, at + 2 * interval / 3, float(at + interval))
    values = [price * shock.factor(when, n < 3) for n, (price, when) in enumerate(zip(knots, times, strict=True))]
    reached = list(values)
    for when, _ in shock.points:
        if at < when < at + interval:
            place = (when - at) / interval * 3
            n = min(int(place), 2)
            price = knots[n] + (knots[n + 1] - knots[n]) * (place - n)
            reached += [price * shock.factor(when, behind) for behind in (False, True)]
    return Candle(values[0], max(reached), min(reached), values[3], candle.volume)
