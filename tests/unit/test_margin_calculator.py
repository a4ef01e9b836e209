"""`backtest.margin`: the numbers of one instant and the ladder, each computed by hand beside the assertion.

The venue is `generic` unless said otherwise: initial 5 %, maintenance 3 %, penalty 1 %, whole pools at the mark.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import backtest
from backtest import Calculation, UserError

BTC = {"symbol": "BTC-USD", "qty": 1, "mark": 50_000}
ETH = {"symbol": "ETH-USD", "qty": -10, "mark": 3_000}


def book(*positions: dict[str, Any], **settings: Any) -> dict[str, Any]:
    given = {"venue": "generic", "margin": "cross", "collateral": 10_000, "positions": list(positions or (BTC, ETH))}
    return given | settings


def near(value: float) -> Any:
    """To the micro."""
    return pytest.approx(value, abs=2e-6)


def test_cross_account_and_its_positions() -> None:
    answer = backtest.margin(book())
    assert isinstance(answer, Calculation)
    # gross notional 50,000 + 30,000: 5 % to open, 3 % to stay; no profit at the marks
    assert (answer.equity, answer.initial, answer.maintenance) == (10_000, 4_000, 2_400)
    assert (answer.free_collateral, answer.margin_ratio, answer.liquidatable) == (6_000, 0.24, False)
    btc, eth = answer.positions
    assert (btc.notional, btc.initial, btc.maintenance) == (50_000, 2_500, 1_500)
    assert (eth.notional, eth.initial, eth.maintenance) == (-30_000, 1_500, 900)
    # the other leg frozen: 10,000 + (p − 50,000) = 0.03 p + 900, and 10,000 − 10 (p − 3,000) = 0.3 p + 1,500
    assert btc.liquidation_price == near(40_900 / 0.97)
    assert btc.liquidation_move == near(40_900 / 0.97 / 50_000 - 1)
    assert eth.liquidation_price == near(38_500 / 10.3)
    # equity is zero where one mark has moved by all of it: 10,000 for BTC, 1,000 for 10 ETH
    assert (btc.bankruptcy_price, eth.bankruptcy_price) == (40_000, 4_000)
    assert answer.notes == ()


def test_entry_makes_unrealised_profit() -> None:
    answer = backtest.margin(book({**BTC, "entry": 48_500.5}))
    assert answer.positions[0].unrealized == 1_499.5
    assert (answer.equity, answer.collateral) == (11_499.5, 10_000)


def test_isolated_positions_take_what_they_post_from_the_wallet() -> None:
    answer = backtest.margin(
        book(
            {**BTC, "leverage": 10},
            {**ETH, "posted": 1_800},
            {**ETH, "symbol": "SOL-USD", "leverage": 20},
            margin="isolated",
        )
    )
    wallet, btc, eth, sol = answer.pools
    # 50,000 / 10; as said; 30,000 / 20
    assert [pool.equity for pool in (btc, eth, sol)] == [5_000, 1_800, 1_500]
    assert (wallet.pool, wallet.equity, wallet.free_collateral) == ("wallet", 1_700, 1_700)
    assert (answer.equity, answer.free_collateral) == (10_000, 1_700)
    # leverage 10 asks 10 % to open and nothing more to stay
    assert (btc.initial, btc.maintenance, btc.free_collateral) == (5_000, 1_500, 0)
    # without a leverage of its own ETH has the venue's default of 10, as in a run
    assert answer.initial == 5_000 + 3_000 + 1_500
    # 5,000 + p − 50,000 = 0.03 p, and 1,800 − 10 (p − 3,000) = 0.3 p
    assert answer.positions[0].liquidation_price == near(45_000 / 0.97)
    assert answer.positions[1].liquidation_price == near(31_800 / 10.3)
    # alone in its pool a position has all its equity: 5,000 below 50,000, 180 above 3,000
    assert [at.bankruptcy_price for at in answer.positions] == [45_000, 3_180, 3_150]


@pytest.mark.parametrize(("entry", "more"), [(3_000, {}), (4_000, {}), (2_000, {"mode": "isolated"})])
def test_an_isolated_position_posts_by_the_default_leverage(entry: float, more: dict[str, Any]) -> None:
    given = book(BTC, {**ETH, "entry": entry, **more}, margin="cross" if more else "isolated")
    given["positions"][0] = {**BTC, "leverage": 10}
    answer = backtest.margin(given)
    # ten of them at the venue's 10x, and what they have lost since: they are short
    assert answer.pools[-1].equity == entry + 10 * (entry - 3_000)


def test_an_isolated_position_says_what_it_holds_where_the_venue_has_no_default(tmp_path: Path) -> None:
    rates = "[defaults]\ninitial = 0.05\nmaintenance = 0.03\npenalty = 0.01\ntaker_fee_bps = 0\n"
    text = f"name = 'mine'\nsource = 'a test'\ndate = 2026-01-01\nquote = 'USDC'\n{rates}"
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(UserError) as error:
        backtest.margin(book(ETH, margin="isolated", venue=str(tmp_path / "mine.toml")))
    said = "ETH-USD is isolated, and its margin is not given; give posted, the margin that it holds, or leverage"
    assert str(error.value) == f"book: {said}"


@pytest.mark.parametrize("qty", [3, -3])
@pytest.mark.parametrize("venue", ["generic", "binance_usdm", "dydx_v4", "hyperliquid"])
def test_a_bankruptcy_price_lies_beyond_the_liquidation_price(venue: str, qty: float) -> None:
    # Beside a position of another market whose share of the maintenance margin is the larger one.
    rest = {"symbol": "ETH-USD", "qty": -200, "mark": 3_000}
    answer = backtest.margin(book({**BTC, "qty": qty}, rest, venue=venue, collateral=60_000))
    for at in answer.positions:
        assert at.liquidation_price is not None
        assert at.bankruptcy_price is not None
        assert (at.bankruptcy_price < at.liquidation_price < at.mark) == (at.qty > 0)
        assert (at.bankruptcy_price > at.liquidation_price > at.mark) == (at.qty < 0)
        # 60,000 of equity over the position's size
        assert at.bankruptcy_price == near(at.mark - 60_000 / at.qty)


def test_modes_mix() -> None:
    answer = backtest.margin(book(BTC, {**ETH, "mode": "isolated", "posted": 2_000}))
    shared, eth = answer.pools
    assert (shared.pool, shared.equity, shared.maintenance) == ("cross", 8_000, 1_500)
    assert (eth.pool, eth.equity, eth.maintenance) == ("ETH-USD", 2_000, 900)
    assert [at.pool for at in answer.positions] == ["cross", "ETH-USD"]
    # 8,000 + p − 50,000 = 0.03 p: what ETH has posted is no help
    assert answer.positions[0].liquidation_price == near(42_000 / 0.97)
    assert answer.free_collateral == 8_000 - 2_500
    turned = backtest.margin(book({**BTC, "mode": "cross"}, {**ETH, "posted": 2_000}, margin="isolated"))
    assert [pool.equity for pool in turned.pools] == [8_000, 2_000]


def test_portfolio_pays_for_the_net_and_for_what_is_each_ones_own() -> None:
    answer = backtest.margin(book(margin="portfolio"))
    # generic: scan 3 % and 1.8 %, own 2 % and 1.2 %, floor 0.3; net 20,000, gross 80,000
    assert answer.initial == 600 + 1_600
    assert answer.maintenance == 360 + 960
    assert answer.pools[0].pool == "portfolio"
    # 1.5 times the market: net 50,000 − 45,000; its own share 10 % instead of 2 %: 1,000 + 3,000
    bent = backtest.margin(book(BTC, {**ETH, "beta": 1.5, "idio": 0.10}, margin="portfolio"))
    assert bent.initial == 150 + 4_000


@pytest.mark.parametrize(
    ("mode", "order", "free"),
    [
        ("cross", {"symbol": "BTC-USD", "qty": 1}, 6_000 - 2_500),  # 2 BTC instead of 1
        ("cross", {"symbol": "BTC-USD", "qty": -2}, 6_000),  # turned round, no larger
        ("cross", {"symbol": "BTC-USD", "qty": -3.5}, 6_000 - 3_750),  # 2.5 BTC short
        ("cross", {"symbol": "SOL-USD", "qty": 40, "mark": 100}, 6_000 - 200),  # a new position of 4,000
        ("isolated", {"symbol": "BTC-USD", "qty": 1}, 6_000 - 2_500),
        ("isolated", {"symbol": "SOL-USD", "qty": -40, "mark": 100}, 6_000 - 200),
        # net 70,000 × 3 % + gross 130,000 × 2 %, instead of 20,000 and 80,000
        ("portfolio", {"symbol": "BTC-USD", "qty": 1}, 10_000 - 2_100 - 2_600),
    ],
)
def test_waiting_orders_reserve_initial_margin(mode: str, order: dict[str, Any], free: float) -> None:
    posted = {"leverage": 20} if mode == "isolated" else {}
    given = book({**BTC, **posted}, {**ETH, **posted}, margin=mode)
    answer = backtest.margin(given | {"open_orders": [order]})
    assert answer.free_collateral == free
    assert answer.maintenance == backtest.margin(given).maintenance
    assert any("open orders" in note for note in answer.notes)


def test_a_positions_own_rates_replace_the_tiers() -> None:
    own = {**BTC, "maintenance": 0.01, "deduction": 50, "initial": 0.04, "initial_deduction": 100, "penalty": 0.005}
    answer = backtest.margin(book(own))
    assert (answer.positions[0].initial, answer.positions[0].maintenance) == (1_900, 450)
    # 10,000 + p − 50,000 = 0.01 p − 50
    assert answer.positions[0].liquidation_price == near(39_950 / 0.99)
    (event,) = answer.falling.events
    assert event.penalty == near(0.005 * 39_950 / 0.99)
    # what is not said stays the venue's
    half = backtest.margin(book({**BTC, "maintenance": 0.01})).positions[0]
    assert (half.initial, half.maintenance) == (2_500, 500)


def test_a_close_above_and_below_the_bankruptcy_price() -> None:
    # half of BTC has 750 of 2,400 maintenance: 25,000 − 10,000 × 750 / 2,400 = 21,875 for it
    better = backtest.margin(book(), close={"symbol": "BTC-USD", "qty": 0.5, "price": 49_000}).close
    assert better is not None
    assert (better.qty, better.bankruptcy_price, better.fillable_price) == (-0.5, 43_750, None)
    # 24,500 is 2,625 better; the fund takes 1 % of the fill
    assert (better.insurance, better.equity, better.maintenance) == (245, 10_000 - 500 - 245, 1_650)
    assert better.margin_ratio == 1_650 / 9_255
    worse = backtest.margin(book(close={"symbol": "ETH-USD", "qty": 10, "price": 3_400})).close
    assert worse is not None
    assert (worse.qty, worse.bankruptcy_price) == (10, 3_375)
    assert (worse.insurance, worse.equity, worse.maintenance) == (0, 6_000, 1_500)
    assert backtest.margin(book(close={"symbol": "BTC-USD", "qty": 1})).close.price == 50_000  # type: ignore[union-attr]


def test_a_close_where_the_venue_has_a_fillable_price() -> None:
    # dYdX's large caps of 2025: maintenance 2 % × 60 % = 600. Equity 300 is half of it, so the price may fall by half
    # of 1.5 maintenance margins: 450. The bankruptcy price is 300 below the mark; the fund pays the 150 between.
    given = book(BTC, venue="dydx_v4", date="2025-06-01", collateral=300, close={"symbol": "BTC-USD", "qty": 1})
    answer = backtest.margin(given)
    assert (answer.maintenance, answer.liquidatable) == (600, True)
    close = answer.close
    assert close is not None
    assert (close.fillable_price, close.price, close.bankruptcy_price) == (49_550, 49_550, 49_700)
    assert (close.insurance, close.equity, close.maintenance, close.margin_ratio) == (-150, 0, 0, 0)


def test_terms_are_those_of_the_date() -> None:
    old, new = (
        backtest.margin(book({**BTC, "leverage": 3}, venue="hyperliquid", collateral=20_000, date=date))
        for date in ("2024-01-01", "2025-06-01")
    )
    assert (old.date.isoformat(), new.date.isoformat()) == ("2024-01-01", "2025-06-01")
    assert old.maintenance != new.maintenance


# ---- the ladder


def test_ladder_of_a_hedged_book_in_cross() -> None:
    answer = backtest.margin(book())
    # 10,000 + (50,000 − 30,000) x = 3 % of 80,000 (1 + x)  →  x = −7,600 / 17,600
    x = -7_600 / 17_600
    first, last = answer.falling.events
    assert (first.symbol, first.stage, first.pool, first.qty, first.left) == ("BTC-USD", "whole", "cross", -1, 0)
    assert (last.symbol, last.qty) == ("ETH-USD", 10)
    assert first.move == pytest.approx(x, abs=1e-8)
    assert first.price == pytest.approx(50_000 * (1 + x), rel=1e-9)
    assert first.equity_before == near(10_000 + 20_000 * x)
    assert first.penalty == near(500 * (1 + x))
    # both legs go, each pays 1 %
    assert last.equity_after == near(10_000 + 20_000 * x - 800 * (1 + x))
    assert answer.falling.equity == near(last.equity_after)
    assert answer.falling.left == {"BTC-USD": 0, "ETH-USD": 0}
    assert len(answer.falling.rungs) == 44  # the first per cent below it
    tenth = answer.falling.rungs[9]
    assert tenth.move == pytest.approx(-0.10)
    assert (tenth.equity, tenth.maintenance) == (8_000, 2_160)
    assert tenth.notionals == {"BTC-USD": 45_000, "ETH-USD": -27_000}
    # it is long: a rise is no danger
    assert answer.rising.events == ()
    assert len(answer.rising.rungs) == 200
    assert answer.rising.equity == 50_000
    assert answer.rising.left == {"BTC-USD": 1, "ETH-USD": -10}


def test_ladder_of_isolated_pools_goes_pool_by_pool() -> None:
    answer = backtest.margin(book({**BTC, "posted": 5_000}, {**ETH, "posted": 3_000}, margin="isolated"))
    (btc,), (eth,) = answer.falling.events, answer.rising.events
    # 5,000 + p − 50,000 = 0.03 p, and 3,000 − 10 (p − 3,000) = 0.3 p
    assert (btc.pool, eth.pool) == ("BTC-USD", "ETH-USD")
    assert btc.price == pytest.approx(45_000 / 0.97, rel=1e-9)
    assert eth.price == pytest.approx(33_000 / 10.3, rel=1e-9)
    assert answer.falling.left == {"BTC-USD": 0, "ETH-USD": -10}
    # BTC's pool keeps 3 % − 1 % of its notional; the short gains 90 % of 30,000 down to −90 %
    assert answer.falling.equity == near(2_000 + 0.02 * 45_000 / 0.97 + 3_000 + 27_000)


def test_ladder_by_beta_and_of_one_symbol() -> None:
    # ETH moves half as much: 10,000 + (50,000 − 15,000) x = 2,400 + (1,500 + 450) x
    half = backtest.margin(book(BTC, {**ETH, "beta": 0.5}), by="beta").falling.events[0]
    assert half.move == pytest.approx(-7_600 / 33_050, abs=1e-8)
    # ETH against the market: 10,000 + (50,000 + 30,000) x = 2,400 + (1,500 − 900) x
    against = backtest.margin(book(BTC, {**ETH, "beta": -1}), by="beta").falling.events
    assert against[0].move == pytest.approx(-7_600 / 79_400, abs=1e-8)
    assert against[1].price == pytest.approx(3_000 * (1 + 7_600 / 79_400), rel=1e-7)
    alone = backtest.margin(book(), by="ETH-USD")
    assert alone.falling.events == ()
    assert alone.rising.events[0].move == pytest.approx(38_500 / 10.3 / 3_000 - 1, abs=1e-8)
    assert alone.rising.events[0].price == 50_000  # BTC goes with it, at its mark


def test_a_steep_beta_does_not_reach_zero() -> None:
    answer = backtest.margin(book(BTC, {**ETH, "qty": 0.1, "beta": 3}, collateral=100_000), by="beta")
    # −90 % × 3; a mark stops at a hundredth of where it began
    assert answer.falling.rungs[-1].notionals == {"BTC-USD": pytest.approx(5_000), "ETH-USD": pytest.approx(3)}


@pytest.mark.parametrize("step", [0.5, 0.7, 2.5, 10])
def test_the_step_does_not_move_the_levels(step: float) -> None:
    fine = backtest.margin(book(), step=step).falling.events
    assert [event.move for event in fine] == pytest.approx([-7_600 / 17_600] * 2, abs=1e-7)


def test_what_is_liquidatable_goes_at_the_marks() -> None:
    answer = backtest.margin(book(collateral=2_000))
    assert answer.liquidatable
    for ladder in (answer.falling, answer.rising):
        assert [(event.symbol, event.move) for event in ladder.events] == [("BTC-USD", 0), ("ETH-USD", 0)]
        assert ladder.equity == 2_000 - 800
        assert len(ladder.rungs) == 1


def test_the_range_is_kept() -> None:
    answer = backtest.margin(book(), down=5, up=7.5, step=2)
    assert [rung.move for rung in answer.falling.rungs] == pytest.approx([-0.02, -0.04])
    assert [rung.move for rung in answer.rising.rungs] == pytest.approx([0.02, 0.04, 0.06])


VENUES = ("generic", "binance_usdm", "bybit_linear", "dydx_v3", "dydx_v4", "hyperliquid", "okx_swap", "synthetix_v3")


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("qty", [3.0, -0.25])
def test_the_ladder_begins_at_the_liquidation_price(venue: str, qty: float) -> None:
    """Two ways to the same level: the calculator's equation, and the engine on its way there."""
    legs = ({**BTC, "qty": qty}, {**ETH, "qty": -4 * qty})
    answer = backtest.margin(book(*legs, venue=venue, collateral=25_000 * abs(qty)), by="BTC-USD")
    static = answer.positions[0].liquidation_move
    events = (answer.falling if qty > 0 else answer.rising).events
    # a liquidator's latency of seconds is a few thousandths of a rung of an hour
    assert static is not None
    assert events[0].move == pytest.approx(static, abs=2e-4)
    assert sum(event.qty for event in events if event.symbol == "BTC-USD") == pytest.approx(-qty)


def test_quantities_of_any_size_are_counted() -> None:
    tiny = backtest.margin(book({"symbol": "PEPE-USD", "qty": 1.23456789e10, "mark": 1e-5}))
    assert tiny.positions[0].notional == pytest.approx(123_456.789)
    rounded = backtest.margin(book({**BTC, "qty": 0.123456789}))
    assert rounded.positions[0].qty == 0.123457
    assert any("millionth" in note for note in rounded.notes)


def test_a_file_a_mapping_and_its_json_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "book.json").write_text(json.dumps(book()), encoding="utf-8")
    answer = backtest.margin(tmp_path / "book.json")
    assert answer == backtest.margin(book())
    said = json.loads(json.dumps(answer.as_dict(), allow_nan=False))
    assert said["positions"][0]["liquidation_price"] == answer.positions[0].liquidation_price
    assert said["falling"]["events"][0]["symbol"] == "BTC-USD"


@pytest.mark.parametrize("venue", ["generic", "binance_usdm", "hyperliquid", "dydx_v4"])
def test_liquidations_do_not_depend_on_the_step_between_rungs(venue: str) -> None:
    # Of two longs; where steps take time (a tenth a second, a fifth and 30 s) there are many of them.
    given = book({"symbol": "BTC-USD", "qty": 5, "mark": 50_000}, {"symbol": "ETH-USD", "qty": 40, "mark": 3_000},
                 venue=venue, collateral=20_000)  # fmt: skip
    ladders = {step: backtest.margin(given, step=step, down=30, up=10).falling for step in (0.25, 1, 5, 10)}
    steps = [[(e.move, e.symbol, e.qty, e.price, e.equity_after) for e in one.events] for one in ladders.values()]
    assert steps[0]
    assert all(other == steps[0] for other in steps[1:])
    assert len({one.equity for one in ladders.values()}) == 1  # nothing is left before the first common rung
    assert ladders[0.25].rungs[3] == ladders[1].rungs[0]  # the same level, between candles' ends or at one
