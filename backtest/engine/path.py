"""Prices inside a candle: knots, straight lines between them, one decision about their order (rules.md section 3).

Times are thirds of a millisecond from the candle's open; `d` is the candle's interval in milliseconds. `off` is the
panel field of the series' open: 0 for trades, `run[MARK]` for marks.

A candle has its knots at 0, d, 2d, 3d. The mark of an oracle (rules-layer2.md section 4) has six: the open, the
close, and between them those that come `late` after the open, or a multiple of `d` from there. Two of them, number
`late // d + 1` and the one behind it, are at `late` itself, where the path jumps. For a candle `late` is CANDLE. Where
a price `holds` until the next knot the path is a staircase.
"""

from __future__ import annotations

import numpy as np

from backtest.engine.compile import inlined, kernel
from backtest.engine.layout import BEST, CANDLE, COHERENT, WORST, Floats
from backtest.engine.money import between, money

SAME = 1.0 - 1e-12
"""A product of close/open within rounding of 1 counts as 1."""
INNER = 3
"""Panel field of an oracle's knot 0 if its inner ones were counted from there: they stand behind its close."""


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
def last_knot(late: int) -> int:
    """The number of the knot at the close."""
    return 3 if late == CANDLE else 5


@inlined
def knot(panel: Floats, off: int, j: int, i: int, lows: bool, s: int, late: int) -> float:
    """Price at knot `s` of the coherent path."""
    if late != CANDLE:
        return panel[off if s == 0 else off + 3 if s == 5 else off + INNER + s, j, i]
    if s == 0 or s == 3:
        return panel[off + s, j, i]
    # fields: open, high, low, close
    return panel[off + (2 if (s == 1) == lows else 1), j, i]


@inlined
def knot_time(s: int, late: int, d: int) -> int:
    """When knot `s` is."""
    if late == CANDLE:
        return s * d
    if s == 0 or s == 5:
        return 3 * d * (s // 5)
    return late % d + (s - 1 if s <= late // d + 1 else s - 2) * d


@inlined
def knot_at(t: int, late: int, d: int) -> int:
    """The last knot at or before `t`."""
    if late == CANDLE:
        return t // d
    if t < late % d:
        return 0
    if t == 3 * d:
        return 5
    s = (t - late % d) // d
    return s + 1 if s < late // d else s + 2


@inlined
def knot_from(t: int, late: int, d: int) -> int:
    """The first knot at or after `t`."""
    s = 0
    while knot_time(s, late, d) < t:
        s += 1
    return s


@kernel
def value_at(
    panel: Floats, off: int, j: int, i: int, lows: bool, t: int, d: int, u: int, late: int, holds: bool
) -> int:
    """Value in micro of `u` micro-base at time `t` of the coherent path, behind a jump that is there."""
    s = knot_at(t, late, d)
    a, since = money(knot(panel, off, j, i, lows, s, late), u), knot_time(s, late, d)
    if holds or t == since:
        return a
    b = money(knot(panel, off, j, i, lows, s + 1, late), u)
    return between(a, b, t - since, knot_time(s + 1, late, d) - since)


@kernel
def price_at(panel: Floats, off: int, j: int, i: int, lows: bool, t: int, d: int, late: int, holds: bool) -> float:
    """Price at time `t` of the coherent path, behind a jump that is there; a report value: money is from `value_at`."""
    s = knot_at(t, late, d)
    a, since = knot(panel, off, j, i, lows, s, late), knot_time(s, late, d)
    if holds or t == since:
        return a
    share = float(t - since) / float(knot_time(s + 1, late, d) - since)
    return a + (knot(panel, off, j, i, lows, s + 1, late) - a) * share


@kernel
def check_knot(panel: Floats, path: int, off: int, j: int, i: int, lows: bool, s: int, u: int, late: int) -> float:
    """Mark price at knot `s` of the path that the liquidation check of `--path` follows; not of BEST."""
    if path == COHERENT or s == 0 or s == 3:
        return knot(panel, off, j, i, lows, s, late)
    return panel[off + (2 if u > 0 else 1), j, i]


@kernel
def check_value(
    panel: Floats,
    path: int,
    off: int,
    j: int,
    i: int,
    lows: bool,
    t: int,
    d: int,
    u: int,
    late: int,
    holds: bool,
    before: bool,
) -> int:
    """Value in micro of `u` micro-base at time `t` of the check's path, behind a jump there or `before` it."""
    if path == BEST:
        a = money(panel[off, j, i], u)
        if t == 0 or (holds and t < 3 * d):
            return a
        return between(a, money(panel[off + 3, j, i], u), t, 3 * d)
    if path == WORST:
        late = CANDLE
    s = knot_at(t, late, d)
    if before and t > 0 and t == late:
        return money(check_knot(panel, path, off, j, i, lows, s - 1, u, late), u)
    a, since = money(check_knot(panel, path, off, j, i, lows, s, u, late), u), knot_time(s, late, d)
    if holds or t == since:
        return a
    b = money(check_knot(panel, path, off, j, i, lows, s + 1, u, late), u)
    return between(a, b, t - since, knot_time(s + 1, late, d) - since)


@kernel
def next_knot(path: int, t: int, d: int, late: int) -> int:
    """When the first knot of the check's path after time `t` is."""
    if path == BEST:
        return 3 * d
    rest = late % d if path == COHERENT and late != CANDLE else 0
    return rest if t < rest else min(3 * d, rest + ((t - rest) // d + 1) * d)
