"""Isolation by share: a position that outgrows the cross pool gets a pool of its own (rules.md section 6.3)."""

from __future__ import annotations

from backtest.engine.compile import kernel
from backtest.engine.layout import COHERENT, INTERVAL, ISOLATE_ABOVE, LOTS, OWN, VALUE_X
from backtest.engine.margin import (
    cross_pool,
    equity_of,
    in_pool,
    initial_at,
    initial_needed,
    own_of,
    reserved,
    value_pool,
)
from backtest.engine.money import share
from backtest.engine.settle import belong, move
from backtest.engine.world import World


@kernel
def isolate(w: World, j: int, lows: bool, ts: int) -> None:
    """At a row's close: isolate the position with the largest own maintenance, if its share of the cross pool's passes
    the threshold and what is left covers itself."""
    cross, end = cross_pool(w.spec), 3 * int(w.run[INTERVAL])
    value_pool(w, cross, COHERENT, j, lows, end, VALUE_X, False)
    total = own_of(w, cross, VALUE_X)
    largest, held = -1, 0
    for i in range(cross):
        if in_pool(w.book, cross, i):
            held += 1
            if largest < 0 or w.book[i, OWN] > w.book[largest, OWN]:
                largest = i
    if held < 2 or w.book[largest, OWN] <= share(total, w.run[ISOLATE_ABOVE]):
        return
    equity = equity_of(w, cross, VALUE_X)
    belong(w, largest, largest)
    posted = initial_at(w, j, largest, lows, end, w.book[largest, LOTS])
    if equity - posted < initial_needed(w, j, lows, end) + reserved(w, j, lows, end):
        belong(w, largest, cross)
        return
    move(w, ts, largest, posted - w.book[largest, VALUE_X])
