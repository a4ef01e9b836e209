"""Section 7.5: a good position is closed because a counterparty has failed."""

from __future__ import annotations

from math import ceil, inf

from tests.reference.account import Account
from tests.reference.books import Books
from tests.reference.ends import Ends
from tests.reference.liquidation import pool_now
from tests.reference.margin import Asked
from tests.reference.numbers import part, share
from tests.reference.outcome import CROSS, Outcome
from tests.reference.path import Row
from tests.reference.standing import Standing


class Deleveraging:
    def __init__(
        self, events: list[tuple[int, str, float]], top: int, account: Account, asked: Asked, ends: Ends, books: Books,
        outcome: Outcome,
    ) -> None:  # fmt: skip
        self.events, self.top = events, top
        self.account, self.asked, self.ends, self.books, self.outcome = account, asked, ends, books, outcome

    def at(self, row: Row, ts_ms: int) -> None:
        """The events of one instant, together; a position that several of them meet is closed by the largest share."""
        shares: dict[str, float] = {}
        for stamp, symbol, closed in self.events:
            if stamp != ts_ms:
                continue
            met = [name for name in self.account.held() if symbol in ("", name) and self.profit(row, ts_ms, name) > 0]
            self.outcome.idle_events += not met
            for name in met:
                shares[name] = max(closed, shares.get(name, 0.0))
        scores = {name: self.score(row, ts_ms, name) for name in self.account.names if name in shares}
        for name in sorted(scores, key=lambda name: -scores[name])[: self.top]:
            self.close(row, ts_ms, name, shares[name])

    def value(self, row: Row, ts_ms: int, name: str) -> int:
        return row.mark_value(name, self.account.units(name), row.thirds(ts_ms))

    def profit(self, row: Row, ts_ms: int, name: str) -> int:
        return self.value(row, ts_ms, name) - self.account.cost[name]

    def score(self, row: Row, ts_ms: int, name: str) -> float:
        pool = pool_now(self.account, self.asked, self.account.pool_of(name))
        equity = pool.equity(pool.coherent(row, row.thirds(ts_ms)))
        size, cost = abs(self.value(row, ts_ms, name)), abs(self.account.cost[name])
        gain = (size, cost) if self.account.lots[name] > 0 else (cost, size)
        if equity <= 0 or gain[1] == 0:
            return inf
        return gain[0] / gain[1] * size / equity

    def close(self, row: Row, ts_ms: int, name: str, closed: float) -> None:
        pool = self.account.pool_of(name)
        at, held = row.thirds(ts_ms), abs(self.account.lots[name])
        values = pool_now(self.account, self.asked, pool).coherent(row, at).values
        standing = Standing(self.account, self.asked, self.outcome, row, pool, at, values)
        lots = min(held, ceil(held * closed))
        value = part(values[name], lots, held)
        before = (standing.equity, standing.maintenance)
        quote = value - share(abs(value), self.asked.law.adl_penalty)
        traded = standing.close(name, lots, value, quote, cause="adl")
        standing.note(name, "deleveraged", traded, before, (standing.equity, standing.maintenance))
        if pool != CROSS:
            equity = self.account.pools[name] + self.value(row, ts_ms, name)
            self.books.move(ts_ms, name, min(0, part(before[0], held - lots, held) - equity))
        self.books.traded(ts_ms, name)
        self.ends.cancel_turned(ts_ms)
