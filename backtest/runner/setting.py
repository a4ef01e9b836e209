"""One setting of a run: how it is written, its range and default, and what it does.

Imports nothing outside the standard library, so that `backtest run --help` can list every setting at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")

RUN, COMPARE, LATENCY, SUB_ACCOUNTS, SWEEP, CHECK = "run", "compare", "latency", "subaccounts", "sweep", "check"
STRESS, MONTECARLO, SHARED_MARGIN = "stress", "montecarlo", "shared_margin"
COMMANDS = (RUN, COMPARE, LATENCY, SUB_ACCOUNTS, SHARED_MARGIN, SWEEP, CHECK, STRESS, MONTECARLO)
"""Functions of the public API that replay a strategy. `subaccounts` is `backtest run --sub-accounts`."""


class Group(StrEnum):
    """Heading of a setting in help and documents; in lower case the table of a TOML file."""

    DATA = "Data"
    ACCOUNT = "Account"
    COSTS = "Costs"
    GUARDS = "Guards"
    OUTPUT = "Output"
    NETWORK = "Network"
    STRESS = "Stress"
    SWEEP = "Sweep"


class Kind(StrEnum):
    """How the value of a setting is written."""

    SWITCH = "true or false"
    WHOLE = "whole number"
    NUMBER = "number"
    NUMBER_OR_WORD = "number or a word"
    TEXT = "text"
    CHOICE = "one of several words"
    FILE = "path"
    TIME = "date or ISO time"
    LENGTH = "length of time"
    NAMES = "names"
    """In a text separated by commas, or in a list."""
    NUMBERS = "list of numbers"
    TEXTS = "list of texts"
    PAIRS = "list of KIND=VALUE"
    """Or a table of kinds and values."""
    PARAMS = "table of names and values"
    POSITIONS = "path, or list of tables"


KEYWORD_TYPES = {
    Kind.SWITCH: "bool",
    Kind.WHOLE: "int",
    Kind.NUMBER: "float",
    Kind.TEXT: "str",
    Kind.FILE: "str | Path",
    Kind.TIME: "int | str | dt.date | dt.datetime",
    Kind.LENGTH: "int | str",
    Kind.NAMES: "str | Sequence[str]",
    Kind.NUMBERS: "str | Sequence[float | str]",
    Kind.TEXTS: "str | Sequence[str]",
    Kind.PAIRS: "str | Sequence[str] | Mapping[str, str | float]",
    Kind.PARAMS: "Mapping[str, object]",
    Kind.POSITIONS: "str | Path | Mapping[str, object] | Sequence[Mapping[str, object]]",
}
"""Type of the keyword argument, as Python writes it; words are added as literals."""


@dataclass(frozen=True)
class Setting:
    """One setting, apart from its type in :class:`RunSettings`."""

    help: str
    """One sentence."""
    group: Group
    kind: Kind
    metavar: str = ""
    """Of the flag; empty: a switch."""
    unit: str = ""
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    absent: str = ""
    """What holds where it is not given and the default is None or empty."""
    flags: tuple[str, ...] = ()
    """Of the command line, the first one in front; empty: made of the name."""
    commands: tuple[str, ...] = COMMANDS
    defaults: tuple[tuple[str, object], ...] = ()
    """Of single commands, where theirs is another."""
    recorded: str = ""
    """Its name in a report's `summary.json`; empty: its own; `-`: it is not there."""
    example: str = ""
    """A value as TOML writes it."""
    name: str = ""
    default: object = None

    @property
    def flag(self) -> str:
        """The flag as help and errors name it, without the `no-` of a switch."""
        return self.flags[0] if self.flags else "--" + self.name.replace("_", "-")

    @property
    def spelt(self) -> str:
        """The flag that is worth giving: of a switch that is on by default, the one that turns it off."""
        return self.off if self.default is True else self.flag

    @property
    def off(self) -> str:
        """The flag that turns a switch off."""
        return "--no-" + self.flag.removeprefix("--")

    @property
    def repeated(self) -> bool:
        """Whether the flag may be given more than once."""
        return self.kind in (Kind.TEXTS, Kind.PAIRS, Kind.PARAMS)

    def default_of(self, command: str) -> object:
        """The default in a command."""
        return dict(self.defaults).get(command, self.default)

    @property
    def keyword_type(self) -> str:
        """Type of the keyword argument, as Python writes it."""
        words = ", ".join(f'"{word}"' for word in self.choices)
        literal = {Kind.CHOICE: f"Literal[{words}]", Kind.NUMBER_OR_WORD: f"float | Literal[{words}]"}
        plain = literal.get(self.kind) or KEYWORD_TYPES[self.kind]
        return f"{plain} | None" if self.default is None else plain

    @property
    def range_text(self) -> str:
        """What may be given, as an error tells it; empty where any text may."""
        if self.kind is Kind.SWITCH:
            return "true or false"
        words = ", ".join(self.choices)
        number = {
            Kind.WHOLE: "a whole number", Kind.NUMBER: "a number", Kind.NUMBER_OR_WORD: f"{words}, or a number",
        }  # fmt: skip
        return f"{number[self.kind]} from {self.bounds}" if self.kind in number else words

    @property
    def bounds(self) -> str:
        """``0.01 to 1,000``; empty where there are none."""
        if self.least is None or self.most is None:
            return ""
        # A whole number is shown whole: the largest seed has 19 digits.
        return " to ".join(f"{n:,}" if isinstance(n, int) else f"{n:,.12g}" for n in (self.least, self.most))


def setting(
    default: T,
    text: str,
    group: Group,
    kind: Kind,
    metavar: str = "",
    *,
    unit: str = "",
    within: tuple[float, float] | None = None,
    choices: Sequence[str] = (),
    absent: str = "",
    flags: Sequence[str] = (),
    commands: Sequence[str] = COMMANDS,
    defaults: Sequence[tuple[str, object]] = (),
    recorded: str = "",
    example: str = "",
) -> T:
    """Return the field of a dataclass that is a setting; see :class:`Setting`. ``within``: its least and most."""
    least, most = within or (None, None)
    told = Setting(
        text, group, kind, metavar, unit, least, most, tuple(choices), absent, tuple(flags), tuple(commands),
        tuple(defaults), recorded, example, default=default,
    )  # fmt: skip
    if isinstance(default, dict):
        return field(default_factory=dict, metadata={"setting": told})  # type: ignore[return-value]
    return field(default=default, metadata={"setting": told})


def named(told: Setting, name: str) -> Setting:
    """The setting with the name of its field."""
    return replace(told, name=name)
