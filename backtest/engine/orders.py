"""Orders and cancels as they arrive: judged, filled, waiting or refused (docs/rules.md section 6)."""

from __future__ import annotations

import numpy as np

from backtest.engine.compile import kernel
from backtest.engine.journal import (
    BY_STRATEGY,
    CANCELLED,
    DELISTED,
    FILLED,
    MARGIN,
    NO_REASON,
    NOT_REDUCING,
    ORDERED,
    REJECTED,
    put_order,
)
from backtest.engine.layout import (
    ARRIVES,
    CANCEL,
    DECISION,
    DONE,
    FEE,
    ID,
    IDLE_CANCELS,
    INITIAL,
    INITIAL_LESS,
    INTERVAL,
    INV_LEVERAGE,
    ISOLATED,
    KIND,
    LAST_ROW,
    LOTS,
    MARK,
    ORDER,
    QUEUE_WIDTH,
    QUEUED,
    REDUCE_ONLY,
    SENT,
    SIZE,
    SLIPPAGE,
    STEP,
    SYMBOL,
    WAITING,
    WAITS,
    WALLET,
    Floats,
    Ints,
    World,
)
from backtest.engine.margin import (
    initial_at,
    initial_needed,
    mark_equity,
    reserved,
    tier_need,
    units,
)
from backtest.engine.money import proportion, share
from backtest.engine.path import price_at, value_at
from backtest.engine.settle import empty_pool, move, trade


@kernel
def finish(w: World, at: int, ts: int, status: int, reason: int, have: int, need: int, filled: int) -> None:
    """End the order at queue row `at` and journal how."""
    m = w.queue[at]
    put_order(
        w, int(m[ID]), int(m[SENT]), int(m[ARRIVES]), ts, int(m[SYMBOL]), int(m[SIZE]), int(m[REDUCE_ONLY]),
        status, reason, have, need, filled,
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
            cancel(w, int(m[SIZE]), now)
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
def cancel(w: World, order: int, now: int) -> None:
    """Cancel order number `order` if it waits at the venue; one that has ended, or is on its way, is left alone,
    and the cancel is counted."""
    for at in range(w.acct[QUEUED]):
        m = w.queue[at]
        if m[KIND] == ORDER and m[WAITS] != 0.0 and int(m[ID]) == order:
            finish(w, at, now, CANCELLED, BY_STRATEGY, 0, 0, 0)
            return
    w.acct[IDLE_CANCELS] += 1


@kernel
def act(w: World, k: int, j: int, lows: bool, t: int, now: int, at: int) -> None:
    """Judge one order that is at the venue: refuse it, let it wait, or fill it."""
    m = w.queue[at]
    i, lots = int(m[SYMBOL]), int(m[SIZE])
    held = w.book[i, LOTS]
    if k > int(w.spec[i, LAST_ROW]):
        finish(w, at, now, REJECTED, DELISTED, 0, 0, 0)
        return
    if m[REDUCE_ONLY] != 0.0:
        if held == 0 or (held > 0) == (lots > 0):
            finish(w, at, now, REJECTED, NOT_REDUCING, 0, 0, 0)
            return
        # An order that waits keeps its size: what it may close is known when it fills.
        if abs(lots) > abs(held):
            lots = -held
    reducing = held != 0 and (held > 0) != (lots > 0) and abs(lots) <= abs(held)
    if np.isnan(w.panel[0, j, i]):
        if m[WAITS] == 0.0:
            m[WAITS] = 1.0
            w.acct[WAITING] += 1
            if not reducing:
                refuse_unless_reserved(w, j, lows, t, now, at)
    elif w.run[ISOLATED] != 0.0:
        fill_isolated(w, k, j, lows, t, now, at, lots, reducing)
    else:
        fill_cross(w, k, j, lows, t, now, at, lots, reducing)


@kernel
def refuse_unless_reserved(w: World, j: int, lows: bool, t: int, now: int, at: int) -> None:
    """Refuse the order, just counted as waiting, if initial margin does not cover it with all the others."""
    if w.run[ISOLATED] != 0.0:
        have, need = w.acct[WALLET], reserved(w, j, lows, t)
    else:
        have, need = mark_equity(w, 0, j, lows, t), initial_needed(w, j, lows, t)
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
    trade(w, k, now, i, int(m[ID]), lots, quote, fee, slip, ORDERED, price, m[DECISION], arrival)
    finish(w, at, now, FILLED, NO_REASON, 0, 0, lots)


@kernel
def fill_cross(w: World, k: int, j: int, lows: bool, t: int, now: int, at: int, lots: int, reducing: bool) -> None:
    """Fill in the cross pool if its equity afterwards covers initial margin, or the order only reduces."""
    m = w.queue[at]
    i = int(m[SYMBOL])
    quote, fee, slip = price_order(w, j, i, lows, t, lots)
    waited = m[WAITS]
    m[WAITS] = 0.0
    if not reducing:
        w.acct[WALLET] += quote - fee
        w.book[i, LOTS] += lots
        covered = t == 0 and surely_covered(w.panel, w.book, w.acct, w.spec, int(w.run[MARK]), j)
        have, need = 0, 0
        if not covered:
            have, need = mark_equity(w, 0, j, lows, t), initial_needed(w, j, lows, t)
        w.acct[WALLET] -= quote - fee
        w.book[i, LOTS] -= lots
        if have < need:
            m[WAITS] = waited
            finish(w, at, now, REJECTED, MARGIN, have, need, 0)
            return
    execute(w, k, j, lows, t, now, at, lots, quote, fee, slip)
    empty_pool(w, now, 0, i)


@kernel
def surely_covered(panel: Floats, book: Ints, acct: Ints, spec: Floats, off: int, j: int) -> bool:
    """Whether the cross pool covers its initial margin at the open of panel row `j` by more than rounding.

    A bound in doubles that spares most orders the exact sums; with orders waiting it is not tried.
    """
    if acct[WAITING] != 0:
        return False
    spare = float(acct[WALLET])
    slack = 4.0
    for i in range(book.shape[0]):
        lots = book[i, LOTS]
        if lots != 0:
            v = panel[off, j, i] * (float(lots) * spec[i, STEP])
            n = abs(v)
            spare += v - max(tier_need(spec, i, n, INITIAL, INITIAL_LESS), n * spec[i, INV_LEVERAGE])
            slack += 4.0 + 1e-12 * n
    return spare > slack


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
        need = initial_at(w, j, i, lows, t, abs(after))
        same_side = held == 0 or (held > 0) == (after > 0)
        wanted = equity + need - initial_at(w, j, i, lows, t, abs(held)) if same_side else need
        moved = wanted - equity_after
        drawn = moved + reserved_after(w, j, lows, t, at, i, lots)
        if w.acct[WALLET] < drawn:
            finish(w, at, now, REJECTED, MARGIN, w.acct[WALLET], drawn, 0)
            return
        if wanted < need:
            finish(w, at, now, REJECTED, MARGIN, wanted, need, 0)
            return
    execute(w, k, j, lows, t, now, at, lots, quote, fee, slip)
    move(w, now, i, moved)
    empty_pool(w, now, i, i)


@kernel
def mark_value(w: World, j: int, i: int, lows: bool, t: int, lots: int) -> int:
    """Value of `lots` on the coherent mark path at `t`."""
    if lots == 0:
        return 0
    return value_at(w.panel, int(w.run[MARK]), j, i, lows, t, int(w.run[INTERVAL]), units(w.spec, i, lots))


@kernel
def reserved_after(w: World, j: int, lows: bool, t: int, at: int, i: int, lots: int) -> int:
    """What waiting orders reserve once the order at `at` has filled."""
    m = w.queue[at]
    waited = m[WAITS]
    m[WAITS] = 0.0
    w.book[i, LOTS] += lots
    total = reserved(w, j, lows, t)
    w.book[i, LOTS] -= lots
    m[WAITS] = waited
    return total
