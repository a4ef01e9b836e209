"""Who gave a setting, and so what an error calls it: a keyword of Python, a flag, or a line of a TOML file.

Every error in the package names flags. `keyword_errors` turns them into keywords for a caller in Python; the
command line says by `Origins` which of them a file gave.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, wraps
from typing import ParamSpec, TypeVar

from backtest.core.errors import BacktestError, SettingError, UserError
from backtest.runner.setting import Kind, Setting
from backtest.runner.settings import all_settings, settings_of

P = ParamSpec("P")
R = TypeVar("R")

_FLAG = re.compile(r"(?<![\w-])(--[a-z][a-z-]*|-p)(?:=([\w%.:-]+)| (missing-funding))?(?![\w-])")
NOT_KEYWORDS = ("data", "sub_accounts", "shared_margin")
"""Settings that are separate arguments, or functions, in Python."""

_flags: ContextVar[bool] = ContextVar("flags", default=False)
"""Whether a command line calls the public functions: their errors then keep naming flags."""


@contextmanager
def flags_in_errors() -> Iterator[None]:
    """Let errors name flags in this block."""
    token = _flags.set(True)
    try:
        yield
    finally:
        _flags.reset(token)


def keyword_errors(command: str | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a public function: its errors name keywords, and its signature lists the settings of ``command``."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def called(*arguments: P.args, **keywords: P.kwargs) -> R:
            try:
                return function(*arguments, **keywords)
            except BacktestError as error:
                if not _flags.get():
                    _name_keywords(error)
                raise

        if command is not None:
            called.__signature__ = signature(function, command)  # type: ignore[attr-defined]
        return called

    return decorate


def _name_keywords(error: BacktestError) -> None:
    """Let an error name keywords: `leverage=` in a sentence, and `leverage` alone where the place comes first."""
    error.respell(with_keywords)
    if isinstance(error, UserError) and not isinstance(error, SettingError):
        error.place = re.sub(r"(?<=\w)=(?= |$)", "", error.place)
        error.args = (error.text(),)


def signature(function: Callable[..., object], command: str) -> inspect.Signature:
    """The function's signature with every setting of the command, for `help` and for notebooks that complete."""
    own = inspect.signature(function)
    kept = [one for one in own.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    further = [
        inspect.Parameter(
            told.name, inspect.Parameter.KEYWORD_ONLY, default=told.default_of(command), annotation=told.keyword_type
        )
        for told in settings_of(command)
        if told.name not in NOT_KEYWORDS
    ]
    return own.replace(parameters=[*kept, *further])


@cache
def _by_flag() -> Mapping[str, Setting]:
    return {flag: told for told in all_settings() for flag in (told.flag, *told.flags, told.off)}


def with_keywords(text: str) -> str:
    """The text with `name=` in place of every flag of a setting, as in ``give one with reserve=``."""

    def spelt(match: re.Match[str]) -> str:
        flag, value = match[1], match[2] or match[3]
        told = _by_flag().get(flag)
        name = told.name if told else flag.lstrip("-").replace("-", "_")
        if told and told.kind is Kind.SWITCH and flag == told.off:
            return f"{name}=False"
        return f"{name}=" if value is None else f"{name}={value!r}"

    return _FLAG.sub(spelt, text)


@dataclass(frozen=True)
class Origins:
    """Lines of a TOML file by the name of the setting that each gives; other settings are flags."""

    file: str
    lines: Mapping[str, int]

    def respell(self, error: BacktestError) -> None:
        """Let a UserError whose place is the flag of a setting of the file name file, line and key."""
        if not isinstance(error, UserError):
            return
        match = _FLAG.match(error.place)
        told = _by_flag().get(match[1]) if match else None
        if match is None or told is None or told.name not in self.lines:
            return
        at, rest = f"{self.file}:{self.lines[told.name]}", error.place[match.end() :]
        if isinstance(error, SettingError):
            error.thing, error.place = f"{at}: {error.thing}", told.name
        else:
            error.place = f"{at}: {told.name}{rest}"
        error.args = (error.text(),)
