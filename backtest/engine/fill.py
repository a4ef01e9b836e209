"""A fill of an order: its price and costs, whether it is admitted, and what follows from it for other orders.

docs/reference/rules-orders.md sections 3, 7 to 9. Orders that a fill wakes are marked DUE; who filled executes them.
"""

from __future__ import annotations

import numpy as np

from backtest.engine.admission import admit_cross, needed_after, over_limit, over_margin_limit
from backtest.engine.compile import kernel
from backtest.engine.cost import MOST_RATE, slippage
from backtest.engine.ends import finish
from backtest.engine.fee import fee_rate, flat_rate, note_turnover
from backtest.engine.fund import empty_pool
from backtest.engine.journal import (
    AS_MAKER,
    AS_TAKER,
    BRACKETED,
    CANCELLED,
    IS_PARTLY_FILLED,
    LIMIT_ORDER,
    MARGIN,
    MARKET_ORDER,
    NO_REASON,
    ONE_CANCELS,
    put_fill,
    put_state,
)
from backtest.engine.layout import (
    CANDLE,
    CAUSE,
    CHILDREN,
    DECISION,
    DONE_LOTS,
    DORMANT,
    DUE,
    FLYING,
    GROUP,
    ID,
    IMPACT,
    INTERVAL,
    ISOLATED_MARGIN,
    LAST_NUMBER,
    LEFT,
    LIMIT,
    LIMIT_AT,
    LIMIT_UNITS,
    LOTS,
    MAKER_SHARE,
    NO_IMPACT,
    OFFSET,
    PARENT,
    POOL,
    REDUCE_ONLY,
    REORG,
    SLIPPAGE,
    STALE,
    STATE,
    STOP_AT,
    STRESS,
    SYMBOL,
    TAKER_SHARE,
    TICK,
    TYPE,
    WOKEN,
    WORKING,
)
from backtest.engine.margin import cross_pool, initial_at, mark_equity, mark_value, units
from backtest.engine.money import money, proportion, share
from backtest.engine.path import price_at, value_at
from backtest.engine.reorg import keep_soft
from backtest.engine.room import use_room
from backtest.engine.settle import move, trade
from backtest.engine.slots import find_order, pause, work
from backtest.engine.virtual import owner_of, shared
from backtest.engine.world import World

NEARLY_TICK = 1e-9
"""A price this share of a tick away from one lies on it."""


@kernel
def fill(
    w: World,
    k: int,
    j: int,
    lows: bool,
    t: int,
    t_ms: int,
    at: int,
    lots: int,
    maker: bool,
    level: float,
    fresh: bool,
) -> tuple[int, int, int]:
    """Fill signed `lots` of the order at `at`, which counts as working no more: `(reason, have, need)` of a refusal.

    `level`: the price where it is not the trade path's at `t`, else NaN; of a maker its limit. `fresh`: it takes as it
    arrives, so that the way here is what its price has changed by.
    """
    m = w.queue[at]
    i, now = int(m[SYMBOL]), t_ms + t // 3
    u = units(w.spec, i, abs(lots))
    d = int(w.run[INTERVAL])
    base = value_at(w.panel, 0, j, i, lows, t, d, u, CANDLE, False) if np.isnan(level) else money(level, u)
    arrival = price_at(w.panel, 0, j, i, lows, t, d, CANDLE, False) if np.isnan(level) else level
    price, spread, impact, drift = arrival, 0, 0, 0
    if not maker and (w.run[IMPACT] != NO_IMPACT or w.bars.shape[0] > 0 or m[TYPE] != MARKET_ORDER):
        price, spread, impact, drift = slippage(w, j, at, lots, u, base, arrival, now)
    elif not maker and w.run[SLIPPAGE] != 0.0:
        # the plain case, without a call: a rate for all, which no sale falls short of
        rate = min(MOST_RATE, w.run[STRESS] * w.run[SLIPPAGE])
        spread = share(base, rate)
        price = arrival * (1.0 + rate) if lots > 0 else arrival * (1.0 - rate)
    slip = spread + impact + drift
    quote = -(base + slip) if lots > 0 else base - slip
    tiered = w.fees.shape[0] > 1
    rate = fee_rate(w, maker, now) if tiered else flat_rate(w.fees, w.run, maker)
    fee = share(abs(quote), rate)
    reason, have, need, moved = admit(w, j, lows, t, at, lots, quote - fee)
    if reason != NO_REASON:
        return reason, have, need
    latency = drift
    at_once = m[TYPE] == MARKET_ORDER or (fresh and m[TYPE] == LIMIT_ORDER)
    if at_once and not maker and not np.isnan(m[DECISION]):
        decided = money(m[DECISION], u)
        latency += base - decided if lots > 0 else decided - base
    m[LEFT] -= lots
    m[DONE_LOTS] += lots
    if m[GROUP] >= 0.0:
        tell_group(w, at, now)
    realized = trade(w, k, now, i, int(m[ID]), lots, quote, fee, owner_of(w, at))
    put_fill(
        w, now, i, int(m[ID]), lots, quote, fee, spread, impact, drift, latency, realized, int(m[CAUSE]),
        AS_MAKER if maker else AS_TAKER, price, m[DECISION], arrival,
    )  # fmt: skip
    if w.run[REORG] > 0.0:
        keep_soft(w, now, i, lots, quote, fee, price, at)
    if w.run[TAKER_SHARE] < np.inf or w.run[MAKER_SHARE] < np.inf:
        use_room(w, i, t_ms, maker, abs(lots))
    if tiered:
        note_turnover(w, abs(quote), now)
    if w.book[i, POOL] == cross_pool(w.spec):
        empty_pool(w, now, cross_pool(w.spec), i)
    else:
        move(w, now, i, moved)
        empty_pool(w, now, i, i)
    if m[LEFT] != 0.0:
        put_state(w, at, now, IS_PARTLY_FILLED, NO_REASON)
    if m[CHILDREN] != 0.0:
        wake(w, at, lots, float(abs(quote)) / float(u))
    return NO_REASON, 0, 0


@kernel
def admit(w: World, j: int, lows: bool, t: int, at: int, lots: int, change: int) -> tuple[int, int, int, int]:
    """`(reason, have, need, moved)` of a fill that changes its pool's cash by `change`: whether limit and margin allow
    it (rules.md 6.3), and what the wallet would then move into a pool of the symbol's own."""
    m = w.queue[at]
    i = int(m[SYMBOL])
    held = w.book[i, LOTS]
    reducing = held != 0 and (held > 0) != (lots > 0) and abs(lots) <= abs(held)
    if not reducing and (w.spec[i, LIMIT] < np.inf or w.spec[i, LIMIT_UNITS] < np.inf):
        reason, have, need = over_limit(w, j, i, lows, t, held + lots)
        if reason != NO_REASON:
            return reason, have, need, 0
    if w.book[i, POOL] != cross_pool(w.spec):
        return admit_isolated(w, j, lows, t, i, lots, change, reducing)
    if shared(w):
        reason, have, need = over_margin_limit(w, j, lows, t, at, lots, change)
        if reason != NO_REASON:
            return reason, have, need, 0
    # what only closes a virtual position may add to the account's
    exits = m[REDUCE_ONLY] != 0.0 and reducing
    admitted, have, need = admit_cross(w, j, lows, t, i, lots, change, reducing, exits)
    return NO_REASON if admitted else MARGIN, have, need, 0


@kernel
def admit_isolated(
    w: World, j: int, lows: bool, t: int, i: int, lots: int, change: int, reducing: bool
) -> tuple[int, int, int, int]:
    """As `admit`, in the symbol's own pool: the wallet posts what an increase needs, gets what a reduction frees."""
    held = w.book[i, LOTS]
    after = held + lots
    equity = mark_equity(w, i, j, lows, t)
    value_change = mark_value(w, j, i, lows, t, after) - mark_value(w, j, i, lows, t, held)
    equity_after = equity + change + value_change
    posted = int(w.run[ISOLATED_MARGIN])
    if reducing:
        freed = min(0, proportion(equity, abs(after), abs(held)) - equity_after)
        return NO_REASON, 0, 0, 0 if posted > 0 else freed
    need = initial_at(w, j, i, lows, t, after)
    have, kept = mark_equity(w, cross_pool(w.spec), j, lows, t), needed_after(w, j, lows, t, i, lots)
    increases = held != 0 and (held > 0) == (after > 0)
    if posted > 0:
        wanted = max(need, equity_after if increases else min(posted, equity_after + max(0, have - kept)))
    elif held == 0 or increases:
        wanted = equity + need - initial_at(w, j, i, lows, t, held)
    else:
        wanted = need
    moved = wanted - equity_after
    drawn = moved + kept
    if have < drawn:
        return MARGIN, have, drawn, 0
    if wanted < need:
        return MARGIN, wanted, need, 0
    return NO_REASON, 0, 0, moved


@kernel
def tell_group(w: World, at: int, now: int) -> None:
    """What a fill of the order at `at` means for its group, and for the parent of a child."""
    m = w.queue[at]
    first = int(m[PARENT]) if m[PARENT] >= 0.0 else int(m[GROUP])
    for n in range(first, int(m[LAST_NUMBER]) + 1):
        other = find_order(w, n)
        if other < 0 or other == at:
            continue
        o = w.queue[other]
        together = o[GROUP] == m[GROUP]
        if together and m[REDUCE_ONLY] != 0.0 and m[LEFT] != 0.0:
            cut(w, other, int(abs(m[LEFT])))
        elif together:
            finish(w, other, now, CANCELLED, ONE_CANCELS, 0, 0)
        elif m[PARENT] >= 0.0 and n == int(m[PARENT]):
            finish(w, other, now, CANCELLED, BRACKETED, 0, 0)


@kernel
def wake(w: World, at: int, lots: int, price: float) -> None:
    """Let the children of the order at `at` grow by a fill of `lots` at `price`, and wake: who filled begins them."""
    number, i, count = int(w.queue[at, ID]), int(w.queue[at, SYMBOL]), int(w.queue[at, CHILDREN])
    for n in range(number + 1, number + 1 + count):
        other = find_order(w, n)
        if other < 0 or int(w.queue[other, PARENT]) != number:
            continue
        o = w.queue[other]
        o[LEFT] -= lots
        w.book[i, STALE] = 1
        if o[STATE] == DORMANT:
            if not np.isnan(o[OFFSET]):
                put_away(w, other, price)
            pause(w, other, FLYING)
            o[DUE] = 1.0
            w.acct[WOKEN] += 1


@kernel
def put_away(w: World, at: int, price: float) -> None:
    """Give a child its price, by its share of the price at which its parent has filled, on the market's tick that is no
    better for it: a sale that stops lower, one that takes profit higher."""
    m = w.queue[at]
    level, tick = price * (1.0 + m[OFFSET]), w.spec[int(m[SYMBOL]), TICK]
    if tick > 0.0:
        ticks = level / tick
        level = tick * (np.floor(ticks + NEARLY_TICK) if m[OFFSET] < 0.0 else np.ceil(ticks - NEARLY_TICK))
    if m[TYPE] == LIMIT_ORDER:
        m[LIMIT_AT] = level
    else:
        m[STOP_AT] = level


@kernel
def cut(w: World, at: int, most: int) -> None:
    """Let the order have at most `most` > 0 lots unfilled."""
    m = w.queue[at]
    if abs(m[LEFT]) > most:
        works = m[STATE] == WORKING
        if works:
            pause(w, at, FLYING)
        m[LEFT] = most if m[LEFT] > 0.0 else -most
        if works:
            work(w, at)
