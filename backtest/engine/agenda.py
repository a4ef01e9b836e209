"""The order at the venue that acts next: all that may, in a heap by when they do (rules-orders.md section 5).

Drawn up once for a row, or for a jump. From then on an order that begins to wait, or waits for something else, is put
in front (`slots.look_again`), and is looked at before anything else acts; what has ended is out at once. Otherwise the
time at which an order acts never becomes an earlier one, so it is enough to look again at the one in front.
"""

from __future__ import annotations

import numpy as np

from backtest.engine.compile import kernel
from backtest.engine.heap import clear, count, drop, key_at, put, slot_at
from backtest.engine.layout import (
    AGENDA,
    ARMED,
    ARRIVES,
    BY_ACT,
    BY_MARK,
    FOLLOWED_TO,
    ID,
    RESTING,
    RISE,
    STALE,
    STATE,
    SYMBOL,
)
from backtest.engine.levels import reached, refresh
from backtest.engine.slots import first_of, next_of
from backtest.engine.timing import NEVER, left_behind, meets, waits, way_to
from backtest.engine.world import World

VOID, ON_WAY, ON_SHORT_WAY, IN_JUMP, LEFT_BEHIND, WAITING = range(6)
"""What the agenda is of: acts on the way of the row, or up to the jump of an oracle's mark (see `timing.meets`), in a
jump, of what a halt has left beyond its level, of market orders that wait."""


@kernel
def new_row(w: World) -> None:
    """Forget what was found in the row before."""
    w.acct[AGENDA], w.acct[FOLLOWED_TO] = VOID, -1


@kernel
def when(
    w: World, kind: int, j: int, i: int, lows: bool, at: int, passed: float, t: int, t_ms: int
) -> tuple[float, float]:
    """When the order at `at` acts, and the level that its path meets, see `timing.meets`; NEVER: it does not."""
    if kind in (ON_WAY, ON_SHORT_WAY):
        return meets(w, j, i, lows, at, passed, t_ms, kind == ON_SHORT_WAY)
    if kind == IN_JUMP:
        s = way_to(w, j, i, at, t, t_ms)
        return s if s <= 1.0 else NEVER, np.nan
    acts = left_behind(w, j, i, lows, at, t, t_ms) if kind == LEFT_BEHIND else waits(w, j, i, at, t_ms)
    return 0.0 if acts else NEVER, np.nan


@kernel
def may_matter(w: World, kind: int, j: int, i: int) -> bool:
    """Whether an order of the symbol may act."""
    if kind == WAITING:
        return awaits_any(w, i)
    return kind == LEFT_BEHIND or reached(w, j, i)


@kernel
def awaits_any(w: World, i: int) -> bool:
    """Whether an order of the symbol waits for whatever price comes."""
    if first_of(w.book, i) < 0:
        return False
    if w.book[i, STALE] != 0:
        refresh(w, i)
    return bool(w.spec[i, RISE] == -np.inf)


@kernel
def draw_up(w: World, kind: int, j: int, lows: bool, passed: float, t: int, t_ms: int) -> None:
    """Enter all orders at the venue that may act."""
    clear(w, BY_ACT)
    w.acct[AGENDA] = kind
    for i in range(w.spec.shape[0]):
        at = first_of(w.book, i) if may_matter(w, kind, j, i) else -1
        while at >= 0:
            x = when(w, kind, j, i, lows, at, passed, t, t_ms)[0]
            if x < NEVER:
                put(w, BY_ACT, at, x, w.queue[at, ARRIVES], w.queue[at, ID])
            at = next_of(w.queue, at)


@kernel
def first(w: World, kind: int, j: int, lows: bool, passed: float, t: int, t_ms: int) -> tuple[float, int, float]:
    """`(x, slot, level)` of the order that acts first, of those that act together the one that arrived first; slot −1:
    none. `kind`: of what; `passed`: acts before then are past."""
    if w.acct[RESTING] == 0:
        return NEVER, -1, np.nan
    if w.acct[AGENDA] != kind:
        draw_up(w, kind, j, lows, passed, t, t_ms)
    while count(w, BY_ACT) > 0:
        at = slot_at(w, BY_ACT, 0)
        m = w.queue[at]
        x, level = when(w, kind, j, int(m[SYMBOL]), lows, at, passed, t, t_ms)
        if x >= NEVER:
            drop(w, BY_ACT, at)
            continue
        if x != key_at(w, BY_ACT, 0):
            put(w, BY_ACT, at, x, m[ARRIVES], m[ID])
        if slot_at(w, BY_ACT, 0) == at:
            by_mark = m[STATE] == ARMED and m[BY_MARK] != 0.0
            return x, at, np.nan if by_mark else level
    return NEVER, -1, np.nan
