"""Average cross: follow the trend of each market.

The idea. A fast average above a slow one says that the price has lately been higher than before, and trends
last longer than chance would have them. Be long then, short otherwise; pay for it with many small losses.

When it works: long one-way markets, up or down, like the autumn of 2020 or the spring of 2022.

When it dies: a sideways market crosses the averages again and again, and each time the position turns round at
twice the fee and the slippage. A crash that comes from nowhere turns against it before the averages notice; with
leverage that is a liquidation, not a loss. Longs also pay funding through most of a bull market.

It trades only when the sign changes. In between the weight drifts with the price, which costs nothing.
"""

import polars as pl

from backtest import Account, Candle, Market, Param, Strategy


class SmaCross(Strategy):
    """Long when the fast average is above the slow one, short when below."""

    fast: int = Param(20, ge=2, le=1000, doc="candles in the fast average")
    slow: int = Param(100, ge=5, le=5000, doc="candles in the slow average")
    weight: float = Param(0.5, gt=0, le=20, doc="size of each position, as a share of equity")
    every = "1h"

    def validate(self) -> str | None:
        """Refuse averages that are in the wrong order: the cross would mean the opposite."""
        if self.fast >= self.slow:
            return f"fast = {self.fast} is not below slow = {self.slow}"
        return None

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        """Give both averages, in hourly candles."""
        return {"fast": candle.close.rolling_mean(self.fast), "slow": candle.close.rolling_mean(self.slow)}

    def on_start(self, market: Market, account: Account) -> None:
        """Begin with no opinion."""
        self.side: dict[str, int] = {}

    def on_candle(self, market: Market, account: Account) -> None:
        """Turn a position round when the averages have crossed."""
        for symbol in market.symbols:
            side = 1 if market.feature("fast", symbol) > market.feature("slow", symbol) else -1
            if side != self.side.get(symbol):
                self.side[symbol] = side
                account.target(symbol, weight=side * self.weight)
