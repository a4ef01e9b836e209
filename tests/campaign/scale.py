"""How seconds and memory grow with candles and with symbols: each run in a process of its own, its peak as the system
counts it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.campaign import ground, market
from tests.campaign.figures import Figures

ROOT = Path(__file__).parents[2]
SIZES = ((2_000, 2), (20_000, 2), (100_000, 2), (2_000, 20), (20_000, 20), (100_000, 20))
"""Candles and symbols, the smallest first."""
STRATEGY = "sma_cross"
GROWTH_MB = 600
"""More than this from the smallest to the largest is a failure: history is read by chunks."""


def run(folder: Path, seed: int, count: int) -> Figures:
    """Play the ``count`` smallest sizes on the market of ``seed``."""
    figures, peaks = Figures(), []
    ground.write(folder)
    figures.row("candles x symbols", "peak MB, seconds")
    for candles, symbols in SIZES[:count]:
        market.write(folder / "large", seed, candles, symbols)
        said, peak_mb, seconds = measured(folder)
        peaks.append(peak_mb)
        figures.row(f"  {candles:,} x {symbols}", f"{peak_mb:,.0f}, {seconds:.1f}")
        if said:
            figures.fail("scale", seed, f"{candles} candles of {symbols} symbols: {said}", f" --count {count}")
    if max(peaks) - min(peaks) > GROWTH_MB:
        why = f"memory grows from {min(peaks):,.0f} to {max(peaks):,.0f} MB"
        figures.fail("scale", seed, why, f" --count {count}")
    return figures


def measured(folder: Path) -> tuple[str, float, float]:
    """What a run that failed said, peak of resident memory in MB, and seconds of a run on the dataset `large`."""
    command = [sys.executable, "-m", "backtest", "run", STRATEGY, "--data", "large", "--out", "out", "--no-mark-cost"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BACKTEST_KERNELS": "auto"}
    begun = time.monotonic()
    with (folder / "said").open("w+") as said:
        child = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=said)
        _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    failed = (folder / "said").read_text().strip() if child.returncode else ""
    return failed, used.ru_maxrss / 1024, time.monotonic() - begun
