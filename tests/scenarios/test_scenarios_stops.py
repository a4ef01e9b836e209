"""Scenarios A3 and A14: stops beside liquidation, where trades and mark part and where the price jumps.

Unless said otherwise: 100,000 cash, no fees, initial 5 %, maintenance 3 %, penalty 1 %.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules_index import rule
from tests.scenarios.order_harness import at, buy, ends, fills, sell
from tests.scenarios.scenario import Market, both, column, play, rows

WICK = (1e4, 1e4, 6e3, 1e4)
"""Lows first: 40 % down in 20 s, and back."""

# Long 25 at 10,000. On the price p the pool is healthy while 100,000 + 25 (p − 10,000) ≥ 0.03 × 25 p, that is down to
# 150,000 / 24.25 = 6,185.57: the wick of the trades would have liquidated it, had it been the mark's.
LONG = 25


@rule("3")
def test_A3_the_wick_would_liquidate_if_it_were_the_mark(tmp_path: Path) -> None:
    result = play(tmp_path, [Market("BTC", [1e4, 1e4, WICK, 1e4])], {0: buy(LONG)})
    assert column(result, "liquidations", "stage") == ["whole"]
    assert column(result, "liquidations", "price") == [pytest.approx(6_185.567, abs=0.001)]


@rule("3")
@pytest.mark.parametrize(
    ("stop", "seconds"),
    [
        # 10,000 to 6,000 in 20 s: half way, and 39/40 of the way, which lies below the price of a liquidation.
        (8_000, 10.0),
        (6_100, 19.5),
    ],
)
@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_A3_a_stop_on_the_last_price_acts_in_a_wick_that_the_mark_does_not_have(
    tmp_path: Path, margin: str, stop: float, seconds: float
) -> None:
    market = Market("BTC", [1e4, 1e4, WICK, 1e4], mark=[1e4] * 4)
    # In isolated all that there is is posted, as in cross: 250,000 / 100,000.
    result = play(tmp_path, [market], {0: both(buy(LONG), sell(LONG, stop=stop))}, margin=margin, leverage=2.5)
    assert fills(result) == [
        (at(1), 0, LONG, 1e4, 0.0, "taker"),
        (at(2, seconds), 1, -LONG, stop, 0.0, "taker"),
    ]
    assert result.tables["liquidations"].is_empty()
    assert column(result, "equity", "equity")[-1] == 100_000 - LONG * (10_000 - stop)


@rule("3")
@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_A3_a_stop_on_the_mark_does_not_see_the_wick(tmp_path: Path, margin: str) -> None:
    market = Market("BTC", [1e4, 1e4, WICK, 1e4], mark=[1e4] * 4)
    steps = {0: both(buy(LONG), sell(LONG, stop=8_000, trigger="mark"))}
    result = play(tmp_path, [market], steps, margin=margin, leverage=2.5)
    assert fills(result) == [(at(1), 0, LONG, 1e4, 0.0, "taker")]
    assert ends(result)[1] == (at(4), "expired", "end_of_run", 0.0)
    assert result.tables["liquidations"].is_empty()
    assert column(result, "equity", "equity") == [1e5] * 4


@rule("3")
def test_A3_a_stop_on_the_mark_acts_where_only_the_mark_falls(tmp_path: Path) -> None:
    # The reverse: the mark's wick meets 8,000 after 10 s; trades stand at 10,000, and the sale gets that.
    market = Market("BTC", [1e4] * 4, mark=[1e4, 1e4, WICK, 1e4])
    result = play(tmp_path, [market], {0: both(buy(LONG), sell(LONG, stop=8_000, trigger="mark"))})
    assert fills(result)[1:] == [(at(2, 10), 1, -LONG, 1e4, 0.0, "taker")]
    assert result.tables["liquidations"].is_empty()
    assert column(result, "equity", "equity")[-1] == 1e5


# On the way from 10,000 to 9,000 in 20 s, long 100: the pool is liquidated at 900,000 / 97 = 9,278.3505, after 721.6495
# of 1,000: 43,298.97 thirds of a millisecond, 43,299 to the nearest, ms 14,433.
FALL = (1e4, 1e4, 9e3, 1e4)


@rule("4", "7.1")
@pytest.mark.parametrize(
    ("stop", "seconds", "equity"),
    [
        # At 9,300, 14 s: equity 30,000 against 27,900, so the pool is still healthy when it is sold.
        (9_300, 14.0, 30_000.0),
        # 15 cents above it: 721.5 of 1,000, 14.43 s.
        (9_278.5, 14.43, 27_850.0),
    ],
)
@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_A14_on_the_way_a_stop_above_the_liquidation_is_met_first(
    tmp_path: Path, margin: str, stop: float, seconds: float, equity: float
) -> None:
    steps = {0: both(buy(100), sell(100, stop=stop, reduce_only=True))}
    result = play(tmp_path, [Market("BTC", [1e4, 1e4, FALL])], steps, margin=margin, leverage=10)
    assert fills(result)[1:] == [(at(2, seconds), 1, -100.0, stop, 0.0, "taker")]
    assert result.tables["liquidations"].is_empty()
    assert column(result, "equity", "equity")[-1] == equity


# Below it; and a cent above it, 43,298.4 thirds, which is due in the same third: the liquidation goes first.
@rule("4", "7.1")
@pytest.mark.parametrize("stop", [9_270, 9_278.34, 9_278.36])
@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_A14_on_the_way_a_stop_below_the_liquidation_comes_too_late(tmp_path: Path, margin: str, stop: float) -> None:
    steps = {0: both(buy(100), sell(100, stop=stop, reduce_only=True))}
    result = play(tmp_path, [Market("BTC", [1e4, 1e4, FALL])], steps, margin=margin, leverage=10)
    ((ms, stage, price),) = rows(result, "liquidations", "ts", "stage", "price")
    assert (stage, price) == ("whole", pytest.approx(9_278.3505, abs=1e-4))
    assert ms == at(2) + 14_433
    assert ends(result)[1] == (ms, "cancelled", "liquidation", 0.0)


@rule("4", "7.1")
def test_A14_on_the_way_a_stop_saves_the_rest(tmp_path: Path) -> None:
    # Half is sold at 9,300: equity 30,000, and for the other 50 at 9,000 15,000 against 13,500. It lives.
    steps = {0: both(buy(100), sell(50, stop=9_300))}
    result = play(tmp_path, [Market("BTC", [1e4, 1e4, FALL])], steps)
    assert fills(result)[1:] == [(at(2, 14), 1, -50.0, 9_300.0, 0.0, "taker")]
    assert result.tables["liquidations"].is_empty()
    # 100,000 − 50 × 700, and the other 50 are back at 10,000.
    assert column(result, "equity", "equity")[-1] == 65_000.0


@rule("5", "4")
def test_A8_a_stop_at_the_stamp_of_funding_comes_after_it(tmp_path: Path) -> None:
    # 10,000 to 9,000 meets 9,500 after 10 s, when funding of 1 % is due: the whole position pays 0.01 × 95,000 = 950.
    market = Market("BTC", [1e4, 1e4, FALL], funding={2 + 1 / 6: 0.01})
    result = play(tmp_path, [market], {0: both(buy(10), sell(10, stop=9_500))})
    assert rows(result, "funding", "ts", "qty", "payment") == [(at(2, 10), 10.0, -950.0)]
    assert fills(result)[1:] == [(at(2, 10), 1, -10.0, 9_500.0, 0.0, "taker")]
    assert column(result, "equity", "equity")[-1] == 100_000 - 5_000 - 950


# Long 100 at 10,000, and row 2 opens at 9,200. Health before the jump is 100,000 − 30,000 = 70,000; at the open equity
# is 20,000 against 27,600 of maintenance: −7,600. Its level lies at 70,000 / 77,600 = 0.9021 of the way. A stop at
# 9,500 is met at 500 / 800 = 0.625, one at 9,250 at 750 / 800 = 0.9375.
#
# Short 100 at 10,000, and row 2 opens at 10,800: 20,000 against 32,400: −12,400. 70,000 / 82,400 = 0.8495. A stop at
# 10,500 is met at 0.625, one at 10,700 at 0.875.
JUMPS = [(1, 9_200.0, 9_500.0, 9_250.0), (-1, 10_800.0, 10_500.0, 10_700.0)]


@rule("4", "7.1")
@pytest.mark.parametrize(("side", "opens", "near", "far"), JUMPS)
@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_A14_the_stop_is_met_first(
    tmp_path: Path, margin: str, side: int, opens: float, near: float, far: float
) -> None:
    market = Market("BTC", [1e4, 1e4, opens, opens])
    enter, leave = (buy, sell) if side > 0 else (sell, buy)
    steps = {0: both(enter(100), leave(100, stop=near, reduce_only=True), leave(100, stop=far, reduce_only=True))}
    result = play(tmp_path, [market], steps, margin=margin, leverage=10)
    # It is filled at the open, so equity is the 20,000; nothing is left to liquidate, nor for the other stop.
    assert fills(result)[1:] == [(at(2), 1, -100 * side, opens, 0.0, "taker")]
    assert ends(result)[2] == (at(2), "cancelled", "reduce_only", 0.0)
    assert result.tables["liquidations"].is_empty()
    assert column(result, "equity", "equity")[-1] == 20_000.0


@rule("4", "7.1")
@pytest.mark.parametrize(("side", "opens", "near", "far"), JUMPS)
@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_A14_the_liquidation_is_met_first(
    tmp_path: Path, margin: str, side: int, opens: float, near: float, far: float
) -> None:
    market = Market("BTC", [1e4, 1e4, opens, opens])
    enter, leave = (buy, sell) if side > 0 else (sell, buy)
    steps = {0: both(enter(100), leave(100, stop=far, reduce_only=True))}
    result = play(tmp_path, [market], steps, margin=margin, leverage=10)
    # Closed at the mark of the open, with a penalty of 1 % of 920,000 or 1,080,000; the stop comes too late.
    penalty = opens
    assert rows(result, "fills", "ts", "order_id", "qty", "price", "cause")[1:] == [
        (at(2), None, -100 * side, opens, "liquidation")
    ]
    assert ends(result)[1] == (at(2), "cancelled", "liquidation", 0.0)
    assert rows(result, "liquidations", "ts", "stage", "equity_before", "penalty") == [
        (at(2), "whole", 20_000.0, penalty)
    ]
    assert column(result, "equity", "equity")[-1] == 20_000 - penalty


@rule("4", "7.1")
def test_A14_a_stop_that_is_met_first_saves_the_rest(tmp_path: Path) -> None:
    # Half is sold at the open: equity stays 20,000, maintenance falls to 13,800, and the pool is healthy.
    market = Market("BTC", [1e4, 1e4, 9_200.0, 9_200.0])
    result = play(tmp_path, [market], {0: both(buy(100), sell(50, stop=9_500))})
    assert fills(result)[1:] == [(at(2), 1, -50.0, 9_200.0, 0.0, "taker")]
    assert result.tables["liquidations"].is_empty()
    assert rows(result, "equity", "equity", "maintenance_margin")[-1] == (20_000.0, 13_800.0)


@rule("4", "7.1")
def test_A14_a_stop_that_does_not_save_is_followed_by_the_liquidation(tmp_path: Path) -> None:
    # 10 are sold at the open, met first; then equity 20,000 against 3 % of 90 × 9,200 = 24,840 is still too little. 90
    # are liquidated: penalty 8,280, left 11,720.
    market = Market("BTC", [1e4, 1e4, 9_200.0, 9_200.0])
    result = play(tmp_path, [market], {0: both(buy(100), sell(10, stop=9_500))})
    assert rows(result, "fills", "ts", "order_id", "qty", "price")[1:] == [
        (at(2), 1, -10.0, 9_200.0),
        (at(2), None, -90.0, 9_200.0),
    ]
    assert column(result, "equity", "equity")[-1] == 11_720.0


@rule("4", "7.1")
def test_A14_trades_and_mark_jump_by_different_ways(tmp_path: Path) -> None:
    # The mark jumps to 9,200 (0.9021 of its way, as above), trades to 9,400: a stop at 9,450 on the last price is met
    # at 550 / 600 = 0.9167 of theirs, after the liquidation, one at 9,500 at 0.8333, before it.
    market = Market("BTC", [1e4, 1e4, 9_400.0, 9_400.0], mark=[1e4, 1e4, 9_200.0, 9_200.0])
    late = play(tmp_path / "late", [market], {0: both(buy(100), sell(100, stop=9_450))})
    assert ends(late)[1] == (at(2), "cancelled", "liquidation", 0.0)
    # Liquidated on the mark: 20,000 less 9,200.
    assert column(late, "equity", "equity")[-1] == 10_800.0
    early = play(tmp_path / "early", [market], {0: both(buy(100), sell(100, stop=9_500))})
    # Sold at 9,400: a loss of 60,000.
    assert fills(early)[1:] == [(at(2), 1, -100.0, 9_400.0, 0.0, "taker")]
    assert column(early, "equity", "equity")[-1] == 40_000.0
    assert early.tables["liquidations"].is_empty()


@rule("4", "7.1")
def test_A14_to_the_cent(tmp_path: Path) -> None:
    # Health 70,000 before, and at an open of 9,000: equity 0 against 27,000. 70,000 / 97,000 of a way of 1,000 are
    # 721.65: 9,278.35, the price of the liquidation. A stop a cent above it acts first, one a cent below does not.
    market = Market("BTC", [1e4, 1e4, 9_000.0, 9_000.0])
    above = play(tmp_path / "above", [market], {0: both(buy(100), sell(100, stop=9_278.36))})
    below = play(tmp_path / "below", [market], {0: both(buy(100), sell(100, stop=9_278.34))})
    assert ends(above)[1][1] == "filled"
    assert ends(below)[1][1:3] == ("cancelled", "liquidation")
