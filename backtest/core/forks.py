"""Forked processes, in which a run would hang: why they are refused, and what to use instead.

Polars answers a query with threads that it starts once. A fork copies the memory that says that they run, but not the
threads, so the child's first query waits for them forever. Nothing can restart them.
"""

from __future__ import annotations

import os
import sys
import threading

from backtest.core.errors import UserError

PATIENCE_S = 10.0
"""How long an answer may take that, with its threads there, takes a thousandth of a second."""


class Process:
    """What this process knows of Polars' threads."""

    queried = False
    """Whether the package has come to where it queries Polars, here or in a process that this one was forked from."""
    orphaned = False
    """Whether this process is a copy that does not have them."""
    doubtful = False
    """Whether it is a copy of one in which others than the package may have queried Polars."""


def watch() -> None:
    """Note each fork of this process from now on. Called once, when the package is imported."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_in_child)


def check() -> None:
    """Raise UserError in a process that was forked after Polars had started its threads."""
    if Process.doubtful and not Process.orphaned:
        Process.doubtful, Process.orphaned = False, not _answers()
    if Process.orphaned:
        raise UserError(
            "this process was forked from one that has used Polars, whose threads do not exist here: a run would hang",
            "fork",
            'start workers with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")), or use threads',
        )
    Process.queried = True


def _in_child() -> None:
    Process.orphaned = Process.queried
    Process.doubtful = "polars" in sys.modules


def _answers() -> bool:
    """Whether Polars answers a query in time. One that it cannot answer is left waiting in its own thread."""
    import polars as pl  # here, because `backtest --help` needs none

    query = pl.LazyFrame({"a": [1, 2]}).select(pl.col("a").sum())
    asking = threading.Thread(target=query.collect, name="fork-probe", daemon=True)
    asking.start()
    asking.join(PATIENCE_S)
    return not asking.is_alive()
