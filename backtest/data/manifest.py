"""`dataset.toml`: what it says about a dataset, checked as it is read, and written."""

from __future__ import annotations

import datetime as dt
import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic_core import PydanticCustomError

from backtest.core import durations, toml_text
from backtest.core.enums import MICRO
from backtest.core.errors import UserError, nearest, printable
from backtest.core.times import DAY_MS, HOUR_MS, moment
from backtest.core.toml_lines import line_of

FILE = "dataset.toml"
_FROM_A_FILE = {"file": True}
"""Context in which times and lengths are no whole numbers."""
_LENGTHS = ("interval", "funding_interval", "mark_interval")
_TIMES = ("listed", "first", "last")
_LEAST, _MOST = Decimal("1e-12"), Decimal("1e12")
"""Bounds of steps, ticks and notionals: what lies beyond is a slip, and numbers with long exponents take forever to
write out."""


def _wrong(said: str, remedy: str) -> PydanticCustomError:
    """What is wrong with a value, to stand behind its key, and what to do."""
    return PydanticCustomError("wrong", "{said}", {"said": said, "remedy": remedy})


def _interval(value: object, info: ValidationInfo) -> int:
    if isinstance(value, int) and not info.context:
        return value
    try:
        return durations.parse(str(value))
    except UserError as error:
        raise _wrong(f": {error.thing}", error.remedy) from None


def _time(value: object, info: ValidationInfo) -> int:
    if isinstance(value, int) and not info.context:
        return value
    if isinstance(value, str | dt.date):
        with suppress(UserError):
            return moment(value)
    raise _wrong(" is not a time", "write 2024-03-12 or 2024-03-12T10:30:00Z")


def _positive(value: object) -> Decimal:
    number = Decimal(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else Decimal(0)
    if not number.is_finite() or number <= 0:
        raise _wrong(" is not a number above zero", "write it like 0.001")
    if not _LEAST <= number <= _MOST:
        raise _wrong(f" is {number:.3g}", f"give one from {_LEAST} to {_MOST:f}")
    return number


def _step(number: Decimal) -> Decimal:
    micro = number * MICRO
    # A lot must be a whole number of millionths of the base, or quantities would not be exact.
    if micro != micro.to_integral_value() or micro > 2**53:
        raise _wrong(" is not a whole multiple of 0.000001", "round it")
    return number


Interval = Annotated[int, BeforeValidator(_interval)]
"""Milliseconds; in the file text like ``"5m"``."""
Instant = Annotated[int, BeforeValidator(_time)]
"""Milliseconds since 1970; in the file a date, or a date and time in UTC."""
Number = Annotated[Decimal, BeforeValidator(_positive)]
Text = Annotated[str, AfterValidator(printable)]


class Table(BaseModel):
    """What every table of the file keeps: no unknown keys, no silent conversion, no change after reading."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Head(Table):
    """`[dataset]`."""

    interval: Interval | None = None
    """Of the candles; None: the most common gap between them."""
    quote: Text = ""
    venue: Text = ""
    provenance: Text = ""
    synthetic: bool = False
    funding_interval: Interval | None = None
    generator: Text = ""


class MarketFacts(Table):
    """`[symbols.NAME]`: what a venue says of one market, where it is known."""

    step: Annotated[Number, AfterValidator(_step)] | None = None
    """Smallest quantity, base units."""
    tick: Number | None = None
    """Smallest price step, quote units."""
    min_notional: Number | None = None
    """Smallest value of an order, quote units."""
    listed: Instant | None = None
    """When trading began."""
    mark_interval: Interval | None = None
    """Of the mark candles, where they are too few or too full of holes to tell."""


class Change(Table):
    """`[[history.changes]]`: one kind of change that was made to the rows of a series."""

    what: Text
    """What was done, in a few words: ``stamps moved from close to open``."""
    symbol: Text = ""
    series: Text = ""
    """``candles``, ``mark``, ``mark_NAME`` or ``funding``."""
    rows: int = Field(default=0, ge=0)
    """How many rows were changed, added or left out."""
    first: Instant | None = None
    """Stamp of the first of them."""
    last: Instant | None = None
    """Stamp of the last of them."""


class Step(Table):
    """`[[history]]`: one command that made or changed the dataset, in the order in which they ran."""

    command: Text
    """``backtest data import``."""
    source: Text = ""
    """Where the rows come from: names of files, or a venue's address."""
    changes: tuple[Change, ...] = Field(default=(), strict=False)


class Manifest(Table):
    """`dataset.toml`; every field has a meaning when the file is missing."""

    dataset: Head = Head()
    symbols: dict[str, MarketFacts] = Field(default_factory=dict)
    history: tuple[Step, ...] = Field(default=(), strict=False)

    @property
    def interval_ms(self) -> int | None:
        """Of the candles; None: not said."""
        return self.dataset.interval

    @property
    def quote(self) -> str:
        """The money that prices are in."""
        return self.dataset.quote or "USD"

    @property
    def venue(self) -> str:
        """Whose rules hold in a run that names no other: a name, an alias or a file beside the manifest."""
        return self.dataset.venue

    @property
    def provenance(self) -> str:
        """How the data came to be."""
        return self.dataset.provenance

    @property
    def synthetic(self) -> bool:
        """Whether the data are invented."""
        return self.dataset.synthetic

    @property
    def generator(self) -> str:
        """What wrote the dataset, so that it may replace it."""
        return self.dataset.generator

    @property
    def funding_interval_ms(self) -> int:
        """Where a symbol has fewer than three settlements to tell it from; else eight hours, as most venues have."""
        return self.dataset.funding_interval or 8 * HOUR_MS

    @property
    def steps(self) -> dict[str, int]:
        """Millionths of the base in a lot, per symbol."""
        return {symbol: int(facts.step * MICRO) for symbol, facts in self.symbols.items() if facts.step is not None}

    @property
    def ticks(self) -> dict[str, float]:
        """Smallest price step, per symbol."""
        return {symbol: float(facts.tick) for symbol, facts in self.symbols.items() if facts.tick is not None}

    @property
    def mark_intervals_ms(self) -> dict[str, int]:
        """Of the symbols whose mark candles do not tell their interval, being few or full of holes."""
        return {symbol: facts.mark_interval for symbol, facts in self.symbols.items() if facts.mark_interval}

    def facts(self, symbol: str) -> MarketFacts:
        """Return what is known of a market; nothing where the file does not name it."""
        return self.symbols.get(symbol, MarketFacts())


def read_manifest(file: Path) -> Manifest:
    """The manifest in ``file``, or the defaults if there is no such file.

    Raises UserError with the line and the reason when it is not TOML or a value makes no sense.
    """
    if not os.path.lexists(file):
        return Manifest()
    if not file.is_file():
        raise UserError("is not a file", str(file), "write a TOML file there, or take it away")
    try:
        text = file.read_text("utf-8")
        data = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, InvalidOperation) as error:
        raise UserError(f"not valid TOML: {error}", str(file), "correct that line") from None
    except RecursionError:
        raise UserError("not valid TOML: nested too deeply", str(file), "write plain tables") from None
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", str(file), "make it readable") from None
    try:
        return Manifest.model_validate(data, context=_FROM_A_FILE)
    except ValidationError as error:
        raise _complaint(error, file, text) from None


def manifest_text(manifest: Manifest) -> str:
    """Return the file of a manifest: the same text for equal ones, with symbols sorted and without what is not said."""
    parts = [_section("[dataset]", manifest.dataset)]
    for symbol, facts in sorted(manifest.symbols.items()):
        if facts.model_fields_set:
            parts.append(_section(f"[symbols.{toml_text.quoted(symbol)}]", facts))
    for step in manifest.history:
        parts.append(_section("[[history]]", step))
        parts += [_section("[[history.changes]]", change) for change in step.changes]
    return "\n".join(parts)


def _section(title: str, table: Table) -> str:
    return "\n".join([title, *_lines(table)]) + "\n"


def _lines(table: Table) -> Iterator[str]:
    """A line per key that says something, in the order of the fields; tables below have their own sections."""
    for name in type(table).model_fields:
        given = getattr(table, name)
        if not given or isinstance(given, tuple):
            continue
        if name in _TIMES:
            text = toml_text.instant(given)
            yield f"{name} = {text.partition('T')[0] if given % DAY_MS == 0 else text}"
        else:
            yield toml_text.line(name, durations.text(given) if name in _LENGTHS else given)


def _complaint(error: ValidationError, file: Path, text: str) -> UserError:
    """The first mistake as one line. A misspelt key goes before what it leaves missing."""
    found: Any = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    at = tuple(found["loc"])
    place = f"{file} line {line_of(text, at)}"
    key = str(at[-1])
    whose = f" of {at[1]}" if len(at) > 2 and at[0] == "symbols" else ""
    if found["type"] == "extra_forbidden":
        known = _known(at[:-1])
        return UserError(f"unknown {'key' if at[:-1] else 'table'} {key!r}{whose}", place, nearest(key, known))
    if found["type"] == "wrong":
        context = cast("Mapping[str, str]", found["ctx"])
        return UserError(f"{key}{whose}{context['said']}", place, context["remedy"])
    said, remedy = _SAID.get(found["type"], (found["msg"], "correct it"))
    return UserError(f"{key}{whose} {said}", place, remedy.format(".".join(str(part) for part in at)))


_SAID = {
    "bool_type": ("is neither true nor false", "write true or false"),
    "string_type": ("is not text", "put it in quotes"),
    "int_type": ("is not a whole number", "write one, like 12"),
    "greater_than_equal": ("is below zero", "write zero or more"),
    "missing": ("is missing", "add it"),
    "dict_type": ("is not a table", "write it as [{}]"),
    "model_type": ("is not a table", "write it as [{}]"),
    "tuple_type": ("is not a list of tables", "write each as [[{}]]"),
}
"""What pydantic's kinds of errors are in a user's words, and what to do."""


def _known(at: tuple[str | int, ...]) -> list[str]:
    """The keys of the table at a place."""
    table: type[Table] = Manifest
    for part in at:
        table = _TABLES.get(str(part), table) if not isinstance(part, int) else table
    return list(table.model_fields)


_TABLES: dict[str, type[Table]] = {"dataset": Head, "symbols": MarketFacts, "history": Step, "changes": Change}
