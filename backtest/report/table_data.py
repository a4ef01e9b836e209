"""The values of a page's tables, so that the page can sort, filter and copy them as they are in the Parquet files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import polars as pl

from backtest.report.table_rows import Table


def table_data(tables: Iterable[Table]) -> dict[str, dict[str, Any]]:
    """Return by name of each table with values: its columns, its values by column, and the rows that the page lacks."""
    return {table.name: _one(table, table.raw) for table in tables if table.raw is not None and table.rows}


def _one(table: Table, raw: pl.DataFrame) -> dict[str, Any]:
    return {
        "columns": raw.columns,
        "values": [_plain(raw[name]) for name in raw.columns],
        "more": [[cell.text for cell in row] for row in table.more],
    }


def _plain(values: pl.Series) -> list[Any]:
    """Times as ISO 8601; what is not finite as null."""
    if isinstance(values.dtype, pl.Datetime):
        return values.dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_list()
    if values.dtype.is_float():
        return [value if value is not None and abs(value) < float("inf") else None for value in values.to_list()]
    return values.to_list()
