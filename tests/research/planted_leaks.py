"""Strategies that know too much, or do not repeat, each by another way. Each says what a check has to name.

`SEEN`: a scan of the source could see it. `HIDDEN`: only a replay can.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest import Account, Candle, Market, Strategy

Floats = NDArray[np.float64]


class Base(Strategy):
    """Is long where its feature is above zero, short below."""

    def on_candle(self, market: Market, account: Account) -> None:
        for symbol in market.symbols:
            value = market.feature("x", symbol)
            account.target(symbol, weight=0.2 if value > 0 else -0.2)


def mapped(function: Callable[[Floats], Floats], column: pl.Expr) -> pl.Expr:
    """A function of the whole column."""
    return column.map_batches(lambda s: pl.Series(function(s.to_numpy().astype(float))), return_dtype=pl.Float64)


class ShiftBack(Base):
    """Takes the next candle's close."""

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        return {"x": candle.close.shift(-1) - candle.close}


class WholeMean(Base):
    """Normalises by the mean of the whole sample."""

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        return {"x": candle.close - candle.close.mean()}


class Centred(Base):
    """Smooths with a window around each candle."""

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        return {"x": candle.close.rolling_mean(5, center=True) - candle.close}


class FillBack(Base):
    """Fills unknown values from the next known one."""

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        high = pl.when(candle.close > candle.close.shift(1) * 1.005).then(candle.close)
        return {"x": high.fill_null(strategy="backward").fill_null(0) - candle.close}


class JoinAhead(Strategy):
    """Joins daily closes that are stamped at the day's begin."""

    def targets(self, candles: pl.LazyFrame) -> pl.LazyFrame:
        day = pl.col("ts").dt.truncate("1d")
        daily = candles.group_by(day.alias("day"), "symbol").agg(pl.col("close").last().alias("last"))
        joined = candles.with_columns(day=day).join(daily, on=["day", "symbol"])
        return joined.select("ts", "symbol", target=0.1 * (pl.col("last") - pl.col("close")).sign())


class ReadsFile(Base):
    """Reads a file whose content nobody knows."""

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        return {"x": candle.close.diff()}

    def on_start(self, market: Market, account: Account) -> None:
        self.known = Path(__file__).read_text(encoding="utf-8")


class ReadsClock(Base):
    """Acts by the computer's clock."""

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        return {"x": candle.close.diff()}

    def on_start(self, market: Market, account: Account) -> None:
        self.late = time.time() > 0


class Unseeded(Strategy):
    """Tosses a coin that no seed fixes."""

    def on_candle(self, market: Market, account: Account) -> None:
        for symbol in market.symbols:
            account.target(symbol, weight=random.choice((-0.2, 0.2)))


class ClassState(Base):
    """Counts in a dict of the class, which the next account finds full."""

    count: dict[str, int] = {}  # noqa: RUF012

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        return {"x": candle.close.diff()}

    def on_candle(self, market: Market, account: Account) -> None:
        self.count["calls"] = self.count.get("calls", 0) + 1
        if self.count["calls"] < 400:
            super().on_candle(market, account)


class WholeRank(Base):
    """Ranks among all candles."""

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        return {"x": candle.close.rank() - 300}


SEEN = (ShiftBack, WholeMean, Centred, FillBack, JoinAhead, ReadsFile, ReadsClock, Unseeded, ClassState, WholeRank)


class Hidden(Base):
    """Uses a number that is worked out, not written, to look ahead."""

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        ahead = round(math.cos(math.pi))
        return {"x": getattr(candle.close, "sh" + "ift")(ahead) - candle.close}


class Gradient(Base):
    """Takes numpy's gradient, which is centred."""

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        return {"x": mapped(np.gradient, candle.close)}


class Fourier(Base):
    """Smooths by a transform of the whole series."""

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        def smooth(values: Floats) -> Floats:
            spectrum = np.fft.rfft(values)
            spectrum[20:] = 0
            return np.fft.irfft(spectrum, len(values))

        return {"x": mapped(lambda values: smooth(values) - values, candle.close)}


class Trend(Base):
    """Takes out a trend that is fitted to everything."""

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        def left(values: Floats) -> Floats:
            steps = np.arange(len(values))
            return values - np.polyval(np.polyfit(steps, values, 1), steps)

        return {"x": mapped(left, candle.close)}


class BothWays(Base):
    """Averages forwards and then backwards, so that there is no lag."""

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        def smooth(values: Floats) -> Floats:
            out = values.copy()
            for step in (slice(None), slice(None, None, -1)):
                run = out[step]
                for i in range(1, len(run)):
                    run[i] = 0.9 * run[i - 1] + 0.1 * run[i]
            return out - values

        return {"x": mapped(smooth, candle.close)}


class Turning(Base):
    """Finds highs that are the highest of the hours around them."""

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        def peaks(values: Floats) -> Floats:
            out = np.full(len(values), -1.0)
            for i in range(3, len(values) - 3):
                if values[i] == values[i - 3 : i + 4].min():
                    out[i] = 1.0
            return out

        return {"x": mapped(peaks, candle.low)}


class Month(Strategy):
    """Compares with the mean of the whole month."""

    def targets(self, candles: pl.LazyFrame) -> pl.LazyFrame:
        month = [pl.col("ts").dt.strftime("%Y%m"), pl.col("symbol")]
        mean = pl.sum("close").over(month) / pl.len().over(month)
        return candles.select("ts", "symbol", target=0.1 * (mean - pl.col("close")).sign())


class Extremes(Strategy):
    """Scales by the range of the whole history."""

    def targets(self, candles: pl.LazyFrame) -> pl.DataFrame:
        frame = candles.collect()
        known = dict(frame.group_by("symbol").agg(pl.col("high").max()).iter_rows())
        top = frame["symbol"].replace_strict(known, return_dtype=pl.Float64)
        return frame.select("ts", "symbol", target=0.2 * (0.9 - pl.col("close") / top))


class Last(Strategy):
    """Is long what will have risen by the end."""

    def targets(self, candles: pl.LazyFrame) -> pl.DataFrame:
        frame = candles.collect().sort("symbol", "ts")
        ends: dict[str, float] = {}
        for row in frame.iter_rows(named=True):
            ends[row["symbol"]] = row["close"]
        rows = [{"ts": r["ts"], "symbol": r["symbol"], "target": 0.1 if ends[r["symbol"]] > r["close"] else -0.1}
                for r in frame.iter_rows(named=True)]  # fmt: skip
        return pl.DataFrame(rows, schema_overrides={"ts": pl.Datetime("ms", "UTC")})


MEMORY: dict[str, list[float]] = {}


class Remembered(Base):
    """Looks up what an earlier account has seen of this time."""

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        return {"x": candle.close.diff()}

    def on_candle(self, market: Market, account: Account) -> None:
        known: Any = MEMORY.setdefault("closes", [])
        known.append(market.close["BTCUSDT"])
        at = known.index(market.close["BTCUSDT"]) + 1
        if at < len(known):
            account.target("BTCUSDT", weight=0.2 if known[at] > known[at - 1] else -0.2)


HIDDEN = (Hidden, Gradient, Fourier, Trend, BothWays, Turning, Month, Extremes, Last, Remembered)
