"""`backtest sweep` and `backtest sweep show`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import click

from backtest.cli import flags, run_commands
from backtest.runner.setting import SWEEP


@click.command(cls=flags.Command, short_help="Turn one row of a sweep into a full report.")
@click.argument("folder", type=flags.FOLDER)
@click.argument("run", type=click.IntRange(min=0))
@click.option("--out", type=flags.FOLDER, help="Folder of the report.  [default: run-RUN in FOLDER]")
@flags.VERBOSE
@flags.JSON
def show(folder: Path, run: int, out: Path | None, as_json: bool, verbose: bool) -> None:
    """Run row RUN of the sweep in FOLDER again and write its report.

    Exit 1 if it no longer gives the digest of the row.
    """
    from backtest.cli import output
    from backtest.research.sweep_again import read_sweep

    with redirect_stdout(sys.stderr):
        result = read_sweep(folder).result(run, out or folder / f"run-{run}")
    output.result(result, as_json, verbose)


class SweepCommand(flags.Command):
    """`backtest sweep STRATEGY`, and the commands behind `backtest sweep`."""

    beside = {"show": show}  # noqa: RUF012  not changed

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the arguments; those behind `show` belong to that command."""
        found = self.beside.get(args[0]) if args else None
        if found is not None:
            return found.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command(
    cls=SweepCommand,
    short_help="Run many parameters and settings, a row for each.",
    epilog=f"""{run_commands.ABOUT}

Values: a list 20,50,100; a range 5:50:5, both ends included; a log range 1:100:log7. With --samples also 5:50 and
0.001:1:log, from which any value is drawn.

The same command goes on where a killed sweep stood. `backtest sweep show FOLDER RUN` makes the full report of a row.

Examples:
  backtest sweep sma_cross --data binance-2025 -p fast=5:50:5 -p slow=20,50,100 --where "fast < slow"
  backtest sweep my.py --data binance-2025 --vary margin=isolated,cross --vary leverage=2:10:2
  backtest sweep my.py --data binance-2025 -p fast=5:500:log -p slow=50:5000:log --samples 500
""",
)
@click.argument("strategies", metavar="[STRATEGY]", nargs=-1, shell_complete=flags.files)
@flags.settings(SWEEP)
@flags.JSON
def sweep(strategies: Sequence[str], as_json: bool, **given: Any) -> None:
    """Run every combination of parameters and settings, or samples of them, and write a table with a row for each."""
    import backtest
    from backtest.cli import show_sweep
    from backtest.cli.run_request import run_request

    asked = run_request(SWEEP, strategies, given)
    out = str(Path("reports", f"{asked.named}-sweep"))
    settings = asked.keywords(out=out)
    with asked.named_in_errors(), redirect_stdout(sys.stderr), show_sweep.Bar() as bar:
        found = backtest.sweep(asked.strategy, asked.data, progress=bar, **settings)
    show_sweep.sweep(found, as_json)
