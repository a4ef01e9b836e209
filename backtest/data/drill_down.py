"""The fine candles inside a selection's coarse ones, read where they are asked for."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from backtest.core.durations import text as interval_name
from backtest.core.errors import Broken, UserError
from backtest.data.chunk_reader import Grid, Reader, SymbolReader
from backtest.data.derived_marks import Stretch
from backtest.data.panel import MARK_OPEN
from backtest.data.select import select
from backtest.data.selection import Selection

_SPAN_ROWS, _SPAN_CELLS = 32_768, 163_840
"""Fine rows, and rows times symbols, that are read at once at most: 12 MB of prices. To find a few rows DuckDB decodes
the whole row group that they are in, so shorter spans were measured to be slower."""


class Drill:
    """Panels of fine candles, by coarse row, of the same symbols, fields and marks as the coarse panel's.

    What it gives is what a replay of the fine candles would see in its own panel. There is more only in the coarse
    rows in which a symbol's life begins and ends: the mark stands still there, before its first fine candle at that
    one's open, after its last one at that one's close, so that a row in which it lives has a mark all through.
    """

    def __init__(self, selection: Selection, fine_ms: int, packed: bool = False) -> None:
        """``fine_ms``: length of the fine candles, a part of the selection's. ``packed``: as of `Selection.chunks`.

        UserError where the one cannot be divided by the other, or the fine candles cannot be made from the data.
        """
        coarse, place = interval_name(selection.interval_ms), selection.catalog.address
        if fine_ms >= selection.interval_ms:
            remedy = f"drill to something shorter, or replay candles longer than {coarse} with --interval"
            raise UserError(f"a drill to {interval_name(fine_ms)} is not finer than {coarse} candles", place, remedy)
        if selection.interval_ms % fine_ms:
            thing = f"a drill to {interval_name(fine_ms)} does not divide {coarse} candles"
            raise UserError(thing, place, "choose a length of which they are a whole multiple")
        end_ms = selection.start_ms + selection.rows * selection.interval_ms
        self.fine = select(selection.catalog, selection.symbols, selection.start_ms, end_ms, fine_ms)
        self.fine_ms = fine_ms
        self.rows = selection.interval_ms // fine_ms
        """Fine rows in a coarse one."""
        self._coarse, self._prices, self._packed = selection, selection.volume_field, packed
        cells = _SPAN_CELLS // len(selection.symbols)
        self._span = max(1, min(_SPAN_ROWS, cells) // self.rows)  # in coarse rows
        # The spans of a chunk of the coarse pass, which the accounts of a comparison play one after another.
        self._most = selection.default_chunk_rows // self._span + 2
        self._held: OrderedDict[int, NDArray[np.float64]] = OrderedDict()

    def window(self, row: int) -> NDArray[np.float64]:
        """The fine panel [fields, rows, symbols] of a coarse row, by its number.

        Rows in rising order are read once; so are rows that several accounts ask for, one chunk after another.
        """
        if not 0 <= row < self._coarse.rows:
            raise Broken(f"row {row} of {self._coarse.rows}")
        number, place = divmod(row, self._span)
        if number not in self._held:
            self._held[number] = self._read(number)
            if len(self._held) > self._most:
                self._held.popitem(last=False)
        self._held.move_to_end(number)
        return np.ascontiguousarray(self._held[number][:, place * self.rows : (place + 1) * self.rows])

    @property
    def stretched(self) -> list[Stretch]:
        """Stretched marks of the coarse candles and of all the fine ones, by time; see `Selection.stretched`."""
        return sorted(self._coarse.stretched + self.fine.stretched)

    @cached_property
    def _lanes(self) -> list[SymbolReader]:
        """What marks are derived from is not read before the first window."""
        return self.fine.lanes()

    def _read(self, number: int) -> NDArray[np.float64]:
        """All fine rows of a span of coarse ones."""
        first = number * self._span
        count = min(self._span, self._coarse.rows - first) * self.rows
        # The fine grid may begin inside of the first coarse row: its rows count from there.
        at = (self._coarse.start_ms + first * self._coarse.interval_ms - self.fine.start_ms) // self.fine_ms
        back, panel = 0, self._panel(at, count)
        while self._unknown(panel, at - back):
            # The mark of a gap is the close before it, which may lie before the span.
            back = min(max(2 * back, count), at)
            panel = self._panel(at - back, back + count)
        panel = panel[:, back:].copy() if back else panel
        self._fill_out(panel, first, at)
        return panel

    def _panel(self, at: int, count: int) -> NDArray[np.float64]:
        """So many rows of the fine grid from ``at`` on, as if the data began there."""
        grid = Grid(self.fine.start_ms + at * self.fine_ms, self.fine_ms, count)
        lanes = [
            replace(
                lane, first_row=max(lane.first_row - at, 0), last_row=min(lane.last_row - at, count - 1), streams={}
            )
            for lane in self._lanes
        ]
        reader = Reader(self.fine.catalog.con, grid, lanes, self._prices, self._packed)
        return next(reader.chunks(count, 0, volume=self._packed)).panel

    def _unknown(self, panel: NDArray[np.float64], at: int) -> bool:
        """Whether a symbol that has lived longer has no mark in the first row."""
        return any(
            lane.first_row < at <= lane.last_row and np.isnan(panel[MARK_OPEN, 0, i])
            for i, lane in enumerate(self._lanes)
        )

    def _fill_out(self, panel: NDArray[np.float64], first: int, at: int) -> None:
        """Marks of the coarse rows in which a symbol's life begins or ends, beside its fine candles."""
        marks = panel[MARK_OPEN : self._prices]
        for i, lane in enumerate(self._lanes):
            begin, born = (int(self._coarse.first_row[i]) - first) * self.rows, lane.first_row - at
            if 0 < born < panel.shape[1]:
                marks[:, max(begin, 0) : born, i] = marks[0, born, i]
            end, dead = (int(self._coarse.last_row[i]) + 1 - first) * self.rows, lane.last_row + 1 - at
            if 0 < dead < panel.shape[1]:
                marks[:, dead:end, i] = marks[3, dead - 1, i]
