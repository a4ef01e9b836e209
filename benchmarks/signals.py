"""What is traded, as plain arrays, so that every engine is given the very same decisions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backtest.engine import layout as at

FAST, SLOW = 20, 100
"""Minutes in the two averages of the cross: the defaults of the teaching plug-in `sma_cross`."""


def cross(close: NDArray[np.float64]) -> NDArray[np.int64]:
    """The average cross, per row: 1 above, −1 below, 0 before the slow average is known."""
    total = np.concatenate(([0.0], np.cumsum(close)))
    rows = np.arange(SLOW, len(total))
    fast = (total[rows] - total[rows - FAST]) / FAST
    slow = (total[rows] - total[rows - SLOW]) / SLOW
    side = np.zeros(len(close), np.int64)
    side[SLOW - 1 :] = np.where(fast > slow, 1, -1)
    return side


def turns(side: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows at whose close the side changes. The last row is left out: what it decides never fills."""
    rows = np.flatnonzero(np.diff(side, prepend=0))
    return rows[rows < len(side) - 1]


def sparse(rows: NDArray[np.int64], symbol: int, amounts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Targets of one symbol as the replay takes them: [targets, 3] of row, symbol, amount."""
    table = np.empty((len(rows), 3))
    table[:, at.TARGET_ROW], table[:, at.TARGET_SYMBOL], table[:, at.AMOUNT] = rows, symbol, amounts
    return table


def staggered(rows: int, count: int, every: int) -> NDArray[np.float64]:
    """Weights of ±4 % of equity for each symbol every so many rows, spread evenly; sorted by row, then symbol.

    The sign is drawn, so that about half of the orders turn a position round and the others trim its drift.
    """
    rng = np.random.default_rng(11)
    blocks = []
    for i in range(count):
        due = np.arange(every * i // count, rows - 1, every)
        blocks.append(sparse(due, i, rng.choice([-0.04, 0.04], len(due))))
    table = np.concatenate(blocks)
    return table[np.lexsort((table[:, at.TARGET_SYMBOL], table[:, at.TARGET_ROW]))]


def dense(targets: NDArray[np.float64], rows: int, count: int) -> NDArray[np.float64]:
    """The same targets as a [rows, symbols] matrix of the row where they fill, NaN elsewhere."""
    matrix = np.full((rows, count), np.nan)
    fills = targets[:, at.TARGET_ROW].astype(np.int64) + 1
    matrix[fills, targets[:, at.TARGET_SYMBOL].astype(np.int64)] = targets[:, at.AMOUNT]
    return matrix
