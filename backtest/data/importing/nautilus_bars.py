"""Bars of a nautilus_trader catalog: prices and quantities as fixed-point integers, decoded exactly.

`crates/serialization/src/arrow/bar.rs` of nautechsystems/nautilus_trader: open, high, low, close and volume are binary,
little-endian, of 16 bytes scaled by 10^16 (high precision) or of 8 bytes scaled by 10^9; before that they were integers
of 64 bits scaled by 10^9.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backtest.data.importing.tables import Table, registered

FIXED = ("open", "high", "low", "close", "volume")
_BATCH = 65_536
_HIGH_SCALE, _LOW_SCALE = 16, 1e9


def decoded(table: Table, path: Path) -> Table:
    """The table of a catalog's file with numbers in the place of fixed-point integers."""

    def scan(con: duckdb.DuckDBPyConnection, _: Path, __: object) -> str:
        return registered(con, _reader(path))

    rows = tuple(_reader(path).read_next_batch().slice(0, len(table.rows)).to_pylist())
    return replace(table, types={**table.types, **dict.fromkeys(FIXED, "number")}, rows=rows, scan=scan)


def _reader(path: Path) -> Any:
    file = pq.ParquetFile(path)
    schema = pa.schema([(f.name, pa.float64() if f.name in FIXED else f.type) for f in file.schema_arrow])

    def batches() -> Iterator[Any]:
        for batch in file.iter_batches(_BATCH):
            arrays = [_number(batch.column(f.name)) if f.name in FIXED else batch.column(f.name) for f in schema]
            yield pa.record_batch(arrays, schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _number(column: Any) -> Any:
    """Doubles nearest to the decimals that a column's integers mean."""
    kind = column.type
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == 16:
        # The bytes are those of Arrow's own decimals; by way of text the nearest double is found.
        buffers = column.buffers()
        decimals = pa.Array.from_buffers(pa.decimal128(38, _HIGH_SCALE), len(column), buffers, offset=column.offset)
        return decimals.cast(pa.string()).cast(pa.float64())
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == 8:
        raw = np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(column)]
        return pa.array(raw / _LOW_SCALE)
    if pa.types.is_integer(kind):
        return pa.array(column.to_numpy(zero_copy_only=False).astype(np.int64) / _LOW_SCALE)
    return column.cast(pa.float64())
