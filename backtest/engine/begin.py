"""How an account begins with positions (docs/reference/rules.md section 2.1), before anything is played."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backtest.core.enums import CROSS_POOL
from backtest.core.records import OPENING_POOL
from backtest.engine import layout as at
from backtest.engine.desk import Desk
from backtest.engine.journal import AS_OPENING
from backtest.engine.margin import (
    cross_pool,
    first_pool,
    holds,
    initial_at,
    initial_needed,
    maintenance_of,
    mark_equity,
    units,
    value_pool,
)
from backtest.engine.money import money
from backtest.engine.opening import Opening
from backtest.engine.path import lows_first
from backtest.engine.send import ALONE
from backtest.engine.settle import close_lots, move
from backtest.engine.ticket import Ticket


class Begin(Desk):
    """Puts the positions of `Setup.opening` in place when the first rows are there."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.opening_profit = np.zeros(len(self.setup.symbols) if self.setup.opening else 0, np.int64)
        """Micro per symbol, unrealized at the first instant."""
        self.opening_pools = np.zeros(0, OPENING_POOL)
        self.opening_weights: dict[int, float] = {}
        """By symbol's number: value at the first mark over the equity there, also of what is bought."""

    def load(self, panel: NDArray[np.float64], first_row: int) -> None:
        """Take a panel whose first row is global row `first_row`; before the first one the account is put in place."""
        begins = not self.panel.shape[1]
        super().load(panel, first_row)
        if begins and self.setup.opening:
            self._goal(1)
            self._begin()

    def _begin(self) -> None:
        self._room_to_log(2 * len(self.setup.opening))
        for one in self.setup.opening:
            if one.leverage is not None:
                self.set_leverage(one.symbol, one.leverage)
            if one.entry is not None:
                self._take_over(one, one.entry)
        self.acct[at.EVENTS] = 0  # nothing that a hook hears of has happened yet
        self.lowest[0] += self.opening_profit.sum()
        self.opening_pools = self._pools()
        equity = self.setup.cash + int(self.opening_profit.sum())
        for one in self.setup.opening:
            self.opening_weights[one.symbol] = self._value(one) / equity if equity > 0 else 0.0
            if one.entry is None:
                self._buy(one)

    def _value(self, one: Opening) -> int:
        """At the market mark's first price, micro."""
        return money(self.panel[self.setup.mark_offset, 0, one.symbol], units(self.spec, one.symbol, one.lots))

    def _take_over(self, one: Opening, entry: float) -> None:
        i, start = one.symbol, self.setup.start_ms
        self.call(close_lots, 0, start, i, one.lots, -one.cost, AS_OPENING, entry)
        if self.book[i, at.POOL] == i:
            self.call(move, start, i, one.posted)
        self.opening_profit[i] = self._value(one) - one.cost

    def _buy(self, one: Opening) -> None:
        """Send the order that opens it, decided at the first trade price: no candle has closed, so no chain is crowded
        either."""
        self._room_for(1)
        slope, self.run[at.SLOPE] = self.run[at.SLOPE], 0.0
        slot = self._post(Ticket(one.symbol, one.lots), ALONE)
        self.run[at.SLOPE] = slope
        self.queue[slot, at.DECISION] = self.panel[0, 0, one.symbol]

    def _pools(self) -> NDArray[np.void]:
        """Exact figures of the margin accounts with a position, and of the wallet, at the venue's first mark."""
        w, lows, cross = self.world, bool(lows_first(self.panel, 0)), cross_pool(self.spec)
        found = []
        for p in range(first_pool(self.run, self.spec), cross + 1):
            if not holds(w, p) and p != cross:
                continue
            value_pool(w, p, at.COHERENT, 0, lows, 0, at.VALUE_X, False)
            alone = p != cross
            initial = initial_at(w, 0, p, lows, 0, self.book[p, at.LOTS]) if alone else initial_needed(w, 0, lows, 0)
            equity, least = mark_equity(w, p, 0, lows, 0), maintenance_of(w, p, at.VALUE_X)
            found.append((p if alone else CROSS_POOL, int(equity), int(initial), int(least)))
        return np.array(found, OPENING_POOL)
