"""`backtest latency`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import click

from backtest.cli import flags, run_commands
from backtest.runner.setting import LATENCY


@click.command(
    cls=flags.Command,
    short_help="Measure what slower orders cost.",
    epilog=f"""{run_commands.ABOUT}

Examples:
  backtest latency sma_cross --data binance-2025 --grid 0,250,1000 --slippage drift=1
""",
)
@click.argument("strategies", metavar="[STRATEGY]", nargs=-1, shell_complete=flags.files)
@flags.replay(LATENCY)
def latency(strategies: tuple[str, ...], as_json: bool, verbose: bool, **given: Any) -> None:
    """Replay one account per delay over the same prices and write the curve of profit against latency."""
    import backtest
    from backtest.cli import show_latency
    from backtest.cli.dry_run import show_plan
    from backtest.cli.progress import Progress
    from backtest.cli.run_request import run_request

    asked = run_request(LATENCY, strategies, given)
    if asked.dry:
        show_plan(asked, as_json)
        return
    settings = asked.keywords(out=str(Path("reports", f"{asked.named}-latency")))
    with asked.named_in_errors(), redirect_stdout(sys.stderr), Progress() as progress:
        curve = backtest.latency(asked.strategy, asked.data, progress=progress, **settings)
    show_latency.curve(curve, as_json, verbose)
