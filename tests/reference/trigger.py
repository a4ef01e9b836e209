"""Rules of orders, sections 1 and 5: at what price an order acts, and on which series."""

from __future__ import annotations

from tests.reference.order import Order
from tests.reference.path import Path, Row


def rises(order: Order) -> bool:
    """It acts at or above its level: a stop that buys, a take-profit that sells, a trailing stop that buys."""
    if order.type.startswith("take_profit"):
        return not order.buys
    return order.buys


def rests(order: Order) -> bool:
    """A limit order that works."""
    return order.state == "working" and order.limit is not None


def follows_mark(order: Order) -> bool:
    return order.by_mark and order.state != "working"


def path(order: Order, row: Row) -> Path | None:
    """Of the series that the order looks at; None in a gap of the trades."""
    series = row.marks if follows_mark(order) else row.trades
    candle = series.get(order.symbol)
    return None if candle is None else row.coherent(candle)


def price_at(order: Order, row: Row, at: int) -> float | None:
    """Of that series, at a time."""
    return row.mark_price(order.symbol, at) if follows_mark(order) else row.trade_price(order.symbol, at)


def level_of(order: Order, best: float | None) -> float | None:
    """Where it acts; of a trailing stop by its best price."""
    if rests(order):
        return order.limit
    if order.type != "trailing_stop":
        return order.stop
    if best is None:
        return None
    assert order.trail is not None
    if order.trail_share:
        return best * (1 + order.trail) if order.buys else best * (1 - order.trail)
    return best + order.trail if order.buys else best - order.trail


def beyond(order: Order, level: float | None, price: float, touch: bool) -> bool:
    """Whether a price lies at or beyond the level; for a limit that rests beyond it, unless `touch` will do."""
    if level is None:
        return False
    if rests(order):
        if touch and price == level:
            return True
        return price < level if order.buys else price > level
    return price >= level if rises(order) else price <= level


def holds(order: Order, price: float | None) -> bool:
    """Whether a conditional order's condition holds at a price that may be unknown."""
    return price is not None and beyond(order, level_of(order, order.best), price, touch=False)


def followed(order: Order, best: float | None, price: float) -> float | None:
    """The best price of a trailing stop after it has seen one more."""
    if best is None:
        if order.activation is not None:
            reached = price <= order.activation if order.buys else price >= order.activation
            if not reached:
                return None
        return price
    return min(best, price) if order.buys else max(best, price)


def follow(order: Order, price: float | None) -> None:
    if order.type == "trailing_stop" and price is not None:
        order.best = followed(order, order.best, price)
