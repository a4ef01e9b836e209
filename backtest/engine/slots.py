"""Slots of the queue, and where they are: messages in flight, a symbol's orders at the venue, free slots.

A message keeps its slot from being sent to its end, and nothing is ever moved: what a message costs does not depend on
how many there have been, and hardly on how many there are.
"""

from __future__ import annotations

import numpy as np

from backtest.core.enums import Cause
from backtest.engine.blocks import enter
from backtest.engine.compile import called, inlined, kernel
from backtest.engine.heap import count, drop, key_at, put, slot_at
from backtest.engine.journal import LIMIT_ORDER, MARKET_ORDER, TRAILING_STOP
from backtest.engine.layout import (
    AGENDA,
    ARRIVES,
    AT_VENUE,
    BUYS,
    BY_ACT,
    BY_ARRIVAL,
    BY_EXPIRY,
    CAUSE,
    COMING,
    DORMANT,
    DUE,
    EXITS,
    EXPIRES,
    EXPIRES_AT,
    FIRST_ORDER,
    FLIGHTS,
    FREE_SLOT,
    HEAPS,
    ID,
    KIND,
    LAST_ORDER,
    LEFT,
    NEXT_SLOT,
    ORDER,
    PREV_SLOT,
    RANK,
    REDUCE_ONLY,
    RESERVING,
    RESTING,
    SAME_PLACE,
    SELLS,
    SENT,
    SLOTS_USED,
    STALE,
    STANDING,
    STATE,
    SYMBOL,
    TRAILERS,
    TURN,
    TURNS,
    TYPE,
    WOKEN,
    WORKING,
    Floats,
    Ints,
)
from backtest.engine.virtual import halted_since, owner_of
from backtest.engine.world import World

NEVER_MS = 1 << 52
BY_GUARD = int(Cause.GUARD)


@kernel
def new_slot(w: World) -> int:
    """A slot that is in no list; the caller has seen that there is one."""
    at = w.acct[FREE_SLOT]
    if at >= 0:
        w.acct[FREE_SLOT] = int(w.queue[at, NEXT_SLOT])
        return int(at)
    at = w.acct[SLOTS_USED]
    w.acct[SLOTS_USED] = at + 1
    return int(at)


@kernel
def free_slot(w: World, at: int) -> None:
    """Give back a slot that is in no list any more."""
    w.queue[at, ID], w.queue[at, KIND] = -1.0, -1.0
    w.queue[at, NEXT_SLOT] = w.acct[FREE_SLOT]
    w.acct[FREE_SLOT] = at


@kernel
def insert(w: World, row: int, after: int, at: int) -> None:
    """Put slot `at` into list `row` behind slot `after`; −1: at the front."""
    following = w.book[row, FIRST_ORDER] if after < 0 else int(w.queue[after, NEXT_SLOT])
    w.queue[at, PREV_SLOT], w.queue[at, NEXT_SLOT] = after, following
    if after < 0:
        w.book[row, FIRST_ORDER] = at
    else:
        w.queue[after, NEXT_SLOT] = at
    if following < 0:
        w.book[row, LAST_ORDER] = at
    else:
        w.queue[following, PREV_SLOT] = at


@kernel
def remove(w: World, row: int, at: int) -> None:
    """Take slot `at` out of list `row`."""
    before, following = int(w.queue[at, PREV_SLOT]), int(w.queue[at, NEXT_SLOT])
    if before < 0:
        w.book[row, FIRST_ORDER] = following
    else:
        w.queue[before, NEXT_SLOT] = following
    if following < 0:
        w.book[row, LAST_ORDER] = before
    else:
        w.queue[following, PREV_SLOT] = before


@inlined
def first_of(book: Ints, i: int) -> int:
    """The first slot of the list of a symbol's orders at the venue, −1: it is empty."""
    return int(book[i, FIRST_ORDER])


@inlined
def next_of(queue: Floats, at: int) -> int:
    """The slot behind `at` in its list, in flight of those that travel together; −1: it is the last."""
    return int(queue[at, NEXT_SLOT])


@inlined
def behind(w: World, i: int, before: int) -> int:
    """The slot behind `before` in the list of symbol `i`; −1 for `before`: its first."""
    return next_of(w.queue, before) if before >= 0 else first_of(w.book, i)


@inlined
def next_arrival(w: World) -> float:
    """When the next message arrives, ms; the caller has seen that one is in flight."""
    return key_at(w, BY_ARRIVAL, 0)


@kernel
def next_turn_of(w: World) -> float:
    """The next number of column TURN."""
    turn = w.acct[TURNS]
    w.acct[TURNS] = turn + 1
    return float(turn)


@kernel
def fly(w: World, at: int, after: int = -1) -> None:
    """Put a message among those in flight: behind slot `after`, with which it travels, the last of these; −1: behind
    all that arrive no later, of those that arrive with it behind all of no later rank."""
    m = w.queue[at]
    w.acct[FLIGHTS] += 1
    m[NEXT_SLOT] = -1.0
    if m[KIND] == ORDER:
        enlist(w, at)
        w.book[int(m[SYMBOL]), COMING] += coming(w, at)
    if after >= 0:
        w.queue[after, NEXT_SLOT] = at
    else:
        if w.blocks.shape[0] > 0:
            enter(w, at)
        put(w, BY_ARRIVAL, at, m[ARRIVES], m[RANK], next_turn_of(w))


@kernel
def take_down(w: World, at: int) -> None:
    """Take a message out of those in flight."""
    drop(w, BY_ARRIVAL, at)
    w.acct[FLIGHTS] -= 1
    if w.queue[at, KIND] == ORDER:
        w.book[int(w.queue[at, SYMBOL]), COMING] -= coming(w, at)


@kernel
def coming(w: World, at: int) -> int:
    """Signed lots that targets count as held of the order in flight at `at` (rules-orders.md section 1)."""
    m = w.queue[at]
    counts = m[TYPE] == MARKET_ORDER or (m[TYPE] == LIMIT_ORDER and m[REDUCE_ONLY] == 0.0)
    return int(m[LEFT]) if counts and not barred(w, at) else 0


@kernel
def land(w: World, at: int) -> None:
    """Take a message out of those in flight; an order joins its symbol's list, behind those that arrived before."""
    take_down(w, at)
    m = w.queue[at]
    if m[KIND] == ORDER:
        i = int(m[SYMBOL])
        insert(w, i, int(w.book[i, LAST_ORDER]), at)
        if w.acct[RESTING] == 0:
            w.acct[EXPIRES_AT] = NEVER_MS  # what is noted is of orders that have ended
        w.acct[RESTING] += 1
        w.book[i, STANDING] += 1
        w.book[i, EXITS] += int(m[REDUCE_ONLY])
        w.acct[TRAILERS] += 1 if m[TYPE] == TRAILING_STOP else 0
        m[AT_VENUE], m[TURN] = 1.0, next_turn_of(w)
        w.book[i, STALE] = 1
        if m[EXPIRES] < np.inf:
            put(w, BY_EXPIRY, at, m[EXPIRES], 0.0, m[TURN])
            w.acct[EXPIRES_AT] = min(w.acct[EXPIRES_AT], int(m[EXPIRES]))


@kernel
def leave(w: World, at: int) -> None:
    """Take an order out of its symbol's list, and its slot back."""
    m = w.queue[at]
    i = int(m[SYMBOL])
    remove(w, i, at)
    w.acct[RESTING] -= 1
    w.book[i, STANDING] -= 1
    w.book[i, EXITS] -= int(m[REDUCE_ONLY])
    w.acct[TRAILERS] -= 1 if m[TYPE] == TRAILING_STOP else 0
    w.acct[WOKEN] -= int(m[DUE])
    for kind in range(BY_ACT, HEAPS):
        drop(w, kind, at)
    strike(w, at)
    w.book[i, STALE] = 1
    free_slot(w, at)


@kernel
def look_again(w: World, at: int) -> None:
    """Let it be looked at when the order at `at` acts, before anything else acts: it waits for something new."""
    if w.acct[AGENDA] != 0:
        put(w, BY_ACT, at, -1.0, w.queue[at, ARRIVES], w.queue[at, ID])


@kernel
def work(w: World, at: int) -> None:
    """Let the order work: what is unfilled of it reserves margin from now on."""
    m = w.queue[at]
    i = int(m[SYMBOL])
    m[STATE] = WORKING
    look_again(w, at)
    w.book[i, STALE] = 1
    if m[REDUCE_ONLY] == 0.0:
        w.acct[RESERVING] += 1
        if m[LEFT] > 0.0:
            w.book[i, BUYS] += int(m[LEFT])
        else:
            w.book[i, SELLS] -= int(m[LEFT])


@kernel
def pause(w: World, at: int, state: int) -> None:
    """Put the order into `state`; one that was working reserves nothing any more."""
    m = w.queue[at]
    i = int(m[SYMBOL])
    if m[STATE] == WORKING and m[REDUCE_ONLY] == 0.0:
        w.acct[RESERVING] -= 1
        if m[LEFT] > 0.0:
            w.book[i, BUYS] -= int(m[LEFT])
        else:
            w.book[i, SELLS] += int(m[LEFT])
    if m[STATE] == DORMANT:
        w.book[i, EXITS] += int(m[REDUCE_ONLY])
    m[STATE] = state
    w.book[i, STALE] = 1


@kernel
def lull(w: World, at: int) -> None:
    """Let the order at the venue sleep, which neither works nor is armed."""
    m = w.queue[at]
    m[STATE] = DORMANT
    w.book[int(m[SYMBOL]), EXITS] -= int(m[REDUCE_ONLY])


@kernel
def find_any(w: World, order: int) -> int:
    """The slot of an order in flight or at the venue by its number, −1: it is neither."""
    at = w.numbered[order % w.numbered.shape[0]]
    while at >= 0 and int(w.queue[at, ID]) != order:
        at = int(w.queue[at, SAME_PLACE])
    return int(at)


@kernel
def find_order(w: World, order: int) -> int:
    """The slot of an order at the venue by its number, −1: it is not there."""
    at = find_any(w, order)
    return at if at >= 0 and w.queue[at, AT_VENUE] != 0.0 else -1


@kernel
def enlist(w: World, at: int) -> None:
    """Let the order at `at` be found by its number."""
    place = int(w.queue[at, ID]) % w.numbered.shape[0]
    w.queue[at, SAME_PLACE] = w.numbered[place]
    w.numbered[place] = at


@kernel
def strike(w: World, at: int) -> None:
    """Let the order at `at` be found by its number no more."""
    place, following = int(w.queue[at, ID]) % w.numbered.shape[0], int(w.queue[at, SAME_PLACE])
    before = w.numbered[place]
    if before == at:
        w.numbered[place] = following
        return
    while int(w.queue[before, SAME_PLACE]) != at:
        before = int(w.queue[before, SAME_PLACE])
    w.queue[before, SAME_PLACE] = following


@called
def enlist_all(w: World) -> None:
    """Fill `numbered` anew, which has another length."""
    w.numbered[:] = -1
    for i in range(w.spec.shape[0]):
        at = first_of(w.book, i)
        while at >= 0:
            enlist(w, at)
            at = next_of(w.queue, at)
    for n in range(count(w, BY_ARRIVAL)):
        at = slot_at(w, BY_ARRIVAL, n)
        while at >= 0:
            if w.queue[at, KIND] == ORDER:
                enlist(w, at)
            at = next_of(w.queue, at)


@called
def symbol_of(w: World, order: int) -> int:
    """The symbol of an order at the venue or on its way, by its number; −1: it is neither."""
    at = find_any(w, order)
    return int(w.queue[at, SYMBOL]) if at >= 0 else -1


@inlined
def barred(w: World, at: int) -> bool:
    """Whether the message at `at` is of a strategy and was sent since that was halted."""
    since = halted_since(w, owner_of(w, at))
    return since != 0 and w.queue[at, CAUSE] != BY_GUARD and int(w.queue[at, SENT]) >= since
