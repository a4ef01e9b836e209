"""What `backtest montecarlo` prints: a bar while it replays, then survival and the spread of outcomes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from rich import progress
from rich.markup import escape

from backtest.cli.console import grid, write_json, write_table
from backtest.cli.terminal_bar import TerminalBar
from backtest.report import formatting as fmt

if TYPE_CHECKING:
    from backtest.research.montecarlo_result import MonteCarlo

SHARES = (0.05, 0.5, 0.95)


class Bar(TerminalBar):
    """Shows paths done, and how many survived, on standard error."""

    def __call__(self, done: int, total: int, alive: int) -> None:
        """Show how far the paths are."""
        if not self.drawn:
            columns = (progress.BarColumn(), progress.MofNCompleteColumn(), progress.TextColumn("{task.fields[words]}"))
            self.start(*columns, progress.TimeRemainingColumn(), words="")
        self.update(done, total, words=escape(f"{fmt.percent(alive / done, 0)} survived"))


def montecarlo(shown: MonteCarlo, as_json: bool) -> None:
    """Survival with its interval, and quantiles of final equity and drawdown, by margin mode."""
    if as_json:
        modes = {
            mode: {
                "survival": asdict(shown.survival(mode)),
                "final_equity": {str(share): shown.quantile("final_equity", share, mode) for share in SHARES},
                "max_drawdown": {str(share): shown.quantile("max_drawdown", share, mode) for share in SHARES},
                "plain": shown.plain[mode],
            }
            for mode in shown.margins
        }
        folder = str(shown.folder) if shown.folder else None
        paths = shown.frame["path"].n_unique()
        write_json({"paths": paths, "resample": shown.resample, "block": shown.block, "modes": modes, "folder": folder})
        return
    lost = shown.frame.filter(shown.frame["error"].is_not_null())
    of = f", blocks of {shown.block} on average" if shown.block not in ("", "all") else ""
    click.echo(f"{fmt.plural(shown.frame['path'].n_unique(), 'path')}, {shown.resample} resampled{of}")
    table = grid("margin", "survived (95% interval)", "as it was", "5%", "median", "95%", "median drawdown")
    for mode in shown.margins:
        ends = [_amount(shown.quantile("final_equity", share, mode)) for share in SHARES]
        fall = shown.quantile("max_drawdown", 0.5, mode)
        middle = fmt.NA if fall is None else fmt.percent(fall, 1)
        cells = (mode, str(shown.survival(mode)), fmt.number(shown.plain[mode]), *ends, middle)
        table.add_row(*(escape(cell) for cell in cells))
    write_table(table)
    for row in lost.head(1).iter_rows(named=True):
        click.echo(f"{fmt.plural(lost['path'].n_unique(), 'path')} failed, the first: {row['error']}")
    for mode, why in shown.left_out.items():
        click.echo(f"{mode} is left out: {why}")
    if shown.resample == "trades":
        click.echo("nothing is replayed with other trades: no path has a liquidation")
    if shown.folder:
        click.echo(f"report: {shown.folder / 'report.html'}")


def _amount(value: float | None) -> str:
    return fmt.NA if value is None else fmt.number(value)
