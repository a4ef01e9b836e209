"""The positions that a run holds: what a positions file says of them, with its account where it names one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from backtest.calculator.book import (
    MOST_QUOTE,
    Amount,
    Book,
    Name,
    Positive,
    Table,
    Terms,
    check_size,
    checked,
    listed,
    wrong,
)
from backtest.calculator.positions_file import PositionsFile, in_memory, read_file
from backtest.core.held_book import HeldBook

Given = str | Path | Mapping[str, object] | Sequence[Mapping[str, object]]
"""A file, its table, or the list of its positions."""


class HeldPosition(Terms):
    """One position. None: as the venue, the run or the data have it."""

    entry: Positive | None = Field(None, description="give the average entry price in quote, or leave it out")
    mark: Positive | None = Field(None, description="give the mark price in quote, or leave it out")

    @model_validator(mode="after")
    def _countable(self) -> Self:
        check_size(self.qty, self.entry or self.mark or 0.0)
        if self.posted is not None and self.entry is None:
            raise wrong("is given without an entry", "give the entry price: what is bought posts its margin", "posted")
        return self


class HeldTable(Table):
    """The whole input."""

    venue: Name | None = Field(None, description="name one of `backtest venues list`, or a FILE.toml")
    date: dt.date | str | None = None
    margin: Literal["cross", "isolated", "portfolio"] | None = None
    collateral: Annotated[Amount, Field(le=MOST_QUOTE)] | None = Field(
        None, description="give the wallet's cash in quote units"
    )
    positions: Annotated[list[HeldPosition], BeforeValidator(listed)] = Field(
        description="give at least one, with symbol and qty"
    )
    close: dict[str, Any] | None = None

    @classmethod
    def tables(cls) -> dict[str, type[Table]]:
        """Return the class of each table of the input."""
        return {"": cls, "positions": HeldPosition, "close": cls}

    @model_validator(mode="before")
    @classmethod
    def _no_orders(cls, value: object) -> object:
        if isinstance(value, Mapping) and value.get("open_orders"):
            raise wrong("a run places no open orders", "leave them out, or send them from a strategy", "open_orders")
        if isinstance(value, Mapping):
            return {key: one for key, one in value.items() if key != "open_orders"}
        return value

    @model_validator(mode="after")
    def _together(self) -> Self:
        if not self.positions:
            raise wrong("there is no position", "give at least one, with symbol and qty", "positions")
        seen: set[str] = set()
        for n, position in enumerate(self.positions):
            if position.symbol in seen:
                thing = f"{position.symbol} has a position above"
                raise wrong(thing, "add them up into one", "positions", n, "symbol")
            seen.add(position.symbol)
            if position.mode == "cross" and self.margin == "portfolio":
                thing = "a portfolio account has no cross positions"
                raise wrong(thing, "leave it out, or say isolated", "positions", n, "mode")
        return self


def book_of(
    held: HeldBook,
    venue: str,
    margin: str,
    cash: float,
    day: dt.date,
    marks: Mapping[str, float],
    each: Mapping[str, Mapping[str, Any]],
) -> Book:
    """Return the positions with an entry as the calculator takes them, at ``marks``.

    ``each``: by symbol, what a position that lacks it has besides. UserError for what cannot be held.
    """  # fmt: skip
    rows = [
        {**each.get(str(row["symbol"]), {}), **row, "mark": marks[str(row["symbol"])]}
        for row in held.rows
        if "entry" in row
    ]
    table = {"venue": venue, "date": day, "margin": margin, "collateral": cash, "positions": rows}
    made = checked(Book, PositionsFile(held.place, table), table)
    made._place = held.place
    return made


def held_book(given: Given | HeldBook) -> HeldBook:
    """Read the positions of a run; UserError for a file that cannot be read and for whatever is wrong in it."""
    if isinstance(given, HeldBook):
        return given
    found = read_file(given) if isinstance(given, str | Path) else in_memory(given)
    told = checked(HeldTable, found, found.table)
    rows = sorted((one.model_dump(exclude_none=True) for one in told.positions), key=lambda row: str(row["symbol"]))
    return HeldBook(tuple(rows), told.venue, told.margin, told.collateral, found.name)
