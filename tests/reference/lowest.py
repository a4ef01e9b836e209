"""Section 4.1: how low the account went inside rows."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

from tests.reference.account import Account
from tests.reference.liquidation import Point, pool_now
from tests.reference.margin import Asked
from tests.reference.path import Path, Row
from tests.reference.transfer import Transfers


class Lowest:
    def __init__(
        self, account: Account, asked: Asked, transfers: Transfers, market: Callable[[int], Row], start: int
    ) -> None:
        """`market`: the row that opens at a time, with the market's own marks; `start`: what there is at first."""
        self.account, self.asked, self.transfers, self.market = account, asked, transfers, market
        self.peak = start
        self.drawdown = Fraction(0)
        self.distance: Fraction | None = None
        self.least_gross: int | None = None
        """Of a pool at a look, micro: what a rounding to a micro weighs most in."""

    def outside(self) -> int:
        return self.transfers.reserve + self.transfers.in_flight

    def close(self, equity: int) -> None:
        self.peak = max(self.peak, equity + self.outside())

    def way(self, row: Row, start: int, end: int) -> None:
        """From `start` to `end`, on which nothing happens; the venue sees `row`."""
        market = self.market(row.open_ms)
        paths = [market.coherent(mark) for mark in market.marks.values()]
        paths += [row.coherent(mark) for mark in row.marks.values()]
        bends = {time for path in paths for time, _ in path.knots if start < time < end}
        self.look(market, row, start, before=False)
        for time in sorted(bends | ({end} - {start})):
            self.look(market, row, time, before=True)
            if time < end and any(jumps(path, time) for path in paths):
                self.look(market, row, time, before=False)

    def look(self, market: Row, row: Row, at: int, before: bool) -> None:
        held = {name: self.account.units(name) for name in self.account.held()}
        cash = self.account.wallet + sum(self.account.pools.values()) + self.outside()
        total = cash + sum(market.coherent(market.marks[name]).value(units, at) for name, units in held.items())
        if self.peak > 0:
            self.drawdown = min(self.drawdown, Fraction(total, self.peak) - 1)
        for name in self.account.open_pools():
            pool = pool_now(self.account, self.asked, name)
            values = {n: row.coherent(row.marks[n]).value(units, at, before) for n, units in pool.units.items()}
            gross = sum(map(abs, values.values()))
            if gross > 0:
                distance = Fraction(pool.health(Point(at, values)), gross)
                self.distance = distance if self.distance is None else min(self.distance, distance)
                self.least_gross = gross if self.least_gross is None else min(self.least_gross, gross)


def jumps(path: Path, time: int) -> bool:
    """Two knots at one time."""
    return any(a == b == time for (a, _), (b, _) in pairwise(path.knots))
