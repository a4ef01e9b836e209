"""What a venue file is written with: numbers, durations, dates, and where each table's figures come from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import IntEnum
from itertools import pairwise
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator
from pydantic_core import PydanticCustomError

from backtest.core import durations
from backtest.core.enums import MICRO
from backtest.core.errors import UserError, nearest

DAY_MS = 86_400_000
_EPOCH = dt.date(1970, 1, 1)
_START = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_Word = TypeVar("_Word", bound=IntEnum)


def wrong(reason: str, *at: str | int) -> PydanticCustomError:
    """What is wrong, and where below the table that is being checked."""
    return PydanticCustomError("wrong", "{reason}", {"reason": reason, "at": at})


def _number(value: object) -> object:
    """TOML has integers and decimals; a rate of ``0`` or ``1`` is an integer there. ``true`` is neither."""
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _duration(value: object) -> object:
    """Whole milliseconds of seconds as a number, or of text like ``"30s"``."""
    if isinstance(value, str):
        try:
            return durations.parse(value)
        except UserError as error:
            raise ValueError(f"{error.thing}; write seconds, or text like 30s") from error
    seconds = _number(value)
    if not isinstance(seconds, Decimal) or not seconds.is_finite() or not 0 <= seconds <= 10**9:
        raise ValueError(f"{value!r} is not a duration; write seconds, or text like 30s")
    return int(seconds * 1000)


def several(value: object) -> object:
    """Return a list of one name for the name alone."""
    return [value] if isinstance(value, str) else value


def micro(value: Decimal) -> int:
    """Whole micro-units of an amount, rounded down."""
    return int(value * MICRO)


def ppm(rate: Decimal) -> int:
    """Parts per million of a rate, rounded down."""
    return int(rate * MICRO)


def named(kind: type[_Word]) -> Callable[[object], object]:
    """Reads a word of ``kind`` by its name in lower case."""
    known = {word.name.lower(): word for word in kind}

    def read(value: object) -> object:
        if isinstance(value, kind):
            return value
        if value not in known:
            raise ValueError(f"unknown {kind.__name__.lower()} {value!r}; {nearest(str(value), known)}")
        return known[str(value)]

    return read


Moment = dt.datetime | dt.date
"""A day (UTC), of which its first instant is meant, or an instant; one without a time zone is UTC."""
WORD = PlainSerializer(lambda word: word.name.lower(), return_type=str)
"""Words are written as they are read."""
Number = Annotated[Decimal, BeforeValidator(_number)]
Rate = Annotated[Number, Field(ge=0, le=1)]
Below = Annotated[Number, Field(ge=0, lt=1)]
Positive = Annotated[Number, Field(gt=0, le=10**12)]
Amount = Annotated[Number, Field(ge=0, le=10**12)]
"""Quote or base units. A million million is more than any book holds, and fits into micro-units."""
Duration = Annotated[int, BeforeValidator(_duration), Field(ge=0)]
"""Milliseconds; written as seconds, or as text like ``"30s"``."""
Status = Literal["verified", "derived", "assumed"]
"""Read in the venue's own source or documents; computed from such; neither."""


class Part(BaseModel):
    """What every table of the file keeps: no unknown keys, no silent conversion, no change after reading."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Sourced(Part):
    """A table that says where its figures come from."""

    source: Annotated[list[str], BeforeValidator(several)] = Field(default_factory=list)
    """Names in `[sources]`, one or several; none: the file's own source."""
    status: Status | None = None
    """Of all figures of the table but those that are named next; None: the file does not say."""
    derived: list[str] = Field(default_factory=list)
    assumed: list[str] = Field(default_factory=list)
    note: str = ""

    @model_validator(mode="after")
    def _names(self) -> Self:
        known = {info.alias or name for name, info in type(self).model_fields.items()}
        for key in ("derived", "assumed"):
            for name in getattr(self, key):
                if name not in known:
                    raise wrong(f"{name!r} is not a key of the table; {nearest(name, known)}", key)
        return self

    @property
    def standing(self) -> str:
        """``verified; assumed: fund, cap``; empty where the file does not say."""
        parts = [self.status or "", *(f"{key}: {', '.join(getattr(self, key))}" for key in ("derived", "assumed"))]
        return "; ".join(part for part in parts if part and not part.endswith(": "))


class Dated(Sourced):
    """A table that holds from a day or an instant (UTC) on, until the next one of its list."""

    from_: Annotated[Moment | None, Field(alias="from")] = None
    """None: since ever."""
    until: Moment | None = None
    """The first day or instant at which it no longer held, or is no longer known to hold."""

    @property
    def from_ms(self) -> int:
        """The first instant at which it holds; 0: since ever."""
        return 0 if self.from_ is None else instant_ms(self.from_)

    @property
    def since(self) -> str:
        """``2025-05-05`` or ``2025-05-05 03:00``; empty where it holds since ever."""
        return "" if self.from_ is None else moment_text(self.from_)


_Table = TypeVar("_Table", bound=Dated)


def in_order(tables: list[_Table]) -> list[_Table]:
    """The tables by date; two of them must not hold on the same day."""
    if not tables:
        raise wrong("no table; give at least one")
    places = sorted(range(len(tables)), key=lambda n: tables[n].from_ms)
    for n, table in enumerate(tables):
        if table.until and table.from_ms >= instant_ms(table.until):
            raise wrong(f"until {moment_text(table.until)} is not after its from", n)
    for low, high in pairwise(places):
        if tables[low].from_ms == tables[high].from_ms:
            both = tables[high].since or "ever"
            raise wrong(f"overlapping dates: two tables hold from {both} on", max(low, high))
        end = tables[low].until
        if end and instant_ms(end) > tables[high].from_ms:
            raise wrong(f"overlapping dates: the table before it holds until {moment_text(end)}", high)
    return [tables[n] for n in places]


def day_ms(day: dt.date) -> int:
    """Return the first instant of a day, UTC, in ms."""
    return (day - _EPOCH).days * DAY_MS


def instant_ms(when: Moment) -> int:
    """Return the instant of a moment in ms: of a day its first."""
    if not isinstance(when, dt.datetime):
        return day_ms(when)
    aware = when if when.tzinfo else when.replace(tzinfo=dt.UTC)
    return (aware - _START) // dt.timedelta(milliseconds=1)


def moment_at(ms: int) -> Moment:
    """Return the day that begins at an instant, or the instant where it is no day's first."""
    return _EPOCH + dt.timedelta(ms // DAY_MS) if ms % DAY_MS == 0 else _START + dt.timedelta(milliseconds=ms)


def moment_text(when: Moment) -> str:
    """Return ``2025-05-05``, or ``2025-05-05 03:00`` where a time of day was given."""
    short = moment_at(instant_ms(when))
    if not isinstance(short, dt.datetime):
        return short.isoformat()
    return short.replace(tzinfo=None).isoformat(" ", "auto").removesuffix(":00")


def moment_said(at_ms: int) -> str:
    """Return ``25 Nov 2022``, or ``25 Nov 2022 03:00`` where it is no day's first instant."""
    when = moment_at(at_ms)
    time = moment_text(when).partition(" ")[2]
    return f"{when.day} {_MONTHS[when.month - 1]} {when.year}" + f" {time}" * bool(time)


def in_force(tables: Sequence[_Table], when: Moment | None) -> _Table:
    """Return the table that holds at a moment; before the first one's date the first, without a moment the last."""
    return tables[-1] if when is None else held_at(tables, instant_ms(when))


def held_at(tables: Sequence[_Table], at_ms: int) -> _Table:
    """Return the table that holds at an instant; before the first one's date the first."""
    held = [table for table in tables if table.from_ms <= at_ms]
    return held[-1] if held else tables[0]
