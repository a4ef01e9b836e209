"""`backtest sweep --cluster`: a real Dask cluster of two workers on this machine gives the same rows."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import backtest
from backtest.research import cluster
from tests import small_market as small
from tests.research.test_sweep import PARAMS, STEPS, VARY

pytest.importorskip("distributed", reason="the extra `cluster` is not installed: no Dask")


@contextlib.contextmanager
def cluster_of(folder: Path, workers: int) -> Iterator[str]:
    """The address of a scheduler with so many worker processes, each with a nanny that starts it again."""
    file = folder / "scheduler.json"
    quiet: dict[str, object] = {
        "cwd": folder,
        "env": small.environment(),
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
    }
    quiet["start_new_session"] = True
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    started = [subprocess.Popen([*command, "--no-dashboard", "--scheduler-file", str(file)], **quiet)]  # type: ignore[call-overload]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--host", "127.0.0.1", "--nthreads", "1"]
    worker += ["--no-dashboard", "--scheduler-file", str(file), "--nworkers", "1"]
    try:
        started += [subprocess.Popen(worker, **quiet) for _ in range(workers)]  # type: ignore[call-overload]
        deadline = time.monotonic() + 60
        while not file.exists() or not file.read_text().strip():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield json.loads(file.read_text())["address"]
    finally:
        for process in reversed(started):
            os.killpg(process.pid, signal.SIGKILL)  # a nanny's worker too
            process.wait()


def test_a_cluster_gives_the_same_rows_and_outlasts_a_killed_worker(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    lines = ("if self.pause == 3 and not pathlib.Path('killed').exists():", "    pathlib.Path('killed').touch()")
    text = "\n        ".join((*lines, "    os.kill(os.getpid(), 9)", "self.n = 0"))
    (place / "steps.py").write_text(STEPS)
    (place / "dies.py").write_text(STEPS.replace("self.n = 0", text, 1))
    here = backtest.sweep("steps.py", "market", params=PARAMS, vary=VARY, threads=True)
    with cluster_of(place, 2) as address:
        there = backtest.sweep("dies.py", "market", params=PARAMS, vary=VARY, cluster=address, out="swept")
        assert (place / "killed").exists()
        assert there.frame.equals(here.frame)
        again = backtest.sweep("dies.py", "market", params=PARAMS, vary=VARY, out="swept")
        assert again.frame.equals(here.frame)
        monkeypatch.setattr(cluster, "versions", lambda: {"backtest": "0.0.1"})
        with pytest.raises(backtest.UserError, match=r"worker tcp://.* has backtest .*, this is 0\.0\.1"):
            backtest.sweep("steps.py", "market", params={"pause": [1, 2]}, cluster=address)


def test_a_cluster_that_is_not_there_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE_S", 1)
    (place / "steps.py").write_text(STEPS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(backtest.UserError, match=f"no Dask scheduler answers at {address}"):
            backtest.sweep("steps.py", "market", params={"pause": [1, 2]}, cluster=address)
