"""What a compiled strategy decided, as far as a panel needs it."""

from __future__ import annotations

from bisect import bisect_left
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backtest.engine.layout import TARGET_ROW

Floats = NDArray[np.float64]


class Targets(Protocol):
    """Targets in the order of their rows, wherever they are kept."""

    def between(self, first: int, end: int) -> Floats:
        """Return [targets, 3] of the rows from ``first`` to before ``end``."""
        ...


class TargetArray:
    """Targets that are in memory."""

    def __init__(self, array: Floats) -> None:
        """``array``: [targets, 3] of `layout`, sorted by row."""
        self._array = np.ascontiguousarray(array, np.float64)

    def between(self, first: int, end: int) -> Floats:
        """Return [targets, 3] of the rows from ``first`` to before ``end``."""
        begin, until = (bisect_left(self._array, row, key=lambda one: int(one[TARGET_ROW])) for row in (first, end))
        return self._array[begin:until]
