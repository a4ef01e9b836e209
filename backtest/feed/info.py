"""What a dataset holds, a row per symbol."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backtest.feed.catalog import Catalog

_MINUTE_MS = 60_000


@dataclass(frozen=True)
class SymbolInfo:
    """One symbol of a dataset; times in ms."""

    symbol: str
    first_ms: int
    last_ms: int
    interval_ms: int | None
    rows: int
    gaps: int
    """Candles that are missing between the first and the last."""
    mark_interval_ms: int | None
    mark_rows: int
    funding_intervals_ms: tuple[int, ...]
    """Every interval seen at least twice, in the order in which it first came."""
    funding_rows: int
    step: float
    """Base units in a lot."""
    step_assumed: bool
    tick: float | None


def info(data: str | Path | Catalog) -> list[SymbolInfo]:
    """The symbols of a dataset, sorted. UserError if it cannot be opened."""
    catalog = data if isinstance(data, Catalog) else Catalog.open(data)
    return [_row(catalog, symbol) for symbol in catalog.symbols]


def _row(catalog: Catalog, symbol: str) -> SymbolInfo:
    market = catalog.market(symbol)
    interval = market.interval_ms or catalog.interval_ms
    span = (market.last_ms - market.first_ms) // interval + 1
    return SymbolInfo(
        symbol=symbol,
        first_ms=market.first_ms,
        last_ms=market.last_ms,
        interval_ms=market.interval_ms,
        rows=market.rows,
        gaps=max(0, span - market.rows),
        mark_interval_ms=market.mark_interval_ms,
        mark_rows=market.mark_rows,
        funding_intervals_ms=_funding_intervals(catalog, symbol),
        funding_rows=market.funding_rows,
        step=market.step_micro / 1e6,
        step_assumed=market.step_assumed,
        tick=market.tick,
    )


def _funding_intervals(catalog: Catalog, symbol: str) -> tuple[int, ...]:
    source = catalog.sources["funding"].get(symbol)
    if source is None:
        return ()
    stamps = np.ma.compressed(source.fetch(catalog.con, f"{source.scan(())} ORDER BY t")["t"])
    # Venues stamp settlements some milliseconds late: intervals are told to the minute.
    gaps = np.rint(np.diff(stamps) / _MINUTE_MS).astype(np.int64) * _MINUTE_MS
    values, first, counts = np.unique(gaps, return_index=True, return_counts=True)
    common = [(int(at), int(gap)) for gap, at, count in zip(values, first, counts, strict=True) if count > 1]
    return tuple(gap for _, gap in sorted(common))
