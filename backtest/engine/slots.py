"""Slots of the queue and their lists: messages in flight, a symbol's orders at the venue, free slots.

A message keeps its slot from being sent to its end, and nothing is ever moved: what a message costs does not depend on
how many there are, or have been.
"""

from __future__ import annotations

from backtest.core.enums import Cause
from backtest.engine.compile import called, inlined, kernel
from backtest.engine.layout import (
    ARRIVES,
    BUYS,
    CAUSE,
    DUE,
    EXPIRES,
    EXPIRES_AT,
    FIRST_ORDER,
    FLIGHTS,
    FREE_SLOT,
    HALT_MS,
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
    WOKEN,
    WORKING,
    Floats,
    Ints,
)
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
def first_of(book: Ints, row: int) -> int:
    """The first slot of a list, −1: it is empty. The list of messages in flight is that of the last row."""
    return int(book[row, FIRST_ORDER])


@inlined
def next_of(queue: Floats, at: int) -> int:
    """The slot behind `at`, −1: it is the last."""
    return int(queue[at, NEXT_SLOT])


@kernel
def fly(w: World, at: int, after: int = -1) -> None:
    """Put a message among those in flight: behind slot `after`, with which it travels; −1: behind all that arrive no
    later, of those that arrive with it behind all of no later rank."""
    row, queue = w.book.shape[0] - 1, w.queue
    if after < 0:
        after = int(w.book[row, LAST_ORDER])
        while after >= 0 and (
            queue[after, ARRIVES] > queue[at, ARRIVES]
            or (queue[after, ARRIVES] == queue[at, ARRIVES] and queue[after, RANK] > queue[at, RANK])
        ):
            after = int(queue[after, PREV_SLOT])
    insert(w, row, after, at)
    w.acct[FLIGHTS] += 1


@kernel
def land(w: World, at: int) -> None:
    """Take a message out of those in flight; an order joins its symbol's list, behind those that arrived before."""
    remove(w, w.book.shape[0] - 1, at)
    w.acct[FLIGHTS] -= 1
    if w.queue[at, KIND] == ORDER:
        i = int(w.queue[at, SYMBOL])
        insert(w, i, int(w.book[i, LAST_ORDER]), at)
        if w.acct[RESTING] == 0:
            w.acct[EXPIRES_AT] = NEVER_MS  # what is noted is of orders that have ended
        w.acct[RESTING] += 1
        w.book[i, STANDING] += 1
        enlist(w, at)
        w.book[i, STALE] = 1
        if w.queue[at, EXPIRES] < float(w.acct[EXPIRES_AT]):
            w.acct[EXPIRES_AT] = int(w.queue[at, EXPIRES])


@kernel
def leave(w: World, at: int) -> None:
    """Take an order out of its symbol's list, and its slot back."""
    i = int(w.queue[at, SYMBOL])
    remove(w, i, at)
    w.acct[RESTING] -= 1
    w.book[i, STANDING] -= 1
    w.acct[WOKEN] -= int(w.queue[at, DUE])
    strike(w, at)
    w.book[i, STALE] = 1
    free_slot(w, at)


@kernel
def earlier(queue: Floats, one: int, other: int) -> bool:
    """Whether slot `one` arrived before slot `other`: by time, then by number. No slot (−1) arrived before none."""
    if other < 0 or one < 0:
        return one >= 0
    if queue[one, ARRIVES] != queue[other, ARRIVES]:
        return bool(queue[one, ARRIVES] < queue[other, ARRIVES])
    return bool(queue[one, ID] < queue[other, ID])


@kernel
def work(w: World, at: int) -> None:
    """Let the order work: what is unfilled of it reserves margin from now on."""
    m = w.queue[at]
    i = int(m[SYMBOL])
    m[STATE] = WORKING
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
    m[STATE] = state
    w.book[i, STALE] = 1


@kernel
def find_order(w: World, order: int) -> int:
    """The slot of an order at the venue by its number, −1: it is not there."""
    at = w.numbered[order % w.numbered.shape[0]]
    while at >= 0 and int(w.queue[at, ID]) != order:
        at = int(w.queue[at, SAME_PLACE])
    return int(at)


@kernel
def enlist(w: World, at: int) -> None:
    """Let `find_order` find the order at `at`."""
    place = int(w.queue[at, ID]) % w.numbered.shape[0]
    w.queue[at, SAME_PLACE] = w.numbered[place]
    w.numbered[place] = at


@kernel
def strike(w: World, at: int) -> None:
    """Let `find_order` find the order at `at` no more."""
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


@called
def symbol_of(w: World, order: int) -> int:
    """The symbol of an order at the venue or on its way, by its number; −1: it is neither."""
    at = find_order(w, order)
    if at < 0:
        at = first_of(w.book, w.book.shape[0] - 1)
        while at >= 0 and not (w.queue[at, KIND] == ORDER and int(w.queue[at, ID]) == order):
            at = next_of(w.queue, at)
    return int(w.queue[at, SYMBOL]) if at >= 0 else -1


@inlined
def barred(acct: Ints, queue: Floats, at: int) -> bool:
    """Whether the message at `at` is of the strategy and was sent since the account was halted."""
    return acct[HALT_MS] != 0 and queue[at, CAUSE] != BY_GUARD and int(queue[at, SENT]) >= acct[HALT_MS]
