"""How far apart the rows of a series are, told from its first stamps."""

from __future__ import annotations

from collections import Counter

import duckdb
import numpy as np

from backtest.data.source import Source

_SAMPLE_ROWS = 1_000
"""Stamps looked at to tell an interval."""
_EVEN_ROWS = 10
"""Gaps that must all be equal before a declared interval is doubted."""


def interval(con: duckdb.DuckDBPyConnection, source: Source, declared_ms: int | None) -> int | None:
    """The most common gap of the first stamps, None when there is no gap.

    A declared interval stands, full of holes or not, unless candles are finer, or many are evenly coarser. Where
    rows and span agree with it nothing is read.
    """
    if declared_ms and source.last_ms - source.first_ms == (source.rows - 1) * declared_ms:
        return declared_ms
    gaps = _gaps(con, source)
    if declared_ms and min(gaps, default=declared_ms) == declared_ms:
        return declared_ms
    if declared_ms and min(gaps) > declared_ms and (len(gaps) < _EVEN_ROWS or len(set(gaps)) > 1):
        return declared_ms
    return commonest(gaps)


def mark_interval(
    con: duckdb.DuckDBPyConnection, mark: Source | None, declared_ms: int | None, candle_ms: int | None
) -> int | None:
    """The declared interval, else that of the candles if two marks are as near, else the most common gap.

    A single mark candle is assumed to be as long as the candles.
    """
    if mark is None or declared_ms:
        return declared_ms if mark else None
    if candle_ms and mark.last_ms - mark.first_ms == (mark.rows - 1) * candle_ms:
        return candle_ms
    gaps = _gaps(con, mark)
    return candle_ms if candle_ms == min(gaps, default=candle_ms) else commonest(gaps)


def _gaps(con: duckdb.DuckDBPyConnection, source: Source) -> list[int]:
    """Steps forward between the first stamps, ms."""
    stamps = np.ma.compressed(source.fetch(con, f"{source.scan(())} LIMIT {_SAMPLE_ROWS}")["t"])
    return [int(gap) for gap in np.diff(stamps) if gap > 0]


def commonest(values: list[int]) -> int | None:
    """The most common value, the smallest of equals; None without values."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value)) if counts else None
