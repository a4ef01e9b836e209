"""Small datasets for the feed's tests, written by hand: rows of numbers to Parquet files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backtest.data.selection import Selection

T0 = 1_700_006_400_000
"""2023-11-15T00:00Z: a whole day, so a whole multiple of every interval in use."""
MIN = 60_000
HOUR = 3_600_000

Row = tuple[float, ...]
"""Row number, then open, high, low, close and maybe volume."""


def flat(*prices: float, start: int = 0) -> list[Row]:
    """A candle a row from row ``start`` on; each is flat at its price. A None is a gap."""
    return [(start + k, p, p, p, p, 1.0) for k, p in enumerate(prices) if p is not None]


def stamps(values: Iterable[float], interval: int, kind: pa.DataType | None = None) -> pa.Array:
    """T0 plus so many intervals each."""
    ms = pa.array([T0 + int(v * interval) for v in values], pa.int64())
    kind = kind or pa.timestamp("ms", "UTC")
    return ms if kind == pa.int64() else ms.cast(pa.timestamp("ms", kind.tz)).cast(kind)


def table(rows: Sequence[Row], interval: int, kind: pa.DataType | None = None) -> pa.Table:
    names = ("open", "high", "low", "close", "volume")[: len(rows[0]) - 1]
    columns = {"ts": stamps([r[0] for r in rows], interval, kind)}
    columns |= {name: pa.array([r[j + 1] for r in rows], pa.float64()) for j, name in enumerate(names)}
    return pa.table(columns)


def write(folder: Path, kind: str, symbol: str, data: pa.Table, name: str = "part") -> Path:
    file = folder / kind / f"symbol={symbol}" / f"{name}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(data, file)
    return file


def candles(folder: Path, symbol: str, rows: Sequence[Row], interval: int = MIN, kind: str = "candles") -> Path:
    return write(folder, kind, symbol, table(rows, interval))


def marks(folder: Path, symbol: str, rows: Sequence[Row], interval: int = MIN) -> Path:
    return candles(folder, symbol, rows, interval, "mark")


def funding(folder: Path, symbol: str, rows: Sequence[tuple[float, float]], interval: int = HOUR) -> Path:
    times = stamps([r[0] for r in rows], interval)
    return write(folder, "funding", symbol, pa.table({"ts": times, "rate": pa.array([r[1] for r in rows])}))


def toml(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "dataset.toml"
    file.write_text(text, encoding="utf-8")
    return file


def dense(selection: Selection, rows: int = 65_536, volume: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
    """All chunks of ``rows`` rows, joined."""
    chunks = list(selection.chunks(rows, volume=volume))
    assert [c.row0 for c in chunks] == list(range(0, selection.rows, rows))
    amounts = np.concatenate([c.volume for c in chunks]) if volume else None
    return np.concatenate([c.panel for c in chunks], axis=1), amounts
