"""`backtest montecarlo`: paths are replayed by the engine, and survival is what theory says."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

import backtest
from backtest import Account, Market, Strategy
from backtest.core.errors import UserError

PERIOD: dict[str, Any] = {"start": "2025-09-20", "end": "2025-10-20", "symbols": ["BTCUSDT", "ETHUSDT"]}
DATA = "binance-2025"
ROWS, STEP = 1_000, 0.002


class Long(Strategy):
    """Buys one at the start and holds it."""

    def on_candle(self, market: Market, account: Account) -> None:
        for symbol in market.symbols:
            if not account.position(symbol).qty and not getattr(self, "bought", False):
                self.bought = True
                account.buy(symbol, 1)


class Turns(Strategy):
    """Is long one day and short the next, with much leverage."""

    every = "1d"

    def on_candle(self, market: Market, account: Account) -> None:
        self.side = -getattr(self, "side", -1)
        for symbol in market.symbols:
            account.target(symbol, weight=3 * self.side)


def test_the_whole_history_as_one_block_is_the_run_itself() -> None:
    found = backtest.montecarlo(Turns, DATA, block="all", paths=2, margin="cross", **PERIOD)
    plain = backtest.run(Turns, DATA, **PERIOD)
    for row in found.frame.iter_rows(named=True):
        assert row["final_equity"] == plain.metrics["final_equity"] == found.plain["cross"]
        assert row["max_drawdown"] == plain.metrics["max_drawdown_inside"]
        assert row["sharpe"] == plain.metrics["sharpe"]


def test_paths_do_not_depend_on_workers_and_differ_from_each_other() -> None:
    settings: dict[str, Any] = {**PERIOD, "paths": 4, "leverage": 10}
    here = backtest.montecarlo(Turns, DATA, **settings)
    named = f"{Path(__file__)}:Turns"
    there = backtest.montecarlo(named, DATA, workers=2, **settings)
    assert here.frame.equals(there.frame)
    assert here.fan.equals(there.fan)
    assert here.margins == ("isolated", "cross")
    assert here.frame.filter(pl.col("margin") == "cross")["final_equity"].n_unique() >= 3
    assert here.frame["max_drawdown"].min() >= -1
    assert not here.frame.equals(backtest.montecarlo(Turns, DATA, seed=1, **settings).frame)


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A market of equal steps up and down, as many of either, each as likely: a random walk without drift in logs."""
    steps = np.random.default_rng(5).permutation(np.repeat([STEP, -STEP], ROWS // 2))
    closes = 1_000 * np.exp(np.cumsum(steps))
    opens = np.concatenate(([1_000.0], closes[:-1]))
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "ts": [begin + timedelta(hours=n) for n in range(ROWS)], "open": opens,
            "high": np.maximum(opens, closes), "low": np.minimum(opens, closes), "close": closes,
            "volume": [1e6] * ROWS,
        },
        schema_overrides={"ts": pl.Datetime("ms", "UTC")},
    )  # fmt: skip
    place = tmp_path_factory.mktemp("walk")
    target = place / "candles" / "symbol=X-USD"
    target.mkdir(parents=True)
    frame.write_parquet(target / "part.parquet")
    (place / "dataset.toml").write_text(
        '[dataset]\ninterval = "1h"\nquote = "USD"\n\n[symbols.X-USD]\nstep = 0.001\n', encoding="utf-8"
    )
    return place


def test_an_isolated_long_survives_as_often_as_theory_says(walk: Path) -> None:
    """The chance that a walk of n steps ±s in the log price stays above a barrier: reflection, 1 − 2 Φ(−b / (s √n)).

    The barrier b is that of the plain run: the log of entry over liquidation price, one step more because steps are
    discrete and the walk stands on them (the first node at or below the barrier).
    """
    found = backtest.montecarlo(
        Long, walk, block="1h", paths=300, margin="isolated", leverage=25, fee_bps=0, allow="missing-funding", seed=3,
        venue="generic",
    )  # fmt: skip
    plain = backtest.run(
        Long, walk, margin="isolated", leverage=25, fee_bps=0, allow="missing-funding", venue="generic"
    )
    held = plain.tables["positions"].filter(pl.col("liquidation_price").is_not_null())
    entry, barrier = held["entry_price"][0], held["liquidation_price"][0]
    nodes = math.ceil(math.log(entry / barrier) / STEP - 1e-9)
    # Exactly, for a walk of ±1 steps: P(min ≤ −k) = P(S ≤ −k) + P(S < −k).
    steps = ROWS - 2
    ends = np.arange(-steps, steps + 1, 2)
    chance = np.exp([math.lgamma(steps + 1) - math.lgamma((steps + e) / 2 + 1) - math.lgamma((steps - e) / 2 + 1)
                     - steps * math.log(2) for e in ends])  # fmt: skip
    expected = 1 - (chance[ends <= -nodes].sum() + chance[ends < -nodes].sum())
    assert expected == pytest.approx(1 - 2 * norm.cdf(-nodes / math.sqrt(steps)), abs=0.02)
    survived = found.survival("isolated")
    assert 0.1 < expected < 0.9
    assert survived.low <= expected <= survived.high


def test_starts_and_trades_are_said_to_be_weaker(tmp_path: Path) -> None:
    starts = backtest.montecarlo(Turns, DATA, resample="starts", paths=3, margin="cross", out=tmp_path / "s", **PERIOD)
    trades = backtest.montecarlo(
        "sma_cross",
        DATA,
        resample="trades",
        paths=50,
        margin="cross",
        out=tmp_path / "t",
        params={"weight": 3.0},
        **PERIOD,
    )
    assert starts.frame["final_equity"].n_unique() == 3
    assert "Only prices that were there" in (tmp_path / "s" / "report.html").read_text(encoding="utf-8")
    assert "Nothing is replayed" in (tmp_path / "t" / "report.html").read_text(encoding="utf-8")
    assert trades.frame["liquidations"].null_count() == 50
    assert trades.frame["max_drawdown"].min() >= -1


def test_the_command_writes_a_folder_that_runs_again(tmp_path: Path) -> None:
    done = _command(tmp_path, "montecarlo", "sma_cross", "--data", DATA, "--paths", "2", "--workers", "1",
                    "--start", "2025-09-20",
                    "--end", "2025-10-20", "--symbols", "BTCUSDT", "--out", "mc", "--json")  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["paths"] == 2
    assert set(told["modes"]) == {"isolated", "cross"}
    names = ["fan.parquet", "montecarlo.json", "montecarlo.toml", "paths.parquet", "report.html"]
    assert sorted(file.name for file in (tmp_path / "mc").iterdir()) == names
    first = {file.name: file.read_bytes() for file in (tmp_path / "mc").iterdir()}
    again = _command(tmp_path, "montecarlo", "--config", "mc/montecarlo.toml", "--out", "mc")
    assert again.returncode == 0, again.stderr
    assert {file.name: file.read_bytes() for file in (tmp_path / "mc").iterdir()} == first


def _command(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "backtest", *arguments]
    return subprocess.run(
        line, cwd=place, capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"}
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"block": "1s"}, "give a length from 1h"),
        ({"block": "tomorrow"}, "block"),
        ({"paths": 0}, "paths"),
        ({"resample": "candels"}, "candles"),
        ({"leverge": 3}, "leverage"),
    ],
)
def test_wrong_settings_are_named_before_anything_runs(settings: dict[str, Any], said: str) -> None:
    with pytest.raises((UserError, TypeError), match=said):
        backtest.montecarlo("sma_cross", DATA, **{**PERIOD, **settings})


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match=r"mine\.txt"):
        backtest.montecarlo("sma_cross", DATA, out=tmp_path, paths=1, **PERIOD)
