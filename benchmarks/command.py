"""The command line, timed from outside as a user meets it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks import market, peers
from benchmarks.timing import Measure, Seconds, once

ROOT = Path(__file__).parent.parent
STRATEGY = Path(__file__).parent / "rotation.py"
SYMBOLS = 20
TINY_ROWS = 3


def backtest(*arguments: str, **env: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Seconds of the command, and what it said. Fails where it fails."""
    around = {**os.environ, **env}
    # As installed, bytecode lies beside the source; a machine that forbids it would compile Python each time.
    around.pop("PYTHONDONTWRITEBYTECODE", None)
    around.pop("BACKTEST_KERNELS", None)
    command = [sys.executable, "-m", "backtest", *arguments]
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=around, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - begun
    assert done.returncode == 0, done.stderr
    return taken, done


def from_disk(folder: Path, rounds: int) -> list[Measure]:
    """`backtest run` over 10.5 M rows with its report and tables, beside DuckDB's bare scan of the same columns."""
    big, tiny = market.dataset(folder, market.YEAR, SYMBOLS), market.dataset(folder, TINY_ROWS, SYMBOLS)
    bare = peers.scan(big)
    return [_whole(big, tiny, bare, every, target, rounds) for every, target in (("1d", 4.0), ("1h", None))]


def _whole(big: Path, tiny: Path, bare: object, every: str, target: float | None, rounds: int) -> Measure:
    """One strategy; start-up is the same command over three candles a symbol, in the same round."""
    assert callable(bare)
    bare()
    _run(tiny, every)
    fills = _run(big, every)[1]
    whole: Seconds = []
    start: Seconds = []
    scan: Seconds = []
    for _ in range(rounds):
        scan.append(once(bare))
        start.append(_run(tiny, every)[0])
        whole.append(_run(big, every)[0])
        scan[-1] = min(scan[-1], once(bare))
    net = [w - s for w, s in zip(whole, start, strict=True)]
    ratio = median(n / s for n, s in zip(net, scan, strict=True))
    note = (
        f"{market.YEAR * SYMBOLS:,} rows, {fills:,} fills; whole {median(whole):.2f} s − start-up {median(start):.2f} s"
    )
    what = f"decides every {every}"
    return Measure("backtest run", what, median(net), "DuckDB scan", median(scan), ratio, target, True, note)


def _run(data: Path, every: str) -> tuple[float, int]:
    """Seconds of a run with its report, and its number of fills."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "report"
        flags = ("--data", str(data), "--out", str(out), "-p", f"every={every}", "--fee-bps", "5", "--json")
        taken, done = backtest("run", str(STRATEGY), *flags)
        assert (out / "report.html").is_file()
        return taken, int(json.loads(done.stdout)["metrics"]["fills"])


def start_up(folder: Path, rounds: int) -> list[Measure]:
    """`backtest --help`, and the first run ever, which compiles and says so."""
    backtest("--help")
    help_s = median(backtest("--help")[0] for _ in range(2 * rounds + 1))
    tiny = market.dataset(folder, 1_440, 2)
    cache = tempfile.mkdtemp()
    try:
        with tempfile.TemporaryDirectory() as out:
            flags = ("--data", str(tiny), "--out", str(Path(out) / "report"), "-p", "lookback_days=1", "-p", "every=1h")
            first_s, done = backtest("run", str(STRATEGY), *flags, XDG_CACHE_HOME=cache, NUMBA_CACHE_DIR="")
    finally:
        shutil.rmtree(cache)
    said = "compil" in done.stderr.lower()
    note = "says that it compiles" if said else "does not say that it compiles"
    return [
        Measure("backtest --help", "wall time", help_s, "limit", 0.3, help_s / 0.3, 1.0, True),
        Measure("first run ever", "empty kernel cache", first_s, "limit", 30.0, first_s / 30.0, 1.0, True, note, said),
    ]
