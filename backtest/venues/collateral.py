"""What collateral counts for and what a liability weighs, by size. Exact on the venue's grids, 1e-4 for a weight.

The square root is of the size in 1e-10 units plus one, rounded down to 1e-5. Source: docs/reference/venues.md.
"""

from __future__ import annotations

import math
from fractions import Fraction

GRID = Fraction(1, 10**4)
_RATE_GRID = Fraction(1, 10**6)


def _root(size: Fraction) -> Fraction:
    return Fraction(math.isqrt(math.floor(size * 10**10) + 1), 10**5)


def _down(amount: Fraction, grid: Fraction) -> Fraction:
    return math.floor(amount / grid) * grid


def asset_weight(size: Fraction, weight: Fraction, factor: Fraction) -> Fraction:
    """``min(weight, 1.1 / (1 + factor × √size))``, rounded down; without a factor the weight."""
    if not factor:
        return weight
    return min(weight, _down(Fraction(11, 10) / (1 + _down(_root(size) * factor, _RATE_GRID)), GRID))


def liability_weight(size: Fraction, weight: Fraction, factor: Fraction) -> Fraction:
    """``max(weight, 0.8 × weight + factor × √size)``, both terms rounded down."""
    return max(weight, weight - _down(weight / 5, GRID) + _down(_root(size) * factor, GRID))


def scaled_weight(deposits_value: Fraction, start: Fraction, weight: Fraction) -> Fraction:
    """An initial weight once all deposits are worth more than ``start``: ``weight × start / value``, rounded down."""
    return weight if not start or deposits_value <= start else _down(weight * start / deposits_value, GRID)
