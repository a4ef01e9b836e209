"""Tables that are not Parquet: what they are, told by their first bytes, and how to make Parquet of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backtest.core.errors import UserError

_HEAD = 4_096
"""Bytes looked at."""
_MAGIC = (
    (b"ARROW1", "a Feather (Arrow IPC) file", "pl.read_ipc({file})"),
    (b"\xff\xff\xff\xff", "an Arrow IPC stream", "pl.read_ipc_stream({file})"),
    (b"FEA1", "a Feather file of version 1", "pl.DataFrame(pandas.read_feather({file}))"),
    (b"\x89HDF", "an HDF5 file", "pl.DataFrame(pandas.read_hdf({file}))"),
    (b"SQLite format 3", "an SQLite database", ""),
    (b"\x1f\x8b", "a gzip file", ""),
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook", ""),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", ""),
    (b"\x80\x04", "a pickle", "pl.DataFrame(pandas.read_pickle({file}))"),
)
_SEPARATED = {
    ",": ("a CSV file", "pl.read_csv({file}, try_parse_dates=True)"),
    ";": ("a CSV file with semicolons", "pl.read_csv({file}, separator=';', try_parse_dates=True)"),
    "\t": ("a TSV file", "pl.read_csv({file}, separator='\\t', try_parse_dates=True)"),
}
_PARSED = ".with_columns(pl.col('ts').str.to_datetime(time_zone='UTC'))"
"""JSON has no times: where they are text, the reader leaves them so."""
_WRITERS = {
    "polars DataFrame": "frame.write_parquet('BTC-USD.parquet')",
    "polars LazyFrame": "frame.sink_parquet('BTC-USD.parquet')",
    "pandas DataFrame": "frame.to_parquet('BTC-USD.parquet')",
    "pyarrow Table": "pyarrow.parquet.write_table(table, 'BTC-USD.parquet')",
}
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
        return UserError(thing, str(path), f"unpack it, or write it as Parquet with {_listed(columns)}")
    imports = "import pandas, polars as pl" if "pandas" in reader else "import polars as pl"
    target = path.with_suffix(".parquet")
    if target == path:
        target = path.with_stem(f"{path.stem}_converted")
    command = f"{imports}; {reader.format(file=repr(str(path)))}.write_parquet({str(target)!r})"
    return UserError(thing, str(path), f'convert it with python -c "{command}" ({_listed(columns)})')


def foreign_in(folder: Path) -> UserError | None:
    """The error for the first file of a folder or of its series that is another kind of table; None: there is none."""
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
    if name not in _WRITERS:
        remedy = "name a dataset's folder, or a Parquet file of candles"
        return UserError(f"data is of type {kind}, not a path", "", remedy)
    thing = f"data is a {name}, and candles are read from Parquet files"
    return UserError(thing, "", f"write it with {_WRITERS[name]} ({_listed(_CANDLES)}), and name that file")


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
        what, reader = ("JSON lines", "pl.read_ndjson({file})") if lines else ("a JSON file", "pl.read_json({file})")
        return what, reader + _PARSED if re.search(r'"ts"\s*:\s*"', text) else reader
    separator = max(_SEPARATED, key=line.count)
    return _SEPARATED[separator] if separator in line else None
