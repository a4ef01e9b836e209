"""A bar with the simulated date, on a terminal, for what takes longer than a second."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from types import TracebackType
from typing import Self

import click
from rich import progress
from rich.console import Console

from backtest.core.errors import Broken
from backtest.core.times import EPOCH

PATIENCE_S = 1.0
WORDS = {
    "here": "compiling the engine: only the first run does this, in about a minute",
    "beside": "compiling the engine in the background; the replay is slower until it is ready, in about a minute",
}
"""By where they are compiled: the replay waits, or goes on."""


class Progress:
    """Called with ``(done rows, rows, simulated time in ms)``; draws on standard error only, and cleans up after it."""

    def __init__(self) -> None:
        self._begun = 0.0
        self._bar: progress.Progress | None = None
        self._task = progress.TaskID(0)
        self._told = False
        self._seen = sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def __call__(self, done: int, rows: int, now_ms: int) -> None:
        """Show that ``done`` of ``rows`` candles are replayed, up to ``now_ms``."""
        self._announce()
        if done == 0:
            # Real time decides only when the bar appears; nothing of it reaches a result.
            self._begun = time.monotonic()
            return
        if self._bar is None:
            if not self._seen or time.monotonic() - self._begun < PATIENCE_S:
                return
            self._start()
        if self._bar is None:
            raise Broken("the bar has not begun")
        when = f"{EPOCH + timedelta(milliseconds=now_ms):%Y-%m-%d}"
        self._bar.update(self._task, completed=done, total=rows, when=when)

    def _start(self) -> None:
        columns = (progress.TextColumn("{task.fields[when]}"), progress.BarColumn(), progress.TaskProgressColumn())
        left = progress.TimeRemainingColumn()
        self._bar = progress.Progress(*columns, left, console=Console(stderr=True), transient=True)
        self._bar.start()
        self._task = self._bar.add_task("", when="")

    def _announce(self) -> None:
        """Say once why the first long run takes longer. Imported here: the engine is not needed for help."""
        from backtest.engine.tier import compiling

        where = compiling()
        if where and not self._told:
            self._told = True
            click.echo(WORDS[where], err=True)
