"""What the same money would have made without the strategy: the markets bought at the start and held."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from backtest.report.daily_returns import at
from backtest.report.downsampling import Times, Values, floats, stamps
from backtest.report.section import Subject

NAMED = "Buy and hold {}"
EQUAL = "Equal weight of {} markets"


@dataclass(frozen=True)
class Benchmark:
    """A curve of equity, at the closes of the longer candles."""

    name: str
    clock: Times
    values: Values


def benchmarks(subject: Subject) -> list[Benchmark]:
    """Return the market that was traded most, and all markets in equal parts; nothing without candles.

    Each market is bought with its part at its first open, without leverage, costs or funding, and never sold.
    """
    candles = subject.candles
    if candles is None or not len(candles):
        return []
    long = candles.filter(pl.col("interval_ms") == pl.col("interval_ms").max().over("symbol"))
    clock = np.unique(stamps(long) + long["interval_ms"].to_numpy())
    clock = np.minimum(clock, subject.outcome.end_ms)
    grown = {name: _growth(part, clock) for (name,), part in long.partition_by("symbol", as_dict=True).items()}
    fills = subject.result.tables.columns("fills", "symbol", "quote")
    sizes = fills.group_by("symbol").agg(pl.col("quote").abs().sum()).sort("quote", "symbol", descending=[True, False])
    most = sizes["symbol"][0] if len(sizes) else min(grown)
    start = subject.outcome.start
    found = [Benchmark(NAMED.format(most), clock, start * grown[most])]
    if len(grown) > 1:
        found.append(Benchmark(EQUAL.format(len(grown)), clock, start * np.mean(list(grown.values()), axis=0)))
    return found


def _growth(candles: pl.DataFrame, clock: Times) -> Values:
    """Close over the first open; 1 before it."""
    ends = stamps(candles) + candles["interval_ms"].to_numpy()
    return at(clock, np.minimum(ends, clock[-1]), floats(candles, "close") / candles["open"][0], 1.0)
