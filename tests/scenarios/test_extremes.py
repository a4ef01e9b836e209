"""Numbers at the edge of what is counted, and candles beside the clock: right, or refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import backtest
from backtest import Strategy
from backtest.core.errors import RunError, UserError
from tests.rules_index import rule
from tests.scenarios import scenario
from tests.scenarios.scenario import MINUTE, Market, both, buy, play, rows, sell, write

pytestmark = rule("1", "2")

ALLOW = {"allow": ("missing-funding",)}


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, int, float])
def test_sizes_may_be_numbers_of_numpy(tmp_path: Path, kind: type) -> None:
    def step(market: Any, account: Any) -> None:
        account.buy("BTC", kind(2))
        account.target("ETH", notional=kind(500))
        account.set_leverage("BTC", kind(3))

    result = play(tmp_path, [Market("BTC", [100.0] * 3), Market("ETH", [10.0] * 3)], {0: step})
    assert rows(result, "fills", "symbol", "qty") == [("BTC", 2.0), ("ETH", 50.0)]


class Asks(Strategy):
    """Asks for one thing at every candle, before the replay."""

    ask: pl.Expr

    def targets(self, candles: pl.LazyFrame) -> pl.LazyFrame:
        return candles.select("ts", "symbol", self.ask)


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        # 10^13 quote are 10^19 micro: more than 64 bits hold.
        (pl.lit(1e13).alias("notional"), "an amount of money is beyond 4.5 billion quote units"),
        (pl.lit(1e9).alias("target"), "an amount of money is beyond 4.5 billion quote units"),
        (pl.lit(1e14).alias("qty"), "a quantity is beyond what can be counted exactly"),
        # 4 × 10^9 quote at 10^-8 a coin, in lots of a millionth of a coin: 4 × 10^23 lots.
        (pl.lit(4e9).alias("notional"), "a quantity is beyond what can be counted exactly"),
    ],
)
def test_a_target_beyond_what_is_counted_stops_the_run_in_one_line(tmp_path: Path, ask: pl.Expr, said: str) -> None:
    strategy = Asks()
    strategy.ask = ask
    data = write(tmp_path, Market("DUST", [1e-8] * 3, step="0.000001"))
    with pytest.raises(RunError, match=f"class Asks, .*: {said}; trade less"):
        backtest.run(strategy, data, **ALLOW)


def test_an_order_of_more_lots_than_are_counted_stops_the_run_in_one_line(tmp_path: Path) -> None:
    def step(market: Any, account: Any) -> None:
        account.buy("DUST", notional=1e3)

    with pytest.raises(RunError, match="a quantity is beyond what can be counted exactly"):
        play(tmp_path, [Market("DUST", [1e-8] * 3, step="0.000001")], {0: step})


def test_the_average_price_of_much_that_was_traded(tmp_path: Path) -> None:
    """In 150 rounds between 10^11 and 2 × 10^10 coins 150 × 8 × 10^10 are bought: 1.2 × 10^19 millionths, over 2^63."""
    steps = {k: (buy if k % 2 == 0 else sell)("CHEAP", 8e10) for k in range(300)}
    steps[0], steps[300] = both(buy("CHEAP", 2e10), buy("CHEAP", 8e10)), sell("CHEAP", 2e10)
    result = play(tmp_path, [Market("CHEAP", [1e-5] * 303, step="1")], steps, cash=1_000_000)
    assert rows(result, "trades", "entry_price", "exit_price", "net") == [(1e-5, 1e-5, 0.0)]


def test_a_close_that_costs_more_than_the_pool_has_is_no_liquidation_to_the_hook(tmp_path: Path) -> None:
    """The mark stands at 100 while trades fall to 80: closing 100 loses 2,000 of a deposit of 600."""
    heard = scenario.Tape()

    class Holder(Strategy):
        """Opens at the first close, closes at the second."""

        def on_candle(self, market: Any, account: Any) -> None:
            if market.now_ms == scenario.START + MINUTE:
                account.buy("BTC", 100)
            elif account.positions:
                account.close("BTC")

        def on_liquidation(self, liquidation: Any, market: Any, account: Any) -> None:
            heard.append(liquidation)

    data = write(tmp_path, Market("BTC", [100.0, 100.0, 80.0, 80.0], mark=[100.0] * 4))
    result = backtest.run(Holder, data, cash=600, **ALLOW)
    assert rows(result, "liquidations", "stage", "bad_debt") == [("shortfall", 1_400.0)]
    assert heard == []


def beside_the_clock(folder: Path, shift_ms: int, monkeypatch: pytest.MonkeyPatch, interval: str) -> Path:
    """A market whose candles open some time after the full minute or hour."""
    monkeypatch.setattr(scenario, "START", scenario.START + shift_ms)
    return write(folder, Market("BTC", [100.0] * 30), interval=interval)


def test_candles_beside_the_clock_are_sampled_at_the_first_close_after_each_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hourly candles that open at half past: every close is the first after a full hour."""
    data = beside_the_clock(tmp_path, 30 * MINUTE, monkeypatch, "1h")
    steps = {k: buy("BTC", 1) if k == 0 else (lambda market, account: None) for k in range(30)}
    result = backtest.run(scenario.Script(steps, 60 * MINUTE), data, **ALLOW)
    assert result.tables["positions"].height == 29
    assert result.tables["margin"].height == 29


def test_longer_candles_cannot_be_made_of_those_beside_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hourly(Asks):
        """Half the account, each hour."""

        every = "1h"

    strategy = Hourly()
    strategy.ask = pl.lit(0.5).alias("target")
    data = beside_the_clock(tmp_path, MINUTE // 2, monkeypatch, "1m")
    with pytest.raises(UserError, match="every = '1h' on candles that do not open at whole multiples"):
        backtest.run(strategy, data, **ALLOW)
