"""One series as its files have it, also where a run would refuse it: unsorted, repeated, in other units of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from backtest.core.errors import UserError
from backtest.data.source import CANDLE_COLUMNS, MILLISECONDS_END, SECONDS_END, File, quoted, read_file, reading

VOLUME = "volume"
_UNITS = (
    ("s", SECONDS_END, 1, 1_000),
    ("ms", MILLISECONDS_END, 1, 1),
    ("us", 10**17, 1_000, 1),
    ("ns", 2**63, 10**6, 1),
)
"""Of whole numbers: the unit, where its stamps end (each is the year 5138, or 1973 in the next), and what a number is
divided and multiplied by to be ms."""


@dataclass(frozen=True)
class RawSeries:
    """Rows in the order of the files; a series is held in memory whole, some 60 bytes a row."""

    kind: str
    symbol: str
    paths: tuple[Path, ...]
    t: NDArray[np.int64]
    """ms; finer times are cut to the ms, as a run does."""
    columns: dict[str, NDArray[np.float64]]
    """NaN where a file has no value."""
    units: tuple[str, ...]
    """Units of time other than ms in which files have whole numbers."""

    @property
    def place(self) -> str:
        """Symbol, series and the first file, for errors."""
        return f"{self.symbol} {self.kind} in {self.paths[0]}"

    def taken(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> RawSeries:
        """Only these rows, in this order."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        return RawSeries(self.kind, self.symbol, self.paths, self.t[rows], columns, self.units)


def read(con: duckdb.DuckDBPyConnection, kind: str, paths: Sequence[Path], symbol: str, filtered: bool) -> RawSeries:
    """Read one series. ``filtered``: the files hold several symbols, told apart by a column.

    Raises UserError for a file that is no Parquet file of this kind, or has rows without a time.
    """
    files = [read_file(path, kind, filtered) for path in paths]
    columns: tuple[str, ...] = ("rate",) if kind == "funding" else CANDLE_COLUMNS
    if kind == "candles" and all(VOLUME in file.types for file in files):
        columns = (*columns, VOLUME)
    where = f" WHERE symbol = {quoted(symbol)}" if filtered else ""
    times, values, units = [], [], []
    for file in files:
        t, unit, found = _rows(con, file, columns, where)
        times.append(t)
        values.append(found)
        units += [unit] if unit else []
    order = sorted(range(len(files)), key=lambda n: (int(times[n].min()) if len(times[n]) else 0, paths[n].name))
    joined = {name: np.concatenate([np.empty(0), *(values[n][name] for n in order)]) for name in columns}
    t = np.concatenate([np.empty(0, np.int64), *(times[n] for n in order)])
    return RawSeries(kind, symbol, tuple(paths), t, joined, tuple(dict.fromkeys(units)))


def symbols_in(con: duckdb.DuckDBPyConnection, kind: str, paths: Sequence[Path]) -> list[str]:
    """The symbols that plain files hold, sorted."""
    found: set[str] = set()
    for path in paths:
        file = read_file(path, kind, True)
        with reading([file]):
            rows = con.execute(f"SELECT DISTINCT symbol FROM {_table(file)}").fetchall()
        if any(row[0] is None for row in rows):
            raise UserError(f"{kind} without a symbol", str(path), "fill them in")
        found |= {row[0] for row in rows}
    return sorted(found)


def _rows(
    con: duckdb.DuckDBPyConnection, file: File, columns: tuple[str, ...], where: str
) -> tuple[NDArray[np.int64], str, dict[str, NDArray[np.float64]]]:
    """Times in ms, the unit that they were in if it was another, and the columns of one file."""
    kind = file.types["ts"]
    plain = pa.types.is_integer(kind)
    time = "CAST(ts AS BIGINT)" if plain else f"epoch_ms({'CAST(ts AS TIMESTAMPTZ)' if kind.tz else 'ts'})"
    chosen = ", ".join(f"CAST({name} AS DOUBLE) AS {name}" for name in columns)
    with reading([file]):
        found = con.execute(f"SELECT {time} AS t, {chosen} FROM {_table(file)}{where}").fetchnumpy()
    if np.ma.is_masked(found["t"]):
        raise UserError("rows without a time", str(file.path), "fill in ts, or take them out")
    t, unit = np.ma.getdata(found["t"]).astype(np.int64), ""
    if plain and len(t):
        t, unit = _milliseconds(t, file.path)
    return t, unit, {name: np.ma.filled(found[name].astype(np.float64), np.nan) for name in columns}


def _milliseconds(t: NDArray[np.int64], path: Path) -> tuple[NDArray[np.int64], str]:
    """Whole numbers as ms, and their unit unless it is ms; UserError where they are of no one unit."""
    below = 0 if int(t.min()) < SECONDS_END // 1_000 else SECONDS_END // 1_000
    for unit, end, divisor, factor in _UNITS:
        if below <= int(t.min()) and int(t.max()) < end:
            if below == 0:
                break
            return t // divisor * factor, "" if unit == "ms" else unit
        below = end
    thing = f"ts goes from {t.min()} to {t.max()}, which is no one unit of time since 1970"
    raise UserError(thing, str(path), "convert it to milliseconds")


def _table(file: File) -> str:
    name = "".join(f"[{c}]" if c in "*?[" else c for c in str(file.path))
    return f"read_parquet([{quoted(name)}], hive_partitioning=false)"
