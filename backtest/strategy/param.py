"""`Param`: what of a strategy may be chosen from outside, with its type and its range."""

from __future__ import annotations

import dataclasses
import inspect
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeAlias, overload

from backtest.core.errors import UserError, nearest

ParamValue: TypeAlias = int | float | bool | str
"""A value of a parameter."""

_WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class Chosen(Protocol):
    """An object that has the values of its parameters: a strategy."""

    _params: dict[str, ParamValue]


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A declared parameter. On a class it is itself; on an instance it reads as its value, which never changes."""

    default: ParamValue
    ge: float | None = None
    le: float | None = None
    gt: float | None = None
    lt: float | None = None
    choices: tuple[ParamValue, ...] | None = None
    doc: str = ""
    name: str = ""
    kind: str = ""
    """int, float, bool or str; empty until the class that declares it is made."""

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Parameter: ...
    @overload
    def __get__(self, instance: Chosen, owner: type | None = None) -> ParamValue: ...
    def __get__(self, instance: Chosen | None, owner: type | None = None) -> Parameter | ParamValue:
        if instance is None:
            return self
        # Read at every candle: nothing is built here, and the usual case is the first that is tried.
        try:
            return instance._params[self.name]
        except (AttributeError, KeyError):
            return self.default

    def __set__(self, instance: object, value: object) -> None:
        # The summary and the report state the parameters of a run, so a run must not alter them.
        raise AttributeError(f"parameter {self.name} cannot be changed after the strategy is made")

    @property
    def wanted(self) -> str:
        """The values that are allowed, in words: `a whole number from 2 to 200`."""
        if self.choices is not None:
            return "one of " + ", ".join(map(str, self.choices))
        if self.ge is not None and self.le is not None:
            return f"{_WORDS[self.kind]} from {self.ge} to {self.le}"
        bounds = (("≥", self.ge), (">", self.gt), ("≤", self.le), ("<", self.lt))
        return f"{_WORDS[self.kind]} {' and '.join(f'{s} {bound}' for s, bound in bounds if bound is not None)}".strip()

    def value(self, given: object, place: str) -> ParamValue:
        """``given`` as a value of this parameter's type and inside its range; text is read by the type.

        ``place`` names the strategy for the UserError that anything else gets.
        """
        value = _READ[self.kind](given)
        if value is None:
            raise self._refused(given, "is not allowed", place)
        if self.choices is not None and value not in self.choices:
            raise self._refused(value, "is not a choice", place)
        inside = isinstance(value, str) or (  # text has no range
            (self.ge is None or value >= self.ge)
            and (self.le is None or value <= self.le)
            and (self.gt is None or value > self.gt)
            and (self.lt is None or value < self.lt)
        )
        if not inside:
            raise self._refused(value, "is out of range", place)
        return value

    def _refused(self, given: object, why: str, place: str) -> UserError:
        near = nearest(str(given), map(str, self.choices)) if self.choices and self.kind == "str" else ""
        remedy = near if near.startswith("did you mean") else f"give {self.wanted}"
        return UserError(f"parameter {self.name} = {given!r} {why}", place, remedy)


@overload
def Param(default: bool, *, choices: Iterable[bool] | None = None, doc: str = "") -> bool: ...
@overload
def Param(
    default: int,
    *,
    ge: float | None = None,
    le: float | None = None,
    gt: float | None = None,
    lt: float | None = None,
    choices: Iterable[int] | None = None,
    doc: str = "",
) -> int: ...
@overload
def Param(
    default: float,
    *,
    ge: float | None = None,
    le: float | None = None,
    gt: float | None = None,
    lt: float | None = None,
    choices: Iterable[float] | None = None,
    doc: str = "",
) -> float: ...
@overload
def Param(default: str, *, choices: Iterable[str] | None = None, doc: str = "") -> str: ...
def Param(  # noqa: N802  it reads as the type that it makes
    default: ParamValue,
    *,
    ge: float | None = None,
    le: float | None = None,
    gt: float | None = None,
    lt: float | None = None,
    choices: Iterable[ParamValue] | None = None,
    doc: str = "",
) -> object:
    """Declare a parameter: ``fast: int = Param(20, ge=2, le=200, doc="candles in the fast average")``.

    The annotation (int, float, bool or str) is its type; ``ge le gt lt`` bound a number, ``choices`` list
    what is allowed. To a type checker it has the type of its default.
    """
    return Parameter(default, ge, le, gt, lt, None if choices is None else tuple(choices), doc)


def declare(cls: type) -> dict[str, Parameter]:
    """The parameters of a class, those of its bases first; called once, when the class is made.

    A plain value over an inherited parameter (``fast = 10``) is its new default, inside the same range.
    """
    found: dict[str, Parameter] = {}
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, Parameter):
                found[name] = value if value.kind else _bound(value, name, base, cls)
            elif name in found:
                found[name] = dataclasses.replace(found[name], default=value)
    for name, parameter in found.items():
        default = parameter.value(parameter.default, cls.__name__)
        found[name] = parameter if default is parameter.default else dataclasses.replace(parameter, default=default)
        if inspect.getattr_static(cls, name) is not found[name]:
            setattr(cls, name, found[name])
    return found


def choose(parameters: dict[str, Parameter], given: Mapping[str, object], place: str) -> dict[str, ParamValue]:
    """The value of every parameter, in the order of declaration: what is given, else the default."""
    for name in given:
        if name not in parameters:
            raise UserError(f"unknown parameter {name!r}", place, nearest(name, parameters))
    return {
        name: parameter.value(given[name], place) if name in given else parameter.default
        for name, parameter in parameters.items()
    }


def _bound(parameter: Parameter, name: str, base: type, cls: type) -> Parameter:
    """The parameter with its name and the type that its annotation says."""
    hint = inspect.get_annotations(base).get(name)
    kind = hint if isinstance(hint, str) else getattr(hint, "__name__", str(hint))
    if hint is None or kind not in _WORDS:
        said = "has no type" if hint is None else f"is annotated {kind}"
        raise UserError(f"parameter {name} {said}", cls.__name__, f"write {name}: int (or float, bool, str) = Param(…)")
    limits = (parameter.ge, parameter.le, parameter.gt, parameter.lt)
    if kind in ("bool", "str") and any(limit is not None for limit in limits):
        raise UserError(f"parameter {name} is {_WORDS[kind]} and has no range", cls.__name__, "use choices=")
    return dataclasses.replace(parameter, name=name, kind=kind)


def _read_int(given: object) -> int | None:
    if isinstance(given, bool):  # an Integral in Python, yet `fast = True` is a mistake
        return None
    if isinstance(given, str):
        try:
            return int(given)
        except ValueError:
            return None
    return int(given) if isinstance(given, numbers.Integral) else None  # NumPy's integers are Integral too


def _read_float(given: object) -> float | None:
    if isinstance(given, bool) or not isinstance(given, str | numbers.Real):
        return None
    try:
        number = float(given)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _read_bool(given: object) -> bool | None:
    return _TRUTH.get(given.strip().lower()) if isinstance(given, str) else given if isinstance(given, bool) else None


def _read_str(given: object) -> str | None:
    return given if isinstance(given, str) else None


_READ: dict[str, Callable[[object], ParamValue | None]] = {
    "int": _read_int,
    "float": _read_float,
    "bool": _read_bool,
    "str": _read_str,
}
