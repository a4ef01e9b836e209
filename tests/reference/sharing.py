"""Rules of shared margin: what each strategy holds of one account, and its part of everything that happens to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.reference.numbers import money, part, part_down, sign


@dataclass(frozen=True)
class Share:
    """What one strategy has of one event. `lots` of funding: what it holds."""

    ts: int
    strategy: int
    symbol: str
    """Empty: of none."""
    kind: str
    """fill, closing, settlement, funding, relief, gas or bridge"""
    message: int
    lots: int
    amount: int
    """Signed cash, without the fee."""
    fee: int
    realized: int


def cumulative(sizes: Iterable[int], whole: Callable[[int], int]) -> list[int]:
    """The parts of `whole(sum)`: what those up to one get together, less what those before it do."""
    parts, reached, before = [], 0, 0
    for size in sizes:
        reached += size
        after = whole(reached) if reached else 0
        parts.append(after - before)
        before = after
    return parts


class Sharing:
    def __init__(self, names: list[str], steps: dict[str, int], limits: tuple[float | None, ...]) -> None:
        self.names, self.steps, self.limits = names, steps, limits
        self.each = range(len(limits))
        self.lots = [dict.fromkeys(names, 0) for _ in limits]
        self.cost = [dict.fromkeys(names, 0) for _ in limits]
        self.traded = [dict.fromkeys(names, 0) for _ in limits]
        """Size of what each traded when the symbol was traded last."""
        self.turned: set[tuple[str, int]] = set()
        self.senders: dict[int, int] = {}
        """Strategy of each message, by number."""
        self.rows: list[Share] = []

    def splits(self, symbol: str) -> bool:
        return any(self.lots[s][symbol] for s in self.each)

    # ---- trades

    def fill(self, ts: int, number: int, symbol: str, lots: int, quote: int, fee: int) -> None:
        self.forget(symbol)
        self.trade(ts, self.senders[number], symbol, "fill", number, lots, quote, fee)

    def close(self, ts: int, symbol: str, lots: int, quote: int) -> None:
        """The venue has traded by itself, against those on one side."""
        self.forget(symbol)
        sizes = [abs(self.lots[s][symbol]) if self.lots[s][symbol] * lots < 0 else 0 for s in self.each]
        taken = cumulative(sizes, lambda size: part_down(abs(lots), size, sum(sizes)))
        quotes = cumulative(taken, lambda size: part(quote, size, abs(lots)))
        for s in self.each:
            if taken[s]:
                self.trade(ts, s, symbol, "closing", -1, sign(lots) * taken[s], quotes[s], 0)

    def settle(self, ts: int, symbol: str, price: float) -> None:
        self.forget(symbol)
        held = [self.lots[s][symbol] for s in self.each]
        quotes = cumulative(held, lambda lots: money(price, lots * self.steps[symbol]))
        for s in self.each:
            if held[s]:
                self.trade(ts, s, symbol, "settlement", -1, -held[s], quotes[s], 0)

    def forget(self, symbol: str) -> None:
        for s in self.each:
            self.traded[s][symbol] = 0

    def trade(self, ts: int, s: int, symbol: str, kind: str, number: int, lots: int, quote: int, fee: int) -> None:
        """At average cost, as the account."""
        held, cost = self.lots[s][symbol], self.cost[s][symbol]
        after, realized = held + lots, 0
        if held * lots >= 0:
            self.cost[s][symbol] = cost - quote
        elif abs(lots) <= abs(held):
            released = part(cost, abs(lots), abs(held))
            self.cost[s][symbol], realized = cost - released, quote - released
        else:
            closing = part(quote, abs(held), abs(lots))
            self.cost[s][symbol], realized = -(quote - closing), closing - cost
        self.lots[s][symbol], self.traded[s][symbol] = after, abs(lots)
        if held != 0 and sign(after) != sign(held):
            self.turned.add((symbol, s))
        self.rows.append(Share(ts, s, symbol, kind, number, lots, quote, fee, realized))

    # ---- cash

    def funding(self, ts: int, symbol: str, payment: Callable[[int], int]) -> None:
        """`payment` of so many units."""
        held = [self.lots[s][symbol] for s in self.each]
        parts = cumulative(held, lambda lots: payment(lots * self.steps[symbol]))
        for s in self.each:
            if held[s]:
                self.rows.append(Share(ts, s, symbol, "funding", -1, held[s], parts[s], 0, 0))

    def relief(self, ts: int, symbol: str, amount: int) -> None:
        """What the fund and others have paid into the account for the last trade of the symbol."""
        if amount == 0:
            return
        sizes = [self.traded[s][symbol] for s in self.each]
        parts = cumulative(sizes, lambda size: part(amount, size, sum(sizes)))
        for s in self.each:
            if sizes[s]:
                held = self.lots[s][symbol]
                self.rows.append(Share(ts, s, symbol, "relief", -1, held, parts[s], 0, 0))

    def pay(self, ts: int, number: int, kind: str, amount: int) -> None:
        """The sender of a message pays."""
        if amount != 0:
            self.rows.append(Share(ts, self.senders[number], "", kind, number, 0, -amount, 0, 0))
