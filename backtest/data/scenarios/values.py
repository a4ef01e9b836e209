"""How a scenario writes its values: moves in per cent, lengths and instants, lists of names."""

from __future__ import annotations

import datetime as dt
import re
from itertools import pairwise
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError

from backtest.core import durations
from backtest.core.errors import UserError
from backtest.core.times import moment

PERCENT = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*%")
WORST, START = "worst", "start"
MOST_RISE = 100.0
"""A move of +10,000 %: more is a slip."""


def wrong(said: str, remedy: str) -> PydanticCustomError:
    """What is wrong with a value, to stand behind its key, and what to do."""
    return PydanticCustomError("wrong", "{said}", {"said": said, "remedy": remedy})


class Table(BaseModel):
    """What every table of a pack keeps: no unknown keys, no silent conversion, no change after reading."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


def share_of(text: object) -> float:
    """The share of a text like ``-15%``; a ValueError of pydantic for any other."""
    match = PERCENT.fullmatch(text.strip().replace("−", "-")) if isinstance(text, str) else None
    if match is None:
        raise wrong(f"{text!r} is not a percentage", 'write it like "-15%"')
    return float(match[1]) / 100


def move_of(text: object) -> float:
    """A move of a price: not below −100 %."""
    move = share_of(text)
    if move < -1:
        raise wrong(f"{text} is below -100 %", "a price falls by 100 % at most; moves stop at -99 %")
    if move > MOST_RISE:
        raise wrong(f"{text} is above +{100 * MOST_RISE:,.0f} %", "give a smaller move")
    return move


def length_of(text: object) -> int:
    """Ms of a text like ``10m``; ``0`` is at once."""
    if text in (0, "0"):
        return 0
    if not isinstance(text, str):
        raise wrong(f"{text!r} is not a length of time", 'write it like "10m", "4h" or "7d"')
    try:
        return durations.parse(text)
    except UserError as error:
        raise wrong(error.thing, error.remedy) from None


def _recovery(value: object) -> tuple[float, int]:
    share, _, length = str(value).partition(" in ")
    part = share_of(share)
    if not 0 < part <= 1:
        raise wrong(f"{value!r} recovers {share}", 'write it like "50% in 4h", from above 0 to 100 %')
    return part, length_of(length.strip())


def _path(value: object) -> tuple[tuple[int, float], ...]:
    if not isinstance(value, list) or not value:
        raise wrong("is not a list of points", 'write it like ["20m -8%", "45m -15%"]')
    points = []
    for text in value:
        when, _, move = str(text).strip().partition(" ")
        points.append((length_of(when), move_of(move)))
    if any(b[0] <= a[0] for a, b in pairwise(points)):
        raise wrong("has points that are not in order of time", "give the earliest first, each at its own time")
    return tuple(points)


def _instants(value: object) -> tuple[str | int, ...]:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise wrong("names no time", 'give "worst", "start+30d", a time, or a list of these')
    return tuple(_instant(one) for one in values)


def _instant(value: object) -> str | int:
    if isinstance(value, str) and (value == WORST or value.startswith(START)):
        plus = value.removeprefix(START).strip()
        if value == WORST or not plus:
            return value
        if plus.startswith("+"):
            length_of(plus.removeprefix("+").strip())
            return value
    if isinstance(value, str | dt.date):
        try:
            return moment(value)
        except UserError:
            pass
    raise wrong(
        f"{value!r} is not a time", 'give "worst", "start+30d", a time like 2025-10-10T21:00, or a list of these'
    )


def _names(value: object) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise wrong("is not a list of markets", 'write it like ["BTC-USD"]; "*" is all of them')
    return tuple(dict.fromkeys(names))


def _mark(value: object) -> tuple[str, int]:
    word, _, rest = str(value).partition(" ")
    if word == "lags" and rest:
        return word, length_of(rest.strip())
    if value in ("follows", "only", "none"):
        return str(value), 0
    raise wrong(f"{value!r} is no way for a mark to go", 'write "follows", "lags 30s", "only" or "none"')


Share = Annotated[float, BeforeValidator(share_of)]
Move = Annotated[float, BeforeValidator(move_of)]
Length = Annotated[int, BeforeValidator(length_of)]
Recovery = Annotated[tuple[float, int], BeforeValidator(_recovery)]
Path = Annotated[tuple[tuple[int, float], ...], BeforeValidator(_path)]
Instants = Annotated[tuple[str | int, ...], BeforeValidator(_instants)]
Markets = Annotated[tuple[str, ...], BeforeValidator(_names)]
MarkWay = Annotated[tuple[str, int], BeforeValidator(_mark)]
