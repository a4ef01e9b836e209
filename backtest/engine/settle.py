"""Changes to the books: cash, lots, funding, pools emptied. The one owner of the account's money.

Docs: rules.md sections 5 to 7. Everything here posts to the journal as it changes the state.
"""

from __future__ import annotations

import numpy as np

from backtest.engine.compile import inlined, kernel
from backtest.engine.journal import SHORTFALL, put_fill, put_funding, put_liquidation, put_move
from backtest.engine.layout import (
    ALLOW_MISSING,
    CASH,
    COST,
    FIRST_ROW,
    FUNDING_AT,
    FUNDING_SYMBOL,
    INTERVAL,
    ISOLATED,
    LAST_ROW,
    LOTS,
    MARK,
    MISSING,
    MISSING_SETTLEMENT,
    RATE,
    STAMP,
    STATUS,
    STEP,
    TRADED,
    WALLET,
    WHEN,
    WHERE,
    Floats,
    World,
)
from backtest.engine.margin import cash_of, holds, units
from backtest.engine.money import money_share, proportion, share, whole_lots
from backtest.engine.path import price_at, value_at


@inlined
def add_cash(w: World, p: int, amount: int) -> None:
    """Pay `amount` (micro, signed) into pool `p`."""
    if w.run[ISOLATED] != 0.0:
        w.book[p, CASH] += amount
    else:
        w.acct[WALLET] += amount


@kernel
def trade(
    w: World,
    k: int,
    ts: int,
    i: int,
    order: int,
    lots: int,
    quote: int,
    fee: int,
    slip: int,
    cause: int,
    price: float,
    decision: float,
    arrival: float,
) -> None:
    """Exchange signed `lots` for signed cash `quote`, pay the fee, keep average cost, journal the fill."""
    held = w.book[i, LOTS]
    cost = w.book[i, COST]
    realized = 0
    if held != 0 and (held > 0) != (lots > 0):
        closing = min(abs(held), abs(lots))
        released = proportion(cost, closing, abs(held))
        closing_quote = proportion(quote, closing, abs(lots))
        realized = closing_quote - released
        cost = cost - released - (quote - closing_quote)
    else:
        cost -= quote
    w.book[i, COST] = cost
    w.book[i, LOTS] = whole_lots(float(held) + float(lots), int(w.spec[i, STEP]))
    w.book[i, TRADED] = k
    add_cash(w, i, quote - fee)
    put_fill(w, ts, i, order, lots, quote, fee, slip, realized, cause, price, decision, arrival)


@kernel
def move(w: World, ts: int, i: int, amount: int) -> None:
    """Move `amount` from the wallet into the isolated pool of `i` (negative: back)."""
    if amount != 0:
        w.acct[WALLET] -= amount
        w.book[i, CASH] += amount
        put_move(w, ts, i, amount)


@kernel
def empty_pool(w: World, ts: int, p: int, i: int) -> None:
    """If pool `p` holds nothing any more: its rest goes to the wallet, what is below zero is borne by others.

    `i` is the symbol whose close emptied it.
    """
    if holds(w, p):
        return
    cash = cash_of(w, p)
    if cash < 0:
        add_cash(w, p, -cash)
        put_liquidation(w, ts, p, i, SHORTFALL, 0, 0, -cash, cash, 0, 0, 0, 0, np.nan)
    elif w.run[ISOLATED] != 0.0:
        move(w, ts, p, -cash)


@kernel
def settle_funding(w: World, funding: Floats, k: int, j: int, lows: bool, t: int, t_ms: int) -> bool:
    """Settle every funding stamp at `t` of row `k`; False if one is missing that is needed."""
    d = int(w.run[INTERVAL])
    off = int(w.run[MARK])
    at = w.acct[FUNDING_AT]
    while at < funding.shape[0] and 3 * (int(funding[at, STAMP]) - t_ms) == t:
        i = int(funding[at, FUNDING_SYMBOL])
        rate = funding[at, RATE]
        at += 1
        w.acct[FUNDING_AT] = at
        lots = w.book[i, LOTS]
        if lots == 0 or k < int(w.spec[i, FIRST_ROW]) or k > int(w.spec[i, LAST_ROW]):
            continue
        ts = t_ms + t // 3
        price = price_at(w.panel, off, j, i, lows, t, d)
        if np.isnan(rate):
            if w.run[ALLOW_MISSING] == 0.0:
                w.acct[STATUS], w.acct[WHERE], w.acct[WHEN] = MISSING_SETTLEMENT, i, ts
                return False
            w.acct[MISSING] += 1
            put_funding(w, ts, i, lots, 0, 1, price, rate)
            continue
        u = units(w.spec, i, lots)
        if t == 0:
            payment = -money_share(w.panel[off, j, i], u, rate)
        else:
            payment = -share(value_at(w.panel, off, j, i, lows, t, d, u), rate)
        add_cash(w, i, payment)
        put_funding(w, ts, i, lots, payment, 0, price, rate)
    return True
