"""A venue's margin tables by market and date, in a CSV file (`.csv`, or `.csv.gz`) beside its TOML file.

One row per table, the columns named in the first row:

| column | meaning |
|---|---|
| `market` | first: in the source's spelling; what a symbol is matched with, see `MarketTables.find` |
| `from` | the day from which the table is used: of its first sight, where that of the change is not known |
| `chain` | the chain on which the market is, where the venue is on several |
| `tiers upto max_leverage maintenance` | tiers, a semicolon between them: values of the keys in the header; `-`: none |
| `initial`, `maintenance`, `skew_scale`, … | parameters of a rule without tiers, named as in the TOML file |
| `until`, `source`, `commit`, `status`, `assumed`, `note`, `rule` | as in the TOML file; empty: what `[terms]` says |
| `most_leverage` | a bound on leverage; alone it is laid over the market's table before, or over the default |

CSV and not Parquet: decimals stay decimals, and a command that asks for one market loads no library for it.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import hashlib
from collections.abc import Container, Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from backtest.core.errors import UserError, nearest
from backtest.venues.field_types import instant_ms
from backtest.venues.margin_rules import Margin, Rule, Table
from backtest.venues.symbols import DOLLARS, Name, read

RUNG = ("upto", "initial", "max_leverage", "maintenance")
DEFAULTS = ("rule", "source", "status", "assumed", "note")
"""Keys of `[terms]` that hold for every table that says nothing else."""
PLACE = ("market", "chain")
DATES = ("from", "until")
TEXTS = ("commit", "status", "note", "rule")
LISTS = ("source", "assumed")
NUMBERS = (
    *(
        "most_leverage",
        "initial",
        "maintenance",
        "penalty",
        "limit",
        "limit_size",
        "maintenance_share",
        "open_interest",
    ),
    *(
        "open_interest_lower",
        "open_interest_upper",
        "step",
        "baseline",
        "increment",
        "ratio",
        "skew_scale",
        "flat",
        "root",
        "share",
    ),
    "multiplier",
)
IN_BASE = ("limit_size", "skew_scale", "baseline", "increment")
"""Parameters in units of the base asset: other numbers for a market that trades it by the thousand."""
_EXACT = 2
"""Ranks of a market's quote up to this one are what the name asked for."""
Row = dict[str, Any]
_MARGIN: TypeAdapter[list[Rule]] = TypeAdapter(Margin)


@dataclass(frozen=True)
class Listed:
    """A market's tables, and how they were found."""

    market: str
    exact: bool
    """Whether it is in the quote that was asked for, or none was."""
    tables: list[Row]
    """As a TOML file would give them, by date; the first ones may be bounds on leverage alone, without a rule."""


@dataclass(frozen=True)
class MarketTables:
    """The tables of one file. Nothing is read before a market is asked for."""

    path: Path
    defaults: Row
    """What holds for every table that says nothing else: rule, source, status, note."""
    quote: str
    """The venue's."""
    chain: str | None = None
    """Markets on it go first."""

    @classmethod
    def of(cls, terms: Row, folder: Path, quote: str, chain: str | None) -> Self:
        """Return the file that a venue's ``[terms]`` names, relative to ``folder``."""
        defaults = {"rule": "tiers"} | {key: terms[key] for key in DEFAULTS if terms.get(key)}
        if isinstance(defaults.get("source"), str):
            defaults["source"] = [defaults["source"]]
        return cls(folder / terms["file"], defaults, quote, chain)

    def find(self, symbol: str) -> Listed | None:
        """Return the tables of the market that ``symbol`` means; None if the file has none.

        A market of exactly that name is it. Else it is one of the same base asset: with the same multiplier before
        another one, then in the quote asked for, then in the venue's (where the name says USD or nothing, any dollar
        will do), then in any dollar; on the venue's chain before others, then by the order of the file. A future that
        expires has no table, but by its exact name.
        """
        markets = self._read.markets
        if symbol in markets:
            return Listed(symbol, True, self._tables(symbol, 1))
        asked = read(symbol)
        known = [] if asked.dated else self._read.by_base.get(asked.base, [])
        ranked = [(rank, one.market) for n, one in enumerate(known) if (rank := self._rank(asked, one, n)) is not None]
        if not ranked:
            return None
        rank, market = min(ranked)
        return Listed(market, rank[1] <= _EXACT, self._tables(market, Decimal(asked.many) / markets[market].name.many))

    @cached_property
    def sha256(self) -> str:
        """Hash of the file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    @property
    def count(self) -> int:
        """How many markets the file has."""
        return len(self._read.markets)

    def markets(self) -> dict[str, list[Row]]:
        """Return the tables of every market."""
        return {market: self._tables(market, 1) for market in self._read.markets}

    @property
    def _read(self) -> _Read:
        try:
            return _read(self.path, self.path.stat().st_mtime_ns)
        except OSError as error:
            raise UserError(f"cannot be read: {error.strerror}", str(self.path), "correct file in [terms]") from error

    def _rank(self, asked: Name, one: _Market, place: int) -> tuple[int, int, int, int] | None:
        name = one.name
        anyone = asked.quote in (None, "USD")  # the name leaves open which dollar it is
        if name.quote == asked.quote:
            near = 0
        elif name.quote in (None, "USD") or (anyone and name.quote == self.quote):
            near = 1
        elif name.quote in DOLLARS:
            near = _EXACT if anyone else _EXACT + 1 + (name.quote != self.quote)
        else:
            return None
        return (asked.many != name.many, near, one.chain != self.chain, place)

    def _tables(self, market: str, times: Decimal | int) -> list[Row]:
        """The market's tables; ``times``: units of its base in one of the symbol's."""
        out: list[Row] = []
        for given in sorted(self._read.rows(market), key=lambda row: instant_ms(row["from"])):
            table = self._table(given, times)
            out.append(table if "rule" in table or not out else bounded(out[-1], table))
        return out

    def _table(self, given: Row, times: Decimal | int) -> Row:
        table = {**self.defaults, **given} | {key: given[key] / times for key in IN_BASE if key in given}
        if not any(key in given for key in ("tiers", *NUMBERS) if key != "most_leverage"):
            del table["rule"]
        return table


def bounded(table: Row, bound: Row) -> Row:
    """Return a table under a bound on leverage that came after it: its rates are assumed to have stayed."""
    kept = {key: value for key, value in table.items() if key not in ("until", "derived")}
    rates = [key for key in ("tiers", "initial", "maintenance") if key in table]
    return kept | bound | {"assumed": [*bound.get("assumed", ()), *rates]}


def checked_tables(rows: list[Row], place: str, sources: Container[str]) -> tuple[Table, ...]:
    """Return tables of a file as those of a TOML file are read. UserError naming ``place`` for one that is wrong."""
    try:
        tables = tuple(_MARGIN.validate_python(rows))
    except ValidationError as error:
        first: Any = error.errors(include_url=False)[0]
        key = ".".join(str(part + 1 if isinstance(part, int) else part) for part in first["loc"])
        raise UserError(f"table {key}: {first['msg']}", place, "correct the table") from error
    for known in (source for table in tables for source in table.source if source not in sources):
        raise UserError(f"unknown source {known!r}", place, "add it to [sources]")
    return tables


@dataclass(frozen=True)
class _Market:
    market: str
    name: Name
    chain: str | None


@dataclass(frozen=True)
class _Read:
    place: str
    header: list[str]
    lines: dict[str, list[str]]
    """Of each market, as they are in the file: only what is asked for is looked at."""
    markets: dict[str, _Market]
    by_base: dict[str, list[_Market]]

    def rows(self, market: str) -> Iterable[Row]:
        for cells in csv.reader(self.lines[market]):
            try:
                given = zip(self.header, cells, strict=True)
                yield dict(_cell(key, text) for key, text in given if text and key not in ("market", "chain"))
            except ValueError as error:
                raise UserError(f"{market}: {error}", self.place, "correct the row") from error


@cache
def _read(path: Path, _changed_ns: int) -> _Read:
    """The file; read again only when it has changed."""
    place = str(path)
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    except (gzip.BadGzipFile, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"not readable as CSV: {error}", place, "correct file in [terms]") from error
    first, *rest = text.splitlines() or [""]
    header = first.split(",")
    _check(header, place)
    chain = header.index("chain") if "chain" in header else None
    lines: dict[str, list[str]] = {}
    for line in rest:
        lines.setdefault(line.partition(",")[0], []).append(line)
    markets = {
        market: _Market(market, read(market), None if chain is None else own[0].split(",")[chain] or None)
        for market, own in lines.items()
    }
    by_base: dict[str, list[_Market]] = {}
    for one in markets.values():
        if not one.name.dated:
            by_base.setdefault(one.name.base, []).append(one)
    return _Read(place, header, lines, markets, by_base)


def _check(header: list[str], place: str) -> None:
    known = (*PLACE, *DATES, *TEXTS, *LISTS, *NUMBERS, "tiers")
    for column in header:
        name, *keys = column.split(" ")
        for key, among in ((name, known), *((key, RUNG) for key in keys)):
            if key not in among:
                raise UserError(f"unknown column {column!r}", place, nearest(key, among))
    if header[0] != "market" or "from" not in header:
        raise UserError("no columns market and from", place, "name them in the first row, market first")


def _cell(column: str, text: str) -> tuple[str, Any]:
    """The key of a table and its value, as a TOML file would have them."""
    if column in DATES:
        return column, dt.date.fromisoformat(text) if len(text) == len("2026-01-01") else _instant(text)
    if column in LISTS:
        return column, text.split(" ")
    if column in NUMBERS:
        return column, _number(text)
    if column in TEXTS:
        return column, text
    keys = column.split(" ")[1:]
    rungs = [dict(zip(keys, rung.split(" "), strict=True)) for rung in text.split(";")]
    return "tiers", [{key: _number(value) for key, value in rung.items() if value != "-"} for rung in rungs]


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is not a number") from error


def _instant(text: str) -> dt.datetime:
    read_as = dt.datetime.fromisoformat(text)
    return read_as if read_as.tzinfo else read_as.replace(tzinfo=dt.UTC)
