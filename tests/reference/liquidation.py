"""Section 7.1: where a pool's health falls below zero, and section 8: rows in which the paths disagree."""

from __future__ import annotations

from dataclasses import dataclass

from tests.reference.account import Account
from tests.reference.margin import Asked
from tests.reference.numbers import between, money, share, sign
from tests.reference.outcome import CROSS
from tests.reference.path import Row


@dataclass(frozen=True)
class Point:
    """An instant of a walk, in thirds, with the value of each of the pool's positions."""

    at: int
    values: dict[str, int]


@dataclass(frozen=True)
class Pool:
    """An account's pool as it stands now."""

    name: str
    cash: int
    units: dict[str, int]
    """Signed position of each of its symbols, in symbol order."""
    asked: Asked

    @property
    def is_portfolio(self) -> bool:
        return self.name == CROSS and self.asked.portfolio is not None

    def equity(self, point: Point) -> int:
        return self.cash + sum(point.values.values())

    def own(self, point: Point) -> dict[str, int]:
        """Maintenance requirement of each position by itself."""
        ladders = self.asked.ladders
        return {n: ladders[n].maintenance(abs(v), abs(self.units[n])) for n, v in point.values.items()}

    def maintenance(self, point: Point) -> int:
        own = self.own(point)
        return self.asked.of_cross(own, point.values, initial=False) if self.is_portfolio else sum(own.values())

    def health(self, point: Point, level: float = 1.0) -> int:
        return self.equity(point) - share(self.maintenance(point), level)

    def net(self, point: Point) -> int:
        return sum(self.asked.betas(point.values).values())

    def floor_over_scan(self, point: Point) -> int:
        """How far the first side of portfolio margin's maximum lies above the second."""
        floor, scanned = self.asked.sides(self.own(point), point.values, initial=False)
        return floor - scanned

    def checked(self, row: Row, at: int, before: bool = False) -> Point:
        """On the path of the run's policy; `before` a jump at that time, or behind it."""
        return Point(at, {name: row.checked_value(name, units, at, before) for name, units in self.units.items()})

    def coherent(self, row: Row, at: int) -> Point:
        return Point(at, {name: row.mark_value(name, units, at) for name, units in self.units.items()})

    def adverse(self, row: Row) -> Point:
        """Every leg at its own worst price of the row at one instant."""
        values = {}
        for name, units in self.units.items():
            mark = row.marks[name]
            values[name] = money(mark.low if units > 0 else mark.high, units)
        return Point(0, values)


def pool_now(account: Account, asked: Asked, name: str) -> Pool:
    return Pool(name, account.cash(name), {n: account.units(n) for n in account.holdings(name)}, asked)


def blend(a: Point, b: Point, num: int, den: int) -> Point:
    values = {name: between(a.values[name], b.values[name], num, den) for name in a.values}
    return Point(between(a.at, b.at, num, den), values)


def crossing(pool: Pool, row: Row, start: int, end: int, level: float = 1.0) -> Point | None:
    """The first instant of the walk at which health at the level is below zero, if there is one."""
    a = pool.checked(row, start)
    if pool.health(a, level) < 0:
        return a
    for at in [knot for knot in row.knot_times() if start < knot < end] + [end]:
        b = pool.checked(row, at, before=True)
        if pool.health(b, level) < 0:
            # A mark that jumps has not changed since `a`: what is unhealthy has become so at `b` and not before.
            return b if row.jumps else refine(pool, a, b, level)
        a = b
    return None


def refine(pool: Pool, a: Point, b: Point, level: float) -> Point:
    """The crossing between a healthy `a` and an unhealthy `b` of one straight segment.

    Health bends where a value passes a tier's edge, and in a portfolio where the net changes sign and where the floor
    takes over, so the bracket is first narrowed to a piece without bends.
    """

    def narrowed(a: Point, b: Point, num: int, den: int) -> tuple[Point, Point]:
        point = blend(a, b, num, den)
        return (a, point) if pool.health(point, level) < 0 else (point, b)

    for name in pool.units:
        for edge in pool.asked.ladders[name].edges:
            while strictly_between(edge, abs(a.values[name]), abs(b.values[name])):
                near, far = abs(a.values[name]), abs(b.values[name])
                a, b = narrowed(a, b, abs(edge - near), abs(far - near))
    if pool.is_portfolio:
        for bend in (pool.net, pool.floor_over_scan):
            first, last = bend(a), bend(b)
            if sign(first) * sign(last) < 0:
                a, b = narrowed(a, b, abs(first), abs(first) + abs(last))
    above, below = pool.health(a, level), pool.health(b, level)
    return blend(a, b, above, above - below)


def strictly_between(x: int, one: int, other: int) -> bool:
    return min(one, other) < x < max(one, other)


def is_ambiguous(pool: Pool, row: Row, start: int) -> bool:
    """For a walk from `start`: dead at the worst instant imaginable, alive at its start and at the row's close."""
    if pool.health(pool.adverse(row)) >= 0:
        return False
    return pool.health(pool.coherent(row, start)) >= 0 and pool.health(pool.coherent(row, row.end)) >= 0
