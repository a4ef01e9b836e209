"""Pools: what belongs to them, their equity and requirement, exposure (docs/reference/rules.md section 6).

Numbers in, numbers out; nothing here changes a state, but for the scratch columns of the book. Money in micro.
"""

from __future__ import annotations

from backtest.engine.compile import inlined, kernel
from backtest.engine.exposure import exposure_by, reach
from backtest.engine.layout import (
    APART,
    BETA,
    BUYS,
    CASH,
    COHERENT,
    FLOOR,
    IDIO_INITIAL,
    IDIO_MAINTENANCE,
    INTERVAL,
    LOTS,
    MARK,
    OWN,
    POOL,
    PORTFOLIO,
    RESERVING,
    SCAN_INITIAL,
    SCAN_MAINTENANCE,
    SELLS,
    STEP,
    WALLET,
    Floats,
    Ints,
)
from backtest.engine.money import money, share
from backtest.engine.outage import seen
from backtest.engine.path import check_value, value_at
from backtest.engine.requirement import initial, maintenance
from backtest.engine.virtual import held_by
from backtest.engine.world import World

WHOLE = -1
"""In the place of a strategy: the account."""


@inlined
def units(spec: Floats, i: int, lots: int) -> int:
    """Micro-units of base in so many lots."""
    return lots * int(spec[i, STEP])


@inlined
def cross_pool(spec: Floats) -> int:
    """The number of the cross pool, after those of the symbols."""
    return spec.shape[0]


@inlined
def cash_of(book: Ints, acct: Ints, p: int) -> int:
    """Cash of pool `p`: the wallet is the cross pool's."""
    return acct[WALLET] if p == book.shape[0] - 1 else book[p, CASH]


@inlined
def pool_span(spec: Floats, p: int) -> tuple[int, int]:
    """Symbols `[first, last)` among which those of pool `p` are."""
    if p == spec.shape[0]:
        return 0, p
    return p, p + 1


@inlined
def in_pool(book: Ints, p: int, i: int) -> bool:
    """Whether pool `p` holds a position in `i`."""
    return book[i, LOTS] != 0 and book[i, POOL] == p


@kernel
def holds(w: World, p: int) -> bool:
    """Whether pool `p` has a position."""
    first, last = pool_span(w.spec, p)
    for i in range(first, last):
        if in_pool(w.book, p, i):
            return True
    return False


@inlined
def first_pool(run: Floats, spec: Floats) -> int:
    """The first pool that may hold positions: the cross pool is the only one where no symbol stands apart."""
    return 0 if run[APART] != 0.0 else spec.shape[0]


@kernel
def equity_of(w: World, p: int, column: int) -> int:
    """Equity of pool `p` with positions at the values in scratch `column` of the book."""
    first, last = pool_span(w.spec, p)
    total = cash_of(w.book, w.acct, p)
    for i in range(first, last):
        if in_pool(w.book, p, i):
            total += w.book[i, column]
    return total


@kernel
def net_of(w: World, p: int, column: int) -> int:
    """Signed notional of pool `p` that moves with the market: `Σ share(v, β)`."""
    first, last = pool_span(w.spec, p)
    total = 0
    for i in range(first, last):
        if in_pool(w.book, p, i):
            total += share(w.book[i, column], w.spec[i, BETA])
    return total


@kernel
def scanned(w: World, p: int, column: int) -> int:
    """The side of the portfolio maintenance requirement that goes by the net."""
    first, last = pool_span(w.spec, p)
    total = share(abs(net_of(w, p, column)), w.run[SCAN_MAINTENANCE])
    for i in range(first, last):
        if in_pool(w.book, p, i):
            total += share(abs(w.book[i, column]), w.spec[i, IDIO_MAINTENANCE])
    return total


@inlined
def by_net(run: Floats, spec: Floats, p: int) -> bool:
    """Whether pool `p` is required by its net."""
    return run[PORTFOLIO] != 0.0 and p == spec.shape[0]


@kernel
def own_of(w: World, p: int, column: int) -> int:
    """Sum of the positions' own maintenance margins at the values in scratch `column`; each into OWN."""
    first, last = pool_span(w.spec, p)
    total = 0
    for i in range(first, last):
        if in_pool(w.book, p, i):
            own = maintenance(w.spec, i, abs(w.book[i, column]))
            w.book[i, OWN] = own
            total += own
    return total


@kernel
def maintenance_of(w: World, p: int, column: int) -> int:
    """Maintenance margin of pool `p` at the values in scratch `column`."""
    own = own_of(w, p, column)
    if by_net(w.run, w.spec, p):
        return max(share(own, w.run[FLOOR]), scanned(w, p, column))
    return own


@kernel
def value_pool(w: World, p: int, path: int, j: int, lows: bool, t: int, column: int, before: bool) -> None:
    """Put the values of pool `p` at time `t` of a path, behind or `before` a jump there, into scratch `column`."""
    first, last = pool_span(w.spec, p)
    panel, off, row, late, holds = seen(w, j)
    d = int(w.run[INTERVAL])
    for i in range(first, last):
        if in_pool(w.book, p, i):
            u = units(w.spec, i, w.book[i, LOTS])
            w.book[i, column] = check_value(panel, path, off, row, i, lows, t, d, u, late, holds, before)


@kernel
def mark_health(w: World, p: int, j: int, lows: bool, t: int, column: int) -> int:
    """Health of pool `p` at time `t` of the coherent mark path, whatever path the check follows."""
    value_pool(w, p, COHERENT, j, lows, t, column, False)
    return equity_of(w, p, column) - maintenance_of(w, p, column)


@kernel
def adverse(panel: Floats, off: int, j: int, i: int, lots: int) -> float:
    """The candle's worst price for a position of `lots`, open and close included."""
    if lots > 0:
        return min(panel[off, j, i], panel[off + 2, j, i], panel[off + 3, j, i])
    return max(panel[off, j, i], panel[off + 1, j, i], panel[off + 3, j, i])


@kernel
def worst_health(w: World, p: int, j: int, column: int) -> int:
    """Health of pool `p` with every leg at its adverse extreme of panel row `j` at one instant.

    Open and close take part, so that a candle whose extremes do not cover them is judged on what it shows.
    """
    first, last = pool_span(w.spec, p)
    off = int(w.run[MARK])
    for i in range(first, last):
        if in_pool(w.book, p, i):
            lots = w.book[i, LOTS]
            w.book[i, column] = money(adverse(w.panel, off, j, i, lots), units(w.spec, i, lots))
    return equity_of(w, p, column) - maintenance_of(w, p, column)


@kernel
def mark_equity(w: World, p: int, j: int, lows: bool, t: int) -> int:
    """Equity of pool `p` at time `t` of panel row `j` on the coherent mark path."""
    first, last = pool_span(w.spec, p)
    total = cash_of(w.book, w.acct, p)
    for i in range(first, last):
        if in_pool(w.book, p, i):
            total += mark_value(w, j, i, lows, t, w.book[i, LOTS])
    return total


@kernel
def mark_value(w: World, j: int, i: int, lows: bool, t: int, lots: int) -> int:
    """Value of `lots` on the coherent mark path at `t`."""
    if lots == 0:
        return 0
    panel, off, row, late, holds = seen(w, j)
    return value_at(panel, off, row, i, lows, t, int(w.run[INTERVAL]), units(w.spec, i, lots), late, holds)


@inlined
def exposure(book: Ints, i: int) -> int:
    """The largest position in signed lots that the one held and the symbol's working orders could make.

    Reduce-only orders cannot add to a position and are not counted.
    """
    return int(reach(book[i, LOTS], book[i, BUYS], book[i, SELLS]))


@kernel
def initial_at(w: World, j: int, i: int, lows: bool, t: int, lots: int) -> int:
    """Own initial margin of signed `lots` of symbol `i` at time `t` on the coherent mark path."""
    if lots == 0:
        return 0
    return initial(w.spec, i, abs(mark_value(w, j, i, lows, t, lots)), abs(lots))


@kernel
def initial_needed(w: World, j: int, lows: bool, t: int) -> int:
    """Initial margin of the cross pool, working orders included."""
    return initial_of(w, WHOLE, j, lows, t, w.acct[RESERVING] != 0)


@kernel
def initial_of(w: World, s: int, j: int, lows: bool, t: int, waiting: bool) -> int:
    """Initial margin of the cross pool, or of a strategy's virtual positions as if they were alone in it, with working
    orders where they are `waiting` for."""
    total, net, rest = 0, 0, 0
    cross = cross_pool(w.spec)
    net_rules = w.run[PORTFOLIO] != 0.0
    for i in range(cross):
        if w.book[i, POOL] != cross:
            continue
        if s == WHOLE:
            reach = exposure(w.book, i) if waiting else w.book[i, LOTS]
        else:
            reach = exposure_by(w, s, i) if waiting else held_by(w, s, i)
        if reach != 0:
            value = mark_value(w, j, i, lows, t, reach)
            total += initial(w.spec, i, abs(value), abs(reach))
            if net_rules:
                net += share(value, w.spec[i, BETA])
                rest += share(abs(value), w.spec[i, IDIO_INITIAL])
    if net_rules:
        return max(share(total, w.run[FLOOR]), share(abs(net), w.run[SCAN_INITIAL]) + rest)
    return total


@kernel
def reserved(w: World, j: int, lows: bool, t: int) -> int:
    """What working orders of symbols with a pool of their own reserve of the cross pool's equity."""
    total = 0
    if w.acct[RESERVING] == 0 or w.run[APART] == 0.0:
        return total
    cross = cross_pool(w.spec)
    for i in range(cross):
        if w.book[i, POOL] != cross:
            reach = exposure(w.book, i)
            if reach != w.book[i, LOTS]:
                held = initial_at(w, j, i, lows, t, w.book[i, LOTS])
                total += max(0, initial_at(w, j, i, lows, t, reach) - held)
    return total
