"""A progress bar on standard error: drawn on a terminal only, and removed when the work ends."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

from rich import progress
from rich.console import Console


class TerminalBar:
    """Base of the progress bars. A subclass is called with how far the work is; it starts and updates the bar."""

    def __init__(self) -> None:
        self.seen = sys.stderr.isatty()
        """Whether a bar can be drawn at all."""
        self._bar: progress.Progress | None = None
        self._task = progress.TaskID(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    @property
    def drawn(self) -> bool:
        """Whether the bar has been started."""
        return self._bar is not None

    def start(self, *columns: progress.ProgressColumn, **fields: Any) -> None:
        """Draw the bar with these columns, if there is a terminal. ``fields``: texts that columns show."""
        if self.seen:
            self._bar = progress.Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("", total=None, **fields)

    def update(self, done: int, total: int, **fields: Any) -> None:
        """Show ``done`` of ``total``. Does nothing before `start`."""
        if self._bar:
            self._bar.update(self._task, completed=done, total=total, **fields)

    @property
    def speed(self) -> float | None:
        """Units of work per second, measured by the bar; None while it does not know."""
        return self._bar.tasks[0].speed if self._bar else None
