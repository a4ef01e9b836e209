"""Scenarios G1 and G2: an oracle's delay shifts the market mark path in time, extremes and jumps included.

5m candles, flat at 40,000; the lows of the last three candles of hour 20 are 30,000, each closes back at 40,000. Long
15 on 100,000, generic venue: healthy while 100,000 + 15 (p − 40,000) ≥ 0.03 × 15 p, down to 500,000 / 14.55, which is
34,364.261168. Each of these candles closes where it opens, so its low comes first, 100 s after its open, and the path
is at the liquidation price 56.357 s after it: 20:45:56.357, and the mark that is late a delay after that.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import backtest
from backtest import Result
from tests.rules_index import rule
from tests.scenarios.scenario import MINUTE, Market, Row, Script, Step, both, buy, rows, sell, write

pytestmark = rule("layer2 4")

EXAMPLES = int(os.environ.get("BACKTEST_EXAMPLES", "20"))
HOUR = 60 * MINUTE
WICK: Row = (40_000.0, 40_000.0, 30_000.0, 40_000.0)
DIPS: list[Row] = [*[40_000.0] * 249, WICK, WICK, WICK, *[40_000.0] * 36]
FLAT: list[Row] = [40_000.0] * len(DIPS)
CROSSES = 20 * HOUR + 45 * MINUTE + 56_357
PRICE = 34_364.261168
LONG = {0: buy("BTC", 15)}
LEFT = 10_309.278351
"""100,000 + 15 × (34,364.261168 − 40,000) = 15,463.917526, less 1 % of 515,463.917526."""
RUNS: dict[str, dict[str, Any]] = {
    "5m": {},
    "drill": {"interval": "1h", "drill": "5m"},
    "1h": {"interval": "1h"},
}


def late(folder: Path, markets: list[Market], steps: dict[int, Step], how: str, delay: str, **more: Any) -> Result:
    """The script with a mark that is so late; steps by rows of the run."""
    settings = {"cash": 100_000, "allow": ("missing-funding",), "oracle": (f"delay={delay}",), **RUNS[how], **more}
    every = HOUR if "interval" in settings else 5 * MINUTE
    return backtest.run(Script(steps, every), write(folder, *markets, interval="5m"), **settings)


def liquidated(result: Result) -> list[tuple[int, float, float]]:
    return rows(result, "liquidations", "ts", "qty", "price")


@pytest.mark.parametrize("how", RUNS)
@pytest.mark.parametrize("minutes", [10, 7, 25, 65, 150, 1.2345])
def test_G1_a_late_mark_kills_as_late(tmp_path: Path, how: str, minutes: float) -> None:
    delay = round(minutes * MINUTE)
    result = late(tmp_path, [Market("BTC", DIPS)], LONG, how, f"{delay}ms")
    ((when, qty, price),) = liquidated(result)
    assert (qty, round(price, 6)) == (-15.0, PRICE)
    assert result.summary["metrics"]["final_equity"] == pytest.approx(LEFT, abs=1e-6)
    if how != "1h":  # when in it an hour was at its low only the finer candles know
        assert abs(when - (CROSSES + delay)) <= 1
    told = " ".join(result.summary["notes"])
    assert "late" in told
    assert "four points" not in told
    if how == "drill":
        assert result.summary["counts"]["candles drilled down"] >= 1


@pytest.mark.parametrize("how", RUNS)
@pytest.mark.parametrize("minutes", [10, 7, 25])
def test_G2_by_the_mark_and_not_by_trades(tmp_path: Path, how: str, minutes: int) -> None:
    by_mark = late(tmp_path / "mark", [Market("BTC", FLAT, mark=DIPS)], LONG, how, f"{minutes}m")
    assert [(qty, round(price, 6)) for _, qty, price in liquidated(by_mark)] == [(-15.0, PRICE)]
    by_trades = late(tmp_path / "trades", [Market("BTC", DIPS, mark=FLAT)], LONG, how, f"{minutes}m")
    assert liquidated(by_trades) == []


GAPS: list[Row] = [*[40_000.0] * 250, *[30_000.0] * 2, *[40_000.0] * 36]
"""The market jumps to 30,000 at 20:50, and back at 21:00."""


@pytest.mark.parametrize("how", ["5m", "drill"])
@pytest.mark.parametrize("minutes", [2, 7, 10, 61])
def test_a_gap_of_the_market_is_one_of_the_mark_a_delay_later(tmp_path: Path, how: str, minutes: int) -> None:
    """At 30,000 nothing is left: 100,000 − 150,000 is bad debt, as at an open."""
    result = late(tmp_path, [Market("BTC", GAPS)], LONG, how, f"{minutes}m")
    ((when, _, price),) = liquidated(result)
    assert (when, price) == (20 * HOUR + (50 + minutes) * MINUTE, 30_000.0)
    assert result.summary["metrics"]["final_equity"] == 0.0


@pytest.mark.parametrize("how", ["5m", "drill"])
@pytest.mark.parametrize("minutes", [7, 10])
def test_a_stop_that_the_jump_meets_first_goes_first(tmp_path: Path, how: str, minutes: int) -> None:
    """Long 9, healthy down to 260,000 / 8.73 = 29,782.36; a jump to 29,000 meets the stop first. Sold at what trades
    are then: 29,000 at 20:57, which leaves 1,000, and 40,000 again at 21:00."""
    stop = lambda _, account: account.sell("BTC", 9, stop=39_000, trigger="mark", reduce_only=True)  # noqa: E731
    gaps = [29_000.0 if row == 30_000.0 else row for row in GAPS]
    result = late(tmp_path, [Market("BTC", gaps)], {0: both(buy("BTC", 9), stop)}, how, f"{minutes}m")
    assert liquidated(result) == []
    sold = rows(result, "fills", "ts", "qty", "price")[-1]
    assert sold == (20 * HOUR + (50 + minutes) * MINUTE, -9.0, 29_000.0 if minutes == 7 else 40_000.0)


@pytest.mark.parametrize("minutes", [7, 40, 90])
def test_a_market_that_begins_inside_an_hour_is_as_late_on_finer_candles(tmp_path: Path, minutes: int) -> None:
    """It begins at 20:50 at 100 and doubles at 21:20; short 900 from 21:00 on. Until the delay is over its mark is its
    first price. Dead where 100,000 + 900 (100 − p) = 27 p: p = 190,000 / 927 = 204.96; so not at 200, but at 210."""
    late_one: list[Row] = [*[None] * 250, *[100.0] * 6, *[200.0] * 6, *[210.0] * 26]
    dead = {}
    for how, row in (("5m", 251), ("drill", 20)):
        markets = [Market("BTC", FLAT), Market("ETH", late_one)]
        result = late(tmp_path / how, markets, {row: sell("ETH", 900)}, how, f"{minutes}m")
        dead[how] = liquidated(result)
    assert dead["5m"] == dead["drill"]
    ((when, qty, price),) = dead["5m"]
    assert (when, qty, price) == (21 * HOUR + (50 + minutes) * MINUTE, 900.0, 210.0)


def wild(seed: int, count: int) -> list[Row]:
    """Candles with wicks, and gaps between them."""
    draw = np.random.default_rng(seed)
    price, made = 100.0, []
    for _ in range(count):
        path = price * np.exp(np.cumsum(draw.normal(0, 0.012, 5)))
        made.append((path[0], max(path), min(path), path[4]))
        price = path[4] * float(np.exp(draw.normal(0, 0.01)))
    return [tuple(round(float(price), 4) for price in candle) for candle in made]  # type: ignore[misc]


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    seed=st.integers(0, 999),
    delay_ms=st.integers(1, 3 * HOUR) | st.sampled_from([5 * MINUTE, 7 * MINUTE, 20 * MINUTE, HOUR, 100 * MINUTE]),
    held=st.integers(3_000, 9_000),
    short=st.booleans(),
)
def test_a_drill_ends_as_the_finer_candles_do(seed: int, delay_ms: int, held: int, short: bool) -> None:
    """Two markets held from the first hour on, with a stop by mark and a trailing one. What decides is inside hours."""
    ends = {}
    for how, row in (("5m", 11), ("drill", 0)):
        markets = [Market("BTC", wild(seed, 96)), Market("ETH", wild(seed + 1, 96))]

        def sent(_: Any, account: Any) -> None:
            first, second = ("BTC", "ETH") if short else ("ETH", "BTC")
            account.sell(first, held)
            account.buy(second, held // 2)
            account.sell(second, held // 4, trail=0.06, trigger="mark", reduce_only=True)
            account.buy(first, held // 4, stop=112, trigger="mark", reduce_only=True)

        with tempfile.TemporaryDirectory() as folder:
            result = late(Path(folder), markets, {row: sent}, how, f"{delay_ms}ms")
            fills = rows(result, "fills", "ts", "symbol", "qty", "price")
            ends[how] = liquidated(result), fills, result.summary["metrics"]["final_equity"]
    assert ends["5m"] == ends["drill"]
