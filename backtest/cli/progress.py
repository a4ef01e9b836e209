"""A bar with the simulated date, on a terminal, for what takes longer than a second."""

from __future__ import annotations

import time
from datetime import timedelta

import click
from rich import progress

from backtest.cli.terminal_bar import TerminalBar
from backtest.core.times import EPOCH

PATIENCE_S = 1.0
WORDS = {
    "here": "compiling the engine: only the first run does this, in about a minute",
    "beside": "compiling the engine in the background; the replay is slower until it is ready, in about a minute",
}
"""By where they are compiled: the replay waits, or goes on."""


class Progress(TerminalBar):
    """Called with ``(done rows, rows, simulated time in ms)``; draws on standard error only, and cleans up after it."""

    def __init__(self) -> None:
        super().__init__()
        self._begun = 0.0
        self._told = False

    def __call__(self, done: int, rows: int, now_ms: int) -> None:
        """Show that ``done`` of ``rows`` candles are replayed, up to ``now_ms``."""
        self._announce()
        if done == 0:
            # Real time decides only when the bar appears; nothing of it reaches a result.
            self._begun = time.monotonic()
            return
        if not self.drawn:
            if not self.seen or time.monotonic() - self._begun < PATIENCE_S:
                return
            columns = (progress.TextColumn("{task.fields[when]}"), progress.BarColumn(), progress.TaskProgressColumn())
            self.start(*columns, progress.TimeRemainingColumn(), when="")
        self.update(done, rows, when=f"{EPOCH + timedelta(milliseconds=now_ms):%Y-%m-%d}")

    def _announce(self) -> None:
        """Say once why the first long run takes longer. Imported here: the engine is not needed for help."""
        from backtest.engine.tier import compiling

        where = compiling()
        if where and not self._told:
            self._told = True
            click.echo(WORDS[where], err=True)
