"""A market's steps: what an order becomes on them, or the reason why it becomes none.

Prices are read as the decimals that a person would write (0.1 is a tenth) and the arithmetic is exact, so what lies on
a step stays there. Sizes are rounded down to whole lots by `whole_parts`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Context, Decimal
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from backtest.core.enums import BAD_SIZES, MICRO, OrderType, Reason
from backtest.engine.ticket import Ticket
from backtest.strategy.order import TIFS, Order, share

EXACT = Context(prec=700)
"""Enough digits for the quotient of any two doubles."""
NEARLY_WHOLE = 1e-9
"""A number this short of a whole one is taken for it: what arithmetic in doubles loses, as 1 - 0.9 does of 0.1."""
ROUNDING = 2.0**-51
"""Relative error of two roundings to a double, and more."""


def whole_parts(amount: float, part_micro: int) -> int:
    """Return how many parts of `part_micro` millionths lie in ``amount``, rounded toward zero, signed."""
    parts = abs(float(amount)) * MICRO / part_micro
    nearest = round(parts)
    if nearest - parts > NEARLY_WHOLE + parts * ROUNDING:
        nearest -= 1
    return nearest if amount > 0 else -nearest


def whole_parts_of_all(amounts: NDArray[np.float64], part_micro: NDArray[np.int64] | int) -> NDArray[np.float64]:
    """Return `whole_parts` of each amount; NaN and infinities stay as they are."""
    parts = np.abs(amounts) * MICRO / part_micro
    nearest = np.rint(parts)
    with np.errstate(invalid="ignore"):
        nearest -= nearest - parts > NEARLY_WHOLE + parts * ROUNDING
    return np.copysign(nearest, amounts)


@dataclass(frozen=True)
class Grid:
    """The steps of one market: lots of ``step_micro`` millionths of the base, prices at whole multiples of ``tick``."""

    symbol: int
    """Its number in the run."""
    step_micro: int
    tick: Decimal | None
    """None: any price will do."""

    @classmethod
    def of(cls, symbol: int, step_micro: int, tick: float | None) -> Grid:
        """From what the dataset says."""
        return cls(symbol, step_micro, None if tick is None else Decimal(repr(float(tick))))

    def lots(self, qty: float) -> int:
        """Return the whole lots in ``qty`` base units, rounded toward zero, signed."""
        return whole_parts(qty, self.step_micro)

    def qty(self, lots: int) -> float:
        """Base units in signed lots."""
        return lots * self.step_micro / MICRO

    def price(self, price: float, up: bool) -> float:
        """``price`` on a tick: the nearest at or above it, or at or below it. As given where there are no ticks, and
        what is no price."""
        price = float(price)
        if self.tick is None or not 0 < price < math.inf:
            return price
        ticks, rest = EXACT.divmod(Decimal(repr(price)), self.tick)
        if rest == 0:
            return price
        return float(EXACT.multiply(EXACT.add(ticks, int(up)), self.tick))

    def _child(self, entry: Order, child: Order, now_ms: int) -> tuple[Ticket, Reason]:
        """A child as it is sent with its entry, whose fill gives it a price where it has none."""
        ticket, reason = self.ticket(child, now_ms)
        offset = _offset_of(entry, child)
        if math.isnan(offset):
            return ticket, reason
        return ticket._replace(offset=offset), Reason.NONE if reason == Reason.PRICE else reason

    def ticket(self, order: Order, now_ms: int) -> tuple[Ticket, Reason]:
        """The order as it is sent at ``now_ms``, and the reason why it cannot be (`Reason.NONE`: it can).

        Prices go to the side that is no better for the order: a limit that buys down, one that sells up; a trigger
        that acts when prices rise up, one that acts when they fall down. What is wrong is told in this order: the size,
        a price of the order or of a child, how these lie to each other.
        """
        buys, finite = math.copysign(1.0, order.qty) > 0, math.isfinite(order.qty)
        lots = self.lots(order.qty) if finite else 0
        trigger = order.stop if order.target is None else order.target
        asked = ((order.limit, not buys), (trigger, rises(order.kind, buys)), (order.activation, not buys))
        limit, stop, activation = (math.nan if price is None else self.price(price, up) for price, up in asked)
        trail, of_best = _distance(order.trail)
        children = [self._child(order, child, now_ms) for child in order.children]
        # The trigger of an entry that has none is meant for its bracket.
        by_mark = order.trigger == "mark" and order.kind not in (OrderType.MARKET, OrderType.LIMIT)
        ticket = Ticket(
            self.symbol, lots, order.kind, limit, stop, by_mark, trail, of_best, activation,
            TIFS[str(order.tif)], order.expires_ms(now_ms), order.post_only, order.reduce_only,
            tuple(child for child, _ in children),
        )  # fmt: skip
        # A trigger at a fall by the whole price, or more, is none.
        most = 1.0 if of_best and not buys else math.inf
        given = ((order.limit, limit), (trigger, stop), (order.activation, activation))
        sound = all(price is None or 0 < found < math.inf for price, found in given)
        if not finite or order.qty == 0:
            return ticket, Reason.QUANTITY
        if lots == 0:
            return ticket, Reason.STEP
        if not sound or (order.trail is not None and not 0 < trail < most):
            return ticket, Reason.PRICE
        wrong = next((reason for _, reason in children if reason), Reason.NONE)
        return ticket, wrong or (Reason.BRACKET if children and not _in_order(ticket) else Reason.NONE)


def _offset_of(entry: Order, child: Order) -> float:
    """By what share of its entry's fill price a child is away from it; NaN: it has a price."""
    if child.kind == OrderType.STOP_MARKET:
        return entry.offset("stop_loss")
    return entry.offset("take_profit") if child.kind == OrderType.LIMIT else math.nan


def bad_size(qty: float) -> int:
    """Return the index in `BAD_SIZES` of what is wrong with the size of an order; 0: nothing."""
    if math.isnan(qty):
        return BAD_SIZES.index("NaN")
    return BAD_SIZES.index("infinite" if math.isinf(qty) else "" if qty else "0 or less")


def rises(kind: OrderType, buys: bool) -> bool:
    """Whether a trigger price is reached by a rise: of a stop that buys, of a take profit that sells."""
    return buys == (kind in (OrderType.STOP_MARKET, OrderType.STOP_LIMIT))


def _distance(trail: float | str | None) -> tuple[float, bool]:
    """A trail as a number, and whether it is a share of the best price."""
    if trail is None:
        return math.nan, True
    return (share(trail, "trail", "order"), True) if isinstance(trail, str) else (float(trail), False)


def _in_order(entry: Ticket) -> bool:
    """Whether a bracket's stop loss, its entry (the limit, else the trigger, if it has one) and its take profit lie in
    this order, upwards for a purchase."""
    at = entry.stop if math.isnan(entry.limit) else entry.limit
    loss = [child.stop for child in entry.children if child.type == OrderType.STOP_MARKET]
    profit = [child.limit for child in entry.children if child.type == OrderType.LIMIT]
    levels = [price for price in (*loss, at, *profit) if not math.isnan(price)]
    return all(entry.lots * (above - below) > 0 for below, above in pairwise(levels))
