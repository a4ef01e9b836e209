"""A pool during a look at it: its positions' values at that time, less what has been closed since."""

from __future__ import annotations

from dataclasses import dataclass

from tests.reference.account import Account
from tests.reference.liquidation import Point, Pool, pool_now
from tests.reference.margin import Asked
from tests.reference.numbers import part_down, share
from tests.reference.outcome import Fill, Liquidation, Outcome
from tests.reference.path import Row


@dataclass
class Standing:
    account: Account
    asked: Asked
    outcome: Outcome
    row: Row
    name: str
    at: int
    """Thirds from the row's open."""
    values: dict[str, int]
    """Of the positions that are open, in symbol order."""

    @property
    def ts_ms(self) -> int:
        return self.row.stamp(self.at)

    @property
    def now(self) -> int:
        """Thirds since 1970."""
        return 3 * self.row.open_ms + self.at

    @property
    def pool(self) -> Pool:
        return pool_now(self.account, self.asked, self.name)

    @property
    def point(self) -> Point:
        return Point(self.at, self.values)

    @property
    def equity(self) -> int:
        return self.account.cash(self.name) + sum(self.values.values())

    @property
    def maintenance(self) -> int:
        return self.pool.maintenance(self.point) if self.values else 0

    @property
    def buffered(self) -> int:
        """What equity must be for the liquidation to end."""
        maintenance = self.maintenance
        return maintenance + share(maintenance, self.asked.law.buffer)

    @property
    def own(self) -> dict[str, int]:
        """Maintenance of each position by itself; where nothing is required of any, its size stands for it."""
        own = self.pool.own(self.point)
        return own if any(own.values()) else {name: abs(value) for name, value in self.values.items()}

    def part_of_equity(self, own: int) -> int:
        """Equity shared over positions by own maintenance, rounded down."""
        total = sum(self.own.values())
        return part_down(self.equity, own, total) if total else 0

    def close(self, symbol: str, lots: int, value: int, quote: int, cause: str = "liquidation") -> int:
        """Trade `lots` (unsigned) of the position, worth `value`, for `quote`; gives the signed lots traded."""
        held = self.account.lots[symbol]
        traded = -lots if held > 0 else lots
        realized = self.account.trade(symbol, traded, quote)
        self.account.pay(self.name, quote)
        if self.account.sharing:
            self.account.sharing.close(self.ts_ms, symbol, traded, quote)
        self.outcome.fills.append(Fill(-1, self.ts_ms, symbol, traded, quote, 0, realized, cause))
        self.values[symbol] -= value
        if self.account.lots[symbol] == 0:
            del self.values[symbol]
        return traded

    def note(self, symbol: str, stage: str, lots: int, before: tuple[int, int], after: tuple[int, int],
             insurance: int = 0, bad_debt: int = 0, adl_loss: int = 0) -> None:  # fmt: skip
        """A row; `before` and `after` are equity and maintenance."""
        if self.account.sharing:
            self.account.sharing.relief(self.ts_ms, symbol, bad_debt - insurance)
        self.outcome.liquidations.append(
            Liquidation(self.ts_ms, self.name, symbol, stage, lots, insurance, bad_debt, adl_loss, *before, *after)
        )
