"""What `backtest stress` prints: a bar while it runs, then the survival table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
from rich import progress
from rich.markup import escape

from backtest.cli.console import grid, write_json, write_table
from backtest.cli.terminal_bar import TerminalBar
from backtest.report import formatting as fmt

if TYPE_CHECKING:
    from backtest.research.stress import Stress


class Bar(TerminalBar):
    """Shows replays done, on standard error."""

    def __call__(self, done: int, runs: int) -> None:
        """Show how many replays are done."""
        if not self.drawn:
            self.start(progress.BarColumn(), progress.MofNCompleteColumn(), progress.TimeRemainingColumn())
        self.update(done, runs)


def stress(shown: Stress, as_json: bool) -> None:
    """The survival table, what the accounts have in common, and where everything is."""
    from backtest.report.stress_page import words

    frame = shown.frame
    if as_json:
        rows = [{name: _plain(value) for name, value in row.items()} for row in frame.iter_rows(named=True)]
        write_json({"pack": shown.pack.name, "folder": str(shown.folder) if shown.folder else None, "rows": rows})
        return
    varied = [
        name for name in ("venue", *frame.columns[2 : frame.columns.index("venue")]) if frame[name].n_unique() > 1
    ]
    table = grid("scenario", *varied, "margin", "survived", "first liquidation", "end equity", "distance", "bad debt")
    for row in frame.iter_rows(named=True):
        cells = [row["scenario"], *(row[name] for name in varied), row["margin"], *_outcome(row)]
        table.add_row(*(escape(str(cell)) for cell in cells))
    write_table(table)
    for text in words(frame):
        click.echo(text)
    # The same cascade in every margin mode: said once.
    told = dict.fromkeys(
        note for reason in frame["reason"].drop_nulls() for note in re.findall(r"Cascade of .*?\.(?= |$)", reason)
    )
    for note in told:
        click.echo(note)
    if shown.folder:
        click.echo(f"report: {shown.folder / 'report.html'}")


def _outcome(row: Mapping[str, Any]) -> tuple[str, ...]:
    if row["digest"] is None:
        return "not played", "", "", "", ""
    first = row["first_liquidation"]
    return (
        "yes" if row["survived"] else "no", f"{first:%Y-%m-%d %H:%M}" if first else "",
        fmt.number(row["end_equity"], 0), fmt.percent(row["min_distance"]), fmt.number(row["bad_debt"], 0),
    )  # fmt: skip


def _plain(value: object) -> object:
    return value.isoformat() if hasattr(value, "isoformat") else value
