"""`--dry-run`: says what a command would run, and about how long it takes, and writes nothing."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress

import click

from backtest.cli import console
from backtest.cli.run_request import RunRequest
from backtest.cli.show_config import plain
from backtest.core import durations
from backtest.core.times import stamp
from backtest.engine import cache, tier
from backtest.runner.preview import Preview, preview
from backtest.runner.run import one_mode
from backtest.runner.setting import COMPARE
from backtest.runner.settings import find
from backtest.runner.validation import checked

ENOUGH_S = 1.0
"""Seconds of replay that the estimate is made of."""


class _Measured(Exception):
    """The rows so far have taken long enough."""


def show_plan(asked: RunRequest, as_json: bool) -> None:
    """Plan the command, replay the first second or so of it for the estimate, and print both."""
    with asked.named_in_errors(), redirect_stdout(sys.stderr):
        settings = checked(asked.keywords(), asked.command)
        if asked.command != COMPARE:
            one_mode(settings, "a run has one; `backtest compare` replays several")
        found = preview(asked.command, asked.strategies, asked.data, settings)
        with _compiling_nothing() as slow:
            rows, seconds = _measured(found)
    first = found.plans[0].selection
    whole = seconds / rows * first.rows * len(found.plans) * found.passes
    facts = {
        "command": asked.command,
        "strategy": ", ".join(asked.strategies) or asked.named,
        "data": asked.data,
        "symbols": ", ".join(first.symbols),
        "start": stamp(first.start_ms),
        "end": stamp(first.start_ms + first.rows * first.interval_ms),
        "candles": f"{first.rows:,} of {durations.text(first.interval_ms)} x {len(first.symbols)} symbols",
        "venue": str(found.plans[0].config.venue),
        "accounts": ", ".join(found.labels),
        "report": str(asked.values.get("out") or "(default folder)"),
        "time": f"about {_spoken(whole)}, as the first {rows:,} candles of one account go"
        + "; less with a compiled engine (`backtest cache build`)" * slow,
    }
    given = {
        name: f"{plain(find(name), value)} ({asked.where(name)})"
        for name, value in asked.values.items()
        if name not in ("data", "out")
    }
    assumptions = found.assumptions()
    if as_json:
        console.write_json({**facts, "settings": given, "assumptions": assumptions, "seconds": round(whole, 3)})
        return
    table = console.grid("dry run", "", numbers=False)
    for name, value in [*facts.items(), *given.items()]:
        table.add_row(name, value)
    console.write_table(table)
    for line in assumptions:
        click.echo(f"- {line}")
    click.echo("nothing was written")


@contextmanager
def _compiling_nothing() -> Iterator[bool]:
    """Interpret kernels in this block where they are not compiled yet: a dry run starts no compiler."""
    if tier.asked() != tier.AUTO or not cache.missing():
        yield False
        return
    before = os.environ.get(tier.VARIABLE)
    os.environ[tier.VARIABLE] = tier.INTERPRETED
    try:
        yield True
    finally:
        if before is None:
            del os.environ[tier.VARIABLE]
        else:
            os.environ[tier.VARIABLE] = before


def _measured(found: Preview) -> tuple[int, float]:
    """Rows of one account that were replayed, and the seconds that they took, reading included."""
    begun, seen = time.monotonic(), [1]

    def watch(done: int, rows: int, _: int) -> None:
        seen[0] = max(1, done)
        if done and (time.monotonic() - begun > ENOUGH_S or done >= rows):
            raise _Measured

    with suppress(_Measured):
        found.replay(watch)
    return seen[0], time.monotonic() - begun


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"
