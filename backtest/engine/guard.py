"""Guards: a trader's own watchmen, who look at every close and act by orders (docs/reference/rules.md section 10).

They stand between the venue's acts of a close and the strategy's, see the marks that are known then, and send what
they want through the same queue. Without guards nothing here is reached.
"""

from __future__ import annotations

import numpy as np

from backtest.core.enums import ACCOUNT_POOL, NO_ORDER
from backtest.engine.admission import cross_room
from backtest.engine.compile import inlined, kernel
from backtest.engine.curve import pool_margin
from backtest.engine.heap import count, slot_at
from backtest.engine.journal import BY_GUARD, pool_name, put_call, put_guard
from backtest.engine.layout import (
    BAR_MS,
    BY_ARRIVAL,
    CANCEL_ALL,
    CAUSE,
    FROZEN,
    FUNDING_AT,
    FUNDING_SYMBOL,
    G_ACCOUNT_LOSS,
    G_AGE,
    G_BASIS,
    G_CALL,
    G_DRAWDOWN,
    G_FUNDING,
    G_ORACLE_AGE,
    G_REDUCE,
    G_STOP,
    G_TOP_UP,
    G_TRAIL,
    G_VOLATILITY,
    GAS_DEPOSIT,
    GUARD_EACH,
    GUARD_GOAL,
    GUARD_KIND,
    GUARD_LEVEL,
    GUARD_OWNER,
    GUARD_STATE,
    GUARD_SYMBOL,
    IN_FLIGHT,
    INTERVAL,
    KIND,
    KNOWN,
    LOTS,
    POOL,
    RATE,
    RESERVE,
    SENDER,
    START,
    TRANSFER_STAGE,
    TRANSFERS,
    VALUE_X,
    Floats,
)
from backtest.engine.margin import (
    cross_pool,
    equity_of,
    first_pool,
    holds,
    in_pool,
    maintenance_of,
    pool_span,
    units,
)
from backtest.engine.money import divisor, money
from backtest.engine.outage import ENDS, MARK_STAMP, publication, seen
from backtest.engine.path import lows_first, price_at
from backtest.engine.send import account_equity, message, send, underway
from backtest.engine.settle import move
from backtest.engine.slots import first_of, next_of
from backtest.engine.standings import profit_of
from backtest.engine.transfer import deposit, deposits_underway, transfer_gas
from backtest.engine.virtual import (
    cost_by,
    entered_by,
    halt,
    halted_by,
    halted_since,
    held_by,
    owner_of,
    shared,
)
from backtest.engine.way import depart
from backtest.engine.world import World

MICRO = 1e6
NEARLY = 1.0 - 1e-12
"""A level is reached a hair early, so that a mark of 95 is 5 % below 100 in doubles as well."""
WHOLE_ACCOUNT, NO_SYMBOL, NONE_SENT = int(ACCOUNT_POOL), -1, int(NO_ORDER)


@inlined
def rows_for(guards: Floats) -> int:
    """Most journal rows that guards write at one close: two for each symbol or pool that one watches."""
    return guards.shape[0] * (guards.shape[1] - GUARD_STATE)


@inlined
def messages_for(guards: Floats) -> int:
    """Most messages that guards send at one close: an order per guard and symbol, and a cancel of all."""
    return guards.shape[0] * (guards.shape[1] - GUARD_STATE) + 1


@kernel
def watch(w: World, j: int, t_end: int) -> None:
    """Let every guard look at the close of panel row `j`, in order; each counts what those before it have sent."""
    sender = w.acct[SENDER]
    for g in range(w.guards.shape[0]):
        kind = int(w.guards[g, GUARD_KIND])
        w.acct[SENDER] = int(w.guards[g, GUARD_OWNER])  # whose the guard's orders are
        if kind < G_STOP:
            watch_pools(w, g, kind, j, t_end)
        elif kind < G_ACCOUNT_LOSS:
            watch_positions(w, g, kind, j, t_end)
        else:
            watch_account(w, g, kind, j, t_end)
    w.acct[SENDER] = sender


@inlined
def owner_of_guard(w: World, g: int) -> int:
    """The strategy whose guard it is."""
    return int(w.guards[g, GUARD_OWNER])


# Pools: margin-call levels, reduction, top-up -------------------------------------------------------------------------


@kernel
def watch_pools(w: World, g: int, kind: int, j: int, t_end: int) -> None:
    """Compare every pool's margin ratio, maintenance over equity, with the guard's level."""
    for p in range(first_pool(w.run, w.spec), cross_pool(w.spec) + 1):
        called = GUARD_STATE + GUARD_EACH * p
        if not holds(w, p):
            w.guards[g, called] = 0.0
            continue
        equity, initial, least = pool_margin(w, w.panel, p, j, int(w.run[KNOWN]))
        # Equity that is not positive is beyond every level.
        ratio = least / equity if equity > 0.0 else np.nan
        reached = equity <= 0.0 or ratio >= w.guards[g, GUARD_LEVEL] * NEARLY
        if reached and kind == G_CALL:
            if w.guards[g, called] == 0.0:
                level = w.guards[g, GUARD_LEVEL]
                put_call(w, t_end, p, int(np.rint(equity)), int(np.rint(initial)), level, owner_of_guard(w, g))
                put_guard(w, t_end, g, NO_SYMBOL, pool_name(w.spec, p), NONE_SENT, ratio)
        elif reached and kind == G_REDUCE and p == cross_pool(w.spec):
            # A pool of one position gives margin back with each reduction, which leaves its ratio as it was.
            # Requirements grow at least in proportion to size, so this share of it is enough.
            keep = w.guards[g, GUARD_GOAL] * equity / least if equity > 0.0 else 0.0
            reduce_pool(w, g, p, keep, j, t_end, ratio)
        elif reached and kind == G_TOP_UP:
            missing = lacking(w, p, w.guards[g, GUARD_GOAL], j)
            if p != cross_pool(w.spec):
                top_up(w, g, p, missing, j, t_end, ratio)
            elif w.run[TRANSFERS] != 0.0:
                order_deposit(w, g, missing, j, t_end, ratio)
        w.guards[g, called] = 1.0 if reached else 0.0


@kernel
def reduce_pool(w: World, g: int, p: int, keep: float, j: int, t_end: int, ratio: float) -> None:
    """Reduce every position of pool `p` to the share `keep` of it, rounded down to whole lots."""
    first, last = pool_span(w.spec, p)
    for i in range(first, last):
        held = held_by(w, owner_of_guard(w, g), i)
        if held != 0 and w.book[i, POOL] == p:
            leave(w, g, i, int(np.floor(float(abs(held)) * keep / NEARLY)), j, t_end, ratio)


@kernel
def lacking(w: World, p: int, goal: float, j: int) -> int:
    """Micro that pool `p` lacks at the close of panel row `j` for a margin ratio of `goal`; below 0: it has more."""
    first, last = pool_span(w.spec, p)
    for i in range(first, last):
        if in_pool(w.book, p, i):
            w.book[i, VALUE_X] = money(w.panel[int(w.run[KNOWN]), j, i], units(w.spec, i, w.book[i, LOTS]))
    return divisor(maintenance_of(w, p, VALUE_X), goal) - equity_of(w, p, VALUE_X)


@kernel
def top_up(w: World, g: int, p: int, missing: int, j: int, t_end: int, ratio: float) -> None:
    """Move what is missing to the pool `p` of one symbol, as far as the cross pool can spare it. At once."""
    have, need = cross_room(w, j, True, 3 * int(w.run[INTERVAL]))
    amount = min(missing, have - need)
    if amount > 0:
        move(w, t_end, p, amount)
        put_guard(w, t_end, g, p, pool_name(w.spec, p), NONE_SENT, ratio)


@kernel
def order_deposit(w: World, g: int, missing: int, j: int, t_end: int, ratio: float) -> None:
    """Deposit from the reserve what is missing to the cross pool, less what is on its way to it."""
    amount = min(missing - deposits_underway(w), w.acct[RESERVE] - transfer_gas(w, GAS_DEPOSIT, t_end, j))
    if amount > 0:
        number = deposit(w, amount, TRANSFER_STAGE, t_end, j)
        put_guard(w, t_end, g, NO_SYMBOL, pool_name(w.spec, cross_pool(w.spec)), number, ratio)


# Positions: stop, trailing stop, loss cap, time stop ------------------------------------------------------------------


@kernel
def watch_positions(w: World, g: int, kind: int, j: int, t_end: int) -> None:
    """Close every position, or that of the guard's one symbol, that has reached the level."""
    only, owner = int(w.guards[g, GUARD_SYMBOL]), owner_of_guard(w, g)
    for i in range(w.spec.shape[0]):
        if held_by(w, owner, i) == 0 or (only >= 0 and i != only):
            continue
        value, closed = measure(w, g, kind, i, j, t_end), w.guards[g, GUARD_GOAL]
        largest = largest_size(w, g, i) if closed < 1.0 else 0
        if value >= w.guards[g, GUARD_LEVEL] * NEARLY:
            leave(w, g, i, int(np.floor(float(largest) * (1.0 - closed) / NEARLY)), j, t_end, value)


@kernel
def measure(w: World, g: int, kind: int, i: int, j: int, t_end: int) -> float:
    """What the guard compares with its level: a share for a stop, quote for a loss cap, ms for a time stop; −inf where
    it is not known."""
    owner = owner_of_guard(w, g)
    if kind == G_AGE:
        return float(t_end - entered_by(w, owner, i))
    if kind == G_FUNDING:
        rate = last_rate(w, i)
        return rate if held_by(w, owner, i) > 0 else -rate
    if kind == G_ORACLE_AGE:
        return mark_age(w, j, i, t_end)
    if kind == G_VOLATILITY:
        hour = min((t_end - int(w.run[START])) // BAR_MS, w.volatility.shape[0] - 1)
        return known(w.volatility[hour, i])
    mark = w.panel[int(w.run[KNOWN]), j, i]
    if kind == G_BASIS:
        return known(abs(mark / w.panel[3, j, i] - 1.0))
    u = units(w.spec, i, held_by(w, owner, i))
    cost = float(cost_by(w, owner, i))
    if kind == G_TRAIL:
        best = best_mark(w, g, i, mark, cost / float(u))
        return (best - mark) / best if u > 0 else (mark - best) / best
    loss = cost - float(money(mark, u))
    return loss / abs(cost) if kind == G_STOP else loss / MICRO


@inlined
def known(value: float) -> float:
    """The value; −inf for NaN, which reaches no level."""
    return -np.inf if np.isnan(value) else value


@kernel
def last_rate(w: World, i: int) -> float:
    """The rate of the last settlement of symbol `i`, NaN before the first."""
    for n in range(w.acct[FUNDING_AT] - 1, -1, -1):
        if int(w.funding[n, FUNDING_SYMBOL]) == i and not np.isnan(w.funding[n, RATE]):
            return float(w.funding[n, RATE])
    return np.nan


@kernel
def mark_age(w: World, j: int, i: int, t_end: int) -> float:
    """How long ago, ms, the venue mark was published that the venue sees at the close; 0 where it always is."""
    if 0 < w.acct[FROZEN] < ENDS:
        published = w.still[MARK_STAMP, 0, i]
    elif w.fresh.shape[0] == 0:
        return 0.0
    else:
        published = publication(w, j, i, 3 * int(w.run[INTERVAL]) - 1)  # at the close itself the next row begins
    return float(t_end) - published / 3.0


@kernel
def venue_now(w: World, j: int, i: int) -> float:
    """The mark of `i` that the venue goes by at the close of panel row `j`."""
    panel, off, row, late, stays = seen(w, j)
    d = int(w.run[INTERVAL])
    return float(price_at(panel, off, row, i, lows_first(w.panel, j), 3 * d, d, late, stays))


@kernel
def largest_size(w: World, g: int, i: int) -> int:
    """The largest size of the position, in lots, at a close since it was opened."""
    since, owner = GUARD_STATE + GUARD_EACH * i, owner_of_guard(w, g)
    size = float(abs(held_by(w, owner, i)))
    if int(w.guards[g, since]) == entered_by(w, owner, i):
        size = max(size, w.guards[g, since + 2])
    elif int(w.guards[g, GUARD_KIND]) != G_TRAIL:
        w.guards[g, since] = float(entered_by(w, owner, i))
    w.guards[g, since + 2] = size
    return int(size)


@kernel
def best_mark(w: World, g: int, i: int, mark: float, entry: float) -> float:
    """The best mark at a close since the position was opened, its average entry at the first of them included."""
    since, owner = GUARD_STATE + GUARD_EACH * i, owner_of_guard(w, g)
    if int(w.guards[g, since]) != entered_by(w, owner, i):
        w.guards[g, since] = float(entered_by(w, owner, i))
        w.guards[g, since + 1], w.guards[g, since + 2] = entry, 0.0
    best = w.guards[g, since + 1]
    best = max(best, mark) if held_by(w, owner, i) > 0 else min(best, mark)
    w.guards[g, since + 1] = best
    return best


@kernel
def leave(w: World, g: int, i: int, keep: int, j: int, t_end: int, value: float) -> None:
    """Send what reduces the position of `i` to `keep` ≥ 0 lots once the orders underway have filled, if anything."""
    owner = owner_of_guard(w, g)
    held = held_by(w, owner, i)
    coming = held + underway(w, owner, i)
    lots = min(0, keep - coming) if held > 0 else max(0, -keep - coming)
    if lots != 0:
        order = send(w, i, lots, True, BY_GUARD, t_end, j)
        put_guard(w, t_end, g, i, pool_name(w.spec, w.book[i, POOL]), order, value)


# The account: loss cap and kill switch --------------------------------------------------------------------------------


@kernel
def watch_account(w: World, g: int, kind: int, j: int, t_end: int) -> None:
    """Halt the account when it has lost so much; the guard that did goes on closing what is still open."""
    # Money moved is neither lost nor gained: what is outside the venue and on its way belongs to the account.
    owner = owner_of_guard(w, g)
    if shared(w):
        total = w.guards[g, GUARD_GOAL] + float(profit_of(w, owner, j, int(w.run[KNOWN])))
    else:
        total = float(account_equity(w, j) + w.acct[RESERVE] + w.acct[IN_FLIGHT])
    if kind == G_DRAWDOWN:
        peak = max(w.guards[g, GUARD_STATE], w.guards[g, GUARD_GOAL], total)
        w.guards[g, GUARD_STATE] = peak
        value = (peak - total) / peak
    else:
        value = (w.guards[g, GUARD_GOAL] - total) / MICRO
    if halted_since(w, owner) == 0 and value >= w.guards[g, GUARD_LEVEL] * NEARLY:
        halt(w, owner, t_end, g)
        put_guard(w, t_end, g, NO_SYMBOL, WHOLE_ACCOUNT, NONE_SENT, value)
    if halted_since(w, owner) != 0 and halted_by(w, owner) == g:
        cancel_waiting(w, owner, t_end, j)
        for i in range(w.spec.shape[0]):
            if held_by(w, owner, i) != 0:
                leave(w, g, i, 0, j, t_end, value)


@kernel
def cancel_waiting(w: World, owner: int, t_end: int, j: int) -> None:
    """Send a cancel of all orders of the strategy at the venue, unless there are none, or one is on its way already."""
    for n in range(count(w, BY_ARRIVAL)):
        at = slot_at(w, BY_ARRIVAL, n)  # cancels travel alone
        if w.queue[at, KIND] == CANCEL_ALL and w.queue[at, CAUSE] == BY_GUARD and owner_of(w, at) == owner:
            return
    for i in range(w.spec.shape[0]):
        at = first_of(w.book, i)
        while at >= 0:
            if w.queue[at, CAUSE] != BY_GUARD and owner_of(w, at) == owner:
                at = message(w, CANCEL_ALL, -1, t_end)
                w.queue[at, CAUSE] = BY_GUARD
                depart(w, at, j)
                return
            at = next_of(w.queue, at)
