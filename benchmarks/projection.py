"""`python -m benchmarks.projection`: how long a sweep takes on many cores, worked out from what is measured here.

Measured: the time of one set on a worker, the time until a worker has ended its first set (start, imports, opening the
data), and how long a Dask scheduler takes to send a message and take it back. A sweep of `sets` on `cores` takes the
start once, then as long as the slower of the two: the cores with their sets, or the scheduler with its messages, which
carry several sets each.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtest.research import cluster
from backtest.research.cluster import ClusterPool
from backtest.research.workers import Pool, Task
from benchmarks import market, sweeps

TOGETHER = cluster.TOGETHER
CORES = (1, 2, 8, 64, 256, 1_000)
JOBS = 1_000
WARM = 100


@dataclass(frozen=True)
class Measured:
    """What a projection is made of, in seconds."""

    start_s: float
    set_s: float
    """Of one set on one core."""
    dispatch_s: float
    """Of one message, for whoever hands them out."""
    through: str
    """Who does."""


def nothing(_given: Any) -> Any:
    """Return a player that plays nothing."""
    return lambda _job: None


def dispatch() -> tuple[float, str]:
    """Seconds of the scheduler and this process per message; of local pipes where Dask is not installed."""
    task = Task("benchmarks.projection:nothing", None)
    try:
        from distributed import LocalCluster
    except ImportError:
        return _per_job(Pool(task, 1)), "local pipes (Dask is not installed)"
    cluster.TOGETHER = 1  # one job a message: what is measured is the message
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    with LocalCluster(**options) as workers:
        return _per_job(ClusterPool(task, workers.scheduler_address)), "a Dask scheduler"


def _per_job(pool: Any) -> float:
    ends = [time.perf_counter() for _ in pool.answers(range(WARM + JOBS))]
    return (ends[-1] - ends[WARM - 1]) / JOBS


def measured(folder: Path, name: str) -> Measured:
    """Play some sets on one worker, and empty jobs."""
    data = market.dataset(folder, market.YEAR, sweeps.SYMBOLS)
    if name == "targets":
        found = sweeps.swept("CrossTargets", data, sweeps.crosses(14, (60, 600), (720, 4_320)), 1)
    else:
        found = sweeps.swept("CrossHourly", data, sweeps.crosses(20, (3, 30), (40, 240)), 1, interval="5m")
    each, through = dispatch()
    return Measured(found.first_s, found.set_s, each, through)


def seconds(found: Measured, sets: int, cores: int) -> float:
    """How long a sweep takes: all cores start at once, and the last round of sets may leave some without work."""
    rounds = -(-sets // cores)
    return found.start_s + max(rounds * found.set_s, sets / TOGETHER * found.dispatch_s)


def text(found: Measured, sets: int) -> str:
    """The projection as a table."""
    measures = (
        f"start of a worker {found.start_s:.2f} s, a set {found.set_s * 1e3:.0f} ms on one core, a message of "
        f"{TOGETHER} sets {found.dispatch_s * 1e3:.2f} ms for {found.through}"
    )
    lines = [
        measures,
        f"{sets:,} sets:",
        "cores       time  sets a second  of ideal  held up by",
    ]
    for cores in CORES:
        taken = seconds(found, sets, cores)
        ideal = sets * found.set_s / cores
        messages_s = sets / TOGETHER * found.dispatch_s
        held = "messages" if messages_s > -(-sets // cores) * found.set_s else "cores"
        lines.append(f"{cores:5,}  {taken:7.1f} s  {sets / taken:13.1f}  {ideal / taken:8.0%}  {held}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.projection", description=__doc__)
    parser.add_argument("strategy", nargs="?", choices=("targets", "on_candle"), default="targets")
    parser.add_argument("--sets", type=int, default=100_000, help="how many sets (default: 100000)")
    parser.add_argument("--folder", type=Path, help="where datasets are made and kept (default: the temporary folder)")
    given = parser.parse_args()
    if given.sets < 1:
        parser.error(f"--sets {given.sets}; give 1 or more")
    folder: Path = given.folder or Path(tempfile.gettempdir()) / "perp-backtest-benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    print(text(measured(folder, given.strategy), given.sets))


if __name__ == "__main__":
    main()
