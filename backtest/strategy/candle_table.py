"""What a strategy is shown beside the panel, row by row; on disk where it is much, of which a part is read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backtest.core.errors import Broken
from backtest.core.spool import Spool

HELD_BYTES = 16 << 20
"""What is held in memory of a table; the rest goes to disk."""

Floats = NDArray[np.float64]


class CandleTable:
    """Doubles by column, symbol and row, NaN where it is missing: candles and features, written once."""

    def __init__(self, rows: int, symbols: int, spool: Spool) -> None:
        self.rows, self._symbols, self._spool = rows, symbols, spool
        self._held: dict[tuple[int, int], Floats] = {}
        self._stored: dict[tuple[int, int], int] = {}
        """Offsets in the spool."""
        self._known: set[tuple[int, int]] = set()

    def put(self, column: int, symbol: int, rows: NDArray[np.int64], values: Floats) -> None:
        """Write a symbol's values of a column at these rows; there are none at the others."""
        whole = np.full(self.rows, np.nan)
        whole[rows] = values
        key = column, symbol
        if not np.isnan(values).all():
            self._known.add(key)
        if (len(self._held) + 1) * whole.nbytes <= HELD_BYTES:
            self._held[key] = whole
        else:
            self._stored[key] = self._spool.put(whole.data)

    def unknown(self, column: int) -> NDArray[np.bool_]:
        """Return, for each symbol, whether it has no value in any row."""
        return np.array([(column, symbol) not in self._known for symbol in range(self._symbols)])

    def part(self, column: int, symbol: int, first: int, end: int) -> Floats:
        """Return a symbol's values of the rows from ``first`` to before ``end``."""
        key = column, symbol
        if key in self._held:
            return self._held[key][first:end]
        if key not in self._stored:
            raise Broken(f"column {column} of symbol {symbol} was not written")
        out = np.empty(max(0, end - first))
        if len(out):
            self._spool.fill(out.data, self._stored[key] + first * out.itemsize)
        return out

    def block(self, column: int, first: int, end: int) -> Floats:
        """Return [row, symbol] of the rows from ``first`` to before ``end``."""
        out = np.empty((end - first, self._symbols))
        for symbol in range(self._symbols):
            out[:, symbol] = self.part(column, symbol, first, end)
        return out
