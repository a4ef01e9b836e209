"""Liquidation at the exact crossing (docs/rules.md sections 7 and 8)."""

from __future__ import annotations

from backtest.engine.compile import kernel
from backtest.engine.journal import (
    BY_LIQUIDATION,
    CANCELLED,
    LIQUIDATED,
    WHOLE,
    put_ambiguous,
    put_liquidation,
    put_order,
)
from backtest.engine.layout import (
    ARRIVES,
    CROSSED,
    DONE,
    FLAGGED,
    ID,
    INTERVAL,
    KIND,
    LOTS,
    MARK,
    ORDER,
    PATH,
    PENALTY,
    QUEUED,
    REDUCE_ONLY,
    SENT,
    SIZE,
    SPEC_TIERS,
    SYMBOL,
    TIER_WIDTH,
    UPTO,
    VALUE_A,
    VALUE_B,
    VALUE_X,
    WAITS,
    World,
)
from backtest.engine.margin import (
    cash_of,
    equity_of,
    holds,
    maintenance,
    maintenance_of,
    pool_count,
    pool_span,
    units,
    worst_health,
)
from backtest.engine.money import between, share
from backtest.engine.path import check_value, next_knot, value_at
from backtest.engine.settle import add_cash, empty_pool, trade


@kernel
def value_pool(w: World, p: int, j: int, lows: bool, t: int, column: int) -> int:
    """Put the values of pool `p` at time `t` of the check's path into scratch `column`; returns its health."""
    first, last = pool_span(w, p)
    path, off, d = int(w.run[PATH]), int(w.run[MARK]), int(w.run[INTERVAL])
    for i in range(first, last):
        lots = w.book[i, LOTS]
        if lots != 0:
            w.book[i, column] = check_value(w.panel, path, off, j, i, lows, t, d, units(w.spec, i, lots))
    return equity_of(w, p, column) - maintenance_of(w, p, column)


@kernel
def cut(w: World, p: int, num: int, den: int) -> int:
    """Values at `num / den` of the way from A to B into X; returns the health there."""
    first, last = pool_span(w, p)
    for i in range(first, last):
        if w.book[i, LOTS] != 0:
            w.book[i, VALUE_X] = between(w.book[i, VALUE_A], w.book[i, VALUE_B], num, den)
    return equity_of(w, p, VALUE_X) - maintenance_of(w, p, VALUE_X)


@kernel
def keep(w: World, p: int, column: int) -> None:
    """Copy scratch X into scratch `column`."""
    first, last = pool_span(w, p)
    for i in range(first, last):
        w.book[i, column] = w.book[i, VALUE_X]


@kernel
def pin_crossing(w: World, p: int, ta: int, tb: int, ha: int, hb: int) -> int:
    """Time at which health, `ha ≥ 0` at A and `hb < 0` at B, meets zero; the values there go into X.

    The bracket is cut at every tier edge inside it until health is linear in it.
    """
    first, last = pool_span(w, p)
    for i in range(first, last):
        if w.book[i, LOTS] == 0:
            continue
        for at in range(SPEC_TIERS, w.spec.shape[1] - TIER_WIDTH, TIER_WIDTH):
            a, b = abs(w.book[i, VALUE_A]), abs(w.book[i, VALUE_B])
            upto = w.spec[i, at + UPTO]
            if not (min(a, b) < upto < max(a, b)):
                continue
            num, den = abs(int(upto) - a), abs(b - a)
            hx = cut(w, p, num, den)
            tx = between(ta, tb, num, den)
            if hx < 0:
                keep(w, p, VALUE_B)
                tb, hb = tx, hx
            else:
                keep(w, p, VALUE_A)
                ta, ha = tx, hx
    cut(w, p, ha, ha - hb)
    return between(ta, tb, ha, ha - hb)


@kernel
def crossing(w: World, p: int, j: int, lows: bool, ta: int, tb: int) -> int:
    """First time in `[ta, tb]` at which pool `p` is below maintenance, or −1; its values are then in X."""
    ha = value_pool(w, p, j, lows, ta, VALUE_X)
    if ha < 0:
        return ta
    keep(w, p, VALUE_A)
    path, d = int(w.run[PATH]), int(w.run[INTERVAL])
    while ta < tb:
        te = min(next_knot(path, ta, d), tb)
        hb = value_pool(w, p, j, lows, te, VALUE_X)
        keep(w, p, VALUE_B)
        if hb < 0:
            return pin_crossing(w, p, ta, te, ha, hb)
        keep(w, p, VALUE_A)
        ta, ha = te, hb
    return -1


@kernel
def check(w: World, k: int, j: int, lows: bool, ta: int, tb: int, t_ms: int) -> None:
    """Liquidate every pool that falls below maintenance in `[ta, tb]`, in order of time, then of pool."""
    pools = pool_count(w)
    for p in range(pools):
        w.book[p, CROSSED] = crossing(w, p, j, lows, ta, tb) if holds(w, p) else -1
    while True:
        next_pool = -1
        for p in range(pools):
            t = w.book[p, CROSSED]
            if t >= 0 and (next_pool < 0 or t < w.book[next_pool, CROSSED]):
                next_pool = p
        if next_pool < 0:
            return
        liquidate(w, k, next_pool, t_ms + w.book[next_pool, CROSSED] // 3)
        w.book[next_pool, CROSSED] = -1


@kernel
def liquidate(w: World, k: int, p: int, ts: int) -> None:
    """Close every position of pool `p` at the values in X, take the penalty, leave nothing below zero."""
    first, last = pool_span(w, p)
    cancel_waiting(w, p, ts)
    ambiguous = 1 if w.book[p, FLAGGED] == k else 0
    equity, need = equity_of(w, p, VALUE_X), maintenance_of(w, p, VALUE_X)
    final = -1
    for i in range(first, last):
        lots = w.book[i, LOTS]
        w.book[i, VALUE_A] = lots  # the records below still need what was held
        if lots == 0:
            continue
        v = w.book[i, VALUE_X]
        price = float(v) / float(units(w.spec, i, lots))
        trade(w, k, ts, i, -1, -lots, v, 0, 0, BY_LIQUIDATION, price, price, price)
        final = i
    for i in range(first, last):
        lots = w.book[i, VALUE_A]
        if lots == 0:
            continue
        v = w.book[i, VALUE_X]
        penalty = min(share(abs(v), w.run[PENALTY]), max(0, cash_of(w, p)))
        add_cash(w, p, -penalty)
        debt = max(0, -cash_of(w, p)) if i == final else 0
        equity_after = equity - penalty + debt
        need_after = need - maintenance(w.spec, i, abs(v))
        price = float(v) / float(units(w.spec, i, lots))
        put_liquidation(
            w, ts, p, i, WHOLE, -lots, penalty, debt, equity, need, equity_after, need_after, ambiguous, price
        )
        add_cash(w, p, debt)
        equity, need = equity_after, need_after
    empty_pool(w, ts, p, final)


@kernel
def cancel_waiting(w: World, p: int, ts: int) -> None:
    """End the pool's orders that wait at the venue."""
    first, last = pool_span(w, p)
    for at in range(w.acct[QUEUED]):
        m = w.queue[at]
        if m[KIND] == ORDER and m[WAITS] != 0.0 and first <= int(m[SYMBOL]) < last:
            put_order(
                w, int(m[ID]), int(m[SENT]), int(m[ARRIVES]), ts, int(m[SYMBOL]), int(m[SIZE]), int(m[REDUCE_ONLY]),
                CANCELLED, LIQUIDATED, 0, 0, 0,
            )  # fmt: skip
            m[KIND] = DONE


@kernel
def note_ambiguous(w: World, k: int, j: int, lows: bool, t: int, t_ms: int) -> None:
    """List row `k` for each pool whose bounds disagree: every leg at its worst, against start and close only."""
    d = int(w.run[INTERVAL])
    for p in range(pool_count(w)):
        if not holds(w, p) or w.book[p, FLAGGED] == k or worst_health(w, p, j) >= 0:
            continue
        if coherent_health(w, p, j, lows, t) >= 0 and coherent_health(w, p, j, lows, 3 * d) >= 0:
            w.book[p, FLAGGED] = k
            put_ambiguous(w, t_ms, p)


@kernel
def coherent_health(w: World, p: int, j: int, lows: bool, t: int) -> int:
    """Health of pool `p` at time `t` of the coherent mark path, whatever path the check follows."""
    first, last = pool_span(w, p)
    off, d = int(w.run[MARK]), int(w.run[INTERVAL])
    health = cash_of(w, p)
    for i in range(first, last):
        lots = w.book[i, LOTS]
        if lots != 0:
            v = value_at(w.panel, off, j, i, lows, t, d, units(w.spec, i, lots))
            health += v - maintenance(w.spec, i, abs(v))
    return health
