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

ABOUT = """STRATEGY is a file (my.py, my.py:Class), package.module:Class, or a name of `backtest strategies list`."""
UNEXPLAINED = (
    "; data, strategy and versions are the same: look for chance that is not self.rng's, a changed venue file, "
    "or a changed module that the strategy imports"
)
"""What a verification says that fails although nothing that it compares has changed."""


@click.command(epilog=ABOUT)
@flags.replay
@click.option("--margin", default="cross", show_default=True, help="Margin mode: cross or isolated.")
def run(strategy: str, data: Path, out: Path | None, margin: str, as_json: bool, **settings: Any) -> None:
    """Replay one account and write its report."""
    import backtest
    from backtest.cli import show
    from backtest.cli.progress import Progress

    folder = out or Path("reports", f"{_stem(strategy)}-{margin}")
    with redirect_stdout(sys.stderr), Progress() as progress:
        result = backtest.run(strategy, data, margin=margin, out=folder, progress=progress, **settings)
    show.result(result, as_json)


@click.command(epilog=ABOUT, short_help="Replay it in several margin modes, side by side.")
@flags.replay
@click.option(
    "--margin", type=flags.Names(), default="isolated,cross", show_default=True, help="Margin modes, with commas."
)
def compare(
    strategy: str, data: Path, out: Path | None, margin: tuple[str, ...], as_json: bool, **settings: Any
) -> None:
    """Replay one account per margin mode over the same prices and write one report."""
    import backtest
    from backtest.cli import show
    from backtest.cli.progress import Progress

    folder = out or Path("reports", f"{_stem(strategy)}-{'-'.join(margin)}")
    with redirect_stdout(sys.stderr), Progress() as progress:
        comparison = backtest.compare(strategy, data, margin=margin, out=folder, progress=progress, **settings)
    show.comparison(comparison, as_json)


@click.command(short_help="Make a synthetic market and compare a hedged pair on it.")
@click.argument("folder", type=flags.FOLDER, default=Path("backtest-demo"))
@flags.JSON
def demo(folder: Path, as_json: bool) -> None:
    """Make a synthetic market and compare a hedged pair in isolated and cross margin.

    Everything is written into FOLDER, by default backtest-demo.
    """
    import backtest
    from backtest.cli import show
    from backtest.cli.progress import Progress

    with Progress() as progress:
        comparison = backtest.demo(folder, progress=progress)
    show.comparison(comparison, as_json)


@click.command(short_help="Run a report again and compare.")
@click.argument("folder", type=flags.FOLDER)
@click.option("--data", type=flags.FOLDER, help="Where the dataset lies now.  [default: where it was]")
@flags.JSON
def verify(folder: Path, data: Path | None, as_json: bool) -> None:
    """Run what the report in FOLDER says again, and compare the results' digests. Exit 1 if they differ."""
    import backtest
    from backtest.cli import show

    with redirect_stdout(sys.stderr):
        verification = backtest.verify(folder, data=data)
    show.verification(verification, folder, as_json)
    if not verification.ok:
        raise click.ClickException(
            f"{folder}: not the same; expected {verification.expected}, found {verification.found}"
            f"{show.changed(verification) or UNEXPLAINED}"
        )


def _stem(strategy: str) -> str:
    """A short name for a report: `hedged_pair` of `strategies/hedged_pair.py`, `Pair` of `package.module:Pair`."""
    last = re.split(r"[:/\\]", strategy)[-1].removesuffix(".py")
    return re.sub(r"[^\w.-]", "-", last).strip(".") or "run"
