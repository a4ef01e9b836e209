"""A run as a TOML file: read, with the line of every setting, and written into every report as `run.toml`.

Keys are the names of settings, at the top or in the table of their group (`[costs]`, `[network]`); `[params]` holds the
strategy's parameters. Relative paths are relative to the file.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backtest.core import durations, toml_text
from backtest.core.errors import UserError, nearest
from backtest.core.toml_lines import line_of
from backtest.data.remote import is_remote
from backtest.data.shipped import is_shipped
from backtest.results.report_files import DOCUMENT
from backtest.runner.setting import SHARED_MARGIN, SUB_ACCOUNTS, SWEEP, Group, Kind, Setting
from backtest.runner.settings import RunSettings, all_settings, settings_of
from backtest.strategy.loader import StrategySource, is_path, source_sha256
from backtest.strategy.source_location import has_source

MEMORY = "memory:"
"""Before the class of a strategy that was in memory only."""
STRATEGY = "strategy"
TABLES = {group.lower(): group for group in Group}
ASIDE = ("out", "timeout", "params", "workers", "threads", "cluster")
"""Settings that no result depends on, and the parameters, which have their own table."""
VARIED_PATHS = (STRATEGY, "venue", "chain", "data")
"""Settings whose values may be paths where they vary."""
PATHS_IN_TEXTS = {
    "slippage": ("depth=", (".parquet",)),
    "adl": ("", (".csv",)),
    "outages": ("", (".toml", ".json", ".csv")),
}
"""Settings whose texts may name a file: what stands before its path, and how it ends."""


@dataclass(frozen=True)
class Document:
    """What a file says. Values are as TOML has them, with paths as they are seen from the working directory."""

    file: str = ""
    strategies: tuple[str, ...] = ()
    values: Mapping[str, object] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    """Line of each value's key, by name of the setting."""


def read(path: Path) -> Document:
    """Read a file; UserError for one that is not TOML, and for a key that is not a setting."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        tree = tomllib.loads(text)
    except FileNotFoundError:
        raise UserError("no such file", str(path), "check --config") from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", str(path), "check --config") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"not readable as TOML: {error}", str(path), "correct the file") from None
    known = {told.name: told for told in all_settings()}
    values: dict[str, object] = {}
    lines: dict[str, int] = {}
    for where, value in _keys(tree):
        name, at = where[-1], f"{path}:{line_of(text, where)}"
        if name in values:
            raise UserError(f"{name} is given twice", at, "give it once")
        if name not in known and where != (STRATEGY,):
            raise UserError(f"unknown key {name!r}", at, nearest(name, [STRATEGY, *known]))
        if len(where) == 2 and known[name].group is not TABLES[where[0]]:
            remedy = f"put it into [{known[name].group.lower()}], or at the top"
            raise UserError(f"{name} is not in [{where[0]}]", at, remedy)
        values[name], lines[name] = value, line_of(text, where)
    strategies = _strategies(values.pop(STRATEGY, ()), f"{path}:{lines.pop(STRATEGY, 1)}")

    def here(one: str) -> str:
        return _from_here(one, path.parent)

    rebased = {name: _moved(known[name], value, here) for name, value in values.items()}
    return Document(str(path), tuple(_strategy_moved(one, here) for one in strategies), rebased, lines)


def _keys(tree: Mapping[str, object]) -> list[tuple[tuple[str, ...], object]]:
    """Every key of the file with its value, those in the tables of groups too."""
    found: list[tuple[tuple[str, ...], object]] = []
    for key, value in tree.items():
        # A table of guards is the setting of that name, which its group is called after.
        if key in TABLES and isinstance(value, dict) and not (key == "guards" and "guards" not in value):
            found += [((key, inner), one) for inner, one in value.items()]
        else:
            found.append(((key,), value))
    return found


def _strategies(value: object, place: str) -> tuple[str, ...]:
    given = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list | tuple) else (value,)
    if not all(isinstance(one, str) for one in given):
        raise UserError("strategy is not a text, nor a list of them", place, 'write it like strategy = "my.py"')
    for one in given:
        if str(one).startswith(MEMORY):
            thing = f"the strategy {str(one).removeprefix(MEMORY)} existed only in memory and cannot be run again"
            raise UserError(thing, place, "save its class in a file, and name the file there")
    return tuple(map(str, given))


def _moved(told: Setting, value: object, moved: Callable[[str], str]) -> object:
    """The value with ``moved`` of every relative path in it."""
    if told.kind is Kind.FILE and isinstance(value, str):
        named = (told.name in ("venue", "chain", "scenario") and not value.endswith(".toml")) or is_remote(value)
        return value if named else moved(value)
    if told.kind is Kind.POSITIONS and isinstance(value, str):
        return moved(value)
    if told.name == "vary" and isinstance(value, Mapping):
        return {name: _listed_moved(name, one, moved) for name, one in value.items()}
    if told.name in PATHS_IN_TEXTS and isinstance(value, str | list | tuple):
        before, ends = PATHS_IN_TEXTS[told.name]
        texts = [value] if isinstance(value, str) else value
        return [
            before + moved(text.removeprefix(before))
            if isinstance(text, str) and text.startswith(before) and text.endswith(ends)
            else text
            for text in texts
        ]
    return value


def _listed_moved(name: str, values: object, moved: Callable[[str], str]) -> object:
    """The values of a setting that varies, in a list, with ``moved`` of those that are paths."""
    if name not in VARIED_PATHS or not isinstance(values, list | tuple):
        return values
    return [
        _strategy_moved(one, moved) if name == STRATEGY else moved(one) if "/" in one or one.endswith(".toml") else one
        for one in map(str, values)
    ]


def _strategy_moved(spec: str, moved: Callable[[str], str]) -> str:
    """A strategy's text with ``moved`` of its file, if it names one."""
    base, colon, name = spec.rpartition(":")
    if colon and base and name.isidentifier():
        return f"{moved(base)}:{name}" if is_path(base) else spec
    return moved(spec) if is_path(spec) else spec


def _from_here(path: str, folder: Path) -> str:
    """A path relative to ``folder`` as it is seen from the working directory; outside of that, absolute."""
    if Path(path).is_absolute() or is_shipped(path, folder):
        return path
    whole = os.path.normpath(Path.cwd() / folder / path)
    near = os.path.relpath(whole)
    return whole if near.startswith(os.pardir) else near


def document_text(command: str, asked: RunSettings, strategies: Sequence[str], folder: Path) -> str:
    """Return the file that runs the same again: every setting that has a value, with paths relative to ``folder``.

    Where the report goes, how long it may take and on how many workers are left out: no result depends on them.
    """

    def there(path: str) -> str:
        return path if Path(path).is_absolute() or is_shipped(path) else os.path.relpath(Path.cwd() / path, folder)

    known = [told for told in settings_of(command) if told.name not in (*ASIDE, *asked.vary)]
    values = {told.name: getattr(asked, told.name) for told in known}
    held = values.pop("positions", None)
    if asked.venue_from_data:
        del values["venue"]
    several = {SUB_ACCOUNTS: "sub_accounts", SHARED_MARGIN: "shared_margin"}
    if command in several:
        values[several[command]] = True
    given = {name: value for name, value in values.items() if value is not None and value not in ((), {})}
    moved = [_strategy_moved(one, there) for one in strategies]
    named = {STRATEGY: moved if command in several else moved[0]} if moved else {}
    called = "run" if command in several else command
    file = f"{SWEEP}.toml" if command == SWEEP else DOCUMENT
    lines = [f"# The settings of this report. Run them again: backtest {called} --config {file}"]
    if any(one.startswith(MEMORY) for one in strategies):
        lines = ["# This report cannot be run again from here: its strategy existed only in memory."]
    flat = (Group.DATA, Group.ACCOUNT, Group.GUARDS)
    tables = (Group.COSTS, Group.NETWORK, Group.OUTPUT, Group.STRESS, Group.SWEEP)
    lines += [toml_text.line(name, value) for name, value in named.items()]
    lines += _lines(given, flat, there)
    if asked.params:
        lines += ["", "[params]", *(toml_text.line(name, value) for name, value in asked.params.items())]
    for group in tables:
        inner = _lines(given, (group,), there)
        lines += ["", f"[{group.lower()}]", *inner] if inner else []
    for row in held.rows if held else ():
        lines += ["", "[[positions]]", *(toml_text.line(name, value) for name, value in row.items())]
    return "\n".join(lines) + "\n"


def _lines(values: Mapping[str, object], groups: Sequence[Group], there: Callable[[str], str]) -> list[str]:
    """A line per setting of these groups."""
    known = {told.name: told for told in all_settings() if told.group in groups}
    return [
        f"{name} = {_written(known[name], _moved(known[name], value, there))}"
        for name, value in values.items()
        if name in known
    ]


def _written(told: Setting, value: object) -> str:
    """A checked value as TOML has it: times as dates, lengths of time as text."""
    if told.kind is Kind.TIME and isinstance(value, int):
        return toml_text.instant(value)
    return toml_text.value(durations.text(value) if told.kind is Kind.LENGTH and isinstance(value, int) else value)


def named_again(strategy: StrategySource, spec: str) -> str:
    """What a file names a strategy: its text; or the class of one in memory, marked as such if it has no source."""
    if isinstance(strategy, str | Path):
        return str(strategy)
    try:
        source = source_sha256(strategy)
        found = source is not None and "<locals>" not in spec and has_source(spec, source)
    except UserError:
        found = False
    return spec if found else MEMORY + spec.rpartition(":")[2]
