"""One thing that a sweep varies: a parameter of the strategy or a setting of the run, and the values it takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

from backtest.core.errors import SettingError, UserError, nearest
from backtest.runner.setting import SWEEP, Group, Kind, Setting
from backtest.runner.settings import settings_of
from backtest.runner.validation import value_of
from backtest.strategy.param import Parameter

Shown: TypeAlias = int | float | bool | str | None
"""A value as a column of the table has it."""
MOST_VALUES = 100_000
PARAM, SETTING = "param", "setting"
NUMBERS = (Kind.NUMBER, Kind.WHOLE, Kind.NUMBER_OR_WORD)
FIXED = ("params", "out", "timeout")
"""Settings that are no part of a single run, beside those of the sweep itself."""


@dataclass(frozen=True)
class Axis:
    """A name and its values. ``low`` and ``high`` instead: any value between them, for samples."""

    name: str
    of: str
    """`param` or `setting`."""
    values: tuple[object, ...]
    """As a run takes them."""
    shown: tuple[Shown, ...]
    """As the table shows them."""
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    whole: bool = False

    @property
    def open(self) -> bool:
        """Whether it is an interval that only samples can be drawn from."""
        return not self.values

    def at(self, share: float) -> Shown:
        """The value of an interval at a share from 0 to 1 of its length, on a log scale if it has one."""
        low, high = self.low, self.high + self.whole
        value = float(low * (high / low) ** share) if self.log else low + (high - low) * share
        return min(math.floor(value), int(self.high)) if self.whole else min(value, self.high)

    def as_dict(self) -> dict[str, object]:
        """Plain values, by which a sweep is told from another."""
        ends = {"low": self.low, "high": self.high, "log": self.log} if self.open else {"values": list(self.shown)}
        return {"name": self.name, "of": self.of, **ends}


def param_axis(parameter: Parameter, given: object, place: str) -> Axis:
    """The axis of a strategy's parameter; UserError for values that it does not take."""
    number = parameter.kind in ("int", "float")

    def read(value: object) -> Shown:
        return parameter.value(value, place)

    values, interval = _values(parameter.name, given, number, parameter.kind == "int", "-p")
    if interval:
        for end in (interval.low, interval.high):
            read(int(end) if interval.whole else end)
        return interval
    found = _unlike([read(value) for value in values], parameter.name, "-p")
    return Axis(parameter.name, PARAM, found, found)


def setting_axis(name: str, given: object) -> Axis:
    """The axis of a setting of the run; a SettingError for one that cannot be varied, or a wrong value."""
    known = {told.name: told for told in variable()}
    if name not in known:
        raise SettingError(f"no setting {name!r} that can be varied", "--vary", nearest(name, known))
    told = known[name]
    number = told.kind in NUMBERS
    values, interval = _values(name, given, number, told.kind is Kind.WHOLE, "--vary")
    if interval:
        for end in (interval.low, interval.high):
            value_of(told, int(end) if interval.whole else end)
        return Axis(name, SETTING, (), (), interval.low, interval.high, interval.log, interval.whole)
    read = [value_of(told, value, text=isinstance(value, str)) for value in values]
    shown = _unlike([_shown(value) for value in read], name, "--vary")
    return Axis(name, SETTING, tuple(read), shown)


def variable() -> tuple[Setting, ...]:
    """The settings that a sweep can vary."""
    return tuple(told for told in settings_of(SWEEP) if told.group is not Group.SWEEP and told.name not in FIXED)


def _shown(value: object) -> Shown:
    if isinstance(value, tuple | list):
        return ",".join(map(str, value)) or "none"
    if isinstance(value, Mapping):
        return ",".join(f"{kind}={one}" for kind, one in value.items())
    return value if isinstance(value, int | float | bool | str) else "none"


def _unlike(values: Sequence[Shown], name: str, flag: str) -> tuple[Shown, ...]:
    """The values, each of them once; SettingError for one that is there twice."""
    seen: set[tuple[type, Shown]] = set()
    for value in values:
        if (type(value), value) in seen:
            raise SettingError(f"{name} has the value {value!r} twice", flag, "give it once")
        seen.add((type(value), value))
    return tuple(values)


def _values(name: str, given: object, number: bool, whole: bool, flag: str) -> tuple[list[object], Axis | None]:
    """The values that a text, a list or a single value gives, or the interval that a text does."""
    if isinstance(given, str):
        parts = [part.strip() for part in given.split(";" if ";" in given else ",")]
        if not all(parts):
            raise SettingError(f"an empty value in {name}={given}", flag, f"write it like {name}=10,20,50")
        if number and len(parts) == 1 and parts[0].count(":") in (1, 2):
            interval = _interval(name, parts[0], whole, flag)
            if interval:
                return [], interval
        found: list[object] = []
        for part in parts:
            found += _range(name, part, whole, flag) if number and ":" in part else [part]
    elif isinstance(given, Iterable) and not isinstance(given, bytes | Mapping):
        found = [one.item() if hasattr(one, "item") else one for one in given]
    else:
        found = [given]
    if not found:
        raise SettingError(f"no value for {name}", flag, f"write it like {name}=10,20,50")
    if len(found) > MOST_VALUES:
        raise SettingError(f"{len(found):,} values of {name}", flag, f"give {MOST_VALUES:,} at most")
    return found, None


def _interval(name: str, text: str, whole: bool, flag: str) -> Axis | None:
    """``5:50`` or ``0.001:1:log``; None for a range with a step."""
    low, high, *rest = text.split(":")
    if rest and rest[0] != "log":
        return None
    start, stop = _number(name, low, text, flag), _number(name, high, text, flag)
    _rising(name, text, start, stop, bool(rest), flag)
    if whole and (start % 1 or stop % 1):
        raise SettingError(f"{name}={text} does not go from whole number to whole number", flag, "give whole numbers")
    return Axis(name, PARAM, (), (), float(start), float(stop), bool(rest), whole)


def _range(name: str, text: str, whole: bool, flag: str) -> list[object]:
    """The values of ``5:50:5``, both ends included, or of ``0.001:1:log7``, seven at equal ratios."""
    parts = text.split(":")
    if len(parts) != 3:
        raise SettingError(f"{name}={text} is not a range", flag, f"write it like {name}=5:50:5 or {name}=1:100:log7")
    start, stop = _number(name, parts[0], text, flag), _number(name, parts[1], text, flag)
    log = parts[2].startswith("log")
    _rising(name, text, start, stop, log, flag)
    if log:
        digits = parts[2].removeprefix("log")
        count = int(digits) if digits.isdecimal() else 0
        if not 2 <= count <= MOST_VALUES:
            raise SettingError(f"{name}={text} has no number of values", flag, f"write it like {name}=1:100:log7")
        ratio = float(stop / start)
        inner = [float(start) * ratio ** (n / (count - 1)) for n in range(1, count - 1)]
        points = [float(start), *inner, float(stop)]
        return list(dict.fromkeys(round(p) for p in points)) if whole else list(points)
    step = _number(name, parts[2], text, flag)
    if step <= 0:
        raise SettingError(f"{name}={text} has the step {parts[2]}", flag, "give one above zero")
    count = int((stop - start) / step) + 1
    if count > MOST_VALUES:
        raise SettingError(f"{name}={text} has {count:,} values", flag, f"give {MOST_VALUES:,} at most")
    # Decimal: 0.1:0.5:0.1 is 0.1, 0.2, 0.3, 0.4 and 0.5 as a person writes them.
    exact = [start + step * n for n in range(count)]
    return [int(p) if p == int(p) and whole else float(p) for p in exact]


def _rising(name: str, text: str, start: Decimal, stop: Decimal, log: bool, flag: str) -> None:
    if start >= stop:
        raise SettingError(f"{name}={text} does not rise", flag, "give the lower end first")
    if log and start <= 0:
        raise SettingError(f"{name}={text} begins at {start}, on a log scale", flag, "begin above zero")


def _number(name: str, part: str, text: str, flag: str) -> Decimal:
    try:
        found = Decimal(part)
    except InvalidOperation:
        found = Decimal("nan")
    if not found.is_finite():
        raise SettingError(f"{part!r} in {name}={text} is not a number", flag, f"write it like {name}=5:50:5")
    return found


def axes_of(
    parameters: Mapping[str, Parameter], params: Mapping[str, object], vary: Mapping[str, object], place: str
) -> tuple[Axis, ...]:
    """The axes that are asked for, parameters first; UserError for a name or a value that there is not."""
    found = []
    for name, given in params.items():
        if name not in parameters:
            raise UserError(f"unknown parameter {name!r}", place, nearest(name, parameters))
        found.append(param_axis(parameters[name], given, place))
    found += [setting_axis(name, given) for name, given in vary.items()]
    return tuple(found)
