"""Candles of a selection as a Polars LazyFrame that reads only the columns that a query uses."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import polars as pl
from polars.io.plugins import register_io_source

from backtest.core.errors import UserError
from backtest.data.kept_candles import KeptCandles
from backtest.data.selection import Selection
from backtest.data.source import CANDLE_COLUMNS

_THREADS = 2
"""Symbols read at a time: DuckDB decodes one symbol's file on one thread."""


class LazyCandles:
    """Every candle of length ``every_ms``, symbol by symbol: ts (its open, UTC), symbol, prices and volume."""

    def __init__(self, selection: Selection, every_ms: int, kept: KeptCandles | None = None) -> None:
        """``kept``: where the columns are held that several runs look at."""
        self._selection, self._every_ms = selection, every_ms
        self._candles = kept.candles if kept else selection.candles
        kinds: dict[str, pl.DataType] = {"ts": pl.Datetime("ms", "UTC"), "symbol": pl.String()}
        self._schema = pl.Schema(kinds | {name: pl.Float64() for name in (*CANDLE_COLUMNS, "volume")})
        self.error: UserError | None = None
        """What is wrong with the data, once a query has met it: Polars gives it back as its own error."""

    @property
    def frame(self) -> pl.LazyFrame:
        """The candles, unread."""
        return register_io_source(self._read, schema=self._schema)

    def opens(self, symbol: str) -> pl.Series:
        """Return when the candles of a symbol open, in order."""
        return self._candles(symbol, self._every_ms, ())["ts"]

    def _read(
        self, columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, _batch: int | None
    ) -> Iterator[pl.DataFrame]:
        names = [name for name in self._schema.names() if columns is None or name in columns]
        wanted = tuple(name for name in names if name not in ("ts", "symbol"))

        symbols = self._selection.symbols
        if predicate is not None and set(predicate.meta.root_names()) == {"symbol"}:
            # Candles of some symbols: none of them need be looked at one by one.
            asked = tuple(pl.DataFrame({"symbol": symbols}).filter(predicate).to_series())
            symbols, predicate = (asked, None) if asked else (symbols[:1], predicate)

        def candles(symbol: str) -> pl.DataFrame:
            frame = self._candles(symbol, self._every_ms, wanted)
            return frame.select(pl.lit(symbol).alias(name) if name == "symbol" else pl.col(name) for name in names)

        left = rows
        try:
            with ThreadPoolExecutor(_THREADS, "candles") as pool:
                for frame in pool.map(candles, symbols):
                    part = frame if predicate is None else frame.filter(predicate)
                    if left is not None:
                        part, left = part.head(left), max(0, left - part.height)
                    yield part
        except UserError as error:
            self.error = error
            raise
