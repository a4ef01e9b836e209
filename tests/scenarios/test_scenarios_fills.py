"""Scenarios E1 to E6: how orders are filled.

Unless said otherwise: 100,000 cash, no fees, slippage or latency, rows of a minute with knots at 0, 20, 40 and 60 s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.rules_index import rule
from tests.scenarios.order_harness import at, buy, ends, fills, sell
from tests.scenarios.scenario import Market, Row, both, column, play, rows

DIP, SPIKE = (100.0, 104.0, 95.0, 101.0), (100.0, 105.0, 96.0, 99.0)
"""Lows first, 95 at 20 s; highs first, 105 at 20 s."""


@rule("orders 3")
@pytest.mark.parametrize(
    ("order", "row", "ms", "price"),
    [
        # The extreme of the candle is the limit, at its first knot.
        (buy(2, limit=95), DIP, at(1, 20), 95.0),
        (sell(2, limit=105), SPIKE, at(1, 20), 105.0),
        # At its second knot: 100, 105, 96, 99 and 100, 95, 104, 101.
        (buy(2, limit=96), SPIKE, at(1, 40), 96.0),
        (sell(2, limit=104), DIP, at(1, 40), 104.0),
    ],
)
def test_E1_a_limit_that_is_touched_exactly(tmp_path: Path, order: Any, row: Row, ms: int, price: float) -> None:
    market = Market("BTC", [100.0, row, row[3] if isinstance(row, tuple) else row])
    through = play(tmp_path / "through", [market], {0: order})
    assert fills(through) == []
    assert ends(through) == {0: (at(3), "expired", "end_of_run", 0.0)}
    touch = play(tmp_path / "touch", [market], {0: order}, limit_fill="touch")
    side = 2.0 if price < 100 else -2.0
    assert fills(touch) == [(ms, 0, side, price, 0.0, "maker")]


@rule("orders 3")
@pytest.mark.parametrize("rule", ["through", "touch"])
def test_E1_a_hair_beyond_the_limit_fills_by_either_rule(tmp_path: Path, rule: str) -> None:
    # 100 to 95 in 20 s meets 95.01 after 19.96 s.
    result = play(tmp_path, [Market("BTC", [100.0, DIP])], {0: buy(2, limit=95.01)}, limit_fill=rule)
    assert fills(result) == [(at(1, 19.96), 0, 2.0, 95.01, 0.0, "maker")]


@rule("orders 6")
@pytest.mark.parametrize(
    ("words", "filled", "end"),
    [
        # A tenth of 40, 20 and 200 is 4, 2 and 20, at opens of 100, 102 and 104; 10 are wanted.
        ({}, [(at(1), 4.0, 100.0), (at(2), 2.0, 102.0), (at(3), 4.0, 104.0)], (at(3), "filled", None, 10.0)),
        ({"tif": "ioc"}, [(at(1), 4.0, 100.0)], (at(1), "cancelled", "ioc", 4.0)),
        ({"tif": "fok"}, [], (at(1), "cancelled", "fok", 0.0)),
        # Its time is up between the second fill and the third.
        ({"expires": at(2, 30)}, [(at(1), 4.0, 100.0), (at(2), 2.0, 102.0)], (at(2, 30), "expired", "gtd", 6.0)),
        # The same with a limit: what does not fit is not left behind.
        ({"limit": 103, "tif": "ioc"}, [(at(1), 4.0, 100.0)], (at(1), "cancelled", "ioc", 4.0)),
    ],
)
def test_E2_an_order_larger_than_the_share_of_the_volume(
    tmp_path: Path, words: dict[str, Any], filled: list[Any], end: Any
) -> None:
    market = Market("BTC", [100.0, 100.0, 102.0, 104.0], volume=[7, 40, 20, 200])
    result = play(tmp_path, [market], {0: buy(10, **words)}, volume_share="10%")
    assert rows(result, "fills", "ts", "qty", "price") == filled
    assert set(column(result, "fills", "liquidity")) <= {"taker"}
    assert ends(result) == {0: end}
    # What was paid: 4 × 100 + 2 × 102 + 4 × 104 = 1,020, and so on.
    assert column(result, "fills", "quote") == [-qty * price for _, qty, price in filled]


@rule("orders 6")
@pytest.mark.parametrize(
    ("words", "made", "end"),
    [
        # 100 to 90 meets 95 after 10 s: a quarter of 8 is 2. Row 2 (98 to 88) meets it after 6 s: a quarter of 4 is 1.
        # Row 3 opens at 94, below it: the last 2, of a quarter of 80.
        ({}, [(at(1, 10), 2.0), (at(2, 6), 1.0), (at(3), 2.0)], (at(3), "filled", None, 5.0)),
        ({"expires": at(2, 6)}, [(at(1, 10), 2.0)], (at(2, 6), "expired", "gtd", 2.0)),
        ({"tif": "ioc"}, [], (at(1), "cancelled", "ioc", 0.0)),
    ],
)
def test_E2_a_limit_order_larger_than_the_makers_share(
    tmp_path: Path, words: dict[str, Any], made: list[Any], end: Any
) -> None:
    candles = [100.0, (100.0, 101.0, 90.0, 101.0), (98.0, 99.0, 88.0, 98.0), 94.0]
    market = Market("BTC", candles, volume=[7, 8, 4, 80])
    result = play(tmp_path, [market], {0: buy(5, limit=95, **words)}, volume_share="taker=50%,maker=25%")
    assert fills(result) == [(ms, 0, qty, 95.0, 0.0, "maker") for ms, qty in made]
    assert ends(result) == {0: end}


@rule("orders 9")
@pytest.mark.parametrize(
    ("row", "met", "ms", "price"),
    [
        # Lows first: 200 to 180 meets the stop of 190 after 10 s, before the target of 220.
        ((200.0, 240.0, 180.0, 201.0), "stop", at(2, 10), 190.0),
        # Highs first: 200 to 240 meets the target after 10 s.
        ((200.0, 240.0, 180.0, 199.0), "target", at(2, 10), 220.0),
        # Lows first, but the low does not reach the stop: 191 to 241 meets 220 after 29/50 of 20 s, 31.6 s.
        ((200.0, 241.0, 191.0, 230.0), "target", at(2, 31.6), 220.0),
        # Highs first, and 219 is not the target: 219 to 179 meets 190 after 29/40 of 20 s, 34.5 s.
        ((200.0, 219.0, 179.0, 180.0), "stop", at(2, 34.5), 190.0),
        # It opens beyond the stop, or beyond the target, and goes through the other later.
        ((185.0, 240.0, 180.0, 230.0), "stop", at(2), 185.0),
        ((230.0, 240.0, 180.0, 182.0), "target", at(2), 220.0),
    ],
)
@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_E3_stop_and_target_of_a_bracket_in_one_candle(
    tmp_path: Path, margin: str, row: Row, met: str, ms: int, price: float
) -> None:
    market = Market("BTC", [200.0, 200.0, row])
    result = play(tmp_path, [market], {0: buy(3, stop_loss=190, take_profit=220)}, margin=margin, leverage=1)
    first, other = (1, 2) if met == "stop" else (2, 1)
    side = "taker" if met == "stop" else "maker"
    assert fills(result) == [(at(1), 0, 3.0, 200.0, 0.0, "taker"), (ms, first, -3.0, price, 0.0, side)]
    assert ends(result) == {
        0: (at(1), "filled", None, 3.0),
        first: (ms, "filled", None, -3.0),
        other: (ms, "cancelled", "oco", 0.0),
    }
    assert column(result, "fills", "realized_pnl") == [0.0, 3 * (price - 200)]
    assert column(result, "equity", "equity")[-1] == 100_000 + 3 * (price - 200)


@rule("orders 3")
@pytest.mark.parametrize(
    ("words", "row", "ms", "price", "side"),
    [
        ({}, 100.0, at(2), 100.0, "taker"),
        # 100 to 110 meets 105, 100 to 90 meets 95, each after 10 s.
        ({"limit": 105}, (100.0, 110.0, 98.0, 99.0), at(2, 10), 105.0, "maker"),
        ({"stop": 95}, (100.0, 104.0, 90.0, 101.0), at(2, 10), 95.0, "taker"),
        ({"target": 105}, (100.0, 110.0, 98.0, 99.0), at(2, 10), 105.0, "taker"),
        ({"trail": 5}, (100.0, 104.0, 90.0, 101.0), at(2, 10), 95.0, "taker"),
    ],
)
@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_E4_a_reduce_only_order_larger_than_the_position(
    tmp_path: Path, margin: str, words: dict[str, Any], row: Row, ms: int, price: float, side: str
) -> None:
    market = Market("BTC", [100.0, 100.0, row, 100.0])
    steps = {0: buy(2), 1: sell(7, reduce_only=True, **words)}
    result = play(tmp_path, [market], steps, margin=margin, leverage=1)
    assert fills(result)[1:] == [(ms, 1, -2.0, price, 0.0, side)]
    assert ends(result)[1] == (ms, "filled", None, -2.0)
    assert rows(result, "orders", "qty", "reduce_only")[1] == (-7.0, True)
    # 2 bought at 100 and sold; nothing is left, and nothing was opened on the other side.
    assert column(result, "equity", "equity")[-1] == 100_000 + 2 * (price - 100)
    assert column(result, "equity", "gross_notional")[-1] == 0.0


@rule("orders 4")
@pytest.mark.parametrize(
    ("order", "row", "ms"),
    [
        (buy(1, limit=100.5, post_only=True), 100.0, at(1)),
        (buy(1, limit=100, post_only=True), 100.0, at(1)),
        (sell(1, limit=99, post_only=True), 100.0, at(1)),
        (sell(1, limit=100, post_only=True), 100.0, at(1)),
        # It was not marketable at the close at which it was sent; on arrival it is.
        (buy(1, limit=98, post_only=True), 97.0, at(1)),
        # It takes when its trigger releases it: 100 to 90 meets 95 after 10 s.
        (sell(1, stop=95, limit=94, post_only=True), (100.0, 104.0, 90.0, 101.0), at(1, 10)),
    ],
)
def test_E5_a_post_only_order_that_would_take(tmp_path: Path, order: Any, row: Row, ms: int) -> None:
    market = Market("BTC", [100.0, row, 100.0])
    result = play(tmp_path, [market], {0: order, 1: buy(1)})
    assert ends(result)[0] == (ms, "rejected", "post_only", 0.0)
    assert rows(result, "orders", "post_only") == [(True,), (False,)]
    # The run goes on.
    assert fills(result) == [(at(2), 1, 1.0, 100.0, 0.0, "taker")]


@rule("orders 4")
def test_E5_a_post_only_order_that_would_not_take_rests(tmp_path: Path) -> None:
    # 100 to 90 meets 99.5 after 1 s; 10 bps of 99.5 would be the taker's, −1 bp is the maker's.
    market = Market("BTC", [100.0, (100.0, 104.0, 90.0, 101.0)])
    order = buy(1, limit=99.5, post_only=True)
    result = play(tmp_path, [market], {0: order}, fee_bps=10, maker_fee_bps=-1)
    assert fills(result) == [(at(1, 1), 0, 1.0, 99.5, -0.00995, "maker")]


@rule("6")
@pytest.mark.parametrize(
    ("first", "second", "limit", "row", "expected"),
    [
        # Long 20 at 100, then a target of −30 at 105 or better: a sale of 50 rests and is met after 10 s (100 to 110).
        #   quote 50 × 105 = 5,250, fee 2 bps = 1.05; realised 20 × 5 = 100.
        #   The row closes at 99: equity 100,000 − 2 (fee of the purchase, 10 bps of 2,000) + 100 − 1.05 + 30 × 6
        #   = 100,276.95; initial 5 % of 30 × 99 = 148.5, maintenance 89.1.
        (20, -30, 105, (100.0, 110.0, 98.0, 99.0), (at(2, 10), 105.0, 1.05, 100.0, 100_276.95, (148.5, 89.1), "maker")),
        # Short 20 at 100, then a target of 10 at 102 or better: a purchase of 30 takes at the open of 101.
        #   quote −3,030, fee 10 bps = 3.03; realised −20 × 1 = −20; equity 100,000 − 2 − 20 − 3.03 = 99,974.97,
        #   and the row stands at 101: initial 5 % of 1,010 = 50.5, maintenance 30.3.
        (-20, 10, 102, 101.0, (at(2), 101.0, 3.03, -20.0, 99_974.97, (50.5, 30.3), "taker")),
    ],
)
def test_E6_a_target_with_a_limit_flips_in_one_fill(
    tmp_path: Path, first: float, second: float, limit: float, row: Row, expected: Any
) -> None:
    ms, price, fee, realised, equity, required, side = expected
    steps = {
        0: lambda _, account: account.target("BTC", qty=first),
        1: lambda _, account: account.target("BTC", qty=second, limit=limit),
    }
    market = Market("BTC", [100.0, 100.0, row])
    result = play(tmp_path, [market], steps, fee_bps=10, maker_fee_bps=2)
    assert fills(result)[1:] == [(ms, 1, second - first, price, fee, side)]
    assert column(result, "fills", "realized_pnl") == [0.0, realised]
    assert column(result, "equity", "equity")[-1] == equity
    assert rows(result, "equity", "initial_margin", "maintenance_margin")[-1] == required
    assert rows(result, "positions", "qty", "entry_price")[-1] == (second, price)


@rule("6")
def test_E6_a_target_that_flips_closes_what_protected_the_old_side(tmp_path: Path) -> None:
    # The bracket of the long must not act on the short: 100 to 90 would meet its stop of 95.
    steps = {
        0: buy(2, stop_loss=95, take_profit=110),
        1: lambda _, account: account.target("BTC", qty=-1),
    }
    market = Market("BTC", [100.0, 100.0, (100.0, 120.0, 90.0, 101.0)])
    result = play(tmp_path, [market], steps)
    assert fills(result) == [(at(1), 0, 2.0, 100.0, 0.0, "taker"), (at(2), 3, -3.0, 100.0, 0.0, "taker")]
    assert {ends(result)[n] for n in (1, 2)} == {(at(2), "cancelled", "reduce_only", 0.0)}


@rule("6")
def test_E6_a_target_counts_what_rests(tmp_path: Path) -> None:
    # 3 rest of a target of 3: asked again, nothing is missing; for a target of 5 the missing 2 are sent. A stop and a
    # reduce-only order are not underway.
    def target(qty: float, **words: Any) -> Any:
        return lambda market, account: account.target("BTC", qty=qty, **words)

    steps = {
        0: both(target(3, limit=95), buy(7, stop=120)),
        1: target(3, limit=95),
        2: target(5, limit=94),
    }
    market = Market("BTC", [100.0, 100.0, 100.0, (100.0, 104.0, 90.0, 101.0)])
    result = play(tmp_path, [market], steps)
    assert rows(result, "orders", "order_id", "type", "qty") == [
        (0, "limit", 3.0),
        (1, "stop_market", 7.0),
        (2, "limit", 2.0),
    ]
    # 95 after 10 s, 94 after 12 s.
    assert fills(result) == [(at(3, 10), 0, 3.0, 95.0, 0.0, "maker"), (at(3, 12), 2, 2.0, 94.0, 0.0, "maker")]


def test_E_orders_of_one_close_arrive_in_the_order_sent(tmp_path: Path) -> None:
    # The sale is sent first: it opens a short, which the purchase closes. The other way round it would be a long first.
    result = play(tmp_path, [Market("BTC", [100.0, 100.0])], {0: both(sell(1), buy(1))})
    assert column(result, "fills", "qty") == [-1.0, 1.0]
