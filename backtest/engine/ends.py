"""How orders end (docs/reference/rules-orders.md section 1): journalled, out of their lists, their slots free."""

from __future__ import annotations

from backtest.engine.compile import kernel
from backtest.engine.journal import (
    CANCELLED,
    IS_ENDED,
    NO_PARENT,
    NOT_REDUCING,
    REJECTED,
    TRAILING_STOP,
    put_order,
    put_state,
)
from backtest.engine.layout import (
    CHILDREN,
    DONE_LOTS,
    DORMANT,
    EXITS,
    FLYING,
    ID,
    PARENT,
    PREV_SLOT,
    REDUCE_ONLY,
    STATE,
    STOP_AT,
    TRIGGERED,
    TYPE,
)
from backtest.engine.levels import trail_level
from backtest.engine.slots import behind, find_order, first_of, leave, next_of, pause
from backtest.engine.virtual import owner_of, shared
from backtest.engine.world import World


@kernel
def end_order(w: World, at: int, ts: int, status: int, reason: int, have: int, need: int) -> None:
    """End an order at the venue, whatever becomes of its children. One refused after it had fills is cancelled."""
    m = w.queue[at]
    pause(w, at, FLYING)
    if status == REJECTED and m[DONE_LOTS] != 0.0:
        status = CANCELLED
    if m[TYPE] == TRAILING_STOP and m[TRIGGERED] < 0.0:
        m[STOP_AT] = trail_level(w.queue, at)
    put_order(w, at, ts, status, reason, have, need)
    put_state(w, at, ts, IS_ENDED + status, reason)
    leave(w, at)


@kernel
def finish(w: World, at: int, ts: int, status: int, reason: int, have: int, need: int) -> None:
    """End an order at the venue; children that were to protect what it never filled end with it."""
    m = w.queue[at]
    number = int(m[ID])
    orphans = int(m[CHILDREN]) if m[DONE_LOTS] == 0.0 else 0
    end_order(w, at, ts, status, reason, have, need)
    for n in range(number + 1, number + 1 + orphans):
        other = find_order(w, n)
        if other >= 0 and int(w.queue[other, PARENT]) == number:
            end_order(w, other, ts, CANCELLED, NO_PARENT, 0, 0)


@kernel
def drop_exits(w: World, i: int, ts: int, order: int, owner: int) -> None:
    """Cancel reduce-only orders of `owner`, since there is nothing left that they could reduce; but not `order`."""
    one = find_order(w, order)
    kept = 1 if one >= 0 and w.queue[one, REDUCE_ONLY] != 0.0 else 0
    at = first_of(w.book, i) if w.book[i, EXITS] > kept else -1
    while at >= 0:
        m = w.queue[at]
        before = int(m[PREV_SLOT])
        own = owner_of(w, at) == owner or not shared(w)
        if own and m[REDUCE_ONLY] != 0.0 and m[STATE] != DORMANT and int(m[ID]) != order:
            finish(w, at, ts, CANCELLED, NOT_REDUCING, 0, 0)
            at = behind(w, i, before)  # others may have ended with it, which stood behind it
        else:
            at = next_of(w.queue, at)


@kernel
def cancel_orders(w: World, i: int, ts: int, reason: int) -> None:
    """Cancel every order of symbol `i` at the venue, in order of arrival."""
    while first_of(w.book, i) >= 0:
        finish(w, first_of(w.book, i), ts, CANCELLED, reason, 0, 0)
