"""Who bears a loss that no fund covers, where a venue spreads it. Source: docs/reference/venues.md."""

from __future__ import annotations

import math
from fractions import Fraction

from backtest.core.errors import Broken
from backtest.venues.requirement import MICRO, Exact, magnitude


def loss_per_base(loss_micro: int, long_units: Exact, short_units: Exact) -> int:
    """Micro-units of quote that every unit of base held pays, on both sides: ``⌈loss / (|long| + |short|)⌉``.

    The open interests are micro-units of base. Rounded up, so that the loss is covered.
    """
    open_units = magnitude(long_units) + magnitude(short_units)
    if not open_units:
        raise Broken("nobody holds the market that is to bear the loss")
    return math.ceil(Fraction(abs(loss_micro) * MICRO) / open_units)


def loss_per_deposit(loss: Fraction, deposits: Fraction, grid: Fraction = Fraction(1, 10**10)) -> Fraction:
    """Share by which every deposit is written down: ``loss / deposits``, rounded up to the grid; 0 without deposits."""
    return math.ceil(loss / deposits / grid) * grid if deposits else Fraction(0)
