"""How seconds and memory grow with candles, symbols and accounts: each run in a process of its own, its peak as the
system counts it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from tests import small_market as small
from tests.campaign import ground, market
from tests.campaign.figures import Figures

ROOT = Path(__file__).parents[2]
SIZES = ((2_000, 2), (20_000, 2), (100_000, 2), (2_000, 20), (20_000, 20), (100_000, 20))
"""Candles and symbols, the smallest first."""
STRATEGY = "sma_cross"
GROWTH_MB = 600
"""More than this from the smallest to the largest is a failure: history is read by chunks."""
YEAR = 525_600
"""Minutes of 365 days."""
MINUTES_OF = 20
"""Symbols of the long histories."""


class Long(NamedTuple):
    """A command on a long history of minutes."""

    title: str
    years: int
    arguments: tuple[str, ...]
    most_mb: float
    """A higher peak is a failure."""


LONG = (
    Long("1 year of minutes", 1, ("run", STRATEGY, "--no-mark-cost"), 700),
    Long("5 years of minutes", 5, ("run", STRATEGY, "--no-mark-cost"), 700),
    Long("5 years, three margin modes", 5, ("compare", STRATEGY, "--margin", "isolated,cross,portfolio"), 900),
)
"""Played after `SIZES`."""
APART = 0.15
"""The peaks of the first two differ by no more than this share."""


def run(folder: Path, seed: int, count: int) -> Figures:
    """Play the ``count`` smallest sizes on the market of ``seed``, then the long histories."""
    figures, peaks = Figures(), []
    ground.write(folder)
    figures.row("candles x symbols", "peak MB, seconds")
    for candles, symbols in SIZES[:count]:
        market.write(folder / "large", seed, candles, symbols)
        said, peak_mb, seconds = measured(folder, "run", STRATEGY, "--no-mark-cost")
        peaks.append(peak_mb)
        figures.row(f"  {candles:,} x {symbols}", f"{peak_mb:,.0f}, {seconds:.1f}")
        if said:
            figures.fail("scale", seed, f"{candles} candles of {symbols} symbols: {said}", f" --count {count}")
    if max(peaks) - min(peaks) > GROWTH_MB:
        why = f"memory grows from {min(peaks):,.0f} to {max(peaks):,.0f} MB"
        figures.fail("scale", seed, why, f" --count {count}")
    _long(folder, seed, LONG[: max(0, count - len(SIZES))], figures, f" --count {count}")
    return figures


def _long(folder: Path, seed: int, cases: tuple[Long, ...], figures: Figures, again: str) -> None:
    peaks: list[float] = []
    for case, before in zip(cases, (None, *cases), strict=False):
        if before is None or before.years != case.years:
            minutes(folder / "large", seed, case.years)
        said, peak_mb, seconds = measured(folder, *case.arguments)
        peaks.append(peak_mb)
        figures.row(f"  {case.title} x {MINUTES_OF}", f"{peak_mb:,.0f}, {seconds:.1f}")
        if said:
            figures.fail("scale", seed, f"{case.title}: {said}", again)
        if peak_mb > case.most_mb:
            figures.fail(
                "scale", seed, f"{case.title}: {peak_mb:,.0f} MB, where {case.most_mb:,.0f} are allowed", again
            )
    if len(peaks) > 1 and abs(peaks[1] / peaks[0] - 1) > APART:
        why = f"memory grows with history: {peaks[0]:,.0f} MB for one year, {peaks[1]:,.0f} for five"
        figures.fail("scale", seed, why, again)


def minutes(data: Path, seed: int, years: int) -> None:
    """Write random walks of `MINUTES_OF` symbols in one-minute candles, half of them with marks."""
    shutil.rmtree(data, ignore_errors=True)
    rows = years * YEAR
    start_ms = round(small.START.timestamp() * 1000)
    stamps = pl.Series(start_ms + 60_000 * np.arange(rows)).cast(small.STAMP)
    for number in range(MINUTES_OF):
        rng, name = np.random.default_rng((seed, number)), f"S{number:02d}-USD"
        closes = 100.0 * (number + 1) * np.exp(np.cumsum(rng.normal(0, 6e-4, rows)))
        opens = np.append(closes[:1], closes[:-1])
        wicks = 1 + np.abs(rng.normal(0, 3e-4, (2, rows)))
        highs, lows = np.maximum(opens, closes) * wicks[0], np.minimum(opens, closes) / wicks[1]
        prices = {"ts": stamps, "open": opens, "high": highs, "low": lows, "close": closes}
        small.put(pl.DataFrame({**prices, "volume": rng.lognormal(3, 1, rows)}), data, "candles", name)
        if number % 2:
            small.put(pl.DataFrame(prices), data, "mark", name)
        paid = np.arange(0, rows, 480)
        small.put(pl.DataFrame({"ts": stamps[paid], "rate": rng.normal(1e-4, 1e-4, len(paid))}), data, "funding", name)
    (data / "dataset.toml").write_text('[dataset]\nquote = "USD"\n')


def measured(folder: Path, *arguments: str) -> tuple[str, float, float]:
    """What a command that failed said, peak of resident memory in MB, and seconds of it on the dataset `large`."""
    command = [sys.executable, "-m", "backtest", *arguments, "--data", "large", "--out", "out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BACKTEST_KERNELS": "auto"}
    begun = time.monotonic()
    with (folder / "said").open("w+") as said:
        child = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=said)
        _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    failed = (folder / "said").read_text().strip() if child.returncode else ""
    return failed, used.ru_maxrss / 1024, time.monotonic() - begun
