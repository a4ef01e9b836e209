"""One number for a set of tables: equal digests, equal results, whatever wrote or chunked them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from backtest.core.errors import Broken
from backtest.results.lazy_tables import LazyTable, Tables

WHOLE = 1 << 18
"""Rows of a table whose columns are read whole."""


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
            if table.height > WHOLE and kind.is_numeric() | kind.is_temporal():
                _in_pieces(sha, table, column)
                continue
            values = table.frame(column).to_series()  # one column at a time is in memory
            _nulls(sha, values)
            _values(sha, values)
    return sha.hexdigest()


def _in_pieces(sha: Any, table: LazyTable, column: str) -> None:
    """The same as of a whole column of numbers or times, of some rows at a time."""
    sha.update(table.height.to_bytes(8, "little"))
    for piece in table.pieces(column):
        sha.update(_is_null(piece.to_series()))
    sha.update((8 * table.height).to_bytes(8, "little"))
    for piece in table.pieces(column):
        sha.update(_eight_bytes(piece.to_series()))


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
        full = _filled(column, "")
        _block(sha, full.str.len_bytes().to_numpy().astype("<i8"))
        _text(sha, full.str.join("").item() if len(full) else "")
    elif kind == pl.Boolean:
        _block(sha, _filled(column, False).to_numpy().astype("u1"))
    else:
        _block(sha, _eight_bytes(column))


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
