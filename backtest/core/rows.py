"""Records of one type in their order: the last ones in memory, the others on disk, column by column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from backtest.core.errors import Broken
from backtest.core.spool import Spool

PIECE = 16_384
"""Records that go to disk together."""

Columns = dict[str, NDArray[Any]]


class Stored(NamedTuple):
    """Records that are read together out of a block in the spool: one column after another."""

    offset: int
    """Of the block."""
    size: int
    """Records of the block."""
    first: int
    """In the block."""
    length: int


class Part:
    """Some records, whose columns are read when they are asked for."""

    def __init__(self, first: int, count: int, read: Callable[[str], NDArray[Any]]) -> None:
        """``first``: number of the first of them. ``read``: gives a column by its name."""
        self.first, self._count, self._read = first, count, read
        self._columns: Columns = {}

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._columns:
            self._columns[name] = self._read(name)
        return self._columns[name]

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Of the records."""
        return np.arange(self.first, self.first + self._count)


class Rows:
    """An array of records that grows at its end. A column is read whole, all columns are read in pieces."""

    def __init__(self, dtype: np.dtype[Any], spool: Spool | None = None) -> None:
        """``spool``: where full pieces go; None: they stay in memory."""
        self.dtype, self._spool = dtype, spool
        self._stored: list[Stored] = []
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

    @overload
    def __getitem__(self, key: str) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, key: int) -> np.void: ...
    @overload
    def __getitem__(self, key: slice | NDArray[Any]) -> NDArray[np.void]: ...
    def __getitem__(self, key: str | int | slice | NDArray[Any]) -> Any:
        """Return a whole column by its name, or records by number, slice, mask or numbers; in their own memory."""
        return self._column(key) if isinstance(key, str) else self._some(np.arange(len(self))[key])

    def _column(self, name: str) -> NDArray[Any]:
        out = np.empty(len(self), self.dtype[name])
        at = 0
        for part in self._stored:
            self._read(name, part, out[at : at + part.length])
            at += part.length
        for records in self._waiting_together():
            out[at : at + len(records)] = records[name]
            at += len(records)
        return out

    def _some(self, numbers: NDArray[np.int64]) -> Any:
        """The records of these numbers, in their order; of a single number the record."""
        wanted = np.atleast_1d(numbers)
        order = np.argsort(wanted, kind="stable")
        out, done = np.empty(len(wanted), self.dtype), 0
        for part in self.parts():
            end = done + int(np.searchsorted(wanted[order[done:]], part.first + len(part)))
            if end > done:
                places = order[done:end]
                for name in self.dtype.names or ():
                    out[name][places] = part[name][wanted[places] - part.first]
            done = end
        return out if np.ndim(numbers) else out[0]

    def parts(self) -> Iterator[Part]:
        """Give some records at a time, whose columns are read when they are asked for."""
        first = 0
        for part in self._stored:
            yield Part(first, part.length, partial(self._part, part))
            first += part.length
        for records in self._waiting_together():
            yield Part(first, len(records), records.__getitem__)

    def where(self, kept: NDArray[np.bool_]) -> Rows:
        """Return the records that a mask keeps: these, where it keeps all."""
        if kept.all():
            return self
        made = Rows(self.dtype, self._spool)
        for part in self.parts():
            some = kept[part.first : part.first + len(part)]
            records = np.empty(int(some.sum()), self.dtype)
            for name in self.dtype.names or ():
                records[name] = part[name][some]
            made.append(records)
        return made

    @classmethod
    def joined(cls, several: Sequence[Rows]) -> Rows:
        """Return the records of several, one after another."""
        made = cls(several[0].dtype, several[0]._spool)
        for rows in several:
            for part in rows.parts():
                records = np.empty(len(part), rows.dtype)
                for name in rows.dtype.names or ():
                    records[name] = part[name]
                made.append(records)
        return made

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
        for part in self._stored:
            yield {name: self._part(part, name) for name in wanted}
        for records in self._waiting_together():
            yield {name: np.ascontiguousarray(records[name]) for name in wanted}

    def last(self) -> NDArray[np.void]:
        """Return the last record in its own array, an empty one where it is missing."""
        return self[len(self) - 1 :] if len(self) else np.empty(0, self.dtype)

    def by(self, name: str) -> Rows:
        """Return the records in the order of a column, equal ones as they are: these, where they are in that order."""
        column = self[name]
        if (column[1:] >= column[:-1]).all():
            return self
        order = np.argsort(column, kind="stable")
        del column
        made = Rows(self.dtype, self._spool)
        if self._spool is None:
            made.append(self.whole()[order])
            return made
        made._count = size = len(self)
        offset = self._spool.claim(size * self.dtype.itemsize)
        for field in self.dtype.names or ():  # one column at a time is in memory
            self._spool.write(self[field][order].data, offset + self._at(field, size))
        made._stored = [Stored(offset, size, at, min(PIECE, size - at)) for at in range(0, size, PIECE)]
        return made

    def change(self, numbers: NDArray[np.int64], records: NDArray[np.void]) -> None:
        """Put ``records`` in the place of those of these numbers, which ascend."""
        at = 0
        for part in self._stored:
            some = slice(*np.searchsorted(numbers, (at, at + part.length)))
            if some.start < some.stop:
                for name in self.dtype.names or ():
                    column = self._part(part, name).copy()
                    column[numbers[some] - at] = records[name][some]
                    self._write(name, part, column)
            at += part.length
        if self._late and len(numbers) and numbers[-1] >= at:
            late, left = np.concatenate(self._late), int(np.searchsorted(numbers, at))
            late[numbers[left:] - at] = records[left:]
            self._late = [late]

    def _waiting_together(self) -> list[NDArray[np.void]]:
        """What is in memory, as one piece."""
        if len(self._late) > 1:
            self._late = [np.concatenate(self._late)]
        return self._late

    def _store(self, records: NDArray[np.void], spool: Spool) -> None:
        block = np.empty(records.nbytes, np.uint8)
        for name in self.dtype.names or ():
            kind, at = self.dtype[name], self._at(name, len(records))
            block[at : at + len(records) * kind.itemsize].view(kind)[:] = records[name]
        self._stored.append(Stored(spool.put(block.data), len(records), 0, len(records)))

    def _part(self, part: Stored, name: str) -> NDArray[Any]:
        """A column of a piece, as it lies where that is in memory."""
        kind = self.dtype[name]
        held = self._spool.held(self._begin(name, part), part.length * kind.itemsize) if self._spool else None
        if held is not None:
            return np.frombuffer(held, kind)
        out = np.empty(part.length, kind)
        self._read(name, part, out)
        return out

    def _read(self, name: str, part: Stored, out: NDArray[Any]) -> None:
        if self._spool is None:
            raise Broken("records on disk without a spool")
        self._spool.fill(out.data, self._begin(name, part))

    def _write(self, name: str, part: Stored, column: NDArray[Any]) -> None:
        if self._spool is None:
            raise Broken("records on disk without a spool")
        self._spool.write(column.data, self._begin(name, part))

    def _begin(self, name: str, part: Stored) -> int:
        return part.offset + self._at(name, part.size) + part.first * self.dtype[name].itemsize

    def _at(self, name: str, count: int) -> int:
        """Where a column begins in a block of ``count`` records: the fields before it have as many bytes each."""
        names = self.dtype.names or ()
        return count * sum(self.dtype[before].itemsize for before in names[: names.index(name)])
