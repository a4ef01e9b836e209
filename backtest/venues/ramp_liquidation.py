"""`Take.RAMP`: closing what covers a share of the margin shortage, a share and fees that grow with time.

Exact rationals in the caller's units: a shortage in quote, a price in quote per base, sizes in base.
Source: docs/reference/venues.md.
"""

from __future__ import annotations

import math
from fractions import Fraction

from backtest.venues.requirement import decimal
from backtest.venues.terms import Law

BASE_GRID = Fraction(1, 10**9)


def ramp_share(shortage_micro: int, law: Law, elapsed_ms: int, freed_micro: int = 0) -> Fraction:
    """Share of the shortage that may be covered now.

    ``p = min(1, start + elapsed / duration)`` of the whole shortage, what has been freed before included:
    ``((shortage + freed) × p − freed) / shortage``, at least 0. A shortage below ``small_micro`` is covered whole.
    """
    if shortage_micro < law.small_micro:
        return Fraction(1)
    reached = min(Fraction(1), decimal(law.ramp_start) + Fraction(elapsed_ms, law.ramp_ms))
    return max(Fraction(0), ((shortage_micro + freed_micro) * reached - freed_micro) / shortage_micro)


def base_to_cover(
    shortage: Fraction,
    price: Fraction,
    margin_rate: Fraction,
    liquidator_fee: Fraction,
    insurance_fee: Fraction,
    quote_price: Fraction = Fraction(1),
) -> Fraction | None:
    """Base to close so that the shortage is covered; None: no amount covers it, the whole position goes.

    ``shortage / (price × quote price × (rate − liquidator fee) − price × insurance fee)``, rounded down to 1e-9.
    """
    freed = price * quote_price * (margin_rate - liquidator_fee) - price * insurance_fee
    return math.floor(shortage / freed / BASE_GRID) * BASE_GRID if freed > 0 else None


def insurance_fee(
    shortage: Fraction,
    base: Fraction,
    price: Fraction,
    margin_rate: Fraction,
    liquidator_fee: Fraction,
    most: Fraction,
    safety: Fraction = Fraction(95, 100),
) -> Fraction:
    """What the insurance fund takes of a liquidation, share of its value.

    ``safety × (rate − liquidator fee − shortage / (base × price))``, between 0 and ``most``: never all that the close
    frees.
    """
    if not base or not price:
        return Fraction(0)
    return min(most, max(Fraction(0), safety * (margin_rate - liquidator_fee - shortage / (base * price))))


def escalated_fee(
    base_fee: Fraction, most: Fraction, slots: int, grace: int = 1500, per_slot: Fraction = Fraction(1, 10**6)
) -> Fraction:
    """Liquidator's fee after a liquidation has waited: flat for ``grace`` slots, then every elapsed slot adds to it."""
    return base_fee if slots < grace else min(most, base_fee + slots * per_slot)
