"""One series of one symbol as it lies on disk: its files, their footers, and the SQL that reads it."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from backtest.core.errors import UserError
from backtest.core.times import stamp
from backtest.data.file_formats import foreign

CANDLE_COLUMNS = ("open", "high", "low", "close")
COLUMNS = {"candles": CANDLE_COLUMNS, "mark": CANDLE_COLUMNS, "funding": ("rate",)}
"""What a file of each kind must have beside `ts`. Volume is asked for only where it is used."""
KINDS = ("candles", "mark", "funding")
FURTHER = "mark_"
"""A kind that begins with it is a further series of marks, which an oracle may take a median of."""

SECONDS_END, MILLISECONDS_END = 10**11, 10**14
"""Stamps below the first would be before March 1973 as milliseconds, and are seconds; the others are finer."""
WINDOW_ROWS = 131_072
"""Rows that one query of a long series reads, or those of one row group where it has more."""
_FILL_IN = "fill in ts, or take them out"
_NOT_PARQUET = "write the file anew, or take it out of the folder"


@dataclass(frozen=True)
class File:
    """A Parquet file and what its footer tells without reading a row."""

    path: Path
    size: int
    footer: bytes = field(repr=False)
    rows: int
    types: dict[str, Any] = field(repr=False)
    """Arrow type per column."""
    span: tuple[int, int] | None
    """First and last `ts` in ms by the footer's statistics; None where they are missing."""
    groups: tuple[tuple[int, int, int], ...] = ()
    """First and last `ts` in ms, and number of rows, of each row group; none where the statistics are missing."""


@dataclass(frozen=True)
class Source:
    """One kind of series of one symbol. ``filtered``: the files hold several symbols, told apart by a column."""

    kind: str
    symbol: str
    files: tuple[File, ...]
    """In order of their first stamp."""
    filtered: bool
    rows: int
    first_ms: int
    last_ms: int

    def scan(self, columns: tuple[str, ...], lo_ms: int | None = None, hi_ms: int | None = None) -> str:
        """SQL for `t` (ms) and ``columns`` as doubles in the order of the file, lo_ms <= t < hi_ms."""
        bounds = [] if lo_ms is None else [f"ts >= {self._instant(lo_ms)}"]
        bounds += [] if hi_ms is None else [f"ts < {self._instant(hi_ms)}"]
        bounds += [f"symbol = {quoted(self.symbol)}"] if self.filtered else []
        chosen = "".join(f", CAST({column(name)} AS DOUBLE) AS {column(name)}" for name in columns)
        where = " WHERE " + " AND ".join(bounds) if bounds else ""
        return f"SELECT {time_of(self.files[0])} AS t{chosen} FROM {table_of(self.files)}{where}"

    def windows(self, lo_ms: int, hi_ms: int) -> list[tuple[int, int]]:
        """Spans of time that follow each other, together lo_ms <= t < hi_ms, each of whole row groups of the files.

        A query holds the row group that it reads until it ends: read apart, many series take less memory. Where the
        footers do not say that row groups follow each other in time, it is one span.
        """
        groups = [group for file in self.files for group in file.groups]
        told = not self.filtered and all(file.groups for file in self.files)
        if not told or any(after[0] <= before[1] for before, after in pairwise(groups)):
            return [(lo_ms, hi_ms)]
        cuts, rows = [lo_ms], 0
        for first, _, count in groups:
            if rows and rows + count > WINDOW_ROWS and lo_ms < first < hi_ms:
                cuts.append(first)
                rows = 0
            rows += count
        return list(pairwise([*cuts, hi_ms]))

    def where(self, ms: int) -> str:
        """Symbol, time and the file that (by its footer) holds that time: the place of a mistake."""
        held = [f for f in self.files if f.span and f.span[0] <= ms <= f.span[1]] or list(self.files[:1])
        return f"{self.symbol} {self.kind} at {stamp(ms)} in {held[0].path}"

    def fetch(self, con: duckdb.DuckDBPyConnection, query: str) -> dict[str, Any]:
        """The columns of a small query over this source's rows."""
        with reading(self.files):
            found: dict[str, Any] = con.execute(query).fetchnumpy()
        return found

    def require(self, column: str) -> None:
        """UserError when a file lacks ``column`` or has it in a type that is not a number."""
        for file in self.files:
            _require(file, column, "a number", _is_number)

    def _instant(self, ms: int) -> str:
        """``ms`` as a literal of the type of `ts`, so that DuckDB can skip row groups by their statistics."""
        kind = self.files[0].types["ts"]
        if pa.types.is_integer(kind):
            return str(ms)
        instant = f"make_timestamp{'' if kind.tz is None else 'tz'}({ms * 1000}::BIGINT)"
        return f"CAST({instant} AS TIMESTAMPTZ_NS)" if kind.unit == "ns" and kind.tz else instant


@contextmanager
def reading(files: Iterable[File]) -> Iterator[None]:
    """Whatever goes wrong while DuckDB reads ``files`` is a UserError that names them."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        names = ", ".join(str(file.path) for file in files)
        raise UserError(f"cannot be read ({_first_line(error)})", names, "write it again") from None


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def quoted(text: str) -> str:
    """``text`` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def column(name: str) -> str:
    """``name`` as SQL names a column."""
    return '"' + name.replace('"', '""') + '"'


def table_of(files: tuple[File, ...]) -> str:
    """SQL that reads ``files`` one after another.

    DuckDB would cast every file to the types of the first: prices would be rounded to whole numbers where the first
    file has whole ones. Files that differ are read apart, and their numbers become doubles before they meet.
    """
    alike = [tuple(same) for _, same in groupby(files, key=lambda file: file.types)]
    if len(alike) == 1:
        return _parquet(files)
    shared = [name for name in files[0].types if all(name in file.types for file in files)]
    parts = (f"SELECT {', '.join(_unified(name, same[0]) for name in shared)} FROM {_parquet(same)}" for same in alike)
    return f"({' UNION ALL '.join(parts)})"


def _unified(name: str, file: File) -> str:
    """SQL for a column in a type that it has in every file: numbers as doubles."""
    quoted_name = column(name)
    number = name != "ts" and _is_number(file.types[name])
    return f"CAST({quoted_name} AS DOUBLE) AS {quoted_name}" if number else quoted_name


def _parquet(files: tuple[File, ...]) -> str:
    """SQL that reads files of equal columns. Folder names must not become columns."""
    # DuckDB reads a path as a pattern; a bracket class of one letter is that letter.
    names = (quoted("".join(f"[{c}]" if c in "*?[" else c for c in str(f.path))) for f in files)
    return f"read_parquet([{', '.join(names)}], hive_partitioning=false)"


def time_of(file: File) -> str:
    """SQL for `ts` in whole milliseconds. An integer `ts` is assumed to be milliseconds already."""
    kind = file.types["ts"]
    if pa.types.is_integer(kind):
        return "CAST(ts AS BIGINT)"
    return "epoch_ms(CAST(ts AS TIMESTAMPTZ))" if kind.tz else "epoch_ms(ts)"


def read_file(path: Path, kind: str, symbol_column: bool) -> File:
    """The file's footer, checked for the columns of its kind. UserError names the file."""
    try:
        if not path.is_file():
            raise UserError("is not a file that can be read", str(path), _NOT_PARQUET)
        size = path.stat().st_size
        if size == 0:
            raise UserError("the file is empty", str(path), _NOT_PARQUET)
        footer = _footer(path, size)
        metadata = pq.read_metadata(path)
        types = {column.name: column.type for column in metadata.schema.to_arrow_schema()}
    except (pa.ArrowException, OSError, ValueError, struct.error) as error:
        other = foreign(path) if kind == "candles" else foreign(path, COLUMNS.get(kind, CANDLE_COLUMNS))
        if other is not None:
            raise other from None
        raise UserError(f"not a whole Parquet file ({_first_line(error)})", str(path), _NOT_PARQUET) from None
    file = File(path, size, footer, metadata.num_rows, types, None)
    _require(file, "ts", "a timestamp, or a whole number of milliseconds", _is_time)
    for column in CANDLE_COLUMNS if kind.startswith(FURTHER) else COLUMNS[kind]:
        _require(file, column, "a number", _is_number)
    if symbol_column:
        _require(file, "symbol", "text", _is_text)
    statistics = _statistics(metadata)
    nulls = sum(s.null_count for s in statistics)
    if nulls:
        raise UserError(f"{nulls:,} rows without a time", str(path), _FILL_IN)
    groups = tuple((*_ms([s], types["ts"]), metadata.row_group(n).num_rows) for n, s in enumerate(statistics))
    return File(path, size, footer, metadata.num_rows, types, _ms(statistics, types["ts"]) if groups else None, groups)


def describe(con: duckdb.DuckDBPyConnection, kind: str, symbol: str, files: list[File]) -> Source | None:
    """The source of files that hold one symbol each; None when they hold no row.

    Spans come from the footers: opening a dataset must not read its rows.
    """
    same_time(files)
    held = [(f.span or _query_span(con, f), f) for f in files if f.rows]
    if not held:
        return None
    held.sort(key=lambda pair: (pair[0], pair[1].path.name))
    rows = sum(f.rows for _, f in held)
    first, last = min(span[0] for span, _ in held), max(span[1] for span, _ in held)
    _plausible(held[0][1], first, last)
    return Source(kind, symbol, tuple(f for _, f in held), False, rows, first, last)


def describe_plain(con: duckdb.DuckDBPyConnection, kind: str, files: list[File]) -> dict[str, Source]:
    """The sources in files that hold many symbols in a column."""
    same_time(files)
    ordered = tuple(sorted(files, key=lambda f: (f.span or (0, 0), f.path.name)))
    time = time_of(ordered[0])
    sums = f"count(*), min({time}), max({time}), count(*) - count(ts)"
    query = f"SELECT symbol, {sums} FROM {table_of(ordered)} GROUP BY 1 ORDER BY 1"
    with reading(ordered):
        found = con.execute(query).fetchall()
    for symbol, _, _, _, nulls in found:
        if symbol is None or nulls:
            raise UserError(f"{kind} without a symbol or a time", str(ordered[0].path), "fill them in")
    if found:
        _plausible(ordered[0], min(row[2] for row in found), max(row[3] for row in found))
    return {s: Source(kind, s, ordered, True, rows, first, last) for s, rows, first, last, _ in found}


def same_time(files: list[File]) -> None:
    """UserError unless `ts` has one type in all the files: they are read as one table."""
    for file in files[1:]:
        if file.types["ts"] != files[0].types["ts"]:
            thing = f"ts is {file.types['ts']}, but {files[0].types['ts']} in {files[0].path.name}"
            raise UserError(thing, str(file.path), "write both in one type")


def _plausible(file: File, first: int, last: int) -> None:
    """UserError when an integer `ts` cannot be milliseconds: the years 1973 to 5138 are what is taken for such."""
    if pa.types.is_integer(file.types["ts"]) and (first < SECONDS_END or last >= MILLISECONDS_END):
        thing = f"ts goes from {first} to {last}, which are no milliseconds since 1970"
        raise UserError(thing, str(file.path), "convert seconds, microseconds and nanoseconds to milliseconds")


def _footer(path: Path, size: int) -> bytes:
    with path.open("rb") as handle:
        handle.seek(max(0, size - 8))
        tail = handle.read(8)
        if tail[4:] != b"PAR1":
            raise ValueError("it does not end as one; cut off?")
        length = struct.unpack("<I", tail[:4])[0]
        handle.seek(max(0, size - 8 - length))
        return handle.read(length)


def _statistics(metadata: Any) -> list[Any]:
    """The footer's statistics of `ts`, one per row group; empty unless all of them tell first, last and nulls."""
    index = [metadata.schema.column(i).path for i in range(metadata.num_columns)].index("ts")
    found = [metadata.row_group(n).column(index).statistics for n in range(metadata.num_row_groups)]
    told = all(s is not None and s.has_min_max and s.has_null_count and isinstance(s.min_raw, int) for s in found)
    return found if told else []


def _ms(statistics: list[Any], kind: Any) -> tuple[int, int]:
    """First and last `ts` of some row groups."""
    per_ms = {"s": 0.001, "ms": 1, "us": 1_000, "ns": 1_000_000}["ms" if pa.types.is_integer(kind) else kind.unit]
    low, high = [s.min_raw for s in statistics], [s.max_raw for s in statistics]
    return int(min(low) // per_ms), int(max(high) // per_ms)


def _query_span(con: duckdb.DuckDBPyConnection, file: File) -> tuple[int, int]:
    time = time_of(file)
    query = f"SELECT min({time}), max({time}), count(*) - count(ts) FROM {table_of((file,))}"
    with reading([file]):
        first, last, nulls = con.execute(query).fetchall()[0]
    if nulls:
        raise UserError(f"{nulls:,} rows without a time", str(file.path), _FILL_IN)
    return first, last


def _require(file: File, column: str, wanted: str, accepts: Any) -> None:
    if column not in file.types:
        raise UserError(f"no column {column!r} (it has {', '.join(file.types)})", str(file.path), "add it")
    if not accepts(file.types[column]):
        found = "text" if _is_text(file.types[column]) else file.types[column]
        raise UserError(f"column {column!r} is {found}, not {wanted}", str(file.path), "convert it")


def _is_time(kind: Any) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_integer(kind))


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def _is_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
