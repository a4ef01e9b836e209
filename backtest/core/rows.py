"""Records of one type in their order: the last ones in memory, the others on disk, column by column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtest.core.errors import Broken
from backtest.core.spool import Spool

PIECE = 16_384
"""Records that go to disk together."""

Columns = dict[str, NDArray[Any]]


class Rows:
    """An array of records that grows at its end. A column is read whole, all columns are read in pieces."""

    def __init__(self, dtype: np.dtype[Any], spool: Spool | None = None) -> None:
        """``spool``: where full pieces go; None: they stay in memory."""
        self.dtype, self._spool = dtype, spool
        self._stored: list[tuple[int, int]] = []
        """Offset in the spool and number of records of each piece there: one column after another."""
        self._late: list[NDArray[np.void]] = []
        self._waiting, self._count = 0, 0

    @classmethod
    def of(cls, records: NDArray[np.void]) -> Rows:
        """Return the records of an array, in memory."""
        made = cls(records.dtype)
        made.append(records)
        return made

    def __len__(self) -> int:
        return self._count

    def append(self, records: NDArray[np.void]) -> None:
        """Add records at the end. They are not copied, so they must not change."""
        if records.dtype != self.dtype:
            raise Broken(f"records of {records.dtype}, where {self.dtype} are kept")
        if not len(records):
            return
        self._count += len(records)
        self._waiting += len(records)
        self._late.append(records)
        if self._spool is not None and self._waiting >= PIECE:
            whole = np.concatenate(self._late) if len(self._late) > 1 else records
            for first in range(0, len(whole), 2 * PIECE):
                self._store(whole[first : first + 2 * PIECE], self._spool)
            self._late, self._waiting = [], 0

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a whole column, in its own memory."""
        out = np.empty(len(self), self.dtype[name])
        at = 0
        for offset, count in self._stored:
            self._read(name, offset, out[at : at + count])
            at += count
        for records in self._late:
            out[at : at + len(records)] = records[name]
            at += len(records)
        return out

    def whole(self) -> NDArray[np.void]:
        """Return all records in their own array."""
        out = np.empty(len(self), self.dtype)
        at = 0
        for piece in self.pieces():
            count = len(next(iter(piece.values())))
            for name, column in piece.items():
                out[name][at : at + count] = column
            at += count
        return out

    def pieces(self, *names: str) -> Iterator[Columns]:
        """Give the columns of these names, of some records at a time; all columns where none is named."""
        wanted = names or self.dtype.names or ()
        for offset, count in self._stored:
            yield {name: self._column(name, offset, count) for name in wanted}
        for records in self._late:
            yield {name: np.ascontiguousarray(records[name]) for name in wanted}

    def last(self) -> NDArray[np.void]:
        """Return the last record in its own array, an empty one where it is missing."""
        if self._late:
            return self._late[-1][-1:].copy()
        out = np.empty(min(1, len(self)), self.dtype)
        if self._stored:
            offset, count = self._stored[-1]
            for name in self.dtype.names or ():
                column = np.empty(count, self.dtype[name])
                self._read(name, offset, column)
                out[name] = column[-1:]
        return out

    def _store(self, records: NDArray[np.void], spool: Spool) -> None:
        block = np.empty(records.nbytes, np.uint8)
        for name in self.dtype.names or ():
            kind, at = self.dtype[name], self._at(name, len(records))
            block[at : at + len(records) * kind.itemsize].view(kind)[:] = records[name]
        self._stored.append((spool.put(block.data), len(records)))

    def _read(self, name: str, offset: int, out: NDArray[Any]) -> None:
        if self._spool is None:
            raise Broken("records on disk without a spool")
        self._spool.fill(out.data, offset + self._at(name, len(out)))

    def _column(self, name: str, offset: int, count: int) -> NDArray[Any]:
        """A column of a piece, as it lies where that is in memory."""
        kind = self.dtype[name]
        held = self._spool.held(offset + self._at(name, count), count * kind.itemsize) if self._spool else None
        if held is not None:
            return np.frombuffer(held, kind)
        out = np.empty(count, kind)
        self._read(name, offset, out)
        return out

    def _at(self, name: str, count: int) -> int:
        """Where a column begins in a piece of ``count`` records: the fields before it have as many bytes each."""
        names = self.dtype.names or ()
        return count * sum(self.dtype[before].itemsize for before in names[: names.index(name)])
