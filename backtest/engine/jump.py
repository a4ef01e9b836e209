"""From a close to the next open: orders and liquidations that the prices jump over, in the order of the way.

rules-orders.md section 5. All of it happens behind the jump; the way only says what comes first. An oracle's mark
jumps inside the row, where the market's has at an open a delay before (docs/reference/rules-layer2.md section 4).
"""

from __future__ import annotations

import numpy as np

from backtest.engine.acts import perform
from backtest.engine.agenda import IN_JUMP, VOID, first
from backtest.engine.compile import kernel
from backtest.engine.layout import (
    AGENDA,
    CROSSED,
    FROZEN,
    LOTS,
    MARK,
    SINCE,
    SPARED,
    VALUE_A,
    VALUE_X,
)
from backtest.engine.liquidation import check_pool, find
from backtest.engine.margin import cross_pool, equity_of, first_pool, in_pool, maintenance_of, pool_span, units
from backtest.engine.money import money
from backtest.engine.outage import STILL
from backtest.engine.timing import before
from backtest.engine.world import World


@kernel
def jump(w: World, k: int, j: int, lows: bool, t: int, t_ms: int) -> None:
    """Let happen what a jump has passed, orders and liquidations: that of all series at the open of panel row `j`, or
    that of the marks alone at `t` inside it."""
    w.acct[AGENDA] = VOID
    while True:
        way, at, _ = first(w, IN_JUMP, j, lows, 0.0, t, t_ms)
        pool_way, p = first_pool_over(w, j, lows, t, t_ms)
        if p >= 0 and pool_way <= way:
            check_pool(w, k, j, lows, t, t_ms, p)
        elif at >= 0:
            perform(w, k, j, lows, t, t_ms, at, np.nan)
        else:
            return


@kernel
def first_pool_over(w: World, j: int, lows: bool, t: int, t_ms: int) -> tuple[float, int]:
    """`(s, pool)` of the pool with something to do at `t` whose health passes zero first on the jump; −1: none."""
    best_s, best_p = 2.0, -1
    if w.acct[SPARED] != 0:
        return best_s, best_p
    for p in range(first_pool(w.run, w.spec), cross_pool(w.spec) + 1):
        find(w, p, j, lows, t, t, t_ms)
        if w.book[p, CROSSED] < 0:
            continue
        s = 0.0
        if w.book[p, SINCE] < 0:
            here = equity_of(w, p, VALUE_X) - maintenance_of(w, p, VALUE_X)
            value_before(w, p, j, t)
            there = equity_of(w, p, VALUE_A) - maintenance_of(w, p, VALUE_A)
            s = float(there) / float(there - here) if there > 0 else 0.0
        if s < best_s:
            best_s, best_p = s, p
    return best_s, best_p


@kernel
def value_before(w: World, p: int, j: int, t: int) -> None:
    """Values of pool `p` at the marks before the jump at `t` into scratch A."""
    first, last = pool_span(w.spec, p)
    for i in range(first, last):
        if in_pool(w.book, p, i):
            price = w.still[0, 0, i] if w.acct[FROZEN] == STILL else before(w, int(w.run[MARK]), j, i, t)
            w.book[i, VALUE_A] = money(price, units(w.spec, i, w.book[i, LOTS]))
