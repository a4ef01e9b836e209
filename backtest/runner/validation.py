"""Checks settings: from what a user gives, in Python, TOML or flags, to values of `RunSettings`.

Errors name flags (`--latency-ms`), whoever asks: `origins` turns them into keywords or places of a file.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import numbers
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from backtest.calculator.held_book import held_book
from backtest.core import durations
from backtest.core.errors import SettingError, UserError, nearest
from backtest.core.held_book import HeldBook
from backtest.core.times import moment
from backtest.runner.setting import COMMANDS, COMPARE, STRESS, Kind, Setting
from backtest.runner.settings import MINIMUM, RunSettings, all_settings, find, settings_of
from backtest.runner.slippage_settings import parse_shares, parse_slippage
from backtest.strategy.guards import parse as parse_guard
from backtest.venues.margin_modes import margin_modes
from backtest.venues.profile import canonical

_RATE = re.compile(r"(-?(?:\d+\.?\d*|\.\d+))\s*(%|bps?)", re.IGNORECASE)
"""A number with its unit."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
WANTED = {
    Kind.TEXT: "give a text",
    Kind.FILE: "give a name or a path",
    Kind.TIME: "write 2024-03-12 or 2024-03-12T10:30 (UTC)",
    Kind.LENGTH: "write a whole number and s, m, h or d, like 90s, 5m, 1h or 1d",
    Kind.NAMES: "give one name, or a list of names",
    Kind.NUMBERS: "give numbers, separated by commas or in a list",
    Kind.TEXTS: "give one text, or a list of texts",
    Kind.PAIRS: "give KIND=VALUE, a list of them, or a table",
    Kind.PARAMS: "give a table of names and values",
    Kind.POSITIONS: "give a file, or a list of positions with symbol and qty",
}


def checked(values: Mapping[str, object], command: str | None = None) -> RunSettings:
    """Return the settings with ``values`` in place of their defaults; UserError for what is unknown or out of range.

    ``command`` is one of `COMMANDS` whose settings and defaults hold; None: all settings may be given.
    """
    known = all_settings() if command is None else settings_of(command)
    names = {told.name for told in known}
    for name in values:
        if name not in names:
            raise unknown(name, names, command)
    defaults = {told.name: told.default_of(command) for told in known if command and told.defaults}
    given = {name: value_of(find(name), value) for name, value in values.items()}
    given |= _account_of(given, command)
    settings = dataclasses.replace(RunSettings(), **{**defaults, **given})
    if settings.start is not None and settings.end is not None and settings.start >= settings.end:
        raise UserError("the period ends before it begins", "--start and --end", "the period is [start, end)")
    if settings.isolated_margin == MINIMUM and isinstance(settings.leverage, float):
        remedy = f"--leverage {settings.leverage:g} asks for more than the venue's minimum: leave one of them out"
        raise UserError("contradicts --leverage", f"--isolated-margin {MINIMUM}", remedy)
    return settings


def _account_of(given: Mapping[str, Any], command: str | None) -> dict[str, Any]:
    """What a positions file says of its account, where the settings do not; margin modes of its positions."""
    held = given.get("positions")
    if not isinstance(held, HeldBook):
        return {}
    found: dict[str, Any] = {}
    if held.venue is not None and given.get("venue") is None:
        found["venue"] = value_of(find("venue"), held.venue)
    if held.collateral is not None and "cash" not in given:
        found["cash"] = value_of(find("cash"), held.collateral)
    margin = given.get("margin")
    if margin is None:
        default: Any = find("margin").default_of(command) if command else find("margin").default
        margin = (held.margin,) if held.margin and command not in (COMPARE, STRESS) else default
    named = {text.partition("=")[0] for text in margin if "=" in text}
    found["margin"] = (*margin, *(f"{s}={mode}" for s, mode in held.modes.items() if s not in named))
    return found


class UnknownKeyword(UserError, TypeError):
    """A keyword argument that a function does not have."""


def unknown(name: str, names: set[str], command: str | None = None) -> UserError:
    """The error for a setting that there is not, or that a command does not have."""
    elsewhere = [one for one in COMMANDS if name in {told.name for told in settings_of(one)}]
    if command and elsewhere:
        remedy = f"it belongs to {' and '.join(f'{one}()' for one in elsewhere)}"
        if name == "latency_ms":
            remedy = "the delays are those of grid="
    else:
        remedy = nearest(name, names)
    owner = f"{command}() has no setting {name!r}" if command else f"there is no setting {name!r}"
    return UnknownKeyword(f"{owner} ({remedy})")


def value_of(told: Setting, value: object, text: bool = False) -> Any:
    """Return one value, checked. ``text``: it comes from a flag, where numbers and switches are texts too."""
    if value is None:
        if told.default is None or told.kind in (Kind.NAMES, Kind.NUMBERS, Kind.TEXTS, Kind.PAIRS, Kind.PARAMS):
            return told.default
        raise refused(told, value)
    if told.kind is Kind.POSITIONS:
        return _positions(told, value)
    plain = _plain(told, value) if text and isinstance(value, str) else value
    try:
        found = _adapter(told.name).validate_python(plain)
    except ValidationError:
        raise refused(told, value) from None
    check = _CHECKS.get(told.name)
    return check(found) if check else found


def _positions(told: Setting, value: object) -> HeldBook:
    """The positions of a file, of its table, or of a list of tables."""
    tables = isinstance(value, Sequence) and all(isinstance(one, Mapping) for one in value)
    if isinstance(value, str | os.PathLike) or tables or isinstance(value, Mapping | HeldBook):
        return held_book(os.fspath(value) if isinstance(value, os.PathLike) else value)  # type: ignore[arg-type]
    raise refused(told, value)


def refused(told: Setting, value: object) -> SettingError:
    """The error for a value that is none of the setting's."""
    shown = value if isinstance(value, str | int | float | bool | None) else type(value).__name__
    if told.choices and told.kind is not Kind.NUMBER_OR_WORD:
        odd = value if isinstance(value, str) else next((v for v in _several(value) if v not in told.choices), shown)
        what = "value" if told.repeated else told.name.replace("_", " ")
        return SettingError(f"unknown {what} {odd!r}", told.flag, nearest(str(odd), told.choices))
    remedy = f"give {told.range_text}" if told.range_text else WANTED[told.kind]
    return SettingError(f"invalid value {shown!r}", told.flag, _other_unit(told, value) or remedy)


def _several(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _other_unit(told: Setting, value: object) -> str:
    """What to give where a rate in basis points is written per cent, or with its unit; else empty."""
    found = _RATE.fullmatch(value.strip()) if isinstance(value, str) and told.unit == "bps" else None
    if found is None:
        return ""
    number, unit = found.groups()
    if unit != "%":
        return f"leave the unit out: give {number}"
    return f"it takes basis points (1 bps = 0.01 %): give {100 * float(number):g}"


def _plain(told: Setting, text: str) -> object:
    """The number that a flag's text writes, where the setting is one; else the text."""
    if told.kind in (Kind.NUMBER, Kind.NUMBER_OR_WORD, Kind.WHOLE) and _NUMBER.fullmatch(text.strip()):
        whole = told.kind is Kind.WHOLE and text.strip().lstrip("+-").isdecimal()
        return int(text) if whole else float(text)
    return text


def _native(value: object) -> object:
    """NumPy's numbers as Python's."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else value


def _path(value: object) -> object:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _time(value: object) -> object:
    known = isinstance(value, int | str | dt.date) and not isinstance(value, bool)
    try:
        return moment(value) if known else None  # type: ignore[arg-type]
    except UserError:
        raise ValueError from None


def _length(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    try:
        return durations.parse(value) if isinstance(value, str) else None
    except UserError:
        raise ValueError from None


def _names(value: object) -> object:
    """Names of a text with commas, or of a list; none of them empty."""
    if isinstance(value, bytes | Mapping) or not isinstance(value, Iterable):
        return None
    names = value.split(",") if isinstance(value, str) else list(value)
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError
    return tuple(name.strip() for name in (sorted(names) if isinstance(value, AbstractSet) else names))


def _numbers(value: object) -> object:
    """Numbers as they are written."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(","))
    if not isinstance(value, Sequence) or not all(isinstance(_native(part), str | int | float) for part in value):
        raise ValueError
    return tuple(part.strip() if isinstance(part, str) else _native(part) for part in value)


def _texts(value: object) -> object:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Sequence) else value


def _pairs(value: object) -> object:
    """KIND=VALUE texts, also of a table; a kind without a value is true there."""
    if isinstance(value, Mapping):
        return tuple(f"{kind}" if one is True else f"{kind}={one}" for kind, one in value.items())
    return _texts(value)


_FORMS: dict[Kind, Any] = {
    Kind.SWITCH: bool,
    Kind.TEXT: str,
    Kind.FILE: Annotated[str, BeforeValidator(_path)],
    Kind.TIME: Annotated[int, BeforeValidator(_time)],
    Kind.LENGTH: Annotated[int, BeforeValidator(_length)],
    Kind.NAMES: Annotated[tuple[str, ...], BeforeValidator(_names)],
    Kind.NUMBERS: Annotated[tuple[str | int | float, ...], BeforeValidator(_numbers)],
    Kind.TEXTS: Annotated[tuple[str, ...], BeforeValidator(_texts)],
    Kind.PAIRS: Annotated[tuple[str, ...], BeforeValidator(_pairs)],
    Kind.PARAMS: dict[str, object],
}
"""What Pydantic checks, strictly; numbers and choices have their ranges besides."""


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    """Pydantic's check of one setting."""
    return TypeAdapter(_form(find(name)), config=ConfigDict(strict=True))


def _form(told: Setting) -> Any:
    word: Any = Literal.__getitem__(told.choices) if told.choices else None
    if told.choices and told.kind is not Kind.NUMBER_OR_WORD:
        return Annotated[tuple[word, ...], BeforeValidator(_texts)] if told.repeated else word
    if told.kind is Kind.WHOLE:
        return Annotated[int, Field(ge=told.least, le=told.most), BeforeValidator(_native)]
    number = Annotated[float, Field(ge=told.least, le=told.most, allow_inf_nan=False), BeforeValidator(_native)]
    if told.kind is Kind.NUMBER_OR_WORD:
        return number | word
    return number if told.kind is Kind.NUMBER else _FORMS[told.kind]


def _margin(given: tuple[str, ...]) -> tuple[str, ...]:
    modes, own = margin_modes(given)
    return (*modes, *(f"{symbol}={mode}" for symbol, mode in own.items()))


def _slippage(given: tuple[str, ...]) -> tuple[str, ...]:
    parse_slippage(given)
    return given


def _volume_share(given: str) -> str:
    parse_shares(given)
    return given


def _guards(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(parse_guard(text).text for text in given)


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "margin": _margin,
    "slippage": _slippage,
    "volume_share": _volume_share,
    "guards": _guards,
    "fee_discount": str.strip,
    "venue": canonical,
}
"""What the form alone does not say, by name of the setting. These raise their own UserErrors."""
