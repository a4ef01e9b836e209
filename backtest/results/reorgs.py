"""Fills that the chain has undone: which fill of cause `reorg` takes back which."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from backtest.core.enums import Cause
from backtest.core.errors import Broken
from backtest.results.columns import Ints

NONE = -1
"""A fill that undoes nothing."""


def undone(fills: NDArray[np.void]) -> Ints:
    """For each of ``fills`` (records.FILL, in the order of the journal) the row of the fill that it undoes, or NONE.

    A reorg takes back an order's fills, the last first, with the opposite lots, quote and fee: so it is the latest fill
    of that order that is not undone yet. A fill that undoes anything else is an AssertionError.
    """
    found = np.full(len(fills), NONE)
    reorgs = np.flatnonzero(fills["cause"] == Cause.REORG)
    if not len(reorgs):
        return found
    known: dict[tuple[int, int], list[int]] = defaultdict(list)
    of_theirs = np.flatnonzero(np.isin(fills["order_id"], fills["order_id"][reorgs]))
    for row in of_theirs.tolist():
        # Of several accounts' fills numbers of orders may be the same, but not with the same symbol.
        rows = known[int(fills["symbol"][row]), int(fills["order_id"][row])]
        if fills["cause"][row] != Cause.REORG:
            rows.append(row)
            continue
        if not rows:
            raise Broken(f"fill {row} undoes a fill of order {fills['order_id'][row]}, which has none left")
        found[row] = rows.pop()
        for name in ("lots", "quote", "fee"):
            was, back = int(fills[name][found[row]]), int(fills[name][row])
            if back != -was:
                raise Broken(f"fill {row} undoes fill {found[row]}: {name} {back}, not {-was}")
    return found


def standing(fills: NDArray[np.void]) -> NDArray[np.void]:
    """Those of ``fills`` that are neither undone nor undo another; where that is all of them, they are not copied."""
    undoes = undone(fills)
    stands: NDArray[np.bool_] = undoes == NONE
    if stands.all():
        return fills
    stands[undoes[~stands]] = False
    return fills[stands]
