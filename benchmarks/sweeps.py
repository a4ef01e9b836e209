"""Sweeps: sets of parameters a second on worker processes, and the memory of these, beside what peers do with them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from backtest.engine import tier
from backtest.research.grid import Job
from backtest.research.run_row import Ground
from backtest.research.workers import Pool, Task
from benchmarks import market, peers
from benchmarks.ours import CASH, FEE
from benchmarks.timing import Measure, once

HERE = Path(__file__).parent
SYMBOLS = 3
PEER_SETS = 4
PLAYER = "backtest.research.run_row:player"
MEGABYTE = 1_000_000
ALLOWED = 150 * MEGABYTE
"""Bytes of memory that are a worker's own, beside the panel that all share."""
FACTS = Path("/proc")


@dataclass(frozen=True)
class Swept:
    """How fast workers went, once all of them had ended their first run."""

    set_s: float
    """Seconds of the sweep per set."""
    first_s: float
    """Until the first run of the last worker had ended: start, imports, opening the data, one run."""
    fills: int
    anonymous: int
    """Bytes of memory that are the largest worker's own."""


def swept(name: str, data: Path, sets: list[dict[str, int]], workers: int, **settings: object) -> Swept:
    """Play the sets with a strategy of `crosses`."""
    common = {"fee_bps": FEE * 1e4, "cash": CASH, "venue": str(HERE / "tiered.toml"), **settings}
    ground = Ground(f"{HERE / 'crosses.py'}:{name}", str(data), common)
    around = {tier.VARIABLE: tier.COMPILED, "POLARS_MAX_THREADS": "1"}
    pool: Pool[Job] = Pool(Task(PLAYER, ground), workers, False, around)
    jobs = [Job(n, dict(each), {}) for n, each in enumerate(sets)]
    begun = time.perf_counter()
    ends: list[float] = []
    fills = own = 0

    def arrived(_job: Job, row: dict[str, object]) -> None:
        nonlocal fills, own
        assert row["error"] is None, row["error"]
        fills += int(str(row["fills"]))
        ends.append(time.perf_counter() - begun)
        own = max([own, *anonymous()])

    for _ in pool.answers(jobs, arrived):
        continue
    warm = 2 * workers  # the first and the one after it, which ends beside somebody else's first
    return Swept((ends[-1] - ends[warm - 1]) / (len(ends) - warm), ends[workers - 1], fills, own)


def anonymous() -> Iterator[int]:
    """Bytes that are each child process's own; nothing where the system does not say."""
    for file in FACTS.glob("self/task/*/children"):
        for pid in file.read_text().split():
            try:
                lines = (FACTS / pid / "status").read_text().splitlines()
            except OSError:
                continue
            yield sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def crosses(count: int, fast: tuple[int, int], slow: tuple[int, int]) -> list[dict[str, int]]:
    """Spread sets over a grid as a sweep would, in an order that mixes quick and slow averages."""
    found = []
    for n in range(count):
        a, b = (n * 0.618034) % 1.0, (n * 0.754878) % 1.0
        found.append({"fast": int(fast[0] + a * (fast[1] - fast[0])), "slow": int(slow[0] + b * (slow[1] - slow[0]))})
    return found


def targets(folder: Path, rounds: int) -> list[Measure]:
    """Sets of an average cross as targets, three symbols for a year of minutes, beside vectorbt's and raptorbt's."""
    case, sets = "sweep, targets", crosses(30, (60, 600), (720, 4_320))
    data, made = market.dataset(folder, market.YEAR, SYMBOLS), market.market(count=SYMBOLS)
    one = swept("CrossTargets", data, sets[:14], 1)
    two = [swept("CrossTargets", data, sets, 2) for _ in range(max(1, rounds - 1))]
    ours = median(each.set_s for each in two)
    size = f"{made.rows * SYMBOLS:,} rows, {two[0].fills // len(sets):,} fills a set, two workers"
    names, sides = ["vectorbt, broadcast"], [peers.broadcast(made, sets[:PEER_SETS])]
    missing = ""
    try:
        peers.imported("raptorbt")
        names.append("raptorbt, batch")
        sides.append(peers.batch(made, sets[:PEER_SETS]))
    except ImportError:
        missing = "; raptorbt is not installed"
    taken = []
    for side in sides:
        side()
        taken.append(min(once(side) for _ in range(rounds)) / PEER_SETS)
    best = min(taken)
    measures = [
        Measure(case, "a set", ours, name, each, each / ours, 5.0 if each == best else None, note=size + missing)
        for name, each in zip(names, taken, strict=True)
    ]
    measures.append(Measure(case, "two workers", ours, "one worker", one.set_s, one.set_s / ours, 1.8, note="a set"))
    own = max(each.anonymous for each in two)
    if own:
        note = f"{own / MEGABYTE:.0f} MB are the largest worker's own; at most {ALLOWED / MEGABYTE:.0f}"
        share = own / ALLOWED
        measures.append(Measure(case, "memory", two[0].first_s, "first run", two[0].first_s, share, 1.0, True, note))
    return measures


def called(folder: Path, rounds: int) -> list[Measure]:
    """Sets of an average cross called once an hour, three symbols for a year of 5-minute candles, two workers."""
    sets = crosses(60, (3, 30), (40, 240))
    data = market.dataset(folder, market.YEAR, SYMBOLS)
    found = [swept("CrossHourly", data, sets, 2, interval="5m") for _ in range(max(1, rounds - 1))]
    ours = median(each.set_s for each in found)
    size = f"{market.YEAR // 5 * SYMBOLS:,} rows, {found[0].fills // len(sets):,} fills, {1 / ours:.1f} sets a second"
    return [Measure("sweep, on_candle", "each hour", ours, "limit", 0.05, ours / 0.05, 1.0, True, size)]
