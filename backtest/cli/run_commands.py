"""`backtest run`, `compare`, `demo` and `verify`.

While a strategy runs standard output is standard error: what it prints must not get into the answer.
"""

from __future__ import annotations

import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import click

from backtest.cli import flags
from backtest.runner.setting import COMPARE, RUN, SHARED_MARGIN, SUB_ACCOUNTS

ABOUT = """STRATEGY is a file (my.py, my.py:Class), package.module:Class, or a name of `backtest strategies list`.
--positions FILE takes its place."""


@click.command(
    cls=flags.Command,
    short_help="Replay one account, or several strategies in sub-accounts or over shared margin.",
    epilog=f"""{ABOUT}

Examples:
  backtest run sma_cross --data binance-2025 -p fast=12 -p slow=48
  backtest run my.py --data data/binance --start 2025-10-01 --margin isolated --leverage 5
  backtest run --positions positions.csv --data binance-2025 --cash 50000
  backtest run a.py b.py --data data/binance --shared-margin --margin-limit 30%,40% --loss-cap 20%,10%
  backtest run --config reports/mine/run.toml --fee-bps 2
""",
)
@click.argument("strategies", metavar="[STRATEGY...]", nargs=-1, shell_complete=flags.files)
@flags.replay(RUN, SUB_ACCOUNTS, SHARED_MARGIN)
def run(strategies: tuple[str, ...], as_json: bool, verbose: bool, **given: Any) -> None:
    """Replay one account and write its report.

    With --sub-accounts: replay several strategies, each in its own sub-account, over the same data.
    With --shared-margin: replay them over one account, whose collateral they share.
    """
    import backtest
    from backtest.cli import output
    from backtest.cli.dry_run import show_plan
    from backtest.cli.progress import Progress
    from backtest.cli.run_request import run_request

    asked = run_request(RUN, strategies, given)
    if asked.dry:
        show_plan(asked, as_json)
        return
    apart, shared = asked.command == SUB_ACCOUNTS, asked.command == SHARED_MARGIN
    mode = _plain(",".join(asked.values.get("margin", ("cross",))))
    kind = "sub-accounts" if apart else "shared-margin" if shared else mode
    settings = asked.keywords(out=str(Path("reports", f"{asked.named}-{kind}")))
    with asked.named_in_errors(), redirect_stdout(sys.stderr), Progress() as progress:
        if apart:
            shown = backtest.subaccounts(asked.strategies, asked.data, progress=progress, **settings)
        elif shared:
            pooled = backtest.shared_margin(asked.strategies, asked.data, progress=progress, **settings)
        else:
            result = backtest.run(asked.strategy, asked.data, progress=progress, **settings)
    if apart:
        output.subaccounts(shown, as_json, verbose)
    elif shared:
        output.shared_margin(pooled, as_json, verbose)
    else:
        output.result(result, as_json, verbose)


@click.command(
    cls=flags.Command,
    short_help="Compare margin modes side by side.",
    epilog=f"""{ABOUT}

Examples:
  backtest compare hedged_pair --data binance-2025 -p long=BTCUSDT -p short=ETHUSDT --leverage 10
  backtest compare my.py --data data/binance --margin isolated,cross,portfolio --venue generic
  backtest compare my.py --data data/binance --vary venue=dydx_v4,hyperliquid --vary leverage=5,10
""",
)
@click.argument("strategies", metavar="[STRATEGY]", nargs=-1, shell_complete=flags.files)
@flags.replay(COMPARE)
def compare(strategies: tuple[str, ...], as_json: bool, verbose: bool, **given: Any) -> None:
    """Replay one account per margin mode over the same prices and write one report."""
    import backtest
    from backtest.cli import output
    from backtest.cli.dry_run import show_plan
    from backtest.cli.progress import Progress
    from backtest.cli.run_request import run_request

    asked = run_request(COMPARE, strategies, given)
    if asked.dry:
        show_plan(asked, as_json)
        return
    varied = asked.values.get("vary", {})
    modes = _plain("-".join(varied or asked.values.get("margin", ("isolated", "cross"))))
    settings = asked.keywords(out=str(Path("reports", f"{asked.named}-{modes}")))
    with asked.named_in_errors(), redirect_stdout(sys.stderr), Progress() as progress:
        comparison = backtest.compare(asked.strategy, asked.data, progress=progress, **settings)
    output.comparison(comparison, as_json, verbose)


@click.command(cls=flags.Command, short_help="Compare margin modes through the crash of October 2025.")
@click.argument("folder", type=flags.FOLDER, default=Path("backtest-demo"))
@flags.VERBOSE
@flags.JSON
def demo(folder: Path, as_json: bool, verbose: bool) -> None:
    """Replay a hedged pair through October 2025 on real prices, in isolated and cross margin.

    Uses the dataset binance-2025 of the package. Writes the report into FOLDER, by default
    backtest-demo.
    """
    import backtest
    from backtest.cli import output
    from backtest.cli.progress import Progress

    with Progress() as progress:
        comparison = backtest.demo(folder, progress=progress)
    output.comparison(comparison, as_json, verbose)


@click.command(cls=flags.Command, short_help="Run a report again and compare.")
@click.argument("folder", type=flags.FOLDER)
@click.option("--data", type=flags.DATASET, help="Dataset, if it has moved.  [default: where it was]")
@click.option(
    "--trust",
    is_flag=True,
    help="Run the strategy even if its file has changed since the report.",
)
@flags.TIMEOUT
@flags.JSON
def verify(folder: Path, data: Path | str | None, trust: bool, timeout: float | None, as_json: bool) -> None:
    """Replay the report in FOLDER and compare everything in it. Exit code 1 if anything differs.

    This runs the report's strategy with your rights: read it before you verify a stranger's report.
    """
    import backtest
    from backtest.cli import output

    with redirect_stdout(sys.stderr):
        verification = backtest.verify(folder, data=data, trust=trust, timeout=timeout)
    output.verification(verification, folder, as_json)
    if not verification.ok:
        raise click.ClickException(f"{folder}: not the same; {output.unequal(verification)}")


def _plain(name: str) -> str:
    """The name as a folder may have it."""
    return re.sub(r"[^\w.-]", "-", name)
