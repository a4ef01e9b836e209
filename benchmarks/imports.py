"""`backtest data import` of a CSV file laid out as Binance's archive, beside pandas `read_csv` and `to_parquet`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl

from benchmarks.timing import Measure

ROWS = int(os.environ.get("BENCHMARK_IMPORT_ROWS", "20_000_000"))
BLOCK = 1_000_000
TARGET, MOST_MB = 5.0, 700
TIMED = """
import resource, sys, time
begun = time.perf_counter()
{work}
print(time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
OURS = """
from pathlib import Path
from backtest.data.importing.importer import prepared
from backtest.data.importing.options import options_of
with prepared(Path(sys.argv[1]), options_of(None, None, None, None, {}, None)) as ready:
    ready.write(Path(sys.argv[2]))
"""
PANDAS = """
import pandas
pandas.read_csv(sys.argv[1]).to_parquet(sys.argv[2])
"""


def imported(folder: Path, rounds: int) -> list[Measure]:
    """A CSV file of 20 M candles, from the command to the dataset, and the most memory that it takes."""
    file = _csv(folder)
    taken: dict[str, list[tuple[float, float]]] = {"ours": [], "peer": []}
    for number in range(max(1, rounds // 3)):  # of 20 M rows a round takes long enough to be even
        sides = [("ours", OURS), ("peer", PANDAS)]
        for name, work in sides if number % 2 == 0 else reversed(sides):
            taken[name].append(_once(work, file, folder / f"imported {name}"))
    (ours, memory), (peer, others) = (tuple(map(median, zip(*taken[name], strict=True))) for name in ("ours", "peer"))
    note = f"{ROWS:,} rows, {memory:,.0f} MB beside {others:,.0f} MB"
    kept = memory < MOST_MB
    return [Measure("import", "CSV", ours, "pandas", peer, peer / ours, TARGET, note=note, kept=kept)]


def _once(work: str, file: Path, target: Path) -> tuple[float, float]:
    """Seconds and MB of one process."""
    shutil.rmtree(target, ignore_errors=True)
    target.unlink(missing_ok=True)
    command = [sys.executable, "-c", TIMED.format(work=work), str(file), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    seconds, mb = done.stdout.split()
    return float(seconds), float(mb)


def _csv(folder: Path) -> Path:
    """The file, made once: a random walk, block by block."""
    file = folder / f"BTCUSDT-1m-{ROWS}.csv"
    if file.exists():
        return file
    rng = np.random.default_rng(11)
    price = 40_000.0
    with file.with_suffix(".part").open("wb") as stream:
        for start in range(0, ROWS, BLOCK):
            count = min(BLOCK, ROWS - start)
            close = np.round(price * np.exp(np.cumsum(rng.normal(0.0, 1e-4, count))), 1)
            first = np.concatenate(([price], close[:-1]))
            t = 60_000 * np.arange(start, start + count)
            volume = np.round(rng.exponential(3.0, count), 3)
            block = pl.DataFrame(
                {
                    "open_time": 1_000_000_000_000 + t,
                    "open": first,
                    "high": np.round(np.maximum(first, close) + rng.exponential(5.0, count), 1),
                    "low": np.round(np.minimum(first, close) - rng.exponential(5.0, count), 1),
                    "close": close,
                    "volume": volume,
                    "close_time": 1_000_000_059_999 + t,
                    "quote_volume": np.round(volume * close, 5),
                    "count": (volume * 100).astype(np.int64),
                    "taker_buy_volume": np.round(volume * 0.4, 3),
                    "taker_buy_quote_volume": np.round(volume * 0.4 * close, 5),
                    "ignore": np.zeros(count, np.int64),
                }
            )
            block.write_csv(stream, include_header=start == 0)
            price = float(close[-1])
    file.with_suffix(".part").rename(file)
    return file
