"""Section 3: one row as straight lines between knots, in thirds of a millisecond from its open."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from tests.reference.market import Candle, Published
from tests.reference.numbers import between, money, sign

Knots = list[tuple[int, float]]

# The page's margin for products that are one but for rounding.
LEAST_PRODUCT = 1 - Fraction(1, 10**12)


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

    def coherent(self, candle: Candle) -> Knots:
        step = self.interval_ms
        first, second = (candle.low, candle.high) if self.lows_first else (candle.high, candle.low)
        if isinstance(candle, Published):
            first, second = candle.first, candle.second
        return [(0, candle.open), (step, first), (2 * step, second), (3 * step, candle.close)]

    def checked(self, candle: Candle, side: int) -> Knots:
        """The path of the liquidation check for a position of that side."""
        step = self.interval_ms
        if self.policy == "best":
            return [(0, candle.open), (3 * step, candle.close)]
        if self.policy == "worst":
            adverse = candle.low if side > 0 else candle.high
            return [(0, candle.open), (step, adverse), (2 * step, adverse), (3 * step, candle.close)]
        return self.coherent(candle)

    def knot_times(self) -> list[int]:
        """Where the checked path may bend."""
        step = self.interval_ms
        return [0, 3 * step] if self.policy == "best" else [0, step, 2 * step, 3 * step]

    def trade_price(self, symbol: str, at: int) -> float | None:
        """None in a gap."""
        candle = self.trades.get(symbol)
        return None if candle is None else price(self.coherent(candle), at)

    def mark_price(self, symbol: str, at: int) -> float:
        return price(self.coherent(self.marks[symbol]), at)

    def trade_value(self, symbol: str, units: int, at: int) -> int:
        return value(self.coherent(self.trades[symbol]), units, at)

    def mark_value(self, symbol: str, units: int, at: int) -> int:
        """On the coherent path: funding and admission."""
        return value(self.coherent(self.marks[symbol]), units, at)

    def checked_value(self, symbol: str, units: int, at: int) -> int:
        return value(self.checked(self.marks[symbol], sign(units)), units, at)


def value(knots: Knots, units: int, at: int) -> int:
    """Values are rounded at the knots and interpolated as integers between them."""
    for (start, start_price), (end, end_price) in pairwise(knots):
        if start <= at <= end:
            return between(money(start_price, units), money(end_price, units), at - start, end - start)
    raise AssertionError(f"{at} lies outside the row")


def price(knots: Knots, at: int) -> float:
    """In doubles; at a knot the knot's."""
    for (start, start_price), (end, end_price) in pairwise(knots):
        if start <= at < end:
            return start_price + (end_price - start_price) * ((at - start) / (end - start))
    assert at == knots[-1][0]
    return knots[-1][1]


def lows_first(trades: dict[str, Candle]) -> bool:
    """One decision for the row: the product of close / open over the symbols that trade in it."""
    product = Fraction(1)
    for candle in trades.values():
        product *= Fraction(candle.close) / Fraction(candle.open)
    return product >= LEAST_PRODUCT
