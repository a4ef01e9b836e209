"""Tables that are made when they are asked for, whole, by column or in pieces."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.io.plugins import register_io_source

from backtest.core.rows import Part, Rows
from backtest.core.spool import Spool

LARGE = 16 << 20
"""Bytes of a frame that is worth a place on disk."""
PIECE = 65_536
"""Rows that are read together."""

Make = Callable[[Sequence[str]], Iterator[pl.DataFrame]]
"""Gives the columns of these names, some rows at a time."""
Column = Callable[[Part], pl.Series]
"""Gives a column of some records."""


Values = tuple[NDArray[np.int64] | NDArray[np.float64], NDArray[np.bool_] | None]
"""Numbers, or times in whole ms, and which of them are null; None: none is."""


@dataclass(frozen=True)
class LazyTable:
    """One table: its columns are known, its rows are made again each time they are asked for."""

    schema: pl.Schema
    height: int
    make: Make
    values: Callable[[str], Iterator[Values]] | None = None
    """Gives a column of numbers or times as arrays, some rows at a time; None: only `make` gives it."""
    whole: pl.DataFrame | None = None
    """All of it, where it is in memory."""

    @classmethod
    def of(cls, frame: pl.DataFrame) -> LazyTable:
        """Return a frame as a table."""
        return cls(frame.schema, frame.height, lambda names: iter((frame.select(names),)), whole=frame)

    @classmethod
    def of_rows(cls, schema: pl.Schema, rows: Rows, columns: Mapping[str, Column]) -> LazyTable:
        """Return the table whose ``columns`` are made of records, some of them at a time."""

        def make(names: Sequence[str]) -> Iterator[pl.DataFrame]:
            for part in rows.parts():
                yield pl.DataFrame({name: columns[name](part) for name in names})

        made = cls(schema, len(rows), make)
        return made if len(rows) > PIECE else cls.of(made.frame())

    @classmethod
    def kept(cls, schema: pl.Schema, pieces: Iterable[pl.DataFrame], spool: Spool | None) -> LazyTable:
        """Return rows that come in pieces as a table that is on disk, column by column, where it is large."""
        held: list[pl.DataFrame] = []
        places: list[dict[str, tuple[int, int]]] = []
        size, height = 0.0, 0
        for piece in pieces:
            held, size, height = [*held, piece], size + piece.estimated_size(), height + piece.height
            if spool is not None and size >= LARGE:
                places += list(_spooled(pl.concat(held), spool))
                held, size = [], 0.0
        rest = pl.concat(held, rechunk=True) if held else schema.to_frame()
        if spool is None or not places:
            return cls.of(rest)
        places += list(_spooled(rest, spool))

        def make(names: Sequence[str]) -> Iterator[pl.DataFrame]:
            for written in places:
                yield pl.DataFrame([_column(spool, *written[name]) for name in names])

        return cls(schema, height, make)

    def pieces(self, *columns: str) -> Iterator[pl.DataFrame]:
        """Give the columns of these names, all where none is named, some rows at a time."""
        return self.make(columns or self.schema.names())

    def frame(self, *columns: str) -> pl.DataFrame:
        """Return the columns of these names, all where none is named, as one frame."""
        names = columns or self.schema.names()
        if self.whole is not None:
            return self.whole.select(names)
        found = [piece for piece in self.make(names) if piece.height]
        return pl.concat(found, rechunk=True) if found else pl.DataFrame(schema={n: self.schema[n] for n in names})

    def column(self, name: str) -> pl.Series:
        """Return one column."""
        return self.frame(name).to_series() if self.whole is None else self.whole.get_column(name)

    def head(self, rows: int) -> pl.DataFrame:
        """Return the first rows."""
        found = self.schema.to_frame()
        for piece in self.pieces():
            found = pl.concat([found, piece.head(rows - found.height)])
            if found.height == rows:
                break
        return found

    def lazy(self) -> pl.LazyFrame:
        """Return a query over the rows, which are made while it is collected."""

        def read(
            names: list[str] | None, predicate: pl.Expr | None, rows: int | None, _batch: int | None
        ) -> Iterator[pl.DataFrame]:
            left = self.height if rows is None else rows
            for piece in self.pieces(*(names or ())):
                part = (piece if predicate is None else piece.filter(predicate)).head(left)
                left -= part.height
                yield part

        return register_io_source(read, schema=self.schema)


def _spooled(frame: pl.DataFrame, spool: Spool) -> Iterator[dict[str, tuple[int, int]]]:
    """Offset and size of each column of some rows at a time, once they are in the spool."""
    for part in frame.iter_slices(PIECE):
        written: dict[str, tuple[int, int]] = {}
        for name in frame.columns:
            block = io.BytesIO()
            part.select(name).write_ipc(block)
            written[name] = spool.put(block.getbuffer()), block.tell()
        yield written


def _column(spool: Spool, offset: int, size: int) -> pl.Series:
    block = bytearray(size)
    spool.fill(memoryview(block), offset)
    return pl.read_ipc(io.BytesIO(block)).to_series()


class Tables(Mapping[str, pl.DataFrame]):
    """Tables by name. A table is made when it is asked for: one of a long run may be larger than memory.

    ``tables["equity"]`` is the whole table, ``tables.columns("equity", "ts", "drawdown")`` two columns of it, and
    ``tables.lazy("equity")`` a query. A name that is not there is a KeyError.
    """

    def __init__(self, tables: Mapping[str, LazyTable | pl.DataFrame]) -> None:
        self._tables = {n: t if isinstance(t, LazyTable) else LazyTable.of(t) for n, t in tables.items()}

    def __getitem__(self, name: str) -> pl.DataFrame:
        return self._tables[name].frame()

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def __or__(self, other: Mapping[str, pl.DataFrame]) -> Tables:
        """Return these tables with others added, or in the place of those of their names."""
        return Tables({**self._tables, **(other._tables if isinstance(other, Tables) else other)})

    def __reduce__(self) -> tuple[type[Tables], tuple[dict[str, pl.DataFrame]]]:
        return Tables, (dict(self),)

    def table(self, name: str) -> LazyTable:
        """Return a table that has not been made."""
        return self._tables[name]

    def columns(self, name: str, *columns: str) -> pl.DataFrame:
        """Return some columns of a table."""
        return self._tables[name].frame(*columns)

    def lazy(self, name: str) -> pl.LazyFrame:
        """Return a query over a table, whose rows are made while it is collected."""
        return self._tables[name].lazy()

    def height(self, name: str) -> int:
        """Return the number of rows of a table."""
        return self._tables[name].height
