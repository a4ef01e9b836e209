"""What `backtest check` prints: a bar while it replays, then what was compared and what was found."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from rich import progress
from rich.markup import escape

from backtest.cli.console import write_json
from backtest.cli.terminal_bar import TerminalBar
from backtest.core.times import stamp
from backtest.report import formatting as fmt

if TYPE_CHECKING:
    from backtest.research.look_ahead import Check


class Bar(TerminalBar):
    """Shows which replay is under way, on standard error."""

    def __call__(self, part: str, done: int, total: int) -> None:
        """Show the part that begins."""
        if not self.drawn:
            columns = (progress.BarColumn(), progress.MofNCompleteColumn(), progress.TextColumn("{task.fields[words]}"))
            self.start(*columns, words="")
        self.update(done, total, words=escape(part))


def check(shown: Check, name: str, as_json: bool) -> None:
    """Print what was compared, every finding, and what could not be compared."""
    if as_json:
        write_json({"passed": shown.passed, **asdict(shown)})
        return
    for one in shown.findings:
        click.secho(f"{one.kind}: {one.place}: {one.said}", fg="red")
    for line in _compared(shown):
        click.echo(line)
    for passage in shown.suspicions:
        click.echo(f"look at {passage.place}: {passage.said}")
    for reason in shown.left_out:
        click.echo(f"not compared: {reason}")
    if shown.passed:
        click.secho(f"passed: no look-ahead found in {name}", fg="green")
    else:
        click.secho(f"failed: {fmt.plural(len(shown.findings), 'finding')} in {name}", fg="red")


def _compared(shown: Check) -> list[str]:
    """What the findings, or their absence, rest on."""
    said = ["compared: the same run again"]
    if shown.cuts_ms:
        span = f"{stamp(shown.cuts_ms[0])} to {stamp(shown.cuts_ms[-1])}"
        said.append(f"compared: {fmt.plural(len(shown.cuts_ms), 'replay')} on data that end early, {span}")
    if shown.futures_ms:
        said.append(f"compared: {fmt.plural(len(shown.futures_ms), 'other future')}")
    if shown.telling:
        best = shown.telling
        goes = f"{best.thing} of {best.symbol} goes best with the next candle, z = {best.z:.1f}"
        said.append(f"compared: candles in a random order; {goes}")
    return said
