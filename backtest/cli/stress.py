"""`backtest stress`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import click

from backtest.cli import flags, run_commands
from backtest.runner.setting import STRESS


@click.command(
    cls=flags.Command,
    short_help="Replay crash scenarios: which margin mode survives?",
    epilog=f"""{run_commands.ABOUT}

Scenarios: docs/reference/scenarios.md. The pack `crashes` comes with the package.

Examples:
  backtest stress hedged_pair --data binance-2025 -p long=BTCUSDT -p short=ETHUSDT
  backtest stress my.py --data data/binance --scenario my-pack.toml --margin isolated,cross,portfolio
  backtest stress my.py --data data/binance --vary venue=dydx_v4,hyperliquid
""",
)
@click.argument("strategies", metavar="[STRATEGY]", nargs=-1, shell_complete=flags.files)
@flags.settings(STRESS)
@flags.JSON
def stress(strategies: Sequence[str], as_json: bool, **given: Any) -> None:
    """Replay the strategy under each scenario of a pack, in each margin mode, and write the survival table."""
    import backtest
    from backtest.cli import show_stress
    from backtest.cli.run_request import run_request

    asked = run_request(STRESS, strategies, given)
    out = str(Path("reports", f"{asked.named}-stress"))
    settings = asked.keywords(out=out)
    with asked.named_in_errors(), redirect_stdout(sys.stderr), show_stress.Bar() as bar:
        found = backtest.stress(asked.strategy, asked.data, progress=bar, **settings)
    show_stress.stress(found, as_json)
