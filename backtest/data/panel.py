"""The dense panel of prices that the engine walks through, one chunk of rows at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

OPEN, HIGH, LOW, CLOSE = 0, 1, 2, 3
MARK_OPEN, MARK_HIGH, MARK_LOW, MARK_CLOSE = 4, 5, 6, 7
MARK_KNOWN = 8
"""The mark at the close as far as it was known then: a derived mark leans on the basis ahead (rules.md, 3.1)."""


@dataclass(frozen=True)
class Chunk:
    """Rows ``row0 - tail … row0 + T - 1`` of the grid."""

    row0: int
    """Global number of the first row that is not tail."""
    tail: int
    """How many rows before ``row0`` are repeated from earlier, for views of history: min(tail asked, row0)."""
    panel: NDArray[np.float64]
    """[fields, tail + T, N], C-contiguous, quote units. Fields are 4 (mark is trade), 8, or 9 when marks
    may be derived; then what `Selection.chunks` was asked for besides. A trade field is NaN
    where the symbol has no candle; a mark field is NaN outside of the symbol's life only."""
    volume: NDArray[np.float64] | None
    """[tail + T, N], base units, NaN where the symbol has no candle; None when not asked for."""

    @property
    def rows(self) -> int:
        """T: rows that are not tail."""
        return int(self.panel.shape[1]) - self.tail
