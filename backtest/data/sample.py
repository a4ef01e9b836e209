"""A synthetic market: several perps that move together, with quiet and wild times, jumps and one crash.

Log prices of the index are `beta × market + own`; the market's variance follows a GARCH(1,1) per candle, jumps
are Poisson, and one day falls by tens of percent. Trades are the index times a premium that leans with the
trend of the last day; marks are the index times the premium's average, cut at 0.5 %, so they stay apart from the
trades and do not follow the wicks of the crash. Funding is the mean premium since the last settlement, as
venues compute it. Everything is drawn from PCG64 streams keyed by the seed and the symbol's name: one
symbol's prices do not depend on which others are written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backtest.core.durations import parse as parse_interval
from backtest.core.errors import SettingError, UserError, nearest
from backtest.core.times import DAY_MS, HOUR_MS
from backtest.data import calibrated_market
from backtest.data.calibrated_market import ohlc
from backtest.data.dataset_writer import DatasetWriter, write_dataset
from backtest.data.manifest import Head, Manifest, MarketFacts

START_MS = 1_704_067_200_000
"""2024-01-01T00:00Z."""
GENERATOR = "backtest sample"
SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD", "DOGE-USD", "AVAX-USD", "LINK-USD")
MARKETS = {"crash": SYMBOLS, "calibrated": calibrated_market.SYMBOLS}
"""Kinds of markets, and the symbols of each."""

_FINE = 12
"""Steps of the path inside a candle: what its high and low are taken from."""
_CRASH_AT = 0.7
"""Share of the span after which the crash comes."""
_CRASH_LOG = -0.40
_REBOUND = 0.3
_INTEREST_8H = 0.0001
_MARK_CUT = 0.005

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Perp:
    """How one invented market behaves."""

    price: float
    tick: str
    step: str
    beta: float
    daily_vol: float
    """Of the symbol alone, beside the market's."""
    funding_hours: int


_PERPS = {
    "BTC-USD": Perp(42_000.0, "0.1", "0.0001", 1.0, 0.008, 8),
    "ETH-USD": Perp(2_300.0, "0.01", "0.001", 1.1, 0.013, 8),
    "SOL-USD": Perp(100.0, "0.01", "0.01", 1.3, 0.025, 8),
    "DOGE-USD": Perp(0.09, "0.00001", "1", 1.3, 0.028, 1),
    "AVAX-USD": Perp(38.0, "0.001", "0.1", 1.3, 0.026, 1),
    "LINK-USD": Perp(15.0, "0.001", "0.1", 1.2, 0.024, 1),
}
_OTHER = Perp(10.0, "0.001", "0.1", 1.2, 0.025, 8)
"""A symbol without an entry above."""


@dataclass(frozen=True)
class Clock:
    """The grid that all symbols share."""

    interval_ms: int
    candles: int

    @property
    def day_steps(self) -> int:
        """Fine steps in a day."""
        return DAY_MS * _FINE // self.interval_ms

    @property
    def crash_step(self) -> int:
        """The fine step at which the crash begins."""
        return int(self.candles * _CRASH_AT) * _FINE


def write_sample(
    folder: str | Path,
    *,
    seed: int = 42,
    symbols: Sequence[str] | int | None = None,
    days: int = 120,
    interval: str = "5m",
    market: str = "crash",
) -> Path:
    """Write the dataset and return its folder: the same bytes for the same arguments.

    ``symbols``: names, or how many; None: those of the market. ``market``: ``crash``, or ``calibrated`` for volatility,
    correlation, tails and funding as published (`calibrated_market`). Raises UserError when ``folder`` holds anything
    that this function did not write, or an argument makes no sense.
    """
    target = Path(folder)
    interval_ms = parse_interval(interval)
    if HOUR_MS % interval_ms or days < 1:
        raise UserError(f"{days} days of {interval} candles", "sample", "take 1 day or more of candles that divide 1h")
    if market not in MARKETS:
        raise SettingError(f"unknown value {market!r}", "--market", nearest(market, MARKETS))
    names = _names(symbols, MARKETS[market])
    if not names or any("/" in s or not s.strip() for s in names):
        raise UserError(f"symbols {names}", "sample", "name at least one, such as BTC-USD")
    with write_dataset(target, GENERATOR, "sample") as writer:
        if market == "calibrated":
            calibrated_market.write_market(writer, names, seed, START_MS, interval_ms, days)
            coins = {name: calibrated_market.COINS.get(name, calibrated_market.OTHER) for name in names}
            steps = {name: (coin.step, coin.tick) for name, coin in coins.items()}
        else:
            _write_all(writer, names, seed, Clock(interval_ms, days * DAY_MS // interval_ms))
            steps = {name: (perp.step, perp.tick) for name, perp in ((n, _PERPS.get(n, _OTHER)) for n in names)}
        said = f"synthetic, {'calibrated, ' if market == 'calibrated' else ''}seed {seed}"
        writer.manifest = _manifest(steps, said, interval_ms)
    return target


def _names(symbols: Sequence[str] | int | None, known: Sequence[str]) -> list[str]:
    """Names in order, each once; of a number the market's own first."""
    if isinstance(symbols, int):
        symbols = [*known[:symbols], *(f"S{n:03d}-USD" for n in range(len(known) + 1, symbols + 1))]
    return sorted(set(known if symbols is None else symbols))


def _write_all(writer: DatasetWriter, names: list[str], seed: int, clock: Clock) -> None:
    market, variance = _market(_rng(seed, "market"), clock)
    for name in names:
        _write_symbol(writer, name, _PERPS.get(name, _OTHER), clock, market, variance, _rng(seed, name))


def _rng(seed: int, name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *name.encode()])))


def _manifest(steps: Mapping[str, tuple[str, str]], said: str, interval_ms: int) -> Manifest:
    head = Head(interval=interval_ms, quote="USD", venue="generic", provenance=said, synthetic=True)
    facts = {name: MarketFacts(step=Decimal(step), tick=Decimal(tick)) for name, (step, tick) in steps.items()}
    return Manifest(dataset=head, symbols=facts)


def _market(rng: np.random.Generator, clock: Clock) -> tuple[Floats, Floats]:
    """Log path of the common factor, per fine step, and its variance relative to the mean, per candle."""
    daily = 0.024
    mean = daily**2 * clock.interval_ms / DAY_MS
    normal = rng.standard_normal((clock.candles, _FINE))
    shocks = np.clip(normal.sum(axis=1) / np.sqrt(_FINE), -4.0, 4.0).tolist()
    relative, level = [], 1.0
    for shock in shocks:  # GARCH(1,1) in units of the mean variance: it has to be walked
        relative.append(level)
        level = 0.005 + 0.055 * level * shock * shock + 0.94 * level
    variance = np.array(relative)
    moves = normal * np.sqrt(mean * variance / _FINE)[:, None]
    moves[_crash_candles(clock)] *= 2.5
    path = np.cumsum(moves.ravel() + _jumps(rng, clock, 0.25, 0.012))
    return path + _crash(clock), variance


def _crash_candles(clock: Clock) -> slice:
    first = clock.crash_step // _FINE
    return slice(first, first + DAY_MS // clock.interval_ms)


def _crash(clock: Clock) -> Floats:
    """Log drop over eight hours in an S, a part of it regained over the sixteen after."""
    steps = np.arange(clock.candles * _FINE) - clock.crash_step
    third = clock.day_steps / 3
    fall = _smooth(np.clip(steps / third, 0.0, 1.0))
    back = _smooth(np.clip((steps - third) / (2 * third), 0.0, 1.0))
    return _CRASH_LOG * (fall - _REBOUND * back)


def _smooth(x: Floats) -> Floats:
    return x * x * (3.0 - 2.0 * x)


def _jumps(rng: np.random.Generator, clock: Clock, per_day: float, size: float) -> Floats:
    """Poisson jumps of normal size, per fine step."""
    count = clock.candles * _FINE
    hit = rng.random(count) < per_day / clock.day_steps
    return np.where(hit, rng.normal(0.0, size, count), 0.0)


def _average(values: Floats, window: int) -> Floats:
    """Mean of the last ``window`` values, fewer at the start."""
    total = np.concatenate(([0.0], np.cumsum(values)))
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - window, 0)
    return (total[end] - total[start]) / (end - start)


def _wicks(rng: np.random.Generator, clock: Clock) -> Floats:
    """Premium of three stops-hunting dives while the crash falls: deep, and over within a candle or two."""
    wick = np.zeros(clock.candles * _FINE)
    width = _FINE
    shape = 1.0 - np.abs(np.linspace(-1.0, 1.0, width))
    for _ in range(3):
        at = clock.crash_step + int(rng.integers(clock.day_steps // 12, clock.day_steps // 3))
        piece = wick[at : at + width]
        piece -= rng.uniform(0.04, 0.11) * shape[: len(piece)]
    return wick


def _write_symbol(
    writer: DatasetWriter,
    name: str,
    perp: Perp,
    clock: Clock,
    market: Floats,
    variance: Floats,
    rng: np.random.Generator,
) -> None:
    count = clock.candles * _FINE
    own = rng.standard_normal(count) * perp.daily_vol / np.sqrt(clock.day_steps) * np.repeat(np.sqrt(variance), _FINE)
    index = np.log(perp.price) + perp.beta * market + np.cumsum(own + _jumps(rng, clock, 0.15, 0.02))
    trend = index - np.concatenate((np.full(clock.day_steps, index[0]), index))[:count]
    lean = np.clip(0.02 * trend, -0.0012, 0.0012)
    drift = _average(rng.normal(0.0, 0.0004 * np.sqrt(clock.day_steps / 3), count), clock.day_steps // 3)
    calm = lean + drift + rng.normal(0.0, 0.00008, count)
    wick = _wicks(rng, clock)
    premium = calm + wick
    steady = np.clip(_average(np.clip(premium, -_MARK_CUT, _MARK_CUT), 4 * _FINE), -_MARK_CUT, _MARK_CUT)
    t = START_MS + clock.interval_ms * np.arange(clock.candles)
    trade = ohlc(index + np.log1p(premium), perp.tick)
    decimals = len(perp.step.partition(".")[2])
    busy = 1.0 + 40.0 * np.log(trade["high"] / trade["low"]) / np.sqrt(clock.interval_ms / DAY_MS)
    value = 2e4 * clock.interval_ms / 60_000 * busy * rng.lognormal(0.0, 0.5, clock.candles)
    trade["volume"] = np.round(value / trade["close"], decimals)
    _write(writer, "candles", name, t, trade)
    _write(writer, "mark", name, t, ohlc(index + np.log1p(steady), perp.tick))
    stamps, rates = _funding(premium, perp.funding_hours, clock)
    _write(writer, "funding", name, stamps, {"rate": rates})


def _funding(premium: Floats, hours: int, clock: Clock) -> tuple[NDArray[np.int64], Floats]:
    """Settlements every ``hours``: mean premium P since the last one, P + clamp(interest − P, ±0.05 %), as for 8 h."""
    window = clock.day_steps * hours // 24
    blocks = premium[: len(premium) // window * window].reshape(-1, window).mean(axis=1)
    # The stamp at the very start has no premium before it: it pays the interest alone.
    mean = np.concatenate(([0.0], blocks))
    stamps = START_MS + hours * HOUR_MS * np.arange(len(mean))
    inside = stamps < START_MS + clock.candles * clock.interval_ms
    rate = (mean + np.clip(_INTEREST_8H - mean, -0.0005, 0.0005)) * hours / 8
    return stamps[inside], np.round(rate, 8)[inside]


def _write(writer: DatasetWriter, kind: str, name: str, t: NDArray[np.int64], columns: dict[str, Floats]) -> None:
    with writer.series(kind, name) as series:
        series.write(t, columns)
