"""The panel cache: opening a dataset and having all its rows, beside DuckDB's bare scan of the same columns."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from backtest.data import panel_cache
from backtest.data.catalog import Catalog
from backtest.data.select import select
from benchmarks import market, peers
from benchmarks.timing import Measure, alternate

SYMBOLS = 3


def cached(folder: Path, rounds: int) -> list[Measure]:
    """A second run's reading of three symbols for a year of minutes, from the panel cache, beside DuckDB's scan."""
    data = market.dataset(folder, market.YEAR, SYMBOLS)

    def opened() -> int:
        panel_cache.forget()
        selection = select(Catalog.open(data))
        return sum(chunk.rows for chunk in selection.chunks(selection.default_chunk_rows))

    assert opened() == market.YEAR
    taken = alternate({"ours": opened, "peer": peers.scan(data)}, rounds)
    note = f"{market.YEAR * SYMBOLS:,} rows, checksums included"
    ours, scan = median(taken["ours"]), median(taken["peer"])
    ratio = median(mine / theirs for mine, theirs in zip(taken["ours"], taken["peer"], strict=True))
    return [Measure("reading, cached", "open, select, map", ours, "DuckDB scan", scan, ratio, 0.3, True, note)]
