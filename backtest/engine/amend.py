"""Amendments of orders at the venue (docs/reference/rules-orders.md section 10)."""

from __future__ import annotations

import numpy as np

from backtest.engine.admission import may_work
from backtest.engine.compile import kernel
from backtest.engine.ends import finish
from backtest.engine.execute import execute, trigger_price, wake_children
from backtest.engine.journal import (
    AMEND,
    BAD_AMENDMENT,
    BY_STRATEGY,
    CANCELLED,
    EXPIRED,
    GTC,
    IS_AMENDED,
    IS_ENDED,
    NO_REASON,
    NOT_OPEN,
    PAID_AMENDMENT,
    REJECTED,
    TRAILING_STOP,
    WOULD_TAKE,
    WOULD_TRIGGER,
    put_order,
    put_state,
)
from backtest.engine.layout import (
    ARMED,
    ARRIVES,
    CANDLE,
    CHILDREN,
    DONE_LOTS,
    DORMANT,
    FATE,
    FLYING,
    ID,
    INTERVAL,
    IS_LOST,
    LEFT,
    LIMIT_AT,
    PARENT,
    POST_ONLY,
    SIZE,
    STALE,
    STATE,
    STOP_AT,
    SYMBOL,
    TARGET,
    TIF,
    TOO_LATE,
    TYPE,
    WORKING,
)
from backtest.engine.levels import beyond, has_limit
from backtest.engine.path import price_at
from backtest.engine.slots import find_order, look_again, lull, pause, work
from backtest.engine.transfer import included
from backtest.engine.virtual import owner_of
from backtest.engine.world import World


@kernel
def amend(w: World, k: int, j: int, lows: bool, t: int, t_ms: int, message: int) -> None:
    """Change an order at the venue, or record why not; it keeps its place."""
    now = t_ms + t // 3
    at = find_order(w, int(w.queue[message, TARGET]))
    lost, have, need = included(w, j, lows, t, message, now, PAID_AMENDMENT)
    reason = lost if lost != NO_REASON else NOT_OPEN
    if at >= 0 and owner_of(w, at) == owner_of(w, message) and lost == NO_REASON:
        reason = BAD_AMENDMENT
        if fits(w, message, at):
            reason, have, need = change(w, j, lows, t, message, at)
    if reason != NO_REASON:
        fate, status = int(w.queue[message, FATE]), REJECTED
        if fate == TOO_LATE:
            status = EXPIRED
        elif fate == IS_LOST:
            w.queue[message, ARRIVES] = -1.0
        w.queue[message, TYPE], w.queue[message, TIF] = AMEND, GTC
        put_order(w, message, now, status, reason, have, need)
        put_state(w, message, now, IS_ENDED + status, reason)
        return
    m = w.queue[at]
    number, others = int(m[ID]), int(m[CHILDREN])
    if m[LEFT] == 0.0 and m[STATE] != DORMANT:
        finish(w, at, now, CANCELLED, BY_STRATEGY, 0, 0)
        return
    put_state(w, at, now, IS_AMENDED, NO_REASON)
    if m[STATE] == WORKING and has_limit(int(m[TYPE])) and crosses_now(w, j, lows, t, at):
        execute(w, k, j, lows, t, t_ms, at, np.nan, False)
        wake_children(w, k, j, lows, t, t_ms, number, others, np.nan)


@kernel
def fits(w: World, message: int, at: int) -> bool:
    """Whether the order has what the amendment would change."""
    a, m = w.queue[message], w.queue[at]
    if not np.isnan(a[LIMIT_AT]) and (not has_limit(int(m[TYPE])) or np.isnan(m[LIMIT_AT])):
        return False
    if not np.isnan(a[STOP_AT]) and (np.isnan(m[STOP_AT]) or m[STATE] == WORKING):
        return False
    return a[SIZE] == 0.0 or (m[PARENT] < 0.0 and (a[SIZE] > 0.0) == (m[SIZE] > 0.0))


@kernel
def change(w: World, j: int, lows: bool, t: int, message: int, at: int) -> tuple[int, int, int]:
    """Give the order its new size and prices, or leave it as it was and say why."""
    a, m = w.queue[message], w.queue[at]
    limit, stop, size, left, state = m[LIMIT_AT], m[STOP_AT], m[SIZE], m[LEFT], int(m[STATE])
    pause(w, at, FLYING)
    m[LIMIT_AT] = limit if np.isnan(a[LIMIT_AT]) else a[LIMIT_AT]
    m[STOP_AT] = stop if np.isnan(a[STOP_AT]) else a[STOP_AT]
    if a[SIZE] != 0.0:
        m[SIZE] = a[SIZE]
        m[LEFT] = a[SIZE] - m[DONE_LOTS] if abs(a[SIZE]) > abs(m[DONE_LOTS]) else 0.0
    reason, have, need = NO_REASON, 0, 0
    if state == DORMANT:
        lull(w, at)
    elif state == ARMED:
        m[STATE] = ARMED
        look_again(w, at)
    if state == ARMED and m[TYPE] != TRAILING_STOP:
        price = trigger_price(w, j, lows, t, at, np.nan)
        if beyond(w.queue, at, price, m[STOP_AT], False):
            reason = WOULD_TRIGGER
    elif state == WORKING and m[LEFT] != 0.0:
        if m[POST_ONLY] != 0.0 and crosses_now(w, j, lows, t, at):
            reason = WOULD_TAKE
        elif abs(m[LEFT]) > abs(left):
            reason, have, need = may_work(w, j, lows, t, at)
        else:
            work(w, at)
    if reason != NO_REASON:
        m[LIMIT_AT], m[STOP_AT], m[SIZE], m[LEFT] = limit, stop, size, left
        if state == WORKING:
            work(w, at)
    w.book[int(m[SYMBOL]), STALE] = 1
    return reason, have, need


@kernel
def crosses_now(w: World, j: int, lows: bool, t: int, at: int) -> bool:
    """Whether a limit order would take at `t`; not in a gap."""
    m = w.queue[at]
    i = int(m[SYMBOL])
    price = price_at(w.panel, 0, j, i, lows, t, int(w.run[INTERVAL]), CANDLE, False)
    return price <= m[LIMIT_AT] if m[SIZE] > 0.0 else price >= m[LIMIT_AT]
