"""Fills that the chain undoes as it stops (docs/reference/rules-layer2.md section 3)."""

from __future__ import annotations

import numpy as np

from backtest.core.errors import Broken
from backtest.engine.compile import kernel
from backtest.engine.fund import empty_pool
from backtest.engine.journal import AS_TAKER, BY_REORG, put_fill
from backtest.engine.layout import (
    ID,
    LAST_ROW,
    OUT_START,
    OUTAGE_AT,
    OWNER,
    POOL,
    REORG,
    SOFT,
    SOFT_FEE,
    SOFT_ID,
    SOFT_LOTS,
    SOFT_OWNER,
    SOFT_PRICE,
    SOFT_QUOTE,
    SOFT_SYMBOL,
    SOFT_TS,
)
from backtest.engine.settle import trade
from backtest.engine.world import World


@kernel
def keep_soft(w: World, now: int, i: int, lots: int, quote: int, fee: int, price: float, at: int) -> None:
    """Remember a fill of the order at `at` that a reorg could undo."""
    n = w.acct[SOFT]
    w.acct[SOFT] = n + 1
    row = w.soft[n % w.soft.shape[0]]
    if not row[SOFT_TS] <= float(now) - w.run[REORG]:
        raise Broken("more fills within the depth of a reorg than are kept")
    row[SOFT_TS], row[SOFT_SYMBOL], row[SOFT_LOTS], row[SOFT_QUOTE] = now, i, lots, quote
    row[SOFT_FEE], row[SOFT_PRICE], row[SOFT_ID], row[SOFT_OWNER] = fee, price, w.queue[at, ID], w.queue[at, OWNER]


@kernel
def undo_soft(w: World, k: int, t: int, t_ms: int) -> None:
    """At an outage's start, after all else at `t`: exchange back what orders filled just before it, the last first."""
    now = t_ms + t // 3
    begins = False
    for n in range(w.acct[OUTAGE_AT], w.outages.shape[0]):
        begins = begins or 3.0 * w.outages[n, OUT_START] == float(3 * t_ms + t)
    while begins and w.acct[SOFT] > 0:
        row = w.soft[(w.acct[SOFT] - 1) % w.soft.shape[0]]
        if row[SOFT_TS] <= float(now) - w.run[REORG]:
            break
        i, lots, quote, fee = int(row[SOFT_SYMBOL]), -int(row[SOFT_LOTS]), -int(row[SOFT_QUOTE]), -int(row[SOFT_FEE])
        w.acct[SOFT] -= 1
        row[SOFT_TS] = -np.inf
        if k > int(w.spec[i, LAST_ROW]):
            continue  # nothing can be held in it any more
        p = w.book[i, POOL]
        realized = trade(w, k, now, i, int(row[SOFT_ID]), lots, quote, fee, int(row[SOFT_OWNER]))
        put_fill(
            w, now, i, int(row[SOFT_ID]), lots, quote, fee, 0, 0, 0, 0, realized, BY_REORG, AS_TAKER,
            row[SOFT_PRICE], row[SOFT_PRICE], row[SOFT_PRICE],
        )  # fmt: skip
        empty_pool(w, now, p, i)
