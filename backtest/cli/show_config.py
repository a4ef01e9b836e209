"""Prints the settings of a run, and what a command would run."""

from __future__ import annotations

from typing import Any

from backtest.cli import console
from backtest.cli.flags import default_text
from backtest.cli.run_request import RunRequest
from backtest.core import durations, times
from backtest.runner.setting import COMMANDS, Kind, Setting
from backtest.runner.settings import all_settings


def settings(asked: RunRequest, as_json: bool) -> None:
    """Print the strategy and every setting: name, value, and where it was given."""
    place = asked.document.file if asked.document.strategies == asked.strategies else "argument"
    rows = [("strategy", ", ".join(asked.strategies) or "(none)", place if asked.strategies else "default", "")]
    for told in all_settings():
        given = told.name in asked.values
        value = told.default if not given else asked.values[told.name]
        rows.append((told.name, plain(told, value), asked.where(told.name), _only(told)))
    if as_json:
        console.write_json({name: {"value": value, "from": source} for name, value, source, _ in rows})
        return
    table = console.grid("setting", "value", "from", "only of", numbers=False)
    for row in rows:
        table.add_row(*row)
    console.write_table(table)


def plain(told: Setting, value: Any) -> str:
    """A checked value as a user writes it; of one that is not given, what holds instead."""
    if told.kind is Kind.TIME and isinstance(value, int):
        return times.stamp(value)
    if told.kind is Kind.LENGTH and isinstance(value, int):
        return durations.text(value)
    if told.kind is Kind.PARAMS and value:
        return ", ".join(f"{name}={one}" for name, one in value.items())
    return default_text(told, value)


def _only(told: Setting) -> str:
    """Commands that have the setting, where not all do."""
    return "" if set(told.commands) == set(COMMANDS) else ", ".join(told.commands)
