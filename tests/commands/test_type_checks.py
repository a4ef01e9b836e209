"""`mypy --strict` over the example strategies, those of the pages, a new one, and a file with planted mistakes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from backtest.strategy.scaffold import new

ROOT = Path(__file__).parents[2]
PLANTED = "# error"
USERS = """
import polars as pl

import backtest
from backtest import Account, Candle, Fill, Liquidation, MarginCall, Market, OrderEvent, Param, Strategy, Transfer


class Mine(Strategy):
    window: int = Param(20, ge=2, le=200)
    share: float = Param(1, gt=0)
    name: str = Param("long", choices=("long", "short"))
    fast: bool = Param(True)
    wrong: int = Param(2.5)  # error
    worse: str = Param("text", ge=1)  # error
    every = "1h"
    lookback = "all"  # error

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        return {"average": candle.close.rolling_mean(self.window), "none": candle.closing}  # error

    def on_candle(self, market: Market, account: Account) -> None:
        for symbol in market.symbols:
            size: float = self.window * self.share * market.close[symbol]
            account.buy(symbol, size, limit=market.close[symbol] * 0.99, tif="gtc")
            account.byu(symbol, 1.0)  # error
            account.buy(symbol, 1.0, lmit=100.0)  # error
            account.buy(symbol, "1.0")  # error
            account.sell(symbol, 1.0, limit=1.0, tif="day")  # error
            account.target(symbol, 0.5)  # error
            account.set_margin_mode(symbol, "crossed")  # error
            market.history(symbol, "colse", 5)  # error
            market.clsoe[symbol]  # error
        if account.position("BTC-USD").side == "long":  # error
            return

    def on_fill(self, fill: Fill, market: Market, account: Account) -> None:
        if fill.cause == "liquidatoin":  # error
            return
        fill.pnl  # error

    def on_order(self, event: OrderEvent, market: Market, account: Account) -> None:
        if event.state == "filed":  # error
            return

    def on_margin_call(self, call: MarginCall, market: Account, account: Account) -> None:  # error
        return

    def on_liquidation(self, liquidation: Liquidation, market: Market) -> None:  # error
        return

    def on_transfer(self, transfer: Transfer, market: Market, account: Account) -> None:
        amount: str = transfer.amount  # error
        del amount


def replay() -> backtest.Result:
    backtest.compare("hedged_pair", "data/sample", margin=["isolated", "cross"], leverage=3)
    backtest.compare("hedged_pair", "data/sample", marginn="cross")  # error
    backtest.run(Mine, "data/sample", leverge=3)  # error
    backtest.run(Mine, "data/sample", path="wurst")  # error
    backtest.run(Mine(), "data/sample", cash="much")  # error
    return backtest.run(Mine(window=5), "data/sample", symbols="BTC-USD", fee_bps=5, seed=1)


def report(done: backtest.Result, several: backtest.Comparison) -> float:
    end: float = done.metrics["final_equity"]
    done.metrics["final_equty"]  # error
    sharpe: float = done.metrics["sharpe"]  # error
    trades: pl.DataFrame = done.tables["trades"]
    first: str = done.summary["data"]["symbols"][0]
    done.summary["datas"]  # error
    several["cross"].metrics["fills"]
    several.result  # error
    return end + sharpe + trades.height + len(first)
"""


def documented(folder: Path) -> Iterator[Path]:
    """Write every typed strategy that a page shows as a whole file."""
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        blocks = re.findall(r"^```python\n(# \w+\.py\n.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
        for n, block in enumerate(blocks):
            if "(Strategy):" in block and " -> " in block:
                file = folder / f"{page.stem.replace('-', '_')}_{n}.py"  # pages may show files of one name
                file.write_text(block)
                yield file


def test_examples_and_new_strategies_pass_and_each_planted_mistake_fails(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text(USERS)
    made = [*new("my_idea", tmp_path), *documented(tmp_path)]
    files = [*sorted((ROOT / "strategies").glob("*.py")), *made, planted]
    # The cache is the one of `make lint`, so that the package is not checked again.
    command = [sys.executable, "-m", "mypy", "--strict", "--no-pretty", *map(str, files)]
    environment = os.environ | {"MYPYPATH": str(ROOT)}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    # By name: from its cache mypy tells the folder in which it first met the same file.
    errors = set(re.findall(r"^(?:.*/)?(.+?):(\d+): error: ", ran.stdout, re.MULTILINE))
    said = USERS.splitlines()
    expected = {(planted.name, str(n)) for n, line in enumerate(said, 1) if line.endswith(PLANTED)}
    assert sorted(errors ^ expected) == [], ran.stdout + ran.stderr
