"""A dataset on disk, opened: what it holds, per symbol. Reads footers, not rows."""

from __future__ import annotations

import os
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Self, TypeAlias

import duckdb
import numpy as np

from backtest.core import forks
from backtest.core.enums import MICRO
from backtest.core.errors import UserError
from backtest.data import remote
from backtest.data.file_formats import in_memory
from backtest.data.folder import find, sources
from backtest.data.manifest import Manifest, read_manifest
from backtest.data.row_interval import commonest, interval, mark_interval
from backtest.data.scenarios.overlay import Overlay
from backtest.data.source import Source

DataSource: TypeAlias = "str | Path | Catalog"
"""How a user names a dataset: where it lies, or an open one."""
SMALL_LOT = Decimal("0.1")
"""An assumed lot is worth at most this much quote, or is the smallest quantity that there is."""


@dataclass(frozen=True)
class MarketInfo:
    """What the data say about one symbol; times in ms, inclusive of the last candle's open."""

    symbol: str
    step_micro: int
    step_assumed: bool
    """The step is no fact but the largest power of ten whose lot cost at most 0.1 quote at the first open, and
    0.000001, the smallest quantity that there is, above a price of 100,000."""
    tick: float | None
    interval_ms: int | None
    """Most common gap between candles; None with a single candle."""
    first_ms: int
    last_ms: int
    rows: int
    mark_interval_ms: int | None
    mark_first_ms: int | None
    mark_last_ms: int | None
    mark_rows: int
    funding_first_ms: int | None
    funding_last_ms: int | None
    funding_rows: int


@dataclass(frozen=True)
class Catalog:
    """An open dataset."""

    path: Path
    """Where its files are: of a remote dataset, in the cache."""
    address: str
    """As the user named it."""
    name: str
    manifest: Manifest
    symbols: tuple[str, ...]
    interval_ms: int
    sources: dict[str, dict[str, Source]]
    """Per kind (candles, mark, funding, and the further marks, mark_NAME) and symbol."""
    markets: dict[str, MarketInfo]
    con: duckdb.DuckDBPyConnection
    """One connection for the dataset; threads take cursors of it."""
    overlay: Overlay | None = None
    """What a scenario changes of every selection."""

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a dataset folder, DIR/PREFIX of a folder of plain files, one candles file, or a remote address.

        Raises UserError if it is missing, or when a file of it is not what it should be.
        """
        if not isinstance(path, (str, os.PathLike)):
            raise in_memory(path)
        forks.check()
        address = str(remote.place_of(path))
        place = remote.local(address) if remote.is_remote(path) else Path(path)
        folder = find(place)
        manifest = read_manifest(folder.manifest)
        con = connect()
        found = sources(con, folder)
        candles = found["candles"]
        intervals = {s: interval(con, source, manifest.interval_ms) for s, source in candles.items()}
        interval_ms = manifest.interval_ms or commonest([ms for ms in intervals.values() if ms])
        if interval_ms is None:
            raise UserError("one candle does not tell its interval", str(place), "put interval into dataset.toml")
        markets = {s: _market(con, s, found, manifest, intervals[s]) for s in candles}
        return cls(place, address, folder.name, manifest, tuple(candles), interval_ms, found, markets, con)

    @property
    def quote(self) -> str:
        """The money that prices are in."""
        return self.manifest.quote

    @property
    def venue(self) -> str:
        """Return the venue that a run goes by unless it names another; empty when the dataset names none."""
        return self.manifest.venue

    @property
    def provenance(self) -> str:
        """How the data came to be, in the words of the dataset."""
        return self.manifest.provenance

    @property
    def synthetic(self) -> bool:
        """True when the data are invented: whatever shows them must say so."""
        return self.manifest.synthetic

    def market(self, symbol: str) -> MarketInfo:
        """What is known of ``symbol``, which the catalog has."""
        return self.markets[symbol]


def connect() -> duckdb.DuckDBPyConnection:
    """A connection to DuckDB in memory, set up for streams: one thread a query, no caches that grow with the files."""
    own = "SET streaming_buffer_size = '1MB'"
    try:
        con = _database().cursor().execute(own)
    except duckdb.Error:  # after a fault inside it DuckDB answers no more from this database
        _database.cache_clear()
        con = _database().cursor().execute(own)
    # DuckDB cannot even turn its bar off in a Jupyter kernel without ipywidgets, where it shows none.
    if con.execute("SELECT current_setting('enable_progress_bar')").fetchall() != [(False,)]:
        con.execute("SET enable_progress_bar = false")
    return con


@cache
def _database() -> duckdb.DuckDBPyConnection:
    """The database of this process, which holds nothing: making one takes 25 ms, a connection to it 0.4 ms."""
    con = duckdb.connect()
    for setting in (
        "SET GLOBAL timezone = 'UTC'",
        "SET GLOBAL threads = 1",  # sums of doubles come out the same; symbols are read side by side instead
        "SET GLOBAL enable_external_file_cache = false",
        "SET GLOBAL async_threads = 0",
    ):
        con.execute(setting)
    return con


def _market(
    con: duckdb.DuckDBPyConnection,
    symbol: str,
    found: dict[str, dict[str, Source]],
    manifest: Manifest,
    interval_ms: int | None,
) -> MarketInfo:
    candles, mark, funding = found["candles"][symbol], found["mark"].get(symbol), found["funding"].get(symbol)
    step = manifest.steps.get(symbol)
    return MarketInfo(
        symbol=symbol,
        step_micro=step or _assumed_step(con, candles),
        step_assumed=step is None,
        tick=manifest.ticks.get(symbol),
        interval_ms=interval_ms,
        first_ms=candles.first_ms,
        last_ms=candles.last_ms,
        rows=candles.rows,
        mark_interval_ms=mark_interval(con, mark, manifest.mark_intervals_ms.get(symbol), interval_ms),
        mark_first_ms=mark.first_ms if mark else None,
        mark_last_ms=mark.last_ms if mark else None,
        mark_rows=mark.rows if mark else 0,
        funding_first_ms=funding.first_ms if funding else None,
        funding_last_ms=funding.last_ms if funding else None,
        funding_rows=funding.rows if funding else 0,
    )


def first_open(con: duckdb.DuckDBPyConnection, candles: Source) -> Decimal | None:
    """The first open of a series; None when it is no price, which the reader names when it comes to it."""
    first = np.ma.filled(candles.fetch(con, f"{candles.scan(('open',))} LIMIT 1")["open"], np.nan)
    price = Decimal(repr(float(first[0])))
    return price if price.is_finite() and price > 0 else None


def _assumed_step(con: duckdb.DuckDBPyConnection, candles: Source) -> int:
    """Micro-units of the largest power of ten, from 1e-6 to 1e6, of which a lot cost at most 0.1 quote at first.

    Quantities are whole micro-units: above a price of 100,000 no step has a lot that small, and it is one of them.
    """
    price = first_open(con, candles)
    exponents = range(6, -7, -1)
    power = next((k for k in exponents if price and price * Decimal(10) ** k <= SMALL_LOT), -6)
    return int(Decimal(10) ** power * MICRO)
