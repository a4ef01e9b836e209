"""The reference engine's chain, oracle and transfers against numbers worked out by hand.

Rows of a minute, so a third of a candle is 20,000 ms; lots of 0.001; unless said otherwise 10,000 of cash, no fees, no
costs. An order of row 0 is sent at 60,000. A row that rises or stands still goes open, low, high, close; one that falls
open, high, low, close.
"""

from __future__ import annotations

import dataclasses
from statistics import quantiles
from typing import Any

import pytest

from tests.reference import draw
from tests.reference.chain import Beside, Chain, Congestion, Gas, Latency, Oracle, Outage, Route, TopUp
from tests.reference.hand import MINUTE, market, micro, order, run
from tests.reference.market import Message, Symbol
from tests.reference.oracle import seen
from tests.reference.outcome import Outcome
from tests.reference.path import Row

DIP = (100.0, 110.0, 90.0, 110.0)  # 100, 90 at 20 s, 110 at 40 s, 110
FALL = (100.0, 100.0, 80.0, 90.0)  # 100, 100 at 20 s, 80 at 40 s, 90
FLAT = (100.0, 100.0, 100.0, 100.0)


def steady(ms: float) -> Latency:
    return Latency(ms, ms)


def btc(*rows: tuple[float, ...] | float | None, **more: Any) -> Symbol:
    return market("BTC", FLAT, *rows, **more)


def play(
    symbol: Symbol, *messages: Message, chain: Chain | None = None, cash: float = 10_000, **around: Any
) -> Outcome:
    own = {name: around.pop(name) for name in ("reserve", "oracle", "guards") if name in around}
    return run([symbol], list(messages), cash, beside=Beside(chain or Chain(), **own), **around)


def filled(outcome: Outcome) -> list[tuple[int, int, int, int]]:
    """Order, when, signed lots, cash."""
    return [(f.order, f.ts, f.lots, f.quote) for f in outcome.fills]


def told(outcome: Outcome) -> list[tuple[int, str, str, int, int]]:
    """Number, how it ended and why, when it arrived and ended."""
    return [(o.number, o.status, o.reason, o.ts_arrived, o.ts_done) for o in outcome.orders]


def wish(row: int, kind: str, **fields: Any) -> Message:
    return Message((row + 1) * MINUTE, kind, **fields)


# ---- draws


def test_a_log_normal_has_its_median_and_its_p99() -> None:
    latency = Latency(200.0, 1_000.0)
    assert draw.value(latency, 0.5) == pytest.approx(200, rel=1e-12)
    assert draw.value(latency, 0.99) == pytest.approx(1_000, rel=1e-12)
    drawn = [draw.value(latency, draw.uniform(7, 60_000 * k, 0, 0, draw.NETWORK)) for k in range(40_000)]
    points = quantiles(drawn, n=100)
    assert (points[49], points[98]) == (pytest.approx(200, rel=0.02), pytest.approx(1_000, rel=0.04))


def test_a_table_is_read_between_its_quantiles() -> None:
    # p = 0.75 × 2 = 1.5: half of the way from 10 to 30.
    assert draw.value(Latency(quantiles=(0.0, 10.0, 30.0)), 0.75) == 20
    assert draw.value(Latency(quantiles=(5.0,)), 0.99) == 5


def test_each_word_of_the_key_makes_another_number() -> None:
    key = (3, 60_000, 1, 0, 0)
    others = [(2**33, 60_000, 1, 0, 0), (3, 60_000 + 2**40, 1, 0, 0), (3, 60_000, draw.NONE, 0, 0)]
    others += [(3, 60_000, 1, 1, 0), (3, 60_000, 1, 0, 1)]
    assert len({draw.uniform(*words) for words in [key, *others]}) == 6


# ---- a message's way


def test_a_message_takes_the_network_then_the_queue_then_a_block() -> None:
    # 60,000 + 500 + 5,000 + ⌊1,000.4 × 1.5 + ½⌋ = 67,001; the next block of 10 s is at 70,000. The candle of row 0
    # spans 4 % of its open; usual are 2 %, so the load is 2, and c = 1 + 0.5 × (2 − 1).
    crowd = Congestion(slope=0.5, most=4.0, usual=((0.02, None),))
    chain = Chain(network=steady(5_000), queue=steady(1_000.4), congestion=crowd)
    symbol = market("BTC", (100.0, 102.0, 98.0, 100.0), FLAT)
    for block, arrives in ((0, 67_001), (10_000, 70_000)):
        outcome = play(symbol, order(0, "BTC", 1), chain=dataclasses.replace(chain, block_ms=block), latency_ms=500)
        assert told(outcome) == [(0, "filled", "none", arrives, arrives)]


def test_a_block_takes_so_many_messages_and_may_sort_them() -> None:
    # All three reach the chain at 61,000; blocks of 10 s take two. In the first the cancel comes before the sale.
    chain = Chain(network=steady(1_000), block_ms=10_000, most_per_block=2, sorts=True)
    said = (
        order(0, "BTC", 1, type="limit", limit=90.0),
        order(1, "BTC", -1),
        wish(1, "cancel", order=0),
        order(1, "BTC", 2),
    )
    outcome = play(btc(FLAT, FLAT), *said, chain=chain)
    assert told(outcome) == [
        (0, "cancelled", "strategy", 70_000, 130_000),
        (1, "filled", "none", 130_000, 130_000),
        (3, "filled", "none", 140_000, 140_000),
    ]


@pytest.mark.parametrize(
    ("name", "rule", "ended"),
    [
        # It would come at 67,000, 2,000 after the halt's beginning: 90,000 + 2,000 × 0.1.
        ("it waits its turn", {"rule": "wait"}, ("filled", "none", 90_200, 90_200)),
        ("it is lost", {"rule": "drop"}, ("rejected", "outage", -1, 67_000)),
        ("23,200 late, as is allowed", {"rule": "expire", "ttl_ms": 23_200}, ("filled", "none", 90_200, 90_200)),
        ("a ms too late", {"rule": "expire", "ttl_ms": 23_199}, ("expired", "outage", 90_200, 90_200)),
        ("forced in", {"rule": "drop", "forced_ms": 10_000}, ("filled", "none", 77_000, 77_000)),
        (
            "forced, but sooner",
            {"rule": "expire", "ttl_ms": 1, "forced_ms": 40_000},
            ("filled", "none", 90_200, 90_200),
        ),
    ],
)
def test_a_message_meets_an_outage(name: str, rule: dict[str, Any], ended: tuple[str, str, int, int]) -> None:
    chain = Chain(network=steady(7_000), backlog=0.1, outages=(Outage(65_000, 90_000),))
    outcome = play(btc(FLAT), order(0, "BTC", 1), chain=dataclasses.replace(chain, **rule))
    assert told(outcome) == [(0, *ended)], name


# ---- outages


@pytest.mark.parametrize(
    ("end", "fills"),
    [
        # Half way down, at 70,000, the price is 95: inside the halt. At 82,000 it is 92, at 84,000 94; at 90,000 it is
        # 100, and no stop is beyond any more.
        (82_000, [(1, 82_000, -1_000, micro(92))]),
        (84_000, [(1, 84_000, -1_000, micro(94))]),
        (90_000, []),
    ],
)
def test_a_stop_met_in_a_halt_acts_at_its_end_if_the_price_is_still_beyond(
    end: int, fills: list[tuple[int, int, int, int]]
) -> None:
    said = order(0, "BTC", 1), order(0, "BTC", -1, type="stop_market", stop=95.0)
    outcome = play(btc(DIP), *said, chain=Chain(outages=(Outage(65_000, end),)))
    assert filled(outcome) == [(0, 60_000, 1_000, -micro(100)), *fills]


def test_a_limit_that_lies_beyond_at_the_end_of_a_halt_is_filled_at_its_limit() -> None:
    outcome = play(
        btc(DIP), order(0, "BTC", 1, type="limit", limit=95.0), chain=Chain(outages=(Outage(65_000, 82_000),))
    )
    assert filled(outcome) == [(0, 82_000, 1_000, -micro(95))]
    assert outcome.fills[0].liquidity == "maker"


def test_a_trailing_stop_does_not_see_the_knots_of_a_halt() -> None:
    # The low of 90 at 80,000 is lost; the best of the purchase is 100, so its level of 105 is met on the way from 90 to
    # 110, 15 s after 80,000, and not at 94.5.
    trail = order(0, "BTC", 1, type="trailing_stop", trail=0.05)
    outcome = play(btc(DIP), trail, chain=Chain(outages=(Outage(65_000, 81_000),)))
    assert filled(outcome) == [(0, 95_000, 1_000, -micro(105))]


def test_an_open_inside_a_halt_has_no_jump() -> None:
    # Row 2 opens at 94, below the stop; the halt ends with the row. At the open of row 3, 94, the jump is from 90.
    rows = FLAT, (94.0, 94.0, 90.0, 90.0), (94.0,) * 4
    said = order(0, "BTC", 1), order(0, "BTC", -1, type="stop_market", stop=95.0)
    outcome = play(btc(*rows), *said, chain=Chain(outages=(Outage(100_000, 180_000),)))
    assert filled(outcome)[1:] == [(1, 180_000, -1_000, micro(94))]


@pytest.mark.parametrize(
    ("grace", "when"),
    [
        # 1,000 and 100 long at 100: health is 97 p − 9,000 and zero at 92.78. The price is below it from 147,216 on,
        # and 85 at 170,000: 1,000 − 1,500 is 500 below zero.
        (20_000, (170_000, "whole", micro(500))),
        # Without grace at the end of the halt, at 90: 0, and nothing is missing.
        (0, (150_000, "whole", 0)),
    ],
)
def test_liquidation_waits_for_the_grace(grace: int, when: tuple[int, str, int]) -> None:
    chain = Chain(outages=(Outage(130_000, 150_000),), grace_ms=grace)
    outcome = play(btc(FLAT, FALL), order(0, "BTC", 100), chain=chain, cash=1_000)
    assert [(x.ts, x.stage, x.bad_debt) for x in outcome.liquidations] == [when]
    assert outcome.ambiguous == []


def test_who_is_healthy_after_the_grace_lives() -> None:
    # 80 at 160,000, but 97.1 at 178,000: 80 + 19 × 18 / 20.
    chain = Chain(outages=(Outage(130_000, 150_000),), grace_ms=28_000)
    outcome = play(btc(FLAT, (100.0, 100.0, 80.0, 99.0)), order(0, "BTC", 100), chain=chain, cash=1_000)
    assert outcome.liquidations == []


def test_a_stale_mark_is_seen_by_triggers_and_by_funding() -> None:
    # Frozen at 65,000: 97.5. At 80,000, the low of 90, funding is paid on it: 0.01 × 97.5; a stop by mark at 96 is met
    # at 68,000 and waits for 84,000, when the mark is seen again: 94.
    chain = Chain(outages=(Outage(65_000, 66_000),), stale_ms=18_000)
    said = order(0, "BTC", 1), order(0, "BTC", -1, type="stop_market", stop=96.0, by_mark=True)
    outcome = play(btc(DIP, funding=[(80_000, 0.01)]), *said, chain=chain)
    assert [p.payment for p in outcome.funding] == [-micro(0.975)]
    assert filled(outcome)[1:] == [(1, 84_000, -1_000, micro(94))]


def test_deleveraging_inside_a_halt_happens_at_its_end() -> None:
    chain = Chain(outages=(Outage(95_000, 105_000),))
    outcome = play(btc(DIP), order(0, "BTC", 1), chain=chain, adl=[(100_000, "BTC", 1.0)])
    assert [(f.ts, f.quote, f.cause) for f in outcome.fills[1:]] == [(105_000, micro(110), "adl")]


def test_a_reorg_undoes_the_fills_just_before_the_halt_the_last_first() -> None:
    # Fees of 1 %: bought 1 at 100, 60,000; sold 0.5 at 97.5, 65,000. The halt at 69,000 undoes what came after 59,000.
    chain = Chain(outages=(Outage(69_000, 70_000),), reorg_ms=9_001)
    said = order(0, "BTC", 1), order(0, "BTC", -0.5, type="stop_market", stop=97.5)
    outcome = play(btc(DIP), *said, chain=chain, fee=0.01)
    undone = [(f.order, f.ts, f.lots, f.quote, f.fee) for f in outcome.fills if f.cause == "reorg"]
    assert undone == [(1, 69_000, 500, -micro(48.75), -micro(0.4875)), (0, 69_000, -1_000, micro(100), -micro(1))]
    assert (outcome.wallet, outcome.lots) == (micro(10_000), {"BTC": 0})
    later = play(btc(DIP), *said, chain=dataclasses.replace(chain, reorg_ms=9_000), fee=0.01)
    assert [f.order for f in later.fills if f.cause == "reorg"] == [1]


# ---- the oracle


def knots(oracle: Oracle) -> list[list[tuple[int, float]]]:
    """Of two rows (seconds from the row's open, price)."""
    # Lows first: 100 97 106 103 | 104 101 110 107, 20 s apart.
    symbol = market("BTC", (100.0, 106.0, 97.0, 103.0), (104.0, 110.0, 101.0, 107.0))
    rows = [
        Row(at, MINUTE, {"BTC": candle}, {"BTC": candle}, True, "coherent") for at, candle in symbol.candles.items()
    ]
    return [[(at // 3_000, price) for at, price in row.knots] for row in seen(oracle, "BTC", rows).rows.values()]


def even(*prices: float) -> list[tuple[int, float]]:
    return list(zip((0, 20, 40, 60), prices, strict=True))


@pytest.mark.parametrize(
    ("oracle", "want"),
    [
        (Oracle(), [even(100, 97, 106, 103), even(104, 101, 110, 107)]),
        # The market's jump at 60 s comes at 80 s.
        (
            Oracle(delay_ms=20_000),
            [even(100, 100, 97, 106), [(0, 106), (20, 103), (20, 104), (40, 101), (60, 110)]],
        ),
        (Oracle(delay_ms=60_000), [[(0, 100), (60, 100)], even(100, 97, 106, 103)]),
        # At 55 s it is 106 - 3 * 3/4, at 115 s 110 - 3 * 3/4.
        (
            Oracle(delay_ms=5_000),
            [
                [(0, 100), (5, 100), (25, 97), (45, 106), (60, 103.75)],
                [(0, 103.75), (5, 103), (5, 104), (25, 101), (45, 110), (60, 107.75)],
            ],
        ),
        # Row 1 begins 10 s before the first knot is seen, and ends with 50 s, half of the way from 106 to 103.
        (
            Oracle(delay_ms=70_000),
            [[(0, 100), (60, 100)], [(0, 100), (10, 100), (30, 97), (50, 106), (60, 104.5)]],
        ),
        # Means over 40 s: 100; 98.5; (98.5 + 101.5) / 2; (101.5 + 104.5) / 2; the same; (104.5 + 102.5) / 2; …
        (Oracle(average_ms=40_000), [even(100, 98.5, 100, 103), even(103, 103.5, 104, 107)]),
        # 97 is 3 off 100; 106 is 6 off; from it 103, 104 are not 5.3 off, 101 is 5 off, 110 and 107 are not.
        (Oracle(deviation=0.05), [even(100, 100, 106, 106), even(106, 106, 106, 106)]),
        (Oracle(heartbeat_ms=40_000), [even(100, 100, 106, 106), even(106, 101, 101, 107)]),
        # Published at 0, 40, 60, 80 and 120 s, and 5 s later seen; a staircase, so nothing is in between.
        (
            Oracle(heartbeat_ms=40_000, delay_ms=5_000),
            [
                [(0, 100), (5, 100), (25, 100), (45, 106), (60, 106)],
                [(0, 106), (5, 106), (5, 106), (25, 101), (45, 101), (60, 101)],
            ],
        ),
    ],
)
def test_knots_of_an_oracle(oracle: Oracle, want: list[list[tuple[int, float]]]) -> None:
    assert knots(oracle) == want


def test_the_extremes_of_a_late_row_are_those_of_the_rows_that_fall_into_it() -> None:
    symbol = market("BTC", (100.0, 106.0, 97.0, 103.0), (104.0, 110.0, 101.0, 107.0), (107.0,) * 4)
    rows = [
        Row(at, MINUTE, {"BTC": candle}, {"BTC": candle}, True, "coherent") for at, candle in symbol.candles.items()
    ]
    late = [(row.low, row.high) for row in seen(Oracle(delay_ms=5_000), "BTC", rows).rows.values()]
    assert late == [(97, 106), (97, 110), (101, 110)]
    whole = [(row.low, row.high) for row in seen(Oracle(delay_ms=60_000), "BTC", rows).rows.values()]
    assert whole == [(100, 100), (97, 106), (101, 110)]


def test_the_venue_sees_the_oracle_and_the_account_the_market() -> None:
    # A minute late the mark stands at 100 all through the fall: nobody is liquidated, but equity is 1,000 − 100 × 10.
    outcome = play(btc(FLAT, FALL), order(0, "BTC", 100), oracle=Oracle(delay_ms=MINUTE), cash=1_000)
    assert outcome.liquidations == []
    assert outcome.equity[-1][1] == 0


def test_an_order_on_a_stale_price_is_refused_unless_it_reduces() -> None:
    # Published at 0 only: at 60,000 it is 60,000 old.
    never = Oracle(heartbeat_ms=10 * MINUTE, limit_ms=59_999)
    outcome = play(btc(FLAT), order(0, "BTC", 1), oracle=never)
    assert told(outcome) == [(0, "rejected", "stale", 60_000, 60_000)]
    fresh = play(btc(FLAT), order(0, "BTC", 1), oracle=dataclasses.replace(never, limit_ms=60_000))
    assert told(fresh) == [(0, "filled", "none", 60_000, 60_000)]


# ---- gas


def test_gas_rises_with_congestion_and_is_refused_to_who_cannot_pay() -> None:
    # c = 1.5 as above: 2 × 1.5² = 4.5 for each order, the group and the bracket once; the cancel is free.
    crowd = Congestion(slope=0.5, most=4.0, gas_power=2.0, usual=((0.02, None),))
    chain = Chain(congestion=crowd, gas=(Gas(0, order=micro(2)),))
    symbol = market("BTC", (100.0, 102.0, 98.0, 100.0), FLAT)
    stop = order(0, "BTC", -1, type="stop_market", stop=90.0)
    said = [dataclasses.replace(order(0, "BTC", 1), children=(stop,)), wish(0, "oco", children=(stop, stop))]
    outcome = play(symbol, *said, wish(0, "cancel", order=9), chain=chain)
    assert [(g.ts, g.number, g.amount) for g in outcome.gas] == [(60_000, 0, micro(4.5)), (60_000, 2, micro(4.5))]
    assert outcome.wallet == micro(10_000 - 100 - 9)
    poor = play(symbol, order(0, "BTC", 0.01), chain=chain, cash=4.4)
    assert [(o.reason, o.have, o.need) for o in poor.orders] == [("gas", micro(4.4), micro(4.5))]
    assert poor.wallet == micro(4.4)


# ---- transfers

SLOW = Route(steady(70_000), fee=micro(2), rate=0.01)


def test_a_deposit_is_in_flight_until_the_venue_lets_it_in() -> None:
    # Sent at 60,000, due at 130,000 in a halt that ends at 140,000, gated 5 s longer: 500 less 2 and 1 %.
    gates = Chain(deposits=(SLOW,), outages=(Outage(125_000, 140_000),), gate_ms=5_000, gate_after_ms=15_000)
    chain = dataclasses.replace(gates, gas=(Gas(0, deposit=micro(3)),))
    said = wish(0, "deposit", amount=micro(500)), wish(0, "deposit", amount=0), wish(0, "deposit", amount=micro(500))
    outcome = play(btc(FLAT, FLAT), *said, chain=chain, reserve=micro(1_000))
    assert [(t.ts, t.number, t.state, t.reason, t.fee, t.have, t.need) for t in outcome.transfers] == [
        (60_000, 0, "sent", "none", 0, 0, 0),
        (60_000, 1, "rejected", "quantity", 0, 0, 0),
        (60_000, 2, "rejected", "reserve", 0, micro(497), micro(503)),
        (145_000, 0, "arrived", "none", micro(7), 0, 0),
    ]
    assert (outcome.wallet, outcome.reserve, outcome.in_flight) == (micro(10_493), micro(497), 0)
    early = play(btc(FLAT), *said, chain=chain, reserve=micro(1_000))
    assert (early.wallet, early.reserve, early.in_flight) == (micro(10_000), micro(497), micro(500))


def test_a_withdrawal_leaves_at_once_what_is_free() -> None:
    # 100 long at 100 need 500 of the 1,000: 500 are free.
    chain = Chain(withdrawals=(SLOW,))
    asked = wish(1, "withdraw", amount=micro(500) + 1), wish(1, "withdraw", amount=micro(500))
    outcome = play(btc(FLAT, FLAT, FLAT), order(0, "BTC", 100), *asked, chain=chain, cash=1_000)
    assert [(t.ts, t.state, t.reason, t.fee, t.have, t.need) for t in outcome.transfers] == [
        (120_000, "rejected", "collateral", 0, micro(500), micro(500) + 1),
        (120_000, "sent", "none", 0, 0, 0),
        (190_000, "arrived", "none", micro(7), 0, 0),
    ]
    assert (outcome.wallet, outcome.reserve) == (micro(1_000 - 10_000 - 500), micro(493))
    # At 120,000 the halt from 110,000 is over; the gate is open at 125,000.
    gated = dataclasses.replace(chain, outages=(Outage(110_000, 115_000),), gate_ms=10_000)
    refused = play(btc(FLAT, FLAT), asked[1], chain=gated)
    assert [t.reason for t in refused.transfers] == ["gated"]


def test_a_guard_tops_up_from_the_reserve_and_may_come_too_late() -> None:
    # 100 long at 100 with 1,000. At the close of row 1 the mark is 95: equity 500, maintenance 285, a ratio of 0.57.
    # To 0.5: 285 / 0.5 − 500 = 70, at the close of row 2 again, but 70 are on their way.
    slump = (100.0, 100.0, 95.0, 95.0)
    rows = btc(slump, (95.0,) * 4, (95.0,) * 4)
    guards = (TopUp(0.55, 0.5),)
    near = Chain(deposits=(Route(steady(70_000)),))
    outcome = play(rows, order(0, "BTC", 100), chain=near, cash=1_000, reserve=micro(1_000), guards=guards)
    assert [(t.ts, t.state, t.amount) for t in outcome.transfers] == [
        (120_000, "sent", micro(70)),
        (190_000, "arrived", micro(70)),
    ]
    # Then to 92 at 140,000 and below: gone at 92.78 although the money is on its way.
    late = btc(slump, (95.0, 95.0, 92.0, 95.0))
    crashed = play(late, order(0, "BTC", 100), chain=near, cash=1_000, reserve=micro(1_000), guards=guards)
    assert len(crashed.liquidations) == 1
    assert (crashed.reserve, crashed.in_flight) == (micro(930), micro(70))
