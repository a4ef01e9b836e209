"""`backtest data repair`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from backtest.cli import flags

if TYPE_CHECKING:
    from backtest.data.manifest import Change
    from backtest.data.repair import Repair

_EXAMPLE = "Example: backtest data repair data/mine --dry-run"


@click.command(cls=flags.Command, epilog=_EXAMPLE)
@click.argument("folder", type=flags.DATASET)
@click.option("--dry-run", is_flag=True, help="List what would be done; write nothing.")
@click.option("--out", type=flags.FOLDER, metavar="OUT", help="Write a new dataset there.  [default: in place]")
@click.option(
    "--rates",
    metavar="UNIT",
    default="fraction",
    show_default=True,
    help="Unit of the files' funding rates: fraction, percent or bps.",
)
@flags.JSON
def repair(folder: Path | str, dry_run: bool, out: Path | None, rates: str, as_json: bool) -> None:
    """Repair what `data check` finds and what can be repaired without inventing data.

    Sort rows, drop exact duplicates, round settlement stamps to their grid, rebuild candles from finer ones, convert
    units. What was done is listed and recorded in dataset.toml. Exit 2 if something is left that cannot be repaired.
    """
    from dataclasses import asdict

    from backtest.cli import console
    from backtest.core.errors import UserError
    from backtest.data.repair import repair as mend

    done = mend(folder, out, rates=rates, write=not dry_run)
    if as_json:
        changes = [change.model_dump() for change in done.changes]
        console.write_json({**asdict(done), "place": str(done.place), "changes": changes})
    else:
        _show(done, dry_run)
    if done.written:
        click.echo(f"wrote {done.place}", err=True)
    if done.left:
        raise UserError(f"{len(done.left)} not repaired", str(folder), "correct the files, or take the rows out")


def _show(done: Repair, dry_run: bool) -> None:
    for change in done.changes:
        click.echo(_line(change))
    for text in done.left:
        click.echo(f"not repaired: {text}")
    if not done.changes:
        click.echo("nothing to repair" if not done.left else "nothing was changed")
    elif dry_run:
        click.echo("dry run: nothing was written")


def _line(change: Change) -> str:
    from backtest.core.times import stamp

    first, last = (None if ms is None else stamp(ms) for ms in (change.first, change.last))
    when = "" if first is None else f", {first}" if first == last else f", {first} to {last}"
    return f"{change.symbol} {change.series}: {change.what}, {change.rows:,} row{'s' if change.rows != 1 else ''}{when}"
