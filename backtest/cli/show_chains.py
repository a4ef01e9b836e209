"""What `backtest chains` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from backtest.cli.console import grid, write_json, write_table
from backtest.cli.output import say

if TYPE_CHECKING:
    from datetime import date

    from rich.table import Table

    from backtest.venues.chains import ChainProfile


def listing(shown: Sequence[ChainProfile], as_json: bool) -> None:
    """Print the preset chains, one line each, with the number of known outages and of those that can be replayed."""
    if as_json:
        return write_json([profile.as_json() for profile in shown])
    table = grid("name", "date", "outages", "replayed", "description", numbers=False)
    for profile in shown:
        counts = len(profile.outages), len(profile.history())
        table.add_row(profile.name, str(profile.date), *map(str, counts), escape(profile.about))
    return write_table(table)


def chain(shown: ChainProfile, as_json: bool, when: date | None = None) -> None:
    """Print every figure of a chain with its unit, date, status and source, then its outages."""
    if as_json:
        return write_json(shown.as_json(when))
    say(f"[bold]{escape(shown.name)}[/], {shown.date}; source: {escape(shown.source)}")
    if shown.about:
        say(escape(shown.about))
    if lines := shown.lines(when):
        dated = any(line.since for line in lines)
        table = grid("what", "value", *["from"] * dated, "status", "as of", "source", "note", numbers=False)
        for line in lines:
            cells = (line.said, *[line.since] * dated, line.standing, line.date, line.source, line.note)
            table.add_row(line.what, *map(escape, cells))
        write_table(table)
    click.echo("amounts in quote units, times of outages in UTC" if lines else "instant and free")
    if shown.outages:
        write_table(_outages(shown))
    for name, text in sorted(shown.sources.items()):
        say(escape(f"source {name}: {text}"))
    return None


def _outages(shown: ChainProfile) -> Table:
    table = grid("outage", "length", "cause", "replayed", "status", "source", "note", numbers=False)
    for past in shown.past():
        played = f"no: {past.unplayed}" if past.unplayed else "yes"
        cells = (past.length, past.cause, played, past.standing, past.source, past.note)
        table.add_row(past.begun, *map(escape, cells))
    return table
