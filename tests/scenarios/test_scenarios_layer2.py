"""Scenarios C1 to C9: what the chain's way, its halts and the money on it do to an account.

Unless said otherwise: rows of a minute, 100,000 cash, no fees, initial 5 %, maintenance 3 %, penalty 1 %. Times are
seconds after row 0's open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import backtest
from backtest.core.enums import Cause, Reason, Stage, Status, TransferState
from backtest.core.records import Record
from backtest.engine import layout as at
from backtest.engine.machine import entry
from backtest.engine.passage import pack_chain, pack_ways
from backtest.engine.way import draw
from backtest.engine.world import World
from backtest.venues import chains
from backtest.venues.chain import Chain, Congestion, Gas, Latency, Outage, Route, Rule
from tests.rules_index import rule
from tests.scenarios.chained import played
from tests.scenarios.scenario import INTERVALS, START, Market, Script, Step, both, buy, sell, write

UP = (80.0, 86.0, 80.0, 86.0)
"""80 for 20 s, up to 86 in the next 20, and there."""


def seconds(from_s: float, to_s: float) -> Outage:
    return Outage(START + round(from_s * 1000), START + round(to_s * 1000))


def halted(*outages: Outage, **more: Any) -> Chain:
    return Chain(name="halted", outages=outages, **more)


def script(steps: Mapping[int, Step], interval: str = "1m") -> Script:
    return Script(steps, INTERVALS[interval])


def fills(record: Record) -> list[tuple[float, int, int, float]]:
    """Seconds, order, lots, price."""
    found = record.fills
    return [((int(f["ts_ms"]) - START) / 1000, int(f["order_id"]), int(f["lots"]), float(f["price"])) for f in found]


def ends(record: Record) -> list[tuple[str, str]]:
    """Status and reason of each order, by number."""
    return [(Status(o["status"]).name.lower(), Reason(o["reason"]).name.lower()) for o in record.orders]


def arrivals(record: Record) -> list[float]:
    return [(int(o["ts_arrived_ms"]) - START) / 1000 for o in record.orders]


# ---- C1 to C4: a sequencer that stands still


CRASH = [100.0] * 3 + [80.0] * 29 + [UP, 86.0, 86.0]


@rule("layer2 3")
def test_C1_an_order_sent_just_before_a_halt_is_filled_after_it_at_the_price_of_that_moment(tmp_path: Path) -> None:
    # Sent at 120 s and 180 s, both 15 s on their way; the chain stands from 130 s for half an hour, to 1,930 s, which
    # is 10 s into row 32. A ms of halt takes half a ms of working off: 1,930 + 5 / 2 and 1,930 + 65 / 2.
    chain = halted(seconds(130, 1_930), backlog=0.5)
    steps = {1: buy("BTC", 1), 2: buy("BTC", 1)}
    record = played(tmp_path, script(steps), Market("BTC", CRASH), chain=chain, latency_ms=15_000)
    assert fills(record) == [(1_932.5, 0, 1_000, 80.0), (1_962.5, 1, 1_000, 86.0)]


@rule("layer2 3")
def test_C1_a_limit_that_the_halt_has_passed_fills_when_the_chain_returns(tmp_path: Path) -> None:
    # It rests at 90 from 60 s on; 80 is passed in the halt. Back at 1,930 s the price is 80: it is filled at its limit.
    chain = halted(seconds(130, 1_930))
    record = played(tmp_path, script({0: lambda _, a: a.buy("BTC", 1, limit=90)}), Market("BTC", CRASH), chain=chain)
    assert fills(record) == [(1_930.0, 0, 1_000, 90.0)]


@rule("layer2 3")
def test_C1_a_stop_that_the_halt_has_passed_sells_at_the_price_of_the_return(tmp_path: Path) -> None:
    chain = halted(seconds(130, 1_950))
    steps = {0: both(buy("BTC", 1), lambda _, a: a.sell("BTC", 1, stop=90))}
    record = played(tmp_path, script(steps), Market("BTC", CRASH), chain=chain)
    # 30 s into row 32: half way from 80 to 86.
    assert fills(record) == [(60.0, 0, 1_000, 100.0), (1_950.0, 1, -1_000, 83.0)]


@rule("layer2 3")
def test_C1_what_has_come_back_by_the_return_is_not_filled(tmp_path: Path) -> None:
    dip = [100.0, 100.0, 100.0, 80.0, 100.0, 100.0]
    steps = {0: both(buy("BTC", 1), lambda _, a: a.sell("BTC", 1, stop=90))}
    record = played(tmp_path, script(steps), Market("BTC", dip), chain=halted(seconds(130, 250)))
    assert fills(record) == [(60.0, 0, 1_000, 100.0)]


@rule("layer2 3")
@pytest.mark.parametrize(
    ("chain", "end", "at"),
    [
        ({"rule": Rule.WAIT}, ("filled", "none"), 250.0),
        ({"rule": Rule.DROP}, ("rejected", "outage"), -1.0),
        ({"rule": Rule.EXPIRE, "ttl_ms": 114_999}, ("expired", "outage"), 250.0),
        ({"rule": Rule.EXPIRE, "ttl_ms": 115_000}, ("filled", "none"), 250.0),
        # By Layer 1 after a minute and a half, in the midst of the halt.
        ({"rule": Rule.DROP, "forced_ms": 90_000}, ("filled", "none"), 225.0),
    ],
)
def test_C1_by_the_rule_of_the_chain(tmp_path: Path, chain: dict[str, Any], end: tuple[str, str], at: float) -> None:
    # Sent at 120 s, at the sequencer at 135 s: 115 s before the return at 250 s.
    record = played(
        tmp_path, script({1: buy("BTC", 1)}), Market("BTC", [100.0] * 6), chain=halted(seconds(130, 250), **chain),
        latency_ms=15_000,
    )  # fmt: skip
    assert ends(record) == [end]
    found = int(record.orders[0]["ts_arrived_ms"])
    assert (-1.0 if found < 0 else (found - START) / 1000) == at


# Long 25 at 10,000: healthy while 100,000 + 25 (p - 10,000) >= 0.03 * 25 p, down to 150,000 / 24.25 = 6,185.57.
LONG = {0: buy("BTC", 25)}


def liquidated(record: Record) -> list[tuple[float, str, float]]:
    """Seconds, stage, price."""
    found = record.liquidations
    return [((int(r["ts_ms"]) - START) / 1000, Stage(r["stage"]).name.lower(), float(r["price"])) for r in found]


@rule("layer2 3")
def test_C2_under_water_in_the_halt_and_healthy_after_it(tmp_path: Path) -> None:
    market = Market("BTC", [1e4, 1e4, 1e4, 6e3, 6e3, 1e4, 1e4])
    assert liquidated(played(tmp_path / "running", script(LONG), market)) != []
    # 130 s to 305 s: 5 s into row 5, which is at 10,000 again.
    record = played(tmp_path / "halted", script(LONG), market, chain=halted(seconds(130, 305)))
    assert liquidated(record) == []
    assert record.curve["equity"][3] == 0  # the equity row tells the market's value all the same: 100,000 - 25 * 4,000
    assert record.curve["equity"][-1] == 100_000


@rule("layer2 3", "layer2 4")
def test_C3_under_water_after_the_grace_period(tmp_path: Path) -> None:
    # Back at 250 s, spared to 310 s, which is 10 s into row 5 at 5,900: 100,000 - 25 * 4,100 = -2,500, borne by others.
    market = Market("BTC", [1e4, 1e4, 1e4, 6e3, 6e3, 5.9e3, 6.2e3])
    record = played(tmp_path, script(LONG), market, chain=halted(seconds(130, 250), grace_ms=60_000))
    assert liquidated(record) == [(310.0, "whole", 5_900.0)]
    assert int(record.liquidations[0]["bad_debt"]) == 2_500_000_000
    assert record.final_wallet == 0


@rule("layer2 3", "layer2 4")
def test_C3_the_grace_of_a_healthy_pool_is_nothing(tmp_path: Path) -> None:
    # At 6,200 the pool is healthy; under water from row 6 on only, long after all grace: there at once.
    market = Market("BTC", [1e4, 1e4, 1e4, 6.2e3, 6.2e3, 6.2e3, 6.1e3])
    record = played(tmp_path, script(LONG), market, chain=halted(seconds(130, 250), grace_ms=60_000))
    assert liquidated(record) == [(360.0, "whole", 6_100.0)]


@rule("layer2 3", "layer2 4")
def test_C3_the_oracle_of_before_holds_for_its_first_blocks(tmp_path: Path) -> None:
    # The halt of October 2025: back at 250 s, the mark is 10,000 for 30 s more. Nobody is liquidated by it, and who
    # buys 20 more at 6,000 is judged by it: equity 100,000 + 20 * 4,000, needed 45 * 500. At 280 s it jumps to 6,000:
    # 100,000 - 25 * 4,000 = 0 against 0.03 * 45 * 6,000.
    market = Market("BTC", [1e4, 1e4, 1e4, 6e3, 6e3, 6e3])
    steps = {**LONG, 1: buy("BTC", 20)}
    chain = halted(seconds(130, 250), stale_ms=30_000)
    record = played(tmp_path, script(steps), market, chain=chain, latency_ms=15_000)
    assert fills(record)[:2] == [(75.0, 0, 25_000, 1e4), (250.0, 1, 20_000, 6e3)]
    assert liquidated(record) == [(280.0, "whole", 6_000.0)]
    # Without staleness the same order finds an account without equity, in which 25 lots of the pool need 7,500 of it.
    plain = played(tmp_path / "fresh", script(steps), market, chain=halted(seconds(130, 250)), latency_ms=15_000)
    assert liquidated(plain) == [(250.0, "whole", 6_000.0)]
    assert ends(plain)[1] == ("rejected", "margin")


FALLS = Market(
    "BTC", [100.0, 100.0, (100.0, 100.0, 86.0, 86.0), (86.0, 86.0, 80.5, 80.5), (80.5, 80.5, 79.0, 79.0), 79.0]
)
"""79 is reached at 280 s: highs come first, so it falls in the second third of a row."""


@rule("layer2 3", "layer2 4")
@pytest.mark.parametrize(("oracle", "when", "price", "left"), [
    # 15,000 at 100 on 100,000: health is zero where 100,000 + 15,000 (m - 100) = 450 m, at 96.219931 on the way from
    # 100 to 86, a fraction 3.780069 / 14 of the 20 s from 140 s on; 2 % of 1,443,298.969072 are left.
    ((), 145.400, 96.219931, 28_865.979381),
    # 100 holds until the knot at which the market is off by 20 %. It jumps to 79 there, and the account with it: to
    # 100,000 - 315,000.
    (("deviation=20%",), 280.0, 79.0, 0.0),
    # What was published at 0 s holds until 240 s, where 80.5 is.
    (("heartbeat=4m",), 240.0, 80.5, 0.0),
])  # fmt: skip
def test_C3_what_has_been_published_holds_until_something_else_is(
    tmp_path: Path, oracle: tuple[str, ...], when: float, price: float, left: float
) -> None:
    record = played(tmp_path, script({0: buy("BTC", 15_000)}), FALLS, oracle=oracle)
    ((at, stage, paid),) = liquidated(record)
    assert (round(at, 2), stage, round(paid, 6)) == (round(when, 2), "whole", price)
    assert record.final_wallet == round(left * 1e6)


@rule("layer2 3", "layer2 4")
@pytest.mark.parametrize(
    ("oracle", "refused"),
    [
        # From 130 s to 330 s an order that arrives at a full minute sees what was published at 130 s: it is 110 s
        # old at 240 s, in a halt until 150 s and stale for 180 s more.
        (("limit=90s",), [240, 300]),
        # Published at 120 s: 120 s old at 240 s; with a heartbeat of a minute never old but then.
        (("limit=90s", "heartbeat=1m"), [240, 300]),
        (("limit=115s", "heartbeat=1m"), [240, 300]),
        (("limit=120s", "heartbeat=1m"), [300]),
        (("heartbeat=1m",), []),
    ],
)
def test_C3_a_mark_that_stands_still_grows_old(tmp_path: Path, oracle: tuple[str, ...], refused: list[int]) -> None:
    steps = {k: buy("BTC", 1) for k in range(9)}
    chain = halted(seconds(130, 150), stale_ms=180_000)
    record = played(tmp_path, script(steps), Market("BTC", [100.0] * 11), chain=chain, oracle=oracle)
    late = record.orders[record.orders["reason"] == Reason.STALE]
    assert [(int(o["ts_arrived_ms"]) - START) // 1000 for o in late] == refused
    assert len(record.orders) == 9


@rule("orders 2")
def test_C4_a_market_order_that_comes_into_a_gap_waits_for_the_next_price(tmp_path: Path) -> None:
    chain = Chain(name="slow", network=Latency(70_000, 70_000))
    market = Market("BTC", [100.0, 100.0, None, 80.0, 80.0])
    record = played(tmp_path, script({0: buy("BTC", 1)}), market, chain=chain)  # it comes at 130 s
    assert fills(record) == [(180.0, 0, 1_000, 80.0)]


# ---- C5 and C6: money that takes time


@rule("layer2 6")
def test_C5_a_rescue_that_comes_too_late(tmp_path: Path) -> None:
    # Asked for at 120 s, on its way for 90 s; under water at 180 s.
    market = Market("BTC", [1e4, 1e4, 1e4, 6e3, 6e3, 6e3])
    chain = Chain(name="bridge", deposits=(Route("canonical", Latency(90_000, 90_000)),))
    steps = {**LONG, 1: lambda _, account: account.top_up(50_000)}
    seen: list[tuple[float, float, float]] = []
    steps |= {k: lambda _, a: seen.append((a.reserve, a.in_flight, a.wallet)) for k in (2, 3)}
    record = played(tmp_path, script(steps), market, chain=chain, reserve=60_000)
    assert liquidated(record) == [(180.0, "whole", 6_000.0)]
    assert seen == [(10_000, 50_000, 100_000), (10_000, 0, 50_000)]
    sent, arrived = record.transfers
    assert (int(sent["ts_ms"]) - START, int(arrived["ts_ms"]) - START) == (120_000, 210_000)
    assert (record.final_wallet, record.final_reserve, record.final_in_flight) == (50_000_000_000, 10_000_000_000, 0)
    # At once it would have saved the account.
    saved = played(tmp_path / "instant", script(steps), market, reserve=60_000)
    assert liquidated(saved) == []


@rule("layer2 6")
def test_C6_a_withdrawal_through_a_window_of_seven_days(tmp_path: Path) -> None:
    week = 7 * 86_400_000
    chain = Chain(name="optimistic", withdrawals=(Route("canonical", Latency(week, week), 5_000_000),))
    seen: list[tuple[float, float, float]] = []

    def look(_: Any, account: Any) -> None:
        seen.append((account.wallet, account.in_flight, account.reserve))

    steps = {0: lambda _, account: account.withdraw(40_000), 1: look, 167: look, 168: look, 169: look}
    strategy = script(steps, "1h")
    record = played(tmp_path, strategy, Market("BTC", [100.0] * 172), chain=chain, interval="1h")
    # Gone at the close of row 0; it arrives 168 hours later, at the open of row 169, less 5.
    assert seen == [(60_000, 40_000, 0)] * 3 + [(60_000, 0, 39_995)]
    assert [int(t["ts_ms"]) - START for t in record.transfers] == [3_600_000, 3_600_000 + week]


def test_a_withdrawal_of_more_than_is_free_and_one_at_a_closed_gate(tmp_path: Path) -> None:
    # Bought at 99 at the open of row 1: equity 100,000, of which 0.05 * 99 are needed.
    market = Market("BTC", [100.0, 99.0, 99.0, 99.0, 99.0, 99.0])
    out = (Route("fast", Latency(1_000, 1_000)),)
    chain = halted(seconds(150, 200), gate_after_ms=50_000, gate_ms=60_000, withdrawals=out)
    asked = {
        0: buy("BTC", 1),
        1: lambda _, a: a.withdraw(99_996),
        2: lambda _, a: a.withdraw(1.0),  # 180 s: the chain stands
        3: lambda _, a: a.withdraw(1.0),  # 240 s: the gates are closed until 260 s
        4: lambda _, a: a.withdraw(1.0),
    }
    record = played(tmp_path, script(asked), market, chain=chain)
    states = [(TransferState(t["state"]).name, Reason(t["reason"]).name) for t in record.transfers]
    assert states[:3] == [("REJECTED", "COLLATERAL"), ("REJECTED", "GATED"), ("REJECTED", "GATED")]
    assert [name for name, _ in states[3:]] == ["SENT", "ARRIVED"]
    assert (int(record.transfers[0]["have"]), int(record.transfers[0]["need"])) == (99_995_050_000, 99_996_000_000)


# ---- C7 to C9: draws, races, nothing


RANDOM = Chain(name="random", network=Latency(200, 900), queue=Latency(300, 5_000), block_ms=250)


@rule("layer2 1")
def test_C7_one_more_order_moves_no_other(tmp_path: Path) -> None:
    markets = [Market(name, [100.0] * 8) for name in ("BTC", "ETH")]
    steps = {k: both(buy("BTC", 1), buy("ETH", 1)) for k in range(5)}
    more = {**steps, 2: both(buy("ETH", 1), buy("BTC", 1), buy("ETH", 1))}
    few = played(tmp_path / "few", script(steps), *markets, chain=RANDOM, seed=5)
    many = played(tmp_path / "many", script(more), *markets, chain=RANDOM, seed=5)
    way = {(int(o["symbol"]), int(o["ts_sent_ms"])): int(o["ts_arrived_ms"]) for o in few.orders}
    assert len(set(way.values())) > 5
    by_symbol = {(int(o["symbol"]), int(o["ts_sent_ms"])): int(o["ts_arrived_ms"]) for o in reversed(many.orders)}
    assert by_symbol == way  # of the two in ETH at one close the first has the delay that there was
    other = played(tmp_path / "other", script(steps), *markets, chain=RANDOM, seed=6)
    assert [int(o["ts_arrived_ms"]) for o in other.orders] != [int(o["ts_arrived_ms"]) for o in few.orders]
    isolated = played(tmp_path / "isolated", script(steps), *markets, chain=RANDOM, seed=5, margin="isolated")
    assert [int(o["ts_arrived_ms"]) for o in isolated.orders] == [int(o["ts_arrived_ms"]) for o in few.orders]


@rule("layer2 1")
def test_C7_what_is_refused_before_it_is_sent_moves_no_other(tmp_path: Path) -> None:
    # Whoever had a draw, or the one place in a block, would move the one behind it.
    def refused(_: Any, account: Any) -> None:
        account.buy("BTC", float("nan"))
        account.buy("BTC", 1, limit=-5.0)

    market = Market("BTC", [100.0] * 8)
    chain = replace(RANDOM, most_per_block=1)
    plain = played(tmp_path / "plain", script({2: buy("BTC", 1)}), market, chain=chain, seed=5)
    behind = played(tmp_path / "behind", script({2: both(refused, buy("BTC", 1))}), market, chain=chain, seed=5)
    assert [(int(o["status"]), int(o["ts_arrived_ms"]), int(o["ts_done_ms"] - START)) for o in behind.orders] == [
        *[(Status.REJECTED, -1, 180_000)] * 2,
        (Status.FILLED, int(plain.orders[0]["ts_arrived_ms"]), int(plain.orders[0]["ts_done_ms"]) - START),
    ]


@rule("layer2 2")
@pytest.mark.parametrize(("late", "end"), [(19_000, "cancelled"), (21_000, "filled")])
def test_C8_a_cancel_and_a_fill_race(tmp_path: Path, late: int, end: str) -> None:
    # Sent at 120 s. In row 2 the price passes 90 after 20 s: 100 down to 80 in the first 40, as highs come first.
    market = Market("BTC", [100.0, 100.0, (100.0, 100.0, 80.0, 80.0), 80.0])
    steps = {0: lambda _, a: a.buy("BTC", 1, limit=90), 1: lambda _, a: a.cancel(0)}
    chain = Chain(name="slow", network=Latency(late + 10_000, late + 10_000))
    record = played(tmp_path, script(steps), market, chain=chain)
    assert ends(record) == [(end, "none" if end == "filled" else "strategy")]


@rule("layer2 2")
def test_C8_the_block_sorts_cancels_before_takers(tmp_path: Path) -> None:
    # All of them are in the block of 130 s; the stop that is cancelled would else have been met by the same price.
    steps = {
        0: lambda _, a: a.sell("BTC", 1, limit=200),
        1: both(buy("BTC", 1), lambda _, a: a.cancel(0), lambda _, a: a.buy("BTC", 1, limit=50, post_only=True)),
    }
    for sorts, order in ((False, [1, 0]), (True, [0, 1])):
        heard: list[int] = []

        class Heard(Script):
            def on_order(self, event: Any, market: Any, account: Any) -> None:
                if event.state in ("filled", "cancelled", "working") and event.ts_ms >= START + 130_000:
                    heard.append(event.order_id)  # noqa: B023

        chain = Chain(name="blocks", network=Latency(100, 100), block_ms=10_000, sorts=sorts)
        played(tmp_path / str(sorts), Heard(steps, 60_000), Market("BTC", [100.0] * 5), chain=chain)
        assert heard == ([3] if sorts else []) + order + ([] if sorts else [3])


@rule("orders 2", "layer2 2")
def test_C9_an_instant_chain_changes_nothing(tmp_path: Path) -> None:
    data = write(tmp_path, Market("BTC", [100.0, 101.0, 102.0, 103.0]))
    asked: dict[str, Any] = {"cash": 100_000, "allow": ("missing-funding",)}
    bare = backtest.run(script({0: buy("BTC", 1)}), data, **asked)
    chained = backtest.run(script({0: buy("BTC", 1)}), data, chain="instant", **asked)
    assert bare.summary["digest"] == chained.summary["digest"]
    assert bare.tables["fills"]["price"].to_list() == [101.0]


# ---- blocks, gas, reorgs


def test_blocks_take_so_many_messages_of_an_account_and_never_early(tmp_path: Path) -> None:
    chain = Chain(name="blocks", network=Latency(100, 100), block_ms=4_000, most_per_block=2)
    steps = {0: both(*(buy("BTC", 1) for _ in range(5)))}
    record = played(tmp_path, script(steps), Market("BTC", [100.0] * 3), chain=chain)
    # 60.1 s: blocks at 64, 68 and 72 s (1,709,251,200 s is a multiple of 4).
    assert arrivals(record) == [64.0, 64.0, 68.0, 68.0, 72.0]


@rule("layer2 5")
def test_gas_of_orders_and_cancels(tmp_path: Path) -> None:
    gas = (Gas(0, 300_000, 100_000), Gas(START + 120_000, 600_000, 200_000))
    steps = {
        0: lambda _, a: a.buy("BTC", 1, limit=90, stop_loss=80),  # two orders, one message
        1: lambda _, a: a.cancel(0),  # sent at 120 s: dear already
        2: lambda _, a: a.cancel(99),
    }
    record = played(tmp_path, script(steps), Market("BTC", [100.0] * 5), chain=Chain(name="gas", gas=gas))
    assert [int(g["amount"]) for g in record.gas] == [300_000, 200_000, 200_000]
    assert record.final_wallet == 100_000_000_000 - 700_000


@rule("layer2 5")
def test_who_cannot_pay_gas_is_not_included(tmp_path: Path) -> None:
    chain = Chain(name="gas", gas=(Gas(0, 60_000_000),))
    steps = {0: both(buy("BTC", 1), buy("BTC", 1))}
    record = played(tmp_path, script(steps), Market("BTC", [10.0] * 3), chain=chain, cash=100)
    assert ends(record) == [("filled", "none"), ("rejected", "gas")]
    assert (int(record.orders[1]["have"]), int(record.orders[1]["need"])) == (40_000_000, 60_000_000)
    assert record.final_wallet == 30_000_000  # 100 - 60 - 10


def test_congestion_makes_the_queue_longer_and_gas_dearer(tmp_path: Path) -> None:
    # Without a usual value there is none; the play of it is in the differential test.
    chain = Chain(
        name="crowd", queue=Latency(1_000, 1_000), congestion=Congestion(2.0, 1.0, 10.0), gas=(Gas(0, 100_000),)
    )
    record = played(tmp_path, script({0: buy("BTC", 1)}), Market("BTC", [100.0] * 3), chain=chain)
    assert arrivals(record) == [61.0]
    assert [int(g["amount"]) for g in record.gas] == [100_000]


def test_a_reorg_undoes_the_last_fills_before_a_halt(tmp_path: Path) -> None:
    # Fills at 60 s, 120 s and 180 s; the chain stops at 185 s and undoes what is younger than 100 s.
    market = Market("BTC", [100.0, 100.0, 110.0, 120.0, 130.0, 130.0])
    steps = {0: buy("BTC", 1), 1: buy("BTC", 2), 2: sell("BTC", 1)}
    chain = halted(seconds(185, 250), reorg_ms=100_000)
    record = played(tmp_path, script(steps), market, chain=chain, fee_bps=10)
    undone = record.fills[record.fills["cause"] == Cause.REORG]
    assert [(int(f["order_id"]), int(f["lots"]), int(f["quote"]), int(f["fee"])) for f in undone] == [
        (2, 1_000, -120_000_000, -120_000),
        (1, -2_000, 220_000_000, -220_000),
    ]
    assert [int(f["ts_ms"]) - START for f in undone] == [185_000] * 2
    assert list(record.final_lots) == [1_000]
    assert record.final_wallet == 100_000_000_000 - 100_000_000 - 100_000


# ---- statistics of draws


STAGES = {"network": at.NETWORK, "queue": at.QUEUE_STAGE, "back": at.WAY_BACK}


@pytest.mark.parametrize("name", chains.names())
def test_drawn_latencies_have_their_median_and_p99(name: str) -> None:
    chain = chains.load(name).chain(START)
    run = np.zeros(at.RUN_WIDTH)
    pack_chain(chain, 12_345_678_901, run)
    w = World(run=run, ways=pack_ways(chain))
    one = entry(draw)
    for stage, row in STAGES.items():
        latency = getattr(chain, stage)
        drawn = [one(w, row, row, START + k * 60_000, k % 7, k % 3) for k in range(100_000)]
        assert np.median(drawn) == pytest.approx(latency.median_ms, rel=0.02), stage
        assert np.quantile(drawn, 0.99) == pytest.approx(latency.p99_ms, rel=0.02), stage
