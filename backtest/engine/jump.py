"""From a close to the next open: orders and liquidations that the prices jump over, in the order of the way.

rules-orders.md section 5. All of it happens behind the jump; the way only says what comes first. An oracle's mark
jumps inside the row, where the market's has at an open a delay before (docs/reference/rules-layer2.md section 4).
"""

from __future__ import annotations

import numpy as np

from backtest.engine.acts import perform
from backtest.engine.compile import kernel
from backtest.engine.layout import (
    ACTED,
    ARMED,
    BY_MARK,
    CROSSED,
    FROZEN,
    INTERVAL,
    LAST_MARK,
    LAST_TRADE,
    LATE,
    LOTS,
    MARK,
    RESTING,
    SINCE,
    SPARED,
    STATE,
    TOUCH,
    VALUE_A,
    VALUE_X,
)
from backtest.engine.levels import beyond, level_of, reached
from backtest.engine.liquidation import check_pool, find
from backtest.engine.margin import cross_pool, equity_of, first_pool, in_pool, maintenance_of, pool_span, units
from backtest.engine.money import money
from backtest.engine.outage import STILL
from backtest.engine.path import knot
from backtest.engine.room import room
from backtest.engine.slots import earlier, first_of, next_of
from backtest.engine.world import World


@kernel
def jump(w: World, k: int, j: int, lows: bool, t: int, t_ms: int) -> None:
    """Let happen what a jump has passed, orders and liquidations: that of all series at the open of panel row `j`, or
    that of the marks alone at `t` inside it."""
    while True:
        way, at = first_order(w, j, t, t_ms)
        pool_way, p = first_pool_over(w, j, lows, t, t_ms)
        if p >= 0 and pool_way <= way:
            check_pool(w, k, j, lows, t, t_ms, p)
        elif at >= 0:
            perform(w, k, j, lows, t, t_ms, at, np.nan)
        else:
            return


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
def first_order(w: World, j: int, t: int, t_ms: int) -> tuple[float, int]:
    """`(s, slot)` of the order that the jump at `t` meets first, slot −1: none; `s` from 0, the price before the jump,
    to 1, the one behind it."""
    best_s, best_at = 2.0, -1
    for i in range(w.spec.shape[0] if w.acct[RESTING] > 0 else 0):
        if not reached(w, j, i):
            continue
        at = first_of(w.book, i)
        while at >= 0:
            s = way_to(w, j, i, at, t, t_ms)
            if s < best_s or (s == best_s and s <= 1.0 and earlier(w.queue, at, best_at)):
                best_s, best_at = s, at
            at = next_of(w.queue, at)
    return best_s, best_at


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
def first_pool_over(w: World, j: int, lows: bool, t: int, t_ms: int) -> tuple[float, int]:
    """`(s, pool)` of the pool with something to do at `t` whose health passes zero first on the jump; −1: none."""
    best_s, best_p = 2.0, -1
    if w.acct[SPARED] != 0:
        return best_s, best_p
    for p in range(first_pool(w.run, w.spec), cross_pool(w.spec) + 1):
        find(w, p, j, lows, t, t, t_ms)
        if w.book[p, CROSSED] < 0:
            continue
        s = 0.0
        if w.book[p, SINCE] < 0:
            here = equity_of(w, p, VALUE_X) - maintenance_of(w, p, VALUE_X)
            value_before(w, p, j, t)
            there = equity_of(w, p, VALUE_A) - maintenance_of(w, p, VALUE_A)
            s = float(there) / float(there - here) if there > 0 else 0.0
        if s < best_s:
            best_s, best_p = s, p
    return best_s, best_p


@kernel
def value_before(w: World, p: int, j: int, t: int) -> None:
    """Values of pool `p` at the marks before the jump at `t` into scratch A."""
    first, last = pool_span(w.spec, p)
    for i in range(first, last):
        if in_pool(w.book, p, i):
            price = w.still[0, 0, i] if w.acct[FROZEN] == STILL else before(w, int(w.run[MARK]), j, i, t)
            w.book[i, VALUE_A] = money(price, units(w.spec, i, w.book[i, LOTS]))
