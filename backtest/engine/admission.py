"""Whether an order is allowed: the venue's limit, and initial margin (docs/rules.md section 6.3)."""

from __future__ import annotations

import numpy as np

from backtest.engine.compile import kernel
from backtest.engine.journal import NO_REASON, TOO_LARGE, TOO_MUCH
from backtest.engine.layout import (
    LIMIT,
    LIMIT_UNITS,
    LOTS,
    MARK,
    PLAIN,
    PORTFOLIO,
    STEP,
    WAITING,
    WAITS,
    WALLET,
    Floats,
    Ints,
    World,
)
from backtest.engine.margin import (
    cross_pool,
    initial_needed,
    mark_equity,
    mark_value,
    reserved,
    units,
)
from backtest.engine.requirement import initial_need


@kernel
def over_limit(w: World, j: int, i: int, lows: bool, t: int, lots: int) -> tuple[int, int, int]:
    """The reason why a position of signed `lots` is larger than the venue allows; what it is, and what is allowed."""
    if w.spec[i, LIMIT] < np.inf:
        value = abs(mark_value(w, j, i, lows, t, lots))
        if float(value) > w.spec[i, LIMIT]:
            return TOO_LARGE, value, int(w.spec[i, LIMIT])
    if w.spec[i, LIMIT_UNITS] < float(abs(units(w.spec, i, lots))):
        return TOO_MUCH, abs(units(w.spec, i, lots)), int(w.spec[i, LIMIT_UNITS])
    return NO_REASON, 0, 0


@kernel
def cross_room(w: World, j: int, lows: bool, t: int) -> tuple[int, int]:
    """`(have, need)` of the cross pool: its equity, and its initial margin with what is reserved for other pools."""
    have = mark_equity(w, cross_pool(w.spec), j, lows, t)
    return have, initial_needed(w, j, lows, t) + reserved(w, j, lows, t)


@kernel
def surely_covered(panel: Floats, book: Ints, acct: Ints, spec: Floats, off: int, j: int) -> bool:
    """Whether a cross pool that holds everything covers its initial margin at the open of panel row `j` by more than
    rounding.

    A bound in doubles that spares most orders the exact sums; with orders waiting it is not tried.
    """
    if acct[WAITING] != 0:
        return False
    spare = float(acct[WALLET])
    slack = 4.0
    for i in range(spec.shape[0]):
        lots = book[i, LOTS]
        if lots != 0:
            v = panel[off, j, i] * (float(lots) * spec[i, STEP])
            n = abs(v)
            spare += v - initial_need(spec, i, n)
            slack += 4.0 + 1e-12 * n
    return spare > slack


@kernel
def admit_cross(
    w: World, j: int, lows: bool, t: int, i: int, lots: int, change: int, reducing: bool
) -> tuple[bool, int, int]:
    """Whether the cross pool allows a fill of `lots` that changes its cash by `change`; with what it has and needs.

    The order must not be counted as waiting any more. In portfolio margin one that does not raise the requirement is
    allowed, whichever way it trades.
    """
    by_net = w.run[PORTFOLIO] != 0.0
    if reducing and not by_net:
        return True, 0, 0
    before = initial_needed(w, j, lows, t) if by_net else 0
    w.acct[WALLET] += change
    w.book[i, LOTS] += lots
    have, need = 0, 0
    if not (t == 0 and w.run[PLAIN] != 0.0 and surely_covered(w.panel, w.book, w.acct, w.spec, int(w.run[MARK]), j)):
        have, need = cross_room(w, j, lows, t)
        if by_net and initial_needed(w, j, lows, t) <= before:
            have = need
    w.acct[WALLET] -= change
    w.book[i, LOTS] -= lots
    return have >= need, have, need


@kernel
def needed_after(w: World, j: int, lows: bool, t: int, at: int, i: int, lots: int) -> int:
    """What the cross pool needs once the order at `at` has filled in a pool of its own: initial margin and reserves."""
    m = w.queue[at]
    waited = m[WAITS]
    m[WAITS] = 0.0
    w.book[i, LOTS] += lots
    total = initial_needed(w, j, lows, t) + reserved(w, j, lows, t)
    w.book[i, LOTS] -= lots
    m[WAITS] = waited
    return total
