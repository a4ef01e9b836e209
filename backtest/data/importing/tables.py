"""Tables as they are found: in a file, in a member of an archive, in a database, or in memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from backtest.core.errors import UserError
from backtest.data.importing import database_tables
from backtest.data.importing.csv_dialect import Dialect, is_number, sniff
from backtest.data.importing.packing import WORDS, Packed, check_name, parts, told_by
from backtest.data.importing.quick_csv import QuickCsv
from backtest.data.source import quoted

SHOWN_ROWS = 500
"""Rows at the beginning of a table from which its columns are told."""
_names = itertools.count(1)


@dataclass(frozen=True)
class Table:
    """One table: where it lies, what its columns are, its first rows, and the SQL that reads it."""

    place: str
    name: str
    """Of the file, the member or the database's table: may tell symbol, interval and kind."""
    folders: tuple[str, ...]
    """Names of the folders around it, the nearest last."""
    kind: str
    """A key of `packing.WORDS`, or ``frame``."""
    types: Mapping[str, str]
    """Per column ``integer``, ``number``, ``text``, ``timestamp``, ``timestamptz``, ``date``, ``binary``, ``other``."""
    rows: tuple[Mapping[str, object], ...]
    """The first rows."""
    headed: bool
    """Whether the columns have their own names."""
    scan: Callable[[duckdb.DuckDBPyConnection, Path, Mapping[str, str]], str] = field(repr=False)
    """SQL to select from, given a connection, a folder for copies, and the SQL types of the columns that are needed."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What the file says beside its columns."""
    path: Path | None = None
    """The file, where it lies there unpacked."""
    quick: QuickCsv | None = None
    """A faster way to read it, for a CSV file that lies there unpacked."""


def tables_of(
    path: Path, con: duckdb.DuckDBPyConnection, scratch: Path, asked: str | None, below: Path | None = None
) -> list[Table]:
    """Every table in a file. UserError for one that cannot be read, or is not what its name says.

    ``scratch``: a folder for copies. ``asked``: the value of `--format`. ``below``: the folder that is imported, of
    which the path's folders count.
    """
    found: list[Table] = []
    for packed in parts(path):
        head, whole = packed.head()
        kind = told_by(head)
        check_name(packed, kind, asked)
        around = path.parent.relative_to(below).parts if below else path.resolve().parent.parts[-3:]
        inside = (path.stem, *Path(packed.member).parent.parts) if packed.member else ()
        folders = (*((below.name,) if below else ()), *around, *inside)
        if kind in ("sqlite", "duckdb"):
            if packed.packing:
                raise UserError(f"{WORDS[kind]} in a packed file", packed.place, "unpack it first")
            found += [_database(path, kind, name, folders) for name in database_tables.names(path, kind)]
        elif kind == "csv":
            found.append(_csv(packed, head, whole, folders))
        else:
            found.append(_columnar(packed, kind, con, scratch, folders))
    return found


def frame_table(frame: Any, name: str, place: str) -> Table:
    """Return a table in memory (pandas, Polars, PyArrow, a list of rows) as a table to import."""
    table = _arrow(frame, place)
    rows = tuple(table.slice(0, SHOWN_ROWS).to_pylist())
    if not rows:
        raise UserError("the table has no rows", place, "leave it out")
    types = {column.name: _arrow_kind(column.type) for column in table.schema}
    headed = not all(name.startswith("column ") for name in types)

    def scan(con: duckdb.DuckDBPyConnection, _: Path, __: Mapping[str, str]) -> str:
        return registered(con, table)

    return Table(place, name, (), "frame", types, rows, headed, scan)


def _csv(packed: Packed, head: bytes, whole: bool, folders: tuple[str, ...]) -> Table:
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        cut = error.start >= len(head) - 4  # only a letter that the end of the head cut in two
        text = head[: error.start].decode("utf-8-sig") if cut else head.decode("latin-1")
    dialect = sniff(text, whole)
    if dialect is None:
        raise UserError("no columns are found in it", packed.place, "write one row a line, with commas between columns")
    if not dialect.rows:
        raise UserError("it has a header and no rows", packed.place, "leave it out, or fetch it again")
    types = {name: _csv_kind([row[n] for row in dialect.rows]) for n, name in enumerate(dialect.names)}
    rows = tuple(dict(zip(dialect.names, row, strict=True)) for row in dialect.rows[:SHOWN_ROWS])

    def scan(_: duckdb.DuckDBPyConnection, scratch: Path, wanted: Mapping[str, str]) -> str:
        return csv_sql(packed, dialect, scratch, wanted)

    quick = None if packed.packing or dialect.thousands or '"' in text else QuickCsv(packed.path, dialect)
    return Table(packed.place, packed.name, folders, "csv", types, rows, dialect.header, scan, quick=quick)


def csv_sql(packed: Packed, dialect: Dialect, scratch: Path, wanted: Mapping[str, str]) -> str:
    """SQL that reads a CSV file; columns that are not wanted are not parsed."""
    direct = packed.packing in ("", "gz", "zst")
    path = packed.path if direct else packed.unpacked(scratch)
    columns = ", ".join(f"{quoted(name)}: {quoted(wanted.get(name, 'VARCHAR'))}" for name in dialect.names)
    packing = {"gz": "gzip", "zst": "zstd"}.get(packed.packing if direct else "", "none")
    comma = ", decimal_separator=','" if dialect.decimal_comma else ", thousands=','" if dialect.thousands else ""
    return (
        f"read_csv({_pattern(path)}, auto_detect=false, header={str(dialect.header).lower()}, skip={dialect.skip}, "
        f"delim={quoted(dialect.separator)}, quote='\"', escape='\"', columns={{{columns}}}, compression='{packing}', "
        f"null_padding=false, nullstr=['', 'null', 'NULL', 'NaN', 'nan', 'None', 'NA', 'N/A']{comma})"
    )


def _pattern(path: Path) -> str:
    """A path as SQL; DuckDB reads it as a pattern, and a bracket class of one letter is that letter."""
    return quoted("".join(f"[{c}]" if c in "*?[" else c for c in str(path)))


def _csv_kind(cells: list[str]) -> str:
    filled = [cell for cell in cells if cell]
    if filled and all(cell.lstrip("+-").isdigit() for cell in filled):
        return "integer"
    return "number" if filled and all(is_number(cell) for cell in filled) else "text"


def _columnar(
    packed: Packed, kind: str, con: duckdb.DuckDBPyConnection, scratch: Path, folders: tuple[str, ...]
) -> Table:
    """A table of Parquet, JSON or Feather."""

    def scan(to: duckdb.DuckDBPyConnection, copies: Path, _: Mapping[str, str]) -> str:
        return _sql(kind, packed.unpacked(copies), to, packed.place)

    metadata: dict[str, str] = {}
    try:
        path = packed.unpacked(scratch)
        sql = _sql(kind, path, con, packed.place)
        relation = con.sql(f"SELECT * FROM {sql} LIMIT {SHOWN_ROWS}")
        types = {n: _duckdb_kind(str(t)) for n, t in zip(relation.columns, relation.types, strict=True)}
        rows = tuple(dict(zip(types, row, strict=True)) for row in relation.fetchall())
        if kind == "parquet":
            metadata = _metadata(path)
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"cannot be read as {WORDS[kind].removeprefix('a ')} ({said})", packed.place, "write or fetch it again"
        ) from None
    if not rows:
        raise UserError("it has no rows", packed.place, "leave it out, or fetch it again")
    headed = not all(name.startswith("column ") for name in types)
    return Table(packed.place, packed.name, folders, kind, types, rows, headed, scan, metadata, path)


def _metadata(path: Path) -> dict[str, str]:
    held = ds.dataset(str(path), format="parquet").schema.metadata or {}
    return {key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, value in held.items()}


def _sql(kind: str, path: Path, con: duckdb.DuckDBPyConnection, place: str) -> str:
    if kind == "parquet":
        return f"read_parquet({_pattern(path)}, hive_partitioning=false)"
    if kind == "feather":
        return registered(con, _feather(path))
    return _json(path, con, place)


def _feather(path: Path) -> Any:
    with path.open("rb") as stream:
        streamed = stream.read(6) != b"ARROW1"
    return pa.ipc.open_stream(pa.memory_map(str(path))) if streamed else ds.dataset(str(path), format="feather")


def _json(path: Path, con: duckdb.DuckDBPyConnection, place: str) -> str:
    """SQL that reads records, or lists of numbers as ccxt returns them."""
    with path.open("rb") as stream:
        head = stream.read(1_024).removeprefix(b"\xef\xbb\xbf").lstrip()
    inner = head[1:].lstrip()
    lists = head[:1] == b"[" and inner[:1] == b"["
    lines = head[:1] == b"{" or (head[:1] == b"[" and not lists and inner[:1] != b"{")
    form = "newline_delimited" if lines else "array"
    base = f"read_json({_pattern(path)}, format='{form}', sample_size=2000"
    if lists or (lines and head[:1] == b"["):
        base += ", records=false, columns={'row': 'DOUBLE[]'})"
        first = con.sql(f"SELECT len(row) FROM {base} LIMIT 1").fetchall()
        width = first[0][0] if first else 0
        if not width:
            raise UserError("it has no rows", place, "leave it out, or fetch it again")
        columns = ", ".join(f'row[{n}] AS "column {n}"' for n in range(1, width + 1))
        return f"(SELECT {columns} FROM {base})"
    return base + ")"


def _database(path: Path, kind: str, name: str, folders: tuple[str, ...]) -> Table:
    def scan(con: duckdb.DuckDBPyConnection, _: Path, wanted: Mapping[str, str]) -> str:
        if kind == "duckdb":
            return database_tables.attached(con, path, name)
        return registered(con, database_tables.sqlite_reader(path, name, wanted))

    types, rows = database_tables.beginning(path, kind, name, SHOWN_ROWS)
    return Table(f"{path}: {name}", name, (*folders, path.stem), kind, types, tuple(rows), True, scan)


def registered(con: duckdb.DuckDBPyConnection, data: Any) -> str:
    """Name under which a connection can select from a table of Arrow."""
    name = f"imported_{next(_names)}"
    con.register(name, data)
    return name


def _arrow(frame: Any, place: str) -> Any:
    """Any table in memory as one of Arrow."""
    origin = type(frame).__module__.partition(".")[0]
    if origin == "pandas":
        frame = frame if frame.index.name is None and frame.index.dtype.kind in "iu" else frame.reset_index()
        frame.columns = [str(column) for column in frame.columns]
        return pa.Table.from_pandas(frame, preserve_index=False)
    if origin == "polars":
        return (frame.collect() if type(frame).__name__ == "LazyFrame" else frame).to_arrow()
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, list | tuple) and frame and all(isinstance(row, list | tuple) for row in frame):
        width = min(map(len, frame))
        columns: Iterator[tuple[str, list[Any]]] = (
            (f"column {n + 1}", [row[n] for row in frame]) for n in range(width)
        )
        return pa.table(dict(columns))
    if isinstance(frame, list | tuple) and frame and all(isinstance(row, Mapping) for row in frame):
        return pa.Table.from_pylist([dict(row) for row in frame])
    remedy = "give a pandas or Polars DataFrame, a PyArrow table, or a list of rows as ccxt returns it"
    raise UserError(f"data is of type {type(frame).__name__}", place, remedy)


def _arrow_kind(kind: Any) -> str:
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz is None else "timestamptz"
    if pa.types.is_date(kind):
        return "date"
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
    return "text" if text or pa.types.is_string_view(kind) else "other"


def _duckdb_kind(kind: str) -> str:
    if kind in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"):
        return "integer"
    if kind in ("FLOAT", "DOUBLE") or kind.startswith("DECIMAL"):
        return "number"
    if kind.startswith("TIMESTAMP"):
        return "timestamptz" if "TIME ZONE" in kind or "TZ" in kind else "timestamp"
    simple = {"DATE": "date", "VARCHAR": "text", "BLOB": "binary"}
    return simple.get(kind, "text" if kind.startswith("ENUM") else "other")
