"""Where health that is made of straight lines in one price meets zero."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Line:
    """``start + slope × price``: micro-units of the quote."""

    slope: Fraction
    start: Fraction


def crossing(lines: Iterable[Line], long: bool) -> Fraction | None:
    """The price at which the lowest of the lines is zero, on the side that hurts the position; None: at no price.

    A minimum of straight lines is concave, so it is at or above zero between two prices: the largest root of the rising
    lines and the smallest root of the falling ones. A long is hurt below the first, a short above the second; where
    that side has none above zero, the other side's (of a position that hedges others, the gain may be what hurts).
    """
    parts = list(lines)
    if any(line.slope == 0 and line.start < 0 for line in parts):
        return None
    below = max((-line.start / line.slope for line in parts if line.slope > 0), default=None)
    above = min((-line.start / line.slope for line in parts if line.slope < 0), default=None)
    if below is not None and above is not None and below > above:
        return None
    sides = (below, above) if long else (above, below)
    return next((price for price in sides if price is not None and price > 0), None)
