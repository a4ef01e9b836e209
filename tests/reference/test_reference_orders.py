"""The reference engine's orders against numbers worked out by hand.

Rows of a minute, so a third of a candle is 20,000 ms; lots of 0.001; unless said otherwise 10,000 of cash, no fees, no
costs, no latency. A row that rises or stands still goes open, low, high, close; one that falls open, high, low, close.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.reference.hand import MINUTE, lots, market, micro, order, run
from tests.reference.market import Bar, FeeTable, Impact, Message, Snapshot, Symbol
from tests.reference.outcome import Outcome
from tests.reference.terms import OrderRules, Terms, Tier

DIP = (100.0, 110.0, 90.0, 110.0)  # 100, 90 at 20 s, 110 at 40 s, 110
TEN = (100.0, 100.0, 100.0, 100.0, 10.0)  # flat, with a volume of 10
PEAK = (100.0, 110.0, 90.0, 90.0)  # 100, 110 at 20 s, 90 at 40 s, 90


def btc(*rows: tuple[float, ...] | float | None, **more: object) -> Symbol:
    return market("BTC", 100.0, *rows, **more)


def play(symbol: Symbol, *messages: Message, cash: float = 10_000, **config: Any) -> Outcome:
    return run([symbol], list(messages), cash, **config)


def told(outcome: Outcome) -> list[tuple[int, str, str, int]]:
    """Number, how it ended and why, when."""
    return [(o.number, o.status, o.reason, o.ts_done) for o in outcome.orders]


def filled(outcome: Outcome) -> list[tuple[int, int, int, int]]:
    """Order, when, signed lots, cash."""
    return [(f.order, f.ts, f.lots, f.quote) for f in outcome.fills]


def wish(row: int, kind: str, **fields: object) -> Message:
    return Message((row + 1) * MINUTE, kind, **fields)  # type: ignore[arg-type]


# ---- limits


def test_a_limit_fills_where_the_path_goes_through_it() -> None:
    # From 100 down to 90 in 20 s: 95 is met half way, 10 s in. A purchase of 2 at 95 costs 190.
    outcome = play(btc(DIP), order(0, "BTC", 2, type="limit", limit=95.0))
    assert filled(outcome) == [(0, MINUTE + 10_000, 2_000, -micro(190))]
    assert outcome.fills[0].liquidity == "maker"
    assert told(outcome) == [(0, "filled", "none", MINUTE + 10_000)]


@pytest.mark.parametrize(("touch", "fills"), [(False, []), (True, [(0, MINUTE + 20_000, 1_000, -micro(90))])])
def test_a_limit_at_the_very_low(touch: bool, fills: list[tuple[int, int, int, int]]) -> None:
    outcome = play(btc(DIP), order(0, "BTC", 1, type="limit", limit=90.0), touch=touch)
    assert filled(outcome) == fills


def test_marketable_limits_take_at_the_path_and_never_beyond_their_limit() -> None:
    # The open is 100. Slippage of 2 % would make it 102; the limit of 101 leaves 1.
    outcome = play(btc(100.0), order(0, "BTC", 1, type="limit", limit=101.0), slippage=0.02)
    assert filled(outcome) == [(0, MINUTE, 1_000, -micro(101))]
    (fill,) = outcome.fills
    assert (fill.liquidity, fill.spread, fill.impact, fill.drift) == ("taker", micro(1), 0, 0)
    refused = play(btc(100.0), order(0, "BTC", 1, type="limit", limit=101.0, post_only=True))
    assert told(refused) == [(0, "rejected", "post_only", MINUTE)]


def test_a_taker_stops_at_the_price_band() -> None:
    # 0.4 × (q / 10)² of the price: all 10 would cost 40 % of 1,000. A tenth is the most: 0.4 × x² = 0.1 at half of it.
    costs = {"impact": Impact("volume", 0.4)}
    for side in (1, -1):
        outcome = play(btc(TEN), order(0, "BTC", 10 * side), **costs)
        assert filled(outcome) == [(0, MINUTE, 5_000 * side, micro(-550 if side > 0 else 450))]
        assert told(outcome) == [(0, "cancelled", "price_band", MINUTE)]
        assert (outcome.orders[0].have, outcome.orders[0].need) == (micro(400), micro(100))
    killed = play(btc(TEN), order(0, "BTC", 10, tif="fok"), **costs)
    assert told(killed) == [(0, "cancelled", "fok", MINUTE)]
    # Of a fixed half spread of 20 % not even one lot is inside a tenth; the run's own band of a quarter lets it all.
    assert told(play(btc(100.0), order(0, "BTC", 1), slippage=0.2)) == [(0, "rejected", "price_band", MINUTE)]
    assert filled(play(btc(100.0), order(0, "BTC", 1), slippage=0.2, band=0.25)) == [(0, MINUTE, 1_000, -micro(120))]


def test_what_a_fill_leaves_ends_before_the_children_wake() -> None:
    # The band lets 5 of 10 in, at 110. The rest ends by the band; only then does the exit, a sale at 90 or better, take
    # the 5 that it protects, so that it finds no parent to cancel.
    exit_at_90 = order(0, "BTC", -10, True, type="limit", limit=90.0)
    outcome = play(btc(TEN), order(0, "BTC", 10, children=(exit_at_90,)), impact=Impact("volume", 0.4))
    assert told(outcome)[0] == (0, "cancelled", "price_band", MINUTE)
    assert filled(outcome)[:2] == [(0, MINUTE, 5_000, -micro(550)), (1, MINUTE, -5_000, micro(450))]


def test_a_gap_through_a_limit_fills_at_the_limit() -> None:
    # Open at 80 over a bid of 95: a maker does not get better than it asked for.
    outcome = play(btc(100.0, 80.0), order(0, "BTC", 1, type="limit", limit=95.0))
    assert filled(outcome) == [(0, 2 * MINUTE, 1_000, -micro(95))]


# ---- stops


def test_a_stop_takes_at_its_level_on_the_way() -> None:
    # Long 1 from 100; 95 is met 10 s into row 2 and sold there, less 1 %: 94.05. The drift of 0 is its latency.
    outcome = play(
        btc(100.0, DIP), order(0, "BTC", 1), order(1, "BTC", -1, True, type="stop_market", stop=95.0), slippage=0.01
    )
    fill = outcome.fills[1]
    assert (fill.ts, fill.quote, fill.spread, fill.latency) == (2 * MINUTE + 10_000, 94_050_000, 950_000, 0)
    assert outcome.orders[1].triggered == 2 * MINUTE + 10_000


def test_a_stop_that_is_jumped_over_takes_at_the_open() -> None:
    outcome = play(btc(100.0, 90.0), order(0, "BTC", -1), order(0, "BTC", 1, type="stop_market", stop=101.0))
    assert [f.order for f in outcome.fills] == [0]
    outcome = play(btc(100.0, 90.0), order(0, "BTC", 1), order(0, "BTC", -1, type="stop_market", stop=95.0))
    assert filled(outcome)[1] == (1, 2 * MINUTE, -1_000, micro(90))


def test_a_stop_on_the_wrong_side_is_refused() -> None:
    outcome = play(
        btc(100.0),
        order(0, "BTC", -1, type="stop_market", stop=100.0),  # falls: 100 <= 100 holds already
        order(0, "BTC", -1, type="take_profit_market", stop=100.0),  # rises: 100 >= 100 holds already
        order(0, "BTC", -1, type="take_profit_market", stop=100.5),
    )
    assert told(outcome)[:2] == [(0, "rejected", "would_trigger", MINUTE), (1, "rejected", "would_trigger", MINUTE)]
    assert told(outcome)[2] == (2, "expired", "end_of_run", 2 * MINUTE)


def test_a_stop_limit_rests_where_its_limit_is_better_than_its_stop() -> None:
    # Sell stop 95, limit 97: released at 10 s at 95, below 97, so it rests. The rise from 90 (20 s) to 110 (40 s)
    # meets 97 at 20 s + 7/20 of 20 s = 27 s.
    outcome = play(btc(DIP), order(0, "BTC", -1, type="stop_limit", stop=95.0, limit=97.0))
    assert filled(outcome) == [(0, MINUTE + 27_000, -1_000, micro(97))]
    assert outcome.fills[0].liquidity == "maker"
    assert outcome.orders[0].triggered == MINUTE + 10_000


def test_a_trigger_by_mark_takes_at_the_trade_path() -> None:
    # The mark falls from 100 to 80 in 20 s, 95 is met at 5 s; trades are then at 100 - 10 x 5/20 = 97.5.
    low = market("BTC", 100.0, (100.0, 110.0, 80.0, 110.0)).candles
    symbol = btc(DIP, marks=low, mark_interval_ms=MINUTE)
    outcome = play(symbol, order(0, "BTC", -1, type="stop_market", stop=95.0, by_mark=True))
    assert filled(outcome) == [(0, MINUTE + 5_000, -1_000, 97_500_000)]


# ---- trailing stops


def test_a_trailing_stop_follows_the_knots() -> None:
    # Falls by 10 % from the best. Row 1: 100, 110 at 20 s, then down to 90 at 40 s: level 99, met 11/20 of the way:
    # 20 s + 11 s.
    outcome = play(btc(PEAK), order(0, "BTC", -1, type="trailing_stop", trail=0.1))
    assert filled(outcome) == [(0, MINUTE + 31_000, -1_000, micro(99))]


def test_a_trailing_stop_waits_for_its_activation() -> None:
    # Activated at 105: the knot of 110 is the first to reach it. 4 below: 106, met 4/20 of the way down.
    sale = order(0, "BTC", -1, type="trailing_stop", trail=4.0, trail_share=False, activation=105.0)
    assert filled(play(btc(PEAK), sale)) == [(0, MINUTE + 24_000, -1_000, micro(106))]
    sale = order(0, "BTC", -1, type="trailing_stop", trail=4.0, trail_share=False, activation=115.0)
    assert filled(play(btc(PEAK), sale)) == []


# ---- brackets, one cancels the other


def bracket(base: float = 1, **entry: Any) -> Message:
    stop = order(0, "BTC", -base, type="stop_market", stop=95.0)
    target = order(0, "BTC", -base, type="limit", limit=105.0)
    return order(0, "BTC", base, children=(stop, target), **entry)


@pytest.mark.parametrize(
    ("candle", "number", "at", "quote"),
    [(DIP, 1, 10_000, 95), (PEAK, 2, 10_000, 105)],
)
def test_a_bracket_ends_by_what_the_path_meets_first(
    candle: tuple[float, ...], number: int, at: int, quote: float
) -> None:
    outcome = play(btc(candle), bracket())
    assert filled(outcome) == [(0, MINUTE, 1_000, -micro(100)), (number, MINUTE + at, -1_000, micro(quote))]
    assert told(outcome)[3 - number] == (3 - number, "cancelled", "oco", MINUTE + at)
    assert outcome.lots == {"BTC": 0}


def test_an_entry_that_does_not_fill_takes_its_children_along() -> None:
    outcome = play(btc(100.0), bracket(type="limit", limit=99.0, tif="ioc"))
    assert told(outcome) == [
        (0, "cancelled", "ioc", MINUTE), (1, "cancelled", "parent", MINUTE), (2, "cancelled", "parent", MINUTE)
    ]  # fmt: skip


def test_a_jump_over_entry_and_stop_buys_at_the_limit_and_sells_at_the_open() -> None:
    # Bid 98 with a stop at 95; open at 90. s = (98 - 100) / (90 - 100) = 0.2 for the bid; then the stop is beyond.
    outcome = play(btc(100.0, 90.0), bracket(type="limit", limit=98.0))
    assert filled(outcome) == [(0, 2 * MINUTE, 1_000, -micro(98)), (1, 2 * MINUTE, -1_000, micro(90))]


def test_an_entry_that_fills_in_parts_grows_its_children_until_one_of_them_fills() -> None:
    # Volume 4 and a maker's share of 25 % fill 1 of the bid of 3 at 10 s (95 of 100 -> 90). Its stop of 1 at 91 is met
    # at 18 s and sells 1; the entry's rest is cancelled.
    stop = order(0, "BTC", -3, type="stop_market", stop=91.0)
    entry = order(0, "BTC", 3, type="limit", limit=95.0, children=(stop,))
    outcome = play(btc((*DIP, 4.0)), entry, maker_share=0.25)
    assert filled(outcome) == [
        (0, MINUTE + 10_000, 1_000, -micro(95)), (1, MINUTE + 18_000, -1_000, micro(91))
    ]  # fmt: skip
    assert told(outcome) == [(0, "cancelled", "bracket", MINUTE + 18_000), (1, "filled", "none", MINUTE + 18_000)]
    assert outcome.orders[0].filled == 1_000


def test_one_of_a_group_cancels_the_others() -> None:
    buy, sell = (order(0, "BTC", b, type="stop_market", stop=s) for b, s in ((1, 104.0), (-1, 96.0)))
    outcome = play(btc(DIP), wish(0, "oco", children=(buy, sell)))
    # 96 on the way from 100 to 90 is met at 8 s.
    assert told(outcome) == [(0, "cancelled", "oco", MINUTE + 8_000), (1, "filled", "none", MINUTE + 8_000)]


# ---- the jump, pools and orders together


def test_a_jump_meets_the_pool_before_or_after_the_stop_by_their_places_on_the_way() -> None:
    # Long 10 from 100 with 80 of cash (initial 5 % of 1,000 = 50): health is 80 - 10 d - 0.03 x 10 x (100 - d) with d
    # the fall: 50 - 9.7 d; from 100 to 90: h0 = 50, h1 = -47: s = 50/97 = 0.515, a price of 94.845.
    # A stop at 96 (s = 0.4) comes first, sells at the open, -20 of equity and no position: others bear it.
    def at(stop: float) -> Outcome:
        sale = order(0, "BTC", -10, True, type="stop_market", stop=stop)
        return play(btc(100.0, 90.0), order(0, "BTC", 10), sale, cash=80)

    first = at(96.0)
    assert filled(first)[1] == (1, 2 * MINUTE, -10_000, micro(900))
    assert [x.stage for x in first.liquidations] == ["shortfall"]
    second = at(94.0)  # s = 0.6: the pool is first, and takes the order with it
    assert told(second)[1] == (1, "cancelled", "liquidation", 2 * MINUTE)
    assert second.liquidations[0].stage == "whole"


# ---- time in force, room


def test_room_and_time_in_force() -> None:
    # 20 of volume, a taker's share of 10 %: 2 of 5 at once at 100. The rest by its time in force.
    def of(tif: str) -> Outcome:
        rows = ((100.0,) * 4 + (20.0,), (101.0,) * 4 + (20.0,), (102.0,) * 4 + (500.0,))
        return play(btc(*rows), order(0, "BTC", 5, tif=tif), taker_share=0.1)

    assert told(of("fok")) == [(0, "cancelled", "fok", MINUTE)]
    assert (told(of("ioc")), of("ioc").orders[0].filled) == ([(0, "cancelled", "ioc", MINUTE)], 2_000)
    outcome = of("gtc")
    assert filled(outcome) == [
        (0, MINUTE, 2_000, -micro(200)), (0, 2 * MINUTE, 2_000, -micro(202)), (0, 3 * MINUTE, 1_000, -micro(102))
    ]  # fmt: skip
    # Decided at 100: waiting cost 2 on the second part and 2 on the third.
    assert [f.latency for f in outcome.fills] == [0, micro(2), micro(2)]


def test_time_is_up_before_anything_else_at_that_time() -> None:
    # The bid of 95 would be met at 10 s exactly.
    dies, lives = (
        order(0, "BTC", 1, type="limit", limit=95.0, tif="gtd", expires_ms=MINUTE + at) for at in (10_000, 10_001)
    )
    assert told(play(btc(DIP), dies)) == [(0, "expired", "gtd", MINUTE + 10_000)]
    assert told(play(btc(DIP), lives)) == [(0, "filled", "none", MINUTE + 10_000)]


def test_orders_without_a_position_to_reduce_are_cancelled() -> None:
    # The take-profit closes the position at 103 on the way to 110 (3/10 of 20 s in PEAK); the stop goes with it.
    outcome = play(
        btc(100.0, PEAK),
        order(0, "BTC", 1),
        order(1, "BTC", -1, True, type="take_profit_market", stop=103.0),
        order(1, "BTC", -1, True, type="stop_market", stop=95.0),
    )
    assert told(outcome)[1:] == [
        (1, "filled", "none", 2 * MINUTE + 6_000), (2, "cancelled", "reduce_only", 2 * MINUTE + 6_000)
    ]  # fmt: skip


# ---- arrival


def test_the_venue_bounds_size_and_number_of_orders() -> None:
    terms = {"BTC": [Terms([Tier(None, 0.05, 0.03)], min_notional=micro(100))]}
    bids = [order(0, "BTC", 2, type="limit", limit=90.0 - n) for n in range(3)]
    outcome = play(
        btc(100.0), order(0, "BTC", 0.999), *bids, order(0, "BTC", 1), terms=terms, rules=OrderRules(most_each=2)
    )
    assert [(o.reason, o.have, o.need) for o in outcome.orders] == [
        ("min_notional", 99_900_000, 100_000_000), ("end_of_run", 0, 0), ("end_of_run", 0, 0), ("open_orders", 2, 2),
        ("none", 0, 0),  # a plain market order takes no place
    ]  # fmt: skip


def test_working_orders_reserve_margin_and_armed_ones_do_not() -> None:
    # 10,000 of cash: a bid of 1,000 at 90 reserves 5 % of 100,000 (on the mark) = 5,000; another 1,001 is too much.
    outcome = play(
        btc(100.0),
        order(0, "BTC", 5_000, type="stop_market", stop=120.0),
        order(0, "BTC", 1_000, type="limit", limit=90.0),
        order(0, "BTC", 1_001, type="limit", limit=90.0),
    )
    assert [o.reason for o in outcome.orders] == ["end_of_run", "end_of_run", "margin"]
    assert (outcome.orders[2].have, outcome.orders[2].need) == (micro(10_000), micro(10_005))


# ---- amendments, cancels


def test_amendments() -> None:
    outcome = play(
        btc(100.0, 100.0, 100.0),
        order(0, "BTC", 1, type="limit", limit=90.0),
        order(0, "BTC", -1, type="stop_market", stop=95.0),
        wish(1, "amend", order=0, lots=2_000, limit=80.0),
        wish(1, "amend", order=0, stop=80.0),  # it has no stop price
        wish(1, "amend", order=1, stop=100.0),  # its condition would hold
        wish(2, "amend", order=0, limit=101.0),  # crosses: 2 are taken at 100
    )
    assert filled(outcome) == [(0, 3 * MINUTE, 2_000, -micro(200))]
    assert [(o.number, o.type, o.status, o.reason, o.target) for o in outcome.orders] == [
        (0, "limit", "filled", "none", -1),
        (1, "stop_market", "expired", "end_of_run", -1),
        (3, "amend", "rejected", "amend", 0),
        (4, "amend", "rejected", "would_trigger", 1),
    ]
    assert (outcome.orders[0].lots, outcome.orders[0].limit, outcome.orders[1].stop) == (2_000, 101.0, 95.0)


def test_an_amendment_that_leaves_nothing_or_comes_too_late() -> None:
    # Half of the bid of 2 is filled (volume 10, a tenth for makers); a new size of 1 leaves nothing.
    outcome = play(
        btc((*DIP, 10.0), 110.0, 110.0),
        order(0, "BTC", 2, type="limit", limit=95.0),
        wish(1, "amend", order=0, lots=1_000),
        wish(2, "amend", order=0, lots=3_000),
        maker_share=0.1,
    )
    assert told(outcome) == [(0, "cancelled", "strategy", 2 * MINUTE), (2, "rejected", "not_open", 3 * MINUTE)]
    assert outcome.orders[0].filled == 1_000


def test_a_cancel_of_all_takes_what_is_at_the_venue() -> None:
    outcome = play(
        btc(100.0, 100.0),
        bracket(type="limit", limit=90.0),
        order(0, "BTC", -1, type="stop_market", stop=95.0),
        wish(1, "cancel_all", symbol="BTC"),
        order(1, "BTC", 1, type="limit", limit=90.0),
    )
    reasons = [(o.number, o.status, o.reason) for o in outcome.orders]
    assert reasons == [
        (0, "cancelled", "strategy"), (1, "cancelled", "parent"), (2, "cancelled", "parent"),
        (3, "cancelled", "strategy"), (5, "expired", "end_of_run"),
    ]  # fmt: skip


# ---- costs and fees


def test_costs_of_a_taker() -> None:
    # A day's sigma 4 %, turnover 40,000, half a spread 0.1 %. A purchase of 4 at 100, decided at 100:
    #   spread  2 x (0.05 % + 0.1 %) of 400                            = 1.2
    #   impact  2 x 0.5 x 4 % x sqrt(400 / 40,000) = 0.4 % of 400      = 1.6
    #   drift   0.25 x 4 % = 1 % of 400                                = 4
    bars = {"BTC": [Bar(0.04, 40_000.0, 0.001)]}
    config: dict[str, Any] = {"bars": bars, "slippage": 0.0005, "stress": 2.0, "drift": 0.25}
    outcome = play(btc(100.0), order(0, "BTC", 4), impact=Impact("power", 0.5), **config)
    (fill,) = outcome.fills
    assert (fill.spread, fill.impact, fill.drift) == (micro(1.2), micro(1.6), micro(4))
    assert (fill.quote, fill.latency) == (-micro(406.8), micro(4))
    # With a limit of 100.5 there are 2 to spend: drift goes first, then impact.
    outcome = play(btc(100.0), order(0, "BTC", 4, type="limit", limit=100.5), impact=Impact("power", 0.5), **config)
    (fill,) = outcome.fills
    assert (fill.spread, fill.impact, fill.drift, fill.quote) == (micro(1.2), micro(0.8), 0, -micro(402))
    # By volume: 0.1 x (4 / 20)^2 = 0.4 %.
    outcome = play(btc((100.0,) * 4 + (20.0,)), order(0, "BTC", 4), impact=Impact("volume", 0.1))
    assert outcome.fills[0].impact == micro(1.6)


def test_impact_by_depth_walks_the_book() -> None:
    # 200 within 0.1 %, 400 within 0.3 %. Of 500 the first 200 cost 0.05 % on average, the next 200 0.2 %, and the last
    # 100 are as dense as before: from 0.3 % to 0.4 %, 0.35 %: (0.1 + 0.4 + 0.35) = 0.85.
    depth = {"BTC": [Snapshot(0, ((0.001, 200.0), (0.003, 400.0)))]}
    outcome = play(btc(100.0), order(0, "BTC", 5), impact=Impact("depth"), depth=depth)
    assert outcome.fills[0].impact == micro(0.85)
    late = {"BTC": [Snapshot(MINUTE + 1, ((0.001, 200.0),))]}
    assert play(btc(100.0), order(0, "BTC", 5), impact=Impact("depth"), depth=late).fills[0].impact == 0


def test_fees_go_by_the_volume_of_the_days_before() -> None:
    # Takers 0.1 %, above 100 of the day before 0.05 %, a discount of 20 %; makers get 0.01 % back, not discounted.
    day = 24 * 60 * MINUTE
    tables = (FeeTable(0, 1, ((0.0, -0.0001, 0.001), (100.0, -0.0001, 0.0005))),)
    rows = [100.0] * 3
    symbol = btc(*rows)
    shifted = Symbol("BTC", 1_000, {ts + day - 2 * MINUTE: candle for ts, candle in symbol.candles.items()})

    def at(row: int, base: float, **fields: object) -> Message:
        return Message(day + (row - 1) * MINUTE, "order", "BTC", lots=lots(base), **fields)  # type: ignore[arg-type]

    # The first fill is a minute before midnight, the others at midnight and after.
    outcome = play(shifted, at(0, 1), at(1, 1), at(2, -1), fees=tables, discount=0.2)
    assert [(f.ts - day, f.fee) for f in outcome.fills] == [(-MINUTE, 80_000), (0, 40_000), (MINUTE, 40_000)]
    outcome = play(btc(DIP), order(0, "BTC", 2, type="limit", limit=95.0), fees=tables, discount=0.2)
    assert outcome.fills[0].fee == -19_000
