"""Which part of each series a dataset has, over time: the picture of `backtest data info --coverage`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backtest.data.catalog import Catalog
from backtest.data.row_interval import mark_interval
from backtest.data.settlements import missing_settlements
from backtest.data.source import FURTHER, Source

MOST_BUCKETS = 2_000
"""More stretches of time than any screen has columns."""


@dataclass(frozen=True)
class SeriesCoverage:
    """One series of one symbol."""

    symbol: str
    kind: str
    """``candles``, ``mark``, ``mark_NAME`` or ``funding``."""
    rows: int
    """Different stamps in the symbol's life."""
    expected: int
    """Stamps that a series without a gap has from the symbol's first candle to its last."""
    shares: tuple[float | None, ...]
    """Of the expected rows of each stretch of time, the share that is there (0 to 1); None before the symbol's first
    candle and after its last."""

    @property
    def share(self) -> float:
        """Share of all expected rows that is there, 0 to 1."""
        return self.rows / self.expected if self.expected else 0.0


@dataclass(frozen=True)
class Coverage:
    """All series of a dataset over one span, cut into equal stretches of time."""

    start_ms: int
    end_ms: int
    buckets: int
    series: tuple[SeriesCoverage, ...]
    """By symbol; candles first, then marks and funding."""

    def edge_ms(self, bucket: int) -> int:
        """Return the first instant of a stretch; of the number after the last one, the end."""
        return self.start_ms + -(-bucket * (self.end_ms - self.start_ms) // self.buckets)


def coverage(data: str | Path | Catalog, buckets: int = 60) -> Coverage:
    """Return the coverage of every series in at most ``buckets`` stretches of time, each at least a candle long.

    Reads the stamps of all rows. UserError if the dataset cannot be opened or read.
    """
    catalog = data if isinstance(data, Catalog) else Catalog.open(data)
    start = min(market.first_ms for market in catalog.markets.values())
    end = max(market.last_ms for market in catalog.markets.values()) + catalog.interval_ms
    count = max(1, min(buckets, MOST_BUCKETS, (end - start) // catalog.interval_ms))
    span = Coverage(start, end, count, ())
    edges = np.array([span.edge_ms(n) for n in range(count + 1)], np.int64)
    found = [series for symbol in catalog.symbols for series in _of_symbol(catalog, symbol, edges)]
    return Coverage(start, end, count, tuple(found))


def _of_symbol(catalog: Catalog, symbol: str, edges: NDArray[np.int64]) -> Iterator[SeriesCoverage]:
    market = catalog.market(symbol)
    first, end = market.first_ms, market.last_ms + catalog.interval_ms
    kinds = ("candles", "mark", *(kind for kind in catalog.sources if kind.startswith(FURTHER)), "funding")
    for kind in kinds:
        source = catalog.sources[kind].get(symbol)
        stamps = np.empty(0, np.int64) if source is None else _stamps(catalog, source)
        if kind == "funding":
            lacking = missing_settlements(stamps, first, end, catalog.manifest.funding_interval_ms)
            expected = np.union1d(stamps, lacking)
        else:
            declared = catalog.manifest.mark_intervals_ms.get(symbol) if kind == "mark" else None
            interval = catalog.interval_ms
            if kind != "candles":
                interval = mark_interval(catalog.con, source, declared, market.interval_ms) or interval
            # Marks that begin earlier or end later than the candles have their own grid; it goes on over the life.
            begin = int(stamps[0]) if len(stamps) else first
            begin += -(-(first - begin) // interval) * interval
            expected = np.arange(begin, end, interval, dtype=np.int64)
        if source is not None or kind in ("candles", "mark", "funding"):
            yield _series(symbol, kind, stamps, expected[(expected >= first) & (expected < end)], edges, (first, end))


def _stamps(catalog: Catalog, source: Source) -> NDArray[np.int64]:
    """Different stamps of a source, sorted."""
    return np.unique(np.ma.compressed(source.fetch(catalog.con, source.scan(()))["t"])).astype(np.int64)


def _series(
    symbol: str,
    kind: str,
    stamps: NDArray[np.int64],
    expected: NDArray[np.int64],
    edges: NDArray[np.int64],
    life: tuple[int, int],
) -> SeriesCoverage:
    held = stamps[np.isin(stamps, expected)]
    wanted = np.diff(np.searchsorted(expected, edges))
    there = np.diff(np.searchsorted(held, edges))
    shares: list[float | None] = []
    known = 0.0
    if len(
        expected
    ):  # a stretch shorter than an interval goes with the row that covers it, the first ones with the first
        known = float(np.isin(expected[:1], held)[0])
    for n, (has, wants) in enumerate(zip(there.tolist(), wanted.tolist(), strict=True)):
        if edges[n + 1] <= life[0] or edges[n] >= life[1]:
            shares.append(None)
            continue
        known = has / wants if wants else known
        shares.append(known)
    return SeriesCoverage(symbol, kind, len(held), len(expected), tuple(shares))
