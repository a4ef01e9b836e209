"""Layer 2, section 3: fills that the chain has undone."""

from __future__ import annotations

from tests.reference.account import Account
from tests.reference.books import Books
from tests.reference.ends import Ends
from tests.reference.outcome import Fill, Outcome
from tests.reference.path import Row


class Reorg:
    def __init__(self, depth_ms: int, account: Account, books: Books, ends: Ends, outcome: Outcome) -> None:
        self.depth_ms, self.account, self.books = depth_ms, account, books
        self.ends, self.outcome = ends, outcome
        self.undone: set[int] = set()
        """Places of fills that are undone already."""

    def at(self, row: Row, start_ms: int) -> None:
        """At the beginning of an outage, the last fill first; a symbol whose life is over is left alone."""
        if self.depth_ms == 0:
            return
        for place in reversed(range(len(self.outcome.fills))):
            fill = self.outcome.fills[place]
            soft = fill.cause == "strategy" and start_ms - self.depth_ms < fill.ts <= start_ms
            if soft and place not in self.undone and fill.symbol in row.marks:
                self.undone.add(place)
                self.undo(fill, start_ms)

    def undo(self, fill: Fill, ts_ms: int) -> None:
        name = fill.symbol
        realized = self.account.trade(name, -fill.lots, -fill.quote)
        self.account.pay(self.account.pool_of(name), fill.fee - fill.quote)
        if self.account.sharing:
            self.account.sharing.fill(ts_ms, fill.order, name, -fill.lots, -fill.quote, -fill.fee)
        self.outcome.fills.append(Fill(fill.order, ts_ms, name, -fill.lots, -fill.quote, -fill.fee, realized, "reorg"))
        self.books.traded(ts_ms, name)
        self.ends.cancel_turned(ts_ms)
