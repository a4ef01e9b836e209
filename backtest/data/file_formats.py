"""Tables that are not Parquet: what they are, told by their first bytes, and the command that imports them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backtest.core.errors import UserError

_HEAD = 4_096
"""Bytes looked at."""
_MAGIC = (
    (b"ARROW1", "a Feather (Arrow IPC) file", ""),
    (b"\xff\xff\xff\xff", "an Arrow IPC stream", ""),
    (b"FEA1", "a Feather file of version 1", "read_feather"),
    (b"\x89HDF", "an HDF5 file", "read_hdf"),
    (b"SQLite format 3", "an SQLite database", ""),
    (b"\x1f\x8b", "a gzip file", ""),
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook", ""),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", ""),
    (b"\x04\x22\x4d\x18", "an LZ4 file", ""),
    (b"\x80\x04", "a pickle", "read_pickle"),
)
"""First bytes, what they begin, and the function of pandas that reads it; empty: `backtest data import` does."""
_SEPARATED = {",": "a CSV file", ";": "a CSV file with semicolons", "\t": "a TSV file"}
_FORMATS = {"CSV": "csv", "TSV": "csv", "JSON": "json", "Arrow": "feather", "SQLite": "sqlite"}
"""What `backtest data import` calls a file that is named as if it were Parquet."""
_TABLES = ("polars DataFrame", "polars LazyFrame", "pandas DataFrame", "pyarrow Table")
_CANDLES = ("open", "high", "low", "close", "volume")
_SUFFIXES = (
    *(".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".feather", ".ftr", ".arrow", ".ipc"),
    *(".h5", ".hdf5", ".pkl", ".pickle", ".gz", ".zip", ".zst", ".xlsx"),
)
"""Of files that a folder may hold where Parquet is expected."""


def foreign(path: Path, columns: Sequence[str] = _CANDLES) -> UserError | None:
    """The error for a file that is a table, but no Parquet file, or may not be read; None when nothing is known of it.

    ``columns``: what it is to have beside `ts`.
    """
    try:
        with path.open("rb") as handle:
            head = handle.read(_HEAD)
    except OSError as error:
        return UserError(f"cannot be read ({error.strerror})", str(path), "make it readable")
    found = None if head.startswith(b"PAR1") else _by_magic(head) or _by_text(head)
    if found is None:
        return None
    what, reader = found
    thing = f"this is {what}, not a Parquet file"
    if not reader:
        kind = next((kind for word, kind in _FORMATS.items() if word in what), "")
        named = f" --format {kind}" if path.suffix == ".parquet" and kind else ""
        return UserError(thing, str(path), f"import it with: backtest data import {shlex.quote(str(path))}{named}")
    target = path.with_suffix(".parquet")
    command = f"import pandas; pandas.{reader}({str(path)!r}).to_parquet({str(target)!r})"
    return UserError(thing, str(path), f'convert it with python -c "{command}" ({_listed(columns)})')


def foreign_in(folder: Path) -> UserError | None:
    """The error for the first file of a folder or of its series that is another kind of table; None without one."""
    for pattern in ("candles/symbol=*/*", "candles/*", "symbol=*/*", "*"):
        for path in sorted(folder.glob(pattern)):
            if path.is_file() and path.suffix.lower() in _SUFFIXES:
                found = foreign(path)
                if found is not None:
                    return found
    return None


def in_memory(data: Any) -> UserError:
    """The error for data that are no path: a table in memory, or something else."""
    kind = type(data).__name__
    name = f"{type(data).__module__.partition('.')[0]} {kind}"
    if name not in _TABLES:
        remedy = "name a dataset's folder, or a Parquet file of candles"
        return UserError(f"data is of type {kind}, not a path", "", remedy)
    made = 'backtest.data.from_frame(frame, "data/mine", symbol="BTC-USD")'
    remedy = f"write a dataset of it with {made}, and name that folder"
    return UserError(f"data is a {name}, and a run reads a dataset on disk", "", remedy)


def _listed(columns: Sequence[str]) -> str:
    return f"columns ts, {', '.join(columns)}"


def _by_magic(head: bytes) -> tuple[str, str] | None:
    return next(((what, reader) for magic, what, reader in _MAGIC if head.startswith(magic)), None)


def _by_text(head: bytes) -> tuple[str, str] | None:
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # not only a letter that was cut in two
            return None
        text = head[: error.start].decode("utf-8-sig")
    text = text.lstrip()
    line = text.partition("\n")[0]
    if text[:1] in ("[", "{"):
        lines = text.startswith("{") and line.rstrip().endswith("}") and "\n{" in text
        return ("JSON lines" if lines else "a JSON file"), ""
    separator = max(_SEPARATED, key=line.count)
    return (_SEPARATED[separator], "") if separator in line else None
