"""When an order at the venue acts: on the way inside a row, in a jump, or once a halt is over.

rules-orders.md section 5.
"""

from __future__ import annotations

import numpy as np

from backtest.engine.compile import inlined, kernel
from backtest.engine.journal import TRAILING_STOP
from backtest.engine.layout import (
    ACTED,
    ARMED,
    BEST_PRICE,
    BY_MARK,
    CANDLE,
    FROZEN,
    HOLDS,
    INTERVAL,
    LAST_MARK,
    LAST_TRADE,
    LATE,
    MARK,
    STATE,
    TOUCH,
    TYPE,
    WORKING,
)
from backtest.engine.levels import beyond, follow, has_limit, level_of
from backtest.engine.outage import STILL
from backtest.engine.path import knot, knot_time, last_knot, price_at
from backtest.engine.room import room
from backtest.engine.world import World

NEVER = 1e300


@kernel
def meets(w: World, j: int, i: int, lows: bool, at: int, passed: float, t_ms: int, short: bool) -> tuple[float, float]:
    """When from `passed` thirds on the order at `at` acts, and the level that its path meets on the way; NEVER: not in
    this row; NaN: it is beyond its level already. `short`: the path of an oracle's mark only up to its jump."""
    m = w.queue[at]
    armed = m[STATE] == ARMED
    if not armed and not (m[STATE] == WORKING and has_limit(int(m[TYPE]))):
        return NEVER, np.nan
    by_mark = armed and m[BY_MARK] != 0.0
    off = int(w.run[MARK]) if by_mark else 0
    if by_mark and w.acct[FROZEN] >= STILL:
        return NEVER, np.nan  # what stands still meets nothing
    if np.isnan(w.panel[off, j, i]) or (not armed and room(w, j, i, t_ms, True) == 0):
        return NEVER, np.nan
    d, touch, holds = int(w.run[INTERVAL]), w.run[TOUCH] != 0.0, by_mark and w.run[HOLDS] != 0.0
    late = late_for(w, at)
    trails = armed and m[TYPE] == TRAILING_STOP
    kept = m[BEST_PRICE]
    found, met = NEVER, np.nan
    first, last = segment(passed, late, d), last_knot(late)
    if short and late != CANDLE:
        last = late // d + 1
        first = min(first, last - 1)
    for s in range(first, last):
        level = level_of(w.queue, at)
        a, b = knot(w.panel, off, j, i, lows, s, late), knot(w.panel, off, j, i, lows, s + 1, late)
        if beyond(w.queue, at, b, level, touch):
            found = passed
            if not beyond(w.queue, at, a, level, touch):
                since, until = float(knot_time(s, late, d)), float(knot_time(s + 1, late, d))
                # what holds until the knot has jumped there
                way = until - since if holds else (level - a) / (b - a) * (until - since)
                found, met = max(passed, since + way), level
            break
        if trails:
            follow(w.queue, at, b)  # only to look ahead: what it has followed so far is put back
    m[BEST_PRICE] = kept
    return found, met


@kernel
def segment(passed: float, late: int, d: int) -> int:
    """The segment that holds `passed`; of a knot the last one that ends with it."""
    s, last = 0, last_knot(late) - 1
    while s < last and (knot_time(s + 1, late, d) < passed or knot_time(s + 2, late, d) <= passed):
        s += 1
    return s


@inlined
def late_for(w: World, at: int) -> int:
    """How late the path is that the order at `at` looks at, as `path` has it."""
    return int(w.run[LATE]) if w.queue[at, STATE] == ARMED and w.queue[at, BY_MARK] != 0.0 else CANDLE


@kernel
def before(w: World, off: int, j: int, i: int, t: int) -> float:
    """The series' last close before panel row `j`, or before its jump at `t` inside the row."""
    if t > 0:
        late = int(w.run[LATE])
        return knot(w.panel, off, j, i, True, late // int(w.run[INTERVAL]) + 1, late)
    for back in range(j - 1, -1, -1):
        price = w.panel[off + 3, back, i]
        if not np.isnan(price):
            return price
    return w.spec[i, LAST_TRADE if off == 0 else LAST_MARK]


@kernel
def way_to(w: World, j: int, i: int, at: int, t: int, t_ms: int) -> float:
    """How far on the jump the order's level lies; 2 if it is not beyond it behind the jump, or cannot act."""
    m = w.queue[at]
    armed = m[STATE] == ARMED
    by_mark = armed and m[BY_MARK] != 0.0
    off = int(w.run[MARK]) if by_mark else 0
    if (by_mark and w.acct[FROZEN] == STILL) or (t > 0 and not by_mark):
        return 2.0
    level, opened = level_of(w.queue, at), w.panel[off, j, i]
    if t > 0:
        late = int(w.run[LATE])
        opened = knot(w.panel, off, j, i, True, late // int(w.run[INTERVAL]) + 2, late)
    if np.isnan(level) or not beyond(w.queue, at, opened, level, w.run[TOUCH] != 0.0):
        return 2.0
    if not armed and (m[ACTED] == float(3 * t_ms) or room(w, j, i, t_ms, True) == 0):
        return 2.0
    closed = before(w, off, j, i, t)
    if opened == closed:
        return 0.0
    return min(1.0, max(0.0, (level - closed) / (opened - closed)))


@kernel
def left_behind(w: World, j: int, i: int, lows: bool, at: int, t: int, t_ms: int) -> bool:
    """Whether the order at `at` is beyond its level at `t` and has not acted there."""
    m = w.queue[at]
    armed = m[STATE] == ARMED
    if not armed and not (m[STATE] == WORKING and has_limit(int(m[TYPE]))):
        return False
    by_mark = armed and m[BY_MARK] != 0.0
    off = int(w.run[MARK]) if by_mark else 0
    if (by_mark and w.acct[FROZEN] == STILL) or np.isnan(w.panel[off, j, i]) or m[ACTED] == float(3 * t_ms + t):
        return False
    holds = by_mark and w.run[HOLDS] != 0.0
    price = price_at(w.panel, off, j, i, lows, t, int(w.run[INTERVAL]), late_for(w, at), holds)
    if not beyond(w.queue, at, price, level_of(w.queue, at), w.run[TOUCH] != 0.0):
        return False
    return armed or room(w, j, i, t_ms, True) > 0


@kernel
def waits(w: World, j: int, i: int, at: int, t_ms: int) -> bool:
    """Whether the order at `at` is a market order that waits for a price or for volume, and has not been tried yet."""
    m = w.queue[at]
    tried = m[ACTED] == float(3 * t_ms) or np.isnan(w.panel[0, j, i])
    return m[STATE] == WORKING and not has_limit(int(m[TYPE])) and not tried
