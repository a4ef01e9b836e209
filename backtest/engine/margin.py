"""Requirements, health and exposure: margin as sums over positions (docs/rules.md sections 6 and 7).

Numbers in, numbers out; nothing here changes a state. Money in micro.
"""

from __future__ import annotations

from backtest.engine.compile import inlined, kernel
from backtest.engine.layout import (
    CASH,
    INITIAL,
    INITIAL_LESS,
    INTERVAL,
    INV_LEVERAGE,
    ISOLATED,
    KIND,
    LOTS,
    MAINTENANCE,
    MAINTENANCE_LESS,
    MARK,
    ORDER,
    QUEUED,
    REDUCE_ONLY,
    SIZE,
    SPEC_TIERS,
    STEP,
    SYMBOL,
    TIER_WIDTH,
    WAITING,
    WAITS,
    WALLET,
    Floats,
    World,
)
from backtest.engine.money import money, share
from backtest.engine.path import value_at


@kernel
def requirement(spec: Floats, i: int, n: int, rate_at: int, less_at: int) -> int:
    """Largest over the tiers of `share(n, rate) − deduction`, at least 0, for a notional `n ≥ 0`.

    Rates rise from tier to tier and the pieces meet at the edges, so the largest is the tier's own.
    """
    best = 0
    for at in range(SPEC_TIERS, spec.shape[1], TIER_WIDTH):
        need = share(n, spec[i, at + rate_at]) - int(spec[i, at + less_at])
        if need > best:
            best = need
    return best


@inlined
def tier_need(spec: Floats, i: int, notional: float, rate_at: int, less_at: int) -> float:
    """`margin.requirement` in doubles, for curves."""
    need = 0.0
    for at in range(SPEC_TIERS, spec.shape[1], TIER_WIDTH):
        need = max(need, notional * spec[i, at + rate_at] - spec[i, at + less_at])
    return need


@kernel
def maintenance(spec: Floats, i: int, n: int) -> int:
    """Maintenance margin of a notional `n ≥ 0` of symbol `i`."""
    return requirement(spec, i, n, MAINTENANCE, MAINTENANCE_LESS)


@kernel
def initial(spec: Floats, i: int, n: int) -> int:
    """Initial margin of a notional `n ≥ 0`: the tier's, and at least `n / leverage`."""
    by_tier = requirement(spec, i, n, INITIAL, INITIAL_LESS)
    by_leverage = share(n, spec[i, INV_LEVERAGE])
    return max(by_tier, by_leverage)


@inlined
def units(spec: Floats, i: int, lots: int) -> int:
    """Micro-units of base in so many lots."""
    return lots * int(spec[i, STEP])


@inlined
def cash_of(w: World, p: int) -> int:
    """Cash of pool `p`: the wallet in cross, the pool's own in isolated."""
    return w.book[p, CASH] if w.run[ISOLATED] != 0.0 else w.acct[WALLET]


@inlined
def pool_span(w: World, p: int) -> tuple[int, int]:
    """Symbols `[first, last)` that pool `p` judges together: all in cross, itself in isolated."""
    if w.run[ISOLATED] != 0.0:
        return p, p + 1
    return 0, w.book.shape[0]


@inlined
def pool_count(w: World) -> int:
    """Pools that may hold positions."""
    return w.book.shape[0] if w.run[ISOLATED] != 0.0 else 1


@kernel
def holds(w: World, p: int) -> bool:
    """Whether pool `p` has a position."""
    first, last = pool_span(w, p)
    for i in range(first, last):
        if w.book[i, LOTS] != 0:
            return True
    return False


@kernel
def equity_of(w: World, p: int, column: int) -> int:
    """Equity of pool `p` with positions at the values in scratch `column` of the book."""
    first, last = pool_span(w, p)
    total = cash_of(w, p)
    for i in range(first, last):
        if w.book[i, LOTS] != 0:
            total += w.book[i, column]
    return total


@kernel
def maintenance_of(w: World, p: int, column: int) -> int:
    """Maintenance margin of pool `p` at the values in scratch `column`."""
    first, last = pool_span(w, p)
    total = 0
    for i in range(first, last):
        if w.book[i, LOTS] != 0:
            total += maintenance(w.spec, i, abs(w.book[i, column]))
    return total


@kernel
def adverse(panel: Floats, off: int, j: int, i: int, lots: int) -> float:
    """The candle's worst price for a position of `lots`, open and close included."""
    opened, closed = panel[off, j, i], panel[off + 3, j, i]
    if lots > 0:
        return min(opened, panel[off + 2, j, i], closed)
    return max(opened, panel[off + 1, j, i], closed)


@kernel
def worst_health(w: World, p: int, j: int) -> int:
    """Health of pool `p` with every leg at its adverse extreme of panel row `j` at one instant.

    Open and close take part, so that a candle whose extremes do not cover them is judged on what it shows.
    """
    first, last = pool_span(w, p)
    off = int(w.run[MARK])
    health = cash_of(w, p)
    for i in range(first, last):
        lots = w.book[i, LOTS]
        if lots == 0:
            continue
        price = adverse(w.panel, off, j, i, lots)
        v = money(price, units(w.spec, i, lots))
        health += v - maintenance(w.spec, i, abs(v))
    return health


@kernel
def mark_equity(w: World, p: int, j: int, lows: bool, t: int) -> int:
    """Equity of pool `p` at time `t` of panel row `j` on the coherent mark path."""
    first, last = pool_span(w, p)
    d = int(w.run[INTERVAL])
    off = int(w.run[MARK])
    total = cash_of(w, p)
    for i in range(first, last):
        lots = w.book[i, LOTS]
        if lots != 0:
            total += value_at(w.panel, off, j, i, lows, t, d, units(w.spec, i, lots))
    return total


@kernel
def exposure(w: World, i: int, lots: int) -> int:
    """Largest absolute position in lots that `lots` and the symbol's waiting orders could make.

    Reduce-only orders cannot add to a position and are not counted.
    """
    if w.acct[WAITING] == 0:
        return abs(lots)
    buys = 0
    sells = 0
    for at in range(w.acct[QUEUED]):
        m = w.queue[at]
        if m[KIND] == ORDER and m[WAITS] != 0.0 and m[REDUCE_ONLY] == 0.0 and int(m[SYMBOL]) == i:
            size = int(m[SIZE])
            if size > 0:
                buys += size
            else:
                sells -= size
    return max(abs(lots), abs(lots + buys), abs(lots - sells))


@kernel
def initial_at(w: World, j: int, i: int, lows: bool, t: int, lots: int) -> int:
    """Initial margin of `lots ≥ 0` of symbol `i` at time `t` on the coherent mark path."""
    if lots == 0:
        return 0
    u = units(w.spec, i, lots)
    return initial(w.spec, i, value_at(w.panel, int(w.run[MARK]), j, i, lows, t, int(w.run[INTERVAL]), u))


@kernel
def initial_needed(w: World, j: int, lows: bool, t: int) -> int:
    """Initial margin of the cross pool, waiting orders included."""
    total = 0
    alone = w.acct[WAITING] == 0
    for i in range(w.book.shape[0]):
        lots = w.book[i, LOTS]
        reach = abs(lots) if alone else exposure(w, i, lots)
        if reach != 0:
            total += initial_at(w, j, i, lows, t, reach)
    return total


@kernel
def reserved(w: World, j: int, lows: bool, t: int) -> int:
    """What waiting orders reserve of the wallet in isolated margin."""
    total = 0
    if w.acct[WAITING] == 0:
        return total
    for i in range(w.book.shape[0]):
        held = abs(w.book[i, LOTS])
        reach = exposure(w, i, w.book[i, LOTS])
        if reach > held:
            total += max(0, initial_at(w, j, i, lows, t, reach) - initial_at(w, j, i, lows, t, held))
    return total
