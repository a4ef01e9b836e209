"""Section 7: where a pool's health falls below zero, and section 8: rows in which the paths disagree."""

from __future__ import annotations

from dataclasses import dataclass

from tests.reference.account import Account
from tests.reference.margin import Ladder
from tests.reference.numbers import between, money
from tests.reference.path import Row


@dataclass(frozen=True)
class Point:
    """An instant of a walk, in thirds, with the value of each of the pool's positions."""

    at: int
    values: dict[str, int]


@dataclass(frozen=True)
class Pool:
    """An account's pool as it stands during a walk."""

    name: str
    cash: int
    units: dict[str, int]
    """Signed position of each of its symbols, in symbol order."""
    ladders: dict[str, Ladder]

    def equity(self, point: Point) -> int:
        return self.cash + sum(point.values.values())

    def maintenance(self, point: Point) -> int:
        return sum(self.ladders[name].maintenance(abs(value)) for name, value in point.values.items())

    def health(self, point: Point) -> int:
        return self.equity(point) - self.maintenance(point)

    def checked(self, row: Row, at: int) -> Point:
        """On the path of the run's policy."""
        return Point(at, {name: row.checked_value(name, units, at) for name, units in self.units.items()})

    def coherent(self, row: Row, at: int) -> Point:
        return Point(at, {name: row.mark_value(name, units, at) for name, units in self.units.items()})

    def adverse(self, row: Row) -> Point:
        """Every leg at its own worst price of the row at one instant."""
        values = {}
        for name, units in self.units.items():
            mark = row.marks[name]
            values[name] = money(mark.low if units > 0 else mark.high, units)
        return Point(0, values)


def open_pools(account: Account, ladders: dict[str, Ladder]) -> list[Pool]:
    return [
        Pool(name, account.cash(name), {symbol: account.units(symbol) for symbol in symbols}, ladders)
        for name, symbols in account.open_pools()
    ]


def blend(a: Point, b: Point, num: int, den: int) -> Point:
    values = {name: between(a.values[name], b.values[name], num, den) for name in a.values}
    return Point(between(a.at, b.at, num, den), values)


def crossing(pool: Pool, row: Row, start: int, end: int) -> Point | None:
    """The first instant of the walk at which the pool is to be liquidated, if there is one."""
    a = pool.checked(row, start)
    if pool.health(a) < 0:
        return a
    for at in [knot for knot in row.knot_times() if start < knot < end] + [end]:
        b = pool.checked(row, at)
        if pool.health(b) < 0:
            return refine(pool, a, b)
        a = b
    return None


def refine(pool: Pool, a: Point, b: Point) -> Point:
    """The crossing between a healthy `a` and an unhealthy `b` of one straight segment.

    Health bends where a value passes a tier's edge, so the bracket is first narrowed to a piece without edges.
    """
    for name in pool.units:
        for edge in pool.ladders[name].edges:
            while strictly_between(edge, abs(a.values[name]), abs(b.values[name])):
                near, far = abs(a.values[name]), abs(b.values[name])
                point = blend(a, b, abs(edge - near), abs(far - near))
                if pool.health(point) < 0:
                    b = point
                else:
                    a = point
    above, below = pool.health(a), pool.health(b)
    return blend(a, b, above, above - below)


def strictly_between(x: int, one: int, other: int) -> bool:
    return min(one, other) < x < max(one, other)


def is_ambiguous(pool: Pool, row: Row, start: int) -> bool:
    """For a walk from `start`: dead at the worst instant imaginable, alive at its start and at the row's close."""
    if pool.health(pool.adverse(row)) >= 0:
        return False
    return pool.health(pool.coherent(row, start)) >= 0 and pool.health(pool.coherent(row, row.end)) >= 0
