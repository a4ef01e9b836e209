"""Orders and cancels as they arrive: judged, filled, waiting or refused (docs/rules.md section 6)."""

from __future__ import annotations

import numpy as np

from backtest.engine.admission import admit_cross, cross_room, needed_after, over_limit
from backtest.engine.compile import kernel
from backtest.engine.fund import empty_pool
from backtest.engine.journal import (
    BY_GUARD,
    BY_STRATEGY,
    CANCELLED,
    DELISTED,
    FILLED,
    HALTED,
    MARGIN,
    NO_REASON,
    NOT_REDUCING,
    REJECTED,
    put_order,
)
from backtest.engine.layout import (
    ARRIVES,
    CANCEL,
    CAUSE,
    DECISION,
    DONE,
    FEE,
    HALT_MS,
    ID,
    IDLE_CANCELS,
    INTERVAL,
    KIND,
    LAST_ROW,
    LIMIT,
    LIMIT_UNITS,
    LOTS,
    ORDER,
    POOL,
    PORTFOLIO,
    QUEUE_WIDTH,
    QUEUED,
    REDUCE_ONLY,
    SENT,
    SIZE,
    SLIPPAGE,
    SYMBOL,
    WAITING,
    WAITS,
    World,
)
from backtest.engine.margin import cross_pool, exposure, initial_at, initial_needed, mark_equity, mark_value, units
from backtest.engine.money import proportion, share
from backtest.engine.path import price_at, value_at
from backtest.engine.settle import move, trade


@kernel
def finish(w: World, at: int, ts: int, status: int, reason: int, have: int, need: int, filled: int) -> None:
    """End the order at queue row `at` and journal how."""
    m = w.queue[at]
    put_order(
        w, int(m[ID]), int(m[SENT]), int(m[ARRIVES]), ts, int(m[SYMBOL]), int(m[SIZE]), int(m[REDUCE_ONLY]),
        status, reason, have, need, filled, int(m[CAUSE]),
    )  # fmt: skip
    m[KIND] = DONE


@kernel
def process_orders(w: World, k: int, j: int, lows: bool, t: int, t_ms: int) -> None:
    """Act on every message that is due at time `t` of row `k`, in the order sent, and close the queue's ranks.

    One latency for all makes the order of sending the order of arrival; waiting orders arrived earlier still.
    """
    now = t_ms + t // 3
    for at in range(w.acct[QUEUED]):
        m = w.queue[at]
        if m[KIND] == DONE or m[ARRIVES] > now:
            continue
        if m[KIND] == CANCEL:
            cancel(w, int(m[SIZE]), now, HALTED if m[CAUSE] == BY_GUARD else BY_STRATEGY)
            m[KIND] = DONE
        else:
            act(w, k, j, lows, t, now, at)
    compact(w)


@kernel
def compact(w: World) -> None:
    """Drop the ended messages, keeping the order of the rest."""
    left = 0
    waiting = 0
    for at in range(w.acct[QUEUED]):
        if w.queue[at, KIND] != DONE:
            waiting += int(w.queue[at, WAITS])
            if left != at:
                for column in range(QUEUE_WIDTH):
                    w.queue[left, column] = w.queue[at, column]
            left += 1
    w.acct[QUEUED] = left
    w.acct[WAITING] = waiting


@kernel
def cancel(w: World, order: int, now: int, reason: int) -> None:
    """Cancel order number `order` if it waits at the venue; one that has ended, or is on its way, is left alone,
    and the cancel is counted."""
    for at in range(w.acct[QUEUED]):
        m = w.queue[at]
        if m[KIND] == ORDER and m[WAITS] != 0.0 and int(m[ID]) == order:
            finish(w, at, now, CANCELLED, reason, 0, 0, 0)
            return
    w.acct[IDLE_CANCELS] += 1


@kernel
def act(w: World, k: int, j: int, lows: bool, t: int, now: int, at: int) -> None:
    """Judge one order that is at the venue: refuse it, let it wait, or fill it."""
    m = w.queue[at]
    i, lots = int(m[SYMBOL]), int(m[SIZE])
    held = w.book[i, LOTS]
    if w.acct[HALT_MS] != 0 and barred(w, at):
        finish(w, at, now, REJECTED, HALTED, 0, 0, 0)
        return
    if k > int(w.spec[i, LAST_ROW]):
        finish(w, at, now, REJECTED, DELISTED, 0, 0, 0)
        return
    gap = np.isnan(w.panel[0, j, i])
    if gap and m[WAITS] != 0.0:
        return  # what it would do is judged when it can
    if m[REDUCE_ONLY] != 0.0:
        if held == 0 or (held > 0) == (lots > 0):
            finish(w, at, now, REJECTED, NOT_REDUCING, 0, 0, 0)
            return
        # An order that waits keeps its size: what it may close is known when it fills.
        if abs(lots) > abs(held):
            lots = -held
    reducing = held != 0 and (held > 0) != (lots > 0) and abs(lots) <= abs(held)
    if gap:
        let_wait(w, j, lows, t, now, at, reducing)
        return
    limited = w.spec[i, LIMIT] < np.inf or w.spec[i, LIMIT_UNITS] < np.inf
    if limited and not reducing:
        reason, have, need = over_limit(w, j, i, lows, t, held + lots)
        if reason != NO_REASON:
            finish(w, at, now, REJECTED, reason, have, need, 0)
            return
    if w.book[i, POOL] == cross_pool(w.spec):
        fill_cross(w, k, j, lows, t, now, at, lots, reducing)
    else:
        fill_isolated(w, k, j, lows, t, now, at, lots, reducing)


@kernel
def barred(w: World, at: int) -> bool:
    """Whether the message at queue row `at` is of the strategy and was sent since the account was halted."""
    m = w.queue[at]
    return m[CAUSE] != BY_GUARD and int(m[SENT]) >= w.acct[HALT_MS]


@kernel
def let_wait(w: World, j: int, lows: bool, t: int, now: int, at: int, reducing: bool) -> None:
    """Count the order as waiting at the venue; refuse it where the limit or initial margin does not allow what it, with
    all the others, could make of the position."""
    m = w.queue[at]
    i = int(m[SYMBOL])
    by_net = w.run[PORTFOLIO] != 0.0 and w.book[i, POOL] == cross_pool(w.spec)
    before = initial_needed(w, j, lows, t) if by_net else 0
    m[WAITS] = 1.0
    w.acct[WAITING] += 1
    if reducing and not by_net:
        return
    if not reducing:
        reason, have, need = over_limit(w, j, i, lows, t, exposure(w, i))
        if reason != NO_REASON:
            finish(w, at, now, REJECTED, reason, have, need, 0)
            return
    if by_net and initial_needed(w, j, lows, t) <= before:
        return
    have, need = cross_room(w, j, lows, t)
    if have < need:
        finish(w, at, now, REJECTED, MARGIN, have, need, 0)


@kernel
def price_order(w: World, j: int, i: int, lows: bool, t: int, lots: int) -> tuple[int, int, int]:
    """`(quote, fee, slip)` of taking `lots` on the trade path at `t`: signed cash, fee ≥ 0, slippage ≥ 0."""
    value = value_at(w.panel, 0, j, i, lows, t, int(w.run[INTERVAL]), units(w.spec, i, abs(lots)))
    slip = share(value, w.run[SLIPPAGE])
    quote = -(value + slip) if lots > 0 else value - slip
    return quote, share(abs(quote), w.run[FEE]), slip


@kernel
def execute(
    w: World, k: int, j: int, lows: bool, t: int, now: int, at: int, lots: int, quote: int, fee: int, slip: int
) -> None:
    """Post the admitted fill and end its order."""
    m = w.queue[at]
    i = int(m[SYMBOL])
    arrival = price_at(w.panel, 0, j, i, lows, t, int(w.run[INTERVAL]))
    rate = w.run[SLIPPAGE]
    price = arrival * (1.0 + rate if lots > 0 else 1.0 - rate) if rate != 0.0 else arrival
    trade(w, k, now, i, int(m[ID]), lots, quote, fee, slip, int(m[CAUSE]), price, m[DECISION], arrival)
    finish(w, at, now, FILLED, NO_REASON, 0, 0, lots)


@kernel
def fill_cross(w: World, k: int, j: int, lows: bool, t: int, now: int, at: int, lots: int, reducing: bool) -> None:
    """Fill in the cross pool if it is admitted."""
    m = w.queue[at]
    i = int(m[SYMBOL])
    quote, fee, slip = price_order(w, j, i, lows, t, lots)
    waited = m[WAITS]
    m[WAITS] = 0.0
    admitted, have, need = admit_cross(w, j, lows, t, i, lots, quote - fee, reducing, m[REDUCE_ONLY] != 0.0)
    if not admitted:
        m[WAITS] = waited
        finish(w, at, now, REJECTED, MARGIN, have, need, 0)
        return
    execute(w, k, j, lows, t, now, at, lots, quote, fee, slip)
    empty_pool(w, now, cross_pool(w.spec), i)


@kernel
def fill_isolated(w: World, k: int, j: int, lows: bool, t: int, now: int, at: int, lots: int, reducing: bool) -> None:
    """Fill in the symbol's own pool; the wallet posts what an increase needs and takes back what a reduction frees."""
    m = w.queue[at]
    i = int(m[SYMBOL])
    quote, fee, slip = price_order(w, j, i, lows, t, lots)
    held = w.book[i, LOTS]
    after = held + lots
    equity = mark_equity(w, i, j, lows, t)
    value_change = mark_value(w, j, i, lows, t, after) - mark_value(w, j, i, lows, t, held)
    equity_after = equity + quote - fee + value_change
    if reducing:
        moved = min(0, proportion(equity, abs(after), abs(held)) - equity_after)
    else:
        need = initial_at(w, j, i, lows, t, after)
        same_side = held == 0 or (held > 0) == (after > 0)
        wanted = equity + need - initial_at(w, j, i, lows, t, held) if same_side else need
        moved = wanted - equity_after
        have, drawn = mark_equity(w, cross_pool(w.spec), j, lows, t), moved + needed_after(w, j, lows, t, at, i, lots)
        if have < drawn:
            finish(w, at, now, REJECTED, MARGIN, have, drawn, 0)
            return
        if wanted < need:
            finish(w, at, now, REJECTED, MARGIN, wanted, need, 0)
            return
    execute(w, k, j, lows, t, now, at, lots, quote, fee, slip)
    move(w, now, i, moved)
    empty_pool(w, now, i, i)
