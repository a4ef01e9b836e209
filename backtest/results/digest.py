"""One number for a set of tables: equal digests, equal results, whatever wrote or chunked them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import polars as pl

from backtest.core.errors import Broken
from backtest.results.lazy_tables import LazyTable, Tables, Values

WHOLE = 1 << 20
"""Rows of a table whose columns are read whole."""
KEPT = 1 << 20
"""Rows of a column that is made once, and held in memory between its nulls and its values."""
PIECE = 1 << 15
"""Values that are brought into their canonical form together: they fit into the processor's cache."""


def digest(tables: Mapping[str, pl.DataFrame]) -> str:
    """Hex SHA-256 over the values of ``tables``, in the order of their names.

    What is hashed: per table its name, its number of rows and columns; per column its name, its type, a byte per row
    for null, then the values: little-endian 8-byte numbers (times as whole milliseconds), a byte per boolean, and for
    text the UTF-8 lengths and then all the bytes. A null's value is zero, −0.0 is 0.0, and there is one NaN. Every text
    and every block goes with its length, so that no two sets of tables can look alike.
    """
    sha = hashlib.sha256()
    made = tables if isinstance(tables, Tables) else Tables(tables)
    for name in sorted(made):
        table = made.table(name)
        _text(sha, name)
        sha.update(np.array((table.height, len(table.schema)), dtype="<i8").tobytes())
        for column, kind in table.schema.items():
            _text(sha, column)
            _text(sha, str(kind))
            if table.values is not None:
                _in_arrays(sha, table, column)
                continue
            if table.height > WHOLE:
                _in_pieces(sha, table, column, kind)
                continue
            values = table.column(column)  # one column at a time is in memory
            _nulls(sha, values)
            _values(sha, values)
    return sha.hexdigest()


def _in_pieces(sha: Any, table: LazyTable, column: str, kind: pl.DataType) -> None:
    """The same as of a whole column, of some rows at a time."""
    _pieces(sha, table, column, _is_null, table.height)
    if kind != pl.String:
        whole, each = (_truths, 1) if kind == pl.Boolean else (_eight_bytes, 8)
        _pieces(sha, table, column, whole, each * table.height)
        return
    size = 0

    def measured(text: pl.Series) -> np.ndarray:
        nonlocal size
        lengths = _text_lengths(text)
        size += int(lengths.sum())
        return lengths

    _pieces(sha, table, column, measured, 8 * table.height)
    _pieces(sha, table, column, _text_bytes, size)


def _pieces(sha: Any, table: LazyTable, column: str, values: Callable[[pl.Series], np.ndarray], size: int) -> None:
    """A block of so many bytes, some rows at a time."""
    sha.update(size.to_bytes(8, "little"))
    for piece in table.pieces(column):
        sha.update(np.ascontiguousarray(values(piece.to_series())).data.cast("B") if piece.height else b"")


def _in_arrays(sha: Any, table: LazyTable, column: str) -> None:
    """The same as of a whole column, of one that is given as arrays."""
    if table.values is None:
        raise Broken(f"column {column} is not given as arrays")
    make = table.values
    kept = list(make(column)) if table.height <= KEPT else None
    again: Iterable[Values] = kept if kept is not None else make(column)
    sha.update(table.height.to_bytes(8, "little"))
    for values, null in again:
        sha.update(bytes(len(values)) if null is None else null.view("u1"))
    sha.update((8 * table.height).to_bytes(8, "little"))
    for values, null in kept if kept is not None else make(column):
        for first in range(0, len(values), PIECE):
            part = values[first : first + PIECE]
            sha.update(_canonical(part, None if null is None else null[first : first + PIECE]))


def _canonical(values: np.ndarray, null: np.ndarray | None) -> np.ndarray:
    """Eight bytes a value: what is null is zero, −0.0 is 0.0, and there is one NaN."""
    if values.dtype == np.int64:
        return np.ascontiguousarray(values if null is None else np.where(null, 0, values), "<i8")
    filled = values + 0.0 if null is None else np.where(null, 0.0, values) + 0.0
    if np.isnan(np.add.reduce(filled)):  # or of both infinities: no harm is done
        filled[np.isnan(filled)] = np.nan
    return np.ascontiguousarray(filled, "<f8")


def _block(sha: Any, values: np.ndarray) -> None:
    block = np.ascontiguousarray(values)
    sha.update(block.nbytes.to_bytes(8, "little"))
    sha.update(block.data.cast("B") if block.nbytes else b"")


def _text(sha: Any, text: str) -> None:
    _block(sha, np.frombuffer(text.encode(), dtype="u1"))


def _nulls(sha: Any, column: pl.Series) -> None:
    _block(sha, _is_null(column))


def _is_null(column: pl.Series) -> np.ndarray:
    """A byte per row."""
    return column.is_null().to_numpy().astype("u1") if column.null_count() else np.zeros(len(column), "u1")


def _values(sha: Any, column: pl.Series) -> None:
    kind = column.dtype
    if kind == pl.String:
        _block(sha, _text_lengths(column))
        _block(sha, _text_bytes(column))
    elif kind == pl.Boolean:
        _block(sha, _truths(column))
    else:
        _block(sha, _eight_bytes(column))


def _text_lengths(column: pl.Series) -> np.ndarray:
    return _filled(column, "").str.len_bytes().to_numpy().astype("<i8")


def _text_bytes(column: pl.Series) -> np.ndarray:
    text = _filled(column, "").str.join("").item() if len(column) else ""
    return np.frombuffer(text.encode(), dtype="u1")


def _truths(column: pl.Series) -> np.ndarray:
    """A byte per row."""
    return _filled(column, False).to_numpy().astype("u1")


def _eight_bytes(column: pl.Series) -> np.ndarray:
    """Numbers and times in their canonical form."""
    kind = column.dtype
    if kind == pl.Float64:
        values = _filled(column, 0.0).to_numpy() + 0.0  # −0.0 + 0.0 is 0.0
        values[np.isnan(values)] = np.nan
        return np.ascontiguousarray(values.astype("<f8", copy=False))
    if kind != pl.Int64 and not isinstance(kind, pl.Datetime):
        raise Broken(f"no canonical form for {column.name}: {kind}")
    return np.ascontiguousarray(_filled(column.to_physical(), 0).to_numpy().astype("<i8", copy=False))


def _filled(column: pl.Series, value: str | float) -> pl.Series:
    """The column with ``value`` for null. Most columns have none, and asking costs less than filling."""
    return column.fill_null(value) if column.null_count() else column
