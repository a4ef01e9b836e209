"""The account: wallet, pools, positions at average cost, orders at the venue, and the liquidations under way."""

from __future__ import annotations

from dataclasses import dataclass

from tests.reference.market import Config, Symbol
from tests.reference.numbers import part, sign
from tests.reference.order import Order
from tests.reference.outcome import CROSS
from tests.reference.sharing import Sharing


@dataclass
class Process:
    """A pool's liquidation under way. Times are in thirds of a millisecond since 1970."""

    crossed: int
    due: int
    """The next look."""
    steps: int = 0


class Account:
    """The wallet is the cross pool's cash; a symbol that is not in the cross pool has a pool of its own."""

    def __init__(self, symbols: list[Symbol], config: Config) -> None:
        self.names = [symbol.name for symbol in symbols]
        self.steps = {symbol.name: symbol.step_micro for symbol in symbols}
        base = "isolated" if config.margin == "isolated" else "cross"
        self.own = {name: config.modes.get(name, base) == "isolated" for name in self.names}
        """Whether the symbol has a pool of its own."""
        self.by_share: set[str] = set()
        """Those that have one for as long as their position lasts."""
        self.wallet = config.cash_micro
        self.pools = dict.fromkeys(self.names, 0)
        self.lots = dict.fromkeys(self.names, 0)
        self.cost = dict.fromkeys(self.names, 0)
        """Signed micro paid for the open lots."""
        self.orders: list[Order] = []
        """At the venue, in order of arrival."""
        self.turned: set[str] = set()
        """Symbols whose position has become zero or changed side since somebody asked."""
        self.processes: dict[str, Process] = {}
        self.sharing = Sharing(self.names, self.steps, config.limits) if config.limits else None
        self.sender = 0
        """The strategy that sends now."""
        self.stepped: dict[str, int] = {}
        """When each pool's last step was, thirds since 1970."""

    def units(self, symbol: str) -> int:
        return self.lots[symbol] * self.steps[symbol]

    def held(self) -> list[str]:
        return [name for name in self.names if self.lots[name] != 0]

    def pool_of(self, symbol: str) -> str:
        return symbol if self.own[symbol] else CROSS

    def members(self, pool: str) -> list[str]:
        """The symbols that belong to the pool, in order."""
        return [name for name in self.names if self.pool_of(name) == pool]

    def holdings(self, pool: str) -> list[str]:
        return [name for name in self.members(pool) if self.lots[name] != 0]

    def order_of(self, pool: str) -> int:
        """Pools are in the order of their symbols, the cross pool last."""
        return len(self.names) if pool == CROSS else self.names.index(pool)

    def open_pools(self) -> list[str]:
        """Pools with a position, in order."""
        return sorted({self.pool_of(name) for name in self.held()}, key=self.order_of)

    def cash(self, pool: str) -> int:
        return self.wallet if pool == CROSS else self.pools[pool]

    def pay(self, pool: str, amount: int) -> None:
        """Add `amount`, signed, to the pool's cash."""
        if pool == CROSS:
            self.wallet += amount
        else:
            self.pools[pool] += amount

    def waiting_lots(self, symbol: str, sender: int | None = None) -> tuple[int, int]:
        """Lots of buys and of sells that reserve margin, both ≥ 0; reduce-only ones cannot add to a position.
        ``sender``: those of one strategy."""
        orders = [o for o in self.orders if sender is None or o.sender == sender]
        adding = [o.left for o in orders if o.symbol == symbol and o.state == "working" and not o.reduce_only]
        buys = sum(lots for lots in adding if lots > 0)
        sells = -sum(lots for lots in adding if lots < 0)
        return buys, sells

    def held_by(self, sender: int, symbol: str) -> int:
        """What a strategy holds: all, where it has the account for itself."""
        return self.sharing.lots[sender][symbol] if self.sharing else self.lots[symbol]

    def against(self, order: Order) -> int:
        """Lots of the position that the order would reduce, ≥ 0."""
        held = self.held_by(order.sender, order.symbol)
        return abs(held) if held * order.sent < 0 else 0

    def trade(self, symbol: str, lots: int, quote: int) -> int:
        """Change the position by `lots` for the signed cash `quote`; gives what was realized against average cost."""
        held, cost = self.lots[symbol], self.cost[symbol]
        self.lots[symbol] = held + lots
        if held != 0 and sign(held + lots) != sign(held):
            self.turned.add(symbol)
        if held == 0 or sign(held) == sign(lots):
            self.cost[symbol] = cost - quote
            return 0
        if abs(lots) <= abs(held):
            released = part(cost, abs(lots), abs(held))
            self.cost[symbol] = cost - released
            return quote - released
        closing = part(quote, abs(held), abs(lots))
        self.cost[symbol] = -(quote - closing)
        return closing - cost
