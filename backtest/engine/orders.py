"""Messages as they arrive at the venue: orders judged, cancels, amendments (rules-orders.md sections 2 and 10)."""

from __future__ import annotations

import numpy as np

from backtest.engine.amend import amend
from backtest.engine.compile import inlined, kernel
from backtest.engine.cost import flat_inside
from backtest.engine.ends import end_order, finish
from backtest.engine.execute import arm, clip, execute, trigger_price, wake_children
from backtest.engine.fill import fill
from backtest.engine.heap import slot_at
from backtest.engine.journal import (
    BELOW_MINIMUM,
    BY_GUARD,
    BY_STRATEGY,
    CANCELLED,
    DELISTED,
    EXPIRED,
    FILLED,
    GAS_SHORT,
    HALTED,
    IS_DORMANT,
    IS_ENDED,
    LOST_IN_OUTAGE,
    MARKET_ORDER,
    NO_REASON,
    NOT_REDUCING,
    PAID_CANCEL,
    PAID_ORDER,
    REJECTED,
    STALE_ORACLE,
    TIME_UP,
    TOO_MANY,
    TRAILING_STOP,
    WOULD_TRIGGER,
    put_order,
    put_state,
)
from backtest.engine.layout import (
    AMENDMENT,
    ARMED,
    ARRIVES,
    BY_ARRIVAL,
    CANCEL,
    CANDLE,
    CAUSE,
    CHILDREN,
    COSTS_GAS,
    DEPOSIT,
    EV_ORDER,
    EXPIRES,
    FATE,
    FLIGHTS,
    FROZEN,
    GROUP,
    HOOKS,
    ID,
    IDLE_CANCELS,
    INTERVAL,
    IS_LOST,
    KIND,
    LAST_ROW,
    LEFT,
    LIMIT_AT,
    LOST,
    MIN_NOTIONAL,
    MOST_ORDERS,
    MOST_ORDERS_EACH,
    ORACLE_LIMIT,
    PARENT,
    PREV_SLOT,
    REDUCE_ONLY,
    RESTING,
    SIZE,
    STANDING,
    STATE,
    STOP_AT,
    SYMBOL,
    TAKER_SHARE,
    TARGET,
    TOO_LATE,
    TYPE,
)
from backtest.engine.levels import beyond, has_limit
from backtest.engine.margin import units
from backtest.engine.money import money
from backtest.engine.outage import ENDS, MARK_STAMP, publication, seen
from backtest.engine.path import value_at
from backtest.engine.slots import (
    barred,
    behind,
    find_order,
    first_of,
    free_slot,
    land,
    lull,
    next_of,
    strike,
    take_down,
)
from backtest.engine.transfer import included, pay_gas, settle_transfer
from backtest.engine.virtual import held_by, owner_of
from backtest.engine.world import World


@kernel
def process_messages(w: World, k: int, j: int, lows: bool, t: int, t_ms: int) -> None:
    """Act on every message that arrives by time `t` of row `k`, in order of arrival."""
    now = t_ms + t // 3
    while w.acct[FLIGHTS] > 0:
        at = slot_at(w, BY_ARRIVAL, 0)
        m = w.queue[at]
        if m[ARRIVES] > now:
            return
        if m[KIND] == 0.0 and at_once(w, j, at):
            take(w, k, j, lows, t, t_ms, at)
        elif m[KIND] == 0.0:
            arrive(w, k, j, lows, t, t_ms, at)
        elif m[KIND] >= DEPOSIT:
            settle_transfer(w, at, now)
        else:
            land(w, at)
            if m[KIND] == AMENDMENT:
                amend(w, k, j, lows, t, t_ms, at)
            else:
                cancel(w, j, lows, t, at, now)
            free_slot(w, at)


@inlined
def at_once(w: World, j: int, at: int) -> bool:
    """Whether the order is alone, at the market, and finds a price and all the volume that it wants, inside the price
    band: it then ends as it arrives, and never stands at the venue."""
    m = w.queue[at]
    alone = m[TYPE] == MARKET_ORDER and m[CHILDREN] == 0.0 and m[GROUP] < 0.0 and m[FATE] == 0.0
    endless = m[EXPIRES] == np.inf and w.run[TAKER_SHARE] == np.inf
    i = int(m[SYMBOL])
    return alone and endless and not np.isnan(w.panel[0, j, i]) and flat_inside(w.run, w.bars, w.spec, i)


@kernel
def take(w: World, k: int, j: int, lows: bool, t: int, t_ms: int, at: int) -> None:
    """Fill a plain market order whole, or refuse it: the short way of `arrive` for what most orders are."""
    m = w.queue[at]
    i, now = int(m[SYMBOL]), t_ms + t // 3
    take_down(w, at)
    reason, have, need = NO_REASON, 0, 0
    if m[COSTS_GAS] > 0.0:
        reason, have, need = pay_gas(w, j, lows, t, at, now, PAID_ORDER)
    if reason != NO_REASON:
        pass  # nothing else is asked
    elif barred(w, at):
        reason = HALTED
    elif m[REDUCE_ONLY] == 0.0 and stale(w, j, i, t, now):
        reason = STALE_ORACLE
    elif m[REDUCE_ONLY] != 0.0:
        reason = NO_REASON if clip(w, at) else NOT_REDUCING
    elif w.spec[i, MIN_NOTIONAL] > 0.0:
        reason, have, need = too_small(w, j, lows, t, at)
    if reason == NO_REASON:
        reason, have, need = fill(w, k, j, lows, t, t_ms, at, int(m[LEFT]), False, np.nan, True)
    status = FILLED if reason == NO_REASON else REJECTED
    put_order(w, at, now, status, reason, have, need)
    if int(w.run[HOOKS]) & EV_ORDER != 0:
        put_state(w, at, now, IS_ENDED + status, reason)
    strike(w, at)
    free_slot(w, at)


@kernel
def too_small(w: World, j: int, lows: bool, t: int, at: int) -> tuple[int, int, int]:
    """The reason why an order is worth less than the venue takes, its value and the least; or none."""
    least = w.spec[int(w.queue[at, SYMBOL]), MIN_NOTIONAL]
    worth = value_of(w, j, lows, t, at)
    return (BELOW_MINIMUM, worth, int(least)) if float(worth) < least else (NO_REASON, 0, 0)


@inlined
def stale(w: World, j: int, i: int, t: int, now: int) -> bool:
    """Whether what the venue sees was published too long ago for an order that adds risk."""
    if w.run[ORACLE_LIMIT] == 0.0:
        return False
    if 0 < w.acct[FROZEN] < ENDS:
        published = w.still[MARK_STAMP, 0, i]
    elif w.fresh.shape[0] == 0:
        return False  # it is published always
    else:
        published = publication(w, j, i, t)
    return float(3 * now) - published > 3.0 * w.run[ORACLE_LIMIT]


@kernel
def cancel(w: World, j: int, lows: bool, t: int, message: int, now: int) -> None:
    """Cancel the order that the message is about, or all; a cancel that finds nothing is counted."""
    m = w.queue[message]
    if included(w, j, lows, t, message, now, PAID_CANCEL)[0] != NO_REASON:
        w.acct[LOST] += 1
        return
    reason = HALTED if m[CAUSE] == BY_GUARD else BY_STRATEGY
    if m[KIND] == CANCEL:
        at = find_order(w, int(m[TARGET]))
        if at < 0 or owner_of(w, at) != owner_of(w, message):
            w.acct[IDLE_CANCELS] += 1
        else:
            finish(w, at, now, CANCELLED, reason, 0, 0)
        return
    resting = w.acct[RESTING]
    for i in range(w.spec.shape[0]):
        if m[SYMBOL] < 0.0 or int(m[SYMBOL]) == i:
            cancel_own(w, i, now, reason, owner_of(w, message))
    if resting == w.acct[RESTING]:
        w.acct[IDLE_CANCELS] += 1


@kernel
def cancel_own(w: World, i: int, now: int, reason: int, owner: int) -> None:
    """Cancel the symbol's orders at the venue that strategy `owner` has sent; a guard's go on."""
    at = first_of(w.book, i)
    while at >= 0:
        before = int(w.queue[at, PREV_SLOT])
        if w.queue[at, CAUSE] == BY_GUARD or owner_of(w, at) != owner:
            at = next_of(w.queue, at)
        else:
            finish(w, at, now, CANCELLED, reason, 0, 0)
            at = behind(w, i, before)


@kernel
def plain(w: World, at: int) -> bool:
    """Whether the order is a plain market order, which never stands at the venue with a price of its own."""
    return w.queue[at, TYPE] == MARKET_ORDER


@kernel
def arrive(w: World, k: int, j: int, lows: bool, t: int, t_ms: int, at: int) -> None:
    """Take an order, and those that travel with it, to the venue and judge them one after another."""
    m = w.queue[at]
    i, number, others, now = int(m[SYMBOL]), int(m[ID]), int(m[CHILDREN]), t_ms + t // 3
    fate = int(m[FATE])
    lost, have, need = included(w, j, lows, t, at, now, PAID_ORDER)
    reason = lost
    if lost == NO_REASON:
        reason, have, need = refused(w, k, i, at, others)
    for _ in range(1 + others):
        following = next_of(w.queue, at)
        land(w, at)
        if fate == IS_LOST:
            w.queue[at, ARRIVES] = -1.0
        if w.queue[at, PARENT] >= 0.0:
            lull(w, at)
            w.queue[at, LEFT] = 0.0
            if reason == NO_REASON:
                put_state(w, at, now, IS_DORMANT, NO_REASON)
        at = following
    for n in range(number, number + 1 + others):
        at = find_order(w, n)
        if at < 0:
            continue
        if reason == LOST_IN_OUTAGE and fate == TOO_LATE:
            end_order(w, at, now, EXPIRED, reason, 0, 0)
        elif reason in (HALTED, DELISTED, LOST_IN_OUTAGE, GAS_SHORT):
            end_order(w, at, now, REJECTED, reason, have, need)
        elif w.queue[at, EXPIRES] <= now:
            finish(w, at, now, EXPIRED, TIME_UP, 0, 0)
        elif reason != NO_REASON:
            end_order(w, at, now, REJECTED, reason, have, need)
        elif w.queue[at, PARENT] < 0.0:
            judge(w, k, j, lows, t, t_ms, at)
            wake_children(w, k, j, lows, t, t_ms, number, others, np.nan)


@kernel
def refused(w: World, k: int, i: int, at: int, others: int) -> tuple[int, int, int]:
    """Why the whole message that begins with the order at `at`, still in flight, is refused: `(reason, have, need)`."""
    if barred(w, at):
        return HALTED, 0, 0
    if k > int(w.spec[i, LAST_ROW]):
        return DELISTED, 0, 0
    if others == 0 and plain(w, at):
        return NO_REASON, 0, 0
    standing = 0
    for _ in range(1 + others):
        standing += 0 if plain(w, at) else 1
        at = next_of(w.queue, at)
    each = w.book[i, STANDING]
    if float(each + standing) > w.run[MOST_ORDERS_EACH]:
        return TOO_MANY, each, int(w.run[MOST_ORDERS_EACH])
    if float(w.acct[RESTING] + standing) > w.run[MOST_ORDERS]:
        return TOO_MANY, w.acct[RESTING], int(w.run[MOST_ORDERS])
    return NO_REASON, 0, 0


@kernel
def judge(w: World, k: int, j: int, lows: bool, t: int, t_ms: int, at: int) -> None:
    """Refuse, arm or execute an order that has just arrived."""
    m = w.queue[at]
    i, now = int(m[SYMBOL]), t_ms + t // 3
    if m[REDUCE_ONLY] != 0.0:
        held = held_by(w, owner_of(w, at), i)
        if held == 0 or (held > 0) == (m[LEFT] > 0.0):
            finish(w, at, now, REJECTED, NOT_REDUCING, 0, 0)
            return
    elif stale(w, j, i, t, now):
        finish(w, at, now, REJECTED, STALE_ORACLE, 0, 0)
        return
    elif w.spec[i, MIN_NOTIONAL] > 0.0:
        reason, have, need = too_small(w, j, lows, t, at)
        if reason != NO_REASON:
            finish(w, at, now, REJECTED, reason, have, need)
            return
    if m[TYPE] != TRAILING_STOP and np.isnan(m[STOP_AT]):
        execute(w, k, j, lows, t, t_ms, at, np.nan, True)
        return
    price = trigger_price(w, j, lows, t, at, np.nan)
    m[STATE] = ARMED
    if m[TYPE] != TRAILING_STOP and beyond(w.queue, at, price, m[STOP_AT], False):
        finish(w, at, now, REJECTED, WOULD_TRIGGER, 0, 0)
    else:
        arm(w, at, t, t_ms, price)


@kernel
def value_of(w: World, j: int, lows: bool, t: int, at: int) -> int:
    """What the order is worth, micro ≥ 0: at its limit or stop price, else on the trade path, in a gap on the mark."""
    m = w.queue[at]
    i = int(m[SYMBOL])
    u = units(w.spec, i, int(abs(m[SIZE])))
    if has_limit(int(m[TYPE])):
        return money(m[LIMIT_AT], u)
    if not np.isnan(m[STOP_AT]):
        return money(m[STOP_AT], u)
    if not np.isnan(w.panel[0, j, i]):
        return value_at(w.panel, 0, j, i, lows, t, int(w.run[INTERVAL]), u, CANDLE, False)
    panel, off, row, late, holds = seen(w, j)
    return value_at(panel, off, row, i, lows, t, int(w.run[INTERVAL]), u, late, holds)
