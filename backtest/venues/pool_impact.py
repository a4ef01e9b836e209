"""Price impact of a pool of liquidity: paid for unbalancing longs and shorts, earned for balancing them.

Source: docs/reference/venues.md.
"""

from __future__ import annotations

import math


def price_impact(
    initial_difference: float,
    next_difference: float,
    factor: float,
    exponent: float = 2.0,
    worsening_factor: float | None = None,
) -> float:
    """Quote that a trade earns (positive) or pays: ``factor × |before|^e − factor × |after|^e``.

    The differences are long less short open interest, in quote, signed. ``worsening_factor`` (by default the same) is
    that of a difference that grows; one that changes sign earns for the part before zero and pays for that after it.
    """
    worsening = factor if worsening_factor is None else worsening_factor
    before, after = math.pow(abs(initial_difference), exponent), math.pow(abs(next_difference), exponent)
    if initial_difference * next_difference < 0:
        return factor * before - worsening * after
    chosen = factor if after < before else worsening
    return chosen * before - chosen * after


def capped_impact(impact: float, notional: float, most_paid: float, most_earned: float) -> float:
    """The impact within the market's caps, shares of the trade's notional."""
    return min(most_earned * notional, max(-most_paid * notional, impact))
