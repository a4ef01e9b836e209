"""A Parquet file that a user brings beside a dataset: its columns, checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from backtest.core.errors import UserError


def rows(path: Path, wanted: dict[str, str]) -> pl.DataFrame:
    """Columns of a Parquet file; ``wanted`` says of each whether it is ``time``, ``number``, ``flag`` or ``text``.

    Times come as whole ms, numbers as doubles. UserError names the file and what it lacks, what is no such thing, or
    what is empty.
    """
    held = columns(path)
    missing = [name for name in wanted if name not in held]
    if missing:
        thing = f"no column {missing[0]!r} (it has {', '.join(held)})"
        raise UserError(thing, str(path), f"it needs {', '.join(wanted)}")
    with _reading(path):
        lazy = pl.scan_parquet(path, glob=False)
        types = lazy.collect_schema()
        for name, kind in wanted.items():
            if not _is(kind, types[name]):
                raise UserError(f"column {name!r} is {types[name]}, not a {kind}", str(path), "convert it")
        frame = lazy.select(_as(name, kind, types[name]) for name, kind in wanted.items()).collect()
    if not len(frame):
        raise UserError("the file has no rows", str(path), "write it again")
    for name in wanted:
        if frame[name].null_count():
            raise UserError(f"{name} is empty in row {frame[name].is_null().arg_max()}", str(path), "fill it in")
    return frame


def columns(path: Path) -> list[str]:
    """Names of a file's columns; UserError where it is none."""
    if not path.is_file():
        raise UserError("no such file", str(path), "check the name")
    with _reading(path):
        return pl.scan_parquet(path, glob=False).collect_schema().names()


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"not a whole Parquet file ({said})", str(path), "write it again") from None


def _is(kind: str, given: pl.DataType) -> bool:
    if kind == "time":
        return isinstance(given, pl.Datetime) or given.is_integer()
    if kind == "flag":
        return given == pl.Boolean
    return given.is_numeric() if kind == "number" else given in (pl.String, pl.Categorical, pl.Enum)


def _as(name: str, kind: str, given: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if kind == "time":
        return column.dt.epoch("ms") if isinstance(given, pl.Datetime) else column.cast(pl.Int64)
    if kind == "number":
        return column.cast(pl.Float64)
    return column if kind == "flag" else column.cast(pl.String)
