"""The levels at which orders at the venue act: triggers, limits, trailing stops (rules-orders.md section 5)."""

from __future__ import annotations

import numpy as np

from backtest.engine.compile import inlined, kernel
from backtest.engine.journal import LIMIT_ORDER, STOP_LIMIT, STOP_MARKET, TAKE_PROFIT_LIMIT, TRAILING_STOP
from backtest.engine.layout import (
    ACTIVATION,
    ARMED,
    BEST_PRICE,
    BY_MARK,
    EXPIRES_AT,
    FALL,
    LIMIT_AT,
    MARK,
    MARK_FALL,
    MARK_RISE,
    RESTING,
    RISE,
    SIZE,
    STALE,
    STATE,
    STOP_AT,
    TRAIL,
    TRAIL_SHARE,
    TYPE,
    WORKING,
    Floats,
    Floats3,
)
from backtest.engine.slots import first_of, next_of
from backtest.engine.world import World


@inlined
def has_limit(kind: int) -> bool:
    """Whether orders of that type have a limit price."""
    return kind in (LIMIT_ORDER, STOP_LIMIT, TAKE_PROFIT_LIMIT)


@kernel
def rises(queue: Floats, at: int) -> bool:
    """Whether the conditional order acts at or above its level: a stop that buys, a take-profit that sells."""
    kind = int(queue[at, TYPE])
    stops = kind in (STOP_MARKET, STOP_LIMIT, TRAILING_STOP)
    return stops == (queue[at, SIZE] > 0.0)


@kernel
def trail_level(queue: Floats, at: int) -> float:
    """`best × (1 ∓ r)`, or `best ∓ a`: where a trailing stop that sells (−) or buys (+) stands; NaN: nowhere yet."""
    best, trail = queue[at, BEST_PRICE], queue[at, TRAIL]
    if queue[at, SIZE] > 0.0:
        return best * (1.0 + trail) if queue[at, TRAIL_SHARE] != 0.0 else best + trail
    return best * (1.0 - trail) if queue[at, TRAIL_SHARE] != 0.0 else best - trail


@kernel
def level_of(queue: Floats, at: int) -> float:
    """The price at which an order at the venue acts; NaN: it waits for no price, or has no level yet."""
    if queue[at, STATE] == ARMED:
        return trail_level(queue, at) if queue[at, TYPE] == TRAILING_STOP else queue[at, STOP_AT]
    if queue[at, STATE] == WORKING and has_limit(int(queue[at, TYPE])):
        return queue[at, LIMIT_AT]
    return np.nan


@kernel
def beyond(queue: Floats, at: int, price: float, level: float, touch: bool) -> bool:
    """Whether `price` makes an order at the venue act at `level`; nothing does where either is NaN."""
    if queue[at, STATE] == ARMED:
        return price >= level if rises(queue, at) else price <= level
    if queue[at, SIZE] > 0.0:
        return price < level or (touch and price == level)
    return price > level or (touch and price == level)


@inlined
def followed(t_ms: int, s: int) -> float:
    """Column FOLLOWED of a trailing stop that knows the knots up to number `s` of the candle that opens at `t_ms`."""
    return float(8 * t_ms + s)


@kernel
def follow(queue: Floats, at: int, price: float) -> None:
    """Let a trailing stop follow its path to a knot at `price`; NaN: there is none."""
    if np.isnan(price):
        return
    best, buys = queue[at, BEST_PRICE], queue[at, SIZE] > 0.0
    if not np.isnan(best):
        queue[at, BEST_PRICE] = min(best, price) if buys else max(best, price)
    else:
        start = queue[at, ACTIVATION]
        if np.isnan(start) or (price <= start if buys else price >= start):
            queue[at, BEST_PRICE] = price


@kernel
def refresh(w: World, i: int) -> None:
    """The nearest prices at which something may happen to the symbol's orders, into RISE, FALL and MARK_*."""
    w.book[i, STALE] = 0
    w.spec[i, RISE], w.spec[i, FALL], w.spec[i, MARK_RISE], w.spec[i, MARK_FALL] = np.inf, -np.inf, np.inf, -np.inf
    at = first_of(w.book, i)
    while at >= 0:
        m = w.queue[at]
        rise, fall = RISE, FALL
        if m[STATE] == ARMED:
            if m[BY_MARK] != 0.0:
                rise, fall = MARK_RISE, MARK_FALL
            up, down = reach(w.queue, at)
            w.spec[i, rise], w.spec[i, fall] = min(w.spec[i, rise], up), max(w.spec[i, fall], down)
        elif m[STATE] == WORKING and not has_limit(int(m[TYPE])):
            w.spec[i, RISE] = -np.inf  # it waits for any price
        elif m[STATE] == WORKING and m[SIZE] > 0.0:
            w.spec[i, FALL] = max(w.spec[i, FALL], m[LIMIT_AT])
        elif m[STATE] == WORKING:
            w.spec[i, RISE] = min(w.spec[i, RISE], m[LIMIT_AT])
        at = next_of(w.queue, at)


@kernel
def reach(queue: Floats, at: int) -> tuple[float, float]:
    """`(up, down)`: prices at or beyond which an armed order triggers, or a trailing one has something to follow."""
    if queue[at, TYPE] != TRAILING_STOP:
        stop = queue[at, STOP_AT]
        return (stop, -np.inf) if rises(queue, at) else (np.inf, stop)
    best, buys = queue[at, BEST_PRICE], queue[at, SIZE] > 0.0
    if np.isnan(best):
        start = queue[at, ACTIVATION]
        if np.isnan(start):
            return -np.inf, np.inf
        return (np.inf, start) if buys else (start, -np.inf)
    return (trail_level(queue, at), best) if buys else (best, trail_level(queue, at))


@kernel
def reached(w: World, j: int, i: int) -> bool:
    """Whether panel row `j` reaches a level of the symbol's orders; not where it has none."""
    if first_of(w.book, i) < 0:
        return False
    if w.book[i, STALE] != 0:
        refresh(w, i)
    if touched(w.panel, w.spec, 0, j, i, RISE):
        return True
    by_mark = w.spec[i, MARK_RISE] < np.inf or w.spec[i, MARK_FALL] > -np.inf
    return by_mark and touched(w.panel, w.spec, int(w.run[MARK]), j, i, MARK_RISE)


@kernel
def may_act(w: World, j: int, t_end: int) -> bool:
    """Whether an order at the venue may act in panel row `j`, or its time is up by its close at `t_end`."""
    if w.acct[RESTING] == 0:
        return False
    if w.acct[EXPIRES_AT] < t_end:
        return True
    for i in range(w.spec.shape[0]):
        if reached(w, j, i):
            return True
    return False


@inlined
def touched(panel: Floats3, spec: Floats, off: int, j: int, i: int, rise: int) -> bool:
    """Whether the candle, open and close included, reaches the levels in columns `rise` and the one behind it."""
    up, down = spec[i, rise], spec[i, rise + 1]
    return (
        panel[off + 1, j, i] >= up
        or panel[off + 2, j, i] <= down
        or panel[off, j, i] >= up
        or panel[off, j, i] <= down
        or panel[off + 3, j, i] >= up
        or panel[off + 3, j, i] <= down
    )
