"""A pool's liquidation as a process in time: its crossing, looks and end (rules.md sections 7.2 and 8)."""

from __future__ import annotations

from backtest.engine.closing import TAKE_POOL, bankrupt, close_all
from backtest.engine.compile import kernel
from backtest.engine.crossing import crossing
from backtest.engine.ends import cancel_orders
from backtest.engine.fund import end_process
from backtest.engine.journal import BACKSTOPPED, LIQUIDATED, WHOLE, put_ambiguous
from backtest.engine.layout import (
    BACKSTOP,
    BLOCK,
    BUFFER,
    CROSSED,
    DELAY,
    EVENT,
    EVERY,
    FLAGGED,
    INTERVAL,
    NEXT,
    PATH,
    POOL,
    PROCESSES,
    REFUSED,
    SINCE,
    STEPS,
    TAKE,
    VALUE_A,
    VALUE_X,
)
from backtest.engine.lowest import note_way
from backtest.engine.margin import (
    cross_pool,
    equity_of,
    first_pool,
    holds,
    maintenance_of,
    mark_health,
    pool_span,
    value_pool,
    worst_health,
)
from backtest.engine.money import share
from backtest.engine.step import can_step, take_step
from backtest.engine.world import World

BEGIN, LOOK, LAST = range(3)
"""A pool's next act: its crossing, a look that is due, or the level below which nothing is left to look at."""


@kernel
def check(w: World, k: int, j: int, lows: bool, ta: int, tb: int, t_ms: int) -> int:
    """Let the liquidations of `[ta, tb]` happen, those of all pools in order of time, then of pool; returns the time of
    the last act, `ta` for none. The way up to it has been looked at (`lowest`)."""
    cross, since = cross_pool(w.spec), ta
    for p in range(first_pool(w.run, w.spec), cross + 1):
        find(w, p, j, lows, ta, tb, t_ms)
    while True:
        first = -1
        for p in range(first_pool(w.run, w.spec), cross + 1):
            t = w.book[p, CROSSED]
            if t >= 0 and (first < 0 or t < w.book[first, CROSSED]):
                first = p
        if first < 0:
            return since
        t = int(w.book[first, CROSSED])
        note_way(w, j, lows, since, t, t_ms)
        since = t
        act(w, k, j, lows, t, t_ms, first)
        find(w, first, j, lows, t, tb, t_ms)
        if first != cross:
            find(w, cross, j, lows, t, tb, t_ms)  # the pool may have given the wallet what it had left


@kernel
def check_pool(w: World, k: int, j: int, lows: bool, t: int, t_ms: int, p: int) -> None:
    """Let what is due in the liquidation of pool `p` at `t` happen, and nothing of others."""
    find(w, p, j, lows, t, t, t_ms)
    while w.book[p, CROSSED] >= 0:
        act(w, k, j, lows, t, t_ms, p)
        find(w, p, j, lows, t, t, t_ms)


@kernel
def find(w: World, p: int, j: int, lows: bool, ta: int, tb: int, t_ms: int) -> None:
    """Look for the pool's next act in `[ta, tb]`: its time into CROSSED, −1 for none; the values there into X."""
    w.book[p, CROSSED] = -1
    if not holds(w, p):
        end_process(w, p)
    elif w.book[p, SINCE] < 0:
        w.book[p, CROSSED] = crossing(w, p, j, lows, ta, tb, 1.0)
        w.book[p, EVENT] = BEGIN
    else:
        due = max(ta, w.book[p, NEXT] - 3 * t_ms)
        # until its first step nobody looks between looks: that is what a late liquidator costs
        last = crossing(w, p, j, lows, ta, min(due, tb), w.run[BACKSTOP]) if w.book[p, STEPS] > 0 else -1
        if last >= 0:
            w.book[p, CROSSED], w.book[p, EVENT] = last, LAST
        elif due < tb or due == ta:
            # a look at an instant comes after what is due there, so it is left to the check of that instant
            value_pool(w, p, int(w.run[PATH]), j, lows, due, VALUE_X, False)
            w.book[p, CROSSED], w.book[p, EVENT] = due, LOOK


@kernel
def act(w: World, k: int, j: int, lows: bool, t: int, t_ms: int, p: int) -> None:
    """What `find` has found happens, at the values in X."""
    t_abs = 3 * t_ms + t
    event = w.book[p, EVENT]
    if event == BEGIN:
        cancel_waiting(w, p, t_abs // 3)
        w.book[p, SINCE], w.book[p, STEPS] = t_abs, 0
        w.acct[PROCESSES] += 1
        if w.run[DELAY] > 0.0:
            w.book[p, NEXT] = t_abs + 3 * int(w.run[DELAY])
            return
    if event == LAST:
        if w.run[BACKSTOP] > 0.0 and equity_of(w, p, VALUE_X) >= 0:
            close_all(w, k, p, t_abs // 3, BACKSTOPPED, 0, False)
        else:
            bankrupt(w, k, p, t_abs // 3)
        end_process(w, p)
    else:
        look(w, k, j, lows, t, t_abs, p, event == BEGIN)


@kernel
def look(w: World, k: int, j: int, lows: bool, t: int, t_abs: int, p: int, at_crossing: bool) -> None:
    """Reduce pool `p` until it is healthy, gone, or has to wait for its next look."""
    first, last = pool_span(w.spec, p)
    for i in range(first, last):
        w.book[i, REFUSED] = 0
    ts = t_abs // 3
    stepped = False
    while holds(w, p):
        equity, need = equity_of(w, p, VALUE_X), maintenance_of(w, p, VALUE_X)
        if equity < 0:
            bankrupt(w, k, p, ts)
            break
        if w.run[BACKSTOP] > 0.0 and equity < share(need, w.run[BACKSTOP]):
            close_all(w, k, p, ts, BACKSTOPPED, 0, False)
            break
        # at the crossing health is zero but for rounding, so the first step is not asked about
        if (stepped or not at_crossing) and equity >= need + share(need, w.run[BUFFER]):
            break
        if stepped and w.run[EVERY] > 0.0:
            w.book[p, NEXT] = t_abs + 3 * int(w.run[EVERY])
            return
        if int(w.run[TAKE]) == TAKE_POOL or not can_step(w, p):
            close_all(w, k, p, ts, WHOLE, 0, True)
            break
        if not take_step(w, k, j, lows, t, t_abs, p):
            w.book[p, NEXT] = t_abs + 3 * int(max(w.run[EVERY], w.run[BLOCK]))
            return
        stepped = True
    end_process(w, p)


@kernel
def cancel_waiting(w: World, p: int, ts: int) -> None:
    """End the orders at the venue of all symbols that belong to pool `p`."""
    for i in range(w.spec.shape[0]):
        if w.book[i, POOL] == p:
            cancel_orders(w, i, ts, LIQUIDATED)


@kernel
def note_ambiguous(w: World, k: int, j: int, lows: bool, t: int, t_ms: int) -> None:
    """List row `k` for each pool whose bounds disagree: every leg at its worst, against start and close only."""
    end = 3 * int(w.run[INTERVAL])
    for p in range(first_pool(w.run, w.spec), cross_pool(w.spec) + 1):
        if not holds(w, p) or w.book[p, FLAGGED] == k or worst_health(w, p, j, VALUE_A) >= 0:
            continue
        if mark_health(w, p, j, lows, t, VALUE_A) >= 0 and mark_health(w, p, j, lows, end, VALUE_A) >= 0:
            w.book[p, FLAGGED] = k
            put_ambiguous(w, t_ms, p)
