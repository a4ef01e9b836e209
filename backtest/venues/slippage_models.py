"""What a taker pays beyond the price that it saw: models of spread, impact and delay, as rates of the fill's value.

A rate of 0.0001 is a basis point. Sizes Q and V are in quote units, σ is the standard deviation of a day's log return.
Sources: docs/reference/costs.md and docs/reference/venues.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

BPS = 10_000.0
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Filled:
    """How much of an order fills, and at what average price."""

    size: float
    price: float


def fixed(bps: float) -> float:
    """The same share of every fill, whatever its size: ``bps / 10,000``. A convention, not a measurement."""
    return bps / BPS


def half_spread(spread: float) -> float:
    """From the middle to the side that a taker takes: ``spread / 2``, both shares of the price."""
    return spread / 2


def stressed(factor: float, spread: float, impact: float) -> float:
    """Spread and impact in a worse market: ``factor × (spread + impact)``, rates. A scenario, not a measurement.

    A factor of 3 takes away two thirds of a book that is evenly dense.
    """
    return factor * (spread + impact)


def power_law(y: float, sigma: float, quantity: float, volume: float, exponent: float = 0.5) -> float:
    """Rate that an order of ``quantity`` costs: ``Y × σ × (Q / V)^δ``; ``volume`` is that of a day.

    δ = ½ is the square-root law of metaorders (Tóth et al. 2011, Donier and Bonart 2015), which are worked over hours;
    an order that walks the book at once is steeper (`backtest data calibrate` fits δ). 0 where σ or V is not above 0.
    """
    if not (sigma > 0 and volume > 0):
        return 0.0
    return y * sigma * math.pow(quantity / volume, exponent)


def square_root(y: float, sigma: float, quantity: float, volume: float) -> float:
    """Relative move at the end of an order: ``Y × σ × √(Q / V)``, σ and V of one day."""
    return y * sigma * math.sqrt(quantity / volume)


def average_of_path(end: float) -> float:
    """Average cost of an order worked at a constant rate along a square-root path: two thirds of the end."""
    return end * 2 / 3


def volume_impact(coefficient: float, size: float, volume: float) -> float:
    """Rate by the share of the candle's volume: ``K × (q / v)²``, both in base units; 0 where there is no volume.

    Source: the default model of zipline, with K = 0.1.
    """
    if not volume > 0:
        return 0.0
    share = size / volume
    return coefficient * (share * share)


def volume_share(close: float, volume: float, size: float, buys: bool, limit: float, impact: float) -> Filled:
    """At most ``limit`` of the candle's volume, ``impact × (fill / volume)² × close`` worse than the close."""
    filled = min(size, limit * volume)
    moved = volume_impact(impact, filled, volume) * close
    return Filled(filled, close + moved if buys else close - moved)


def depth_walk(levels: Sequence[tuple[float, float]], quantity: float) -> float:
    """Rate that walking a book costs on average, from the middle.

    ``levels``: (distance from the middle, quote within it on one side), both rising, the last quote above 0. Density is
    even from the middle to the first and from each to the next, and that of the last goes on beyond it: with ``d(x)``
    the distance at which ``x`` of quote has been taken, the cost is ``1/Q × ∫ d(x) dx`` from 0 to Q. A stretch without
    depth is stepped over, and left out at the end.
    """
    near, within, left, cost = 0.0, 0.0, quantity, 0.0
    for distance, quote in levels:
        band = quote - within
        if band > 0:
            taken = left if quote >= levels[-1][1] else min(left, band)
            cost += taken * (near + (distance - near) * taken / band / 2)
            left -= taken
        near, within = distance, quote
    return cost / quantity if quantity > 0 else 0.0


def linear_depth(quantity: float, depth: float, within: float = 0.01) -> float:
    """Relative move at the end of an order, ``depth`` being the notional evenly spread ``within`` of the mid.

    The average cost is half of it.
    """
    return quantity / depth * within


def book_walk(levels: Iterable[tuple[float, float]], size: float) -> Filled:
    """Through (price, size) levels, best first; less than ``size`` where the book ends."""
    left, paid = size, 0.0
    for price, offered in levels:
        taken = min(left, offered)
        paid += taken * price
        left -= taken
    filled = size - left
    return Filled(filled, paid / filled if filled else math.nan)


def adverse_move(k: float, sigma: float, delay_ms: float) -> float:
    """Rate that the market moves against an order on its way: ``k × σ × √(delay / day)``.

    For candles that are long against the delay, inside which the path of prices says little about a second. A random
    walk moves by √(2/π) = 0.8 of σ √t on average, up or down: k = 0.8 is an order that always runs after the price, 0
    one that knows nothing of where it goes.
    """
    return k * sigma * math.sqrt(delay_ms / DAY_MS)
