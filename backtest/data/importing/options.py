"""What a user may say about an import, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from backtest.core import durations
from backtest.core.errors import SettingError, UserError, nearest

ROLES = ("ts", "open", "high", "low", "close", "volume", "rate", "symbol", "price", "size")
"""What a column may be."""
UNITS = ("s", "ms", "us", "ns")
"""Of times that are numbers."""
LAYOUTS = (
    *("binance", "bybit", "ccxt", "cryptodatadownload", "freqtrade"),
    *("hyperliquid", "nautilus", "tardis", "tradingview"),
)
"""Layouts that are known by their columns."""
FORMATS = ("csv", "json", "parquet", "feather", "sqlite", "duckdb", *LAYOUTS)


def _wrong(said: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError("wrong", "{said}", {"said": said, "remedy": remedy})


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _wrong(f"unknown time zone {name!r}", "write it like UTC or America/New_York") from None
    return name


def _interval(value: object) -> object:
    try:
        return durations.parse(value) if isinstance(value, str) else value
    except UserError as error:
        raise _wrong(error.thing, error.remedy) from None


def _format(name: str) -> str:
    if name not in FORMATS:
        raise _wrong(f"unknown value {name!r}", nearest(name, FORMATS))
    return name


class Column(BaseModel):
    """One entry of `--map`: the column of a role, and how its times are written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    written: str = ""
    """Of ``ts``: a unit (`UNITS`), or a form such as ``%d/%m/%Y``; empty: told from the values."""


class Options(BaseModel):
    """Options of an import, in Python and on the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbol: str = ""
    """Name of the market where the data do not tell it; where they do, the only one that is imported."""
    interval: Annotated[int | None, BeforeValidator(_interval)] = None
    """Of the candles, ms; of trades and price samples the length of the candles made of them."""
    tz: Annotated[str, AfterValidator(_zone)] = "UTC"
    """Of times without a zone."""
    tz_given: bool = False
    format: Annotated[str, AfterValidator(_format)] | None = None
    columns: Mapping[str, Column] = Field(default_factory=dict)
    """By role."""
    stamp: Literal["open", "close"] | None = None
    """Which end of a candle its time is; None: told from the name of the column."""


def options_of(
    symbol: str | None,
    interval: str | None,
    tz: str | None,
    file_format: str | None,
    columns: Mapping[str, str],
    stamp: str | None,
) -> Options:
    """Return checked options; UserError, placed by its flag, for one that cannot be."""
    given: dict[str, Any] = {
        "symbol": symbol or "",
        "interval": interval,
        "tz": tz or "UTC",
        "tz_given": tz is not None,
        "format": file_format,
        "columns": {role: _column(role, text) for role, text in columns.items()},
        "stamp": stamp,
    }
    try:
        return Options.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        flag = f"--{found['loc'][0]}"
        context = found.get("ctx") or {}
        if found["type"] == "literal_error":
            raise SettingError(f"unknown value {found['input']!r}", flag, "write open or close") from None
        raise SettingError(context.get("said", found["msg"]), flag, context.get("remedy", "correct it")) from None


def _column(role: str, text: str) -> Column:
    if role not in ROLES:
        raise SettingError(f"unknown role {role!r}", "--map", nearest(role, ROLES))
    name, colon, written = text.partition(":")
    if not name:
        raise SettingError(f"{role} has no column", "--map", f"write it like {role}=COLUMN")
    if colon and (role != "ts" or not (written in UNITS or "%" in written)):
        # A column's own name may have a colon in it.
        name, written = text, ""
    return Column(name=name, written=written)


def mapping(text: str) -> dict[str, str]:
    """Return ``ts=time,close=last`` as roles and columns; UserError for another text."""
    found: dict[str, str] = {}
    for part in filter(None, re.split(r",(?=\w+=)", text)):
        role, equals, column = part.partition("=")
        if not equals:
            raise SettingError(f"{part!r} names no column", "--map", "write ROLE=COLUMN, as in ts=time,close=last")
        if role.strip() in found:
            raise SettingError(f"{role.strip()} is given twice", "--map", "give it once")
        found[role.strip()] = column.strip()
    return found
