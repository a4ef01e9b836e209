"""Orders that cannot be: each is in the table of orders, rejected with its reason, and the run goes on.

Unless said otherwise: one market at 100 with lots of 0.001 and ticks of 0.5, 100,000 cash, no fees. The bad order is
sent at the close of row 0, a good one at the close of row 2.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import backtest
from backtest import Result, UserError
from tests.scenarios.order_cases_messages import RULES
from tests.scenarios.order_harness import amend, at, buy, cancel, ends, fills, oco, sell
from tests.scenarios.scenario import MINUTE, Market, Row, Script, Step, both, column, play, rows, write

FLAT = [100.0] * 5
DIP, SPIKE = (100.0, 104.0, 90.0, 102.0), (100.0, 110.0, 98.0, 99.0)


def ticked(folder: Path, candles: list[Row], steps: dict[int, Step], **settings: Any) -> Result:
    """The script on one market whose prices have a tick of 0.5."""
    write(folder, Market("BTC", candles))
    manifest = folder / "dataset.toml"
    manifest.write_text(manifest.read_text().replace("step = 0.001", "step = 0.001\ntick = 0.5"))
    return backtest.run(Script(steps, MINUTE), folder, cash=100_000, allow=("missing-funding",), **settings)


def by_notional(amount: float) -> Step:
    return lambda market, account: account.buy("BTC", notional=amount)


def target(amount: float) -> Step:
    return lambda market, account: account.target("BTC", qty=amount)


NEVER_SENT: dict[str, tuple[Step, str]] = {
    "size: nan": (buy(math.nan), "quantity"),
    "size: infinite": (sell(math.inf, limit=101), "quantity"),
    "size: minus infinite": (buy(-math.inf), "quantity"),
    "size: zero": (buy(0), "quantity"),
    "size: zero, with a price": (sell(0, stop=95), "quantity"),
    "size: below zero": (buy(-1), "quantity"),
    "size: below zero, with a bracket": (buy(-1, stop_loss=90), "quantity"),
    "size: below a lot": (buy(0.0009), "step"),
    "size: below a lot, with a price": (sell(0.0009, limit=101), "step"),
    "notional: nan": (by_notional(math.nan), "quantity"),
    "notional: zero": (by_notional(0), "quantity"),
    # 0.09 at 100 is 0.0009, nine tenths of a lot.
    "notional: below a lot": (by_notional(0.09), "step"),
    "target: nan": (target(math.nan), "quantity"),
    "limit: nan": (buy(1, limit=math.nan), "price"),
    "limit: infinite": (sell(1, limit=math.inf), "price"),
    "limit: zero": (buy(1, limit=0), "price"),
    "limit: below zero": (sell(1, limit=-5), "price"),
    # Down to a multiple of 0.5 it is nothing; a sale's is rounded up, to 0.5.
    "limit: below a tick": (buy(1, limit=0.4), "price"),
    "stop: nan": (sell(1, stop=math.nan), "price"),
    "stop: below a tick": (sell(1, stop=0.4), "price"),
    "stop: zero, with a limit": (buy(1, stop=0, limit=101), "price"),
    "target: infinite": (sell(1, target=math.inf), "price"),
    "trail: zero": (sell(1, trail=0), "price"),
    "trail: nan": (sell(1, trail=math.nan), "price"),
    "trail: the whole price": (sell(1, trail="100%"), "price"),
    "activation: nan": (sell(1, trail=2, activation=math.nan), "price"),
    "stop_loss: nan": (buy(1, stop_loss=math.nan), "price"),
    "take_profit: zero": (buy(1, take_profit=0), "price"),
    "bracket: the target beyond the stop": (buy(1, stop_loss=110, take_profit=90), "bracket"),
    "bracket of a sale: the target beyond the stop": (sell(1, stop_loss=90, take_profit=110), "bracket"),
    "bracket: stop and target at one price": (buy(1, stop_loss=95, take_profit=95), "bracket"),
    # Both become 95 on the tick: the stop falls, and goes down; the target sells, and goes up to 95 from 94.6.
    "bracket: stop and target on one tick": (buy(1, stop_loss=95.4, take_profit=94.6), "bracket"),
    "bracket: the stop above the limit": (buy(1, limit=95, stop_loss=96), "bracket"),
    "bracket: the target below the limit": (buy(1, limit=95, take_profit=94), "bracket"),
    "bracket: the stop at the limit": (sell(1, limit=105, stop_loss=105), "bracket"),
}


@pytest.mark.parametrize("name", NEVER_SENT)
def test_it_is_never_sent(tmp_path: Path, name: str) -> None:
    step, reason = NEVER_SENT[name]
    result = ticked(tmp_path, FLAT, {0: step, 2: buy(1)})
    # Refused at the close at which it was to be sent, a bracket as one. The run goes on, and the good order is filled.
    assert ends(result) == {0: (at(1), "rejected", reason, 0.0), 1: (at(3), "filled", None, 1.0)}
    assert rows(result, "orders", "ts_arrived") == [(None,), (at(3),)]
    assert fills(result) == [(at(3), 1, 1.0, 100.0, 0.0, "taker")]


REFUSED: dict[str, tuple[Step, str]] = {
    "a stop that sells above the price": (sell(1, stop=101), "would_trigger"),
    "a stop that sells at the price": (sell(1, stop=100), "would_trigger"),
    "a stop that buys below the price": (buy(1, stop=99), "would_trigger"),
    "a stop-limit that buys below the price": (buy(1, stop=99, limit=98), "would_trigger"),
    "a take-profit that sells below the price": (sell(1, target=99), "would_trigger"),
    "a take-profit that buys above the price": (buy(1, target=101), "would_trigger"),
    # 99.6 rises to 100, which is reached.
    "a stop that is rounded to the price": (buy(1, stop=99.6), "would_trigger"),
    "a post-only order that would take": (buy(1, limit=100, post_only=True), "post_only"),
    "an order that reduces nothing": (sell(1, reduce_only=True), "reduce_only"),
    "an order beyond the margin": (buy(30_000), "margin"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_venue_refuses_it(tmp_path: Path, name: str) -> None:
    step, reason = REFUSED[name]
    result = ticked(tmp_path, FLAT, {0: step, 2: buy(1)})
    assert ends(result) == {0: (at(1), "rejected", reason, 0.0), 1: (at(3), "filled", None, 1.0)}
    assert result.metrics["rejected_orders"] == 1
    assert result.metrics["orders"] == 2


@pytest.mark.parametrize(
    ("order", "row", "limit", "stop"),
    [
        # A limit goes to the passive side: of a purchase down, of a sale up.
        (buy(1, limit=95.4), DIP, 95.0, None),
        (sell(1, limit=104.6), SPIKE, 105.0, None),
        # A trigger that rises goes up, one that falls down.
        (buy(1, stop=104.6), SPIKE, None, 105.0),
        (sell(1, stop=95.4), DIP, None, 95.0),
        (sell(1, target=104.6), SPIKE, None, 105.0),
        (buy(1, target=95.4), DIP, None, 95.0),
        (buy(1, stop=104.6, limit=105.4), SPIKE, 105.0, 105.0),
        # What lies on a tick stays, however the double is off.
        (buy(1, limit=95.5 - 1e-15), DIP, 95.5, None),
    ],
)
def test_a_price_off_the_tick_goes_to_the_passive_side(
    tmp_path: Path, order: Step, row: Row, limit: float | None, stop: float | None
) -> None:
    result = ticked(tmp_path, [100.0, row], {0: order})
    assert rows(result, "orders", "limit_price", "stop_price") == [(limit, stop)]
    # Where it is filled shows that the rounded price is the one that counts: 95 and 105 are met after 10 s.
    price = stop or limit
    assert price is not None
    assert rows(result, "fills", "ts", "price") == [(at(1, abs(price - 100) * 2), price)]


def test_an_amended_price_off_the_tick_goes_to_the_passive_side(tmp_path: Path) -> None:
    result = ticked(tmp_path, [100.0, 100.0, DIP], {0: buy(1, limit=80), 1: amend(0, limit=95.4)})
    assert rows(result, "orders", "limit_price") == [(95.0,)]
    assert column(result, "fills", "price") == [95.0]


@pytest.mark.parametrize(
    ("words", "reason", "ms"),
    [
        ({"qty": math.nan}, "quantity", at(2)),
        ({"qty": 0}, "quantity", at(2)),
        ({"qty": -1}, "quantity", at(2)),
        ({"qty": 0.0001}, "step", at(2)),
        ({"limit": math.inf}, "price", at(2)),
        ({"limit": 0.4}, "price", at(2)),
        # The order has no trigger.
        ({"stop": 95}, "amend", at(2)),
    ],
)
def test_an_amendment_that_cannot_be(tmp_path: Path, words: dict[str, float], reason: str, ms: int) -> None:
    result = ticked(tmp_path, [100.0, 100.0, DIP], {0: buy(1, limit=95), 1: amend(0, **words)})
    # It is in the table beside its order, which stays as it was and is filled.
    found = rows(result, "orders", "type", "status", "target_id")
    assert found == [("limit", "filled", None), ("amend", "rejected", 0)]
    assert ends(result)[1] == (ms, "rejected", reason, 0.0)
    assert column(result, "fills", "price") == [95.0]


@pytest.mark.parametrize(
    "first",
    [
        buy(1),
        buy(1, limit=95, tif="ioc"),
        buy(1, limit=100, post_only=True),
        both(buy(1, limit=95), cancel(0)),
    ],
)
def test_an_amendment_of_a_dead_order(tmp_path: Path, first: Step) -> None:
    # Filled, cancelled, rejected, called back.
    result = ticked(tmp_path, FLAT, {0: first, 1: amend(0, limit=99), 2: sell(1)})
    table = {row[0]: row[1:] for row in rows(result, "orders", "order_id", "type", "status", "reason", "target_id")}
    refused = [row for row in table.values() if row[0] == "amend"]
    assert refused == [("amend", "rejected", "not_open", 0)]
    assert fills(result)[-1][2] == -1.0
    # An amendment is no order of its own.
    assert result.metrics["orders"] == len(table) - 1
    assert result.metrics["refused_amendments"] == 1


def venue(folder: Path, rules: str) -> str:
    file = folder / "rules.toml"
    file.write_text(f"{RULES}{rules}\n")
    return str(file)


def test_more_open_orders_than_the_venue_allows(tmp_path: Path) -> None:
    steps = {0: both(*(buy(1, limit=90 - n) for n in range(5))), 2: buy(1)}
    result = play(tmp_path / "data", [Market("BTC", FLAT)], steps, venue=venue(tmp_path, "most_each = 3"))
    found = rows(result, "orders", "status", "reason")
    assert [status for status, _ in found] == ["expired"] * 3 + ["rejected"] * 2 + ["filled"]
    # Both numbers are in the reason: there are 3, and 3 are allowed.
    assert found[3][1].startswith("open_orders: 3 ")
    assert found[3][1] == found[4][1]


def test_an_order_worth_less_than_the_venue_takes(tmp_path: Path) -> None:
    steps = {0: buy(0.049), 1: buy(0.05)}
    result = play(tmp_path / "data", [Market("BTC", FLAT)], steps, venue=venue(tmp_path, "min_notional = 5"))
    (refused, reason), good = rows(result, "orders", "status", "reason")
    # 0.049 × 100 = 4.90.
    assert refused == "rejected"
    assert reason.startswith("min_notional: ")
    assert "4.90" in reason
    assert "5.00" in reason
    assert good == ("filled", None)


def test_orders_of_a_halted_account(tmp_path: Path) -> None:
    # 10 bought at 100; at the close of row 1 they stand at 90, a loss of 100: halted. In row 2 what waits is called
    # back and what is held is sold, and what is sent from then on is refused.
    steps = {
        0: both(buy(10), sell(10, limit=120, reduce_only=True), buy(1, limit=80), buy(1, stop=130)),
        1: both(buy(1), buy(1, limit=85, stop_loss=70)),
    }
    market = Market("BTC", [100.0, (100.0, 100.0, 90.0, 90.0), 90.0])
    result = play(tmp_path, [market], steps, guards=["account-loss=100"])
    found = ends(result)
    assert {n: found[n][1:3] for n in (1, 2, 3)} == dict.fromkeys((1, 2, 3), ("cancelled", "halted"))
    refused = [end for end in found.values() if end[1:3] == ("rejected", "halted")]
    # an order, another, and its child: a message is refused whole
    assert refused == [(at(2), "rejected", "halted", 0.0)] * 3
    assert [fill[2] for fill in fills(result)] == [10.0, -10.0]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (buy(1, limit=99, trail=2), "trail and limit are both given"),
        (buy(1, stop=101, target=99), "stop and target are both given"),
        (buy(1, post_only=True), "post_only without limit"),
        (buy(1, limit=99, tif="gtx"), "unknown tif 'gtx'"),
        (buy(1, stop=101, trigger="index"), "unknown trigger 'index'"),
        (buy(1, tif="gtd"), "tif gtd without expires"),
        (sell(1, trail="two"), "trail 'two'"),
        (buy(1, limit="99"), "limit '99' is not a number"),
        (lambda market, account: account.buy("DOGE", 1), "DOGE"),
        (oco({"qty": 1, "limit": 95}), "oco"),
    ],
)
def test_what_cannot_be_an_order_at_all_stops_the_run(tmp_path: Path, step: Step, said: str) -> None:
    with pytest.raises((UserError, backtest.RunError), match=r"order|oco|on_candle") as raised:
        ticked(tmp_path, FLAT, {0: step})
    assert said in str(raised.value)


def test_a_share_of_no_volume_is_named(tmp_path: Path) -> None:
    # Nobody traded in two of five candles. The order that comes there waits, and the run says why.
    market = Market("BTC", FLAT, volume=[9.0, 0.0, 0.0, 50.0, 50.0])
    result = play(tmp_path, [market], {0: buy(5)}, volume_share="10%")
    assert fills(result) == [(at(3), 0, 5.0, 100.0, 0.0, "taker")]
    assert result.summary["counts"]["candles without volume"] == 2
    assert any(note.startswith("2 candles without volume") for note in result.summary["notes"])
