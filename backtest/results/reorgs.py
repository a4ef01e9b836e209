"""Fills that the chain has undone: which fill of cause `reorg` takes back which."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from backtest.core.enums import Cause
from backtest.core.errors import Broken
from backtest.core.rows import Rows
from backtest.results.columns import Ints

NONE = -1
"""A fill that undoes nothing."""


def undone(fills: Rows | NDArray[np.void]) -> Ints:
    """For each of ``fills`` (records.FILL, in the order of the journal) the row of the fill that it undoes, or NONE.

    A reorg takes back an order's fills, the last first, with the opposite lots, quote and fee: so it is the latest fill
    of that order that is not undone yet. A fill that undoes anything else is an AssertionError.
    """
    found = np.full(len(fills), NONE)
    reorgs = np.flatnonzero(fills["cause"] == Cause.REORG)
    if not len(reorgs):
        return found
    known: dict[tuple[int, int], list[int]] = defaultdict(list)
    numbers = fills["order_id"]
    of_theirs = np.flatnonzero(np.isin(numbers, numbers[reorgs]))
    theirs = fills[of_theirs]
    for at, (row, fill) in enumerate(zip(of_theirs.tolist(), theirs, strict=True)):
        # Of several accounts' fills numbers of orders may be the same, but not with the same symbol.
        places = known[int(fill["symbol"]), int(fill["order_id"])]
        if fill["cause"] != Cause.REORG:
            places.append(at)
            continue
        if not places:
            raise Broken(f"fill {row} undoes a fill of order {fill['order_id']}, which has none left")
        before = places.pop()
        found[row] = of_theirs[before]
        for name in ("lots", "quote", "fee"):
            was, back = int(theirs[name][before]), int(fill[name])
            if back != -was:
                raise Broken(f"fill {row} undoes fill {found[row]}: {name} {back}, not {-was}")
    return found


def standing(fills: Rows) -> Rows:
    """Those of ``fills`` that are neither undone nor undo another; where that is all of them, they are not copied."""
    undoes = undone(fills)
    stands: NDArray[np.bool_] = undoes == NONE
    stands[undoes[~stands]] = False
    return fills.where(stands)
