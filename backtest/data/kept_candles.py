"""Candles that many runs over one selection look at, read once and held in memory."""

from __future__ import annotations

from threading import Lock

import polars as pl

from backtest.data.selection import Selection
from backtest.data.source import CANDLE_COLUMNS

HELD_BYTES = 64 << 20
"""What is held in memory at most; other columns are read each time."""


class KeptCandles:
    """What `Selection.candles` gives, column by column as it is asked for."""

    def __init__(self, selection: Selection, most: int = HELD_BYTES) -> None:
        self._selection, self._left = selection, most
        self._held: dict[tuple[str, int, str], pl.Series] = {}
        self._lock = Lock()

    def candles(
        self, symbol: str, every_ms: int, columns: tuple[str, ...] = (*CANDLE_COLUMNS, "volume")
    ) -> pl.DataFrame:
        """Candles of ``symbol`` over the period: ts (Datetime ms UTC) and ``columns``."""
        names = ("ts", *columns)
        with self._lock:
            missing = tuple(name for name in columns if (symbol, every_ms, name) not in self._held)
            if missing or (symbol, every_ms, "ts") not in self._held:
                read = self._selection.candles(symbol, every_ms, missing)
                for name in read.columns:
                    self._keep(symbol, every_ms, read[name])
            else:
                read = pl.DataFrame()
            return pl.DataFrame([self._held.get((symbol, every_ms, name), read.to_dict().get(name)) for name in names])

    def _keep(self, symbol: str, every_ms: int, column: pl.Series) -> None:
        size = column.estimated_size()
        if (symbol, every_ms, column.name) not in self._held and size <= self._left:
            self._held[symbol, every_ms, column.name] = column
            self._left -= int(size)
