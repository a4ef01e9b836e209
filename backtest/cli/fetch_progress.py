"""A bar with rate and time left, on a terminal, while data are fetched."""

from __future__ import annotations

from typing import Self

from rich import progress

from backtest.cli.terminal_bar import TerminalBar
from backtest.core.errors import printable


class FetchProgress(TerminalBar):
    """Called with the rows that are there, the rows expected and what came last; draws on standard error only."""

    def __enter__(self) -> Self:
        columns = (
            progress.TextColumn("{task.fields[what]}"), progress.BarColumn(), progress.TaskProgressColumn(),
            progress.TextColumn("{task.fields[rate]}"), progress.TimeRemainingColumn(),
        )  # fmt: skip
        self.start(*columns, what="", rate="")
        return super().__enter__()

    def __call__(self, done: int, rows: int, what: str) -> None:
        """Show that ``done`` of ``rows`` rows are there."""
        self.update(done, rows, what=printable(what))
        self.update(done, rows, rate=f"{self.speed:,.0f} rows/s" if self.speed else "")
