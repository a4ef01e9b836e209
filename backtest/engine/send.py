"""What is sent at a close: orders of a strategy, and of compiled targets (docs/reference/rules.md section 6)."""

from __future__ import annotations

import numpy as np

from backtest.engine.compile import called, kernel
from backtest.engine.exposure import underway_by
from backtest.engine.journal import ORDERED
from backtest.engine.layout import (
    ACTED,
    ACTIVATION,
    AMOUNT,
    ARRIVES,
    BEST_PRICE,
    BUYS,
    BY_MARK,
    CASH,
    CAUSE,
    COMING,
    DECISION,
    EXITS,
    EXPIRES,
    FOLLOWED,
    GROUP,
    ID,
    KIND,
    KNOWN,
    LEFT,
    LIMIT_AT,
    LOTS,
    NEXT_ID,
    OFFSET,
    ORDER,
    OWNER,
    PARENT,
    POST_ONLY,
    QUEUE_WIDTH,
    REDUCE_ONLY,
    SELLS,
    SENDER,
    SENT,
    SIZE,
    STATE,
    STEP,
    STOP_AT,
    SYMBOL,
    TARGET,
    TARGET_AT,
    TARGET_KIND,
    TARGET_LOTS,
    TARGET_ROW,
    TARGET_SYMBOL,
    TIF,
    TRAIL,
    TRAIL_SHARE,
    TRIGGERED,
    TYPE,
    WALLET,
    WEIGHT,
    WORKING,
)
from backtest.engine.levels import has_limit
from backtest.engine.margin import units
from backtest.engine.money import lots_for, money, round_sum, share, whole_lots
from backtest.engine.slots import first_of, fly, new_slot, next_of
from backtest.engine.virtual import held_by, shared
from backtest.engine.way import depart, follow_on
from backtest.engine.world import World

ALONE, UNSENT = -1, -2
"""Of an order that travels with no other; of one that is refused before it is sent, and takes nobody's place."""


@kernel
def account_equity(w: World, j: int) -> int:
    """Equity of the whole account as far as it is known at the close of panel row `j`, exactly, in micro."""
    close = int(w.run[KNOWN])
    total = w.acct[WALLET]
    for i in range(w.spec.shape[0]):
        lots = w.book[i, LOTS]
        if lots != 0:
            total += money(w.panel[close, j, i], units(w.spec, i, lots)) + w.book[i, CASH]
    return total


@kernel
def underway(w: World, owner: int, i: int) -> int:
    """Signed lots of `i` that orders of strategy `owner` in flight or at the venue have still to fill (rules-orders.md,
    1).

    Those that will be refused for a halt are left out.
    """
    if shared(w):
        return underway_by(w, owner, i)
    total = w.book[i, COMING] + w.book[i, BUYS] - w.book[i, SELLS]
    at = first_of(w.book, i) if w.book[i, EXITS] > 0 else -1
    while at >= 0:
        m = w.queue[at]
        if m[REDUCE_ONLY] != 0.0 and m[STATE] == WORKING and not has_limit(int(m[TYPE])):
            total += int(m[LEFT])  # an exit at the market that waits for a price; one with a limit may never come
        at = next_of(w.queue, at)
    return int(total)


@called
def decision_price(w: World, j: int, i: int) -> float:
    """What the strategy sees at the close: the trade close, in a gap the mark's."""
    price = w.panel[3, j, i]
    return w.panel[int(w.run[KNOWN]), j, i] if np.isnan(price) else price


@kernel
def target_lots(w: World, j: int, i: int, kind: int, amount: float, equity: int) -> int:
    """Signed lots of a target: a weight of `equity`, a number of lots, or a notional in micro; rounded to zero."""
    if kind == TARGET_LOTS:
        return whole_lots(amount, int(w.spec[i, STEP]))
    value = share(equity, amount) if kind == WEIGHT else round_sum(amount, 0.0)
    lots = lots_for(abs(value), decision_price(w, j, i), int(w.spec[i, STEP]))
    return lots if value > 0 else -lots


@called
def send(w: World, i: int, lots: int, reduce_only: bool, cause: int, sent: int, j: int) -> int:
    """Put a plain market order on its way at the close of panel row `j`; returns its number."""
    at = message(w, ORDER, i, sent)
    m = w.queue[at]
    m[SIZE], m[LEFT], m[REDUCE_ONLY], m[DECISION] = lots, lots, 1.0 if reduce_only else 0.0, decision_price(w, j, i)
    m[CAUSE] = cause
    depart(w, at, j)
    return int(m[ID])


@called
def tell(w: World, kind: int, i: int, sent: int, j: int) -> int:
    """Put a message that is no order on its way at the close of panel row `j`; returns its slot."""
    at = message(w, kind, i, sent)
    depart(w, at, j)
    return at


@called
def post(
    w: World,
    i: int,
    lots: int,
    kind: int,
    tif: int,
    limit: float,
    stop: float,
    trail: float,
    trail_share: bool,
    activation: float,
    by_mark: bool,
    post_only: bool,
    reduce_only: bool,
    expires_ms: float,
    offset: float,
    sent: int,
    j: int,
    before: int,
) -> int:
    """Put an order of any kind on its way with the message at `before`, or ALONE, or UNSENT; returns its slot."""
    at = message(w, ORDER, i, sent)
    m = w.queue[at]
    m[SIZE], m[LEFT], m[DECISION] = lots, lots, decision_price(w, j, i)
    m[TYPE], m[TIF], m[LIMIT_AT], m[STOP_AT], m[EXPIRES] = kind, tif, limit, stop, expires_ms
    m[TRAIL], m[TRAIL_SHARE], m[ACTIVATION] = trail, 1.0 if trail_share else 0.0, activation
    m[BY_MARK], m[POST_ONLY] = 1.0 if by_mark else 0.0, 1.0 if post_only else 0.0
    m[REDUCE_ONLY], m[OFFSET] = 1.0 if reduce_only else 0.0, offset
    if before == UNSENT:
        m[ARRIVES] = -1.0
        fly(w, at)
    elif before == ALONE:
        depart(w, at, j)
    else:
        follow_on(w, at, before)
    return at


@kernel
def message(w: World, kind: int, i: int, sent: int) -> int:
    """A new message in a slot of its own, numbered, with nothing but its time; the caller has seen to the room."""
    at = new_slot(w)
    number = w.acct[NEXT_ID]
    w.acct[NEXT_ID] = number + 1
    m = w.queue[at]
    for column in range(QUEUE_WIDTH):
        m[column] = 0.0
    m[KIND], m[ID], m[SENT], m[SYMBOL] = kind, number, sent, i
    m[DECISION] = m[LIMIT_AT] = m[STOP_AT] = m[TRAIL] = m[ACTIVATION] = m[BEST_PRICE] = m[OFFSET] = np.nan
    m[EXPIRES] = np.inf
    m[PARENT] = m[GROUP] = m[TARGET] = m[TRIGGERED] = m[ACTED] = m[FOLLOWED] = -1.0
    m[CAUSE], m[OWNER] = ORDERED, w.acct[SENDER]
    return at


@called
def missing(w: World, i: int, kind: int, amount: float, j: int) -> int:
    """Signed lots that a target lacks at the close of panel row `j`."""
    equity = account_equity(w, j) if kind == WEIGHT else 0
    sender = int(w.acct[SENDER])
    return target_lots(w, j, i, kind, amount, equity) - held_by(w, sender, i) - underway(w, sender, i)


@called
def send_target(
    w: World,
    i: int,
    kind: int,
    amount: float,
    reduce_only: bool,
    sent: int,
    j: int,
) -> int:
    """Send what is missing to one target at the close of panel row `j`; the order's number, or −1 for nothing."""
    lots = missing(w, i, kind, amount, j)
    if lots == 0:
        return -1
    return send(w, i, lots, reduce_only, ORDERED, sent, j)


@kernel
def send_targets(w: World, k: int, j: int, t_end: int) -> None:
    """Send what the compiled strategy's targets of row `k` ask for."""
    at = w.acct[TARGET_AT]
    equity = account_equity(w, j)
    kind = int(w.run[TARGET_KIND])
    while at < w.targets.shape[0] and int(w.targets[at, TARGET_ROW]) == k:
        i = int(w.targets[at, TARGET_SYMBOL])
        lots = target_lots(w, j, i, kind, w.targets[at, AMOUNT], equity) - w.book[i, LOTS] - underway(w, 0, i)
        if lots != 0:
            send(w, i, lots, False, ORDERED, t_end, j)
        at += 1
    w.acct[TARGET_AT] = at
