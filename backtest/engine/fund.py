"""The insurance fund, and a pool that is emptied: who bears what it has not (rules.md sections 6, 7.3, 7.4)."""

from __future__ import annotations

import numpy as np

from backtest.core.errors import Broken
from backtest.engine.attribution import attribute_relief
from backtest.engine.compile import kernel
from backtest.engine.journal import SHORTFALL, put_liquidation
from backtest.engine.layout import (
    BLOCK,
    FUND,
    FUND_BLOCK,
    FUND_CAP,
    FUND_USED,
    FUND_WHEN_BANKRUPT,
    HOME,
    PROCESSES,
    SINCE,
)
from backtest.engine.margin import cash_of, cross_pool, holds
from backtest.engine.settle import add_cash, belong, move
from backtest.engine.world import World


@kernel
def fund_room(w: World, ts: int) -> int:
    """The most that the fund can pay at `ts` ms: what it holds, and what its cap leaves in the block."""
    if w.acct[FUND] < 0:
        return 0
    block = ts // int(w.run[BLOCK])
    used = w.acct[FUND_USED] if w.acct[FUND_BLOCK] == block else 0
    return max(0, min(w.acct[FUND], int(w.run[FUND_CAP]) - used))


@kernel
def to_fund(w: World, p: int, ts: int, amount: int) -> None:
    """Pay `amount` from pool `p` into the fund; negative: the fund pays, which the caller has seen that it can."""
    add_cash(w.book, w.acct, p, -amount)
    if w.acct[FUND] < 0:
        if not amount >= 0:
            raise Broken("a venue without an insurance fund was to pay from it")
        return
    w.acct[FUND] += amount
    if amount < 0:
        block = ts // int(w.run[BLOCK])
        if w.acct[FUND_BLOCK] != block:
            w.acct[FUND_BLOCK], w.acct[FUND_USED] = block, 0
        w.acct[FUND_USED] -= amount


@kernel
def end_process(w: World, p: int) -> None:
    """The pool is no longer being liquidated."""
    if w.book[p, SINCE] >= 0:
        w.book[p, SINCE] = -1
        w.acct[PROCESSES] -= 1


@kernel
def empty_pool(w: World, ts: int, p: int, i: int) -> None:
    """If pool `p` holds nothing any more: its rest goes to the wallet, what is below zero is borne by fund and others.

    `i` is the symbol whose close emptied it; one that a rule had isolated goes home.
    """
    if holds(w, p):
        return
    end_process(w, p)
    cash = cash_of(w.book, w.acct, p)
    if cash < 0:
        paid = min(-cash, fund_room(w, ts)) if w.run[FUND_WHEN_BANKRUPT] != 0.0 else 0
        to_fund(w, p, ts, -paid)
        add_cash(w.book, w.acct, p, -cash - paid)
        attribute_relief(w, ts, i, -cash)
        put_liquidation(w, ts, p, i, SHORTFALL, 0, 0, -paid, -cash - paid, 0, cash, 0, 0, 0, 0, np.nan)
    elif p != cross_pool(w.spec):
        move(w, ts, p, -cash)
    if p != cross_pool(w.spec):
        belong(w, p, w.book[p, HOME])
