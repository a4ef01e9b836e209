"""A table of a report in its file: a small one is read whole, of others some row groups at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from backtest.core.errors import UserError
from backtest.results.lazy_tables import LazyTable

LARGE = 8 << 20
"""Bytes of a file that is not read whole."""


def read_table(path: Path, remedy: str) -> LazyTable:
    """Return the table in a Parquet file; UserError where it is missing or damaged, also when rows are read later.

    A large file stays open: its rows are those of now, whatever is written to its place.
    """
    try:
        if path.stat().st_size <= LARGE:
            return LazyTable.of(pl.read_parquet(path))
        return _large(path, remedy)
    except FileNotFoundError as failure:
        raise UserError("the report lacks this table", str(path), remedy) from failure
    except (OSError, ValueError, pl.exceptions.PolarsError) as failure:
        raise _damaged(path, remedy) from failure


def _large(path: Path, remedy: str) -> LazyTable:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    file, schema = ParquetFile(path), pl.read_parquet_schema(path)

    def make(names: Sequence[str]) -> Iterator[pl.DataFrame]:
        for group in range(file.num_row_groups):
            try:
                read = pl.DataFrame(file.read_row_group(group, columns=list(names)))
            except (OSError, ArrowException) as failure:
                raise _damaged(path, remedy) from failure
            yield read.select(names)

    return LazyTable(pl.Schema(schema), file.metadata.num_rows, make)


def _damaged(path: Path, remedy: str) -> UserError:
    return UserError("the table is damaged", str(path), remedy)
