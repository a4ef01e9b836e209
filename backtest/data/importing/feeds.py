"""What a table gives to a dataset: the rows of one or more series, with the columns that they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from backtest.core.errors import UserError
from backtest.core.times import HOUR_MS
from backtest.data.importing.column_roles import OHLC
from backtest.data.importing.tables import Table
from backtest.data.importing.time_columns import TimeColumn
from backtest.data.source import quoted

SETTLED_HOURLY = "hourly"
"""Rates in force: the last one before each full hour is paid then."""
SETTLED_NEXT = "next"
"""Rates with the time at which they will be paid: the last one seen before it counts."""
_LATEST_MS = 300_000
"""A rate that was last seen longer before its settlement is not taken for the one that was paid."""


@dataclass(frozen=True)
class Feed:
    """The rows that one table gives to one kind of series."""

    table: Table
    layout: str
    """Name of the layout that was recognised; empty: the columns were told from their names."""
    kind: str
    """``candles``, ``mark``, ``mark_NAME`` or ``funding``."""
    symbol: str
    """Of all rows; empty: `symbol_column` tells."""
    symbol_column: str
    time: TimeColumn
    columns: Mapping[str, str]
    """Column of each of open, high, low, close, volume; or of rate; or of samples, price and size. ``0`` is zero."""
    closing: bool = False
    """Times are the ends of candles."""
    interval_ms: int | None = None
    """Of candles."""
    settled: str = ""
    """Of funding: how rates that were sampled become settlements; empty: a row is a settlement."""

    @property
    def sampled(self) -> bool:
        """Whether the rows are trades or samples of a price, of which candles are made."""
        return "price" in self.columns

    @property
    def by_symbol(self) -> bool:
        """Whether the table holds several markets, told apart by a column."""
        return not self.symbol

    @property
    def types(self) -> dict[str, str]:
        """SQL types of the columns that are needed."""
        types = {self.time.column: self.time.type}
        types |= {column: "DOUBLE" for column in self.columns.values() if column != "0"}
        if self.by_symbol:
            types[self.symbol_column] = "VARCHAR"
        return types

    def rows_sql(self, con: duckdb.DuckDBPyConnection, scratch: Path, only: str, scan: str = "") -> str:
        """SQL for `symbol`, `ts`, `fold` and the columns as doubles, in the order of the table.

        ``only``: the one symbol that is wanted of a table with several; empty: all. ``scan``: what to select from,
        if not from the table itself.
        """
        scan = scan or self.table.scan(con, scratch, self.types)
        symbol = self._symbol_sql()
        values = ", ".join(f"{_number(column)} AS {role}" for role, column in self.columns.items())
        where = f" WHERE {symbol} = {quoted(only)}" if only and self.by_symbol else ""
        if self.settled or self.sampled:  # samples say only what has changed, or leave out what is not known
            filled = " AND ".join(
                f"{_name(c)} IS NOT NULL" for c in (self.time.column, *self.columns.values()) if c != "0"
            )
            where += f"{' AND' if where else ' WHERE'} {filled}"
        ts = self.time.sql
        if self.closing:  # Binance ends candles in the last millisecond before the next one opens
            ts = f"{ts} + CASE WHEN ({ts}) % 1000 = 999 THEN 1 ELSE 0 END - {self.interval_ms}"
        return f"SELECT {symbol} AS symbol, {ts} AS ts, {self.time.fold or '0'} AS fold, {values} FROM {scan}{where}"

    def _symbol_sql(self) -> str:
        if self.symbol:
            return quoted(self.symbol)
        text = f"CAST({_name(self.symbol_column)} AS VARCHAR)"
        # BTC/USDT:USDT cannot be the name of a folder.
        return f"(CASE WHEN contains({text}, '/') THEN replace(split_part({text}, ':', 1), '/', '') ELSE {text} END)"

    def symbols(self, con: duckdb.DuckDBPyConnection, scratch: Path) -> list[str]:
        """The markets in it, sorted."""
        if self.symbol:
            return [self.symbol]
        scan = self.table.scan(con, scratch, {self.symbol_column: "VARCHAR"})
        found = con.execute(f"SELECT DISTINCT {self._symbol_sql()} FROM {scan} ORDER BY 1").fetchall()
        if any(row[0] is None for row in found):
            place = self.table.place
            raise UserError(f"rows without a symbol in column {self.symbol_column!r}", place, "fill it in")
        return [row[0] for row in found]


def made_sql(feed: Feed, rows: str, interval_ms: int) -> str:
    """SQL for the rows of a series: candles made of samples, settlements of rates, else the rows themselves."""
    if feed.settled:
        hour = f"ts // {HOUR_MS} * {HOUR_MS} + {HOUR_MS}"
        # Tardis has microseconds; what it names is when the rate will be paid.
        due, seen = ("ts", "seen // 1000") if feed.settled == SETTLED_NEXT else (hour, "ts")
        return (
            f"SELECT symbol, {due} AS ts, 0 AS fold, min(part) AS part, arg_max(rate, {seen}) AS rate FROM ({rows}) "
            f"WHERE {seen} < {due} GROUP BY 1, 2 HAVING max({seen}) >= max({due}) - {_LATEST_MS}"
        )
    if not feed.sampled:
        return rows
    volume = ", sum(size) AS volume" if feed.kind == "candles" else ""
    return (
        f"SELECT symbol, ts // {interval_ms} * {interval_ms} AS ts, 0 AS fold, min(part) AS part, "
        f"arg_min(price, ts) AS open, max(price) AS high, min(price) AS low, arg_max(price, ts) AS close{volume} "
        f"FROM ({rows}) GROUP BY 1, 2"
    )


def names_of(kind: str) -> tuple[str, ...]:
    """Columns of a series as it is written."""
    return ("rate",) if kind == "funding" else (*OHLC, "volume") if kind == "candles" else OHLC


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _number(column: str) -> str:
    return "CAST(0 AS DOUBLE)" if column == "0" else f"CAST({_name(column)} AS DOUBLE)"
