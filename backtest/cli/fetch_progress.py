"""A bar with rate and time left, on a terminal, while data are fetched."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich import progress
from rich.console import Console

from backtest.core.errors import printable


class FetchProgress:
    """Called with the rows that are there, the rows expected and what came last; draws on standard error only."""

    def __init__(self) -> None:
        self._bar: progress.Progress | None = None
        self._task = progress.TaskID(0)
        self._done = 0

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            columns = (
                progress.TextColumn("{task.fields[what]}"), progress.BarColumn(), progress.TaskProgressColumn(),
                progress.TextColumn("{task.fields[rate]}"), progress.TimeRemainingColumn(),
            )  # fmt: skip
            self._bar = progress.Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("", total=None, what="", rate="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def __call__(self, done: int, rows: int, what: str) -> None:
        """Show that ``done`` of ``rows`` rows are there."""
        if self._bar is None:
            return
        self._bar.update(self._task, completed=done, total=rows, what=printable(what))
        speed = self._bar.tasks[0].speed
        self._bar.update(self._task, rate=f"{speed:,.0f} rows/s" if speed else "")
