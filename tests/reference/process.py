"""Section 7.2: the liquidation in time, from its crossing to a healthy look or the last position."""

from __future__ import annotations

from dataclasses import dataclass

from tests.reference import windup
from tests.reference.account import Account, Process
from tests.reference.books import Books
from tests.reference.ends import Ends
from tests.reference.fund import Fund
from tests.reference.liquidation import Point, crossing, pool_now
from tests.reference.lowest import Lowest
from tests.reference.margin import Asked
from tests.reference.numbers import share
from tests.reference.outcome import CROSS, Outcome
from tests.reference.path import Row
from tests.reference.standing import Standing
from tests.reference.step import can_step, step


@dataclass(frozen=True)
class Act:
    """What happens next to a pool: a crossing begins its liquidation, a look is due, or its end is crossed."""

    kind: str
    point: Point


class Liquidator:
    def __init__(
        self, account: Account, asked: Asked, ends: Ends, books: Books, fund: Fund, lowest: Lowest, outcome: Outcome
    ) -> None:
        self.lowest = lowest
        self.account, self.asked, self.ends, self.books = account, asked, ends, books
        self.fund, self.outcome = fund, outcome

    # ---- a walk

    def walk(self, row: Row, start: int, end: int) -> int:
        """From `start` to `end`, act after act; with `end` at `start`, the check at an instant. Gives the time of the
        last act, `start` for none."""
        since = start
        acts = {name: self.next_act(name, row, start, end) for name in self.account.open_pools()}
        while any(acts.values()):
            due = [(act.point.at, self.account.order_of(name), name) for name, act in acts.items() if act]
            at, _, name = min(due)
            act = acts[name]
            assert act is not None
            self.lowest.way(row, since, at)
            since = at
            self.perform(name, act, row)
            # The pool has changed, and may have given to the wallet.
            for changed in {name, CROSS}:
                acts[changed] = self.next_act(changed, row, at, end)
        return since

    def next_act(self, name: str, row: Row, start: int, end: int) -> Act | None:
        if not self.account.holdings(name):
            return None
        pool = pool_now(self.account, self.asked, name)
        process = self.account.processes.get(name)
        if process is None:
            point = crossing(pool, row, start, end)
            return Act("crossing", point) if point else None
        due = process.due - 3 * row.open_ms
        if due <= start:
            return Act("look", pool.checked(row, start))
        # nobody looks at it before its first step
        point = crossing(pool, row, start, min(due, end), self.asked.law.backstop) if process.steps else None
        if point:
            return Act("end", point)
        return Act("look", pool.checked(row, due)) if due < end else None

    def perform(self, name: str, act: Act, row: Row) -> None:
        standing = Standing(self.account, self.asked, self.outcome, row, name, act.point.at, dict(act.point.values))
        law = self.asked.law
        if act.kind == "crossing":
            self.ends.cancel_of(self.account.members(name), standing.ts_ms, "liquidation")
            self.account.processes[name] = Process(standing.now, standing.now + 3 * law.delay_ms)
            if law.delay_ms == 0:
                self.look(standing, at_crossing=True)
        elif act.kind == "look":
            self.look(standing, at_crossing=False)
        elif law.backstop > 0 and standing.equity >= 0:
            windup.backstop(standing, self.fund)
        else:  # below zero, as at a look, nobody takes it over
            windup.bankrupt(standing, self.fund)
        if not standing.values:
            self.books.traded(standing.ts_ms, self.outcome.fills[-1].symbol)
        self.ends.cancel_turned(standing.ts_ms)

    # ---- a look

    def look(self, standing: Standing, at_crossing: bool) -> None:
        """Step after step at one instant, until the pool is healthy or gone, or the venue waits."""
        law, process = self.asked.law, self.account.processes[standing.name]
        refused: set[str] = set()
        stepped = False
        while standing.values:
            equity = standing.equity
            if equity < 0:
                windup.bankrupt(standing, self.fund)
            elif law.backstop > 0 and equity < share(standing.maintenance, law.backstop):
                windup.backstop(standing, self.fund)
            elif equity >= standing.buffered and (stepped or not at_crossing):
                del self.account.processes[standing.name]
                return
            elif stepped and law.every_ms > 0:
                process.due = standing.now + 3 * law.every_ms
                return
            elif law.take == "pool" or not can_step(standing):
                windup.whole(standing, self.fund)
            elif step(standing, process, self.fund, refused):
                stepped = True
            else:
                process.due = standing.now + 3 * max(law.every_ms, law.block_ms)
                return
