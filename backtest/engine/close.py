"""A row's close: last settlements, the equity row, samples, margin calls and compiled targets."""

from __future__ import annotations

import numpy as np

from backtest.engine.compile import kernel
from backtest.engine.journal import BY_DELISTING, put_call, put_pool, put_position
from backtest.engine.layout import (
    AMOUNT,
    ARRIVES,
    CALLED,
    CASH,
    COST,
    DECISION,
    EVENTS,
    ID,
    INITIAL,
    INITIAL_LESS,
    INTERVAL,
    INV_LEVERAGE,
    ISOLATED,
    KIND,
    KNOWN,
    LAST_ROW,
    LATENCY,
    LOTS,
    MAINTENANCE,
    MAINTENANCE_LESS,
    MARK,
    NEXT_ID,
    ORDER,
    QUEUED,
    REDUCE_ONLY,
    ROWS,
    SAMPLE,
    SENT,
    SIZE,
    SPEC_TIERS,
    STEP,
    SYMBOL,
    TARGET_AT,
    TARGET_KIND,
    TARGET_LOTS,
    TARGET_ROW,
    TARGET_SYMBOL,
    TIER_WIDTH,
    TRADED,
    WAITS,
    WALLET,
    WEIGHT,
    Floats,
    Ints,
    World,
)
from backtest.engine.margin import cash_of, holds, pool_count, pool_span, tier_need, units
from backtest.engine.money import lots_for, money, round_sum, share, whole_lots
from backtest.engine.settle import empty_pool, trade

MICRO = 1e6


@kernel
def close_row(w: World, curve: Floats, targets: Floats, k: int, j: int, t_end: int) -> None:
    """Everything that happens at the close of row `k`, which is at `t_end` ms."""
    if k + 1 < int(w.run[ROWS]):
        settle_ended(w, k, j, t_end)
    draw_curve(w, curve[k], j, int(w.run[MARK]) + 3)
    # at a sampling instant, or the first close after it where candles do not close on the clock
    everything = t_end % int(w.run[SAMPLE]) < int(w.run[INTERVAL]) or k + 1 == int(w.run[ROWS])
    if everything or w.acct[EVENTS] != 0:
        sample(w, k, j, t_end, everything)
    call_margin(w, curve, k, j, t_end)
    send_targets(w, targets, k, j, t_end)


@kernel
def settle_ended(w: World, k: int, j: int, t_end: int) -> None:
    """Settle positions of symbols whose last candle this was at the mark's close."""
    for i in range(w.book.shape[0]):
        lots = w.book[i, LOTS]
        if lots != 0 and int(w.spec[i, LAST_ROW]) == k:
            price = w.panel[int(w.run[MARK]) + 3, j, i]
            quote = money(price, units(w.spec, i, lots))
            trade(w, k, t_end, i, -1, -lots, quote, 0, 0, BY_DELISTING, price, price, price)
            empty_pool(w, t_end, i if w.run[ISOLATED] != 0.0 else 0, i)


@kernel
def draw_curve(w: World, row: Floats, j: int, close: int) -> None:
    """The columns of `schema.CURVE`, quote units, into `row`, at the marks in panel field `close` of panel row `j`.

    Doubles: a report value. What is decided on equity is decided on whole micros.
    """
    cash = float(w.acct[WALLET])
    value, cost, gross, initial, least = 0.0, 0.0, 0.0, 0.0, 0.0
    isolated = w.run[ISOLATED] != 0.0
    for i in range(w.book.shape[0]):
        lots = w.book[i, LOTS]
        if lots == 0:
            continue
        if isolated:
            cash += float(w.book[i, CASH])
        v = w.panel[close, j, i] * (float(lots) * w.spec[i, STEP])
        n = abs(v)
        value += v
        cost += float(w.book[i, COST])
        gross += n
        initial += max(tier_need(w.spec, i, n, INITIAL, INITIAL_LESS), n * w.spec[i, INV_LEVERAGE])
        least += tier_need(w.spec, i, n, MAINTENANCE, MAINTENANCE_LESS)
    row[0] = (cash + value) / MICRO
    row[1] = (cash + cost) / MICRO
    row[2] = (value - cost) / MICRO
    row[3] = initial / MICRO
    row[4] = least / MICRO
    row[5] = gross / MICRO
    row[6] = value / MICRO


@kernel
def pool_margin(w: World, p: int, j: int, close: int) -> tuple[float, float, float]:
    """`(equity, initial, maintenance)` of pool `p` at the marks in panel field `close`, micro in doubles."""
    first, last = pool_span(w, p)
    equity, initial, least = float(cash_of(w, p)), 0.0, 0.0
    for i in range(first, last):
        lots = w.book[i, LOTS]
        if lots != 0:
            v = w.panel[close, j, i] * (float(lots) * w.spec[i, STEP])
            equity += v
            n = abs(v)
            initial += max(tier_need(w.spec, i, n, INITIAL, INITIAL_LESS), n * w.spec[i, INV_LEVERAGE])
            least += tier_need(w.spec, i, n, MAINTENANCE, MAINTENANCE_LESS)
    return equity, initial, least


@kernel
def liquidation_price(w: World, i: int, j: int, close: int, equity: float, least: float) -> float:
    """Mark price of `i` at which its pool would meet maintenance, all other marks frozen; NaN if there is none.

    `equity` and `least`: the pool's equity and maintenance margin at the marks in panel field `close`.

    Per tier health is a line in the price, `rest + u·price − (rate·|u|·price − deduction)`; health is the lowest of
    them, so the level is the highest zero of a long's lines and the lowest of a short's.
    """
    lots = w.book[i, LOTS]
    if lots == 0:
        return np.nan
    u = float(lots) * w.spec[i, STEP]
    v = w.panel[close, j, i] * u
    rest = equity - v - (least - tier_need(w.spec, i, abs(v), MAINTENANCE, MAINTENANCE_LESS))
    best = np.nan
    for at in range(SPEC_TIERS, w.spec.shape[1], TIER_WIDTH):
        slope = u - w.spec[i, at + MAINTENANCE] * abs(u)
        price = -(rest + w.spec[i, at + MAINTENANCE_LESS]) / slope
        if np.isnan(best) or (price > best if lots > 0 else price < best):
            best = price
    return best if best > 0.0 else np.nan


@kernel
def traded(w: World, p: int, k: int) -> bool:
    """Whether pool `p` had a fill in row `k`."""
    first, last = pool_span(w, p)
    for i in range(first, last):
        if w.book[i, TRADED] == k:
            return True
    return False


@kernel
def sample(w: World, k: int, j: int, t_end: int, everything: bool) -> None:
    """Journal every position and every pool that holds one; or only what row `k` traded."""
    close = int(w.run[MARK]) + 3
    for p in range(pool_count(w)):
        if not holds(w, p) or not (everything or traded(w, p, k)):
            continue
        equity, initial, least = pool_margin(w, p, j, close)
        put_pool(w, t_end, p, equity / MICRO, initial / MICRO, least / MICRO)
        first, last = pool_span(w, p)
        for i in range(first, last):
            lots = w.book[i, LOTS]
            if lots != 0 and (everything or w.book[i, TRADED] == k):
                level = liquidation_price(w, i, j, close, equity, least)
                put_position(w, t_end, i, lots, w.book[i, COST], w.panel[close, j, i], level)


@kernel
def call_margin(w: World, curve: Floats, k: int, j: int, t_end: int) -> None:
    """Call a pool once when its equity falls below initial margin at a close, and again after it has recovered."""
    for p in range(pool_count(w)):
        if not holds(w, p):
            w.book[p, CALLED] = 0
            continue
        # The same doubles as in `glide`, which must see a call coming.
        if w.run[ISOLATED] != 0.0:
            equity, initial, _ = pool_margin(w, p, j, int(w.run[MARK]) + 3)
            below = equity < initial
        else:
            below = curve[k, 0] < curve[k, 3]
            equity, initial = curve[k, 0] * MICRO, curve[k, 3] * MICRO
        if below and w.book[p, CALLED] == 0:
            put_call(w, t_end, p, int(np.rint(equity)), int(np.rint(initial)))
        w.book[p, CALLED] = 1 if below else 0


@kernel
def account_equity(w: World, j: int) -> int:
    """Equity of the whole account as far as it is known at the close of panel row `j`, exactly, in micro."""
    close = int(w.run[KNOWN])
    total = w.acct[WALLET]
    for i in range(w.book.shape[0]):
        lots = w.book[i, LOTS]
        if lots != 0:
            total += money(w.panel[close, j, i], units(w.spec, i, lots))
        if w.run[ISOLATED] != 0.0:
            total += w.book[i, CASH]
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
    if at >= targets.shape[0] or int(targets[at, TARGET_ROW]) != k:
        return
    equity = account_equity(w, j)
    kind = int(w.run[TARGET_KIND])
    while at < targets.shape[0] and int(targets[at, TARGET_ROW]) == k:
        i = int(targets[at, TARGET_SYMBOL])
        lots = target_lots(w, j, i, kind, targets[at, AMOUNT], equity) - w.book[i, LOTS] - underway(w, i)
        if lots != 0:
            send(w, i, lots, 0.0, t_end, decision_price(w, j, i))
        at += 1
    w.acct[TARGET_AT] = at
