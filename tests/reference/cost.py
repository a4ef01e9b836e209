"""Rules of orders, section 7: what a taker pays beside the path's price."""

from __future__ import annotations

from tests.reference.market import Bar, Config, Snapshot
from tests.reference.numbers import share

HOUR_MS = 3_600_000
MICRO = 1_000_000
MOST_RATE = 1.0


class Costs:
    def __init__(self, config: Config, start_ms: int) -> None:
        self.config, self.start_ms = config, start_ms

    def parts(self, symbol: str, units: int, value: int, volume: float, ts_ms: int, most: int) -> tuple[int, int, int]:
        """Spread, impact and drift of `units` (unsigned) worth `value`; together at most `most`."""
        bar = self.bar(symbol, ts_ms)
        c = self.config
        rates = (
            c.stress * (c.slippage + (bar.half or 0.0)),
            c.stress * self.impact(symbol, bar, units / MICRO, value / MICRO, volume, ts_ms),
            c.drift * (bar.sigma or 0.0),
        )
        spread, impact, drift = (share(value, min(rate, MOST_RATE)) for rate in rates)
        spread = min(spread, max(0, most))
        impact = min(impact, max(0, most - spread))
        drift = min(drift, max(0, most - spread - impact))
        return spread, impact, drift

    def bar(self, symbol: str, ts_ms: int) -> Bar:
        bars = self.config.bars.get(symbol)
        if not bars:
            return Bar()
        return bars[min((ts_ms - self.start_ms) // HOUR_MS, len(bars) - 1)]

    def impact(self, symbol: str, bar: Bar, base: float, notional: float, volume: float, ts_ms: int) -> float:
        """A rate; 0 where nothing is known to judge the size by."""
        model = self.config.impact
        if model is None or notional == 0:
            return 0.0
        if model.model == "power":
            if not bar.sigma or not bar.turnover:
                return 0.0
            return model.factor * bar.sigma * float((notional / bar.turnover) ** model.exponent)
        if model.model == "volume":
            return model.factor * (base / volume) ** 2 if volume > 0 else 0.0
        assert model.model == "depth"
        known = [s for s in self.config.depth.get(symbol, []) if s.ts <= ts_ms]
        return walked(known[-1], notional) if known else 0.0


def walked(book: Snapshot, notional: float) -> float:
    """Average distance from the middle of what is taken: quote lies evenly between the distances that are given, and
    beyond the last as densely as before it."""
    cost, left, near, within = 0.0, notional, 0.0, 0.0
    for n, (far, quote) in enumerate(book.levels):
        band = quote - within
        is_last = n == len(book.levels) - 1
        taken = left if is_last else min(left, band)
        cost += taken * (near + (far - near) * taken / band / 2)
        left -= taken
        if left <= 0:
            break
        near, within = far, quote
    return cost / notional
