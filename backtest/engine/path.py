"""Prices inside a candle: four knots, straight lines, one decision about their order (docs/rules.md section 3).

Times are thirds of a millisecond from the candle's open; `d` is the candle's interval in milliseconds, so
knots lie at 0, d, 2d, 3d. `off` is the panel field of the series' open: 0 for trades, `run[MARK]` for marks.
Where a price `holds` until the next knot the path is a staircase (docs/rules-layer2.md section 4).
"""

from __future__ import annotations

import numpy as np

from backtest.engine.compile import inlined, kernel
from backtest.engine.layout import BEST, COHERENT, WORST, Floats
from backtest.engine.money import between, money

SAME = 1.0 - 1e-12
"""A product of close/open within rounding of 1 counts as 1."""


@kernel
def lows_first(panel: Floats, j: int) -> bool:
    """Whether all series of panel row `j` reach their lows before their highs."""
    product = 1.0
    for i in range(panel.shape[2]):
        opened = panel[0, j, i]
        if not np.isnan(opened):
            product *= panel[3, j, i] / opened
    return product >= SAME


@inlined
def knot(panel: Floats, off: int, j: int, i: int, lows: bool, s: int) -> float:
    """Price at knot `s` (0 to 3) of the coherent path."""
    if s == 0 or s == 3:
        return panel[off + s, j, i]
    # fields: open, high, low, close
    return panel[off + (2 if (s == 1) == lows else 1), j, i]


@kernel
def value_at(panel: Floats, off: int, j: int, i: int, lows: bool, t: int, d: int, u: int, holds: bool) -> int:
    """Value in micro of `u` micro-base at time `t` of the coherent path."""
    s = t // d
    a = money(knot(panel, off, j, i, lows, s), u)
    if holds or t == s * d:
        return a
    return between(a, money(knot(panel, off, j, i, lows, s + 1), u), t - s * d, d)


@kernel
def price_at(panel: Floats, off: int, j: int, i: int, lows: bool, t: int, d: int, holds: bool) -> float:
    """Price at time `t` of the coherent path, a report value: money comes from `value_at`."""
    s = t // d
    a = knot(panel, off, j, i, lows, s)
    if holds or t == s * d:
        return a
    return a + (knot(panel, off, j, i, lows, s + 1) - a) * (float(t - s * d) / float(d))


@kernel
def check_knot(panel: Floats, path: int, off: int, j: int, i: int, lows: bool, s: int, u: int) -> float:
    """Mark price at knot `s` of the path that the liquidation check of `--path` follows."""
    if path == COHERENT or s == 0 or s == 3:
        return knot(panel, off, j, i, lows, s)
    if path == WORST:
        return panel[off + (2 if u > 0 else 1), j, i]
    one, other = panel[off + 1, j, i], panel[off + 2, j, i]
    opened, closed = panel[off, j, i], panel[off + 3, j, i]
    return min(opened, one, other, closed) if u > 0 else max(opened, one, other, closed)


@kernel
def check_value(
    panel: Floats, path: int, off: int, j: int, i: int, lows: bool, t: int, d: int, u: int, holds: bool
) -> int:
    """Value in micro of a position of `u` micro-base at time `t` of the check's path."""
    if path == BEST:
        a = money(panel[off, j, i], u)
        if t == 0 or (holds and t < 3 * d):
            return a
        return between(a, money(panel[off + 3, j, i], u), t, 3 * d)
    s = t // d
    a = money(check_knot(panel, path, off, j, i, lows, s, u), u)
    if holds or t == s * d:
        return a
    return between(a, money(check_knot(panel, path, off, j, i, lows, s + 1, u), u), t - s * d, d)


@kernel
def next_knot(path: int, t: int, d: int) -> int:
    """The first knot of the check's path after time `t`."""
    return 3 * d if path == BEST else (t // d + 1) * d
