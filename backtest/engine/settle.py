"""Changes to the books: cash, lots, funding. The one owner of the account's money.

Docs: rules.md sections 5 to 7. Everything here posts to the journal as it changes the state.
"""

from __future__ import annotations

import numpy as np

from backtest.core.enums import NO_ORDER as NONE
from backtest.engine.attribution import NOBODY, THE_VENUE, attribute_cash, attribute_trade, exchange
from backtest.engine.compile import inlined, kernel
from backtest.engine.ends import drop_exits
from backtest.engine.journal import AS_TAKER, BY_DELISTING, SHARE_OF_FUNDING, put_fill, put_funding, put_move
from backtest.engine.layout import (
    ALLOW_MISSING,
    CASH,
    COST,
    ENTERED,
    FIRST_ROW,
    FUNDING_AT,
    FUNDING_SYMBOL,
    INTERVAL,
    INV_DEFAULT,
    INV_LEVERAGE,
    LAST_ROW,
    LOTS,
    MISSING,
    MISSING_SETTLEMENT,
    POOL,
    RATE,
    SIZED,
    STAMP,
    STATUS,
    STEP,
    TRADED,
    WALLET,
    WHEN,
    WHERE,
    Ints,
)
from backtest.engine.margin import units
from backtest.engine.money import money_share, share, whole_lots
from backtest.engine.outage import seen
from backtest.engine.path import price_at, value_at
from backtest.engine.requirement import fit_to_size
from backtest.engine.slots import first_of
from backtest.engine.virtual import held_by, shared, split
from backtest.engine.world import World

NO_ORDER = int(NONE)


@inlined
def add_cash(book: Ints, acct: Ints, p: int, amount: int) -> None:
    """Pay `amount` (micro, signed) into pool `p`."""
    if p == book.shape[0] - 1:
        acct[WALLET] += amount
    else:
        book[p, CASH] += amount


@kernel
def trade(w: World, k: int, ts: int, i: int, order: int, lots: int, quote: int, fee: int, owner: int) -> int:
    """Exchange signed `lots` for signed cash `quote`, pay the fee, keep average cost; returns the profit realised.

    Orders that could only reduce what is gone are cancelled, but not `order`, which is being filled. `owner`: the
    strategy whose trade it is, or a number of `attribution`.
    """
    held = w.book[i, LOTS]
    w.book[i, COST], realized = exchange(held, w.book[i, COST], lots, quote)
    after = whole_lots(float(held) + float(lots), int(w.spec[i, STEP]))
    w.book[i, LOTS] = after
    w.book[i, TRADED] = k
    if held == 0 or (held > 0) != (after > 0):
        w.book[i, ENTERED] = ts
    if w.spec[i, SIZED] != 0.0:
        fit_to_size(w.spec, i, after)
    add_cash(w.book, w.acct, w.book[i, POOL], quote - fee)
    if shared(w):
        attribute_trade(w, ts, i, order, lots, quote, fee, owner)
    elif held != 0 and first_of(w.book, i) >= 0 and (after == 0 or (held > 0) != (after > 0)):
        drop_exits(w, i, ts, order, owner)
    return realized


@kernel
def close_lots(w: World, k: int, ts: int, i: int, lots: int, quote: int, cause: int, price: float) -> None:
    """Trade `lots` for `quote` without an order, fee or slippage: what the venue does by itself. Journalled."""
    realized = trade(w, k, ts, i, NO_ORDER, lots, quote, 0, NOBODY if cause == BY_DELISTING else THE_VENUE)
    put_fill(w, ts, i, NO_ORDER, lots, quote, 0, 0, 0, 0, 0, realized, cause, AS_TAKER, price, price, price)


@kernel
def belong(w: World, i: int, p: int) -> None:
    """Put symbol `i` into pool `p`: where no leverage was set the venue's default holds in a pool of its own alone."""
    w.book[i, POOL] = p
    if w.spec[i, INV_DEFAULT] != 0.0:
        w.spec[i, INV_LEVERAGE] = w.spec[i, INV_DEFAULT] if p == i else 0.0


@kernel
def move(w: World, ts: int, i: int, amount: int) -> None:
    """Move `amount` from the wallet into the isolated pool of `i` (negative: back)."""
    if amount != 0:
        w.acct[WALLET] -= amount
        w.book[i, CASH] += amount
        put_move(w, ts, i, amount)


@kernel
def settle_funding(w: World, k: int, j: int, lows: bool, t: int, t_ms: int) -> bool:
    """Settle every funding stamp at `t` of row `k`; False if one is missing that is needed."""
    d = int(w.run[INTERVAL])
    panel, off, row, late, holds = seen(w, j)
    at = w.acct[FUNDING_AT]
    while at < w.funding.shape[0] and 3 * (int(w.funding[at, STAMP]) - t_ms) == t:
        i = int(w.funding[at, FUNDING_SYMBOL])
        rate = w.funding[at, RATE]
        at += 1
        w.acct[FUNDING_AT] = at
        lots = w.book[i, LOTS]
        apart = lots == 0 and shared(w) and split(w, i)
        if (lots == 0 and not apart) or k < int(w.spec[i, FIRST_ROW]) or k > int(w.spec[i, LAST_ROW]):
            continue
        ts = t_ms + t // 3
        price = price_at(panel, off, row, i, lows, t, d, late, holds)
        if np.isnan(rate) and apart:
            continue  # the account has no position
        if np.isnan(rate):
            if w.run[ALLOW_MISSING] == 0.0:
                w.acct[STATUS], w.acct[WHERE], w.acct[WHEN] = MISSING_SETTLEMENT, i, ts
                return False
            w.acct[MISSING] += 1
            put_funding(w, ts, i, lots, 0, 1, price, rate)
            continue
        payment = payment_of(w, j, i, lows, t, units(w.spec, i, lots), rate)
        if shared(w):
            attribute_funding(w, j, i, lows, t, ts, rate)
        if not apart:
            add_cash(w.book, w.acct, w.book[i, POOL], payment)
            put_funding(w, ts, i, lots, payment, 0, price, rate)
    return True


@kernel
def payment_of(w: World, j: int, i: int, lows: bool, t: int, u: int, rate: float) -> int:
    """Funding of `u` micro-units at `t` of panel row `j`; positive: received."""
    panel, off, row, late, holds = seen(w, j)
    if t == 0:
        return -money_share(panel[off, row, i], u, rate)
    return -share(value_at(panel, off, row, i, lows, t, int(w.run[INTERVAL]), u, late, holds), rate)


@kernel
def attribute_funding(w: World, j: int, i: int, lows: bool, t: int, ts: int, rate: float) -> None:
    """Give each strategy with a virtual position its part of a settlement."""
    reached, paid = 0, 0
    for s in range(w.margin_limits.shape[0]):
        held = held_by(w, s, i)
        if held != 0:
            reached += held
            payment = payment_of(w, j, i, lows, t, units(w.spec, i, reached), rate)
            attribute_cash(w, ts, s, i, SHARE_OF_FUNDING, NO_ORDER, payment - paid)
            paid = payment
