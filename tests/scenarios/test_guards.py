"""Guards: what each kind does, when and by how much, with the arithmetic; docs/reference/rules.md section 10.

Unless said otherwise: one symbol, no fees, initial 5 %, maintenance 3 %; the position is decided at the close of row 0
and filled at the open of row 1, at 60,000 ms. What a guard sends at the close of row k fills at the open of row k + 1.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import backtest
from backtest import Result, Strategy, UserError
from backtest.cli import main
from backtest.results import report_files
from backtest.strategy.guards import parse
from tests.rules_index import rule
from tests.scenarios.scenario import MINUTE, START, Market, Script, Tape, both, buy, column, rows, sell, write

pytestmark = rule("10")

FILLS = ("ts", "symbol", "qty", "price", "cause")
GUARDS = ("ts", "guard", "symbol", "pool", "value", "order_id")


class Once(Strategy):
    """Decides the position of the first close, compiled, and nothing after."""

    def __init__(self, **qty: float) -> None:
        super().__init__()
        self.qty = qty

    def targets(self, candles: pl.LazyFrame) -> pl.LazyFrame:
        first = candles.filter(pl.col("ts").dt.epoch("ms") == START, pl.col("symbol").is_in(list(self.qty)))
        return first.select("ts", "symbol", qty=pl.col("symbol").replace_strict(self.qty, return_dtype=pl.Float64))


class Seldom(Script):
    """The same script, called every five minutes."""

    every = "5m"


def hold(form: str, qty: float) -> Strategy:
    """The position in BTC, decided by a strategy that is compiled or called."""
    return (
        Once(BTC=qty) if form == "targets" else Script({0: buy("BTC", qty) if qty > 0 else sell("BTC", -qty)}, MINUTE)
    )


def guarded(folder: Path, strategy: Strategy, guard: str | list[str], *markets: Market, **settings: Any) -> Any:
    asked = [guard] if isinstance(guard, str) else guard
    defaults = {"cash": 100_000, "allow": ("missing-funding",)}
    return backtest.run(strategy, write(folder, *markets), guards=asked, **{**defaults, **settings})


both_forms = pytest.mark.parametrize("form", ["on_candle", "targets"])

# ---- One position


@both_forms
@pytest.mark.parametrize(
    ("guard", "qty", "prices", "closed", "value"),
    [
        # 95 is 5 % below the entry at 100, 95.01 is not; the order fills at the next open, wherever that is
        ("stop=5%", 10, [100, 100, 95.01, 95, 90, 90], 3, 0.05),
        ("stop=5%", -10, [100, 100, 104.99, 105, 110, 110], 3, 0.05),
        ("stop[BTC]=5%", 10, [100, 100, 95.01, 95, 90, 90], 3, 0.05),
        # the best mark is 120, and 108 is 10 % below it: 12 / 120
        ("trail=10%", 10, [100, 100, 120, 108.01, 108, 50], 4, 0.1),
        ("trail=10%", -10, [100, 100, 80, 87.99, 88, 150], 4, 0.1),
        # in doubles a hair less than 5 % below, yet 6.85 / 137 is reached
        ("trail=5%", 10, [100, 100, 137, 130.16, 130.15, 50], 4, 0.05),
        # it never rose: the entry is the best
        ("trail=10%", 10, [100, 100, 95, 90, 80, 80], 3, 0.1),
        # 100 × (100 − 80) = 2,000
        ("loss=2000", 100, [100, 100, 80.01, 80, 70, 70], 3, 2_000.0),
        ("loss=2000", -100, [100, 100, 119.99, 120, 130, 130], 3, 2_000.0),
        # opened at 1 minute, three minutes old at the close of row 3
        ("age=3m", 10, [100, 100, 102, 103, 104, 105], 3, 180_000.0),
    ],
)  # fmt: skip
def test_a_position_is_closed(tmp_path: Path, form, guard, qty, prices, closed, value) -> None:
    result = guarded(tmp_path, hold(form, qty), guard, Market("BTC", prices))
    sent = (closed + 1) * MINUTE
    assert rows(result, "fills", *FILLS) == [
        (MINUTE, "BTC", qty, 100.0, "strategy"),
        (sent, "BTC", -qty, prices[closed + 1], "guard"),
    ]
    assert rows(result, "orders", "order_id", "ts_sent", "reduce_only", "status", "cause") == [
        (0, MINUTE, False, "filled", "strategy"),
        (1, sent, True, "filled", "guard"),
    ]
    assert rows(result, "guards", *GUARDS) == [(sent, guard, "BTC", "cross", pytest.approx(value, rel=1e-15), 1)]
    assert result.summary["counts"][f"guard {guard}"] == 1
    assert column(result, "trades", "exit_cause") == ["guard"]


def test_a_stop_is_measured_from_what_the_fills_cost(tmp_path: Path) -> None:
    # 10 at 100 and 10 at 110, with 100 bps of slippage: 1,010 + 1,111, so 106.05 on average. 5 % below is 100.7475.
    steps = {0: buy("BTC", 10), 1: buy("BTC", 10)}
    market = Market("BTC", [100, 100, 110, 100.75, 100.74, 100])
    result = guarded(tmp_path, Script(steps, MINUTE), "stop=5%", market, slippage_bps=100)
    # 20 × 100.74 = 2,014.80 against 2,121: 106.20 are lost
    assert rows(result, "guards", "ts", "value") == [(5 * MINUTE, 106_200_000 / 2_121_000_000)]


def test_a_guard_of_one_market_leaves_the_others_alone(tmp_path: Path) -> None:
    markets = Market("BTC", [100, 100, 80, 80, 80]), Market("ETH", [10, 10, 8, 8, 8])
    result = guarded(tmp_path, Once(BTC=10, ETH=100), ["stop[ETH]=5%", "stop=25%"], *markets)
    assert rows(result, "fills", *FILLS)[2:] == [(3 * MINUTE, "ETH", -100, 8.0, "guard")]


def test_a_flip_is_a_new_position(tmp_path: Path) -> None:
    # Long at 100, best 120; at 119 it is turned into 10 short. Then best is 119, and the trail is at 130.9; the age
    # counts from row 3, so that the order is sent at the close of row 6, at 7 minutes.
    steps = {0: buy("BTC", 10), 2: sell("BTC", 20)}
    market = Market("BTC", [100, 100, 120, 119, 130, 130.8, 130.8, 130.8])
    result = guarded(tmp_path, Script(steps, MINUTE), ["trail=10%", "age=4m"], market)
    assert rows(result, "guards", "ts", "guard", "value") == [(7 * MINUTE, "age=4m", 240_000.0)]


def test_one_opened_again_in_the_same_candle_is_new_as_well(tmp_path: Path) -> None:
    # Closed and bought again at the open of row 3, at 109: 98.1 would be the trail, 108 were it still that of 120.
    steps = {0: buy("BTC", 10), 2: both(sell("BTC", 10), buy("BTC", 10))}
    market = Market("BTC", [100, 100, 120, 109, 107, 98.2, 98.1, 98])
    result = guarded(tmp_path, Script(steps, MINUTE), "trail=10%", market)
    assert rows(result, "guards", "ts", "value") == [(7 * MINUTE, pytest.approx(0.1, rel=1e-15))]


def test_an_order_travels_as_long_as_any(tmp_path: Path) -> None:
    # Sent at 4 minutes, it arrives 90 s later, in the middle of row 5, which falls from 100 to 80 and back up to 90:
    # half the candle is half of the way between its low at a third and its high at two thirds. Nothing is sent twice.
    prices = [100, 100, 100, 94, 93, (94.0, 100.0, 80.0, 95.0), 90, 90]
    result = guarded(tmp_path, Script({0: buy("BTC", 10)}, MINUTE), "stop=5%", Market("BTC", prices), latency_ms=90_000)
    assert rows(result, "fills", *FILLS)[1:] == [(5 * MINUTE + 30_000, "BTC", -10, 90.0, "guard")]
    assert rows(result, "guards", "ts", "order_id") == [(4 * MINUTE, 1)]


def test_what_is_underway_is_counted(tmp_path: Path) -> None:
    # The strategy's own sale of 4 and purchase of 1 are on their way when the stop looks: 7 are left to be sold.
    steps = {0: buy("BTC", 10), 2: both(sell("BTC", 4), buy("BTC", 1))}
    prices = [100, 100, 100, 94, 94, 94, 94]
    result = guarded(tmp_path, Script(steps, MINUTE), "stop=5%", Market("BTC", prices), latency_ms=90_000)
    # sent at 1.0 filled at 2.5; sent at 3 filled at 4.5; the stop's at 4, filled at 5.5 minutes
    assert rows(result, "fills", *FILLS)[1:] == [
        (4.5 * MINUTE, "BTC", -4, 94.0, "strategy"),
        (4.5 * MINUTE, "BTC", 1, 94.0, "strategy"),
        (5.5 * MINUTE, "BTC", -7, 94.0, "guard"),
    ]


def test_in_a_gap_the_order_waits(tmp_path: Path) -> None:
    # Row 4 is a gap: the mark stands at 94, the order waits and fills at the open of row 5; no second one is sent.
    result = guarded(tmp_path, Once(BTC=10), "stop=5%", Market("BTC", [100, 100, 100, 94, None, 92, 92]))
    assert rows(result, "fills", *FILLS)[1:] == [(5 * MINUTE, "BTC", -10, 92.0, "guard")]
    assert len(column(result, "guards", "ts")) == 1


def test_guards_look_at_every_candle_however_seldom_the_strategy_does(tmp_path: Path) -> None:
    # Decided at the close of row 4, filled in row 5; the stop is reached in row 6, four rows before the next decision.
    prices = [100] * 6 + [95] + [94] * 6
    result = guarded(tmp_path, Seldom({4: buy("BTC", 10)}, MINUTE), "stop=5%", Market("BTC", prices))
    assert rows(result, "fills", "ts", "cause") == [(5 * MINUTE, "strategy"), (7 * MINUTE, "guard")]


def test_the_venue_acts_first(tmp_path: Path) -> None:
    # 1,900 at 100 on 10,000 of cash: at 94 nothing is left, so the stop finds no position to close.
    result = guarded(tmp_path, Once(BTC=1_900), "stop=5%", Market("BTC", [100, 100, 94, 94]), cash=10_000)
    assert column(result, "fills", "cause") == ["strategy", "liquidation"]
    assert rows(result, "guards", *GUARDS) == []


# ---- Pools

LADDER = [1_000, 1_000, 950, 947, 947, 947]
"""100 bought at 1,000 with 10,000 of cash: at 950 equity is 5,000 and maintenance 2,850, the ratio 0.57; at 947 they
are 4,700 and 2,841, the ratio 0.604."""


@both_forms
def test_a_pool_is_reduced_to_its_target(tmp_path: Path, form) -> None:
    # 0.3 × 4,700 / 2,841 = 0.496304: of 100,000 lots 49,630 stay, 50.37 are sold at 947. Maintenance is then
    # 49.63 × 947 × 0.03 = 1,409.9883, the ratio 1,409.9883 / 4,700 = 0.299998.
    result = guarded(tmp_path, hold(form, 100), "reduce=0.6:0.3", Market("BTC", LADDER), cash=10_000)
    assert rows(result, "fills", *FILLS) == [
        (MINUTE, "BTC", 100, 1_000, "strategy"),
        (4 * MINUTE, "BTC", -50.37, 947, "guard"),
    ]
    assert rows(result, "guards", *GUARDS) == [(4 * MINUTE, "reduce=0.6:0.3", "BTC", "cross", 2_841 / 4_700, 1)]
    assert column(result, "equity", "maintenance_margin")[-1] == 1_409.9883
    assert column(result, "equity", "equity")[-1] == 4_700


def test_all_positions_of_a_pool_are_reduced_by_the_same_share(tmp_path: Path) -> None:
    # Short 10 at 2,000 beside the long: maintenance 2,841 + 600 = 3,441, ratio 0.732 at 947, share 0.3 × 4,700 / 3,441
    # = 0.409765: 40.976 and 4.097 stay. At 950 it is (2,850 + 600) / 5,000 = 0.69.
    markets = Market("BTC", LADDER), Market("ETH", [2_000] * 6)
    result = guarded(tmp_path, Once(BTC=100, ETH=-10), "reduce=0.7:0.3", *markets, cash=10_000)
    assert rows(result, "fills", *FILLS)[2:] == [
        (4 * MINUTE, "BTC", -59.024, 947, "guard"),
        (4 * MINUTE, "ETH", 5.903, 2_000, "guard"),
    ]


def test_a_reduction_on_its_way_is_not_sent_again(tmp_path: Path) -> None:
    # Filled at 3.5 minutes; reached at the close of row 5, sent at 6 and filled at 8.5.
    market = Market("BTC", [*[1_000] * 4, 950, *[947] * 6])
    result = guarded(tmp_path, Once(BTC=100), "reduce=0.6:0.3", market, cash=10_000, latency_ms=150_000)
    assert rows(result, "fills", "ts", "qty")[1:] == [(8.5 * MINUTE, -50.37)]


def test_margin_calls_in_tiers(tmp_path: Path) -> None:
    # The ratio by price, 0.03 × 100 p / (10,000 + 100 p − 100,000): 940 → 0.705, 950 → 0.57, 960 → 0.48,
    # 980 → 0.3675, 935 → 0.801. Initial margin is 5 p: 4,750 against 5,000 at 950; 4,700 against 4,000 at 940.
    prices = [1_000, 1_000, 980, 950, 960, 980, 940, 935, 1_000]
    heard = Tape()

    class EventDelivery(Script):
        def on_margin_call(self, call: Any, market: Any, account: Any) -> None:
            heard.append(((call.ts_ms - START) // MINUTE, call.pool, call.level, call.equity, call.initial_margin))

    strategy = EventDelivery({0: buy("BTC", 100)}, MINUTE)
    result = guarded(tmp_path, strategy, ["call=0.5", "call=0.8"], Market("BTC", prices), cash=10_000)
    assert heard == [
        (4, "cross", 0.5, 5_000, 4_750),
        (7, "cross", 0.0, 4_000, 4_700),  # the venue's own, first
        (7, "cross", 0.5, 4_000, 4_700),  # again, it was below at 960
        (8, "cross", 0.8, 3_500, 4_675),
    ]
    assert rows(result, "guards", *GUARDS) == [
        (4 * MINUTE, "call=0.5", None, "cross", 2_850 / 5_000, None),
        (7 * MINUTE, "call=0.5", None, "cross", 2_820 / 4_000, None),
        (8 * MINUTE, "call=0.8", None, "cross", 2_805 / 3_500, None),
    ]
    assert result.metrics["margin_calls"] == 1
    assert column(result, "orders", "cause") == ["strategy"]


@both_forms
@pytest.mark.parametrize(
    ("cash", "amounts"),
    [
        # leverage 10 posts 10,000; at 947 the pool has 4,700 and needs 2,841 / 0.3 = 9,470
        (100_000, [10_000, 4_770]),
        # 2,000 is all that the wallet has: the pool has 6,700, ratio 0.424
        (12_000, [10_000, 2_000]),
        (10_000, [10_000]),
    ],
)
def test_an_isolated_pool_is_topped_up(tmp_path: Path, form, cash, amounts) -> None:
    result = guarded(
        tmp_path, hold(form, 100), "top-up=0.6:0.3", Market("BTC", LADDER), cash=cash, margin="isolated", leverage=10
    )
    ledger = result.tables["ledger"].filter(pl.col("code") == "margin")
    assert [(amount / 1e6) for amount in ledger["amount_micro"]] == amounts
    expected = [(4 * MINUTE, "top-up=0.6:0.3", "BTC", "BTC", 2_841 / 4_700, None)]
    assert rows(result, "guards", *GUARDS) == expected[: len(amounts) - 1]


def test_a_top_up_is_worked_out_in_whole_micro(tmp_path: Path) -> None:
    # At 947.00000047 the value is 94,700,000,047 micro and 0.03 of it 2,841,000,001.41, so 2,841,000,001 are required.
    # These are 0.3 of 9,470,000,003.33: the least that will do is 9,470,000,004, of which 4,700,000,047 are there. Of
    # what is not rounded 0.3 is one micro more.
    market = Market("BTC", [*LADDER[:3], 947.00000047, 947.00000047])
    result = guarded(tmp_path, Once(BTC=100), "top-up=0.6:0.3", market, cash=100_000, margin="isolated", leverage=10)
    ledger = result.tables["ledger"].filter(pl.col("code") == "margin")
    assert ledger["amount_micro"].to_list() == [10_000_000_000, 4_769_999_957]


def test_a_top_up_leaves_what_waiting_orders_reserve(tmp_path: Path) -> None:
    # Wallet 2,000 besides the 10,000 posted. The order for 10 ETH at 100 waits in ETH's gap of row 3 and reserves 100.
    strategy = Script({0: buy("BTC", 100), 2: buy("ETH", 10)}, MINUTE)
    markets = Market("BTC", LADDER), Market("ETH", [100, 100, 100, None, 100, 100])
    result = guarded(tmp_path, strategy, "top-up=0.6:0.3", *markets, cash=12_000, margin="isolated", leverage=10)
    ledger = result.tables["ledger"].filter(pl.col("code") == "margin")
    assert [(amount / 1e6) for amount in ledger["amount_micro"]] == [10_000, 1_900, 100]


def test_in_mixed_margin_each_pool_has_its_own_guard(tmp_path: Path) -> None:
    # Leverage 10: 1,000 are posted for 100 ETH at 100; at 93 the pool has 300 and needs 279, the ratio 0.93. The cross
    # pool keeps 10,000 for 100 BTC: at 947 it is LADDER's, reduced to 49.63, and can spare nothing: 4,700 against an
    # initial requirement of 9,470. A row later that is 49.63 × 947 / 10 = 4,699.961, which leaves 0.039 to add.
    markets = Market("BTC", LADDER), Market("ETH", [100, 100, 100, 93, 93, 93])
    guards = ["top-up=0.9:0.3", "reduce=0.6:0.3"]
    settings: dict[str, Any] = {"cash": 11_000, "leverage": 10, "margin": "cross,ETH=isolated"}
    result = guarded(tmp_path, Once(BTC=100, ETH=100), guards, *markets, **settings)
    assert rows(result, "guards", *GUARDS) == [
        (4 * MINUTE, "reduce=0.6:0.3", "BTC", "cross", 2_841 / 4_700, 2),
        (5 * MINUTE, "top-up=0.9:0.3", "ETH", "ETH", 279 / 300, None),
    ]
    ledger = result.tables["ledger"].filter(pl.col("code") == "margin")
    assert [(amount / 1e6) for amount in ledger["amount_micro"]] == [1_000, 0.039]


# ---- The account


@both_forms
@pytest.mark.parametrize(
    ("guard", "prices", "value"),
    [
        # 100 at 1,000: 10,000 of the 100,000 are lost at 900
        ("account-loss=10%", [1_000, 1_000, 1_100, 900.01, 900, 890, 950], 10_000.0),
        ("account-loss=10000", [1_000, 1_000, 1_100, 900.01, 900, 890, 950], 10_000.0),
        # equity peaks at 150,000; 120,000 is 20 % below
        ("drawdown=20%", [1_000, 1_000, 1_500, 1_200.01, 1_200, 890, 950], 0.2),
        # the deposit is the first peak
        ("drawdown=10%", [1_000, (1_000.0, 1_000.0, 950.0, 950.0), 940, 900.01, 900, 890, 950], 0.1),
    ],
)
def test_an_account_is_closed_and_halted(tmp_path: Path, form, guard, prices, value) -> None:
    result = guarded(tmp_path, hold(form, 100), guard, Market("BTC", prices))
    assert rows(result, "fills", *FILLS)[1:] == [(5 * MINUTE, "BTC", -100, 890, "guard")]
    assert rows(result, "guards", *GUARDS) == [
        (5 * MINUTE, guard, None, None, value, None),
        (5 * MINUTE, guard, "BTC", "cross", value, 1),
    ]


def test_the_strategy_of_a_halted_account_is_refused(tmp_path: Path) -> None:
    # Halted at the close of row 3: what the strategy sends at that very close, and after, is refused; the run goes on.
    steps = {0: buy("BTC", 100), 3: buy("BTC", 1), 5: both(sell("BTC", 1), buy("BTC", 2))}
    prices = [1_000, 1_000, 1_000, 900, 900, 900, 900, 900]
    result = guarded(tmp_path, Script(steps, MINUTE), "drawdown=10%", Market("BTC", prices))
    assert rows(result, "orders", "ts_sent", "qty", "status", "reason", "cause") == [
        (MINUTE, 100, "filled", None, "strategy"),
        (4 * MINUTE, -100, "filled", None, "guard"),
        (4 * MINUTE, 1, "rejected", "halted", "strategy"),
        (6 * MINUTE, -1, "rejected", "halted", "strategy"),
        (6 * MINUTE, 2, "rejected", "halted", "strategy"),
    ]
    assert column(result, "equity", "equity")[-1] == 90_000
    assert len(column(result, "equity", "equity")) == 8


def test_targets_of_a_halted_account_are_refused(tmp_path: Path) -> None:
    class Always(Strategy):
        def targets(self, candles: pl.LazyFrame) -> pl.LazyFrame:
            return candles.select("ts", "symbol", qty=pl.lit(100.0))

    result = guarded(tmp_path, Always(), "drawdown=10%", Market("BTC", [1_000, 1_000, 1_000, 900, 900, 900]))
    assert rows(result, "orders", "ts_sent", "status", "reason", "cause") == [
        (MINUTE, "filled", None, "strategy"),
        (4 * MINUTE, "filled", None, "guard"),
        (4 * MINUTE, "rejected", "halted", "strategy"),
        (5 * MINUTE, "rejected", "halted", "strategy"),
        (6 * MINUTE, "expired", "end_of_run", "strategy"),
    ]


def test_an_order_sent_before_the_halt_fills_and_is_closed_after_it(tmp_path: Path) -> None:
    # ETH is sent at 3 minutes and arrives at 4.5; the halt of 4 minutes cannot call it back. At the close of row 4 the
    # position is there, and is closed: sent at 5, filled at 6.5 minutes. What the strategy sends at 4 to close it
    # will be refused at 5.5, and does not count.
    steps = {0: buy("BTC", 100), 2: buy("ETH", 5), 3: sell("ETH", 5)}
    markets = Market("BTC", [1_000, 1_000, 1_000, 900, 900, 900, 900, 900]), Market("ETH", [10] * 8)
    result = guarded(tmp_path, Script(steps, MINUTE), "drawdown=10%", *markets, latency_ms=90_000)
    assert rows(result, "fills", "ts", "symbol", "qty", "cause")[1:] == [
        (4.5 * MINUTE, "ETH", 5, "strategy"),
        (5.5 * MINUTE, "BTC", -100, "guard"),
        (6.5 * MINUTE, "ETH", -5, "guard"),
    ]


def test_orders_that_wait_are_cancelled_by_the_halt(tmp_path: Path) -> None:
    # The order for ETH waits from row 3 on, in a gap of three rows. The cancel of 4 minutes arrives in the gap.
    steps = {0: buy("BTC", 100), 2: buy("ETH", 5)}
    markets = (
        Market("BTC", [1_000, 1_000, 1_000, 900, 900, 900, 900]),
        Market("ETH", [10, 10, 10, None, None, None, 10]),
    )
    result = guarded(tmp_path, Script(steps, MINUTE), "drawdown=10%", *markets)
    assert rows(result, "orders", "symbol", "ts_done", "status", "reason", "cause") == [
        ("BTC", MINUTE, "filled", None, "strategy"),
        ("ETH", 4 * MINUTE, "cancelled", "halted", "strategy"),
        ("BTC", 4 * MINUTE, "filled", None, "guard"),
    ]
    assert "cancels without effect" not in result.summary["counts"]


def test_one_cancel_follows_an_order_and_no_more(tmp_path: Path) -> None:
    # Both orders arrive at 3.5 minutes, ETH's in a gap. Halted at 6: the cancel arrives at 8.5, three looks later.
    steps = {0: both(buy("BTC", 100), buy("ETH", 5))}
    markets = Market("BTC", [*[1_000] * 5, *[900] * 6]), Market("ETH", [10, 10, 10, *[None] * 7, 10])
    result = guarded(tmp_path, Script(steps, MINUTE), "drawdown=10%", *markets, latency_ms=150_000)
    assert rows(result, "orders", "symbol", "ts_done", "status", "reason", "cause") == [
        ("BTC", 3.5 * MINUTE, "filled", None, "strategy"),
        ("ETH", 8.5 * MINUTE, "cancelled", "halted", "strategy"),
        ("BTC", 8.5 * MINUTE, "filled", None, "guard"),
    ]
    assert "cancels without effect" not in result.summary["counts"]


def test_a_close_that_the_end_of_a_market_refused_is_not_needed(tmp_path: Path) -> None:
    # ETH's last candle is row 3: it is settled at that close, before the guard looks, which closes BTC alone.
    markets = Market("BTC", [1_000, 1_000, 1_000, 900, 900, 900]), Market("ETH", [10] * 4)
    result = guarded(tmp_path, Once(BTC=100, ETH=5), "drawdown=10%", *markets)
    assert rows(result, "fills", "symbol", "cause")[2:] == [("ETH", "delisting"), ("BTC", "guard")]


def test_accounts_of_a_comparison_are_watched_apart(tmp_path: Path) -> None:
    # At 900 the gap has taken the 5,000 that isolated posts, and the venue closed it: nothing is left to close. In
    # cross 10,000 are lost, and the guard closes.
    data = write(tmp_path, Market("BTC", [1_000, 1_000, 1_000, 900, 900, 900]))
    compared = backtest.compare(Once(BTC=100), data, guards=["drawdown=4%"], leverage=20, allow=("missing-funding",))
    assert column(compared["isolated"], "fills", "cause") == ["strategy", "liquidation"]
    assert column(compared["cross"], "fills", "cause") == ["strategy", "guard"]
    assert [rows(r, "guards", "ts", "symbol", "value") for r in compared.results] == [
        [(4 * MINUTE, None, 0.05)],
        [(4 * MINUTE, None, 0.1), (4 * MINUTE, "BTC", 0.1)],
    ]


def test_a_strategy_hears_what_a_guard_did(tmp_path: Path) -> None:
    heard = Tape()

    class EventDelivery(Script):
        def on_fill(self, fill: Any, market: Any, account: Any) -> None:
            heard.append((fill.ts_ms - START, fill.qty, fill.order_id, fill.cause))

    strategy = EventDelivery({0: buy("BTC", 10), 3: lambda _, account: heard.append(account.orders[0].qty)}, MINUTE)
    guarded(tmp_path, strategy, "stop=5%", Market("BTC", [100, 100, 100, 95, 95]))
    assert heard == [(MINUTE, 10.0, 0, "strategy"), -10.0, (4 * MINUTE, -10.0, 1, "guard")]


# ---- All together


def wandering(seed: int, start: float, count: int = 400) -> list[tuple[float, float, float, float] | None]:
    """Candles that wander by a percent, with some gaps."""
    rng = np.random.default_rng(seed)
    closes = start * np.exp(np.cumsum(rng.normal(0, 0.01, count)))
    made: list[Any] = []
    for opened, closed in zip([start, *closes[:-1]], closes, strict=True):
        up, down = rng.uniform(0, 0.01, 2)
        candle = opened, max(opened, closed) * (1 + up), min(opened, closed) * (1 - down), closed
        made.append(tuple(round(float(price), 2) for price in candle))
    for k in rng.choice(np.arange(20, count - 20), 12, replace=False):
        made[k] = None
    return made


def markets_of(seed: int) -> list[Market]:
    funding = {k + 0.4: 0.0001 * (-1) ** k for k in range(3, 390, 7)}
    return [Market("BTC", wandering(seed, 5_000.0), funding=funding), Market("ETH", wandering(seed + 100, 200.0))]


class Restless(Strategy):
    """Takes a position by chance at one close in ten."""

    def on_candle(self, market: Any, account: Any) -> None:
        for symbol in market.symbols:
            if self.rng.random() < 0.1:
                account.target(symbol, weight=float(self.rng.choice([-4.0, 0.0, 4.0])))


ALL = ["call=0.2", "stop[ETH]=1%", "trail[BTC]=3%", "loss=5000", "age=9m", "drawdown=50%"]


@pytest.mark.parametrize(("margin", "more"), [("cross", "reduce=0.25:0.2"), ("isolated", "top-up=0.4:0.3")])
def test_the_size_of_chunks_does_not_show(tmp_path: Path, margin, more) -> None:
    data = write(tmp_path, *markets_of(7))
    settings = {"guards": [*ALL, more], "margin": margin, "allow": ("missing-funding",), "latency_ms": 20_000}
    results = [backtest.run(Restless(), data, chunk_rows=n, fee_bps=5, **settings) for n in (None, 64, 1)]
    assert len({result.digest for result in results}) == 1
    assert set(column(results[0], "guards", "guard")) == {*ALL, more}


def test_guards_that_never_act_change_nothing(tmp_path: Path) -> None:
    # Rows are then played one by one that are passed over without guards: all that is recorded is the same.
    data = write(tmp_path, *markets_of(8))
    idle = ["age=9d", "account-loss=100%", "call=1", "loss=999999", *(f"stop={n}%" for n in range(70, 100))]
    for margin in ("cross", "isolated"):
        settings = {"margin": margin, "allow": ("missing-funding",), "fee_bps": 1, "cash": 1_000_000}
        plain, watched = backtest.run(Once(BTC=20, ETH=-300), data, **settings), None
        watched = backtest.run(Once(BTC=20, ETH=-300), data, guards=idle, **settings)
        assert watched.tables["guards"].is_empty()
        assert plain.digest == watched.digest


# ---- Asking for them


@pytest.mark.parametrize(
    ("text", "kind", "level", "target", "symbol"),
    [
        ("call=0.5", "call", 0.5, math.nan, None),
        ("reduce=0.8:0.5", "reduce", 0.8, 0.5, None),
        (" stop [BTC-USD] = 5% ", "stop", 0.05, math.nan, "BTC-USD"),
        ("trail=.5%", "trail", 0.005, math.nan, None),
        ("loss=2000", "loss", 2_000.0, math.nan, None),
        ("account-loss=10%", "account-loss", 0.1, math.nan, None),
        ("age=3d", "age", 259_200_000.0, math.nan, None),
    ],
)
def test_what_a_guard_says(text, kind, level, target, symbol) -> None:
    guard = parse(text)
    assert (guard.kind, guard.level, guard.symbol) == (kind, level, symbol)
    assert guard.target == target or (math.isnan(guard.target) and math.isnan(target))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stopp=5%", "unknown guard 'stopp'; did you mean 'stop'?"),
        ("stop", "guard 'stop' is not KIND=VALUE"),
        ("stop=", "is not KIND=VALUE"),
        ("stop=5", "guard stop = '5'; give a percentage above 0 % and at most 100 %, like 5%"),
        ("stop=0%", "give a percentage"),
        ("stop=101%", "give a percentage"),
        ("stop=nan%", "give a percentage"),
        ("stop=-5%", "give a percentage"),
        ("loss=5%", "give an amount of quote"),
        ("loss=1e999", "give an amount of quote"),
        ("loss=0", "give an amount of quote"),
        ("call=1.5", "give a margin ratio above 0 and at most 1"),
        ("reduce=0.8", "give two margin ratios"),
        ("reduce=0.5:0.8", "give two margin ratios"),
        ("top-up=0.5:0.5", "give two margin ratios"),
        ("age=3", "give a length of time"),
        ("age=0h", "give a length of time"),
        ("account-loss=110%", "give a percentage of the deposit"),
        ("drawdown=2000", "give a percentage"),
        ("call[BTC]=0.5", "guard call does not watch one market; leave [BTC] out; stop, trail, loss, age, funding,"),
    ],
)
def test_a_guard_that_cannot_be(text, said) -> None:
    with pytest.raises(UserError, match="--guard: ") as failure:
        parse(text)
    assert said in str(failure.value)


@pytest.mark.parametrize(
    ("guards", "said"),
    [
        (["stop[BTX]=5%"], "guard stop[BTX]=5%: symbol 'BTX' is not in the run; did you mean 'BTC'?"),
        (["top-up=0.8:0.5"], "guard top-up=0.8:0.5: in cross margin a top-up requires a reserve"),
        (["reduce=0.8:0.5"], "guard reduce=0.8:0.5: in isolated margin a reduction releases the same share"),
        (["stop=5%", "stop=5%"], "guard stop=5% is given twice"),
    ],
)
def test_guards_that_do_not_fit_the_run(tmp_path: Path, guards, said) -> None:
    data = write(tmp_path, Market("BTC", [100, 100, 100]))
    margin = "isolated" if guards == ["reduce=0.8:0.5"] else "cross"
    with pytest.raises(UserError) as failure:
        backtest.run(Once(BTC=1), data, guards=guards, margin=margin, allow=("missing-funding",))
    assert said in str(failure.value)


@pytest.mark.parametrize(
    ("guards", "said"),
    [
        ("stop=5%", "guards = 'stop=5%'; give a tuple"),
        ((5,), "give a tuple"),
        (("stop",), "guards: guard 'stop' is not"),
    ],
)
def test_guards_of_a_class_that_cannot_be(tmp_path: Path, guards, said) -> None:
    strategy = Once(BTC=1)
    strategy.guards = guards
    with pytest.raises(UserError) as failure:
        backtest.run(strategy, write(tmp_path, Market("BTC", [100, 100, 100])), allow=("missing-funding",))
    assert said in str(failure.value)
    assert "test_guards.py, class Once" in str(failure.value)


SOURCE = """
from backtest import Strategy

class Hold(Strategy):
    \"\"\"Buys ten.\"\"\"
    guards = ("age=2m",)

    def on_candle(self, market, account):
        if not account.positions and not account.orders:
            account.buy("BTC", 10)
"""


def test_the_flag_adds_to_the_class_and_the_report_can_be_verified(tmp_path: Path, capsys) -> None:
    (tmp_path / "hold.py").write_text(SOURCE)
    data = write(tmp_path / "data", Market("BTC", [100, 100, 100, 95, 95, 95, 95]))
    asked = [str(tmp_path / "hold.py"), "--data", str(data), "--allow", "missing-funding", "--out", str(tmp_path / "r")]
    with pytest.raises(SystemExit) as ended:
        main(["run", *asked, "--guard", "stop=5%", "--guard", "drawdown=20%", "--json"])
    assert not ended.value.code
    assert json.loads(capsys.readouterr().out)["config"]["guards"] == ["stop=5%", "drawdown=20%"]
    result = report_files.read(tmp_path / "r")
    assert isinstance(result, Result)
    assert result.summary["strategy"]["guards"] == ["age=2m"]
    assert result.summary["config"]["guards"] == ["stop=5%", "drawdown=20%"]
    assert set(result.tables["guards"]["guard"]) == {"age=2m"}
    assert backtest.verify(tmp_path / "r").ok
