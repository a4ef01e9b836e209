"""`backtest check`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

import click

from backtest.cli import flags, run_commands
from backtest.runner.setting import CHECK


@click.command(
    cls=flags.Command,
    short_help="Find look-ahead, unseeded chance and shared state in a strategy.",
    epilog=f"""{run_commands.ABOUT}

Exit 1 if something is found. A run checks one cut; this command checks many, and more than cuts.

Examples:
  backtest check sma_cross --data binance-2025
  backtest check my.py --data data/binance --cuts 50 --start 2025-10-01
""",
)
@click.argument("strategies", metavar="STRATEGY", nargs=-1, shell_complete=flags.files)
@flags.settings(CHECK)
@flags.JSON
def check(strategies: Sequence[str], as_json: bool, **given: Any) -> None:
    """Replay a strategy on data that end early, on other futures and on candles in a random order, and compare."""
    import backtest
    from backtest.cli import show_check
    from backtest.cli.run_request import run_request

    asked = run_request(CHECK, strategies, given)
    with asked.named_in_errors(), redirect_stdout(sys.stderr), show_check.Bar() as bar:
        found = backtest.check(asked.strategies[0], asked.data, progress=bar, **asked.keywords())
    show_check.check(found, asked.strategies[0], as_json)
    if not found.passed:
        sys.exit(1)
