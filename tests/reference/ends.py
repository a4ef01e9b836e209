"""How orders end: rules of orders, section 4. Whoever ends an order without a fill ends its children too."""

from __future__ import annotations

from collections.abc import Iterable

from tests.reference import trigger
from tests.reference.account import Account
from tests.reference.admission import Verdict
from tests.reference.order import Order
from tests.reference.outcome import NO_ORDER, OrderEnd, Outcome

NO_NUMBERS = Verdict(False)


class Ends:
    def __init__(self, account: Account, outcome: Outcome) -> None:
        self.account, self.outcome = account, outcome
        self.flying: list[Order] = []
        """Orders on their way."""

    def end(self, order: Order, ts_ms: int, status: str, reason: str, verdict: Verdict = NO_NUMBERS) -> None:
        assert not order.ended
        order.state = "ended"
        for place in (self.account.orders, self.flying):
            if order in place:
                place.remove(order)
        # A trailing stop has no stop price of its own: it is where it has followed the price to.
        stop = trigger.level_of(order, order.best) if order.type == "trailing_stop" else order.stop
        self.outcome.orders.append(
            OrderEnd(
                order.number, order.ts_sent, order.ts_arrived, ts_ms, order.symbol, order.sent, status, reason,
                verdict.have, verdict.need, order.filled, order.type, order.limit, stop, order.triggered,
                order.parent.number if order.parent else NO_ORDER,
            )
        )  # fmt: skip
        if order.filled == 0:
            self.cancel([child for child in order.children if not child.ended], ts_ms, "parent")

    def refuse(self, order: Order, ts_ms: int, reason: str, verdict: Verdict = NO_NUMBERS) -> None:
        """One that is refused after it had fills is cancelled."""
        self.end(order, ts_ms, "cancelled" if order.filled else "rejected", reason, verdict)

    def cancel(self, orders: Iterable[Order], ts_ms: int, reason: str) -> None:
        """One after another; what an earlier end has ended is left alone."""
        for order in list(orders):
            if not order.ended:
                self.end(order, ts_ms, "cancelled", reason)

    def cancel_of(self, symbols: Iterable[str], ts_ms: int, reason: str, sender: int | None = None) -> None:
        """All orders of the symbols at the venue, or those of one strategy, in order of symbol, then of arrival."""
        for symbol in symbols:
            orders = [o for o in self.account.orders if o.symbol == symbol and sender in (None, o.sender)]
            self.cancel(orders, ts_ms, reason)

    def cancel_turned(self, ts_ms: int) -> None:
        """Reduce-only orders of symbols whose position has become zero or changed side."""
        sharing, idle = self.account.sharing, ("dormant", "busy")
        turned = {(symbol, 0) for symbol in self.account.turned} if sharing is None else set(sharing.turned)
        for symbol, sender in sorted(turned):
            orders = [o for o in self.account.orders if (o.symbol, o.sender) == (symbol, sender) and o.reduce_only]
            self.cancel([o for o in orders if o.state not in idle], ts_ms, "reduce_only")
        self.account.turned.clear()
        if sharing is not None:
            sharing.turned.clear()

    def expire(self, ts_ms: int) -> None:
        """Orders at the venue whose time is up."""
        for order in list(self.account.orders):
            if not order.ended and order.expires_ms == ts_ms:
                self.end(order, ts_ms, "expired", "gtd")
