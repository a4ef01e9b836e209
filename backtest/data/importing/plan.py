"""What an import will do, decided from the names and first rows of its tables; nothing is written yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import duckdb
import pyarrow as pa

from backtest.core.durations import text as interval_text
from backtest.core.errors import SettingError, UserError, nearest
from backtest.data.importing import layouts
from backtest.data.importing.column_roles import CLOSING, OHLC, lacking, plain, roles_of
from backtest.data.importing.feeds import SETTLED_HOURLY, SETTLED_NEXT, Feed
from backtest.data.importing.file_names import clean, interval_in, market_in, series_in
from backtest.data.importing.nautilus_bars import decoded
from backtest.data.importing.options import LAYOUTS, Column, Options
from backtest.data.importing.tables import Table
from backtest.data.importing.time_columns import time_column
from backtest.data.row_interval import commonest

_SAMPLES_MS = 60_000
"""Candles made of samples or trades, where no interval is named."""
_EVEN = 5
"""Steps of one length that tell an interval better than a name does."""
_BYBIT_CLOCK = ("%Y.%m.%d %H:%M", -3 * 3_600_000)


@dataclass(frozen=True)
class Plan:
    """The feeds of an import, and what holds for all of them."""

    feeds: tuple[Feed, ...]
    interval_ms: int
    """Of the candles."""
    skipped: tuple[tuple[str, str], ...]
    """Tables that are left out, and why."""
    options: Options


class Skip(Exception):
    """A table that is known and is no part of a dataset."""


def plan_of(tables: Sequence[Table], options: Options, place: str) -> Plan:
    """Return what the tables give to a dataset. UserError where that cannot be told, or where they have no candles."""
    _check_mapping(tables, options)
    feeds: list[Feed] = []
    skipped: list[tuple[str, str]] = []
    errors: list[UserError] = []
    for table in tables:
        try:
            feeds += feeds_of(table, options)
        except Skip as reason:
            skipped.append((table.place, str(reason)))
        except UserError as error:
            errors.append(error)
            skipped.append((table.place, error.thing))
    if errors and (not feeds or _of_files(errors, tables)):
        raise errors[0]
    if not any(feed.kind == "candles" for feed in feeds):
        held = ", ".join(sorted({feed.kind for feed in feeds})) or "nothing that is known"
        remedy = "import a folder that holds the candles too"
        if any(feed.layout in ("hyperliquid", "tardis") for feed in feeds):
            price = "mid_px" if any(feed.layout == "hyperliquid" for feed in feeds) else "last_price"
            remedy += f", or make candles of a price with --map price={price},size=0"
        raise UserError(f"no candles: it holds {held}", place, remedy)
    timed = [_with_interval(feed, options) for feed in feeds]
    interval_ms = _one_interval([feed for feed in timed if feed.kind == "candles"], options)
    samples = options.interval or interval_ms
    timed = [replace(feed, interval_ms=samples) if feed.sampled else feed for feed in timed]
    return Plan(tuple(timed), interval_ms, tuple(skipped), options)


def _of_files(errors: Sequence[UserError], tables: Sequence[Table]) -> bool:
    """Whether a mistake is in a file, which must not be left out unseen; a database may hold tables of other things."""
    databases = {table.place for table in tables if table.kind in ("sqlite", "duckdb")}
    return any(error.place not in databases for error in errors)


def _check_mapping(tables: Sequence[Table], options: Options) -> None:
    for role, column in options.columns.items():
        if column.name != "0" and not any(column.name in table.types for table in tables):
            known = sorted({name for table in tables for name in table.types})
            raise SettingError(f"no column {column.name!r} for {role}", "--map", nearest(column.name, known))


def feeds_of(table: Table, options: Options) -> list[Feed]:
    """What one table gives. Raises UserError for unknown columns, unclear times and an unknown market."""
    layout = layouts.recognise(table)
    if options.format in LAYOUTS and layout != options.format:
        held = ", ".join(list(table.types)[:12])
        raise UserError(f"not laid out as {options.format}: its columns are {held}", table.place, "leave --format out")
    if layout == "nautilus" and table.path is not None:
        table = decoded(table, table.path)
    named = {r: c for r, c in options.columns.items() if c.name in table.types or c.name == "0"}
    special = {"hyperliquid": _hyperliquid, "tardis": _tardis}.get(layout)
    return special(table, options, named) if special else [_plain(table, layout, options, named)]


def _hyperliquid(table: Table, options: Options, named: Mapping[str, Column]) -> list[Feed]:
    time = time_column(table, "time", options)

    def feed(kind: str, columns: Mapping[str, str], settled: str = "") -> Feed:
        return Feed(table, "hyperliquid", kind, "", "coin", time, columns, settled=settled)

    found = [feed("mark", {"price": "mark_px"}), feed("mark_oracle", {"price": "oracle_px"})]
    return [*found, feed("funding", {"rate": "funding"}, SETTLED_HOURLY), *_priced(named, feed, table)]


def _tardis(table: Table, options: Options, named: Mapping[str, Column]) -> list[Feed]:
    seen = time_column(table, "timestamp", options, "us")

    def feed(kind: str, columns: Mapping[str, str]) -> Feed:
        return Feed(table, "tardis", kind, "", "symbol", seen, columns)

    found = [feed("mark", {"price": "mark_price"}), feed("mark_index", {"price": "index_price"})]
    if any(row["funding_timestamp"] not in (None, "") for row in table.rows):
        due = time_column(table, "funding_timestamp", options, "us")
        columns = {"rate": "funding_rate", "seen": "timestamp"}
        found.append(Feed(table, "tardis", "funding", "", "symbol", due, columns, settled=SETTLED_NEXT))
    return [*found, *_priced(named, feed, table)]


def _priced(named: Mapping[str, Column], feed: Callable[[str, Mapping[str, str]], Feed], table: Table) -> list[Feed]:
    """Candles of a price that the user names, with the size that the user names."""
    if "price" not in named:
        return []
    wrong = lacking(table, ("price", "size"), {role: column.name for role, column in named.items()})
    if wrong:
        raise wrong
    return [feed("candles", {"price": named["price"].name, "size": named["size"].name})]


def _plain(table: Table, layout: str, options: Options, named: Mapping[str, Column]) -> Feed:
    series = layouts.series_of(table, layout) or series_in(table.name, table.folders)
    if series == "premium":
        raise Skip("premium index candles are no part of a dataset")
    roles = roles_of(table, named)
    if layout == "binance" and not table.headed:
        roles = {**dict(zip(("ts", *OHLC, "volume"), table.types, strict=False)), **roles}
    columns = _columns(table, layout, series, roles)
    kind = "funding" if "rate" in columns else series if series != "funding" else "candles"
    written, shift = (named["ts"].written if "ts" in named else ""), 0
    if layout == "bybit" and not table.headed:
        written, shift = _BYBIT_CLOCK
        options = options.model_copy(update={"tz": "UTC", "tz_given": True})
    time = time_column(table, roles["ts"], options, written, shift)
    closing = options.stamp == "close" if options.stamp else _closing(roles["ts"], layout)
    column = roles.get("symbol", "")
    symbol = (
        ""
        if column
        else clean(options.symbol) or layouts.market_of(table, layout) or market_in(table.name, table.folders)
    )
    if not symbol and not column:
        remedy = "name the market with --symbol, or the column that tells it with --map symbol=COLUMN"
        raise UserError("neither a column nor the name of the file tells the symbol", table.place, remedy)
    closing = closing and kind != "funding" and "price" not in columns
    return Feed(table, layout, kind, symbol, column, time, columns, closing)


def _columns(table: Table, layout: str, series: str, roles: Mapping[str, str]) -> dict[str, str]:
    """The columns that are read, by role. UserError for those that are missing."""
    if layout == "freqtrade" and series == "funding":
        return {"rate": roles.get("rate") or roles.get("open") or list(table.types)[1]}
    has_prices = all(role in roles for role in OHLC)
    if series == "funding" or (not has_prices and "rate" in roles and "price" not in roles):
        wanted: tuple[str, ...] = ("rate",)
    elif not has_prices and "price" in roles:
        if "size" not in roles and "volume" in roles:  # a trade's `qty` or `amount`
            roles = {**roles, "size": roles["volume"]}
        wanted = ("price", "size") if series == "candles" else ("price",)
    else:
        wanted = (*OHLC, "volume") if series == "candles" else OHLC
    wrong = lacking(table, ("ts", *wanted), roles)
    if wrong:
        raise wrong
    return {role: roles[role] for role in wanted}


def _closing(column: str, layout: str) -> bool:
    """Whether times are the ends of candles: by the column's name, and in nautilus, whose bars are stamped so."""
    return plain(column) in CLOSING or layout == "nautilus"


def _with_interval(feed: Feed, options: Options) -> Feed:
    """The feed with the interval of its candles, told from its first rows, its name or `--interval`."""
    if feed.kind == "funding" or feed.sampled:
        return feed
    table = feed.table
    steps = _first_steps(feed)
    told = commonest(steps)
    named = layouts.interval_of(table, feed.layout) or interval_in(table.name, table.folders)
    asked = options.interval if feed.kind == "candles" else None
    if told and steps.count(told) >= _EVEN:
        if asked and asked != told:
            thing = f"the candles are {interval_text(told)}, not {interval_text(asked)}"
            raise UserError(thing, table.place, "leave --interval out, and choose one in a run with --interval")
        return replace(feed, interval_ms=told)
    interval = asked or named or told
    if interval is None:
        raise UserError("one candle does not tell its interval", table.place, "name it with --interval")
    return replace(feed, interval_ms=interval)


def first_times(feed: Feed) -> dict[str, list[int]]:
    """The first times of a feed per market, in ms, in the order of the table."""
    column, table = feed.time.column, feed.table
    kinds = {"BIGINT": pa.int64(), "DOUBLE": pa.float64(), "VARCHAR": pa.string()}
    kind = kinds.get(feed.time.type)
    values = [row[column] if row[column] != "" else None for row in table.rows]
    if kind is not None:
        convert = {"BIGINT": int, "DOUBLE": float, "VARCHAR": str}[feed.time.type]
        values = [None if value is None else convert(value) for value in values]
    symbols = [str(row[feed.symbol_column]) if feed.symbol_column else feed.symbol for row in table.rows]
    head = pa.table({column: pa.array(values, kind), "of symbol": symbols})
    with duckdb.connect() as con:
        con.execute("SET timezone = 'UTC'")
        con.register("head", head)
        found: dict[str, list[int]] = {}
        try:
            rows = con.execute(f'SELECT "of symbol", {feed.time.sql} FROM head').fetchall()
        except duckdb.Error as error:
            raise time_error(error, table.place, feed) from None
        for symbol, ms in rows:
            if ms is not None:
                found.setdefault(symbol, []).append(int(ms))
    return found


def time_error(error: duckdb.Error, place: str, feed: Feed) -> UserError:
    """The error for times that DuckDB could not read."""
    said = str(error).strip().splitlines()[0]
    if "no such time: " in said:
        when = said.rpartition("no such time: ")[2]
        remedy = "name the zone in which the times are with --tz, as in --tz UTC"
        return UserError(f"{when} does not exist there: the clock was put forward ({feed.time.said})", place, remedy)
    return UserError(
        f"a time cannot be read ({said})", place, "correct the row, or name the form with --map ts=COLUMN:FORM"
    )


def _first_steps(feed: Feed) -> list[int]:
    steps = []
    for times in first_times(feed).values():
        steps += [abs(b - a) for a, b in pairwise(times) if a != b]
    return steps


def _one_interval(feeds: Sequence[Feed], options: Options) -> int:
    """The one interval of all candles."""
    timed = [feed for feed in feeds if feed.interval_ms]
    if not timed:
        return options.interval or _SAMPLES_MS
    first = timed[0]
    other = next((feed for feed in timed if feed.interval_ms != first.interval_ms), None)
    if other is not None:
        both = f"{interval_text(other.interval_ms or 0)} candles, but {interval_text(first.interval_ms or 0)} in {first.table.place}"  # noqa: E501
        raise UserError(
            both, other.table.place, "import the files of one interval, and the others into another dataset with --out"
        )
    return first.interval_ms or 0
