"""Section 3: one row as straight lines between knots, in thirds of a millisecond from its open.

Layer 2, section 4: the marks of an oracle have knots of their own and may jump inside the row; those of one that does
not always speak are a staircase.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from tests.reference.market import Candle, Published
from tests.reference.numbers import between, money, sign

# The page's margin for products that are one but for rounding.
LEAST_PRODUCT = 1 - Fraction(1, 10**12)


@dataclass(frozen=True)
class Path:
    """One series in one row: (thirds from its open, price) at its knots."""

    knots: list[tuple[int, float]]
    """In order; of two at one time the second is behind a jump."""
    holds: bool
    """A staircase: from a knot until the next one it is the earlier's, and at the next one it jumps."""

    @property
    def prices(self) -> list[float]:
        return [price for _, price in self.knots]

    @property
    def places(self) -> list[tuple[int, int]]:
        """Of each knot its time, and how many before it have the same."""
        times = [time for time, _ in self.knots]
        return [(time, times[:n].count(time)) for n, time in enumerate(times)]

    def segment(self, x: float) -> int:
        """The segment that holds `x`; of a knot the last one that ends with it."""
        ends = [n for n, (time, _) in enumerate(self.knots[1:]) if time == x]
        return ends[-1] if ends else max(n for n, (time, _) in enumerate(self.knots) if time <= x)

    def price(self, at: int) -> float:
        """In doubles; at a knot the knot's, at a jump the one behind it."""
        for (start, start_price), (end, end_price) in pairwise(self.knots):
            if start <= at < end:
                if self.holds:
                    return start_price
                return start_price + (end_price - start_price) * ((at - start) / (end - start))
        assert at == self.knots[-1][0]
        return self.knots[-1][1]

    def before(self, at: int) -> float:
        """At a jump the price before it."""
        there = [price for time, price in self.knots if time == at]
        return there[0] if there else self.price(at)

    def value(self, units: int, at: int, before: bool = False) -> int:
        """Values are rounded at the knots and interpolated as integers between them; at a knot the knot's, at a jump
        the one behind it, or the one `before`."""
        there = [price for time, price in self.knots if time == at]
        if before and there:
            return money(there[0], units)
        for (start, start_price), (end, end_price) in pairwise(self.knots):
            if start <= at < end:
                a, b = money(start_price, units), money(end_price, units)
                return a if self.holds else between(a, b, at - start, end - start)
        assert at == self.knots[-1][0]
        return money(self.knots[-1][1], units)

    def meets(self, level: float, segment: int) -> float:
        """When it comes to a level that lies between the segment's knots, in thirds: a staircase as it jumps."""
        (start, start_price), (end, end_price) = self.knots[segment], self.knots[segment + 1]
        if self.holds or start == end:
            return float(end)
        return start + (level - start_price) / (end_price - start_price) * (end - start)


@dataclass(frozen=True)
class Row:
    """The candles of one row: `trades` of the symbols that have one, `marks` of all that live."""

    open_ms: int
    interval_ms: int
    trades: dict[str, Candle]
    marks: dict[str, Candle]
    lows_first: bool
    policy: str
    """coherent, worst or best: the mark path on which liquidations are looked for."""

    @property
    def close_ms(self) -> int:
        return self.open_ms + self.interval_ms

    @property
    def end(self) -> int:
        """The close, in thirds."""
        return 3 * self.interval_ms

    def thirds(self, ts_ms: int) -> int:
        return 3 * (ts_ms - self.open_ms)

    def stamp(self, thirds: int) -> int:
        return self.open_ms + thirds // 3

    @property
    def jumps(self) -> bool:
        """The marks are staircases: those of all symbols are an oracle's, or frozen, or none is."""
        return any(holds(mark) for mark in self.marks.values())

    def coherent(self, candle: Candle) -> Path:
        step = self.interval_ms
        first, second = (candle.low, candle.high) if self.lows_first else (candle.high, candle.low)
        if isinstance(candle, Published):
            return Path(list(candle.knots), candle.holds)
        knots = [(0, candle.open), (step, first), (2 * step, second), (3 * step, candle.close)]
        return Path(knots, holds(candle))

    def checked(self, candle: Candle, side: int) -> Path:
        """The path of the liquidation check for a position of that side."""
        step = self.interval_ms
        if self.policy == "best":
            return Path([(0, candle.open), (3 * step, candle.close)], holds(candle))
        if self.policy == "worst":
            adverse = candle.low if side > 0 else candle.high
            knots = [(0, candle.open), (step, adverse), (2 * step, adverse), (3 * step, candle.close)]
            return Path(knots, holds(candle))
        return self.coherent(candle)

    def knot_times(self) -> list[int]:
        """Where the checked path may bend, or jump."""
        step = self.interval_ms
        if self.policy == "coherent":
            return sorted({time for mark in self.marks.values() for time, _ in self.coherent(mark).knots})
        return [0, 3 * step] if self.policy == "best" else [0, step, 2 * step, 3 * step]

    def trade_price(self, symbol: str, at: int) -> float | None:
        """None in a gap."""
        candle = self.trades.get(symbol)
        return None if candle is None else self.coherent(candle).price(at)

    def mark_price(self, symbol: str, at: int) -> float:
        return self.coherent(self.marks[symbol]).price(at)

    def trade_value(self, symbol: str, units: int, at: int) -> int:
        return self.coherent(self.trades[symbol]).value(units, at)

    def mark_value(self, symbol: str, units: int, at: int) -> int:
        """On the coherent path: funding and admission."""
        return self.coherent(self.marks[symbol]).value(units, at)

    def checked_value(self, symbol: str, units: int, at: int, before: bool = False) -> int:
        """`before`: where the mark jumps at that time the value before it."""
        return self.checked(self.marks[symbol], sign(units)).value(units, at, before)


def holds(candle: Candle) -> bool:
    """Trades and the market's own marks never do."""
    return isinstance(candle, Published) and candle.holds


def lows_first(trades: dict[str, Candle]) -> bool:
    """One decision for the row: the product of close / open over the symbols that trade in it."""
    product = Fraction(1)
    for candle in trades.values():
        product *= Fraction(candle.close) / Fraction(candle.open)
    return product >= LEAST_PRODUCT
