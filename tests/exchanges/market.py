"""An invented market that every exchange of these tests lists: the truth that a fetched dataset is compared with.

Everything is a pure function of symbol and time, so any span may be asked for, in any order and by any number of
threads. Prices are whole ticks, volumes whole multiples of `Contract.unit`; text is made from those whole numbers, so
that every exchange prints the same digits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backtest.core.times import moment

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
Integers = npt.NDArray[np.int64]


@cache
def ms(text: str) -> int:
    """`2022-05-01` in milliseconds since 1970, UTC."""
    return moment(text)


def decimal(number: int, places: int) -> str:
    """A whole number of the last place as text: 12345 with 2 places is 123.45."""
    if places == 0:
        return str(number)
    sign, number = "-" * (number < 0), abs(number)
    return f"{sign}{number // 10**places}.{number % 10**places:0{places}d}"


class Tier(NamedTuple):
    """A step of the leverage table: up to `notional` quote units."""

    notional: int
    maintenance: str
    leverage: int


@dataclass(frozen=True)
class Contract:
    """What an exchange says of one perpetual."""

    base: str
    level: int
    """Around this many ticks."""
    places: int
    """Decimal places of a price: the tick is the last one."""
    unit: int
    """Volumes are multiples of it, in the last of `lot_places`."""
    lot_places: int
    """Decimal places of a quantity: the step is the last one."""
    listed: str
    least: str
    """Minimum notional, in quote units."""
    day_volume: int
    """In quote units: the order of `top20`."""
    tiers: tuple[Tier, ...]
    schedule: tuple[tuple[str, int], ...] = ()
    """(from, hours between settlements); 8 hours before the first."""
    recent_hours: int = 8
    """Hours between settlements in the last ten days."""
    halts: tuple[tuple[str, str], ...] = ()
    """No candles there, neither trades nor marks."""

    @property
    def listed_ms(self) -> int:
        return ms(self.listed)

    @property
    def tick(self) -> str:
        return decimal(1, self.places)

    @property
    def step(self) -> str:
        return decimal(1, self.lot_places)


CONTRACTS = (
    Contract("BTC", 600_000, 1, 10, 3, "2019-09-08", "100", 9_000_000_000,
             (Tier(50_000, "0.004", 125), Tier(600_000, "0.005", 100), Tier(3_000_000, "0.01", 50)),
             halts=(("2023-03-10", "2023-03-13"),)),
    Contract("ETH", 300_000, 2, 100, 3, "2019-11-27", "20", 5_000_000_000,
             (Tier(50_000, "0.005", 100), Tier(500_000, "0.0065", 75))),
    Contract("SOL", 15_000, 2, 1, 0, "2020-09-14", "5", 2_000_000_000,
             (Tier(10_000, "0.01", 75), Tier(100_000, "0.015", 50), Tier(800_000, "0.02", 25)),
             schedule=(("2022-11-09", 4), ("2022-11-21", 8)), recent_hours=4),
    Contract("DOGE", 20_000, 5, 1000, 0, "2022-05-10T06:00:00", "5", 700_000_000,
             (Tier(5_000, "0.0125", 50), Tier(50_000, "0.02", 25)), recent_hours=1),
)  # fmt: skip
BY_BASE = {contract.base: contract for contract in CONTRACTS}


class Candle(NamedTuple):
    """One candle as text; `volume` in base units, `turnover` in quote units, `units` in `Contract.unit`."""

    ts: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    turnover: str
    units: int

    def row(self) -> tuple[int, float, float, float, float, float]:
        return (self.ts, *(float(v) for v in self[1:6]))  # type: ignore[return-value]


class Settlement(NamedTuple):
    """A funding payment: the instant it is due, the rate as text, and the hours since the one before."""

    ts: int
    rate: str
    hours: int


def _mixed(seed: int, index: Integers) -> npt.NDArray[np.uint64]:
    """A well-mixed number for each index (SplitMix64's finaliser)."""
    with np.errstate(over="ignore"):
        z = index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def _below(seed: int, index: Integers, bound: int) -> Integers:
    return (_mixed(seed, index) % np.uint64(bound)).astype(np.int64)


def _seed(contract: Contract, what: int) -> int:
    return sum(ord(c) << (8 * n) for n, c in enumerate(contract.base)) * 31 + what


def _minutes(contract: Contract, mark: bool, first: int, count: int) -> tuple[Integers, ...]:
    """Open, high, low, close in ticks and volume in units of `count` one-minute candles from minute `first` on."""
    at = np.arange(first, first + count + 1, dtype=np.int64)
    wide = max(4, contract.level // 500)
    slow = np.sin(at / 9_000.0) * 0.08 + np.sin(at / 170_000.0) * 0.2
    price = contract.level + (contract.level * slow).astype(np.int64) + _below(_seed(contract, 1), at, wide)
    if mark:
        price = price + _below(_seed(contract, 2), at, max(3, wide // 10)) - 1
    opens, closes, inner = price[:-1], price[1:], at[:-1]
    highs = np.maximum(opens, closes) + _below(_seed(contract, 3 + mark), inner, wide)
    lows = np.minimum(opens, closes) - _below(_seed(contract, 5 + mark), inner, wide)
    return opens, highs, lows, closes, 1 + _below(_seed(contract, 7), inner, 900)


@dataclass
class Market:
    """The market at one moment, `clock`; what lies later is not there yet.

    `held_back`: rows of a kind (candles, mark, funding) from this instant on are published later, so are not there.
    """

    clock: Callable[[], float] = time.time
    contracts: Sequence[Contract] = CONTRACTS
    held_back: dict[str, int] = field(default_factory=dict)
    faster_from_ms: int = 0
    """From here on `recent_hours` hold; not given, ten days before the clock's first midnight."""

    def __post_init__(self) -> None:
        self.faster_from_ms = self.faster_from_ms or self.now_ms() // DAY * DAY - 10 * DAY

    def now_ms(self) -> int:
        return int(self.clock() * 1000)

    def contract(self, base: str) -> Contract | None:
        return next((c for c in self.contracts if c.base == base), None)

    def candles(self, contract: Contract, mark: bool, interval_ms: int, start_ms: int, end_ms: int) -> list[Candle]:
        """Candles that open in [start, end), the one that is not over yet included, as it stands."""
        now = self.now_ms()
        end_ms = min(end_ms, now + 1, self.held_back.get("mark" if mark else "candles", end_ms))
        first = -(-max(start_ms, contract.listed_ms // interval_ms * interval_ms) // interval_ms)
        count = -(-end_ms // interval_ms) - first
        if count <= 0:
            return []
        whole = list(candles(contract, mark, interval_ms, first * interval_ms, count))
        if whole and whole[-1].ts + interval_ms > now:
            open_ = whole[-1].open
            whole[-1] = Candle(whole[-1].ts, open_, open_, open_, open_, _volume(contract, 1), open_, 1)
        return whole

    def closed(self, base: str, mark: bool, interval_ms: int, start_ms: int, end_ms: int) -> list[Candle]:
        """Candles that open in [start, end) and are over."""
        found = self.candles(BY_BASE[base], mark, interval_ms, start_ms, end_ms)
        return [candle for candle in found if candle.ts + interval_ms <= self.now_ms()]

    def funding(self, base: str, start_ms: int, end_ms: int, hours: int | None = None) -> list[Settlement]:
        """Settlements due in [start, end); `hours` where an exchange settles all at that interval."""
        contract = BY_BASE[base]
        end_ms = min(end_ms, self.now_ms() + 1, self.held_back.get("funding", end_ms))
        out, start = [], max(start_ms, contract.listed_ms + 1)
        for ts in range(-(-start // HOUR) * HOUR, end_ms, HOUR):
            every = hours or self.funding_hours(contract, ts)
            if ts % (every * HOUR) == 0:
                out.append(Settlement(ts, _rate(contract, ts), every))
        return out

    def funding_hours(self, contract: Contract, ts: int) -> int:
        """Hours between settlements around ``ts``."""
        if ts > self.faster_from_ms:
            return contract.recent_hours
        return next((hours for since, hours in reversed(contract.schedule) if ts > ms(since)), 8)

    def last(self, contract: Contract) -> str:
        """The price at the end of the last minute."""
        return candles(contract, False, MINUTE, self.now_ms() // MINUTE * MINUTE - MINUTE, 1)[0].close


@lru_cache(maxsize=64)
def candles(contract: Contract, mark: bool, interval_ms: int, start_ms: int, count: int) -> tuple[Candle, ...]:
    """`count` candles, each joined from its minutes, without those of halts and those before the listing."""
    per = interval_ms // MINUTE
    opens, highs, lows, closes, volume = (
        column.reshape(count, per) for column in _minutes(contract, mark, start_ms // MINUTE, count * per)
    )
    halts = [(ms(a), ms(b)) for a, b in contract.halts]
    out = []
    for n in range(count):
        ts = start_ms + n * interval_ms
        if any(a <= ts and ts + interval_ms <= b for a, b in halts) or ts + interval_ms <= contract.listed_ms:
            continue
        units, close = int(volume[n].sum()), int(closes[n, -1])
        out.append(Candle(
            ts, decimal(int(opens[n, 0]), contract.places), decimal(int(highs[n].max()), contract.places),
            decimal(int(lows[n].min()), contract.places), decimal(close, contract.places), _volume(contract, units),
            decimal(units * contract.unit * close, contract.places + contract.lot_places), units,
        ))  # fmt: skip
    return tuple(out)


def _volume(contract: Contract, units: int) -> str:
    return decimal(units * contract.unit, contract.lot_places)


@lru_cache(maxsize=100_000)
def _rate(contract: Contract, ts: int) -> str:
    return decimal(int(_below(_seed(contract, 9), np.array([ts // HOUR]), 60_000)[0]) - 20_000, 8)


def late(contract: Contract, ts: int) -> int:
    """Milliseconds by which an exchange that stamps late does so: 0 to 19."""
    return int(_below(_seed(contract, 11), np.array([ts // HOUR]), 20)[0])
