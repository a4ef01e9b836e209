"""A row's close: last settlements, the equity row, samples, margin calls and compiled targets."""

from __future__ import annotations

import numpy as np

from backtest.engine.attribution import settle_shares
from backtest.engine.compile import kernel
from backtest.engine.curve import draw_curve, pool_margin, sample
from backtest.engine.ends import cancel_orders
from backtest.engine.fund import empty_pool
from backtest.engine.isolate import isolate
from backtest.engine.journal import BY_DELISTING, DELISTED, put_call
from backtest.engine.layout import (
    APART,
    CALLED,
    EVENTS,
    INTERVAL,
    ISOLATE_ABOVE,
    LAST_ROW,
    LOTS,
    MARK,
    MARKET,
    POOL,
    ROWS,
    SAMPLE,
    STEP,
)
from backtest.engine.lowest import note_peak
from backtest.engine.margin import cross_pool, first_pool, holds, units
from backtest.engine.money import money
from backtest.engine.path import lows_first
from backtest.engine.settle import close_lots
from backtest.engine.standings import sample_shares
from backtest.engine.virtual import shared
from backtest.engine.world import World

MICRO = 1e6


@kernel
def close_row(w: World, k: int, j: int, t_end: int) -> None:
    """The venue's acts at the close of row `k`, which is at `t_end` ms."""
    if k + 1 < int(w.run[ROWS]):
        settle_ended(w, k, j, t_end)
    if w.run[ISOLATE_ABOVE] > 0.0:
        isolate(w, j, lows_first(w.panel, j), t_end)
    draw_curve(w, w.curve[j], j, int(w.run[MARKET]) + 3)
    note_peak(w, w.curve[j, 0] * MICRO)
    # at a sampling instant, or the first close after it where candles do not close on the clock
    everything = t_end % int(w.run[SAMPLE]) < int(w.run[INTERVAL]) or k + 1 == int(w.run[ROWS])
    if everything or w.acct[EVENTS] != 0:
        sample(w, k, j, t_end, everything)
    if everything and shared(w):
        sample_shares(w, j, t_end)
    call_margin(w, j, t_end)


@kernel
def settle_ended(w: World, k: int, j: int, t_end: int) -> None:
    """End what is left of symbols whose last candle this was: orders are cancelled, positions settled at the mark."""
    for i in range(w.spec.shape[0]):
        if int(w.spec[i, LAST_ROW]) != k:
            continue
        cancel_orders(w, i, t_end, DELISTED)
        lots, price = w.book[i, LOTS], w.panel[int(w.run[MARK]) + 3, j, i]
        if shared(w):
            settle_shares(w, t_end, i, price, int(w.spec[i, STEP]))
        if lots != 0:
            quote = money(price, units(w.spec, i, lots))
            close_lots(w, k, t_end, i, -lots, quote, BY_DELISTING, price)
            empty_pool(w, t_end, w.book[i, POOL], i)


@kernel
def call_margin(w: World, j: int, t_end: int) -> None:
    """Call a pool once when its equity falls below initial margin at a close, and again after it has recovered."""
    for p in range(first_pool(w.run, w.spec), cross_pool(w.spec) + 1):
        if not holds(w, p):
            w.book[p, CALLED] = 0
            continue
        # The same doubles as in `glide`, which must see a call coming.
        if w.run[APART] != 0.0 or w.run[MARK] != w.run[MARKET]:
            equity, initial, _ = pool_margin(w, w.panel, p, j, int(w.run[MARK]) + 3)
            below = equity < initial
        else:
            below = w.curve[j, 0] < w.curve[j, 3]
            equity, initial = w.curve[j, 0] * MICRO, w.curve[j, 3] * MICRO
        if below and w.book[p, CALLED] == 0:
            put_call(w, t_end, p, int(np.rint(equity)), int(np.rint(initial)), 0.0, -1)
        w.book[p, CALLED] = 1 if below else 0
