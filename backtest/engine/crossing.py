"""When a pool's health at a level falls below zero on the way of the prices (docs/reference/rules.md section 7.1)."""

from __future__ import annotations

from backtest.engine.compile import kernel
from backtest.engine.layout import (
    FLOOR,
    HOLDS,
    INTERVAL,
    PATH,
    SPEC_TIERS,
    TIER_WIDTH,
    UPTO,
    VALUE_A,
    VALUE_B,
    VALUE_X,
)
from backtest.engine.margin import (
    by_net,
    equity_of,
    in_pool,
    maintenance_of,
    net_of,
    own_of,
    pool_span,
    scanned,
    value_pool,
)
from backtest.engine.money import between, share
from backtest.engine.outage import seen
from backtest.engine.path import next_knot
from backtest.engine.world import World


@kernel
def health_at(w: World, p: int, column: int, level: float) -> int:
    """Equity of pool `p` less `level` times its maintenance margin, at the values in scratch `column`."""
    return equity_of(w, p, column) - share(maintenance_of(w, p, column), level)


@kernel
def cut(w: World, p: int, num: int, den: int, level: float) -> int:
    """Values at `num / den` of the way from A to B into X; returns the health there."""
    first, last = pool_span(w.spec, p)
    for i in range(first, last):
        if in_pool(w.book, p, i):
            w.book[i, VALUE_X] = between(w.book[i, VALUE_A], w.book[i, VALUE_B], num, den)
    return health_at(w, p, VALUE_X, level)


@kernel
def keep(w: World, p: int, column: int) -> None:
    """Copy scratch X into scratch `column`."""
    first, last = pool_span(w.spec, p)
    for i in range(first, last):
        if in_pool(w.book, p, i):
            w.book[i, column] = w.book[i, VALUE_X]


@kernel
def narrow(
    w: World, p: int, ta: int, tb: int, ha: int, hb: int, num: int, den: int, level: float
) -> tuple[int, int, int, int]:
    """The bracket `(ta, tb, ha, hb)` cut at `num / den`: the part in which health passes zero."""
    hx = cut(w, p, num, den, level)
    tx = between(ta, tb, num, den)
    if hx < 0:
        keep(w, p, VALUE_B)
        return ta, tx, ha, hx
    keep(w, p, VALUE_A)
    return tx, tb, hx, hb


@kernel
def floor_excess(w: World, p: int, column: int) -> int:
    """By how much the floor of a portfolio requirement exceeds its other side."""
    return share(own_of(w, p, column), w.run[FLOOR]) - scanned(w, p, column)


@kernel
def pin_crossing(w: World, p: int, ta: int, tb: int, ha: int, hb: int, level: float) -> int:
    """Time at which health, `ha ≥ 0` at A and `hb < 0` at B, meets zero; the values there go into X.

    The bracket is cut wherever health bends until it is linear in it.
    """
    first, last = pool_span(w.spec, p)
    for i in range(first, last):
        if not in_pool(w.book, p, i):
            continue
        for at in range(SPEC_TIERS, w.spec.shape[1] - TIER_WIDTH, TIER_WIDTH):
            a, b = abs(w.book[i, VALUE_A]), abs(w.book[i, VALUE_B])
            upto = w.spec[i, at + UPTO]
            if min(a, b) < upto < max(a, b):
                ta, tb, ha, hb = narrow(w, p, ta, tb, ha, hb, abs(int(upto) - a), abs(b - a), level)
    if by_net(w.run, w.spec, p):
        a, b = net_of(w, p, VALUE_A), net_of(w, p, VALUE_B)
        if (a < 0 < b) or (b < 0 < a):
            ta, tb, ha, hb = narrow(w, p, ta, tb, ha, hb, abs(a), abs(a) + abs(b), level)
        a, b = floor_excess(w, p, VALUE_A), floor_excess(w, p, VALUE_B)
        if (a < 0 < b) or (b < 0 < a):
            ta, tb, ha, hb = narrow(w, p, ta, tb, ha, hb, abs(a), abs(a) + abs(b), level)
    cut(w, p, ha, ha - hb, level)
    return between(ta, tb, ha, ha - hb)


@kernel
def crossing(w: World, p: int, j: int, lows: bool, ta: int, tb: int, level: float) -> int:
    """First time in `[ta, tb]` at which health of pool `p` at `level` is below zero, −1: none; its values are in X."""
    path, d, late = int(w.run[PATH]), int(w.run[INTERVAL]), seen(w, j)[3]
    value_pool(w, p, path, j, lows, ta, VALUE_X, False)
    ha = health_at(w, p, VALUE_X, level)
    if ha < 0:
        return ta
    keep(w, p, VALUE_A)
    while ta < tb:
        te = min(next_knot(path, ta, d, late), tb)
        value_pool(w, p, path, j, lows, te, VALUE_X, True)
        hb = health_at(w, p, VALUE_X, level)
        keep(w, p, VALUE_B)
        if hb < 0 and w.run[HOLDS] != 0.0:
            return te  # it has jumped there: X has its values
        if hb < 0:
            return pin_crossing(w, p, ta, te, ha, hb, level)
        keep(w, p, VALUE_A)
        ta, ha = te, hb
    return -1
