"""Scenarios D: the same bytes whatever the order of names, the size of chunks, or whether kernels are compiled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import backtest
from backtest import Result, Strategy
from tests.scenarios.scenario import Market, Row, both, buy, play_both, rows, sell, write

NAMES = ("BTC", "ETH", "SOL")
ROOT = Path(__file__).parents[2]


def invented(rows: int, seed: int, gaps: bool = True) -> list[Market]:
    """Three markets that move together and apart, with gaps, own or coarse marks, and funding inside the candles."""
    rng = np.random.default_rng(seed)
    common = rng.normal(0, 0.004, rows)
    markets = []
    for n, symbol in enumerate(NAMES):
        closes = 100 * 10**n * np.exp(np.cumsum(common + rng.normal(0, 0.003, rows)))
        opens = np.concatenate([[100 * 10**n], closes[:-1]])
        highs = np.maximum(opens, closes) * (1 + rng.uniform(0, 0.003, rows))
        lows = np.minimum(opens, closes) * (1 - rng.uniform(0, 0.003, rows))
        candles: list[Row] = [
            tuple(float(f"{p:.7g}") for p in candle)  # type: ignore[misc]
            for candle in zip(opens, highs, lows, closes, strict=True)
        ]
        mark_rows = (1, 12, 1)[n]
        firsts = range(0, rows, mark_rows)
        mark: list[Row] | None = None
        if n < 2:
            mark = []
            for k in firsts:
                inside = [c for c in candles[k : k + mark_rows] if isinstance(c, tuple)]
                four = inside[0][0], max(c[1] for c in inside), min(c[2] for c in inside), inside[-1][3]
                mark.append(tuple(float(f"{p * 1.0005:.7g}") for p in four))  # type: ignore[arg-type]
        if gaps:
            candles[7 + n : 9 + n] = [None, None]
        funding = {k + 0.25 * n: 0.0001 * (n - 1.5) for k in range(3, rows, 8)}
        volume = rng.uniform(1, 9, rows).round(3).tolist()
        markets.append(Market(symbol, candles, mark, mark_rows, funding, volume=volume))
    return markets


class Rank(Strategy):
    """Long the symbol that rose most over some candles, short the one that fell most."""

    lookback = 8
    gross = 3.0

    def features(self, candle: Any) -> dict[str, pl.Expr]:
        return {"rise": candle.close / candle.close.shift(4)}

    def on_candle(self, market: Any, account: Any) -> None:
        ranked = sorted(market.symbols, key=lambda symbol: market.feature("rise", symbol))
        for symbol in market.symbols:
            side = (symbol == ranked[-1]) - (symbol == ranked[0])
            account.target(symbol, weight=self.gross * side)


class HourlyRank(Rank):
    """The same on hourly candles."""

    every = "1h"
    gross = 4.0


class Signs(Strategy):
    """Long above the mean of three closes, short below, said at once for the whole run."""

    def targets(self, candles: pl.LazyFrame) -> pl.LazyFrame:
        mean = pl.col("close").rolling_mean(3).over("symbol", order_by="ts")
        said = candles.with_columns(target=(pl.col("close") - mean).sign() * 3.0)
        return said.filter(pl.col("target").is_finite()).select("ts", "symbol", "target")


class Reacting(HourlyRank):
    """Decides by the hour, and answers fills and payments whenever they come."""

    gross = 2.0

    def on_fill(self, fill: Any, market: Any, account: Any) -> None:
        if abs(fill.qty) > 0.1:
            account.sell(fill.symbol, 0.05)

    def on_funding(self, payment: Any, market: Any, account: Any) -> None:
        account.buy(payment.symbol, 0.02)


STRATEGIES = (Rank, HourlyRank, Reacting, Signs)
SETTINGS: dict[str, Any] = {"slippage_bps": 1.0, "fee_bps": 4.5, "cash": 100_000}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty hours of 5-minute candles, less a few."""
    return write(tmp_path_factory.mktemp("same"), *invented(481, seed=11), interval="5m")


def lively(result: Result) -> None:
    """A digest of nothing would always agree."""
    assert min(len(result.tables[name]) for name in ("fills", "funding", "equity", "positions")) > 5


# ---- D1, D2


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_D1_symbols_named_in_another_order(data: Path, strategy: type[Strategy], margin: str) -> None:
    orders = [None, ("BTC", "ETH", "SOL"), ("SOL", "ETH", "BTC"), ("ETH", "SOL", "BTC")]
    results = [backtest.run(strategy, data, margin=margin, symbols=names, **SETTINGS) for names in orders]
    lively(results[0])
    assert len({result.digest for result in results}) == 1
    assert len({result.summary["data"]["fingerprint"] for result in results}) == 1


def test_D1_by_the_strategy_itself(data: Path) -> None:
    class Backwards(Rank):
        symbols = ("SOL", "ETH", "BTC")

    assert backtest.run(Backwards, data, **SETTINGS).digest == backtest.run(Rank, data, **SETTINGS).digest


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_D2_another_chunk_size_down_to_one_candle(data: Path, strategy: type[Strategy]) -> None:
    digests = []
    for size in (None, 100, 13, 1):
        compared = backtest.compare(strategy, data, chunk_rows=size, path="worst", latency_ms=70_000, **SETTINGS)
        lively(compared["cross"])
        digests.append([result.digest for result in compared.results])
    assert digests[0] == digests[1] == digests[2] == digests[3]
    assert digests[0][0] != digests[0][1]


# ---- D3

CHILD = """
import json, sys
import tests.scenarios.test_scenarios_same_bytes as scenario
digests = scenario.small(sys.argv[1])
print(json.dumps(["numba" not in sys.modules, digests]))
"""


def small(folder: str) -> list[Any]:
    """Both modes over a few candles with a liquidation, funding, a refusal, costs; and a `targets` run. Digests."""
    place = Path(folder)
    btc = Market(
        "BTC", [1e4, 1e4, (1e4, 1.01e4, 9.7e3, 9.9e3), (9.9e3, 9.9e3, 8.1e3, 9e3), 9e3, 9.1e3],
        funding={2: 0.0003, 2.4: -0.0001},
    )  # fmt: skip
    eth = Market("ETH", [1e3, 1e3, (1e3, 1.02e3, 970.0, 1.01e3), None, 1.01e3, 1e3])
    steps = {
        0: both(buy("BTC", 50), sell("ETH", 100)),
        1: buy("BTC", 900),
        2: buy("ETH", 30),
        4: lambda _, account: account.target("ETH", weight=0.3),
    }
    compared = play_both(place / "few", [btc, eth], steps, latency_ms=7_000, slippage_bps=1, fee_bps=5)
    lived = [result.metrics["liquidations"] for result in compared.results]
    data = write(place / "more", *invented(40, seed=3), interval="5m")
    signs = backtest.run(Signs, data, **SETTINGS)
    return [lived, *(result.digest for result in compared.results), signs.digest, len(signs.tables["fills"])]


def test_D3_kernels_compiled_or_not(tmp_path: Path) -> None:
    here = small(str(tmp_path / "compiled"))
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", CHILD, str(tmp_path / "plain")]
    child = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    interpreted, there = json.loads(child.stdout.splitlines()[-1])
    assert interpreted
    assert there == here
    assert here[0] == [2, 2]
    assert here[-1] > 10


# ---- D5


class Called(Strategy):
    """The rule of `Signs`, candle by candle."""

    lookback = 3
    kind = "weight"
    size = 3.0

    def on_candle(self, market: Any, account: Any) -> None:
        for symbol in market.symbols:
            last = market.history(symbol, "close", 3)
            if len(last) == 3:
                sign = float(np.sign(last[2] - last.mean()))
                account.target(symbol, **{self.kind: self.size * sign})


class Said(Strategy):
    """The same as targets."""

    column = "target"
    size = 3.0

    def targets(self, candles: pl.LazyFrame) -> pl.LazyFrame:
        close = pl.col("close")
        mean = (close + close.shift(1) + close.shift(2)).over("symbol", order_by="ts") / 3
        said = candles.with_columns(((close - mean).sign() * self.size).alias(self.column))
        return said.filter(pl.col(self.column).is_finite()).select("ts", "symbol", self.column)


@pytest.mark.parametrize(
    ("kind", "column_name", "size"),
    [("weight", "target", 3.0), ("notional", "notional", 12_345.67), ("qty", "qty", 0.4567)],
)
@pytest.mark.parametrize("margin", ["cross", "isolated"])
@pytest.mark.parametrize("every", [None, "1h"])
def test_D5_targets_and_the_same_rule_candle_by_candle(
    tmp_path: Path, every: str | None, margin: str, kind: str, column_name: str, size: float
) -> None:
    # Without gaps: history counts rows, a frame's shift counts candles.
    data = write(tmp_path, *invented(481, seed=5, gaps=False), interval="5m")
    called, said = Called(), Said()
    called.every = said.every = every
    called.kind, said.column, called.size, said.size = kind, column_name, size, size
    one, other = (backtest.run(s, data, margin=margin, latency_ms=40_000, **SETTINGS) for s in (called, said))
    assert len(one.tables["fills"]) > 20
    assert rows(one, "fills", "ts", "symbol", "qty", "quote") == rows(other, "fills", "ts", "symbol", "qty", "quote")
    assert one.digest == other.digest
