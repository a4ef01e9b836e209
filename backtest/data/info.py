"""What a dataset holds, a row per symbol."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backtest.data.catalog import Catalog, first_open
from backtest.data.row_interval import mark_interval
from backtest.data.settlements import expected_intervals
from backtest.data.source import FURTHER, Source

_MINUTE_MS = 60_000


@dataclass(frozen=True)
class FundingPeriod:
    """A stretch of settlements with one usual interval; a settlement that is missing in it does not end it."""

    first_ms: int
    last_ms: int
    """Stamps of its first and its last settlement; the next stretch begins with the same."""
    interval_ms: int


@dataclass(frozen=True)
class SeriesInfo:
    """Mark candles of a symbol, or its settlements."""

    kind: str
    """``mark``, a further series of marks like ``mark_index``, or ``funding``."""
    first_ms: int
    last_ms: int
    """Stamps of the first and the last row: opens of candles, times of settlements."""
    rows: int
    intervals_ms: tuple[int, ...]
    """Of settlements every interval there was, in the order in which it first came; of candles the one they have."""
    interval_counts: tuple[int, ...]
    """Of settlements how often each interval came; of candles nothing."""
    gaps: int
    """Candles that are missing between the first and the last; nothing is said of settlements here."""
    periods: tuple[FundingPeriod, ...] = ()
    """Of settlements: which interval was usual when."""


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
    """Every interval between settlements, in the order in which it first came."""
    funding_rows: int
    step: float
    """Base units in a lot."""
    step_assumed: bool
    lot_cost: float | None
    """Quote units that a lot cost at the first open; None: that is no price."""
    tick: float | None
    series: tuple[SeriesInfo, ...]
    """What there is beside candles: marks, further marks, funding."""


def info(data: str | Path | Catalog) -> list[SymbolInfo]:
    """The symbols of a dataset, sorted. UserError if it cannot be opened."""
    catalog = data if isinstance(data, Catalog) else Catalog.open(data)
    return [_row(catalog, symbol) for symbol in catalog.symbols]


def _row(catalog: Catalog, symbol: str) -> SymbolInfo:
    market = catalog.market(symbol)
    price = first_open(catalog.con, catalog.sources["candles"][symbol])
    series = tuple(_series(catalog, symbol))
    settled = next((one for one in series if one.kind == "funding"), None)
    return SymbolInfo(
        symbol=symbol,
        first_ms=market.first_ms,
        last_ms=market.last_ms,
        interval_ms=market.interval_ms,
        rows=market.rows,
        gaps=_gaps(catalog.sources["candles"][symbol], market.interval_ms or catalog.interval_ms),
        mark_interval_ms=market.mark_interval_ms,
        mark_rows=market.mark_rows,
        funding_intervals_ms=settled.intervals_ms if settled else (),
        funding_rows=market.funding_rows,
        step=market.step_micro / 1e6,
        step_assumed=market.step_assumed,
        lot_cost=float(price * market.step_micro / 10**6) if price else None,
        tick=market.tick,
        series=series,
    )


def _series(catalog: Catalog, symbol: str) -> Iterator[SeriesInfo]:
    """Marks, further marks and funding of a symbol, as far as there are any."""
    market = catalog.market(symbol)
    for kind in ("mark", *(kind for kind in catalog.sources if kind.startswith(FURTHER))):
        source = catalog.sources[kind].get(symbol)
        if source is not None:
            declared = catalog.manifest.mark_intervals_ms.get(symbol) if kind == "mark" else None
            ms = mark_interval(catalog.con, source, declared, market.interval_ms)
            held = (source.first_ms, source.last_ms, source.rows)
            yield SeriesInfo(kind, *held, (ms,) if ms else (), (), _gaps(source, ms) if ms else 0)
    source = catalog.sources["funding"].get(symbol)
    if source is not None:
        stamps = _settled(catalog, source)
        intervals, counts = _funding_intervals(stamps)
        held = (source.first_ms, source.last_ms, source.rows)
        yield SeriesInfo("funding", *held, intervals, counts, 0, funding_periods(stamps))


def _gaps(source: Source, interval_ms: int) -> int:
    return max(0, (source.last_ms - source.first_ms) // interval_ms + 1 - source.rows)


def _settled(catalog: Catalog, source: Source) -> NDArray[np.int64]:
    """Different stamps of settlements, sorted, to the minute: venues stamp them some milliseconds late."""
    stamps = np.ma.compressed(source.fetch(catalog.con, source.scan(()))["t"])
    return np.unique(np.rint(stamps / _MINUTE_MS).astype(np.int64) * _MINUTE_MS)


def _funding_intervals(stamps: NDArray[np.int64]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Every interval between settlements in the order in which it first came, and how often it came."""
    values, first, counts = np.unique(np.diff(stamps), return_index=True, return_counts=True)
    order = np.argsort(first)
    return tuple(values[order].tolist()), tuple(counts[order].tolist())


def funding_periods(stamps: NDArray[np.int64]) -> tuple[FundingPeriod, ...]:
    """Cut sorted ``stamps`` (ms) where the usual interval between settlements changes."""
    if len(stamps) < 2:
        return ()
    usual = expected_intervals(np.diff(stamps))
    cuts = np.concatenate(([0], np.flatnonzero(np.diff(usual)) + 1, [len(usual)])).tolist()
    return tuple(
        FundingPeriod(int(stamps[start]), int(stamps[stop]), int(usual[start]))
        for start, stop in itertools.pairwise(cuts)
    )
