"""Runs in several threads and processes of a user's program: they end, in a result or in one line that says why not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import small_market as small

PROGRAM = """
import json, multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
import polars as pl
import backtest

def digest(seed):
    return backtest.run("hold.py", "market", seed=seed).digest

if __name__ == "__main__":
    {first}
    with {pool} as workers:
        try:
            print(json.dumps(list(workers.map(digest, [1, 1, 2]))))
        except backtest.UserError as error:
            print(json.dumps(str(error)))
"""
FORK, SPAWN, FORKSERVER = (
    f"ProcessPoolExecutor(1, mp_context=multiprocessing.get_context({name!r}))"
    for name in ("fork", "spawn", "forkserver")
)
THREADS = "ThreadPoolExecutor(3)"
RUN = 'backtest.run("hold.py", "market")'
QUERY = 'pl.DataFrame({"a": [1, 2]}).select(pl.col("a") + 1)'
PATIENCE_S = 120
"""Far more than these programs take: what hangs, hangs for good."""

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not fork by themselves")


def said(folder: Path, pool: str, first: str = "pass") -> object:
    """What a program prints that does `first` and then runs a strategy three times in a pool, twice with one seed."""
    small.write(folder)
    (folder / "program.py").write_text(PROGRAM.format(first=first, pool=pool))
    environment = {**small.environment(), "NUMBA_DISABLE_JIT": "1"}
    with subprocess.Popen(
        [sys.executable, "program.py"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as program:
        try:
            out, err = program.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, 9)  # its workers too
            raise
    assert program.returncode == 0, err
    return json.loads(out)


@linux
@pytest.mark.parametrize("first", [RUN, QUERY], ids=["after a run", "after a query of the user's own"])
def test_a_fork_in_which_a_run_would_hang_says_so_at_once(tmp_path: Path, first: str) -> None:
    message = said(tmp_path, FORK, first)
    assert isinstance(message, str)
    assert message.startswith("fork: this process was forked from one that has used Polars")
    assert 'ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn"))' in message


@linux
def test_a_fork_before_the_first_query_runs(tmp_path: Path) -> None:
    expect_three_runs(said(tmp_path, FORK))


@pytest.mark.parametrize("pool", [SPAWN, FORKSERVER, THREADS], ids=["spawn", "forkserver", "threads"])
def test_other_processes_and_threads_run_after_a_run(tmp_path: Path, pool: str) -> None:
    if pool == FORKSERVER and sys.platform == "win32":
        pytest.skip("Windows knows spawn alone")
    expect_three_runs(said(tmp_path, pool, RUN))


def expect_three_runs(digests: object) -> None:
    assert isinstance(digests, list)
    assert len(digests) == 3
    assert digests[0] == digests[1]
