"""Layer 2, section 6: money between the reserve and the venue, which takes time."""

from __future__ import annotations

from dataclasses import dataclass

from tests.reference import draw
from tests.reference.account import Account
from tests.reference.admission import Margin
from tests.reference.chain import Beside, Limit, Route
from tests.reference.gas import Gases
from tests.reference.margin import Asked
from tests.reference.message import Ways
from tests.reference.numbers import share
from tests.reference.outage import Outages
from tests.reference.outcome import CROSS, Outcome, TransferRow
from tests.reference.path import Row


def toward_baseline(limit: Limit, left: int, passed: int) -> int:
    """The capacity after one step of `passed` ms."""
    moved = max(limit.amount, left - limit.amount) * passed // limit.per
    if abs(left - limit.amount) <= moved:
        return limit.amount
    return left + moved if left < limit.amount else left - moved


@dataclass(frozen=True)
class Flight:
    number: int
    kind: str
    """deposit or withdrawal"""
    route: int
    amount: int
    arrives: int


class Transfers:
    def __init__(
        self, beside: Beside, latency_ms: int, account: Account, asked: Asked, outages: Outages, ways: Ways,
        gases: Gases, outcome: Outcome,
    ) -> None:  # fmt: skip
        self.chain, self.reserve, self.latency_ms = beside.chain, beside.reserve, latency_ms
        self.account, self.asked, self.outages, self.ways = account, asked, outages, ways
        self.gases, self.outcome = gases, outcome
        self.flights: list[Flight] = []
        self.left = {limit: (limit.amount, 0) for limit in self.chain.withdrawal_limits}
        """Of each limit the capacity that the last withdrawal or deposit left, and when that was, ms."""

    @property
    def in_flight(self) -> int:
        return sum(one.amount for one in self.flights)

    def deposits_underway(self) -> int:
        return sum(one.amount for one in self.flights if one.kind == "deposit")

    def gas(self, kind: str, ts_ms: int) -> int:
        return self.gases.price(kind, ts_ms, self.ways.congested)

    # ---- leaving, at a close

    def deposit(self, row: Row, number: int, amount: int, route: int) -> None:
        sent, gas = row.close_ms, self.gas("deposit", row.close_ms)
        if amount <= 0:
            self.reject(sent, number, "deposit", route, amount, "quantity")
        elif amount + gas > self.reserve:
            self.reject(sent, number, "deposit", route, amount, "reserve", self.reserve, amount + gas)
        else:
            self.reserve -= amount + gas
            arrives = sent + self.latency_ms + self.delay(sent, self.chain.deposits[route])
            self.leave(sent, Flight(number, "deposit", route, amount, self.outages.passes(arrives)), gas)

    def withdraw(self, row: Row, number: int, amount: int, route: int) -> None:
        """`row` as the venue sees it at its close."""
        sent, gas = row.close_ms, self.gas("withdrawal", row.close_ms)
        margin = Margin(self.account, self.asked, row, row.end)
        free = margin.cross_equity() - margin.cross_initial() - margin.reserved()
        cash = self.account.wallet + sum(self.account.cost[name] for name in self.account.holdings(CROSS))
        have = max(0, min(cash, free))
        if amount <= 0:
            self.reject(sent, number, "withdrawal", route, amount, "quantity")
        elif self.outages.gate(sent) is not None:
            self.reject(sent, number, "withdrawal", route, amount, "gated")
        elif any(amount > self.capacity(limit, sent) for limit in self.left):
            least = min(self.capacity(limit, sent) for limit in self.left)
            self.reject(sent, number, "withdrawal", route, amount, "gated", least, amount)
        elif amount + gas > have:
            self.reject(sent, number, "withdrawal", route, amount, "collateral", have, amount + gas)
        else:
            self.account.wallet -= amount + gas
            self.move_limits(sent, -amount)
            arrives = sent + self.delay(sent, self.chain.withdrawals[route])
            self.leave(sent, Flight(number, "withdrawal", route, amount, arrives), gas)

    def capacity(self, limit: Limit, ts_ms: int) -> int:
        left, since = self.left[limit]
        step = max(1_000, self.chain.block_ms)
        while left > 2 * limit.amount and since + step <= ts_ms:
            left, since = toward_baseline(limit, left, step), since + step
        return toward_baseline(limit, left, ts_ms - since)

    def move_limits(self, ts_ms: int, amount: int) -> None:
        self.left = {limit: (self.capacity(limit, ts_ms) + amount, ts_ms) for limit in self.left}

    def delay(self, sent: int, route: Route) -> int:
        (ms,) = self.ways.drawn(sent, "", draw.TRANSFER, latency=(route.delay,))
        return draw.whole(ms)

    def leave(self, sent: int, flight: Flight, gas: int) -> None:
        self.gases.note(sent, flight.number, flight.kind, gas)
        self.flights.append(flight)
        self.outcome.transfers.append(
            TransferRow(sent, flight.number, flight.kind, "sent", flight.route, flight.amount)
        )

    def reject(
        self, sent: int, number: int, kind: str, route: int, amount: int, reason: str, have: int = 0, need: int = 0
    ) -> None:
        self.outcome.transfers.append(TransferRow(sent, number, kind, "rejected", route, amount, 0, reason, have, need))

    # ---- arriving

    def arrivals(self) -> list[int]:
        return [one.arrives for one in self.flights]

    def arrive(self, ts_ms: int) -> None:
        """What is due, in order of number."""
        for one in sorted((one for one in self.flights if one.arrives == ts_ms), key=lambda one: one.number):
            self.flights.remove(one)
            routes = self.chain.deposits if one.kind == "deposit" else self.chain.withdrawals
            fee = min(one.amount, routes[one.route].fee + share(one.amount, routes[one.route].rate))
            if self.account.sharing:
                self.account.sharing.pay(ts_ms, one.number, "bridge", fee)
            if one.kind == "deposit":
                self.account.wallet += one.amount - fee
                self.move_limits(ts_ms, one.amount - fee)
            else:
                self.reserve += one.amount - fee
            self.outcome.transfers.append(
                TransferRow(ts_ms, one.number, one.kind, "arrived", one.route, one.amount, fee)
            )
