"""Metrics on curves worked out by hand, and where they have no value."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from backtest.core import records
from backtest.core.enums import CROSS_POOL, Cause, Liquidity, OrderType, Status
from backtest.core.records import Record
from backtest.results.ledger import balance
from backtest.results.metrics import metrics
from backtest.results.trades import round_trips
from tests.unit.results_records import (
    DAY,
    START,
    closes,
    cross,
    curve_of,
    held,
    idle,
    isolated,
    micro,
    replace,
    rows,
    values,
)


def measure(record: Record) -> dict[str, Any]:
    numbers = metrics(record, balance(record), round_trips(record))
    for name, value in numbers.items():
        assert value is None or type(value) in (int, float), f"{name}: {value!r}"
    json.dumps(numbers, allow_nan=False)  # fails on a NaN
    return numbers


def test_five_days() -> None:
    # 100 → 110 → 99 → 108.9 → 98.01 → 107.811: daily returns +0.1, −0.1, +0.1, −0.1, +0.1
    got = measure(held([110, 99, 108.9, 98.01, 107.811]))
    assert got["return"] == pytest.approx(0.07811)
    assert got["cagr"] == pytest.approx(1.07811**73 - 1)  # 365 / 5 = 73
    # mean 0.02; deviations 0.08 (three) and −0.12 (two): 0.0192 + 0.0288 = 0.048; / 4 = 0.012
    assert got["volatility"] == pytest.approx(math.sqrt(365 * 0.012))  # 2.0928
    assert got["sharpe"] == pytest.approx(0.02 / math.sqrt(0.012) * math.sqrt(365))  # 3.488
    # two days of −0.1: √(0.02 / 5)
    assert got["sortino"] == pytest.approx(0.02 / math.sqrt(0.004) * math.sqrt(365))  # 6.041
    assert got["max_drawdown"] == pytest.approx(98.01 / 110 - 1)  # −0.109
    assert got["calmar"] == pytest.approx((1.07811**73 - 1) / 0.109)
    assert got["max_drawdown_days"] == 4  # the 110 of the first close is not seen again
    assert got["turnover"] == pytest.approx(100 / 104.7442 * 73)  # mean equity 523.721 / 5
    assert got["mean_leverage"] == got["max_leverage"] == 1
    assert got["margin_use_peak"] == pytest.approx(0.05)
    assert got["maintenance_use_peak"] == pytest.approx(0.03)
    assert got["min_distance_to_liquidation"] == pytest.approx(0.97)
    assert (got["start_cash"], got["final_equity"], got["price_moves"]) == (100, 107.811, 7.811)
    assert (got["trades"], got["open_trades"], got["hit_rate"], got["profit_factor"]) == (0, 1, None, None)


def test_a_days_returns_go_from_midnight_to_midnight() -> None:
    # From noon in half days: closes at 00:00, 12:00, 00:00, 12:00, 00:00, 12:00. Days: 100 → 110 → 99, +0.1 and −0.1.
    # What happens at noon, and the half days at both ends (the deposit of 50), belong to none.
    late = held([1], cash=50).fills.whole()
    late["ts_ms"] += DAY // 2
    half = {"interval_ms": DAY // 2, "start_ms": START + DAY // 2, "fills": late}
    got = measure(held([100, 3, 110, 999, 99, 1000], cash=50, **half))
    assert got["volatility"] == pytest.approx(math.sqrt(365 * 0.02))  # mean 0, (0.01 + 0.01) / 1
    assert got["sharpe"] == pytest.approx(0)
    assert got["sortino"] == pytest.approx(0)


def test_time_under_water() -> None:
    # From the deposit's 100 down and back by the third close; then one day under 105.
    assert measure(held([90, 80, 100, 105, 104, 106]))["max_drawdown_days"] == 3
    assert measure(held([101, 102, 103]))["max_drawdown_days"] == 0
    assert measure(held([101, 100, 102]))["max_drawdown_days"] == 2  # from one peak's close to the next
    assert measure(held([101, 102, 101]))["max_drawdown_days"] == 1
    # The first candle's loss is one, although the curve itself never falls.
    assert measure(held([90, 90, 90]))["max_drawdown"] == pytest.approx(-0.1)
    assert measure(held([90, 90, 90]))["max_drawdown_days"] == 3


def test_trades_flows_and_counts() -> None:
    got = measure(cross())
    assert (got["trades"], got["open_trades"], got["hit_rate"]) == (2, 1, 1.0)
    assert got["profit_factor"] is None  # no loser
    assert (got["funding"], got["fees"], got["slippage"]) == (-2.2, 92.242875, 92.25)  # 25 + 15 + 38.25 + 14
    assert (got["price_moves"], got["penalties"], got["bad_debt"]) == (2510, 0, 0)
    assert (got["spread"], got["impact"], got["latency"]) == (79, 10, 13.25)
    assert (got["orders"], got["rejected_orders"], got["fills"]) == (6, 2, 4)
    assert (got["cancelled_orders"], got["expired_orders"], got["refused_amendments"]) == (0, 1, 0)
    assert (got["maker_share"], got["rebates"]) == (0, 0)
    assert (got["ambiguous_candles"], got["missing_settlements"], got["liquidations"]) == (1, 1, 0)
    assert got["max_leverage"] == pytest.approx(80_000 / 98_000)
    assert got["mean_leverage"] == pytest.approx(
        (80_000 / 98_000 + 25_500 / 101_000 + 25_500 / 101_500 + 26_000 / 102_313.307125) / 5
    )
    assert got["min_distance_to_liquidation"] == pytest.approx((98_000 - 2400) / 80_000)


def test_makers_and_amendments() -> None:
    # Of 100 + 300 that orders traded 300 was as maker; a liquidation of 200 is no order's.
    at = {"ts_ms": START, "pool": CROSS_POOL}
    maker = {"liquidity": Liquidity.MAKER, "fee": micro(-0.03)}
    fills = rows(
        records.FILL,
        {"seq": 1, "order_id": 0, "lots": 1000, "quote": -micro(100), "fee": micro(0.05), **at},
        {"seq": 2, "order_id": 1, "lots": 3000, "quote": -micro(300), **maker, **at},
        {"seq": 3, "order_id": -1, "lots": -2000, "quote": micro(200), "cause": Cause.LIQUIDATION, **at},
    )
    ends = ((OrderType.MARKET, Status.FILLED), (OrderType.LIMIT, Status.FILLED), (OrderType.LIMIT, Status.CANCELLED),
            (OrderType.AMEND, Status.REJECTED))  # fmt: skip
    orders = rows(records.ORDER, *({"order_id": n, "type": t, "status": s} for n, (t, s) in enumerate(ends)))
    record = idle(
        1000, fills=fills, orders=orders, final_wallet=micro(799.98), final_lots=np.array([2000]),
        final_mark=np.array([100.0]),
    )  # fmt: skip
    got = measure(record)
    assert (got["maker_share"], got["fees"], got["rebates"]) == (0.75, 0.02, 0.03)
    assert (got["orders"], got["rejected_orders"], got["cancelled_orders"]) == (3, 0, 1)
    assert got["refused_amendments"] == 1


def test_liquidated_pools() -> None:
    got = measure(isolated())
    assert (got["liquidations"], got["pool_liquidations"]) == (2, 2)
    assert (got["penalties"], got["bad_debt"], got["hit_rate"]) == (320, 1025, 0.0)
    assert got["profit_factor"] == 0
    # At the closes the nearer pool has (1,985 − 930) / 31,000 left; but the other was liquidated at a jump, with
    # −1,025 of equity, 1,320 to maintain and 44,000 held: (−1,025 − 1,320) / 44,000.
    assert got["min_distance_to_liquidation"] == pytest.approx(-2345 / 44_000)


def test_the_nearer_pool_counts() -> None:
    # Nobody is liquidated: the pools at the closes, not the account: (1,985 − 930) / 31,000 against 2,505 / 49,000.
    record = isolated()
    alive = replace(record, liquidations=record.liquidations[:0])
    got = metrics(alive, balance(record), round_trips(record))
    assert got["min_distance_to_liquidation"] == pytest.approx(1055 / 31_000)


def test_profit_factor() -> None:
    # cross() wins 893.90025 and 1,944.9005; let the ETH trip cost 2,000 more in fees.
    record = cross()
    fills = record.fills.whole()
    fills["fee"][3] += 2_000_000_000
    curve = values(record.curve)
    curve[-1, :2] -= 2000
    got = measure(replace(record, fills=fills, curve=closes(curve), final_wallet=126_313_307_125))
    assert got["hit_rate"] == 0.5
    assert got["profit_factor"] == pytest.approx(893.90025 / 55.0995)  # 1,944.9005 − 2,000


NOTHING = ("volatility", "sharpe", "sortino", "calmar", "hit_rate", "profit_factor", "min_distance_to_liquidation")


def test_no_time_at_all() -> None:
    got = measure(idle())
    for name in (*NOTHING, "maker_share", "cagr", "turnover", "mean_leverage", "max_leverage", "margin_use_peak"):
        assert got[name] is None, name
    assert (got["return"], got["max_drawdown"], got["max_drawdown_days"]) == (0, 0, 0)


def test_an_idle_year_has_no_risk() -> None:
    got = measure(idle(100, curve=curve_of([100.0] * 365)))
    assert (got["volatility"], got["cagr"], got["turnover"]) == (0, 0, 0)
    assert got["sharpe"] is got["sortino"] is got["calmar"] is None
    assert (got["mean_leverage"], got["margin_use_peak"]) == (0, 0)


def test_steady_growth_has_no_deviation() -> None:
    # One per cent a day, up to rounding: a ratio to a deviation of 1e-17 would be nonsense.
    got = measure(held([100 * 1.01**day for day in range(1, 31)]))
    assert got["sharpe"] is got["sortino"] is got["calmar"] is None
    assert got["cagr"] == pytest.approx(1.01**365 - 1)


@pytest.mark.parametrize("days", [1, 2])
def test_under_two_daily_returns(days: int) -> None:
    got = measure(held([110.0, 120.0][:days]))
    assert (got["cagr"] is None) == (days < 2)
    assert (got["volatility"] is None) == (days < 2)


def test_ruin() -> None:
    # Sold for nothing: equity 0 from the second close on.
    ruined = held([50, 0, 0], final_mark=np.array([0.0]))
    got = measure(ruined)
    assert (got["return"], got["cagr"], got["max_drawdown"]) == (-1, -1, -1)
    assert got["calmar"] == -1
    assert got["volatility"] is got["sharpe"] is None  # a return on nothing
    below = measure(held([50, -10], final_mark=np.array([-10.0])))
    assert (below["cagr"], below["max_drawdown"]) == (-1, pytest.approx(-1.1))
    assert below["max_leverage"] == 1  # of the close where it had a meaning


def test_a_growth_too_great_for_a_number() -> None:
    assert measure(held([100, 1e9]))["cagr"] is None
