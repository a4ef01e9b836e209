"""What a market order pays beyond the price it saw, by four models. Source: docs/venues.md."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Filled:
    """How much of an order fills, and at what average price."""

    size: float
    price: float


def volume_share(close: float, volume: float, size: float, buys: bool, limit: float, impact: float) -> Filled:
    """At most ``limit`` of the candle's volume, ``impact × (fill / volume)² × close`` worse than the close."""
    filled = min(size, limit * volume)
    moved = impact * (filled / volume) ** 2 * close if volume else 0.0
    return Filled(filled, close + moved if buys else close - moved)


def square_root(y: float, sigma: float, quantity: float, volume: float) -> float:
    """Relative move at the end of an order: ``Y × σ × √(Q / V)``, σ and V of one day."""
    return y * sigma * math.sqrt(quantity / volume)


def average_of_path(end: float) -> float:
    """Average cost of an order worked at a constant rate along a square-root path: two thirds of the end."""
    return end * 2 / 3


def book_walk(levels: Iterable[tuple[float, float]], size: float) -> Filled:
    """Through (price, size) levels, best first; less than ``size`` where the book ends."""
    left, paid = size, 0.0
    for price, offered in levels:
        taken = min(left, offered)
        paid += taken * price
        left -= taken
    filled = size - left
    return Filled(filled, paid / filled if filled else math.nan)


def linear_depth(quantity: float, depth: float, within: float = 0.01) -> float:
    """Relative move at the end of an order, ``depth`` being the notional evenly spread ``within`` of the mid.

    The average cost is half of it.
    """
    return quantity / depth * within
