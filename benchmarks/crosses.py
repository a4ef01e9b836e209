"""The strategies of the sweep cases: an average cross of each market, decided in advance or once an hour."""

import polars as pl

from backtest import Param, Strategy


class CrossTargets(Strategy):
    """Decided at each candle, in one query."""

    symbols = ("S00-USD", "S01-USD", "S02-USD")
    fast: int = Param(60, ge=2)
    slow: int = Param(720, ge=2)
    weight: float = Param(0.3, gt=0)

    def targets(self, candles):
        """Give a target where the averages have crossed."""
        return pl.concat([self.turns(candles.filter(pl.col("symbol") == symbol)) for symbol in self.symbols])

    def turns(self, candles):
        """Of one market."""
        above = pl.col("close").rolling_mean(self.fast) > pl.col("close").rolling_mean(self.slow)
        own = candles.select("ts", "symbol", above=above)
        turned = own.filter(pl.col("above") != pl.col("above").shift(1))
        return turned.select("ts", "symbol", target=pl.when("above").then(self.weight).otherwise(-self.weight))


class CrossHourly(Strategy):
    """Called once an hour."""

    every = "1h"
    fast: int = Param(5, ge=2)
    slow: int = Param(50, ge=2)
    weight: float = Param(0.3, gt=0)

    def features(self, candle):
        """Give both averages."""
        return {"fast": candle.close.rolling_mean(self.fast), "slow": candle.close.rolling_mean(self.slow)}

    def on_start(self, market, account):  # noqa: ARG002  a hook's arguments
        """Begin without positions."""
        self.side = {}

    def on_candle(self, market, account):
        """Turn a position round when the averages have crossed."""
        for symbol in market.symbols:
            side = 1 if market.feature("fast", symbol) > market.feature("slow", symbol) else -1
            if side != self.side.get(symbol):
                self.side[symbol] = side
                account.target(symbol, weight=side * self.weight)
