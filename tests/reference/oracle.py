"""Layer 2, section 4: the mark path that the venue sees, made from the market's knot by knot.

Sources, averages and delays go along straight lines, whatever becomes of what is published (that is for `path`). Times
are thirds of a millisecond since 1970. Averages and delays are exact; what comes of them is rounded once.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from tests.reference.chain import Oracle
from tests.reference.market import Candle, Published
from tests.reference.numbers import eight_digits
from tests.reference.path import Row

Line = list[tuple[int, Fraction]]
"""Knots in order; a row's close and the next one's open share their time."""


@dataclass(frozen=True)
class Seen:
    """One symbol's mark by the oracle: a row's open -> its knots, and when prices were published."""

    rows: dict[int, Published]
    published: list[int]
    always: bool

    def last(self, time: int) -> int:
        """The last publication at or before `time`, or the first of all."""
        time = max(time, self.published[0])
        return time if self.always else max(at for at in self.published if at <= time)


def seen(oracle: Oracle, name: str, rows: list[Row]) -> Seen:
    """`rows` of the symbol's life, with the market's marks."""
    sources = [knot for row in rows for knot in row_sources(oracle, name, row)]
    averages = [(at, average(sources[: i + 1], 3 * oracle.average_ms)) for i, (at, _) in enumerate(sources)]
    values = [(at, delayed(averages[: i + 1], 3 * oracle.delay_ms)) for i, (at, _) in enumerate(averages)]
    rounds = oracle.average_ms > 0 or oracle.delay_ms > 0
    prices, times = publish(oracle, [(at, eight_digits(value) if rounds else float(value)) for at, value in values])
    made = {}
    for k, row in enumerate(rows):
        o, first, second, close = prices[4 * k : 4 * k + 4]
        knots = (o, first, second, close)
        made[row.open_ms] = Published(o, max(knots), min(knots), close, first=first, second=second, holds=oracle.holds)
    return Seen(made, times, not oracle.holds)


def row_sources(oracle: Oracle, name: str, row: Row) -> Line:
    """The market's mark; or the median of it and the trade, which of two is their mean."""
    marks = row.coherent(row.marks[name]).knots
    trade: Candle | None = row.trades.get(name)
    if not oracle.median or trade is None:
        return [(3 * row.open_ms + at, Fraction(mark)) for at, mark in marks]
    both = zip(marks, row.coherent(trade).knots, strict=True)
    return [(3 * row.open_ms + at, Fraction((mark + traded) / 2)) for (at, mark), (_, traded) in both]


def average(line: Line, over: int) -> Fraction:
    """Mean of the line over the time before its last knot."""
    end, last = line[-1]
    start = max(end - over, line[0][0])
    if start == end:
        return last
    area = Fraction(0)
    for (a, p), (b, q) in pairwise(line):
        left = max(a, start)
        if left < b:
            begin = p + (q - p) * (left - a) / (b - a)
            area += (begin + q) / 2 * (b - left)
    return area / (end - start)


def delayed(line: Line, by: int) -> Fraction:
    """The line's value so long before its last knot; before the first it is the first.

    Where a close and an open share that time, a close sees the close and every other knot the open.
    """
    at = line[-1][0] - by
    if by == 0:
        return line[-1][1]
    if at < line[0][0]:
        return line[0][1]
    there = [price for time, price in line if time == at]
    if there:
        is_close = len(line) % 4 == 0
        return there[0] if is_close else there[-1]
    (a, p), (b, q) = next(pair for pair in pairwise(line) if pair[0][0] < at < pair[1][0])
    return p + (q - p) * (at - a) / (b - a)


def publish(oracle: Oracle, values: list[tuple[int, float]]) -> tuple[list[float], list[int]]:
    """The published price at every knot, and the times of publication."""
    prices: list[float] = []
    times: list[int] = []
    for at, value in values:
        due = not prices or not oracle.holds or (oracle.heartbeat_ms and at - times[-1] >= 3 * oracle.heartbeat_ms)
        if due or (oracle.deviation and abs(value - prices[-1]) >= oracle.deviation * prices[-1]):
            prices.append(value)
            times.append(at)
        else:
            prices.append(prices[-1])
    return prices, times
