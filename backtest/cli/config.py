"""`backtest config show`."""

from __future__ import annotations

from typing import Any

import click

from backtest.cli import flags
from backtest.runner.setting import LATENCY, RUN, SHARED_MARGIN, SUB_ACCOUNTS


@click.group(cls=flags.Group)
def config() -> None:
    """Show the settings of a run."""


@config.command(
    short_help="Print every setting and where it comes from.",
    epilog="""Examples:
  backtest config show --config run.toml
  backtest config show my.py --config run.toml -p fast=12 --leverage 5
""",
)
@click.argument("strategies", metavar="[STRATEGY]...", nargs=-1, shell_complete=flags.files)
@flags.settings(RUN, SUB_ACCOUNTS, SHARED_MARGIN, LATENCY)
@flags.JSON
def show(strategies: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Print every setting with its value and where it comes from: default, flag, or file and line."""
    from backtest.cli import show_config
    from backtest.cli.run_request import run_request

    show_config.settings(run_request("", strategies, given, whole=False), as_json)
