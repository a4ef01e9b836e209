"""What a fill does to other orders: rules of orders, section 9."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.reference import trigger
from tests.reference.account import Account
from tests.reference.ends import Ends
from tests.reference.order import Order
from tests.reference.path import Row

if TYPE_CHECKING:
    from tests.reference.desk import Desk, Spot


class Groups:
    def __init__(self, desk: Desk, ends: Ends, account: Account) -> None:
        self.desk, self.ends, self.account = desk, ends, account

    def after_fill(self, row: Row, order: Order, lots: int, spot: Spot, price: float) -> None:
        """`lots` of `order` have just been filled, signed, at a price with all that it cost but the fee."""
        ts_ms = row.stamp(spot.at)
        for other in order.group:
            if other is not order and not other.ended:
                self.share_fate(order, other, ts_ms)
        if order.parent is not None and not order.parent.ended:
            self.ends.end(order.parent, ts_ms, "cancelled", "bracket")
        # Children that sleep are spared, and those that wake protect what this fill has made.
        self.ends.cancel_turned(ts_ms)
        for child in order.children:
            if not child.ended:
                child.left += abs(lots) if child.buys else -abs(lots)
                if child.state == "dormant" and child.offset is not None:
                    self.put_away(child, price * (1.0 + child.offset))

    def put_away(self, child: Order, price: float) -> None:
        """The first fill of its parent gives a child its price."""
        if child.type == "limit":
            child.limit = price
        else:
            child.stop = price

    def wake_children(self, row: Row, order: Order, spot: Spot) -> None:
        """What is left of `order` works or has ended, after a fill at `spot`."""
        for child in [child for child in order.children if not child.ended]:
            if child.state == "dormant":
                self.wake(row, child, spot)

    def share_fate(self, order: Order, other: Order, ts_ms: int) -> None:
        """What is left of a reduce-only order is left of the others at most; any other order cancels them."""
        if order.reduce_only:
            lots = min(abs(other.left), abs(order.left))
            other.left = lots if other.buys else -lots
        if not order.reduce_only or other.left == 0:
            self.ends.end(other, ts_ms, "cancelled", "oco")

    def wake(self, row: Row, child: Order, spot: Spot) -> None:
        """The parent's fill was at `spot`, by which a child by the last price is judged."""
        if not child.conditional:
            self.desk.execute(row, child, spot)
            return
        child.state = "armed"
        price = row.mark_price(child.symbol, spot.at) if child.by_mark else spot.price
        if child.type == "trailing_stop":
            trigger.follow(child, price)
        elif trigger.holds(child, price):
            self.desk.trigger(row, child, spot)
