"""The strategy of the disk case: it holds all markets, the better half long and the worse half short."""

import polars as pl

from backtest import Param, Strategy


class Rotation(Strategy):
    """Every so often go long what has risen most over the last weeks, and short the rest, in equal parts."""

    lookback_days: int = Param(14, ge=1)
    every: str = Param("1d")

    def targets(self, candles):
        """Rank by trailing return at each decision."""
        back = self.lookback_days * 86_400_000 // self.every_ms
        momentum = pl.col("close") / pl.col("close").shift(back).over("symbol", order_by="ts") - 1
        rank = pl.col("momentum").rank("ordinal").over("ts")
        count = pl.len().over("ts")
        return (
            candles.sort("ts", "symbol")
            .with_columns(momentum=momentum)
            .filter(pl.col("momentum").is_finite())
            .select("ts", "symbol", target=pl.when(rank * 2 > count).then(1.0).otherwise(-1.0) / count)
        )
