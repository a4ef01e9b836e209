"""From streams to chunks: rows of every symbol laid into one dense panel, marks filled in."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import duckdb
import numpy as np
from numpy.typing import NDArray

from backtest.core.errors import Broken
from backtest.data.derived_marks import Basis, derive, significant, stand_still
from backtest.data.panel import CLOSE, MARK_OPEN, Chunk
from backtest.data.resample import Joined, candles_of
from backtest.data.source import CANDLE_COLUMNS, Source
from backtest.data.stream import Piece, Stream

_THREADS = 2
"""Symbols read at a time. DuckDB decodes one symbol's file on one thread; two were fastest on two cores."""
_BATCH = (4_096, 65_536)
"""Fewest and most rows that one stream reads ahead."""


@dataclass(frozen=True)
class Series:
    """One further series of marks of one symbol."""

    source: Source
    interval_ms: int
    basis: Basis | None
    """What it is derived from where it is coarser than the run's candles; None: it is not."""


@dataclass
class SymbolReader:
    """One symbol's part of the reading: where its rows are, and what its marks are made from."""

    candles: Source
    interval_ms: int
    """Of the candles on disk: the grid's, or one that they are joined from."""
    first_row: int
    last_row: int
    mark: Source | None
    """Mark candles no coarser than the candles; None when every mark is derived, or is the trade."""
    mark_interval_ms: int
    basis: Basis | None
    """None when a mark that is not given is the trade itself."""
    further: tuple[Series | None, ...] = ()
    """Its further marks, where they are read; None: it has none of that name."""
    derived: int = 0
    frozen: int = 0
    idle: int = 0
    """Candles without volume, where the volume is laid into the panel."""
    short: int = 0
    """Candles joined with a finer one missing."""
    last_close: float = np.nan
    last_known: float = np.nan
    streams: dict[str, Stream | Joined] = field(default_factory=dict)


@dataclass(frozen=True)
class Grid:
    """The rows of a selection: row k opens at ``start_ms + k * interval_ms``."""

    start_ms: int
    interval_ms: int
    rows: int

    def at(self, row: int) -> int:
        """Open of a row, ms."""
        return self.start_ms + row * self.interval_ms


class Reader:
    """Makes the chunks of one pass over the data, in order."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        grid: Grid,
        lanes: list[SymbolReader],
        fields: int,
        packed: bool = False,
        spare: int = 0,
    ) -> None:
        """``fields`` of prices; ``packed``: the volume is one field more; ``spare`` more are left for others to fill;
        then come four of each of the lanes' further marks."""
        self.con, self.grid, self.lanes, self.fields, self.packed = con, grid, lanes, fields, packed
        self.further = fields + packed + spare
        self.last: Chunk | None = None

    def chunks(self, rows: int, tail: int, volume: bool) -> Iterator[Chunk]:
        """Chunks of ``rows`` rows. The next one is read in the background while the caller has this one.

        An exception of the background comes out here. Leaving early waits for the one chunk under way.
        """
        starts = range(0, self.grid.rows, rows)
        with ThreadPoolExecutor(1, "feed") as ahead, ThreadPoolExecutor(_THREADS, "feed-symbol") as pool:
            coming = ahead.submit(self._chunk, pool, 0, rows, tail, volume)
            for start in starts:
                chunk = coming.result()
                if start + rows < self.grid.rows:
                    coming = ahead.submit(self._chunk, pool, start + rows, rows, tail, volume)
                yield chunk

    def _chunk(self, pool: ThreadPoolExecutor, start: int, rows: int, tail: int, volume: bool) -> Chunk:
        stop = min(start + rows, self.grid.rows)
        back = min(tail, start)
        shape = (back + stop - start, len(self.lanes))
        panel = np.empty((self.further + 4 * len(self.lanes[0].further), *shape))
        amounts = panel[self.fields] if self.packed else np.empty(shape) if volume else None
        if back:
            if self.last is None or self.last.panel.shape[1] < back:
                raise Broken(f"the chunk before has not the last {back} rows")
            panel[:, :back] = self.last.panel[:, -back:]
            if amounts is not None and self.last.volume is not None:
                amounts[:back] = self.last.volume[-back:]
        batch = min(max(rows, _BATCH[0]), _BATCH[1])
        prices = panel[: self.fields, back:]
        series = panel[self.further :, back:]
        jobs = [
            pool.submit(
                self._fill,
                lane,
                prices[..., i],
                None if amounts is None else amounts[back:, i],
                series[..., i],
                start,
                batch,
            )
            for i, lane in enumerate(self.lanes)
        ]
        for job in jobs:
            job.result()
        self.last = Chunk(start, back, panel, amounts)
        return self.last

    def _fill(
        self,
        lane: SymbolReader,
        out: NDArray[np.float64],
        volume: NDArray[np.float64] | None,
        series: NDArray[np.float64],
        start: int,
        batch: int,
    ) -> None:
        """Lay one symbol's rows from ``start`` on into ``out`` and ``series`` [fields, T], and ``volume`` [T]."""
        count = out.shape[1]
        lo, hi = max(start, lane.first_row), min(start + count, lane.last_row + 1)
        pieces: list[Piece] = []
        if lo < hi:
            names = CANDLE_COLUMNS if volume is None else (*CANDLE_COLUMNS, "volume")
            stream = self._stream(lane, lane.candles, names, lane.interval_ms, batch)
            pieces = stream.take(self.grid.at(hi))
            lane.short = stream.short if isinstance(stream, Joined) else 0
        whole = all(p.unbroken for p in pieces) and sum(len(p.t) for p in pieces) == count
        if not whole:
            out[:] = np.nan
            if volume is not None:
                volume[:] = np.nan
        for piece in pieces:
            rows = self._rows(piece, start)
            for price, column in zip(out[: CLOSE + 1], piece.columns, strict=False):
                price[rows] = column
            if volume is not None:
                volume[rows] = piece.columns[-1]
                if self.packed:
                    lane.idle += int((piece.columns[-1] == 0).sum())
        if self.fields > MARK_OPEN and lo < hi:
            life = slice(lo - start, hi - start)
            marks = self._marks(lane, out[:MARK_OPEN, life], lo, batch)
            out[MARK_OPEN:, life] = marks[: self.fields - MARK_OPEN]
        series[:] = np.nan
        for n, one in enumerate(lane.further if lo < hi else ()):
            if one is not None:
                place = slice(lo - start, hi - start)
                self._lay_series(lane, one, out[:MARK_OPEN, place], series[4 * n : 4 * n + 4, place], lo, batch)
        if hi == lane.last_row + 1:
            lane.streams.clear()

    def _marks(self, lane: SymbolReader, trade: NDArray[np.float64], lo: int, batch: int) -> NDArray[np.float64]:
        """Mark candles of the rows from ``lo`` on, all in the symbol's life; then their closes as known: [5, n]."""
        count = trade.shape[1]
        marks = np.full((5, count), np.nan)
        mark, known = marks[:4], marks[4]
        if lane.mark is not None:
            stream = self._stream(lane, lane.mark, CANDLE_COLUMNS, lane.mark_interval_ms, batch)
            for piece in stream.take(self.grid.at(lo + count)):
                mark[:, self._rows(piece, lo)] = piece.columns
        need = np.flatnonzero(np.isnan(mark[0]) & ~np.isnan(trade[0]))
        if len(need):
            if lane.basis is None:
                mark[:, need] = trade[:, need]
            else:
                t = self.grid.start_ms + (lo + need) * self.grid.interval_ms
                mark[:, need] = derive(trade[:, need], t, self.grid.interval_ms, lane.basis)
                lane.derived += len(need)
        known[:] = mark[3]
        if len(need) and lane.basis is not None:
            known[need] = significant(trade[3, need] * lane.basis.held(t + self.grid.interval_ms))
        lane.frozen += stand_still(mark, lane.last_close)
        if lane.basis is not None:
            lane.basis.cover.stretch(mark, self.grid.at(lo), self.grid.interval_ms)
        stand_still(marks[4:], lane.last_known)
        lane.last_close, lane.last_known = float(mark[3, -1]), float(known[-1])
        return marks

    def _lay_series(
        self,
        lane: SymbolReader,
        series: Series,
        trade: NDArray[np.float64],
        out: NDArray[np.float64],
        lo: int,
        batch: int,
    ) -> None:
        """One further series of the rows from ``lo`` on: its own candles, or what they cover derived from trades."""
        count = trade.shape[1]
        if series.basis is None:
            stream = self._stream(lane, series.source, CANDLE_COLUMNS, series.interval_ms, batch)
            for piece in stream.take(self.grid.at(lo + count)):
                out[:, self._rows(piece, lo)] = piece.columns
            return
        t = self.grid.start_ms + np.arange(lo, lo + count) * self.grid.interval_ms
        known = series.basis.cover.holds(t) & ~np.isnan(trade[0])
        out[:, known] = derive(trade[:, known], t[known], self.grid.interval_ms, series.basis)
        series.basis.cover.stretch(out, self.grid.at(lo), self.grid.interval_ms)

    def _rows(self, piece: Piece, start: int) -> slice | NDArray[np.int64]:
        """Where a piece's rows lie, counted from row ``start``: a slice when nothing is left out."""
        if piece.unbroken:
            first = (int(piece.t[0]) - self.grid.start_ms) // self.grid.interval_ms - start
            return slice(first, first + len(piece.t))
        rows: NDArray[np.int64] = (piece.t - self.grid.start_ms) // self.grid.interval_ms - start
        return rows

    def _stream(
        self, lane: SymbolReader, source: Source, names: tuple[str, ...], interval_ms: int, batch: int
    ) -> Stream | Joined:
        """The lane's stream of ``source``, opened at its first use: a symbol not yet listed costs nothing."""
        if source.kind not in lane.streams:
            span = (self.grid.at(lane.first_row), self.grid.at(lane.last_row + 1))
            intervals = (interval_ms, self.grid.interval_ms)
            ahead = min(_BATCH[1], batch * max(1, self.grid.interval_ms // interval_ms))
            con, phase = self.con.cursor(), self.grid.start_ms
            lane.streams[source.kind] = candles_of(con, source, names, intervals, phase, span, ahead)
        return lane.streams[source.kind]
