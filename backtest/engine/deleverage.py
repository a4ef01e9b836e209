"""Auto-deleveraging of a good position, because the other side has failed (docs/reference/rules.md section 7.5)."""

from __future__ import annotations

import numpy as np

from backtest.engine.compile import kernel
from backtest.engine.fund import empty_pool
from backtest.engine.journal import BY_ADL, TAKEN, put_liquidation
from backtest.engine.layout import (
    ADL_TOP,
    CALENDAR_AT,
    CALENDAR_KIND,
    CALENDAR_PAYLOAD,
    CALENDAR_STAMP,
    CALENDAR_SYMBOL,
    COHERENT,
    COST,
    DELEVERAGE,
    GIVE_UP,
    IDLE_EVENTS,
    LOTS,
    POOL,
    UNITS,
    VALUE_A,
    VALUE_X,
)
from backtest.engine.margin import cross_pool, equity_of, maintenance_of, mark_equity, mark_value, units, value_pool
from backtest.engine.money import proportion, share
from backtest.engine.settle import close_lots, move
from backtest.engine.world import World


@kernel
def deleverage(w: World, k: int, j: int, lows: bool, t: int, t_ms: int) -> None:
    """Let the deleveraging events of this instant take the best-ranked of the positions with a profit."""
    now = t_ms + t // 3
    count = w.spec.shape[0]
    due = False
    while event_due(w, now):
        if not due:
            w.book[:count, VALUE_A] = -1  # candidates, by the event that names them
        due = True
        at = w.acct[CALENDAR_AT]
        w.acct[CALENDAR_AT] = at + 1
        w.acct[IDLE_EVENTS] += 0 if name_candidates(w, j, lows, t, at) else 1
    for i in range(count if due else 0):
        if w.book[i, VALUE_A] >= 0:
            w.spec[i, UNITS] = score(w, j, i, lows, t)  # all ranks are those before the first is taken
    taken = 0
    while due and taken < int(w.run[ADL_TOP]):
        best = -1
        for i in range(count):
            if w.book[i, VALUE_A] >= 0 and (best < 0 or w.spec[i, UNITS] > w.spec[best, UNITS]):
                best = i
        if best < 0:
            return
        take_position(w, k, j, best, lows, t, now, w.calendar[w.book[best, VALUE_A], CALENDAR_PAYLOAD])
        w.book[best, VALUE_A] = -1
        taken += 1


@kernel
def event_due(w: World, now: int) -> bool:
    """Whether the calendar's next entry is a deleveraging event of this instant."""
    at = w.acct[CALENDAR_AT]
    if at >= w.calendar.shape[0]:
        return False
    return int(w.calendar[at, CALENDAR_KIND]) == DELEVERAGE and int(w.calendar[at, CALENDAR_STAMP]) <= now


@kernel
def name_candidates(w: World, j: int, lows: bool, t: int, at: int) -> bool:
    """Mark the positions with a profit that event `at` is about; the larger share counts where events overlap."""
    about = int(w.calendar[at, CALENDAR_SYMBOL])
    found = False
    for i in range(w.spec.shape[0]):
        lots = w.book[i, LOTS]
        if lots == 0 or not (about < 0 or about == i):
            continue
        if mark_value(w, j, i, lows, t, lots) - w.book[i, COST] <= 0:
            continue
        found = True
        named = w.book[i, VALUE_A]
        if named < 0 or w.calendar[at, CALENDAR_PAYLOAD] > w.calendar[named, CALENDAR_PAYLOAD]:
            w.book[i, VALUE_A] = at
    return found


@kernel
def score(w: World, j: int, i: int, lows: bool, t: int) -> float:
    """Profit times leverage, by which the venue ranks; infinite for a pool without equity.

    `(mark / entry) × (notional / account value)`; a short's profit is `entry / mark`.
    """
    equity = mark_equity(w, w.book[i, POOL], j, lows, t)
    n, paid = abs(float(mark_value(w, j, i, lows, t, w.book[i, LOTS]))), abs(float(w.book[i, COST]))
    if equity <= 0:
        return np.inf
    profit = n / paid if w.book[i, LOTS] > 0 else paid / n
    return profit * n / float(equity)


@kernel
def take_position(w: World, k: int, j: int, i: int, lows: bool, t: int, now: int, portion: float) -> None:
    """Close a share of position `i` against the side that failed, at the mark less what the venue lets it give up."""
    held, p = w.book[i, LOTS], w.book[i, POOL]
    closed = min(abs(held), int(np.ceil(float(abs(held)) * portion)))
    lots = closed if held > 0 else -closed
    value_pool(w, p, COHERENT, j, lows, t, VALUE_X, False)
    equity, need = equity_of(w, p, VALUE_X), maintenance_of(w, p, VALUE_X)
    marked = proportion(w.book[i, VALUE_X], closed, abs(held))
    q = marked - share(abs(marked), w.run[GIVE_UP])
    price = float(q) / float(units(w.spec, i, lots))
    close_lots(w, k, now, i, -lots, q, BY_ADL, price)
    w.book[i, VALUE_X] -= marked
    left = equity_of(w, p, VALUE_X)
    put_liquidation(w, now, p, i, TAKEN, -lots, 0, 0, 0, 0, equity, need, left, maintenance_of(w, p, VALUE_X), 0, price)
    if p != cross_pool(w.spec):
        # as for a reducing order: against what is left on the path, which the row above has in proportion
        move(w, now, i, min(0, proportion(equity, abs(held) - closed, abs(held)) - mark_equity(w, p, j, lows, t)))
    empty_pool(w, now, p, i)
