"""Some symbols of a dataset over a period: the grid, the settlements, and the way to the rows."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.durations import text as interval_name
from backtest.core.errors import Broken, UserError
from backtest.data.catalog import Catalog
from backtest.data.chunk_reader import Grid, Reader, Series, SymbolReader
from backtest.data.derived_marks import Basis, Cover, Stretch
from backtest.data.mark_extremes import nearest, stretches
from backtest.data.panel import CLOSE, MARK_KNOWN, MARK_OPEN, Chunk
from backtest.data.panel_cache import PanelSource, opened
from backtest.data.panel_file import Counted, Panel, PanelNotes
from backtest.data.resample import Joined, candles_of, closed_candles
from backtest.data.row_interval import mark_interval
from backtest.data.source import CANDLE_COLUMNS, FURTHER, KINDS, File, Source

_CHUNK_CELLS = 327_680
"""Rows times symbols in a chunk by default: 10 MB of prices. Larger ones were measured to be no faster."""


@dataclass(frozen=True)
class Selection:
    """What a run replays. Symbols are in sorted order; every array over symbols follows it."""

    catalog: Catalog
    symbols: tuple[str, ...]
    interval_ms: int
    """Of the run's candles: that of the data, or longer, and then they are joined as they are read."""
    start_ms: int
    """Open of row 0: the earliest candle of any selected symbol in the period."""
    rows: int
    first_row: NDArray[np.int64]
    last_row: NDArray[np.int64]
    """Rows of each symbol's first and last candle in the period."""
    step_micro: NDArray[np.int64]
    mark_offset: int
    """4; or 0 when candles are as they lie on disk, nothing is given as a mark and no symbol has a gap, so that mark
    is trade."""
    marks: dict[str, str]
    """Where each symbol's marks come from: ``given``, ``derived`` or ``trades``, then what is mixed in, once read."""
    funding: NDArray[np.float64]
    """[M, 3]: ts_ms, symbol index, rate; by time, then symbol. NaN rate: expected, but missing in the data."""
    no_funding: tuple[str, ...]
    """Selected symbols that have no funding data at all."""
    counts: dict[str, int]
    """What was assumed or filled in, by name. Those about marks grow as chunks are read."""
    period: tuple[int | None, int | None]
    kept: bool = True
    """Whether what is read of it may come from the panel cache, and go there."""
    within: Selection | None = None
    """A longer selection of the same markets from the same row on, whose panel has these rows too."""

    @property
    def known_field(self) -> int:
        """Panel field of the mark at the close as far as it was known then; the mark's close where none is derived."""
        derives = self.panel.notes.derives if self.panel else self._derives
        return MARK_KNOWN if derives else self.mark_offset + CLOSE

    @property
    def default_chunk_rows(self) -> int:
        """Rows of a chunk that read fast and stay small; fewer where each is joined from many."""
        return max(4_096, min(65_536, _CHUNK_CELLS // len(self.symbols))) // self.finer or 1

    @property
    def finer(self) -> int:
        """How many of the data's candles make one of the run's."""
        return self.interval_ms // self.catalog.interval_ms

    @property
    def volume_field(self) -> int:
        """Panel field of the candles' volume in chunks that have it packed."""
        return max(MARK_OPEN + self.mark_offset, self.known_field + 1)

    @property
    def further(self) -> tuple[str, ...]:
        """Kinds of the further marks that the dataset has of some of the symbols."""
        found = self.catalog.sources.items()
        return tuple(k for k, of in found if k.startswith(FURTHER) and any(s in of for s in self.symbols))

    def chunks(
        self,
        rows_per_chunk: int,
        tail: int = 0,
        volume: bool = False,
        packed: bool = False,
        spare: int = 0,
        further: bool = False,
    ) -> Generator[Chunk, None, None]:
        """The rows in order, the next chunk read in the background. The numbers do not depend on the sizes.

        ``packed``: the candles' volume is one field more of the panel, for the engine, and their number without any is
        counted. ``spare``: so many fields more behind it hold nothing, for the engine to fill. ``further``: four more
        behind these for each of `further`, NaN where it is not known. Raises UserError at the first row that cannot be
        used (unsorted, repeated, off the grid, bad price).
        """
        if rows_per_chunk < 1:
            raise Broken(f"chunks of {rows_per_chunk} rows")
        if tail < 0:
            raise Broken(f"a tail of {tail} rows")
        if volume or packed:
            for symbol in self.symbols:
                self.catalog.sources["candles"][symbol].require("volume")
        kept = None if further else self.panel
        if kept and (kept.notes.volume or not (volume or packed)):
            self._count([replace(one, idle=one.idle if packed else 0) for one in kept.notes.counted])
            for start in range(0, self.rows, rows_per_chunk):
                yield kept.chunk(start, min(rows_per_chunk, self.rows - start), tail, volume, packed, spare)
            return
        lanes = self.lanes(further)
        reader = Reader(self.catalog.con, self._grid, lanes, self.volume_field, packed, spare)
        for chunk in reader.chunks(rows_per_chunk, tail, volume):
            self._count(lanes)
            yield chunk

    def candles(
        self, symbol: str, every_ms: int, columns: tuple[str, ...] = (*CANDLE_COLUMNS, "volume")
    ) -> pl.DataFrame:
        """Candles of ``symbol`` over the period: ts (Datetime ms UTC) and ``columns``; only those are read.

        Columns may be further ones of the files, with NaN where they are null.
        Joined into candles of ``every_ms`` that open at whole multiples of it; a multiple of the interval. One that
        the symbol's last candle cuts short never closes, and is left out: by its end there is no market any more.
        """
        if every_ms % self.interval_ms:
            thing = f"{interval_name(every_ms)} is not a multiple of {interval_name(self.interval_ms)} candles"
            raise UserError(thing, "every", "choose a whole multiple")
        source = self.catalog.sources["candles"][symbol]
        further = tuple(name for name in columns if name not in CANDLE_COLUMNS)
        for name in further:
            source.require(name)
        index = self.symbols.index(symbol)
        span = (self._grid.at(int(self.first_row[index])), self._grid.at(int(self.last_row[index]) + 1))
        intervals = self.catalog.interval_ms, self.interval_ms
        if self.panel and set(further) <= {"volume"} and (self.panel.notes.volume or not further):
            t, values = self._kept_candles(self.panel, index, columns)
            have_ms = self.interval_ms
        else:
            t, values = self._read(source, columns, intervals, self.start_ms, span, every_ms)
            have_ms = every_ms
        return closed_candles(t, dict(zip(columns, values, strict=True)), have_ms, every_ms, span[1])

    @property
    def stretched(self) -> list[Stretch]:
        """Derived marks that were moved far to attain the venue's high or low, by time; not those of further series."""
        if self.panel:
            return list(self.panel.notes.stretches)
        return sorted(stretch for basis in self._bases.values() if basis for stretch in basis.stretches)

    def fingerprint(self, drill_ms: int = 0, further: bool = False) -> str:
        """SHA-256 of what is read: size and footer of each file, period, steps, intervals. It does not know the path.

        ``drill_ms``: of the fine candles, where the run drills. ``further``: the further marks are read, too.
        """
        manifest = self.catalog.manifest
        essentials = {
            "interval_ms": self.interval_ms,
            "quote": manifest.quote,
            "synthetic": manifest.synthetic,
            "funding_interval_ms": manifest.funding_interval_ms,
            "period": self.period,
            "symbols": {s: [int(m), manifest.ticks.get(s)] for s, m in zip(self.symbols, self.step_micro, strict=True)},
        } | ({"drill_ms": drill_ms} if drill_ms else {})
        digest = hashlib.sha256(json.dumps(essentials, sort_keys=True).encode())
        for kind in (*KINDS, *(self.further if further else ())):
            for symbol in self.symbols:
                for file in self._files(kind, symbol):
                    digest.update(f"\n{kind} {symbol} {file.size}\n".encode())
                    digest.update(file.footer)
        return digest.hexdigest()

    def _files(self, kind: str, symbol: str) -> tuple[File, ...]:
        source = self.catalog.sources[kind].get(symbol)
        return source.files if source else ()

    @cached_property
    def panel(self) -> Panel | None:
        """The panel in the user's cache, read into it first where it is not there; None: rows are read from Parquet."""
        if self.within is not None:
            return self.within.panel
        if not self.kept:
            return None
        files = [file.path for kind in KINDS for symbol in self.symbols for file in self._files(kind, symbol)]
        try:
            changed = [(stat.st_mtime_ns, stat.st_size) for stat in map(os.stat, files)]
        except OSError:
            return None  # the run says which file is gone
        rows, cells = self.default_chunk_rows, self.rows * len(self.symbols)
        return opened(f"{self.fingerprint()} {changed} {rows}", 8 * 10 * cells, cells, partial(self._read_panel, rows))

    def _read_panel(self, rows: int) -> PanelSource:
        """The whole panel as it is read from Parquet, in blocks of so many rows."""
        candles = [self.catalog.sources["candles"][symbol] for symbol in self.symbols]
        volume = all("volume" in file.types for source in candles for file in source.files)
        lanes, fields = self.lanes(), MARK_KNOWN + 1 if self._derives else MARK_OPEN + self.mark_offset
        reader = Reader(self.catalog.con, self._grid, lanes, fields, packed=volume)

        def notes() -> PanelNotes:
            counted = tuple(Counted(one.derived, one.frozen, one.idle, one.short) for one in lanes)
            found = sorted(stretch for basis in self._bases.values() if basis for stretch in basis.stretches)
            shape = fields, volume, self.rows, len(self.symbols), rows
            return PanelNotes(*shape, self._derives, counted, tuple(found))

        return PanelSource((chunk.panel for chunk in reader.chunks(rows, 0, volume)), notes)

    def _kept_candles(
        self, kept: Panel, index: int, columns: tuple[str, ...]
    ) -> tuple[NDArray[np.int64], list[NDArray[np.float64]]]:
        """One symbol's candles out of the panel."""
        fields = [kept.notes.fields if name == "volume" else CANDLE_COLUMNS.index(name) for name in columns]
        values = [kept.column(field, index, self.rows) for field in fields]
        opens = values[fields.index(0)] if 0 in fields else kept.column(0, index, self.rows)
        there = np.flatnonzero(~np.isnan(opens))
        t = self.start_ms + there * self.interval_ms
        return t, values if len(there) == self.rows else [column[there] for column in values]

    @property
    def _derives(self) -> bool:
        """Whether any mark is derived."""
        return any(basis is not None for basis in self._bases.values())

    @cached_property
    def _grid(self) -> Grid:
        return Grid(self.start_ms, self.interval_ms, self.rows)

    @cached_property
    def _bases(self) -> dict[str, Basis | None]:
        """What derived marks are made from; read once, at the first pass over the chunks."""
        return {symbol: self._basis(symbol) if self.mark_offset else None for symbol in self.symbols}

    def lanes(self, further: bool = False) -> list[SymbolReader]:
        """Each symbol's part of a reading, unread; with its further marks, if they are asked for."""
        lanes = []
        for i, symbol in enumerate(self.symbols):
            lanes.append(
                SymbolReader(
                    candles=self.catalog.sources["candles"][symbol],
                    interval_ms=self.catalog.interval_ms,
                    first_row=int(self.first_row[i]),
                    last_row=int(self.last_row[i]),
                    mark=self.catalog.sources["mark"][symbol] if self.marks[symbol].startswith("given") else None,
                    mark_interval_ms=self._mark_ms(symbol),
                    basis=self._bases[symbol],
                    further=tuple(self._series(symbol, kind) for kind in (self.further if further else ())),
                )
            )
        return lanes

    def _count(self, lanes: Sequence[SymbolReader | Counted]) -> None:
        self.counts["derived mark rows"] = sum(lane.derived for lane in lanes)
        self.counts["rows with an unchanged mark"] = sum(lane.frozen for lane in lanes)
        self.counts["joined candles with missing parts"] = sum(lane.short for lane in lanes)
        self.counts["candles without volume"] = sum(lane.idle for lane in lanes)
        for symbol, lane in zip(self.symbols, lanes, strict=True):
            kind = self.marks[symbol].partition(",")[0]
            mixed = f", derived on {lane.derived} rows" if kind == "given" and lane.derived else ""
            mixed += f", unchanged on {lane.frozen} rows" if lane.frozen else ""
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
        return self._basis_of(symbol, mark, mark_ms, kind == "derived")

    def _series(self, symbol: str, kind: str) -> Series | None:
        """One of the symbol's further marks: as it is where it is as fine as the candles, else derived from it."""
        source = self.catalog.sources[kind].get(symbol)
        if source is None:
            return None
        candle_ms = self.catalog.markets[symbol].interval_ms
        ms = mark_interval(self.catalog.con, source, None, candle_ms) or self.interval_ms
        return Series(source, ms, self._basis_of(symbol, source, ms, True) if self.interval_ms % ms else None)

    def _basis_of(self, symbol: str, mark: Source, mark_ms: int, coarse: bool) -> Basis:
        """The basis of one series of marks; ``coarse``: of one that is coarser than the candles, with its candles."""
        span = (self.start_ms - mark_ms, self._grid.at(self.rows) + mark_ms + 1)
        basis = Basis(*self._basis_points(symbol, mark, mark_ms, coarse, span))
        return self._covered(symbol, mark, mark_ms, basis, span) if coarse else basis

    def _covered(self, symbol: str, mark: Source, mark_ms: int, basis: Basis, span: tuple[int, int]) -> Basis:
        """The basis with the mark candles around the rows, and what is stretched far to attain their extremes."""
        times, (low, high) = self._read(mark, ("low", "high"), (mark_ms, mark_ms), mark.first_ms, span)
        candles = self._candles(self.catalog.sources["candles"][symbol], self.catalog.interval_ms, span)
        rows = nearest(self.catalog.con, mark, candles, self._grid, times, mark_ms)
        cover = Cover(times, low, high, mark_ms, rows.low_rows, rows.high_rows)
        whole, i = replace(basis, cover=cover), self.symbols.index(symbol)
        life = self._grid.at(int(self.first_row[i])), self._grid.at(int(self.last_row[i]))
        return replace(whole, stretches=tuple(stretches(symbol, whole, rows, self._grid, life)))

    def _basis_points(
        self, symbol: str, mark: Source, mark_ms: int, coarse: bool, span: tuple[int, int]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Times and values of mark open / trade open, from one mark interval before the grid to one after it."""
        # Where marks are as fine as the candles only points beside a hole are ever asked for: a point inside
        # an unbroken run is left out, so that memory does not grow with the history.
        run = self.interval_ms
        beside_hole = (
            f"WINDOW w AS (ORDER BY t) QUALIFY lag(t) OVER w IS DISTINCT FROM t - {run} "
            f"OR lead(t) OVER w IS DISTINCT FROM t + {run}"
        )
        trades = self._candles(self.catalog.sources["candles"][symbol], self.catalog.interval_ms, span)
        marks = self._candles(mark, mark_ms, span)
        points = mark.fetch(
            self.catalog.con,
            f"SELECT t, m.open / c.open AS b FROM ({trades}) c JOIN ({marks}) m USING (t) "
            f"WHERE c.open > 0 AND m.open > 0 {'' if coarse else beside_hole} ORDER BY t",
        )
        return points["t"], points["b"]

    def _candles(self, source: Source, interval_ms: int, span: tuple[int, int]) -> str:
        """SQL for t and prices of a source's candles in a span; of joined ones, where they are finer than the run's.

        A joined candle opens with the first of its finer ones, wherever in it that lies. Columns that are not asked
        for are not read.
        """
        if interval_ms >= self.interval_ms:
            return source.scan(CANDLE_COLUMNS, *span)
        scan = source.scan(CANDLE_COLUMNS, span[0], span[1] - 1 + self.interval_ms)
        opens = f"t - (t - {self.start_ms % self.interval_ms}) % {self.interval_ms}"
        columns = "arg_min(open, t) AS open, max(high) AS high, min(low) AS low, arg_max(close, t) AS close"
        return f"SELECT {opens} AS t, {columns} FROM ({scan}) GROUP BY 1"

    def _mark_ms(self, symbol: str) -> int:
        return self.catalog.markets[symbol].mark_interval_ms or self.interval_ms

    def _read(
        self,
        source: Source,
        names: tuple[str, ...],
        ms: tuple[int, int],
        phase_ms: int,
        span: tuple[int, int],
        every_ms: int | None = None,
    ) -> tuple[NDArray[np.int64], list[NDArray[np.float64]]]:
        """A whole series at once: for one symbol's features, or marks that are much coarser than the candles.

        ``ms``: intervals on disk and wanted. ``every_ms``: of candles on the clock that these are joined into as they
        are read, so that no more than those are in memory.
        """
        con = self.catalog.con.cursor()
        until_ms = span[1] + (phase_ms - span[1]) % ms[1]
        stream = candles_of(con, source, names, ms, phase_ms, span, 65_536)
        if every_ms is not None and every_ms != ms[1]:
            stream, until_ms = Joined(stream, every_ms, 0), until_ms + -until_ms % every_ms
        pieces = stream.take(until_ms)
        if not pieces:
            return np.empty(0, np.int64), [np.empty(0) for _ in names]
        columns = [np.concatenate([p.columns[j] for p in pieces]) for j in range(len(names))]
        return np.concatenate([p.t for p in pieces]), columns
