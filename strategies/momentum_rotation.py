"""Momentum rotation: hold what has risen most.

The idea. Over weeks, what has done better than the rest tends to go on doing so, since money follows news and
other money slowly. Each day rank all markets by their return over the last weeks, and hold the best few.

When it works: long rallies that spread from market to market, with many markets to choose from.

When it dies: at the turn. The best performers fall furthest, together, in the first days of a crash, and by the time
the ranking has changed the loss is made. In a sideways year it buys each small top, and the rotation pays fees every
day. Everything it holds is the same bet, so cross margin gives no relief.

It is a `targets` strategy: one Polars query makes every decision, and the replay runs compiled.
"""

import polars as pl

from backtest import Param, Strategy


class MomentumRotation(Strategy):
    """Each day hold the markets with the highest trailing return."""

    top: int = Param(3, ge=1, le=100, doc="markets held at a time")
    days: int = Param(14, ge=1, le=365, doc="days over which the return is measured")
    weight: float = Param(1.0, gt=0, le=20, doc="size of the whole book, as a multiple of equity")
    every = "1d"

    def targets(self, candles: pl.LazyFrame) -> pl.LazyFrame:
        """Give each day's `top` an equal part of the book, and nothing to the others."""
        # In order of symbol, so that equal returns are ranked the same way every time.
        momentum = pl.col("close") / pl.col("close").shift(self.days).over("symbol", order_by="ts") - 1
        rank = pl.col("momentum").rank("ordinal", descending=True).over("ts")
        held = (rank <= self.top) & (pl.col("momentum") > 0)
        return (
            candles.sort("ts", "symbol")
            .with_columns(momentum=momentum)
            .filter(pl.col("momentum").is_finite())
            .select("ts", "symbol", target=pl.when(held).then(self.weight / self.top).otherwise(0.0))
        )
