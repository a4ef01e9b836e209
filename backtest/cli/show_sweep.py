"""What `backtest sweep` prints: a bar while it runs, then its best rows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click
from rich import progress
from rich.markup import escape

from backtest.cli.console import grid, write_json, write_table
from backtest.cli.terminal_bar import TerminalBar
from backtest.report import formatting as fmt

if TYPE_CHECKING:
    from backtest.research.sweep import Sweep, SweepProgress

SHOWN = 10
"""Rows in the terminal."""
LINE_S = 30.0
"""Seconds between two lines where standard error is no terminal."""
METRICS = ("final_equity", "return", "sharpe", "max_drawdown", "liquidations", "fills")


class Bar(TerminalBar):
    """Shows runs done, rate, time left and the best so far, on standard error."""

    def __init__(self) -> None:
        super().__init__()
        self._begun = time.monotonic()
        self._said = self._begun
        self._first = True

    def __call__(self, told: SweepProgress) -> None:
        """Show how far the sweep is."""
        if self._first:
            self._begin(told)
        if self.drawn:
            self.update(told.done, told.runs, words=escape(self._words(told)))
        elif time.monotonic() - self._said >= LINE_S:
            self._said = time.monotonic()
            click.echo(f"{told.done:,} of {told.runs:,} runs, {self._words(told)}", err=True)

    def _begin(self, told: SweepProgress) -> None:
        self._first, self._begun = False, time.monotonic()
        if told.resumed:
            click.echo(f"{told.resumed:,} of {told.runs:,} runs are there already", err=True)
        columns = (progress.BarColumn(), progress.MofNCompleteColumn(), progress.TextColumn("{task.fields[words]}"))
        self.start(*columns, words="")

    def _words(self, told: SweepProgress) -> str:
        passed, made = time.monotonic() - self._begun, told.done - told.resumed
        if not made:
            return "starting workers"
        rate = made / max(passed, 1e-9)
        left = fmt.duration(1000 * round((told.runs - told.done) / rate))
        words = f"{rate:.1f}/s, {left} left" if rate >= 1 else f"{60 * rate:.1f}/min, {left} left"
        if told.failed:
            words += f", {told.failed:,} failed"
        if told.best and isinstance(sharpe := told.best["sharpe"], int | float):
            words += f", best Sharpe {fmt.number(sharpe)} in run {told.best['run']}"
        return words


def sweep(shown: Sweep, as_json: bool) -> None:
    """The best rows, what failed, and where everything is."""
    from backtest.research.sweep import ranked

    lost = shown.frame.filter(shown.frame["error"].is_not_null())
    best = ranked(shown.frame, "sharpe")
    if as_json:
        write_json(
            {
                "runs": shown.frame.height,
                "failed": lost.height,
                "axes": list(shown.axes),
                "folder": str(shown.folder) if shown.folder else None,
                "best": best.row(0, named=True) if best.height else None,
            }
        )
        return
    click.echo(f"{fmt.plural(shown.frame.height, 'run')}, {lost.height:,} failed" if lost.height else
               f"{fmt.plural(shown.frame.height, 'run')}, none failed")  # fmt: skip
    table = grid("run", *shown.axes, *(fmt.metric(name).title for name in METRICS))
    for row in best.head(SHOWN).iter_rows(named=True):
        cells = (str(row["run"]), *(str(row[name]) for name in shown.axes), *(fmt.text(n, row[n]) for n in METRICS))
        table.add_row(*(escape(cell) for cell in cells))
    write_table(table)
    if best.height > SHOWN:
        click.echo(f"the best {SHOWN} of {best.height:,} by Sharpe ratio; all rows are in sweep.parquet")
    for row in lost.head(1).iter_rows(named=True):
        click.echo(f"first failure, run {row['run']}: {row['error']}")
    if shown.folder:
        click.echo(f"report: {shown.folder / 'report.html'}")
