"""Whether an order is allowed: the venue's limit, and initial margin (docs/reference/rules.md section 6.3)."""

from __future__ import annotations

import numpy as np

from backtest.engine.bound import surely_above
from backtest.engine.compile import kernel
from backtest.engine.journal import MARGIN, NO_REASON, OVER_MARGIN_LIMIT, TOO_LARGE, TOO_MUCH
from backtest.engine.layout import (
    COHERENT,
    FLYING,
    LEFT,
    LIMIT,
    LIMIT_UNITS,
    LOTS,
    PLAIN,
    POOL,
    PORTFOLIO,
    REDUCE_ONLY,
    RESERVING,
    SIZED,
    SYMBOL,
    VALUE_X,
    WALLET,
)
from backtest.engine.margin import (
    cross_pool,
    exposure,
    initial_needed,
    initial_of,
    maintenance_of,
    mark_equity,
    mark_value,
    reserved,
    units,
    value_pool,
)
from backtest.engine.money import share
from backtest.engine.requirement import fit_to_size
from backtest.engine.slots import pause, work
from backtest.engine.virtual import V_LOTS, owner_of, place_of, shared
from backtest.engine.world import World


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
def admit_cross(
    w: World, j: int, lows: bool, t: int, i: int, lots: int, change: int, reducing: bool, exits: bool
) -> tuple[bool, int, int]:
    """Whether the cross pool allows a fill of `lots` that changes its cash by `change`; with what it has and needs.

    The order must not be counted as waiting any more. In portfolio margin one that does not raise the requirement is
    allowed, whichever way it trades; a reduce-only one that raises it (it `exits` a hedge) must leave the pool at
    maintenance.
    """
    by_net = w.run[PORTFOLIO] != 0.0
    if reducing and not by_net:
        return True, 0, 0
    before = initial_needed(w, j, lows, t) if by_net else 0
    w.acct[WALLET] += change
    w.book[i, LOTS] += lots
    have, need = 0, 0
    alone = w.run[PLAIN] != 0.0 and w.acct[RESERVING] == 0  # nothing is kept for other pools or for orders
    if not alone or not surely_above(w, j, lows, t, 0.0, True):
        have, need = cross_room(w, j, lows, t)
        if by_net and initial_needed(w, j, lows, t) <= before:
            have = need
        elif by_net and exits:
            need = min(need, maintenance_after(w, j, i, lows, t))
    w.acct[WALLET] -= change
    w.book[i, LOTS] -= lots
    if by_net and w.spec[i, SIZED] != 0.0:
        fit_to_size(w.spec, i, w.book[i, LOTS])
    return have >= need, have, need


@kernel
def maintenance_after(w: World, j: int, i: int, lows: bool, t: int) -> int:
    """Maintenance margin of the cross pool on the mark at `t` with what the book says is held, symbol `i` changed."""
    cross = cross_pool(w.spec)
    value_pool(w, cross, COHERENT, j, lows, t, VALUE_X, False)
    if w.spec[i, SIZED] != 0.0:
        fit_to_size(w.spec, i, w.book[i, LOTS])
    return maintenance_of(w, cross, VALUE_X)


@kernel
def needed_after(w: World, j: int, lows: bool, t: int, i: int, lots: int) -> int:
    """What the cross pool needs once `lots` have filled in a pool of its own: initial margin and reserves.

    The order must not be counted as working any more.
    """
    w.book[i, LOTS] += lots
    total = initial_needed(w, j, lows, t) + reserved(w, j, lows, t)
    w.book[i, LOTS] -= lots
    return total


@kernel
def may_work(w: World, j: int, lows: bool, t: int, at: int) -> tuple[int, int, int]:
    """Let the order at `at` work if the limit and initial margin allow what it, with all the others, could make of the
    position: `(reason, have, need)`, no reason if it works now."""
    m = w.queue[at]
    i, left = int(m[SYMBOL]), int(m[LEFT])
    held = w.book[i, LOTS]
    by_net = w.run[PORTFOLIO] != 0.0 and w.book[i, POOL] == cross_pool(w.spec)
    exits = m[REDUCE_ONLY] != 0.0 or (held != 0 and (held > 0) != (left > 0) and abs(left) <= abs(held))
    before = initial_needed(w, j, lows, t) if by_net else 0
    alone = initial_of(w, owner_of(w, at), j, lows, t, True) if shared(w) else 0
    work(w, at)
    reason, have, need = NO_REASON, 0, 0
    if exits and not by_net and not shared(w):
        return reason, have, need
    if not exits:
        reason, have, need = over_limit(w, j, i, lows, t, exposure(w.book, i))
    if reason == NO_REASON and shared(w):
        reason, have, need = beyond_share(w, j, lows, t, owner_of(w, at), alone)
    if reason == NO_REASON and exits and not by_net:
        return reason, 0, 0
    if reason == NO_REASON and not (by_net and initial_needed(w, j, lows, t) <= before):
        have, need = cross_room(w, j, lows, t)
        reason = MARGIN if have < need else NO_REASON
    if reason != NO_REASON:
        pause(w, at, FLYING)
    return reason, have, need


@kernel
def over_margin_limit(w: World, j: int, lows: bool, t: int, at: int, lots: int, change: int) -> tuple[int, int, int]:
    """The reason why a fill of `lots` of the order at `at`, which changes the account's cash by `change`, is beyond
    its strategy's margin limit, with the limit and the margin; or none."""
    i, s = int(w.queue[at, SYMBOL]), owner_of(w, at)
    if w.margin_limits[s] == np.inf:
        return NO_REASON, 0, 0
    before = initial_of(w, s, j, lows, t, True)
    w.acct[WALLET] += change
    w.book[i, LOTS] += lots
    w.virtual[place_of(w, s, i), V_LOTS] += lots
    reason, have, need = beyond_share(w, j, lows, t, s, before)
    w.acct[WALLET] -= change
    w.book[i, LOTS] -= lots
    w.virtual[place_of(w, s, i), V_LOTS] -= lots
    return reason, have, need


@kernel
def beyond_share(w: World, j: int, lows: bool, t: int, s: int, before: int) -> tuple[int, int, int]:
    """Whether the account as it is now is beyond the margin limit of strategy `s`, whose margin was `before`."""
    if w.margin_limits[s] == np.inf:
        return NO_REASON, 0, 0
    have = share(mark_equity(w, cross_pool(w.spec), j, lows, t), w.margin_limits[s])
    need = initial_of(w, s, j, lows, t, True)
    return (OVER_MARGIN_LIMIT, have, need) if need > before and need > have else (NO_REASON, 0, 0)
