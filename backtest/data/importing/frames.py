"""Import tables that are in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

from backtest.core import forks
from backtest.data.importing.importer import prepared_tables
from backtest.data.importing.options import options_of
from backtest.data.importing.tables import Table, frame_table


class ArrowTable(Protocol):
    """A table that others can read through Arrow: a DataFrame of pandas or Polars, a table of PyArrow."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return the table as a stream of Arrow."""


Frame: TypeAlias = ArrowTable | Sequence[Sequence[float]] | Sequence[Mapping[str, object]]
"""A table in memory: a DataFrame, an Arrow table, a list of ccxt's candles, a list of records."""
Frames: TypeAlias = "Frame | Mapping[str, Frame]"
"""One table, with a column of symbols or of one market; or a table per symbol."""


def import_frames(
    candles: Frames,
    out: str | Path,
    mark: Frames | None,
    funding: Frames | None,
    symbol: str | None,
    interval: str | None,
    columns: Mapping[str, str],
    tz: str | None,
    stamp: str | None,
) -> Path:
    """Write a dataset of tables in memory; see `backtest.data.from_frame`."""
    forks.check()
    options = options_of(symbol, interval, tz, None, columns, stamp)
    tables: list[Table] = []
    for kind, given in (("candles", candles), ("mark", mark), ("funding", funding)):
        if given is None:
            continue
        named = {str(name): frame for name, frame in given.items()} if isinstance(given, Mapping) else {"": given}
        for name, frame in named.items():
            place = f"{kind} of {name}" if name else kind
            table = frame_table(frame, f"symbol={name}" if name else "", place)
            tables.append(_of_series(table, kind))
    return prepared_tables(tables, options, "a table in memory").write(Path(out)).folder


def _of_series(table: Table, kind: str) -> Table:
    """The table in a folder that tells its series, as a file's would."""
    return Table(table.place, table.name, (kind,), table.kind, table.types, table.rows, table.headed, table.scan)
