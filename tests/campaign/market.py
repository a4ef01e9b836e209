"""A wild market for drawn configurations: three perps in five-minute candles, with jumps, a crash and gaps."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

from tests import small_market as small

SYMBOLS = {"BTC-USD": 50_000.0, "ETH-USD": 3_000.0, "SOL-USD": 20.0}
EVERY_MIN = 5
CANDLES = 360


def write(data: Path, seed: int, candles: int = CANDLES, symbols: int = len(SYMBOLS)) -> None:
    """Write the market of a seed as the dataset ``data``."""
    rng = np.random.default_rng(seed)
    common = rng.standard_t(3, candles) * 0.002
    crash = int(rng.integers(candles // 4, candles))
    common[crash : crash + 6] -= rng.uniform(0.005, 0.03)
    for number in range(symbols):
        known = list(SYMBOLS.items())
        name, price = known[number] if number < len(known) else (f"S{number}-USD", 10.0 + number)
        _symbol(data, name, price, common + rng.standard_t(3, candles) * 0.0015, number, rng)
    (data / "dataset.toml").write_text('[dataset]\nquote = "USD"\n\n[symbols.BTC-USD]\nstep = 0.001\ntick = 0.1\n')


def _symbol(data: Path, name: str, price: float, moves: np.ndarray, number: int, rng: np.random.Generator) -> None:
    rows = len(moves)
    closes = price * np.exp(np.cumsum(moves))
    jumps = np.where(rng.random(rows) < 0.02, rng.normal(0, 0.004, rows), 0.0)
    opens = np.concatenate([[price], closes[:-1]]) * np.exp(jumps)
    highs = np.maximum(opens, closes) * (1 + np.abs(rng.normal(0, 0.001, rows)))
    lows = np.minimum(opens, closes) * (1 - np.abs(rng.normal(0, 0.001, rows)))
    stamps = [small.START + timedelta(minutes=EVERY_MIN * n) for n in range(rows)]
    prices = {"open": opens, "high": highs, "low": lows, "close": closes}
    frame = pl.DataFrame(
        {"ts": stamps, **prices, "volume": rng.uniform(1, 9, rows) * 1e5 / price}, schema_overrides={"ts": small.STAMP}
    )
    there = pl.Series(rng.random(rows) > (0.01 if number else 0.0))
    small.put(frame.filter(there), data, "candles", name)
    if number < 2:
        mark = frame.drop("volume").with_columns(pl.col(prices) * (1 + 0.0005 * number))
        small.put(mark if number else mark.filter(there), data, "mark", name)
    hours = range(0, -(-rows * EVERY_MIN // 60), (8, 1, 4)[number % 3])
    rates = rng.normal(0, 3e-4, len(hours))
    funding = {"ts": [small.START + timedelta(hours=n) for n in hours], "rate": rates}
    small.put(pl.DataFrame(funding, schema_overrides={"ts": small.STAMP}), data, "funding", name)
