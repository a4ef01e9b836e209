"""A synthetic market to measure on: random walks of one-minute candles, in memory and as a dataset on disk."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

START_MS = 1_704_067_200_000
"""2024-01-01 UTC."""
MINUTE_MS = 60_000
YEAR = 525_600
"""Minutes of 365 days."""
SETTLEMENT_ROWS = 8 * 60
LOT = 0.0001
"""Base units in a lot of every symbol."""
ROW_GROUP = 122_880
"""DuckDB's own default, so that neither side of the disk case gets a file cut to its taste."""


@dataclass(frozen=True)
class Market:
    """Candles of several symbols, all over the same minutes."""

    symbols: tuple[str, ...]
    panel: NDArray[np.float64]
    """[4, rows, symbols]: open, high, low, close."""
    funding: NDArray[np.float64]
    """[settlements, 3]: time in ms, symbol number, rate; every eight hours."""

    @property
    def rows(self) -> int:
        return int(self.panel.shape[1])

    def column(self, field: int) -> NDArray[np.float64]:
        """One field of the first symbol, contiguous."""
        return np.ascontiguousarray(self.panel[field, :, 0])


def market(rows: int = YEAR, count: int = 1, seed: int = 7) -> Market:
    """Random walks with 6 bps of volatility a minute and 1 bp between a close and the next open."""
    rng = np.random.default_rng(seed)
    panel = np.empty((4, rows, count))
    for i in range(count):
        close = 100.0 * (i + 1) * np.exp(np.cumsum(rng.normal(0, 6e-4, rows)))
        start = np.append(close[:1], close[:-1]) * (1 + rng.normal(0, 1e-4, rows))
        wick = np.abs(rng.normal(0, 3e-4, (2, rows)))
        high, low = np.maximum(start, close) * (1 + wick[0]), np.minimum(start, close) * (1 - wick[1])
        for field, values in enumerate((start, high, low, close)):
            panel[field, :, i] = np.round(values, 4)
    stamps = START_MS + MINUTE_MS * np.arange(0, rows, SETTLEMENT_ROWS)
    rates = np.round(rng.normal(1e-4, 1e-4, (len(stamps), count)), 8)
    funding = np.column_stack((np.repeat(stamps, count), np.tile(np.arange(count), len(stamps)), rates.ravel()))
    return Market(tuple(f"S{i:02d}-USD" for i in range(count)), panel, funding.astype(np.float64))


def dataset(folder: Path, rows: int, count: int, seed: int = 7) -> Path:
    """The same market as a dataset below ``folder``; made once, and found there again by what makes it."""
    made_by = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    place = folder / f"{count}x{rows}-{seed}-{made_by}"
    if not place.is_dir():
        partial = folder / f"{place.name}.{os.getpid()}"
        _write(market(rows, count, seed), partial)
        partial.rename(place)
    return place


def _write(made: Market, place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    ts = _times(START_MS + MINUTE_MS * np.arange(made.rows))
    volume = np.round(np.random.default_rng(1).lognormal(3, 1, made.rows), 3)
    for i, symbol in enumerate(made.symbols):
        prices = dict(zip(("open", "high", "low", "close"), made.panel[:, :, i], strict=True))
        _parquet(place / "candles" / f"symbol={symbol}", {"ts": ts, **prices, "volume": volume})
        own = made.funding[made.funding[:, 1] == i]
        _parquet(place / "funding" / f"symbol={symbol}", {"ts": _times(own[:, 0]), "rate": own[:, 2]})
    steps = "".join(f'\n[symbols."{symbol}"]\nstep = {LOT}\ntick = {LOT}\n' for symbol in made.symbols)
    head = '[dataset]\ninterval = "1m"\nquote = "USD"\nprovenance = "random walks"\nsynthetic = true\n'
    (place / "dataset.toml").write_text(head + steps, encoding="utf-8")


def _times(ms: NDArray[np.number]) -> pa.Array:
    return pa.array(ms.astype(np.int64), pa.timestamp("ms", "UTC"))


def _parquet(folder: Path, columns: dict[str, object]) -> None:
    folder.mkdir(parents=True)
    pq.write_table(pa.table(columns), folder / "part.parquet", compression="zstd", row_group_size=ROW_GROUP)
