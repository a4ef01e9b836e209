"""`backtest report`."""

from __future__ import annotations

from pathlib import Path

import click

from backtest.cli import flags


@click.command(
    cls=flags.Command,
    short_help="Make the page of a report again.",
    epilog="""Examples:
  backtest report reports/mine
""",
)
@click.argument("folder", type=flags.FOLDER)
def report(folder: Path) -> None:
    """Make report.html in FOLDER again, from its tables and summary. No strategy is run.

    A report of an earlier version gets the page of this one.
    """
    from backtest.runner.rebuild import rebuild

    click.echo(f"report: {rebuild(folder)}")
