"""Layer 2, section 4: the mark path that the venue sees, published knot by knot from the market's and shifted in time.

Sources and averages go along straight lines, whatever becomes of what is published (that is for `path`). Times are
thirds of a millisecond since 1970. Averages are exact and rounded once.
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
Said = list[tuple[int, float]]
"""The same of published prices."""


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
    """`rows` of the symbol's life, with the market marks."""
    sources = [knot for row in rows for knot in row_sources(oracle, name, row)]
    averages = [(at, average(sources[: i + 1], 3 * oracle.average_ms)) for i, (at, _) in enumerate(sources)]
    rounds = oracle.average_ms > 0
    prices, times = publish(oracle, [(at, eight_digits(value) if rounds else float(value)) for at, value in averages])
    late = 3 * oracle.delay_ms
    line = [(at + late, price) for (at, _), price in zip(sources, prices, strict=True)]
    made = {row.open_ms: cut(line, row, oracle.holds) for row in rows}
    return Seen(made, [at + late for at in times], not oracle.holds)


def cut(line: Said, row: Row, holds: bool) -> Published:
    """The part of the shifted line that falls into the row."""
    begin, end = 3 * row.open_ms, 3 * row.close_ms
    inside = [(at - begin, price) for at, price in line if begin < at < end]
    opened, closed = at_time(line, begin, -1, holds), at_time(line, end, 0, holds)
    # All four knots of each published row of which a part falls into this one.
    shown = [line[k : k + 4] for k in range(0, len(line), 4) if line[k][0] < end and begin < line[k + 3][0]]
    prices = [price for knots in shown for _, price in knots] + [line[0][1]] * (begin < line[0][0])
    return Published(
        opened, max(prices), min(prices), closed, knots=((0, opened), *inside, (end - begin, closed)), holds=holds
    )


def at_time(line: Said, time: int, side: int, holds: bool) -> float:
    """The line's price; where it jumps that of the `side`, 0: before, −1: behind; before the first knot the first's."""
    if time < line[0][0]:
        return line[0][1]
    there = [price for at, price in line if at == time]
    if there:
        return there[side]
    (a, p), (b, q) = next(pair for pair in pairwise(line) if pair[0][0] < time < pair[1][0])
    return p if holds else p + (q - p) * ((time - a) / (b - a))


def row_sources(oracle: Oracle, name: str, row: Row) -> Line:
    """The market mark; or the median of it and the trade, which of two is their mean."""
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
