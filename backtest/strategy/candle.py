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

    def __getitem__(self, name: str) -> pl.Expr:
        """Return a further column of the data's candle files, such as ``candle["open_interest"]``.

        In candles that are joined from finer ones it has the last of their values. UserError where a file lacks it.
        """
        return pl.col(name)
