"""How much one step of a liquidation closes, by the law's rule; and when a backstop takes over.

Sizes of a step are bounds on notional (micro-units of the quote) first, and become sizes last: `units_within`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from backtest.core.errors import Broken
from backtest.venues import requirement
from backtest.venues.margin_pool import Held, Pool
from backtest.venues.requirement import Exact, decimal, magnitude, share
from backtest.venues.terms import Law, Take, Terms


@dataclass(frozen=True)
class Bounds:
    """Least and most notional of a position that one step closes, micro."""

    least: int
    most: int


def block_bounds(notional_micro: int, law: Law) -> Bounds:
    """``least = min(minimum, n)``, ``most = max(least, n × portion)``, the portion rounded down."""
    least = min(law.minimum_micro, notional_micro)
    return Bounds(least, max(least, math.floor(notional_micro * decimal(law.portion))))


def remaining(limit_micro: int | None, used_micro: int) -> int | None:
    """What is left of a block's limit; None: no limit."""
    return None if limit_micro is None else max(0, limit_micro - used_micro)


def share_step(notional_micro: int, law: Law, since_ms: int | None = None, used_micro: int = 0) -> int:
    """`Take.SHARE`: notional that the next step closes.

    ``since_ms``: since the last step, None before the first; where whole positions go after it, that holds up to the
    law's cooldown (its interval, where it names none) and then starts again. ``used_micro``: already closed in this
    block, of the law's cap.
    """
    cooldown_ms = law.every_ms if law.cooldown_ms is None else law.cooldown_ms
    whole = law.then_whole and since_ms is not None and since_ms <= cooldown_ms
    whole = whole or notional_micro <= law.above_micro
    most = notional_micro if whole else block_bounds(notional_micro, law).most
    left = remaining(law.cap_micro, used_micro)
    return most if left is None else min(most, left)


def tier_step(terms: Terms, notional_micro: int) -> int:
    """`Take.TIER`: what lies above the lower edge of the position's tier; in the lowest tier the whole."""
    number = requirement.tier_of(terms, notional_micro)
    edge = terms.tiers[number - 1].upto_micro if number else 0
    if edge is None:
        raise Broken("only the last tier is open")
    return notional_micro - edge


def step_notional(held: Held, law: Law, since_ms: int | None = None, used_micro: int = 0) -> int:
    """Notional that a step closes of a position by `Take` POOL, POSITION, SHARE or TIER; RAMP: `ramp_liquidation`."""
    if law.take == Take.RAMP:
        raise Broken("a ramp goes by the pool's shortage")
    if law.take == Take.SHARE:
        return share_step(held.notional_micro, law, since_ms, used_micro)
    return tier_step(held.terms, held.notional_micro) if law.take == Take.TIER else held.notional_micro


def units_within(held: Held, most_micro: int, lot_units: Exact) -> Exact:
    """Unsigned size of the position that a bound on notional lets go, in micro-units of base.

    The whole position where it fits in the bound or is no more than a lot; else whole lots, rounded down, at least one.
    """
    size = magnitude(held.units)
    if held.notional_micro <= most_micro or size <= lot_units:
        return size
    lots = max(1, math.floor(most_micro / decimal(held.mark) / lot_units))
    return min(size, lots * lot_units)


def widest_spread(terms: Terms, law: Law) -> float:
    """Farthest that a liquidation's limit price goes from the mark, share of it: spread × lowest maintenance rate."""
    rate = (
        Fraction(terms.ceil.base_ppm * terms.ceil.fraction_ppm, requirement.MICRO**2)
        if terms.ceil is not None
        else decimal(terms.tiers[0].maintenance)
    )
    return float(decimal(law.spread_to_maintenance) * rate)


def to_tick(price: float | Fraction, tick: float | Fraction, closes_long: bool) -> float:
    """A limit price on the market's ticks: up for a sale (of a long), down for a purchase, at least one tick."""
    steps = decimal(price) / decimal(tick)
    return float(max(1, math.ceil(steps) if closes_long else math.floor(steps)) * decimal(tick))


def backstop_level(maintenance_micro: int, law: Law) -> int:
    """Equity below which a backstop takes the pool with all its margin; 0: none."""
    return share(maintenance_micro, law.backstop)


def backstopped(pool: Pool, law: Law) -> bool:
    """Whether the backstop takes it now."""
    return law.backstop > 0 and pool.equity < backstop_level(pool.maintenance, law)


def auction_discount(law: Law, elapsed_ms: int) -> float:
    """`Price.AUCTION`: ``min(most, start + per second × time)``, share of the mark."""
    return min(law.discount_max, law.discount_start + law.discount_per_s * elapsed_ms / 1000)
