"""Sections 2 and 3.1: the mark candle of every row of a symbol's life."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from tests.reference.market import Candle, Symbol
from tests.reference.numbers import eight_digits


def mark_rows(symbol: Symbol, interval_ms: int) -> dict[int, Candle]:
    """Row's open -> mark candle, from the symbol's first candle to its last."""
    points = basis_points(symbol)
    own = symbol.marks if symbol.mark_interval_ms == interval_ms else {}
    rows: dict[int, Candle] = {}
    last_close = 0.0
    for at in range(symbol.first_ms, symbol.last_ms + 1, interval_ms):
        if at in own:
            candle = own[at]
        elif at not in symbol.candles:
            candle = Candle(last_close, last_close, last_close, last_close)
        elif symbol.marks:
            candle = derived(symbol, at, interval_ms, points)
        else:
            candle = symbol.candles[at]
        rows[at] = candle
        last_close = candle.close
    if symbol.marks and symbol.mark_interval_ms != interval_ms:
        for start in sorted(symbol.marks):
            stretch(rows, symbol, start, interval_ms)
    return rows


def stretch(rows: dict[int, Candle], symbol: Symbol, start: int, interval_ms: int) -> None:
    """Make the rows of the mark candle that opens at `start` attain its high and its low."""
    assert symbol.mark_interval_ms is not None
    mark = symbol.marks[start]
    inside = [at for at in sorted(symbol.candles) if start <= at < start + symbol.mark_interval_ms]
    holds_open = start - (start - symbol.first_ms) % interval_ms
    # `max` and `min` take the first of equals, which is the earliest.
    top = max(inside, key=lambda at: symbol.candles[at].high, default=holds_open)
    bottom = min(inside, key=lambda at: symbol.candles[at].low, default=holds_open)
    if top in rows:
        rows[top] = replace(rows[top], high=max(rows[top].high, mark.high))
    if bottom in rows:
        rows[bottom] = replace(rows[bottom], low=min(rows[bottom].low, mark.low))


def known_closes(symbol: Symbol, interval_ms: int) -> dict[int, float]:
    """Row's open -> the mark at its close as far as it is known then: a derived one by the last basis before it."""
    points = basis_points(symbol)
    own = symbol.marks if symbol.mark_interval_ms == interval_ms else {}
    known: dict[int, float] = {}
    last = 0.0
    for at in range(symbol.first_ms, symbol.last_ms + 1, interval_ms):
        if at in own:
            last = own[at].close
        elif at in symbol.candles and symbol.marks:
            held = [level for start, level in points if start < at + interval_ms]
            last = eight_digits(Fraction(symbol.candles[at].close) * (held[-1] if held else 1))
        elif at in symbol.candles:
            last = symbol.candles[at].close
        known[at] = last
    return known


def basis_points(symbol: Symbol) -> list[tuple[int, Fraction]]:
    """(time, mark open / trade open as the nearest double) wherever both open at one instant.

    The page takes them from one mark interval around the period; a play is the whole dataset, so that is all of them.
    """
    return [
        (at, Fraction(float(Fraction(mark.open) / Fraction(symbol.candles[at].open))))
        for at, mark in sorted(symbol.marks.items())
        if at in symbol.candles
    ]


def basis(points: list[tuple[int, Fraction]], at: Fraction) -> Fraction:
    """1 before the first point, the last one after it, else on the straight line between its neighbours."""
    value = Fraction(1)
    for i, (start, level) in enumerate(points):
        if at < start:
            break
        value = level
        if i + 1 < len(points):
            end, next_level = points[i + 1]
            if at < end:
                value = level + (next_level - level) * (at - start) / (end - start)
    return value


def derived(symbol: Symbol, at: int, interval_ms: int, points: list[tuple[int, Fraction]]) -> Candle:
    trade = symbol.candles[at]
    start = basis(points, Fraction(at))
    middle = basis(points, at + Fraction(interval_ms, 2))
    end = basis(points, Fraction(at + interval_ms))
    cover = covering(symbol, at)

    def price(traded: float, ratio: Fraction) -> float:
        exact = Fraction(traded) * ratio
        if cover is not None:
            exact = min(max(exact, Fraction(cover.low)), Fraction(cover.high))
        return eight_digits(exact)

    opened, closed = price(trade.open, start), price(trade.close, end)
    high, low = price(trade.high, middle), price(trade.low, middle)
    return Candle(opened, max(high, opened, closed), min(low, opened, closed), closed)


def covering(symbol: Symbol, at: int) -> Candle | None:
    """The mark candle that is open at `at`."""
    assert symbol.mark_interval_ms is not None
    for start, candle in symbol.marks.items():
        if start <= at < start + symbol.mark_interval_ms:
            return candle
    return None
