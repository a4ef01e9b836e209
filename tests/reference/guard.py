"""Rules, section 10, and Layer 2, section 6: guards that top pools up, on the known marks."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import floor

from tests.reference.account import Account
from tests.reference.admission import Margin
from tests.reference.books import Books
from tests.reference.chain import TopUp
from tests.reference.margin import PPM, Asked, at_size
from tests.reference.numbers import money
from tests.reference.outcome import CROSS
from tests.reference.path import Row
from tests.reference.transfer import Transfers

NEARLY = 1 - 1e-12


class Guards:
    """`known` are the marks at the closes, by symbol and row's open; `number` gives a message's number."""

    def __init__(
        self, guards: tuple[TopUp, ...], account: Account, asked: Asked, books: Books, transfers: Transfers,
        known: dict[str, dict[int, float]], number: Callable[[], int],
    ) -> None:  # fmt: skip
        self.guards, self.account, self.asked, self.books = guards, account, asked, books
        self.transfers, self.known, self.number = transfers, known, number

    def look(self, row: Row, view: Row) -> None:
        """`view` is the row as the venue sees it at its close, by which it judges what may leave the wallet."""
        for guard in self.guards:
            for pool in self.account.open_pools():
                self.top_up(row, view, guard, pool)

    def top_up(self, row: Row, view: Row, guard: TopUp, pool: str) -> None:
        values = {
            name: self.known[name][row.open_ms] * self.account.units(name) for name in self.account.holdings(pool)
        }
        equity = self.account.cash(pool) + sum(values.values())
        maintenance = self.maintenance(values, pool)
        if equity > 0 and maintenance / equity < guard.level * NEARLY:
            return
        missing = self.missing(row, guard, pool)
        if pool == CROSS:
            gas = self.transfers.gas("deposit", row.close_ms)
            amount = min(missing - self.transfers.deposits_underway(), self.transfers.reserve - gas)
            if amount > 0:
                self.transfers.deposit(row, self.number(), amount, 0)
            return
        margin = Margin(self.account, self.asked, view, row.end)
        amount = min(missing, margin.cross_equity() - margin.cross_initial() - margin.reserved())
        if amount > 0:
            self.books.move(row.close_ms, pool, amount)

    def missing(self, row: Row, guard: TopUp, pool: str) -> int:
        """In whole micro: what the pool's equity lacks of the least that brings the ratio to the goal."""
        values = {
            name: money(self.known[name][row.open_ms], self.account.units(name)) for name in self.account.holdings(pool)
        }
        own = {
            name: self.asked.ladders[name].maintenance(abs(value), abs(self.account.units(name)))
            for name, value in values.items()
        }
        maintenance = self.asked.of_cross(own, values, initial=False) if pool == CROSS else sum(own.values())
        # A double errs by less than a part in 2^53, so the least number is at most one below the exact quotient.
        least = max(0, floor(Fraction(maintenance) / Fraction(guard.goal)) - 1)
        while maintenance > 0 and (least == 0 or maintenance / least > guard.goal):
            least += 1
        return least - self.account.cash(pool) - sum(values.values())

    def maintenance(self, values: dict[str, float], pool: str) -> float:
        own = {name: self.own(name, abs(value)) for name, value in values.items()}
        portfolio = self.asked.portfolio
        if portfolio is None or pool != CROSS:
            return sum(own.values())
        terms = self.asked.terms
        scanned = abs(sum(value * terms[name].beta for name, value in values.items())) * portfolio.scan_maintenance
        for name, value in values.items():
            scanned += abs(value) * (terms[name].idio * portfolio.idio_maintenance)
        return max(sum(own.values()) * portfolio.floor, scanned)

    def own(self, name: str, notional: float) -> float:
        """Of one position."""
        ladder = self.asked.ladders[name]
        if ladder.terms.ceil:
            return notional * (ladder.terms.ceil.base_ppm * ladder.terms.ceil.fraction_ppm / PPM / PPM)
        pairs = at_size(ladder.maintenance_rates, ladder.terms.maintenance_by_size, abs(self.account.units(name)))
        return max(0.0, *(notional * rate - deduction for rate, deduction in pairs))
