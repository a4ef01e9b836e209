"""What a command is asked to run: the flags that are given, over the file that `--config` names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from backtest.core.errors import BacktestError, SettingError
from backtest.runner.origins import NOT_KEYWORDS, Origins
from backtest.runner.run_document import Document, read
from backtest.runner.setting import RUN, SHARED_MARGIN, SUB_ACCOUNTS, Kind, Setting
from backtest.runner.settings import find, settings_of
from backtest.runner.validation import value_of

TOGETHER = {"sub_accounts": SUB_ACCOUNTS, "shared_margin": SHARED_MARGIN}
"""Switches of `run` that make it the function for several strategies."""
CALLED = {SUB_ACCOUNTS: "sub-accounts", SHARED_MARGIN: "shared margin"}


@dataclass(frozen=True)
class RunRequest:
    """The strategies and the settings that are given, checked, and where each was given."""

    command: str
    """A function of the public API, as `runner.setting` names it."""
    strategies: tuple[str, ...]
    values: Mapping[str, Any]
    """By name of the setting; those that are not given are not there."""
    document: Document
    flags: frozenset[str]
    """Names of the settings that flags gave."""
    origins: Origins
    dry: bool
    """Whether only to say what would be run."""

    @property
    def strategy(self) -> str | None:
        """The strategy of one account; None where there are positions in its place."""
        return self.strategies[0] if self.strategies else None

    @property
    def named(self) -> str:
        """A short name for a report: of the strategies, or of the positions file."""
        from backtest.runner.sub_accounts import stem

        held = self.values.get("positions")
        return "-".join(map(stem, self.strategies)) or (Path(str(held.place)).stem if held else "strategies")

    @property
    def data(self) -> str:
        """Where the dataset lies."""
        return str(self.values.get("data", ""))

    def keywords(self, **defaults: object) -> dict[str, Any]:
        """Keyword arguments of the function, with defaults in place of what is not given."""
        names = {told.name for told in settings_of(self.command)} - set(NOT_KEYWORDS)
        given = {name: value for name, value in self.values.items() if name in names}
        return {**defaults, **given}

    def where(self, name: str) -> str:
        """Who gave a setting: `flag`, `run.toml:7` or `default`."""
        line = self.origins.lines.get(name)
        places = [f"{self.document.file}:{line}"] * (line is not None) + ["flag"] * (name in self.flags)
        return " and ".join(places) or "default"

    @contextmanager
    def named_in_errors(self) -> Iterator[None]:
        """Let errors of this block name the lines of the file where it gave what is wrong."""
        with _respelt(self.origins):
            yield


@contextmanager
def _respelt(origins: Origins) -> Iterator[None]:
    try:
        yield
    except BacktestError as error:
        origins.respell(error)
        raise


def run_request(command: str, strategies: Sequence[str], given: Mapping[str, Any], whole: bool = True) -> RunRequest:
    """Put flags over the file and check every value; a usage error, or a UserError that names flag or line.

    ``given``: by name of the setting, None or empty where a flag was not given; `config` and `dry_run` too. `run`
    becomes `subaccounts` where they are asked for. ``whole``: a strategy and data have to be given.
    """
    document = Document() if given.get("config") is None else read(given["config"])
    others = (None, ()), ("config", "dry_run")
    flags = {name: value for name, value in given.items() if value not in others[0] and name not in others[1]}
    for name, several in TOGETHER.items():
        if command == RUN and flags.get(name, document.values.get(name)):
            command = several
    overridden = {name for name in flags if find(name).kind is not Kind.PARAMS}
    origins = Origins(document.file, {name: line for name, line in document.lines.items() if name not in overridden})
    with _respelt(origins):
        values = {name: value_of(find(name), document.values[name]) for name in origins.lines}
    for name, value in flags.items():
        if find(name).kind is Kind.PARAMS:
            values[name] = {**values.get(name, {}), **parameters(value, _shortest(find(name)))}
        else:
            values[name] = value_of(find(name), value, text=True)
    given_here = "positions" in flags
    named = tuple(strategies) or (() if given_here else document.strategies)
    if strategies and not given_here:
        values.pop("positions", None)
    if whole:
        _check(command, named, values, flags)
    return RunRequest(command, named, values, document, frozenset(flags), origins, bool(given.get("dry_run")))


def _check(command: str, strategies: Sequence[str], values: Mapping[str, Any], flags: Mapping[str, Any]) -> None:
    """A usage error for what is missing, and for flags that the command does not have."""
    held = "positions" in values and command != SUB_ACCOUNTS
    if strategies and held:
        raise click.UsageError("--positions takes the place of STRATEGY: give one of them.")
    varied = values.get("vary", {})
    if not strategies and not held and "strategy" not in varied:
        raise click.UsageError("Missing argument 'STRATEGY...'.")
    if flags.get("sub_accounts") and flags.get("shared_margin"):
        raise click.UsageError("--sub-accounts contradicts --shared-margin: leave one of them out.")
    if command not in TOGETHER.values() and len(strategies) > 1:
        raise click.UsageError(
            f"{len(strategies)} strategies ({', '.join(strategies)}): one account has one strategy; give each a "
            "sub-account with --sub-accounts, or let them share one account with --shared-margin."
        )
    if "data" not in values and "data" not in varied:
        raise click.UsageError("Missing option '--data'.")
    known = {told.name for told in settings_of(command)} | TOGETHER.keys()
    for name in flags.keys() - known:
        told = find(name)
        flag = told.off if flags[name] is False else told.flag
        needed = [find(switch).flag for switch, several in TOGETHER.items() if several in told.commands]
        if needed:
            raise click.UsageError(f"{flag} requires {' or '.join(needed)}.")
        raise click.UsageError(f"{flag} does not apply to {CALLED[command]}.")


def parameters(given: Sequence[str], flag: str = "-p") -> dict[str, str]:
    """The strategy's parameters of NAME=VALUE texts; the strategy reads each value by its parameter's type."""
    out: dict[str, str] = {}
    for text in given:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals):
            example = "-p fast=10" if flag == "-p" else f"{flag} leverage=2,5"
            raise SettingError(f"{text!r} is not NAME=VALUE", flag, f"write it like {example}")
        if name in out:
            raise SettingError(f"{name!r} is given twice", flag, "give it once")
        out[name] = value
    return out


def _shortest(told: Setting) -> str:
    """The flag of a setting as people type it."""
    return min(told.flags or (told.flag,), key=len)
