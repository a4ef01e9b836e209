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


@click.command(cls=flags.Command, epilog=ABOUT, short_help="Replay one account, or sub-accounts of several strategies.")
@click.argument("strategies", metavar="STRATEGY...", nargs=-1, required=True)
@flags.replay
@click.option(
    "--margin",
    default="cross",
    show_default=True,
    help="Margin mode: cross, isolated or portfolio; a market may have its own, with commas: cross,DOGE-USD=isolated.",
)
@click.option(
    "--sub-accounts", "apart", is_flag=True, help="Each strategy in a sub-account of its own, with a share of --cash."
)
@click.option(
    "--split", metavar="60,40", help="Per cent of --cash and --reserve for each sub-account.  [default: equal]"
)
@click.option(
    "--loss-cap",
    metavar="20%",
    help="A sub-account that has lost so much of its cash and reserve (or 5000: of quote) closes everything and trades "
    "no more. One for all, or one for each with commas, none for none.",
)
@click.option(
    "--no-mark-cost",
    "mark_cost",
    flag_value=False,
    default=True,
    help="Do not play the account by the market's mark as well to say what the venue's, where it is another, cost.",
)
def run(
    strategies: tuple[str, ...],
    data: Path,
    apart: bool,
    mark_cost: bool,
    split: str | None,
    loss_cap: str | None,
    out: Path | None,
    margin: str,
    as_json: bool,
    verbose: bool,
    **settings: Any,
) -> None:
    """Replay one account and write its report.

    With --sub-accounts several strategies, each in a sub-account of its own, over the same data.
    """
    _check_apart(strategies, apart, {"--split": split, "--loss-cap": loss_cap})
    import backtest
    from backtest.cli import output
    from backtest.cli.progress import Progress

    named = "-".join(map(stem, strategies))
    folder = out or Path("reports", f"{named}-{'sub-accounts' if apart else _plain(margin)}")
    settings |= {"margin": margin, "out": folder}
    with redirect_stdout(sys.stderr), Progress() as progress:
        if apart:
            shown = backtest.subaccounts(
                strategies, data, split=split, loss_cap=loss_cap, progress=progress, **settings
            )
        else:
            result = backtest.run(strategies[0], data, progress=progress, mark_cost=mark_cost, **settings)
    if apart:
        output.subaccounts(shown, as_json, verbose)
    else:
        output.result(result, as_json, verbose)


def _check_apart(strategies: tuple[str, ...], apart: bool, given: dict[str, str | None]) -> None:
    """A usage error for several strategies in one account, and for flags that only sub-accounts have."""
    if apart:
        return
    if len(strategies) > 1:
        raise click.UsageError(
            f"{len(strategies)} strategies ({', '.join(strategies)}): one account has one strategy; give each a "
            "sub-account with --sub-accounts."
        )
    for name, value in given.items():
        if value is not None:
            raise click.UsageError(f"{name} is of sub-accounts; add --sub-accounts.")


@click.command(cls=flags.Command, epilog=ABOUT, short_help="Replay it in several margin modes, side by side.")
@click.argument("strategy")
@flags.replay
@click.option(
    "--margin",
    type=flags.Names(),
    default="isolated,cross",
    show_default=True,
    help="Margin modes, with commas: isolated, cross, portfolio; and SYMBOL=isolated or SYMBOL=cross for all of them.",
)
def compare(
    strategy: str, data: Path, out: Path | None, margin: tuple[str, ...], as_json: bool, verbose: bool, **settings: Any
) -> None:
    """Replay one account per margin mode over the same prices and write one report."""
    import backtest
    from backtest.cli import output
    from backtest.cli.progress import Progress

    folder = out or Path("reports", f"{stem(strategy)}-{_plain('-'.join(margin))}")
    with redirect_stdout(sys.stderr), Progress() as progress:
        comparison = backtest.compare(strategy, data, margin=margin, out=folder, progress=progress, **settings)
    output.comparison(comparison, as_json, verbose)


@click.command(cls=flags.Command, short_help="Make a synthetic market and compare a hedged pair on it.")
@click.argument("folder", type=flags.FOLDER, default=Path("backtest-demo"))
@flags.VERBOSE
@flags.JSON
def demo(folder: Path, as_json: bool, verbose: bool) -> None:
    """Make a synthetic market and compare a hedged pair in isolated and cross margin.

    Everything is written into FOLDER, by default backtest-demo.
    """
    import backtest
    from backtest.cli import output
    from backtest.cli.progress import Progress

    with Progress() as progress:
        comparison = backtest.demo(folder, progress=progress)
    output.comparison(comparison, as_json, verbose)


@click.command(cls=flags.Command, short_help="Run a report again and compare.")
@click.argument("folder", type=flags.FOLDER)
@click.option("--data", type=flags.FOLDER, help="Where the dataset lies now.  [default: where it was]")
@click.option(
    "--trust",
    is_flag=True,
    help="Run the report's strategy even if its source is not the one that the report was made with.",
)
@flags.TIMEOUT
@flags.JSON
def verify(folder: Path, data: Path | None, trust: bool, timeout: float | None, as_json: bool) -> None:
    """Run what the report in FOLDER says again, and compare all that it shows. Exit 1 if anything differs.

    This runs the strategy that the report names, as you: read a strategy before you verify a stranger's report.
    """
    import backtest
    from backtest.cli import output

    with redirect_stdout(sys.stderr):
        verification = backtest.verify(folder, data=data, trust=trust, timeout=timeout)
    output.verification(verification, folder, as_json)
    if not verification.ok:
        raise click.ClickException(f"{folder}: not the same; {output.unequal(verification)}")


def stem(strategy: str) -> str:
    """A short name for a report."""
    from backtest.runner import sub_accounts

    return sub_accounts.stem(strategy)


def _plain(name: str) -> str:
    """The name as a folder may have it."""
    return re.sub(r"[^\w.-]", "-", name)
