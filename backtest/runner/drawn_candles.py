"""The table `candles`: what a report draws of the markets, candles around what happened and longer ones elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.data.catalog import Catalog
from backtest.data.select import select
from backtest.data.selection import Selection
from backtest.report.downsampling import stamps
from backtest.results.result import Result
from backtest.results.summary_types import untyped

Ints = NDArray[np.int64]
SCHEMA = pl.Schema(
    {"ts": pl.Datetime("ms", "UTC"), "symbol": pl.String(), "interval_ms": pl.Int64(), "open": pl.Float64(),
     "high": pl.Float64(), "low": pl.Float64(), "close": pl.Float64()}
)  # fmt: skip
PRICES = ("open", "high", "low", "close")
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
LENGTHS_MS = (
    *(n * MINUTE_MS for n in (1, 5, 15, 30)),
    *(n * HOUR_MS for n in (1, 2, 4, 8, 12)),
    *(n * DAY_MS for n in (1, 2, 7)),
)
"""Lengths of candles that people know."""
LONG, FINE = 30_000, 40_000
"""Longer candles, and candles of the run, of all markets together at most."""
LEAST, MOST = 120, 800
"""Longer candles of one market."""
AROUND = 48
"""Candles on each side of an event, where there is room for so many."""
HOURS = 8
"""The hours in which the account lost most, and which are drawn in full."""


def drawn_candles(selection: Selection, results: Sequence[Result]) -> pl.DataFrame:
    """Return candles of every market: longer ones over the whole run, and those of the run around fills, liquidations
    and the worst hours. A longer candle reaches the highest and the lowest price of those that it is made of."""
    many = min(MOST, max(LEAST, LONG // len(selection.symbols)))
    long_ms = _length(selection.interval_ms, -(-selection.rows // many))
    traded = [symbol for symbol in selection.symbols if any(_traded(r, symbol) for r in results)]
    worst = np.concatenate([_worst_hours(result) for result in results])
    parts = [SCHEMA.to_frame()]
    for symbol in selection.symbols:
        candles = selection.candles(symbol, selection.interval_ms, PRICES)
        parts.append(_written(symbol, long_ms, _joined(candles, long_ms)))
        if symbol in traded and long_ms > selection.interval_ms:
            events = np.concatenate([worst, *(_events(result, symbol) for result in results)])
            near = _near(stamps(candles), events, FINE // len(traded))
            parts.append(_written(symbol, selection.interval_ms, candles.filter(near)))
    return pl.concat(parts)


def drawn_again(result: Result, data: str | Path) -> pl.DataFrame:
    """Return the table of a run that was made before, from the dataset as it lies now."""
    asked = untyped(result.summary)["config"]
    symbols = result.summary["data"]["symbols"]
    period = asked["start_ms"], asked["end_ms"], asked["interval_ms"]
    return drawn_candles(select(Catalog.open(data), symbols, *period), [result])


def _length(interval_ms: int, times: int) -> int:
    """A length that people know, of at least so many candles; else a whole multiple."""
    known = [ms for ms in LENGTHS_MS if ms >= times * interval_ms and ms % interval_ms == 0]
    return known[0] if known else times * interval_ms


def _traded(result: Result, symbol: str) -> bool:
    return bool((result.tables.columns("fills", "symbol")["symbol"] == symbol).any())


def _events(result: Result, symbol: str) -> Ints:
    """When something happened to the position in a market."""
    tables = [result.tables.columns(name, "ts", "symbol") for name in ("liquidations", "fills")]
    return np.concatenate([stamps(table.filter(pl.col("symbol") == symbol)) for table in tables])


def _worst_hours(result: Result) -> Ints:
    """The hours over which the account's equity fell most, in ms."""
    hourly = (
        result.tables.lazy("equity")
        .group_by(hour=pl.col("ts").dt.epoch("ms") // HOUR_MS)
        .agg(pl.col("equity").last())
        .sort("hour")
        .select("hour", fall=pl.col("equity").diff())
        .filter(pl.col("fall") < 0)
        .collect()
    )
    worst = hourly.sort("fall", "hour").head(HOURS)
    return np.asarray(worst["hour"].to_numpy() * HOUR_MS, np.int64)


def _near(ts: Ints, events: Ints, room: int) -> NDArray[np.bool_]:
    """Which candles are near an event; the more events there are, the fewer candles around each."""
    at = np.unique(np.searchsorted(ts, events, side="right") - 1)
    at = at[at >= 0]
    around = AROUND
    while around > 1 and len(at) * (2 * around + 1) > 4 * room:
        around //= 2  # before looking: neighbours share candles, so up to four times as much may fit
    while True:
        near = _spread(len(ts), at, around)
        if near.sum() <= room or around <= 1:
            return near if near.sum() <= room else _spread(len(ts), at[: room // 3], 1)
        around //= 2


def _spread(count: int, at: Ints, around: int) -> NDArray[np.bool_]:
    edges = np.zeros(count + 1, np.int64)
    np.add.at(edges, np.maximum(at - around, 0), 1)
    np.add.at(edges, np.minimum(at + around + 1, count), -1)
    return np.cumsum(edges[:-1]) > 0


def _joined(candles: pl.DataFrame, every_ms: int) -> pl.DataFrame:
    bucket = (pl.col("ts").dt.epoch("ms") // every_ms * every_ms).cast(pl.Datetime("ms", "UTC"))
    return candles.group_by(ts=bucket, maintain_order=True).agg(
        pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last()
    )


def _written(symbol: str, interval_ms: int, candles: pl.DataFrame) -> pl.DataFrame:
    named = candles.with_columns(symbol=pl.lit(symbol), interval_ms=pl.lit(interval_ms, pl.Int64))
    return named.select(SCHEMA.names())
