"""Heaps of slots: the first of many at once, each entry in or out in steps that grow with their number's logarithm.

An entry is a slot with three numbers that order it: KEY, of equal ones TIE, then NUMBER. A slot knows its place, so
that it can be taken out from anywhere. Which of two entries comes first never depends on how the heap came about, as
long as no two have the same three numbers.
"""

from __future__ import annotations

from backtest.engine.compile import inlined, kernel
from backtest.engine.layout import HEAPED, PLACES
from backtest.engine.world import World

KEY, TIE, NUMBER, SLOT, HEAP_WIDTH = range(5)


@inlined
def count(w: World, kind: int) -> int:
    """How many entries heap `kind` has."""
    return int(w.acct[HEAPED + kind])


@inlined
def slot_at(w: World, kind: int, n: int) -> int:
    """The slot of entry `n`; entry 0 is the first of all."""
    return int(w.heaps[kind, n, SLOT])


@inlined
def key_at(w: World, kind: int, n: int) -> float:
    """The key of entry `n`."""
    return float(w.heaps[kind, n, KEY])


@inlined
def has(w: World, kind: int, at: int) -> bool:
    """Whether slot `at` is in heap `kind`."""
    return bool(w.queue[at, PLACES + kind] != 0.0)


@kernel
def put(w: World, kind: int, at: int, key: float, tie: float, number: float) -> None:
    """Put slot `at` into heap `kind`, or give it other numbers there."""
    n = int(w.queue[at, PLACES + kind]) - 1
    if n < 0:
        n = w.acct[HEAPED + kind]
        w.acct[HEAPED + kind] = n + 1
    sift(w, kind, n, key, tie, number, at)


@kernel
def drop(w: World, kind: int, at: int) -> None:
    """Take slot `at` out of heap `kind`, if it is there."""
    n = int(w.queue[at, PLACES + kind]) - 1
    if n < 0:
        return
    w.queue[at, PLACES + kind] = 0.0
    last = w.acct[HEAPED + kind] - 1
    w.acct[HEAPED + kind] = last
    if n != last:
        e = w.heaps[kind, last]
        sift(w, kind, n, e[KEY], e[TIE], e[NUMBER], int(e[SLOT]))


@kernel
def clear(w: World, kind: int) -> None:
    """Take all out of heap `kind`."""
    for n in range(w.acct[HEAPED + kind]):
        w.queue[int(w.heaps[kind, n, SLOT]), PLACES + kind] = 0.0
    w.acct[HEAPED + kind] = 0


@inlined
def comes_before(w: World, kind: int, n: int, key: float, tie: float, number: float) -> bool:
    """Whether entry `n` comes before one with these numbers."""
    e = w.heaps[kind, n]
    if e[KEY] != key:
        return bool(e[KEY] < key)
    return bool(e[NUMBER] < number) if e[TIE] == tie else bool(e[TIE] < tie)


@kernel
def sift(w: World, kind: int, n: int, key: float, tie: float, number: float, at: int) -> None:
    """Write an entry whose place `n` is free, there or where it belongs; the others make way."""
    size = w.acct[HEAPED + kind]
    while n > 0 and not comes_before(w, kind, (n - 1) >> 1, key, tie, number):
        shift(w, kind, (n - 1) >> 1, n)
        n = (n - 1) >> 1
    while 2 * n + 1 < size:
        below = 2 * n + 1
        if below + 1 < size:
            e = w.heaps[kind, below]
            below += 1 if comes_before(w, kind, below + 1, e[KEY], e[TIE], e[NUMBER]) else 0
        if not comes_before(w, kind, below, key, tie, number):
            break
        shift(w, kind, below, n)
        n = below
    e = w.heaps[kind, n]
    e[KEY], e[TIE], e[NUMBER], e[SLOT] = key, tie, number, float(at)
    w.queue[at, PLACES + kind] = float(n + 1)


@inlined
def shift(w: World, kind: int, n: int, to: int) -> None:
    """Move entry `n` to place `to`."""
    for column in range(HEAP_WIDTH):
        w.heaps[kind, to, column] = w.heaps[kind, n, column]
    w.queue[int(w.heaps[kind, to, SLOT]), PLACES + kind] = float(to + 1)
