"""The quick way through a CSV file: Polars reads the columns that are needed, and stops in a line behind the last one.

It takes only what is beyond doubt: numbers and texts without quotes, and as many separators as the rows must have.
Where anything is otherwise, the exact reader (`tables.csv_sql`) reads the file again, and says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from backtest.data.importing.csv_dialect import Dialect

_BATCH_ROWS = 65_536
_BLOCK = 1 << 20
"""Bytes that are counted at a time: they stay in the processor's cache."""
_TYPES: Mapping[str, tuple[type[pl.DataType], Any]] = {
    "BIGINT": (pl.Int64, pa.int64()),
    "DOUBLE": (pl.Float64, pa.float64()),
    "VARCHAR": (pl.String, pa.large_string()),
}
"""What Polars reads, and what it hands on, for a type of SQL."""


class NotPlain(Exception):
    """The file has to be read by the exact reader."""


@dataclass(frozen=True)
class QuickCsv:
    """A CSV file that lies there unpacked, and how it is written."""

    path: Path
    dialect: Dialect

    @contextmanager
    def reading(self, wanted: Mapping[str, str]) -> Iterator[pa.RecordBatchReader]:
        """Give the wanted columns in batches; their types are those of SQL. Raises NotPlain, at the latest at the end.

        The separators are counted meanwhile in a thread: Polars would not see that a line has too many or too few
        behind the columns that it reads.
        """
        if not set(wanted.values()) <= set(_TYPES) or not set(wanted) <= set(self.dialect.names):
            raise NotPlain
        rows: list[int] = []
        with ThreadPoolExecutor(1, "separators") as pool:
            separators = pool.submit(self._separators)
            try:
                schema = pa.schema([(name, _TYPES[kind][1]) for name, kind in wanted.items()])
                yield pa.RecordBatchReader.from_batches(schema, self._batches(wanted, schema, rows, separators))
            except BaseException:
                separators.cancel()
                raise
            if separators.result() != sum(rows) * (len(self.dialect.names) - 1):
                raise NotPlain

    def _batches(
        self, wanted: Mapping[str, str], schema: pa.Schema, rows: list[int], separators: Future[int]
    ) -> Iterator[pa.RecordBatch]:
        dialect = self.dialect
        last = max(dialect.names.index(name) for name in wanted)
        columns = {name: _TYPES[wanted.get(name, "VARCHAR")][0] for name in dialect.names[: last + 1]}
        frame = pl.scan_csv(
            self.path,
            glob=False,
            has_header=False,
            schema=columns,
            separator=dialect.separator,
            decimal_comma=dialect.decimal_comma,
            skip_lines=dialect.skip + dialect.header,
            quote_char=None,
            extra_columns="ignore" if last + 1 < len(dialect.names) else None,
        ).select(*wanted)
        for batch in frame.collect_batches(chunk_size=_BATCH_ROWS, engine="streaming"):
            if separators.done() and separators.exception():  # no need to read on
                raise NotPlain
            rows.append(batch.height)
            yield from batch.to_arrow().cast(schema).to_batches()

    def _separators(self) -> int:
        """Separators of the rows. Raises NotPlain for a quote."""
        separator, found = ord(self.dialect.separator), 0
        with self.path.open("rb") as stream:
            for _ in range(self.dialect.skip + self.dialect.header):
                stream.readline()
            while block := stream.read(_BLOCK):
                if b'"' in block:
                    raise NotPlain
                found += int(np.count_nonzero(np.frombuffer(block, np.uint8) == separator))
        return found
