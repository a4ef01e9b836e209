"""What a strategy's orders could make of its virtual position, and what of them is underway (rules-orders.md, 1)."""

from __future__ import annotations

from backtest.engine.compile import inlined, kernel
from backtest.engine.heap import count, slot_at
from backtest.engine.layout import BY_ARRIVAL, KIND, LEFT, ORDER, REDUCE_ONLY, STATE, SYMBOL, TYPE, WORKING
from backtest.engine.levels import has_limit
from backtest.engine.slots import coming, first_of, next_of
from backtest.engine.virtual import held_by, owner_of
from backtest.engine.world import World


@inlined
def reach(lots: int, buys: int, sells: int) -> int:
    """The largest of a position, of it with all buys filled and of it with all sells filled; of equals the first."""
    most = lots
    if abs(lots + buys) > abs(most):
        most = lots + buys
    if abs(lots - sells) > abs(most):
        most = lots - sells
    return most


@kernel
def exposure_by(w: World, s: int, i: int) -> int:
    """The largest position in signed lots that what strategy `s` holds and its working orders could make."""
    buys, sells = 0, 0
    at = first_of(w.book, i)
    while at >= 0:
        m = w.queue[at]
        if owner_of(w, at) == s and m[STATE] == WORKING and m[REDUCE_ONLY] == 0.0:
            buys += max(0, int(m[LEFT]))
            sells -= min(0, int(m[LEFT]))
        at = next_of(w.queue, at)
    return int(reach(int(held_by(w, s, i)), buys, sells))


@kernel
def underway_by(w: World, s: int, i: int) -> int:
    """Signed lots of `i` that orders of strategy `s` in flight or at the venue have still to fill."""
    total = 0
    for n in range(count(w, BY_ARRIVAL)):
        at = slot_at(w, BY_ARRIVAL, n)
        while at >= 0:
            if w.queue[at, KIND] == ORDER and int(w.queue[at, SYMBOL]) == i and owner_of(w, at) == s:
                total += coming(w, at)
            at = next_of(w.queue, at)
    at = first_of(w.book, i)
    while at >= 0:
        m = w.queue[at]
        # an exit with a limit may never come, one at the market only waits for a price
        counts = m[REDUCE_ONLY] == 0.0 or not has_limit(int(m[TYPE]))
        if owner_of(w, at) == s and m[STATE] == WORKING and counts:
            total += int(m[LEFT])
        at = next_of(w.queue, at)
    return total
