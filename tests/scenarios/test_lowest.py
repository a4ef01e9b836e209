"""How low an account went inside candles, beside its closes (docs/reference/rules.md section 4.1), by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backtest import Result, Strategy
from backtest.runner.plan import plan
from backtest.runner.replays import replay
from tests.rules_index import rule
from tests.scenarios.scenario import START, Market, both, buy, play, sell, write

pytestmark = rule("4.1")

FALL = [6e4, 6e4, (6e4, 6e4, 52_800.0, 6e4), 6e4]


def lows(result: Result) -> tuple[float, float, float, float]:
    names = ("max_drawdown", "max_drawdown_inside", "min_distance_to_liquidation", "min_distance_inside")
    return tuple(result.metrics[name] for name in names)  # type: ignore[return-value]


@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_a_long_that_closes_where_it_opened(tmp_path: Path, margin: str) -> None:
    # 10 BTC at 60,000. At the low: 100,000 - 72,000 = 28,000, a drawdown of 72 %; (28,000 - 0.03 x 528,000) / 528,000.
    # At closes: (100,000 - 18,000) / 600,000. Isolated at 6 times posts all of it, so it is the same account.
    result = play(tmp_path, [Market("BTC", FALL)], {0: buy("BTC", 10)}, margin=margin, leverage=6)
    assert lows(result) == pytest.approx((0.0, -0.72, 82_000 / 600_000, 12_160 / 528_000))


def test_a_hedge_is_looked_at_along_the_joint_path(tmp_path: Path) -> None:
    # Both lose 12 %: -72,000 + 72,000 at one instant. The legs apart would be 72 % down.
    eth = Market("ETH", [4e3, 4e3, (4e3, 4e3, 3_520.0, 4e3), 4e3])
    result = play(tmp_path, [Market("BTC", FALL), eth], {0: both(buy("BTC", 10), sell("ETH", 150))})
    assert lows(result)[:2] == (0.0, 0.0)
    # At the closes (100,000 - 36,000) / 1,200,000, at the low (100,000 - 31,680) / 1,056,000, which is more.
    assert lows(result)[2:] == pytest.approx((64_000 / 1_200_000, 64_000 / 1_200_000))


def test_a_peak_is_a_close_and_not_a_high(tmp_path: Path) -> None:
    # The high of 66,000 (160,000) is no peak; that close at 63,000 (130,000) is: 57,000 is 70,000.
    candles = [6e4, (6e4, 66e3, 6e4, 63e3), (63e3, 63e3, 57e3, 62e3), 62e3]
    result = play(tmp_path, [Market("BTC", [6e4, *candles])], {0: buy("BTC", 10)})
    assert lows(result)[:2] == pytest.approx((-10 / 130, -60 / 130))


def test_what_a_liquidation_leaves_is_looked_at_too(tmp_path: Path) -> None:
    # 15 BTC: health is zero at 800,000 / 14.55 = 54,982.82; 15 x 54,982.82 = 824,742.27; equity 24,742.27 there, and
    # after the penalty of 8,247.42 it is 16,494.85 for good. The low of 52,800 is nobody's any more.
    result = play(tmp_path, [Market("BTC", FALL)], {0: buy("BTC", 15)})
    assert lows(result)[:2] == pytest.approx((16_494.85 / 1e5 - 1, 16_494.85 / 1e5 - 1), abs=1e-7)
    assert lows(result)[2:] == pytest.approx((0.0, 0.0), abs=1e-6)  # found in whole thirds of a ms


def test_an_account_that_holds_nothing_has_no_distance(tmp_path: Path) -> None:
    result = play(tmp_path, [Market("BTC", FALL)], {})
    assert lows(result) == (0.0, 0.0, None, None)


class Holder(Strategy):
    """Buys at the first close, and acts once more when it is told to."""

    acts: tuple[int, ...] = ()

    def on_candle(self, market: Any, account: Any) -> None:
        row = (market.now_ms - START) // 60_000 - 1
        if row == 0:
            account.buy("BTC", 10)
        elif row in self.acts:
            account.buy("BTC", 0.001)


@pytest.mark.parametrize("acts", [(), (5,), (39, 40, 41)])
@pytest.mark.parametrize("chunk_rows", [None, 7])
def test_rows_played_ahead_count_once_they_are_passed(
    tmp_path: Path, acts: tuple[int, ...], chunk_rows: int | None
) -> None:
    # A row that is played ahead of a strategy is looked at when the account has gone on from it, whatever came later.
    candles: list[Any] = [6e4] * 100
    candles[40] = (6e4, 6e4, 54_000.0, 6e4)
    strategy = Holder()
    strategy.acts = acts
    planned = plan(strategy, write(tmp_path, Market("BTC", candles)), cash=100_000, allow=("missing-funding",))
    (record,) = replay(planned, ("cross",), None, chunk_rows)
    held = 10 + sum(0.001 for row in acts if row < 40)  # an order decided at the close of 39 fills at the open of 40
    low, low_ms, _, _ = record.lowest
    assert (low, low_ms) == (pytest.approx(-held * 6_000 / 1e5), START + 40 * 60_000 + 20_000)
