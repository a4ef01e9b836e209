"""An order as it is sent: what `Replay.send` is given."""

from __future__ import annotations

import math
from typing import NamedTuple

from backtest.core.enums import OrderType, TimeInForce


class Ticket(NamedTuple):
    """An order to send. Prices in quote units; NaN: it has none."""

    symbol: int
    lots: int
    """Signed, bought positive."""
    type: OrderType = OrderType.MARKET
    limit: float = math.nan
    stop: float = math.nan
    """Trigger price of a conditional order; a trailing stop finds its own."""
    by_mark: bool = False
    """Triggered by the mark, not by the last trade."""
    trail: float = math.nan
    trail_share: bool = True
    """`trail` is a share of the best price; else an absolute distance."""
    activation: float = math.nan
    tif: TimeInForce = TimeInForce.GTC
    expires_ms: int = -1
    """Of `GTD`; −1: never."""
    post_only: bool = False
    reduce_only: bool = False
    children: tuple[Ticket, ...] = ()
    """Reduce-only orders that sleep until this one fills, and cancel each other."""
    offset: float = math.nan
    """Of a child: signed share of the entry's fill price by which its own price is away from it; NaN: it has one."""
