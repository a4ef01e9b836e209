"""What the margin calculator is asked about: a venue, an amount of collateral and the positions, from JSON or TOML.

A `Book` is checked whole before anything is computed: every key is known, every number is finite and in its range,
every symbol that is named has a mark. The first mistake is told as one line with the file, the key and what to do.
The format is described key by key in docs/reference/margin-calculator.md.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtest.core.enums import MICRO
from backtest.core.errors import Broken, UserError, nearest
from backtest.venues.toml_lines import line_of

MODES = ("cross", "isolated", "portfolio")
OWN_MODES = ("cross", "isolated")
MOST_QUOTE, MOST_BASE = 1e9, 1e12
"""Largest notional at the mark, collateral, and quantity: with a ladder on top they stay below what the engine
counts exactly (`engine.money`)."""
STANDARD_INPUT = "-"


@dataclass(frozen=True)
class Position:
    """One position; prices in quote, ``qty`` in base units, signed, long positive. None: as the venue has it."""

    symbol: str
    qty: float
    mark: float
    entry: float
    leverage: float | None = None
    mode: str | None = None
    posted: float | None = None
    """What its isolated pool holds, quote."""
    initial: float | None = None
    maintenance: float | None = None
    deduction: float | None = None
    initial_deduction: float | None = None
    """Quote, taken off the requirement."""
    penalty: float | None = None
    beta: float | None = None
    idio: float | None = None


@dataclass(frozen=True)
class Order:
    """An order that waits at the venue and reserves initial margin."""

    symbol: str
    qty: float
    mark: float
    """The position's; an order in a market without a position brings its own."""


@dataclass(frozen=True)
class Close:
    """A close to be judged: ``qty`` base units of the position, without sign; ``price`` None: the venue's own."""

    symbol: str
    qty: float
    price: float | None = None


@dataclass(frozen=True)
class Book:
    """All that the calculator is told."""

    venue: str
    date: dt.date | None
    """Whose terms hold; None: the venue's latest."""
    margin: str
    collateral: float
    """The wallet: cash before unrealised profit, what isolated positions have posted included. Quote."""
    positions: tuple[Position, ...]
    open_orders: tuple[Order, ...] = ()
    close: Close | None = None
    place: str = "book"
    """The file, for messages."""

    def mode(self, position: Position) -> str:
        """The position's own margin mode, else the book's."""
        return position.mode or self.margin


def read(source: Mapping[str, object] | Path | str, close: Mapping[str, object] | None = None) -> Book:
    """The book of a mapping, of a JSON or TOML file, or of standard input (``-``); ``close`` replaces the file's own.

    Raises `UserError`: unreadable, not JSON or TOML, an unknown or missing key, a value out of range, a symbol that
    has no position.
    """
    if isinstance(source, Mapping):
        return _book(_Table(source, "book", ""), close)
    name = "standard input" if str(source) == STANDARD_INPUT else str(source)
    text = _text(source, name)
    return _book(_Table(_parse(text, name), name, text), close)


def _text(source: Path | str, name: str) -> str:
    try:
        if str(source) == STANDARD_INPUT:
            return sys.stdin.buffer.read().decode("utf-8-sig")
        return Path(source).read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UserError("no such file", name, "pass a JSON or TOML file, or - for standard input") from error
    except UnicodeDecodeError as error:
        raise UserError("not text in UTF-8", name, "pass a JSON or TOML file") from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", name, "pass a JSON or TOML file") from error


def _parse(text: str, name: str) -> dict[str, Any]:
    """JSON if the text begins with a brace, which no TOML does; else TOML."""
    kind = "JSON" if text.lstrip().startswith("{") else "TOML"
    if not text.strip():
        raise UserError("is empty", name, "give venue, margin, collateral and positions, as JSON or TOML")
    try:
        value = json.loads(text, object_pairs_hook=_once) if kind == "JSON" else tomllib.loads(text)
    except ValueError as error:  # of both readers, and a key given twice
        said = " ".join(str(error).split())
        raise UserError(f"not readable as {kind}: {said}", name, "correct the file") from error
    except RecursionError as error:
        raise UserError(f"not readable as {kind}: nested too deep", name, "correct the file") from error
    if not isinstance(value, dict):
        raise Broken("a text that begins with a brace is an object, and TOML is a table")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON would let the last of two equal keys win."""
    keys = [key for key, _ in pairs]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise ValueError(f"the key {twice!r} is given twice")
    return dict(pairs)


KEYS = {
    "": ("venue", "date", "margin", "collateral", "open_orders", "positions", "close"),
    "positions": tuple(Position.__dataclass_fields__),
    "open_orders": tuple(Order.__dataclass_fields__),
    "close": tuple(Close.__dataclass_fields__),
}
"""What each table of the input may say, by the key at which it stands."""


class _Table:
    """One table of the input and its place in the file; an unknown key is refused before anything is read."""

    def __init__(self, value: object, file: str, toml: str = "", where: tuple[str | int, ...] = ()) -> None:
        self.file, self._toml, self._where = file, toml, where
        self._value: Mapping[str, Any] = {}
        if not isinstance(value, Mapping):
            raise self.wrong("", f"is {_kind(value)}, not a table", "write keys and values")
        self._value = value
        known = KEYS[str(where[0]) if where else ""]
        for key in value:
            if key not in known:
                raise self.wrong(str(key), "unknown key", nearest(str(key), known))

    def wrong(self, key: str, thing: str, remedy: str) -> UserError:
        """The one line about ``key`` of this table, with the line of the file where it is TOML."""
        where = (*self._where, key) if key else self._where
        named = ".".join(str(part + 1 if isinstance(part, int) else part) for part in where)
        symbol = self._value.get("symbol")
        whose = f" ({symbol})" if isinstance(symbol, str) and symbol and key != "symbol" else ""
        line = f":{line_of(self._toml, where)}" if self._toml else ""
        return UserError(f"{named}{whose}: {thing}" if named else thing, f"{self.file}{line}", remedy)

    def has(self, key: str) -> bool:
        """Whether the key is given; JSON's null is as good as absent."""
        return self._value.get(key) is not None

    def value(self, key: str, remedy: str) -> Any:
        """The value of a key that must be there."""
        if not self.has(key):
            raise self.wrong(key, "is missing", remedy)
        return self._value[key]

    def word(self, key: str, remedy: str) -> str:
        """A text that is not empty."""
        value = self.value(key, remedy)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(key, f"is {_kind(value)}, not a name", remedy)
        return value

    def mode(self, key: str, known: tuple[str, ...]) -> str:
        """One of the margin modes."""
        value = self.word(key, f"say one of {', '.join(known)}")
        if value not in known:
            raise self.wrong(key, f"unknown mode {value!r}", nearest(value, known))
        return value

    def number(
        self, key: str, remedy: str, above: float | None = None, low: float = -math.inf, high: float = math.inf
    ) -> float:
        """A finite number above ``above``, from ``low`` to ``high``."""
        value = self.value(key, remedy)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(key, f"is {_kind(value)}, not a number", remedy)
        # JSON and TOML have whole numbers of any length; a double has not.
        number = float(value) if abs(value) < sys.float_info.max else math.inf
        if not math.isfinite(number):
            raise self.wrong(key, f"{value if isinstance(value, float) else 'it'} is not a finite number", remedy)
        if above is not None and number <= above:
            raise self.wrong(key, f"{number:g} is not above {above:g}", remedy)
        if number < low or number > high:
            bound = f"below {low:g}" if number < low else f"above {high:g}"
            raise self.wrong(key, f"{number:g} is {bound}", remedy)
        return number

    def maybe(self, key: str, remedy: str, **bounds: float) -> float | None:
        """The same of a key that may be left out."""
        return self.number(key, remedy, **bounds) if self.has(key) else None

    def tables(self, key: str) -> list[_Table]:
        """A list of tables; none where the key is left out."""
        value = self._value[key] if self.has(key) else []
        if not isinstance(value, list | tuple):
            raise self.wrong(key, f"is {_kind(value)}, not a list", "write a list of tables, one for each")
        return [_Table(row, self.file, self._toml, (*self._where, key, n)) for n, row in enumerate(value)]

    def table(self, key: str) -> _Table | None:
        """The table at ``key``, if it is given."""
        return _Table(self._value[key], self.file, self._toml, (*self._where, key)) if self.has(key) else None


def _kind(value: object) -> str:
    """What a value is, in a user's words."""
    if value in ("", [], {}):
        return "empty"
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a table"}
    return next((name for kind, name in names.items() if type(value) is kind), "something else")


RATE = {"low": 0.0, "high": 1.0}
OFF = "give an amount in quote units, or leave it out"
FRACTION = "give a fraction of the notional, as 0.05, or leave it out for the venue's"


def _book(table: _Table, close: Mapping[str, object] | None) -> Book:
    rows = table.tables("positions")
    if not rows:
        raise table.wrong("positions", "there is no position", "give at least one, with symbol, qty and mark")
    margin = table.mode("margin", MODES)
    positions: dict[str, Position] = {}
    for row in rows:
        position = _position(row, margin)
        if position.symbol in positions:
            raise row.wrong("symbol", f"{position.symbol} has a position above", "add them up into one")
        positions[position.symbol] = position
    marks = {symbol: position.mark for symbol, position in positions.items()}
    judged = table.table("close") if close is None else _Table(close, "", where=("close",))
    return Book(
        venue=table.word("venue", "name one of `backtest venues list`, or a FILE.toml"),
        date=_date(table),
        margin=margin,
        collateral=table.number("collateral", "give the wallet's cash in quote units", low=0.0, high=MOST_QUOTE),
        positions=tuple(positions.values()),
        open_orders=tuple(_order(row, marks) for row in table.tables("open_orders")),
        close=_close(judged, positions) if judged else None,
        place=table.file,
    )


def _position(row: _Table, margin: str) -> Position:
    symbol = row.word("symbol", "name its market, as BTC-USD")
    mark = row.number("mark", "give the mark price in quote", above=0.0)
    mode = row.mode("mode", OWN_MODES) if row.has("mode") else None
    if mode == "cross" and margin == "portfolio":
        raise row.wrong("mode", "a portfolio account has no cross pool", "leave it out, or say isolated")
    entry = row.maybe("entry", "give the average entry price in quote, or leave it out", above=0.0)
    position = Position(
        symbol=symbol,
        qty=_quantity(row, mark),
        mark=mark,
        entry=mark if entry is None else entry,
        leverage=row.maybe("leverage", "give notional over margin, as 10", above=0.0),
        mode=mode,
        posted=row.maybe("posted", OFF, above=0.0),
        initial=row.maybe("initial", FRACTION, **RATE),
        maintenance=row.maybe("maintenance", FRACTION, **RATE),
        deduction=row.maybe("deduction", OFF, low=0.0),
        initial_deduction=row.maybe("initial_deduction", OFF, low=0.0),
        penalty=row.maybe("penalty", FRACTION, **RATE),
        beta=row.maybe("beta", "give how many times the market's move it makes, as 1.2"),
        idio=row.maybe("idio", FRACTION, **RATE),
    )
    if abs(position.qty) * position.entry > MOST_QUOTE:
        remedy = "give the average entry price in quote"
        raise row.wrong("entry", f"{position.qty:g} at {position.entry:g} is beyond 1 billion in quote", remedy)
    if position.posted is not None and (mode or margin) != "isolated":
        raise row.wrong("posted", f"is of isolated margin, and the position is in {margin}", 'add mode = "isolated"')
    return position


def _quantity(row: _Table, mark: float) -> float:
    qty = row.number("qty", "give base units, negative for a short")
    if not qty:
        raise row.wrong("qty", "is 0", "leave the position out, or give base units, negative for a short")
    if abs(qty) * MICRO < 0.5:
        raise row.wrong("qty", f"{qty:g} is below a millionth, the smallest that is counted", "give a larger one")
    if abs(qty) > MOST_BASE or abs(qty) * mark > MOST_QUOTE:
        raise row.wrong("qty", f"{qty:g} at {mark:g} is beyond 1 billion in quote", "give a smaller one")
    return qty


def _order(row: _Table, marks: Mapping[str, float]) -> Order:
    symbol = row.word("symbol", "name its market, as BTC-USD")
    own = row.maybe("mark", "give the mark price in quote", above=0.0)
    if symbol not in marks and own is None:
        raise row.wrong(
            "symbol", f"{symbol} has no position and no mark", f"{nearest(symbol, marks)} (or give its mark)"
        )
    if symbol in marks and own not in (None, marks[symbol]):
        raise row.wrong("mark", f"{own:g} is not the position's {marks[symbol]:g}", "leave it out")
    mark = marks.get(symbol) or own
    if mark is None:
        raise Broken("one of them was given")
    return Order(symbol, _quantity(row, mark), mark)


def _close(row: _Table, positions: Mapping[str, Position]) -> Close:
    symbol = row.word("symbol", "name the position")
    if symbol not in positions:
        raise row.wrong("symbol", f"unknown symbol {symbol!r}", nearest(symbol, positions))
    held = abs(positions[symbol].qty)
    how_much = f"give base units, without sign, at most {held:.15g}"
    qty = row.number("qty", how_much, above=0.0)
    if not 0.5 <= qty * MICRO <= held * MICRO + 0.5:
        raise row.wrong("qty", f"{qty:.15g} cannot be closed", how_much)
    return Close(symbol, qty, row.maybe("price", "give the fill's price in quote, or leave it out", above=0.0))


def _date(table: _Table) -> dt.date | None:
    if not table.has("date"):
        return None
    value = table.value("date", "")
    remedy = "write it as 2026-01-31, or leave it out for the latest terms"
    if isinstance(value, dt.datetime) or not isinstance(value, dt.date | str):
        raise table.wrong("date", f"is {_kind(value)}, not a date", remedy)
    try:
        return value if isinstance(value, dt.date) else dt.date.fromisoformat(value)
    except ValueError as error:
        raise table.wrong("date", f"{value!r} is not a date", remedy) from error
