"""What one account is shown of its market: the values of the current candle, copied out of the data as time passes."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from backtest.core.errors import Broken
from backtest.strategy.candle_table import CandleTable

FIELDS = ("open", "high", "low", "close", "volume")
CLOSE, FEATURES, MARK = FIELDS.index("close"), len(FIELDS), -1
"""Where they are among the columns: the fields, then the features, then the mark."""
Columns = Sequence[NDArray[np.float64]]
"""[row, symbol] of each field and feature, and of the mark."""
BLOCK = 1 << 18
"""Bytes of the rows that are laid out at a time, row after row."""


class Window:
    """The part of the data that one account may see at a close.

    ``buffer`` has the current candle's values: doubles, [column, symbol], NaN before the first candle. ``shown`` is a
    read-only view of it, and all of a window that `market` has. The data themselves, with the candles to come, are
    known to the window alone, and nothing that a strategy is given refers to one.
    """

    def __init__(self, symbols: tuple[str, ...], features: Sequence[str], funding: NDArray[np.float64]) -> None:
        """``funding``: [settlements, 3] of time in ms, symbol number and rate (NaN: missing), in order of time."""
        self.symbols, self.features = symbols, tuple(features)
        self._shape = (len(FIELDS) + len(self.features) + 1, len(symbols))
        self.buffer = io.BytesIO(np.full(self._shape, np.nan).tobytes()).getbuffer()
        self.shown = self.buffer.toreadonly().cast("d")
        self._covered = bytes(self.buffer)
        self._block = io.BytesIO(bytes(max(1, BLOCK // len(self.buffer)) * len(self.buffer)))
        self._columns: Columns = [np.empty((0, len(symbols)))] * self._shape[0]
        self._table: CandleTable | None = None
        self._first, self._tail, self._row = 0, 0, _none
        self._rows, self._begin = np.empty((0, *self._shape)), 0
        """Rows of the table that are in memory, [row, column, symbol], and the number of the first."""
        self._listed: list[tuple[str, ...]] = []
        paid = funding[~np.isnan(funding[:, 2])] if len(funding) else np.empty((0, 3))
        self._settled = [paid[paid[:, 1] == i][:, [0, 2]] for i in range(len(symbols))]

    def places(self, column: int) -> dict[str, int]:
        """Return where in ``shown`` the values of a column are, by symbol."""
        first = column % self._shape[0] * len(self.symbols)
        return {symbol: first + i for i, symbol in enumerate(self.symbols)}

    def load(self, columns: Columns, tail: int, row: Callable[[], int]) -> None:
        """Take the rows that follow; the first ``tail`` of them have been shown, and are there for history.

        ``row`` says which of them closed last.
        """
        self._columns, self._first, self._tail, self._row = columns, 0, tail, row

    @property
    def following(self) -> Callable[[memoryview], int]:
        """What copies the row that follows into ``buffer``: one call of C for a candle, while `rows` are counted."""
        return self._block.readinto

    def rows(self) -> Iterator[tuple[str, ...]]:
        """The symbols that are ready in each row that was loaded, which `following` can copy from then on."""
        return chain.from_iterable(self._blocks())

    def _blocks(self) -> Iterator[list[tuple[str, ...]]]:
        columns = [column[self._tail :] for column in self._columns]
        listed = self._ready(columns)
        table = np.frombuffer(self._block.getbuffer()).reshape(-1, *self._shape)
        for first in range(0, len(listed), len(table)):
            block = listed[first : first + len(table)]
            for n, column in enumerate(columns):
                table[: len(block), n] = column[first : first + len(table)]
            self._block.seek(0)
            yield block

    def open(self, table: CandleTable, row: Callable[[], int]) -> None:
        """Take all rows of a run, to `stand` on. The first is empty: history does not reach it."""
        self._table, self._first, self._row = table, 1, row

    def stand(self, mark: NDArray[np.float64]) -> tuple[str, ...]:
        """Show the row that closed last and the marks of now; return the symbols that are ready."""
        row = self._row()
        if not self._begin <= row < self._begin + len(self._rows):
            self._turn_to(row)
        now = np.frombuffer(self.buffer).reshape(self._shape)
        now[:MARK], now[MARK] = self._rows[row - self._begin, :MARK], mark
        return self._listed[row - self._begin]

    def _turn_to(self, row: int) -> None:
        """Read the rows of the table from this one on."""
        if self._table is None:
            raise Broken("no candles to stand on")
        end = min(row + max(1, BLOCK // len(self.buffer)), self._table.rows)
        self._rows, self._begin = np.full((end - row, *self._shape), np.nan), row
        for n in range(self._shape[0] - 1):
            self._rows[:, n] = self._table.block(n, row, end)
        self._listed = self._ready([self._rows[:, n] for n in range(self._shape[0])])

    def history(self, i: int, field: str, n: int) -> NDArray[np.float64]:
        """Return the last ``n`` values of a symbol's field, oldest first, in memory that cannot be written to."""
        row, column = self._row(), FIELDS.index(field)
        first = max(self._first, row + 1 - n)
        table = self._table
        past = self._columns[column][first : row + 1, i] if table is None else table.part(column, i, first, row + 1)
        return np.frombuffer(past.tobytes())

    def cover(self) -> None:
        """Show nothing until `uncover`."""
        self._covered = bytes(self.buffer)
        self.buffer[:] = np.full(self._shape, np.nan).tobytes()

    def uncover(self) -> None:
        """Show again what was shown before."""
        self.buffer[:] = self._covered

    def rate(self, i: int, now_ms: int) -> float:
        """Return the rate of a symbol's last settlement before ``now_ms``, NaN before the first."""
        # A settlement at this very instant happens after the strategy has decided (docs/reference/rules.md section 4).
        at = int(np.searchsorted(self._settled[i][:, 0], now_ms, side="left"))
        return float(self._settled[i][at - 1, 1]) if at else math.nan

    def settlements(self, i: int, now_ms: int, n: int) -> NDArray[np.float64]:
        """Return the last ``n`` settlements of a symbol before ``now_ms``: [settlement, 2] of time in ms and rate, a
        copy."""
        end = int(np.searchsorted(self._settled[i][:, 0], now_ms, side="left"))
        found: NDArray[np.float64] = self._settled[i][max(0, end - n) : end].copy()
        return found

    def _ready(self, columns: Columns) -> list[tuple[str, ...]]:
        """The symbols that closed a candle and whose features are all known, by row; equal rows share them."""
        ready = ~np.isnan(columns[CLOSE])
        for column in columns[FEATURES:MARK]:
            ready &= ~np.isnan(column)
        names = [self.symbols] * len(ready)
        known: dict[bytes, tuple[str, ...]] = {}
        for row in np.flatnonzero(~ready.all(axis=1)).tolist():
            key = ready[row].tobytes()
            if key not in known:
                known[key] = tuple(name for name, is_ready in zip(self.symbols, ready[row], strict=True) if is_ready)
            names[row] = known[key]
        return names


def _none() -> int:
    return -1
