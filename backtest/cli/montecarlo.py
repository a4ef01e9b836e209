"""`backtest montecarlo`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import click

from backtest.cli import flags, run_commands
from backtest.runner.setting import MONTECARLO


@click.command(
    cls=flags.Command,
    short_help="Replay an account on many resampled histories.",
    epilog=f"""{run_commands.ABOUT}

Needs pip install 'perp-backtest[research]'.

Examples:
  backtest montecarlo hedged_pair --data binance-2025 --margin isolated,cross --leverage 5 --paths 1000
  backtest montecarlo my.py --data data/binance --block 14d
""",
)
@click.argument("strategies", metavar="STRATEGY", nargs=-1, shell_complete=flags.files)
@flags.settings(MONTECARLO)
@flags.JSON
def montecarlo(strategies: Sequence[str], as_json: bool, **given: Any) -> None:
    """Draw blocks of joint candles at random, replay each path through the engine, and write how the account fares."""
    import backtest
    from backtest.cli import show_montecarlo
    from backtest.cli.run_request import run_request

    asked = run_request(MONTECARLO, strategies, given)
    settings = asked.keywords(out=str(Path("reports", f"{asked.named}-montecarlo")))
    with asked.named_in_errors(), redirect_stdout(sys.stderr), show_montecarlo.Bar() as bar:
        found = backtest.montecarlo(asked.strategy, asked.data, progress=bar, **settings)
    show_montecarlo.montecarlo(found, as_json)
