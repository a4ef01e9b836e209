"""Some symbols of a dataset over a period: the grid, the settlements, and the way to the rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.errors import UserError, nearest
from backtest.feed.marks import Basis
from backtest.feed.panel import CLOSE, MARK_KNOWN, MARK_OPEN, Chunk
from backtest.feed.reader import Grid, Lane, Reader
from backtest.feed.settlements import missing_settlements
from backtest.feed.source import CANDLE_COLUMNS, KINDS, Source
from backtest.feed.stream import Stream
from backtest.feed.times import stamp
from backtest.interval import text as interval_name

if TYPE_CHECKING:  # the catalog makes selections; a selection only reads what the catalog holds
    from backtest.feed.catalog import Catalog

_CHUNK_CELLS = 327_680
"""Rows times symbols in a chunk by default: 10 MB of prices. Larger ones were measured to be no faster."""


@dataclass(frozen=True)
class Selection:
    """What a run replays. Symbols are in sorted order; every array over symbols follows it."""

    catalog: Catalog
    symbols: tuple[str, ...]
    interval_ms: int
    start_ms: int
    """Open of row 0: the earliest candle of any selected symbol in the period."""
    rows: int
    first_row: NDArray[np.int64]
    last_row: NDArray[np.int64]
    """Rows of each symbol's first and last candle in the period."""
    step_micro: NDArray[np.int64]
    mark_offset: int
    """4; or 0 when nothing is given as a mark and no symbol has a gap, so that mark is trade."""
    marks: dict[str, str]
    """Where each symbol's marks come from: ``given``, ``derived`` or ``trades``, then what is mixed in, once read."""
    funding: NDArray[np.float64]
    """[M, 3]: ts_ms, symbol index, rate; by time, then symbol. NaN rate: expected, but missing in the data."""
    no_funding: tuple[str, ...]
    """Selected symbols that have no funding data at all."""
    counts: dict[str, int]
    """What was assumed or filled in, by name. Those about marks grow as chunks are read."""
    period: tuple[int | None, int | None]

    @property
    def known_field(self) -> int:
        """Panel field of the mark at the close as far as it was known then; the mark's close where none is derived."""
        derives = any(basis is not None for basis in self._bases.values())
        return MARK_KNOWN if derives else self.mark_offset + CLOSE

    @property
    def default_chunk_rows(self) -> int:
        """Rows of a chunk that read fast and stay small."""
        return max(4_096, min(65_536, _CHUNK_CELLS // len(self.symbols)))

    def chunks(self, rows_per_chunk: int, tail: int = 0, volume: bool = False) -> Iterator[Chunk]:
        """The rows in order, the next chunk read in the background. The numbers do not depend on the sizes.

        Raises UserError at the first row that cannot be used (unsorted, repeated, off the grid, bad price).
        """
        assert rows_per_chunk >= 1
        assert tail >= 0
        if volume:
            for symbol in self.symbols:
                self.catalog.sources["candles"][symbol].require("volume")
        lanes = self._lanes()
        fields = max(MARK_OPEN + self.mark_offset, self.known_field + 1)
        reader = Reader(self.catalog.con, self._grid, lanes, fields)
        for chunk in reader.chunks(rows_per_chunk, tail, volume):
            self._count(lanes)
            yield chunk

    def candles(
        self, symbol: str, every_ms: int, columns: tuple[str, ...] = (*CANDLE_COLUMNS, "volume")
    ) -> pl.DataFrame:
        """Candles of ``symbol`` over the period: ts (Datetime ms UTC) and ``columns``; only those are read.

        Joined into candles of ``every_ms`` that open at whole multiples of it; a multiple of the interval. One that
        the symbol's last candle cuts short never closes, and is left out: by its end there is no market any more.
        """
        if every_ms % self.interval_ms:
            thing = f"{interval_name(every_ms)} is no multiple of {interval_name(self.interval_ms)} candles"
            raise UserError(thing, "every", "choose a whole multiple")
        source = self.catalog.sources["candles"][symbol]
        if "volume" in columns:
            source.require("volume")
        index = self.symbols.index(symbol)
        span = (self._grid.at(int(self.first_row[index])), self._grid.at(int(self.last_row[index]) + 1))
        t, values = self._read(source, columns, self.interval_ms, self.start_ms, span)
        if every_ms != self.interval_ms:
            bucket = t // every_ms
            first = np.flatnonzero(np.diff(bucket, prepend=bucket[:1] - 1))
            t = bucket[first] * every_ms
            values = [_joined(name, column, first) for name, column in zip(columns, values, strict=True)]
        frame = pl.DataFrame({"ts": t, **dict(zip(columns, values, strict=True))})
        closed = len(t) - int(t[-1] + every_ms > span[1])
        return frame.head(closed).with_columns(pl.col("ts").cast(pl.Datetime("ms", "UTC")))

    def fingerprint(self) -> str:
        """SHA-256 of what is read: size and footer of each file, period, steps. It does not know the path."""
        manifest = self.catalog.manifest
        essentials = {
            "interval_ms": self.interval_ms,
            "quote": manifest.quote,
            "synthetic": manifest.synthetic,
            "funding_interval_ms": manifest.funding_interval_ms,
            "period": self.period,
            "symbols": {s: [int(m), manifest.ticks.get(s)] for s, m in zip(self.symbols, self.step_micro, strict=True)},
        }
        digest = hashlib.sha256(json.dumps(essentials, sort_keys=True).encode())
        for kind in KINDS:
            for symbol in self.symbols:
                source = self.catalog.sources[kind].get(symbol)
                for file in source.files if source else ():
                    digest.update(f"\n{kind} {symbol} {file.size}\n".encode())
                    digest.update(file.footer)
        return digest.hexdigest()

    @cached_property
    def _grid(self) -> Grid:
        return Grid(self.start_ms, self.interval_ms, self.rows)

    @cached_property
    def _bases(self) -> dict[str, Basis | None]:
        """What derived marks are made from; read once, at the first pass over the chunks."""
        return {symbol: self._basis(symbol) if self.mark_offset else None for symbol in self.symbols}

    def _lanes(self) -> list[Lane]:
        lanes = []
        for i, symbol in enumerate(self.symbols):
            lanes.append(
                Lane(
                    candles=self.catalog.sources["candles"][symbol],
                    first_row=int(self.first_row[i]),
                    last_row=int(self.last_row[i]),
                    mark=self.catalog.sources["mark"][symbol] if self.marks[symbol].startswith("given") else None,
                    mark_interval_ms=self._mark_ms(symbol),
                    basis=self._bases[symbol],
                )
            )
        return lanes

    def _count(self, lanes: list[Lane]) -> None:
        self.counts["derived mark rows"] = sum(lane.derived for lane in lanes)
        self.counts["mark rows standing still"] = sum(lane.frozen for lane in lanes)
        for symbol, lane in zip(self.symbols, lanes, strict=True):
            kind = self.marks[symbol].partition(",")[0]
            mixed = f", derived on {lane.derived} rows" if kind == "given" and lane.derived else ""
            mixed += f", standing still on {lane.frozen} rows" if lane.frozen else ""
            self.marks[symbol] = kind + mixed

    def _basis(self, symbol: str) -> Basis | None:
        """What the symbol's missing marks are derived from; None when it has no marks in the period, or all."""
        kind = self.marks[symbol].partition(",")[0]
        if kind == "trades":
            return None
        mark, mark_ms = self.catalog.sources["mark"][symbol], self._mark_ms(symbol)
        i = self.symbols.index(symbol)
        first_ms, last_ms = self._grid.at(int(self.first_row[i])), self._grid.at(int(self.last_row[i]))
        unbroken = mark.last_ms - mark.first_ms == (mark.rows - 1) * mark_ms
        if kind == "given" and unbroken and mark.first_ms <= first_ms and last_ms <= mark.last_ms:
            return None
        span = (self.start_ms - mark_ms, self._grid.at(self.rows) + mark_ms + 1)
        times, low, high = np.empty(0, np.int64), np.empty(0), np.empty(0)
        if kind == "derived":
            times, (low, high) = self._read(mark, ("low", "high"), mark_ms, mark.first_ms, span)
        return Basis(*self._basis_points(symbol, kind, mark, span), times, low, high, mark_ms)

    def _basis_points(
        self, symbol: str, kind: str, mark: Source, span: tuple[int, int]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Times and values of mark open / trade open, from one mark interval before the grid to one after it."""
        # Where marks are as fine as the candles only points beside a hole are ever asked for: a point inside
        # an unbroken run is left out, so that memory does not grow with the history.
        run = self.interval_ms
        beside_hole = (
            f"WINDOW w AS (ORDER BY t) QUALIFY lag(t) OVER w IS DISTINCT FROM t - {run} "
            f"OR lead(t) OVER w IS DISTINCT FROM t + {run}"
        )
        trades = self.catalog.sources["candles"][symbol].scan(("open",), *span)
        points = mark.fetch(
            self.catalog.con,
            f"SELECT t, m.open / c.open AS b FROM ({trades}) c JOIN ({mark.scan(('open',), *span)}) m USING (t) "
            f"WHERE c.open > 0 AND m.open > 0 {beside_hole if kind == 'given' else ''} ORDER BY t",
        )
        return points["t"], points["b"]

    def _mark_ms(self, symbol: str) -> int:
        return self.catalog.markets[symbol].mark_interval_ms or self.interval_ms

    def _read(
        self, source: Source, names: tuple[str, ...], interval_ms: int, phase_ms: int, span: tuple[int, int]
    ) -> tuple[NDArray[np.int64], list[NDArray[np.float64]]]:
        """A whole series at once: for one symbol's features, or marks that are much coarser than the candles."""
        con = self.catalog.con.cursor()
        pieces = Stream(con, source, names, interval_ms, phase_ms % interval_ms, span, 65_536).take(span[1])
        if not pieces:
            return np.empty(0, np.int64), [np.empty(0) for _ in names]
        columns = [np.concatenate([p.columns[j] for p in pieces]) for j in range(len(names))]
        return np.concatenate([p.t for p in pieces]), columns


def _joined(name: str, column: NDArray[np.float64], first: NDArray[np.int64]) -> NDArray[np.float64]:
    """One column of candles joined from those that begin at rows ``first``."""
    joined: NDArray[np.float64]
    if name == "open":
        joined = column[first]
    elif name == "close":
        joined = column[np.append(first[1:], len(column)) - 1]
    else:
        joined = {"high": np.maximum, "low": np.minimum, "volume": np.add}[name].reduceat(column, first)
    return joined


def select(catalog: Catalog, symbols: Sequence[str] | None, start_ms: int | None, end_ms: int | None) -> Selection:
    """The selection, with everything that is known before a row of prices is read."""
    names = _names(catalog, symbols)
    spans = {symbol: _life(catalog, symbol, start_ms, end_ms) for symbol in names}
    empty = [symbol for symbol, life in spans.items() if life is None]
    lives = {symbol: life for symbol, life in spans.items() if life is not None}
    if not lives or (symbols is not None and empty):
        raise _no_data(catalog, names if not lives else empty, start_ms, end_ms)
    chosen = tuple(lives)
    interval = catalog.interval_ms
    first, last, rows = (np.array([life[j] for life in lives.values()], np.int64) for j in range(3))
    start, end = int(first.min()), int(last.max())
    _one_grid(catalog, chosen)
    first_row, last_row = (first - start) // interval, (last - start) // interval
    gaps = int((last_row - first_row + 1 - rows).sum())
    marks = {s: _mark_kind(catalog, s, start, end + interval) for s in chosen}
    funding, missing = _funding(catalog, chosen, first, last + interval)
    markets = [catalog.markets[symbol] for symbol in chosen]
    no_funding = tuple(s for s in chosen if s not in catalog.sources["funding"])
    counts = {
        "gap rows": gaps,
        "derived mark rows": 0,
        "mark rows standing still": 0,
        "symbols with marks taken from trades": sum(kind == "trades" for kind in marks.values()),
        "symbols with an assumed step": sum(m.step_assumed for m in markets),
        "missing settlements": missing,
        "symbols without funding": len(no_funding),
        "symbols without candles in the period": len(empty),
    }
    only_trades = gaps == 0 and all(kind == "trades" for kind in marks.values())
    steps = np.array([m.step_micro for m in markets], np.int64)
    offset = 0 if only_trades else CLOSE + 1
    return Selection(
        catalog, chosen, interval, start, (end - start) // interval + 1, first_row, last_row, steps,
        offset, marks, funding, no_funding, counts, (start_ms, end_ms),
    )  # fmt: skip


def _names(catalog: Catalog, symbols: Sequence[str] | None) -> tuple[str, ...]:
    if symbols is None:
        return catalog.symbols
    for symbol in symbols:
        if symbol not in catalog.sources["candles"]:
            raise UserError(f"no symbol {symbol!r}", str(catalog.path), nearest(symbol, catalog.symbols))
    if not symbols:
        raise UserError("no symbol was named", str(catalog.path), nearest("", catalog.symbols))
    return tuple(sorted(set(symbols)))


def _life(catalog: Catalog, symbol: str, start_ms: int | None, end_ms: int | None) -> tuple[int, int, int] | None:
    """First and last candle in the period and how many there are; None when there are none."""
    source, interval = catalog.sources["candles"][symbol], catalog.interval_ms
    lo = source.first_ms if start_ms is None else max(start_ms, source.first_ms)
    hi = source.last_ms + 1 if end_ms is None else min(end_ms, source.last_ms + 1)
    if lo >= hi:
        return None
    if (lo, hi) == (source.first_ms, source.last_ms + 1):
        return source.first_ms, source.last_ms, source.rows
    if source.last_ms - source.first_ms == (source.rows - 1) * interval:  # no gaps: arithmetic will do
        first = source.first_ms + -(-(lo - source.first_ms) // interval) * interval
        last = source.first_ms + (hi - 1 - source.first_ms) // interval * interval
        return (first, last, (last - first) // interval + 1) if first <= last else None
    query = f"SELECT min(t) AS first, max(t) AS last, count(*) AS rows FROM ({source.scan((), lo, hi)})"
    found = source.fetch(catalog.con, query)
    rows = int(found["rows"][0])
    return (int(found["first"][0]), int(found["last"][0]), rows) if rows else None


def _no_data(catalog: Catalog, symbols: Sequence[str], start_ms: int | None, end_ms: int | None) -> UserError:
    markets = [catalog.markets[symbol] for symbol in symbols]
    asked = (
        f"{'the start' if start_ms is None else stamp(start_ms)} to {'the end' if end_ms is None else stamp(end_ms)}"
    )
    held = f"{stamp(min(m.first_ms for m in markets))} to {stamp(max(m.last_ms for m in markets))}"
    who = ", ".join(symbols[:3]) + (", …" if len(symbols) > 3 else "")
    return UserError(f"{who}: no candles from {asked}", str(catalog.path), f"the data go from {held}")


def _one_grid(catalog: Catalog, symbols: tuple[str, ...]) -> None:
    """UserError unless all candles have one interval and open at the same instants."""
    interval = catalog.interval_ms
    for symbol in symbols:
        market = catalog.markets[symbol]
        if market.interval_ms not in (None, interval):
            thing = (
                f"{symbol} has {interval_name(market.interval_ms or 0)} candles, the dataset {interval_name(interval)}"
            )
            raise UserError(
                thing, str(catalog.path), "leave it out with --symbols, or correct interval in dataset.toml"
            )
    phases = [catalog.markets[symbol].first_ms % interval for symbol in symbols]
    usual = max(phases, key=phases.count)
    for symbol, phase in zip(symbols, phases, strict=True):
        if phase != usual:
            where = catalog.sources["candles"][symbol].where(catalog.markets[symbol].first_ms)
            raise UserError(f"off the grid of {interval_name(interval)} candles", where, "correct its stamps")


def _mark_kind(catalog: Catalog, symbol: str, start_ms: int, end_ms: int) -> str:
    """``given``: as fine as the candles, or finer; ``derived``: coarser; ``trades``: none in the period."""
    mark = catalog.sources["mark"].get(symbol)
    mark_ms = catalog.markets[symbol].mark_interval_ms
    if mark is None or mark_ms is None or mark.last_ms + mark_ms < start_ms or mark.first_ms > end_ms + mark_ms:
        return "trades"
    return "derived" if catalog.interval_ms % mark_ms else "given"


def _funding(
    catalog: Catalog, symbols: tuple[str, ...], first: NDArray[np.int64], end: NDArray[np.int64]
) -> tuple[NDArray[np.float64], int]:
    """Settlements of every symbol's life, missing ones with NaN, by time and symbol; and how many are missing."""
    blocks = [np.empty((0, 3))]
    missing = 0
    for i, symbol in enumerate(symbols):
        source = catalog.sources["funding"].get(symbol)
        if source is None:
            continue
        found = source.fetch(catalog.con, source.scan(("rate",)))
        t, rate = _checked_funding(source, found["t"], np.ma.filled(found["rate"], np.nan))
        lacking = missing_settlements(t, int(first[i]), int(end[i]), catalog.manifest.funding_interval_ms)
        missing += len(lacking)
        held = (t >= first[i]) & (t < end[i])
        for stamps, rates in ((t[held], rate[held]), (lacking, np.full(len(lacking), np.nan))):
            blocks.append(np.column_stack((stamps, np.full(len(stamps), i), rates)))
    table = np.concatenate(blocks)
    return table[np.lexsort((table[:, 1], table[:, 0]))], missing


def _checked_funding(
    source: Source, t: NDArray[np.int64], rate: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    if np.ma.is_masked(t):
        raise UserError("a settlement without a time", f"{source.symbol} in {source.files[0].path}", "fill it in")
    back = np.flatnonzero(np.diff(t) <= 0)
    if len(back):
        before, after = int(t[back[0]]), int(t[back[0] + 1])
        thing = "a settlement that is there twice" if before == after else f"unsorted: it comes after {stamp(before)}"
        raise UserError(thing, source.where(after), "look at it with `backtest data check`, and correct the file")
    bad = np.flatnonzero(~np.isfinite(rate))
    if len(bad):
        raise UserError(f"rate is {rate[bad[0]]}", source.where(int(t[bad[0]])), "correct or remove the row")
    return np.ma.getdata(t), rate
