"""Strategies that use past data only, in ways that a careless check would take for something else."""

from __future__ import annotations

import numpy as np
import polars as pl

from backtest import Account, Candle, Market, Strategy
from tests.research.planted_leaks import Base, Floats, mapped


class WarmUp(Base):
    """Knows nothing for ten days."""

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        return {"x": candle.close - candle.close.rolling_mean(240)}


class MinSamples(Base):
    """Begins with windows that are not full."""

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        return {"x": candle.close - candle.close.rolling_mean(100, min_samples=1)}


class MonthSoFar(Base):
    """Adds up from the month's begin."""

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        return {"x": candle.close - candle.close.cum_sum() / pl.int_range(1, pl.len() + 1)}


class MonthReset(Strategy):
    """Averages the month so far, and begins again with the next."""

    def targets(self, candles: pl.LazyFrame) -> pl.LazyFrame:
        month = [pl.col("ts").dt.strftime("%Y%m"), pl.col("symbol")]
        so_far = pl.col("close").cum_sum().over(month) / pl.int_range(1, pl.len() + 1).over(month)
        return candles.select("ts", "symbol", target=0.1 * (pl.col("close") - so_far).sign())


class Daily(Base):
    """Decides once a day."""

    every = "1d"

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        return {"x": candle.close.pct_change()}


class Yesterday(Strategy):
    """Joins the close of the day before."""

    def targets(self, candles: pl.LazyFrame) -> pl.LazyFrame:
        day = pl.col("ts").dt.truncate("1d")
        daily = candles.group_by(day.dt.offset_by("1d").alias("day"), "symbol").agg(
            pl.col("close").last().alias("last")
        )
        joined = candles.with_columns(day=day).join(daily, on=["day", "symbol"])
        return joined.select("ts", "symbol", target=0.1 * (pl.col("close") - pl.col("last")).sign())


class Filtered(Base):
    """Filters recursively, in numpy, with a transform's rounding."""

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        def smooth(values: Floats) -> Floats:
            kernel = np.exp(-np.arange(200) / 10)
            size = len(values) + len(kernel)
            return np.fft.irfft(np.fft.rfft(values, size) * np.fft.rfft(kernel, size), size)[: len(values)]

        return {"x": mapped(smooth, candle.close.log().diff().fill_null(0.0))}


class Seeded(Strategy):
    """Tosses the coin that the run's seed fixes."""

    def on_candle(self, market: Market, account: Account) -> None:
        for symbol in market.symbols:
            account.target(symbol, weight=float(self.rng.choice((-0.2, 0.2))))


class OwnState(Base):
    """Remembers in itself, and reacts to its fills."""

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        return {"x": candle.close.diff(24)}

    def on_start(self, market: Market, account: Account) -> None:
        self.count: dict[str, int] = {}

    def on_candle(self, market: Market, account: Account) -> None:
        self.count["calls"] = self.count.get("calls", 0) + 1
        if self.count["calls"] % 7 == 0:
            super().on_candle(market, account)


class Stops(Strategy):
    """Lets stop orders wait, and moves them."""

    def on_candle(self, market: Market, account: Account) -> None:
        symbol = "BTCUSDT"
        if symbol in market.symbols and not account.position(symbol).qty and len(account.orders) < 1:
            account.buy(symbol, 0.05, stop=market.close[symbol] * 1.003)
        elif account.position(symbol).qty > 0 and market.close[symbol] < account.position(symbol).entry_price * 0.99:
            account.close(symbol)


HONEST = (WarmUp, MinSamples, MonthSoFar, MonthReset, Daily, Yesterday, Filtered, Seeded, OwnState, Stops)
