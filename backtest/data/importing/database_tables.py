"""Tables of SQLite and DuckDB databases. SQLite is read by Python's own module: no extension is downloaded."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from backtest.core.errors import UserError
from backtest.data.source import quoted

_BATCH = 65_536


def names(path: Path, kind: str) -> list[str]:
    """The tables of a database; UserError where it cannot be read or has none."""
    try:
        if kind == "duckdb":
            with duckdb.connect() as con:
                con.execute(f"ATTACH {quoted(str(path))} AS held (READ_ONLY)")
                query = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'held' AND schema_name = 'main'"
                found = [str(row[0]) for row in con.execute(query).fetchall()]
        else:
            with closing(_sqlite(path)) as base:
                query = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
                found = [row[0] for row in base.execute(query)]
    except (duckdb.Error, sqlite3.Error) as error:
        said = str(error).splitlines()[0]
        raise UserError(
            f"cannot be read as a database ({said})", str(path), "close what writes to it, or copy it again"
        ) from None
    if not found:
        raise UserError("the database has no table", str(path), "leave it out")
    return sorted(found)


def beginning(path: Path, kind: str, name: str, count: int) -> tuple[dict[str, str], list[dict[str, object]]]:
    """Kinds of a table's columns, and its first rows."""
    if kind == "duckdb":
        with duckdb.connect() as con:
            relation = con.sql(f"SELECT * FROM {attached(con, path, name)} LIMIT {count}")
            columns, rows = list(relation.columns), relation.fetchall()
    else:
        with closing(_sqlite(path)) as base:
            cursor = base.execute(f"SELECT * FROM {_name(name)} LIMIT {count}")
            columns, rows = [column[0] for column in cursor.description], cursor.fetchall()
    kinds = {column: _kind([row[n] for row in rows]) for n, column in enumerate(columns)}
    return kinds, [dict(zip(columns, row, strict=True)) for row in rows]


def attached(con: duckdb.DuckDBPyConnection, path: Path, name: str) -> str:
    """SQL name of a table of a DuckDB database, attached to a connection for reading."""
    alias = f"held_{path.stem}"
    con.execute(f"ATTACH IF NOT EXISTS {quoted(str(path))} AS {_name(alias)} (READ_ONLY)")
    return f"{_name(alias)}.main.{_name(name)}"


def sqlite_reader(path: Path, name: str, wanted: Mapping[str, str]) -> Any:
    """A reader of the wanted columns of an SQLite table, batch by batch, in the order of its rows."""
    kinds = {"BIGINT": pa.int64(), "DOUBLE": pa.float64(), "VARCHAR": pa.string()}
    schema = pa.schema([(column, kinds[kind]) for column, kind in wanted.items()])

    def batches() -> Iterator[Any]:
        with closing(_sqlite(path)) as base:
            cursor = base.execute(f"SELECT {', '.join(map(_name, wanted))} FROM {_name(name)}")
            while rows := cursor.fetchmany(_BATCH):
                columns = zip(*rows, strict=True)
                arrays = [
                    pa.array([_value(one, kind) for one in column], kinds[kind])
                    for column, kind in zip(columns, wanted.values(), strict=True)
                ]
                yield pa.record_batch(arrays, schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _value(value: Any, kind: str) -> Any:
    """A value of SQLite, whose columns hold anything, in the type that is wanted."""
    if value is None or value == "":
        return None
    return str(value) if kind == "VARCHAR" else float(value) if kind == "DOUBLE" else int(value)


def _sqlite(path: Path) -> sqlite3.Connection:
    # DuckDB asks for the next rows from its own threads, one at a time.
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _kind(values: list[object]) -> str:
    filled = [value for value in values if value is not None]
    if filled and all(isinstance(value, int) and not isinstance(value, bool) for value in filled):
        return "integer"
    if filled and all(isinstance(value, int | float) for value in filled):
        return "number"
    stamps = {type(value).__name__ for value in filled}
    if stamps == {"datetime"}:
        aware = any(getattr(value, "tzinfo", None) is not None for value in filled)
        return "timestamptz" if aware else "timestamp"
    return "date" if stamps == {"date"} else "text"
