"""What an order at the venue does when its time has come (docs/reference/rules-orders.md sections 2 to 5)."""

from __future__ import annotations

import numpy as np

from backtest.engine.admission import may_work
from backtest.engine.compile import kernel
from backtest.engine.cost import within_band
from backtest.engine.ends import finish
from backtest.engine.fill import fill
from backtest.engine.journal import (
    BEYOND_BAND,
    CANCELLED,
    FILLED,
    FOK,
    IOC,
    IS_ARMED,
    IS_TRIGGERED,
    IS_WORKING,
    NO_REASON,
    NOT_AT_ONCE,
    NOT_REDUCING,
    NOT_WHOLE,
    REJECTED,
    TRAILING_STOP,
    WOULD_TAKE,
    put_state,
)
from backtest.engine.layout import (
    ACTED,
    ARMED,
    BY_MARK,
    CANDLE,
    DUE,
    FLYING,
    FOLLOWED,
    FOLLOWED_TO,
    INTERVAL,
    LATE,
    LEFT,
    LIMIT_AT,
    POST_ONLY,
    REDUCE_ONLY,
    STATE,
    STOP_AT,
    SYMBOL,
    TIF,
    TRIGGERED,
    TYPE,
    WOKEN,
)
from backtest.engine.levels import beyond, follow, followed, has_limit, trail_level
from backtest.engine.outage import seen
from backtest.engine.path import knot_at, knot_time, price_at
from backtest.engine.room import room
from backtest.engine.slots import find_order, look_again, pause, work
from backtest.engine.virtual import held_by, owner_of
from backtest.engine.world import World


@kernel
def execute(w: World, k: int, j: int, lows: bool, t: int, t_ms: int, at: int, level: float, fresh: bool) -> None:
    """Execute the order at `at` as a market or limit order that stands at the venue with a price now.

    `level`: the price, where it is not the trade path's at `t`, else NaN; `fresh`: it is just arriving.
    """
    m = w.queue[at]
    i, now = int(m[SYMBOL]), t_ms + t // 3
    if not take_up(w, at, t, t_ms):
        return
    if np.isnan(w.panel[0, j, i]):
        rest(w, j, lows, t, at, now)
        return
    if has_limit(int(m[TYPE])):
        price = price_at(w.panel, 0, j, i, lows, t, int(w.run[INTERVAL]), CANDLE, False) if np.isnan(level) else level
        crosses = price <= m[LIMIT_AT] if m[LEFT] > 0.0 else price >= m[LIMIT_AT]
        if not crosses:
            rest(w, j, lows, t, at, now)
            return
        if m[POST_ONLY] != 0.0:
            finish(w, at, now, REJECTED, WOULD_TAKE, 0, 0)
            return
    lots, cost, allowed = min(int(abs(m[LEFT])), room(w, j, i, t_ms, False)), 0, 0
    if lots > 0:
        lots, cost, allowed = within_band(w, j, lows, t, at, lots, level, now)
    if m[TIF] == FOK and lots < abs(m[LEFT]):
        finish(w, at, now, CANCELLED, NOT_WHOLE, 0, 0)
        return
    if lots > 0:
        signed = lots if m[LEFT] > 0.0 else -lots
        reason, have, need = fill(w, k, j, lows, t, t_ms, at, signed, False, level, fresh)
        if reason != NO_REASON:
            finish(w, at, now, REJECTED, reason, have, need)
            return
    if m[LEFT] == 0.0:
        finish(w, at, now, FILLED, NO_REASON, 0, 0)
    elif cost > allowed:
        finish(w, at, now, REJECTED, BEYOND_BAND, cost, allowed)
    else:
        rest(w, j, lows, t, at, now)


@kernel
def take_up(w: World, at: int, t: int, t_ms: int) -> bool:
    """Note that the order acts; False if it could only reduce what is not there, and has ended."""
    pause(w, at, FLYING)
    # what acts at a row's close acts before the jump to the next open, which is the same instant
    w.queue[at, ACTED] = 3 * t_ms + t - (0.25 if t == 3 * int(w.run[INTERVAL]) else 0.0)
    if clip(w, at):
        return True
    finish(w, at, t_ms + t // 3, CANCELLED, NOT_REDUCING, 0, 0)
    return False


@kernel
def clip(w: World, at: int) -> bool:
    """Let a reduce-only order have no more than the position unfilled; False if there is none against it."""
    m = w.queue[at]
    if m[REDUCE_ONLY] == 0.0:
        return True
    held = held_by(w, owner_of(w, at), int(m[SYMBOL]))
    if held == 0 or (held > 0) == (m[LEFT] > 0.0):
        return False
    if abs(m[LEFT]) > abs(held):
        m[LEFT] = -held
    return True


@kernel
def rest(w: World, j: int, lows: bool, t: int, at: int, now: int) -> None:
    """Let what cannot be filled now work, if its time in force and margin allow it."""
    m = w.queue[at]
    if m[TIF] == IOC or m[TIF] == FOK:
        finish(w, at, now, CANCELLED, NOT_AT_ONCE if m[TIF] == IOC else NOT_WHOLE, 0, 0)
        return
    reason, have, need = may_work(w, j, lows, t, at)
    if reason != NO_REASON:
        finish(w, at, now, REJECTED, reason, have, need)
    else:
        put_state(w, at, now, IS_WORKING, NO_REASON)


@kernel
def make(w: World, k: int, j: int, lows: bool, t: int, t_ms: int, at: int) -> None:
    """Fill a resting limit as maker, at its limit, as far as there is room."""
    m = w.queue[at]
    i, now = int(m[SYMBOL]), t_ms + t // 3
    if not take_up(w, at, t, t_ms):
        return
    lots = min(int(abs(m[LEFT])), room(w, j, i, t_ms, True))
    signed = lots if m[LEFT] > 0.0 else -lots
    reason, have, need = fill(w, k, j, lows, t, t_ms, at, signed, True, m[LIMIT_AT], False)
    if reason != NO_REASON:
        finish(w, at, now, REJECTED, reason, have, need)
        return
    if m[LEFT] == 0.0:
        finish(w, at, now, FILLED, NO_REASON, 0, 0)
    else:
        work(w, at)


@kernel
def trigger(w: World, k: int, j: int, lows: bool, t: int, t_ms: int, at: int, level: float) -> None:
    """Release an armed order: from now on it is a market or a limit order."""
    now = t_ms + t // 3
    w.queue[at, TRIGGERED] = now
    if w.queue[at, TYPE] == TRAILING_STOP:
        w.queue[at, STOP_AT] = trail_level(w.queue, at)
    put_state(w, at, now, IS_TRIGGERED, NO_REASON)
    execute(w, k, j, lows, t, t_ms, at, level, False)


@kernel
def arm(w: World, at: int, t: int, t_ms: int, price: float) -> None:
    """Let a conditional order wait for its trigger; `price` of that series now, from which a trailing stop starts."""
    m = w.queue[at]
    pause(w, at, ARMED)
    look_again(w, at)
    if m[TYPE] == TRAILING_STOP:
        follow(w.queue, at, price)
        # A knot at this very instant comes after it: what woke the order may have been met a hair before.
        d, late = int(w.run[INTERVAL]), int(w.run[LATE]) if m[BY_MARK] != 0.0 else CANDLE
        last = knot_at(t, late, d)
        if knot_time(last, late, d) == t:
            last, w.acct[FOLLOWED_TO] = last - 1, -1
        m[FOLLOWED] = followed(t_ms, last)
    put_state(w, at, t_ms + t // 3, IS_ARMED, NO_REASON)


@kernel
def trigger_price(w: World, j: int, lows: bool, t: int, at: int, level: float) -> float:
    """The price now on the path that the order's trigger looks at; NaN in a gap of the trades."""
    m = w.queue[at]
    i, d = int(m[SYMBOL]), int(w.run[INTERVAL])
    if m[BY_MARK] != 0.0:
        panel, off, row, late, holds = seen(w, j)
        return price_at(panel, off, row, i, lows, t, d, late, holds)
    return price_at(w.panel, 0, j, i, lows, t, d, CANDLE, False) if np.isnan(level) else level


@kernel
def begin(w: World, k: int, j: int, lows: bool, t: int, t_ms: int, at: int, level: float) -> None:
    """Let a child begin, whose parent has been filled at `level` (NaN: at the trade path)."""
    m = w.queue[at]
    m[DUE] = 0.0
    w.acct[WOKEN] -= 1
    if m[TYPE] == TRAILING_STOP or not np.isnan(m[STOP_AT]):
        price = trigger_price(w, j, lows, t, at, level)
        m[STATE] = ARMED
        if m[TYPE] != TRAILING_STOP and beyond(w.queue, at, price, m[STOP_AT], False):
            trigger(w, k, j, lows, t, t_ms, at, level)
        else:
            arm(w, at, t, t_ms, price)
    else:
        execute(w, k, j, lows, t, t_ms, at, level, False)


@kernel
def wake_children(
    w: World, k: int, j: int, lows: bool, t: int, t_ms: int, number: int, count: int, level: float
) -> None:
    """Let the children begin that the last act has woken, in order of number: those of the order `number` are among the
    `count` that were numbered after it."""
    for n in range(number + 1, number + 1 + (count if w.acct[WOKEN] > 0 else 0)):
        at = find_order(w, n)
        if at >= 0 and w.queue[at, DUE] != 0.0:
            begin(w, k, j, lows, t, t_ms, at, level)
