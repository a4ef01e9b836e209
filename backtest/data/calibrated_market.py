"""A synthetic market whose volatility, correlation, tails and funding are published figures.

- **Volatility**: the standard deviation of daily returns of BTC, ETH, LTC, XRP and BCH in Mensi, Gubareva, Ko, Vo and
  Kang, *Tail spillover effects between cryptocurrencies and uncertainty in the gold, oil, and stock markets*, Financial
  Innovation 9:92 (2023), table 1.
- **Correlation**: that of daily returns of BTC, ETH and LTC in *Assessing portfolio vulnerability to systemic risk: a
  vine copula and APARCH-DCC approach*, Financial Innovation (2023), doi 10.1186/s40854-023-00559-2, table 4. One
  common factor reproduces the three figures exactly; the loading of all other markets is assumed.
- **Tails**: a tail index of 3 in Takaishi, *Recent scaling properties of Bitcoin price returns*, arXiv:2009.06874,
  2020, which also finds returns to be normal given their volatility. Both hold here: the variance is 3 over the sum of
  three squared Gaussian processes, so that a return is Student's t with three degrees of freedom.
- **Funding**: the share of settlements at exactly 0.01 % (78.19 % for BTC, 87.52 % for ETH), and more than 92 % above
  zero, in BitMEX, *The Anchor and the Ceiling: Understanding the Structure of Funding Rates*, Q3 2025.

The variance is scaled to its mean over the sample, so that a sample of any length has the published volatility. Prices
have no drift and no crash but those that the tails bring. Everything is drawn from PCG64 streams keyed by the seed and
the symbol's name: a symbol's prices do not depend on which others are written. Memory grows with a candle's variance
alone: 8 bytes a candle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backtest.core.times import DAY_MS, HOUR_MS
from backtest.data.dataset_writer import DatasetWriter

Floats = NDArray[np.float64]

CORRELATIONS = {("BTC", "ETH"): 0.769, ("BTC", "LTC"): 0.784, ("ETH", "LTC"): 0.835}
DEGREES = 3
"""Of freedom of Student's t: the tail index."""
ANCHOR, BAND = 0.0001, 0.0005
"""Interest in eight hours, and how far the premium may be from it before the rate follows."""
SYMBOLS = ("BTC-USD", "ETH-USD", "LTC-USD", "XRP-USD", "BCH-USD")
_FINE = 12
"""Steps of the path inside a candle."""
_HALF_LIFE_MS = DAY_MS
"""Assumed: after so long half of a deviation of the volatility's processes is gone."""
_STAY = 0.8
"""Assumed: the correlation of the premium of eight hours with that of the next."""
_NOISE = 0.00008
"""Of trades around the premium."""
_SETTLEMENT_MS = 8 * HOUR_MS
_BLOCK = 90
"""Settlements that are made at once: thirty days."""


@dataclass(frozen=True)
class Coin:
    """One market of the calibrated sample."""

    price: float
    tick: str
    step: str
    daily_vol: float
    """Standard deviation of daily log returns."""
    loading: float
    """On the common factor: the correlation of two markets is the product of theirs."""
    premium: tuple[float, float]
    """Mean and standard deviation of the mean premium of eight hours."""


_BTC = math.sqrt(0.769 * 0.784 / 0.835)
_AT_ANCHOR_BTC = (0.000069, 0.000405)
"""Of a normal premium: 78.2 % from -0.04 % to 0.06 %, where the rate is 0.01 %, and 92 % above -0.05 %."""
_AT_ANCHOR_ETH = (0.0001, 0.0003257)
"""87.5 % from -0.04 % to 0.06 %, and 97 % above -0.05 %. Assumed of all but BTC and ETH."""
_ASSUMED_LOADING = 0.85
COINS = {
    "BTC-USD": Coin(42_000.0, "0.1", "0.0001", 0.039631, _BTC, _AT_ANCHOR_BTC),
    "ETH-USD": Coin(2_300.0, "0.01", "0.001", 0.052249, 0.769 / _BTC, _AT_ANCHOR_ETH),
    "LTC-USD": Coin(70.0, "0.01", "0.01", 0.054344, 0.784 / _BTC, _AT_ANCHOR_ETH),
    "XRP-USD": Coin(0.6, "0.0001", "1", 0.061668, _ASSUMED_LOADING, _AT_ANCHOR_ETH),
    "BCH-USD": Coin(250.0, "0.01", "0.01", 0.061876, _ASSUMED_LOADING, _AT_ANCHOR_ETH),
}
OTHER = Coin(10.0, "0.001", "0.1", 0.061876, _ASSUMED_LOADING, _AT_ANCHOR_ETH)
"""A market without published figures: volatility and loading are assumed."""


def write_market(
    writer: DatasetWriter, names: list[str], seed: int, start_ms: int, interval_ms: int, days: int
) -> None:
    """Write candles, marks and funding of each market; ``interval_ms`` divides an hour."""
    variance = _variance(_rng(seed, "volatility"), days * DAY_MS // interval_ms, interval_ms)
    for name in names:
        _Path(COINS.get(name, OTHER), name, seed, start_ms, interval_ms, variance).write(writer)


def _rng(seed: int, name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *f"calibrated {name}".encode()])))


def _variance(rng: np.random.Generator, candles: int, interval_ms: int) -> Floats:
    """Variance of each candle, 1 in the mean: the inverse of a chi-square process."""
    stay = 0.5 ** (interval_ms / _HALF_LIFE_MS)
    shock = math.sqrt(1.0 - stay * stay)
    total = np.zeros(candles)
    for _ in range(DEGREES):
        level = float(rng.standard_normal())
        path = []
        for drawn in rng.standard_normal(candles).tolist():
            path.append(level)
            level = stay * level + shock * drawn
        total += np.array(path) ** 2
    variance = DEGREES / total
    scaled: Floats = variance / variance.mean()
    return scaled


class _Path:
    """One market, made block by block."""

    def __init__(self, coin: Coin, name: str, seed: int, start_ms: int, interval_ms: int, variance: Floats) -> None:
        self.coin, self.name, self.variance = coin, name, variance
        self.start_ms, self.interval_ms = start_ms, interval_ms
        # Each market draws the common factor again: it is not held for all the years.
        self.market, self.own, self.funds = _rng(seed, "market"), _rng(seed, name), _rng(seed, f"{name} funding")
        self.level = math.log(coin.price)
        self.premium = coin.premium[0] + coin.premium[1] * float(self.funds.standard_normal())
        self.paid = 0.0
        """Mean premium of the eight hours before a block; the first settlement pays the interest alone."""

    def write(self, writer: DatasetWriter) -> None:
        """Write the three series."""
        per = _SETTLEMENT_MS // self.interval_ms
        count = len(self.variance)
        with (
            writer.series("candles", self.name) as candles,
            writer.series("mark", self.name) as marks,
            writer.series("funding", self.name) as funding,
        ):
            for begin in range(0, count, _BLOCK * per):
                variance = self.variance[begin : begin + _BLOCK * per]
                premiums = self._premiums(len(variance) // per)
                t = self.start_ms + self.interval_ms * np.arange(begin, begin + len(variance))
                index = self._index(variance)
                lean = np.repeat(premiums, per * _FINE)
                trade = ohlc(index + np.log1p(lean + self._noise(len(premiums), per)), self.coin.tick)
                trade["volume"] = self._volume(trade)
                candles.write(t, trade)
                marks.write(t, ohlc(index + np.log1p(lean), self.coin.tick))
                mean = np.concatenate(([self.paid], premiums[:-1]))
                self.paid = float(premiums[-1])
                rate = mean + np.clip(ANCHOR - mean, -BAND, BAND)
                funding.write(t[::per], {"rate": np.round(rate, 8)})

    def _index(self, variance: Floats) -> Floats:
        """Log of the index at every fine step."""
        size = (len(variance), _FINE)
        common, alone = self.market.standard_normal(size), self.own.standard_normal(size)
        loading = self.coin.loading
        moves = loading * common + math.sqrt(1.0 - loading * loading) * alone
        scale = self.coin.daily_vol * np.sqrt(variance * (self.interval_ms / DAY_MS / _FINE))
        path = self.level + np.cumsum((moves * scale[:, None]).ravel())
        self.level = float(path[-1])
        return path

    def _premiums(self, settlements: int) -> Floats:
        """Mean premium of each eight hours."""
        mean, deviation = self.coin.premium
        shock = deviation * math.sqrt(1.0 - _STAY * _STAY)
        made = []
        for drawn in self.funds.standard_normal(settlements).tolist():
            self.premium = mean + _STAY * (self.premium - mean) + shock * drawn
            made.append(self.premium)
        return np.array(made)

    def _noise(self, settlements: int, per: int) -> Floats:
        """Of trades around the premium; nothing in the mean of eight hours."""
        noise = self.own.normal(0.0, _NOISE, (settlements, per * _FINE))
        centred: Floats = (noise - noise.mean(axis=1, keepdims=True)).ravel()
        return centred

    def _volume(self, trade: dict[str, Floats]) -> Floats:
        """More in wild candles; base units on the step."""
        busy = 1.0 + 40.0 * np.log(trade["high"] / trade["low"]) / math.sqrt(self.interval_ms / DAY_MS)
        value = 2e4 * self.interval_ms / 60_000 * busy * self.own.lognormal(0.0, 0.5, len(busy))
        rounded: Floats = np.round(value / trade["close"], len(self.coin.step.partition(".")[2]))
        return rounded


def ohlc(log_path: Floats, tick: str) -> dict[str, Floats]:
    """Candles of a fine path, on the tick."""
    width, decimals = float(tick), len(tick.partition(".")[2])
    prices = np.round(np.maximum(np.rint(np.exp(log_path) / width), 1.0) * width, decimals).reshape(-1, _FINE)
    return {"open": prices[:, 0], "high": prices.max(axis=1), "low": prices.min(axis=1), "close": prices[:, -1]}
