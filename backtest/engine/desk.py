"""What a strategy may do with its account at the close of a candle."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtest.core.enums import MICRO, NO_ORDER, Cause, Reason, TimeInForce
from backtest.core.errors import Broken
from backtest.core.records import CURVE
from backtest.engine import layout as at
from backtest.engine.admission import cross_room
from backtest.engine.curve import level_now, see
from backtest.engine.guard import mark_age, venue_now
from backtest.engine.journal import IS_ENDED, REJECTED, put_order, put_state
from backtest.engine.lowest import note_ahead
from backtest.engine.passage import routes
from backtest.engine.path import lows_first
from backtest.engine.requirement import fit_to_size
from backtest.engine.send import ALONE, UNSENT, missing, post, send, send_target, tell
from backtest.engine.settle import belong, move
from backtest.engine.slots import land, leave, symbol_of
from backtest.engine.state import State
from backtest.engine.ticket import Ticket
from backtest.engine.transfer import deposit, refuse_transfer, withdraw


class Desk(State):
    """Orders, cancels and settings, and what the account looks like."""

    def send(self, ticket: Ticket) -> int:
        """Send an order, with its children; returns its number, theirs are the next ones."""
        return self.send_group((ticket,))[0]

    def send_market(self, i: int, lots: int, reduce_only: bool = False) -> int:
        """Send a plain market order of signed `lots` by the shortest way; returns its number."""
        self.touched = True
        self._room_for(1)
        return self.call(send, i, lots, reduce_only, int(Cause.STRATEGY), self.now_ms, self.j)

    def send_group(self, tickets: Sequence[Ticket]) -> list[int]:
        """Send orders of one market that cancel one another, as one message; one alone is in no group."""
        self.touched = True
        total = sum(1 + len(ticket.children) for ticket in tickets)
        if len({ticket.symbol for ticket in tickets}) != 1:
            raise Broken("orders of one message are of one market")
        self._room_for(total)
        first = int(self.acct[at.NEXT_ID])
        last = first + total - 1
        numbers: list[int] = []
        slot = ALONE
        for ticket in tickets:
            slot = self._post(ticket, slot)
            row = self.queue[slot]
            number, row[at.LAST_NUMBER] = int(row[at.ID]), last
            # the first of a message counts all that travel with it, another parent its own children
            row[at.CHILDREN] = total - 1 if not numbers else len(ticket.children)
            row[at.GROUP] = first if len(tickets) > 1 else NO_ORDER
            for child in ticket.children:
                slot = self._post(child, slot)
                row = self.queue[slot]
                row[at.PARENT], row[at.GROUP], row[at.LAST_NUMBER] = number, number + 1, last
            numbers.append(number)
        return numbers

    def _post(self, ticket: Ticket, before: int) -> int:
        """Put one order in flight, as `send.post` says of `before`; its own slot."""
        expires = ticket.expires_ms if ticket.tif == TimeInForce.GTD else math.inf
        return self.call(
            post, ticket.symbol, ticket.lots, ticket.type, ticket.tif, ticket.limit, ticket.stop, ticket.trail,
            ticket.trail_share, ticket.activation, ticket.by_mark, ticket.post_only, ticket.reduce_only, expires,
            ticket.offset, self.now_ms, max(self.j, 0), before,
        )  # fmt: skip

    def refuse(self, ticket: Ticket, reason: int, *, have: int = 0, target: int = NO_ORDER) -> int:
        """Record an order that is refused before it is sent, such as one below a lot; returns its number.

        `have`: the first number of the record. `target`: it is an amendment of that order.
        """
        self.touched = True
        self._room_for(1)
        self._room_to_log(4)
        slot = self._post(ticket, UNSENT)
        row = self.queue[slot]
        number, row[at.TARGET] = int(row[at.ID]), target
        self.call(put_order, slot, self.now_ms, REJECTED, int(reason), have, 0)
        self.call(put_state, slot, self.now_ms, IS_ENDED + REJECTED, int(reason))
        self.call(land, slot)
        self.call(leave, slot)
        return number

    def target(self, i: int, kind: int, amount: float, reduce_only: bool = False) -> int | None:
        """Send what is missing to a target (`layout.WEIGHT`, `TARGET_LOTS`, `NOTIONAL`); None if nothing is."""
        self.touched = True
        self._room_for(1)
        number = self.call(send_target, i, kind, float(amount), reduce_only, self.now_ms, self.j)
        return number if number >= 0 else None

    def missing_lots(self, i: int, kind: int, amount: float) -> int:
        """Signed lots that `target` would send."""
        return int(self.call(missing, i, kind, float(amount), self.j))

    def cancel(self, order: int) -> None:
        """Send a cancel; it travels as long as an order does."""
        self._tell(at.CANCEL, -1)[at.TARGET] = order

    def cancel_all(self, i: int = -1) -> None:
        """Send a cancel of all orders in symbol `i`, −1: of the account."""
        self._tell(at.CANCEL_ALL, i)

    def amend(self, order: int, lots: int = 0, limit: float = math.nan, stop: float = math.nan) -> int:
        """Send a change of an order's signed size, limit or stop price, of what is not 0 or NaN; its own number."""
        row = self._tell(at.AMENDMENT, self.call(symbol_of, order))
        row[at.TARGET], row[at.SIZE], row[at.LIMIT_AT], row[at.STOP_AT] = order, lots, limit, stop
        return int(row[at.ID])

    def _tell(self, kind: int, i: int) -> NDArray[np.float64]:
        self.touched = True
        self._room_for(1)
        row: NDArray[np.float64] = self.queue[self.call(tell, kind, i, self.now_ms, self.j)]
        return row

    def deposit(self, amount: int | None, route: int = 0) -> int:
        """Send `amount` micro from the reserve to the venue by a route of the chain's deposits; returns its number.

        None: what was asked is not an amount; it is recorded as rejected.
        """
        return self._transfer(deposit, at.DEPOSIT, amount, at.TRANSFER_STAGE + route)

    def withdraw(self, amount: int | None, route: int = 0) -> int:
        """Send `amount` micro from the wallet to the reserve by a route of the chain's withdrawals; likewise."""
        deposits, _ = routes(self.setup.chain)
        return self._transfer(withdraw, at.WITHDRAWAL, amount, at.TRANSFER_STAGE + len(deposits) + route)

    def _transfer(self, send: Callable[..., Any], kind: int, amount: int | None, route: int) -> int:
        self.touched = True
        self.call(note_ahead, self.row)  # the rows so far had the cash of before
        self._asked_at, self._seen_at = self.row, -1
        self._room_for(1)
        self._room_to_log(4)
        if amount is None:
            return int(self.call(refuse_transfer, kind, route, self.now_ms, int(Reason.QUANTITY)))
        return int(self.call(send, amount, route, self.now_ms, self.j))

    def set_leverage(self, i: int, leverage: float) -> None:
        """Change the initial margin asked of symbol `i` from now on; what an isolated pool holds stays.

        Infinite: no more than the venue asks.
        """
        self.touched = True
        self.leverage_set.add(i)
        self.spec[i, at.INV_LEVERAGE], self.spec[i, at.INV_DEFAULT] = 1.0 / leverage, 0.0
        self._asked_at, self._seen_at = self.row, -1

    def add_margin(self, i: int, amount: int) -> bool:
        """Move `amount` micro from the wallet to the isolated pool of `i`; False if it cannot be."""
        self.touched = True
        self.call(note_ahead, self.row)
        if self.book[i, at.POOL] != i or not self.book[i, at.LOTS] or amount <= 0:
            return False
        end = 3 * self.setup.interval_ms
        have, need = self.call(cross_room, self.j, bool(lows_first(self.panel, self.j)), end)
        if have - amount < need:
            return False
        self._room_to_log(1)
        self.call(move, self.now_ms, i, amount)
        return True

    def set_mode(self, i: int, isolated: bool) -> bool:
        """Give symbol `i` a pool of its own, or put it into the cross pool; not while it has a position or an order."""
        busy = any(int(m[at.SYMBOL]) == i for m in self.live())
        if self.book[i, at.LOTS] or busy:
            return False
        self.touched = True
        self.book[i, at.HOME] = i if isolated else len(self.setup.symbols)
        self.call(belong, i, int(self.book[i, at.HOME]))
        if isolated:
            self.run[at.APART], self.run[at.PLAIN] = 1.0, 0.0
        return True

    def hold(self, i: int, lots: int, cost: int, cash: int = 0) -> None:
        """Start with a position of signed `lots` that cost `cost` micro (negative: a short); before the first row.

        In a pool of its own `cash` is what that pool holds beside it; a cross position is paid from the wallet.
        """
        if self.row != 0:
            raise Broken("a position is placed before the first row")
        self.book[i, at.LOTS], self.book[i, at.COST] = lots, cost
        if self.spec[i, at.SIZED]:
            fit_to_size(self.spec, i, lots)
        if self.book[i, at.POOL] == i:
            self.book[i, at.CASH] = cash
        else:
            self.acct[at.WALLET] -= cost

    def liquidation_price(self, i: int) -> float:
        """Mark of `i` at which its pool meets maintenance, other marks frozen; NaN: none."""
        return float(self.call(level_now, i, self.j, self.setup.known_field))

    def state(self) -> NDArray[np.float64]:
        """Columns of `records.CURVE` at the last close as far as it is known: the curve's own row, unless a mark of it
        is derived from marks that lie ahead, or leverage has been set since."""
        if self.row == 0:
            now = np.zeros(len(CURVE))
            now[:2] = self.setup.cash / MICRO
            return now
        if self.setup.known_field == self.setup.mark_offset + 3 and self._asked_at != self.row:
            row: NDArray[np.float64] = self.curve[self.j]
            return row
        if self._seen_at != self.row:
            self._seen_at = self.row
            self.call(see, self.j, self.setup.known_field)
        return self.world.seen

    def mark_age_ms(self, i: int) -> int:
        """How long before the last close the venue mark of `i` was published that the venue sees there; 0: with it."""
        return int(self.call(mark_age, self.j, i, self.now_ms)) if self.row else 0

    def venue_mark(self, i: int) -> float:
        """The mark of `i` that the venue goes by at the last close; NaN before the first.

        Where marks are derived from later ones too it is the market's known mark.
        """
        if self.row == 0:
            return math.nan
        if self.setup.known_field != self.setup.mark_offset + 3:
            return float(self.panel[self.setup.known_field, self.j, i])
        return float(self.call(venue_now, self.j, i))

    def live(self) -> NDArray[np.float64]:
        """Rows of the queue of orders that have not ended, in flight or at the venue, by number."""
        rows = self._listed()
        rows = rows[rows[:, at.KIND] == at.ORDER]
        return rows[np.argsort(rows[:, at.ID], kind="stable")]

    def transit(self) -> NDArray[np.float64]:
        """Rows of the queue of transfers on their way, by number."""
        rows = self._listed()
        rows = rows[rows[:, at.KIND] >= at.DEPOSIT]
        return rows[np.argsort(rows[:, at.ID], kind="stable")]

    def _listed(self) -> NDArray[np.float64]:
        return self.queue[self._slots()]
