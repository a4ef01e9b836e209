"""What is sent at a close: orders of a strategy, and of compiled targets (docs/rules.md section 6)."""

from __future__ import annotations

import numpy as np

from backtest.engine.compile import kernel
from backtest.engine.journal import ORDERED
from backtest.engine.layout import (
    AMOUNT,
    ARRIVES,
    CASH,
    CAUSE,
    DECISION,
    ID,
    KIND,
    KNOWN,
    LATENCY,
    LOTS,
    NEXT_ID,
    ORDER,
    QUEUED,
    REDUCE_ONLY,
    SENT,
    SIZE,
    STEP,
    SYMBOL,
    TARGET_AT,
    TARGET_KIND,
    TARGET_LOTS,
    TARGET_ROW,
    TARGET_SYMBOL,
    WAITS,
    WALLET,
    WEIGHT,
    Floats,
    Ints,
    World,
)
from backtest.engine.margin import units
from backtest.engine.money import lots_for, money, round_sum, share, whole_lots


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
def underway(w: World, i: int) -> int:
    """Signed lots of orders for symbol `i` that are on their way or wait."""
    total = 0
    for at in range(w.acct[QUEUED]):
        m = w.queue[at]
        if m[KIND] == ORDER and int(m[SYMBOL]) == i:
            total += int(m[SIZE])
    return total


@kernel
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


@kernel
def send(w: World, i: int, lots: int, reduce_only: float, sent: int, price: float) -> int:
    """Put an order on its way; returns its number."""
    number = w.acct[NEXT_ID]
    w.acct[NEXT_ID] = number + 1
    m = w.queue[w.acct[QUEUED]]
    w.acct[QUEUED] += 1
    m[KIND], m[ID], m[SENT], m[ARRIVES] = ORDER, number, sent, sent + int(w.run[LATENCY])
    m[SYMBOL], m[SIZE], m[REDUCE_ONLY], m[DECISION], m[WAITS] = i, lots, reduce_only, price, 0.0
    m[CAUSE] = ORDERED
    return number


@kernel
def send_target(
    panel: Floats,
    book: Ints,
    acct: Ints,
    spec: Floats,
    run: Floats,
    queue: Floats,
    i: int,
    kind: int,
    amount: float,
    reduce_only: bool,
    sent: int,
    j: int,
) -> int:
    """Send what is missing to one target at the close of panel row `j`; the order's number, or −1 for nothing."""
    w = World(panel, book, acct, spec, run, queue, queue)
    equity = account_equity(w, j) if kind == WEIGHT else 0
    lots = target_lots(w, j, i, kind, amount, equity) - book[i, LOTS] - underway(w, i)
    if lots == 0:
        return -1
    return send(w, i, lots, 1.0 if reduce_only else 0.0, sent, decision_price(w, j, i))


@kernel
def send_targets(w: World, targets: Floats, k: int, j: int, t_end: int) -> None:
    """Send what the compiled strategy's targets of row `k` ask for."""
    at = w.acct[TARGET_AT]
    equity = account_equity(w, j)
    kind = int(w.run[TARGET_KIND])
    while at < targets.shape[0] and int(targets[at, TARGET_ROW]) == k:
        i = int(targets[at, TARGET_SYMBOL])
        lots = target_lots(w, j, i, kind, targets[at, AMOUNT], equity) - w.book[i, LOTS] - underway(w, i)
        if lots != 0:
            send(w, i, lots, 0.0, t_end, decision_price(w, j, i))
        at += 1
    w.acct[TARGET_AT] = at
