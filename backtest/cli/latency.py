"""`backtest latency`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import click

from backtest.cli import flags, run_commands


@click.command(
    cls=flags.Command, epilog=run_commands.ABOUT, short_help="Replay it at several delays: the price of being slower."
)
@click.argument("strategy")
@flags.replay
@click.option(
    "--grid",
    default="0,50,200,1000,5000",
    show_default=True,
    metavar="MS,...",
    help="Delays from the decision until a message leaves, ms; a chain's own way comes on top.",
)
@click.option(
    "--margin",
    default="cross",
    show_default=True,
    help="Margin mode: cross, isolated or portfolio; a market may have its own, with commas: cross,DOGE-USD=isolated.",
)
def latency(strategy: str, data: Path, out: Path | None, as_json: bool, verbose: bool, **settings: Any) -> None:
    """Replay one account per delay over the same prices and write the curve of profit against latency."""
    import backtest
    from backtest.cli import show_latency
    from backtest.cli.progress import Progress

    folder = out or Path("reports", f"{run_commands.stem(strategy)}-latency")
    with redirect_stdout(sys.stderr), Progress() as progress:
        curve = backtest.latency(strategy, data, out=folder, progress=progress, **settings)
    show_latency.curve(curve, as_json, verbose)


# The grid has the delays: one more would say twice what is asked.
latency.params = [param for param in latency.params if param.name != "latency_ms"]
