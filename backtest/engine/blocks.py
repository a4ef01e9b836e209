"""How many messages of the account each block to come takes (rules-layer2.md section 1).

A table by the block's time, with room for four times as many blocks as messages can be in flight. A block that is
full points onward to one that may not be, so that nobody looks at all the full ones again.
"""

from __future__ import annotations

from backtest.engine.compile import called, inlined, kernel
from backtest.engine.heap import count, slot_at
from backtest.engine.layout import (
    ARRIVES,
    BEHIND,
    BLOCK_MS,
    BLOCKS_USED,
    BY_ARRIVAL,
    DEPOSIT,
    FATE,
    FORCED,
    IS_LOST,
    KIND,
    MOST_A_BLOCK,
    OUT_END,
    OUT_START,
    OUTAGE_AT,
)
from backtest.engine.world import World

BLOCK_AT, TAKEN, ONWARD, BLOCK_WIDTH = range(4)
"""Of `blocks`: the block's time, ms, 0: the row is free; messages in it; a later block to look at, 0: not known."""
SCATTER, LOW = 0x45D9F3B, 0xFFFFFFFF


@kernel
def row_of(w: World, x: int) -> int:
    """The row of the block at `x`, or the free one that would be its."""
    rows = w.blocks.shape[0]
    n = ((x // int(w.run[BLOCK_MS])) & LOW) * SCATTER % rows
    while w.blocks[n, BLOCK_AT] != x and w.blocks[n, BLOCK_AT] != 0:
        n = n + 1 if n + 1 < rows else 0
    return int(n)


@kernel
def note(w: World, at: int) -> None:
    """Count the message at `at` in its block: those that travel with it, and transfers, take no place."""
    m = w.queue[at]
    if m[BEHIND] != 0.0 or m[KIND] >= float(DEPOSIT) or m[FATE] == float(IS_LOST) or m[ARRIVES] <= 0.0:
        return
    n = row_of(w, int(m[ARRIVES]))
    if w.blocks[n, BLOCK_AT] == 0:
        w.blocks[n, BLOCK_AT] = int(m[ARRIVES])
        w.acct[BLOCKS_USED] += 1
    w.blocks[n, TAKEN] += 1


@called
def count_blocks(w: World) -> None:
    """Count anew what the messages in flight take of the blocks to come: those of the past are out."""
    w.blocks[:] = 0
    w.acct[BLOCKS_USED] = 0
    for n in range(count(w, BY_ARRIVAL) if w.blocks.shape[0] > 0 else 0):
        note(w, slot_at(w, BY_ARRIVAL, n))


@kernel
def enter(w: World, at: int) -> None:
    """Count the message at `at`, which is about to fly, in its block."""
    if 2 * w.acct[BLOCKS_USED] >= w.blocks.shape[0]:
        count_blocks(w)
    note(w, at)


@kernel
def next_block(w: World, x: int) -> int:
    """The first block at or after `x`: none is made in a halt, but what Layer 1 brings comes in spite of it."""
    block = int(w.run[BLOCK_MS])
    x = (x + block - 1) // block * block
    for n in range(w.acct[OUTAGE_AT], w.outages.shape[0] if w.run[FORCED] == 0.0 else 0):
        if w.outages[n, OUT_START] < float(x) < w.outages[n, OUT_END]:
            x = (int(w.outages[n, OUT_END]) + block - 1) // block * block
    return x


@inlined
def onward(w: World, n: int) -> int:
    """The block to look at after the full one in row `n`."""
    further = w.blocks[n, ONWARD]
    return int(further) if further != 0 else next_block(w, int(w.blocks[n, BLOCK_AT]) + 1)


@kernel
def into_block(w: World, x: int) -> int:
    """The first block at or after `x` that takes one more message of the account."""
    if w.run[BLOCK_MS] <= 0.0:
        return x
    first = x = next_block(w, x)
    if w.blocks.shape[0] == 0:
        return x
    n = row_of(w, x)
    while w.blocks[n, BLOCK_AT] != 0 and float(w.blocks[n, TAKEN]) >= w.run[MOST_A_BLOCK]:
        x = onward(w, n)
        n = row_of(w, x)
    while first != x:
        n = row_of(w, first)
        first, w.blocks[n, ONWARD] = onward(w, n), x
    return x
