"""What the margin calculator is asked about: a venue, an amount of collateral and the positions.

A `Book` is checked whole before anything is computed: every key is known, every number is finite and in its range,
every symbol that is named has a mark. The first mistake is told as one line with the file, the key and what to do.
The format is described key by key in docs/reference/margin-calculator.md.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from backtest.calculator.positions_file import PositionsFile, in_memory, read_file
from backtest.core.enums import MICRO
from backtest.core.errors import UserError, nearest

MODES = ("cross", "isolated", "portfolio")
MOST_QUOTE, MOST_BASE = 1e9, 1e12
"""Largest notional at the mark, collateral, and quantity: with a ladder on top they stay below what the engine
counts exactly (`engine.money`)."""
M = TypeVar("M", bound="Table")

OFF = "give an amount in quote units, or leave it out"
FRACTION = "give a fraction of the notional, as 0.05, or leave it out for the venue's"
MARKET = "name its market, as BTC-USD"
MARK = "give the mark price in quote"
UNITS = "give base units, negative for a short"


def wrong(thing: str, remedy: str, *at: str | int) -> PydanticCustomError:
    """Return what is wrong, what to do, and where below the table that is being checked."""
    return PydanticCustomError("wrong", "{thing}", {"thing": thing, "remedy": remedy, "at": at})


def _given(value: object) -> object:
    """Return a table without its nulls: JSON's null is as good as absent."""
    return {key: one for key, one in value.items() if one is not None} if isinstance(value, Mapping) else value


def listed(value: object) -> object:
    """Return a tuple as a list."""
    return list(value) if isinstance(value, tuple) else value


def _number(value: object) -> object:
    """Return a whole number as a double; JSON and TOML have whole numbers of any length."""
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < sys.float_info.max else math.inf
    return value


def _day(value: object) -> object:
    remedy = "write it as 2026-01-31, or leave it out for the latest terms"
    if isinstance(value, dt.datetime) or not isinstance(value, dt.date | str):
        raise wrong(f"is {_kind(value)}, not a date", remedy)
    try:
        return value if isinstance(value, dt.date) else dt.date.fromisoformat(value)
    except ValueError:
        raise wrong(f"{value!r} is not a date", remedy) from None


Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Positive = Annotated[Number, Field(gt=0)]
Amount = Annotated[Number, Field(ge=0)]
Rate = Annotated[Number, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"\S")]


class Table(BaseModel):
    """A table of the input: no unknown keys, no silent conversion. A field's description says what to give."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    @classmethod
    def tables(cls) -> dict[str, type[Table]]:
        """Return the class of each table of the input, by the key at which it stands; empty: the input itself."""
        return {"": cls}

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: object) -> object:
        return _given(value)


def check_size(qty: float, mark: float) -> None:
    """Raise for a quantity that is 0, is not counted, or is too large at its mark price."""
    if not qty:
        raise wrong("is 0", f"leave the position out, or {UNITS}", "qty")
    if abs(qty) * MICRO < 0.5:
        raise wrong(f"{qty:g} is below a millionth, the smallest that is counted", "give a larger one", "qty")
    if abs(qty) > MOST_BASE or abs(qty) * mark > MOST_QUOTE:
        raise wrong(f"{qty:g} at {mark:g} is beyond 1 billion in quote", "give a smaller one", "qty")


class Terms(Table):
    """What any position says of its size and of its margin; None: as the venue has it."""

    symbol: Name = Field(description=MARKET)
    qty: Number = Field(description=UNITS)
    leverage: Positive | None = Field(None, description="give notional over margin, as 10")
    mode: Literal["cross", "isolated"] | None = Field(None, description="say one of cross, isolated")
    posted: Positive | None = Field(None, description=OFF)
    """What its isolated pool holds, quote."""
    initial: Rate | None = Field(None, description=FRACTION)
    maintenance: Rate | None = Field(None, description=FRACTION)
    deduction: Amount | None = Field(None, description=OFF)
    initial_deduction: Amount | None = Field(None, description=OFF)
    """Quote, taken off the requirement."""
    penalty: Rate | None = Field(None, description=FRACTION)
    beta: Number | None = Field(None, description="give how many times the market's move it makes, as 1.2")
    idio: Rate | None = Field(None, description=FRACTION)


class Position(Terms):
    """One position; prices in quote, ``qty`` in base units, signed, long positive."""

    mark: Positive = Field(description=MARK)
    entry: Positive = Field(description="give the average entry price in quote, or leave it out")

    @model_validator(mode="before")
    @classmethod
    def _entry_is_the_mark(cls, value: object) -> object:
        known = _given(value)
        return {"entry": known["mark"], **known} if isinstance(known, dict) and "mark" in known else known

    @model_validator(mode="after")
    def _countable(self) -> Self:
        check_size(self.qty, self.mark)
        if abs(self.qty) * self.entry > MOST_QUOTE:
            thing = f"{self.qty:g} at {self.entry:g} is beyond 1 billion in quote"
            raise wrong(thing, "give the average entry price in quote", "entry")
        return self


class Order(Table):
    """An order that waits at the venue and reserves initial margin."""

    symbol: Name = Field(description=MARKET)
    qty: Number = Field(description=UNITS)
    mark: Positive = Field(description=MARK)
    """The position's; an order in a market without a position brings its own."""

    @model_validator(mode="after")
    def _countable(self) -> Self:
        check_size(self.qty, self.mark)
        return self


class Close(Table):
    """A close to be judged: ``qty`` base units of the position, without sign; ``price`` None: the venue's own."""

    symbol: Name = Field(description="name the position")
    qty: Positive = Field(description="give base units, without sign")
    price: Positive | None = Field(None, description="give the fill's price in quote, or leave it out")


class Book(Table):
    """All that the calculator is told."""

    venue: Name = Field(description="name one of `backtest venues list`, or a FILE.toml")
    date: Annotated[dt.date, BeforeValidator(_day)] | None = None
    """Whose terms hold; None: the venue's latest."""
    margin: Literal["cross", "isolated", "portfolio"] = Field(description=f"say one of {', '.join(MODES)}")
    collateral: Annotated[Amount, Field(le=MOST_QUOTE)] = Field(description="give the wallet's cash in quote units")
    """The wallet: cash before unrealised profit, what isolated positions have posted included. Quote."""
    positions: Annotated[list[Position], BeforeValidator(listed)] = Field(
        description="give at least one, with symbol, qty and mark"
    )
    open_orders: Annotated[list[Order], BeforeValidator(listed)] = []
    close: Close | None = None
    _place: str = PrivateAttr("book")

    @classmethod
    def tables(cls) -> dict[str, type[Table]]:
        """Return the class of each table of the input."""
        return {"": cls, "positions": Position, "open_orders": Order, "close": Close}

    @property
    def place(self) -> str:
        """The file, for messages."""
        return self._place

    def mode(self, position: Position) -> str:
        """The position's own margin mode, else the book's."""
        return position.mode or self.margin

    @model_validator(mode="before")
    @classmethod
    def _orders_at_the_mark(cls, value: object) -> object:
        """Give each order the mark price of its position."""
        known = _given(value)
        if not isinstance(known, dict):
            return known
        if not known.get("positions", ()) and known.get("positions") != {}:
            raise wrong("there is no position", "give at least one, with symbol, qty and mark", "positions")
        rows = [row for row in _rows(known, "positions") if isinstance(row.get("symbol"), str)]
        marks = {str(row["symbol"]): row.get("mark") for row in rows}
        orders = known.get("open_orders")
        if isinstance(orders, list | tuple):
            known["open_orders"] = [_order(row, n, marks) for n, row in enumerate(orders)]
        return known

    @model_validator(mode="after")
    def _together(self) -> Self:
        held: dict[str, Position] = {}
        for n, position in enumerate(self.positions):
            if position.symbol in held:
                thing = f"{position.symbol} has a position above"
                raise wrong(thing, "add them up into one", "positions", n, "symbol")
            held[position.symbol] = position
            if position.mode == "cross" and self.margin == "portfolio":
                thing = "a portfolio account has no cross positions"
                raise wrong(thing, "leave it out, or say isolated", "positions", n, "mode")
            if position.posted is not None and self.mode(position) != "isolated":
                thing = f"applies to isolated positions, and this one is in {self.margin}"
                raise wrong(thing, 'add mode = "isolated"', "positions", n, "posted")
        for n, order in enumerate(self.open_orders):
            if order.symbol in held and order.mark != held[order.symbol].mark:
                thing = f"{order.mark:g} is not the position's {held[order.symbol].mark:g}"
                raise wrong(thing, "leave it out", "open_orders", n, "mark")
        if self.close is not None:
            _check_close(self.close, held)
        return self


def _rows(table: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    rows = table.get(key)
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list | tuple) else []


def _order(row: object, n: int, marks: Mapping[str, object]) -> object:
    """Return an order with the mark price of its position, where it has none."""
    order = _given(row)
    if not isinstance(order, dict) or "mark" in order or not isinstance(order.get("symbol"), str):
        return order
    symbol = order["symbol"]
    if symbol.strip() and symbol not in marks:
        remedy = f"{nearest(symbol, marks)} (or give its mark)"
        raise wrong(f"{symbol} has no position and no mark", remedy, "open_orders", n, "symbol")
    return {**order, "mark": marks.get(symbol)}


def _check_close(close: Close, held: Mapping[str, Position]) -> None:
    if close.symbol not in held:
        raise wrong(f"unknown symbol {close.symbol!r}", nearest(close.symbol, held), "close", "symbol")
    most = abs(held[close.symbol].qty)
    if not 0.5 <= close.qty * MICRO <= most * MICRO + 0.5:
        remedy = f"give base units, without sign, at most {most:.15g}"
        raise wrong(f"{close.qty:.15g} cannot be closed", remedy, "close", "qty")


def read(
    source: Mapping[str, object] | Sequence[Mapping[str, object]] | Path | str,
    close: Mapping[str, object] | None = None,
    account: Mapping[str, object] | None = None,
    marks: Callable[[Sequence[str], str], Mapping[str, float]] | None = None,
) -> Book:
    """The book of a mapping, of a list of positions, of a CSV, JSON or TOML file, or of standard input (``-``);
    ``close`` and the keys of ``account`` replace the file's own.

    ``marks`` gives the mark prices of positions that name none, for the markets and the file's name.
    Raises `UserError`: unreadable, none of the formats, an unknown or missing key, a value out of range, a symbol that
    has no position.
    """
    found = read_file(source) if isinstance(source, str | Path) else in_memory(source, "book")
    table = {**found.table, **(account or {})}
    if close is not None:
        table["close"] = dict(close)
    rows = table.get("positions")
    if marks is not None and isinstance(rows, list | tuple):
        named = [row for row in rows if isinstance(row, Mapping) and isinstance(row.get("symbol"), str)]
        known = marks([str(row["symbol"]) for row in named if row.get("mark") is None], found.name)
        table["positions"] = [
            {**row, "mark": known[row["symbol"]]} if row in named and row["symbol"] in known else row for row in rows
        ]
    book = checked(Book, found, table)
    book._place = found.name
    return book


def _kind(value: object) -> str:
    """What a value is, in a user's words."""
    if value in ("", [], {}):
        return "empty"
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a table"}
    return next((name for kind, name in names.items() if type(value) is kind), "something else")


KEYS = {
    "": tuple(Book.model_fields),
    "positions": tuple(Position.model_fields),
    "open_orders": tuple(Order.model_fields),
    "close": tuple(Close.model_fields),
}
"""What each table of the input may say, by the key at which it stands."""


def checked(kind: type[M], found: PositionsFile, table: Mapping[str, Any]) -> M:
    """Return the table as ``kind``; UserError for its first mistake."""
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        # A misspelt key goes before what it leaves missing.
        first = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
        raise _complaint(first, kind, found, table) from None


def _complaint(found: ErrorDetails, kind: type[Table], file: PositionsFile, asked: Mapping[str, Any]) -> UserError:
    """The first mistake as one line: the file and line, the key, its symbol, the reason and what to do."""
    context = found.get("ctx") or {}
    at = (*(part for part in found["loc"] if part not in SPLIT), *context.get("at", ()))
    key = str(at[-1]) if at else ""
    fields = kind.tables()[str(at[0]) if len(at) > 1 else ""].model_fields
    told = (fields[key].description or "") if key in fields else ""
    thing, remedy = _reason(found, context, tuple(fields))
    named = ".".join(str(part + 1 if isinstance(part, int) else part) for part in at)
    row: object = asked
    for part in at if at and isinstance(at[-1], int) else at[:-1]:
        if isinstance(row, list | tuple) and isinstance(part, int):
            row = row[part]
        else:
            row = row.get(part) if isinstance(row, Mapping) else None
    symbol = row.get("symbol") if isinstance(row, Mapping) else None
    whose = f" ({symbol})" if isinstance(symbol, str) and symbol and key != "symbol" else ""
    return UserError(f"{named}{whose}: {thing}" if named else thing, file.place(at), remedy or told)


SPLIT = {"function-before[_day(), date]"}
"""What pydantic puts into a place that the file does not have."""


def _reason(found: ErrorDetails, context: Mapping[str, Any], known: tuple[str, ...]) -> tuple[str, str]:
    """What is wrong, and what to do where it is not the field's own."""
    value, kind = found["input"], found["type"]
    if kind == "wrong":
        return context["thing"], context["remedy"]
    if kind == "missing":
        return "is missing", ""
    if kind == "extra_forbidden":
        return "unknown key", nearest(str(found["loc"][-1]), known)
    if kind == "literal_error" and isinstance(value, str) and value.strip():
        modes = re.findall(r"'(\w+)'", str(context["expected"]))
        return f"unknown mode {value!r}", nearest(value, modes)
    if kind in ("greater_than", "greater_than_equal", "less_than_equal"):
        word = {"greater_than": "not above", "greater_than_equal": "below", "less_than_equal": "above"}[kind]
        bound = next(context[name] for name in ("gt", "ge", "le") if name in context)
        return f"{value:g} is {word} {bound:g}", ""
    if kind == "finite_number":
        return f"{value if isinstance(value, float) else 'it'} is not a finite number", ""
    return f"is {_kind(value)}, not {_WANTED.get(kind, 'a name')}", _HOW.get(kind, "")


_WANTED = {"float_type": "a number", "list_type": "a list", "model_type": "a table"}
_HOW = {"list_type": "write a list of tables, one for each", "model_type": "write keys and values"}
