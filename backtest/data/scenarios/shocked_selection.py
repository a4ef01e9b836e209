"""A selection under a scenario: the same rows, with other prices, marks, volume and funding."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.data.panel import CLOSE, MARK_KNOWN, MARK_OPEN, Chunk
from backtest.data.panel_file import Panel
from backtest.data.resample import closed_candles
from backtest.data.scenarios.curve import Floats, product
from backtest.data.scenarios.overlay import MarketShock, Overlay
from backtest.data.scenarios.shocked_candles import Hold, Rows, held, lows_first, shocked, stands_at
from backtest.data.selection import Selection
from backtest.data.source import CANDLE_COLUMNS


@dataclass(frozen=True, kw_only=True)
class ShockedSelection(Selection):
    """What a run under a scenario replays."""

    base: Selection
    overlay: Overlay

    @property
    def known_field(self) -> int:
        """Panel field of the mark at the close as far as it was known then."""
        return MARK_KNOWN if self.base.known_field == MARK_KNOWN else self.mark_offset + CLOSE

    @property
    def panel(self) -> Panel | None:
        """The panel of the selection without the scenario."""
        return self.base.panel

    def chunks(
        self,
        rows_per_chunk: int,
        tail: int = 0,
        volume: bool = False,
        packed: bool = False,
        spare: int = 0,
        further: bool = False,
    ) -> Generator[Chunk, None, None]:
        """The rows in order, as the scenario has them; see :meth:`Selection.chunks`."""
        standing: dict[tuple[str, Hold], float] = {}
        read = self.base.chunks(rows_per_chunk, tail, volume, packed, spare, further)
        with closing(read):
            for chunk in read:
                yield self._changed(chunk, packed, spare, standing)

    def candles(
        self, symbol: str, every_ms: int, columns: tuple[str, ...] = (*CANDLE_COLUMNS, "volume")
    ) -> pl.DataFrame:
        """Candles of ``symbol`` over the period, as the scenario has them; see :meth:`Selection.candles`."""
        shock = self.overlay.of(symbol)
        if not shock.changes:
            return self.base.candles(symbol, every_ms, columns)
        others = tuple(name for name in columns if name not in CANDLE_COLUMNS)
        frame = self.base.candles(symbol, self.interval_ms, (*CANDLE_COLUMNS, *others))
        opens = frame["ts"].to_physical().to_numpy()
        rows = Rows(opens.astype(np.float64), self.interval_ms, self._lows[(opens - self.start_ms) // self.interval_ms])
        found = np.stack([frame[name].to_numpy() for name in CANDLE_COLUMNS])
        made = dict(zip(CANDLE_COLUMNS, shocked(found, rows, shock.trade), strict=True))
        # What else a file has, such as open interest, is no price: a scenario leaves it as it is.
        made |= {name: frame[name].to_numpy() for name in others}
        if "volume" in made:
            made["volume"] = made["volume"] * _thinned(shock, rows.opens_ms)
        end_ms = int(opens[-1]) + self.interval_ms if len(opens) else 0
        return closed_candles(opens, {name: made[name] for name in columns}, self.interval_ms, every_ms, end_ms)

    def fingerprint(self, drill_ms: int = 0, further: bool = False) -> str:
        """That of the data; of a scenario that changes something its own as well."""
        of_data = self.base.fingerprint(drill_ms, further)
        if not self.overlay.changes:
            return of_data
        return hashlib.sha256(f"{of_data} {self.overlay.sha256()}".encode()).hexdigest()

    @cached_property
    def _lows(self) -> NDArray[np.bool_]:
        """Whether lows come first, by row, as the data are."""
        found = [lows_first(chunk.panel[:MARK_OPEN]) for chunk in self.base.chunks(self.base.default_chunk_rows)]
        return np.concatenate(found)

    def _changed(self, chunk: Chunk, packed: bool, spare: int, standing: dict[tuple[str, Hold], float]) -> Chunk:
        """One chunk under the scenario. ``standing``: what marks stand at, kept from chunk to chunk."""
        panel = self._laid(chunk.panel)
        numbers = np.arange(panel.shape[1], dtype=np.float64) + (chunk.row0 - chunk.tail)
        opens: Floats = self.start_ms + numbers * self.interval_ms
        rows = Rows(opens, self.interval_ms, lows_first(chunk.panel[:MARK_OPEN]))
        amounts: Floats | None = None if chunk.volume is None else chunk.volume.copy()
        if packed:
            amounts = panel[self.volume_field]
        behind = self.volume_field + packed + spare
        for i, symbol in enumerate(self.symbols):
            shock = self.overlay.of(symbol)
            if not shock.changes:
                continue
            panel[:MARK_OPEN, :, i] = shocked(panel[:MARK_OPEN, :, i], rows, shock.trade)
            if self.mark_offset:
                panel[:, :, i] = self._marked(panel[:, :, i], rows, shock, standing)
            for field in range(behind, panel.shape[0], 4):
                # Marks of other venues: a move of the market is theirs too, an attack on the mark of this venue is not.
                panel[field : field + 4, :, i] = shocked(panel[field : field + 4, :, i], rows, shock.trade)
            if amounts is not None:
                amounts[:, i] *= _thinned(shock, opens)
        return Chunk(chunk.row0, chunk.tail, panel, amounts)

    def _laid(self, panel: Floats) -> Floats:
        """A panel that may be written to, with fields for the marks where they go their own way."""
        if self.mark_offset == self.base.mark_offset:
            return panel.copy()
        return np.concatenate((panel[:MARK_OPEN], panel[:MARK_OPEN], panel[MARK_OPEN:]))

    def _marked(self, panel: Floats, rows: Rows, shock: MarketShock, standing: dict[tuple[str, Hold], float]) -> Floats:
        """Fields [fields, rows] of one market with its marks under the scenario."""
        plain = panel[MARK_OPEN : MARK_OPEN + 4]
        marks = shocked(plain, rows, shock.mark)
        closes = rows.opens_ms + rows.interval_ms
        known = panel[MARK_KNOWN] * product(shock.mark, closes, False) if self.known_field == MARK_KNOWN else None
        for hold in shock.holds:
            key = shock.symbol, hold
            value = standing.get(key)
            if value is None:
                value = stands_at(plain, rows, shock.mark, hold.start_ms)
            if value is None:
                continue
            standing[key] = value
            marks = held(marks, rows, hold, value)
            if known is not None:
                inside = (closes > hold.start_ms) & (closes <= hold.end_ms) & ~np.isnan(known)
                known = np.where(inside, value, known)
        panel[MARK_OPEN : MARK_OPEN + 4] = marks
        if known is not None:
            panel[MARK_KNOWN] = known
        return panel


def _thinned(shock: MarketShock, opens: Floats) -> Floats:
    """Shares of the volume that are left, by row."""
    shares = np.ones(len(opens))
    for one in shock.volume:
        shares[(opens >= one.start_ms) & (opens < one.end_ms)] *= one.share
    return shares


def under(selection: Selection, overlay: Overlay) -> ShockedSelection:
    """The selection under a scenario's overlay; what else is selected of its catalog is under it, too."""
    own = {one.name: getattr(selection, one.name) for one in fields(Selection)}
    own["catalog"] = replace(selection.catalog, overlay=overlay)
    own["mark_offset"] = MARK_OPEN if overlay.apart else selection.mark_offset
    own["funding"] = overlay.settled(selection.funding, selection.symbols)
    return ShockedSelection(**own, base=selection, overlay=overlay)
