"""Stream the rows of feeds into series: file after file where they are in order, sorted where they are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from backtest.core.durations import text
from backtest.core.errors import UserError
from backtest.data.dataset_writer import GROUP_ROWS, DatasetWriter
from backtest.data.importing.feeds import Feed, made_sql, names_of
from backtest.data.importing.file_names import clean
from backtest.data.importing.options import Options
from backtest.data.importing.plan import first_times, time_error
from backtest.data.importing.quick_csv import NotPlain
from backtest.data.importing.row_writer import Left, RowWriter, Unsorted
from backtest.data.importing.tables import registered


@dataclass(frozen=True)
class Kept:
    """One series of one market as it was written."""

    symbol: str
    kind: str
    rows: int
    first_ms: int
    last_ms: int
    interval_ms: int | None
    left: Left | None
    folded: int


def write_series(
    writer: DatasetWriter,
    con: duckdb.DuckDBPyConnection,
    scratch: Path,
    kind: str,
    feeds: Sequence[Feed],
    options: Options,
) -> list[Kept]:
    """Write one kind of series of all markets that the feeds hold, in the order of the markets' names."""
    if any(feed.by_symbol or feed.sampled or feed.settled for feed in feeds):
        return _sorted(writer, con, scratch, kind, feeds, clean(options.symbol))
    kept: list[Kept] = []
    for symbol in sorted({feed.symbol for feed in feeds}):
        mine = [feed for feed in feeds if feed.symbol == symbol]
        try:
            kept += _as_they_are(writer, con, scratch, kind, symbol, mine)
        except Unsorted:
            writer.take_back(kind, symbol)
            kept += _sorted(writer, con, scratch, kind, mine, symbol)
    return kept


def _as_they_are(
    writer: DatasetWriter, con: duckdb.DuckDBPyConnection, scratch: Path, kind: str, symbol: str, feeds: Sequence[Feed]
) -> list[Kept]:
    """Write the files of one market in the quick way, or, where one is not plain, or wrong, in the exact one."""
    if all(feed.table.quick for feed in feeds):
        try:
            return _in_order(writer, con, scratch, kind, symbol, feeds, _quickly)
        except (NotPlain, UserError, pl.exceptions.PolarsError):
            writer.take_back(kind, symbol)
    return _in_order(writer, con, scratch, kind, symbol, feeds, _exactly)


@contextmanager
def _quickly(feed: Feed, con: duckdb.DuckDBPyConnection, scratch: Path) -> Iterator[str]:
    """Give SQL for the rows of a feed, read by `quick_csv`."""
    if feed.table.quick is None:
        raise NotPlain
    with feed.table.quick.reading(feed.types) as batches:
        yield feed.rows_sql(con, scratch, "", registered(con, batches))


@contextmanager
def _exactly(feed: Feed, con: duckdb.DuckDBPyConnection, scratch: Path) -> Iterator[str]:
    """Give SQL for the rows of a feed, read by DuckDB."""
    yield feed.rows_sql(con, scratch, "")


def _in_order(
    writer: DatasetWriter,
    con: duckdb.DuckDBPyConnection,
    scratch: Path,
    kind: str,
    symbol: str,
    feeds: Sequence[Feed],
    read: Callable[[Feed, duckdb.DuckDBPyConnection, Path], AbstractContextManager[str]],
) -> list[Kept]:
    """Write the files of one market one after another. Raises Unsorted where that goes back in time."""
    heads = [(next(iter(first_times(feed).values()), []), feed) for feed in feeds]
    if any(b < a for times, _ in heads for a, b in pairwise(times)):
        raise Unsorted
    heads.sort(key=lambda pair: (pair[0], pair[1].table.place))
    places = [feed.table.place for _, feed in heads]
    interval = _interval([feed for _, feed in heads])
    with writer.series(kind, symbol, places[0]) as series:
        rows = RowWriter(series, names_of(kind), interval, places)
        for part, (_, feed) in enumerate(heads):
            columns = ", ".join(feed.columns)
            with _reading(feed), read(feed, con, scratch) as held:
                query = f"SELECT ts, fold, {part} AS part, {columns} FROM ({held})"
                for batch in con.sql(query).to_arrow_reader(GROUP_ROWS):
                    rows.write(batch)
        return [_kept(rows, interval)]


def _sorted(
    writer: DatasetWriter,
    con: duckdb.DuckDBPyConnection,
    scratch: Path,
    kind: str,
    feeds: Sequence[Feed],
    only: str,
) -> list[Kept]:
    """Write the rows of all feeds, sorted by market and time; the sort spills to the disk."""
    interval = _interval(feeds)
    unions = []
    for part, feed in enumerate(feeds):
        columns = ", ".join(feed.columns)
        unions.append(f"SELECT symbol, ts, fold, {part} AS part, {columns} FROM ({feed.rows_sql(con, scratch, only)})")
    made = made_sql(feeds[0], " UNION ALL ".join(unions), interval or 1)
    columns = ", ".join(names_of(kind))
    query = f"SELECT symbol, ts, fold, part, {columns} FROM ({made}) ORDER BY symbol, ts, part"
    places = [feed.table.place for feed in feeds]
    kept: list[Kept] = []
    if feeds[0].sampled:
        con.execute("SET threads = 1")  # sums of doubles come out the same each time
    with _reading(feeds[0]):
        for symbol, batches in _by_symbol(con.sql(query).to_arrow_reader(GROUP_ROWS)):
            with writer.series(kind, symbol, places[0]) as series:
                rows = RowWriter(series, names_of(kind), interval if kind != "funding" else None, places)
                try:
                    for batch in batches:
                        rows.write(batch)
                except Unsorted:
                    raise UserError(
                        "times in a repeated hour of the clock cannot be told apart", places[0], "write them in UTC"
                    ) from None
                kept.append(_kept(rows, interval))
    return kept


def _by_symbol(reader: Any) -> Iterator[tuple[str, Iterator[Any]]]:
    """Batches cut where the market changes, as one iterator of batches per market."""
    batches = (batch for batch in reader if batch.num_rows)
    held: list[Any] = []

    def take() -> Any:
        return held.pop() if held else next(batches, None)

    def of(symbol: str) -> Iterator[Any]:
        while (batch := take()) is not None:
            here = pc.equal(batch.column("symbol"), symbol)
            count = pc.sum(pc.cast(here, pa.int64())).as_py() or 0
            if count:
                yield batch.slice(0, count)
            if count < batch.num_rows:
                held.append(batch.slice(count))
                return

    while (batch := take()) is not None:
        held.append(batch)
        symbol = batch.column("symbol")[0].as_py()
        if symbol is None:
            raise UserError("rows without a symbol", "", "fill it in")
        yield symbol, of(symbol)


def _interval(feeds: Sequence[Feed]) -> int | None:
    """The interval of a series; UserError where its files differ."""
    known = {feed.interval_ms for feed in feeds}
    if len(known) > 1:
        first = next(feed for feed in feeds if feed.interval_ms != feeds[0].interval_ms)
        thing = f"{first.kind} of {text(first.interval_ms or 1)}, but of {text(feeds[0].interval_ms or 1)} in {feeds[0].table.place}"  # noqa: E501
        raise UserError(thing, first.table.place, "import the files of one interval")
    return known.pop()


@contextmanager
def _reading(feed: Feed) -> Iterator[None]:
    """Whatever DuckDB cannot read is a UserError that names the file and what is wrong."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException) as error:
        raise _read_error(error, feed) from None
    except OSError as error:
        if error.errno is not None:  # of the disk that is written to
            raise
        raise _read_error(error, feed) from None


def _read_error(error: Exception, feed: Feed) -> UserError:
    lines = [line for line in str(error).strip().splitlines() if line.strip()] or [type(error).__name__]
    if "No space left" in str(error) or isinstance(error, duckdb.OutOfMemoryException):
        return UserError(f"cannot be imported ({lines[0]})", feed.table.place, "free disk space, or name another --out")
    if "no such time" in str(error):
        return time_error(duckdb.Error(str(error)), feed.table.place, feed)
    where = feed.table.place
    at = next((line.rpartition("on Line: ")[2] for line in lines if "on Line: " in line), "")
    if at.strip().isdigit():
        where = f"{where} line {at.strip()}"
        held = next((line for line in lines if line.startswith("Original Line:")), "").partition(": ")[2]
        why = next((line for line in lines if line.startswith(("Error when", "Expected", "Value with"))), lines[0])
        return UserError(f"{why} ({held[:80]})" if held else why, where, "correct that line, or take it out")
    return UserError(f"cannot be read ({lines[0]})", where, "correct it, or name its columns with --map")


def _kept(rows: RowWriter, interval_ms: int | None) -> Kept:
    series = rows.series
    first, last = series.first_ms or 0, series.last_ms or 0
    return Kept(series.symbol, series.kind, series.rows, first, last, interval_ms, rows.left, rows.folded)
