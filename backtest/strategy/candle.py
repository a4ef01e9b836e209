"""`candle`: the columns that `features` is written in."""

from __future__ import annotations

import polars as pl


class Candle:
    """One symbol's candles as Polars expressions, each a column of floats in time order."""

    def __init__(self) -> None:
        self.open = pl.col("open")
        self.high = pl.col("high")
        self.low = pl.col("low")
        self.close = pl.col("close")
        self.volume = pl.col("volume")
