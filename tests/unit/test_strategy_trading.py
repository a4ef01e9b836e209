"""What each call of `account` sends, what `account.orders` and `on_order` say of it, and what a candle does to it.

Unless said otherwise: rows of an hour, 100,000 cash, no fees, initial 5 %, lots of 0.001, no ticks. Scripts act at the
close of row 0, so their orders arrive at the open of row 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import backtest
from backtest import Order, Result
from tests.scenarios.scenario import INTERVALS, START, Market, Script, Step, Tape, both, rows, write

HOUR = INTERVALS["1h"]
MINUTE = 60_000
HILL = (100.0, 103.0, 98.0, 101.0)
"""The hour of docs/reference/orders.md: 100, then 98 after 20 minutes, 103 after 40, 101 at the close."""


class Listener(Script):
    """A script that writes down each change of an order's state, and each fill."""

    def __init__(self, steps: Mapping[int, Step]) -> None:
        super().__init__(steps, HOUR)
        self.states, self.fills = Tape(), Tape()

    def on_order(self, event: Any, market: Any, account: Any) -> None:
        self.states.append((event.order_id, event.state, event.reason, (event.ts_ms - START) / MINUTE))
        assert event.ts_ms <= market.now_ms

    def on_fill(self, fill: Any, market: Any, account: Any) -> None:
        self.fills.append((fill.order_id, (fill.ts_ms - START) / MINUTE, fill.qty, fill.price, fill.liquidity))


def trade(
    folder: Path, candles: Sequence[Any], steps: Mapping[int, Step] | Step, tick: float | None = None, **settings: Any
) -> tuple[Listener, Result]:
    """Play steps on one market, BTC; a step alone is that of row 0."""
    heard = Listener(steps if isinstance(steps, Mapping) else {0: steps})
    market = settings.pop("market", Market("BTC", candles))
    data = write(folder, market, *settings.pop("beside", ()), interval="1h")
    if tick is not None:
        with (data / "dataset.toml").open("a") as file:
            file.write(f"tick = {tick}\n")
    return heard, backtest.run(heard, data, allow=("missing-funding",), **{"cash": 100_000, **settings})


def ended(result: Result) -> list[tuple[Any, ...]]:
    """Number, status and the word of the reason of each order."""
    found = rows(result, "orders", "order_id", "status", "reason")
    return [(number, status, reason and reason.split(":")[0].split(" ")[0]) for number, status, reason in found]


def at_each_instant(heard: Listener) -> list[Any]:
    """What was heard of each order in order; of several at one instant by their numbers."""
    return sorted(heard.states, key=lambda state: (state[3], state[0]))


# ---- the hour of the page


@pytest.mark.parametrize(
    ("order", "fill"),
    [
        # 100 to 98 in 20 minutes: 99 after 10. 98 to 103 in 20: 102 after 16. 103 to 101 in 20: 101.5 after 15.
        (Order("BTC", 1.0), (0, 100.0, "taker")),
        (Order("BTC", 1.0, limit=99.0), (10, 99.0, "maker")),
        (Order("BTC", 1.0, limit=98.0), None),
        (Order("BTC", 1.0, limit=100.5), (0, 100.0, "taker")),
        (Order("BTC", -1.0, limit=102.0), (36, 102.0, "maker")),
        (Order("BTC", 1.0, stop=102.0), (36, 102.0, "taker")),
        (Order("BTC", -1.0, stop=97.0), None),
        (Order("BTC", -1.0, stop=98.0), (20, 98.0, "taker")),
        (Order("BTC", 1.0, stop=102.0, limit=101.5), (55, 101.5, "maker")),
        (Order("BTC", 1.0, stop=102.0, limit=102.5), (36, 102.0, "taker")),
        (Order("BTC", 1.0, target=99.0), (10, 99.0, "taker")),
        (Order("BTC", -1.0, target=102.0), (36, 102.0, "taker")),
        # Triggered at 102 on the way up, rests at 102.5, which is met half a minute in ten after: 98 + 4.5 in 18.
        (Order("BTC", -1.0, target=102.0, limit=102.5), (38, 102.5, "maker")),
        (Order("BTC", -1.0, trail="3%"), None),
        (Order("BTC", -1.0, trail="2%"), (20, 98.0, "taker")),
        # The best is 103 from minute 40: 101.5 is met after 15 more.
        (Order("BTC", -1.0, trail=1.5, activation=102.5), (55, 101.5, "taker")),
        # A purchase: from 98 up. Half a unit above it after 2 minutes.
        (Order("BTC", 1.0, trail=0.5, activation=98.5), (22, 98.5, "taker")),
        (Order("BTC", 1.0, limit=99.0, tif="ioc"), None),
        (Order("BTC", 1.0, limit=99.0, tif="fok"), None),
        (Order("BTC", 1.0, limit=99.0, expires="9m"), None),
        (Order("BTC", 1.0, limit=99.0, expires="11m"), (10, 99.0, "maker")),
        (Order("BTC", 1.0, limit=99.0, post_only=True), (10, 99.0, "maker")),
        (Order("BTC", 1.0, limit=100.5, post_only=True), None),
    ],
)
def test_the_hour_of_the_page(tmp_path: Path, order: Order, fill: Any) -> None:
    heard, _ = trade(tmp_path, [100.0, HILL], lambda _, account: account.send(order))
    assert [(minute - 60, price, liquidity) for _, minute, _, price, liquidity in heard.fills] == [fill][: bool(fill)]


def test_a_touch_fills_where_it_is_asked_for(tmp_path: Path) -> None:
    rest = lambda _, account: account.buy("BTC", 1.0, limit=98.0)  # noqa: E731
    heard, _ = trade(tmp_path, [100.0, HILL], rest, limit_fill="touch")
    assert list(heard.fills) == [(0, 80.0, 1.0, 98.0, "maker")]


def test_a_jump_fills_a_stop_at_the_open_and_a_limit_at_its_limit(tmp_path: Path) -> None:
    # From 100 to an open of 90: the stop of 95 is worse off, the limit of 95 no better.
    send = both(lambda _, a: a.sell("BTC", 1.0, stop=95.0), lambda _, a: a.buy("BTC", 2.0, limit=96.0))
    heard, _ = trade(tmp_path, [100.0, 100.0, 90.0], send)
    assert list(heard.fills) == [(1, 120.0, 2.0, 96.0, "maker"), (0, 120.0, -1.0, 90.0, "taker")]


def test_a_missing_candle_fills_nothing(tmp_path: Path) -> None:
    # Row 2 is a gap, in which the mark falls to 97: the stop by the mark is triggered and waits for the open of 99.
    market = Market("BTC", [100.0, 100.0, None, 99.0], mark=[100.0, 100.0, (100.0, 100.0, 97.0, 97.0), 99.0])
    send = both(lambda _, a: a.sell("BTC", 1.0, stop=98.0, trigger="mark"), lambda _, a: a.buy("BTC", 2.0, limit=99.5))
    steps = {0: send, 1: lambda _, a: a.buy("BTC", 4.0)}
    heard, _ = trade(tmp_path, [], steps, market=market, beside=[Market("ETH", [1.0] * 4)])
    assert heard.fills == [
        (1, 180.0, 2.0, 99.5, "maker"),
        (0, 180.0, -1.0, 99.0, "taker"),
        (2, 180.0, 4.0, 99.0, "taker"),
    ]
    triggered = next(state for state in heard.states if state[1] == "triggered")
    assert 120 < triggered[3] < 180


def test_entry_and_stop_inside_one_candle(tmp_path: Path) -> None:
    # 100 to 98: bought at 99 after 10 minutes, stopped at 98.5 after 15, the target is cancelled.
    send = lambda _, a: a.buy("BTC", 1.0, limit=99.0, stop_loss=98.5, take_profit=102.0)  # noqa: E731
    heard, result = trade(tmp_path, [100.0, HILL], send)
    assert list(heard.fills) == [(0, 70.0, 1.0, 99.0, "maker"), (1, 75.0, -1.0, 98.5, "taker")]
    assert ended(result)[2] == (2, "cancelled", "oco")


def test_a_child_that_fills_before_its_entry_is_complete_ends_it(tmp_path: Path) -> None:
    # A tenth of 10 in the candle makes one of the two; the stop sells it, and the other is not bought any more.
    market = Market("BTC", [100.0, HILL, 100.0], volume=[10.0] * 3)
    send = lambda _, a: a.buy("BTC", 2.0, limit=99.0, stop_loss=98.5)  # noqa: E731
    heard, result = trade(tmp_path, [], send, market=market, volume_share="10%")
    assert [fill[:3] for fill in heard.fills] == [(0, 70.0, 1.0), (1, 75.0, -1.0)]
    assert ended(result) == [(0, "cancelled", "bracket"), (1, "filled", None)]


def test_what_would_only_reduce_goes_with_the_position(tmp_path: Path) -> None:
    steps = {
        0: lambda _, a: a.buy("BTC", 1.0),
        1: both(lambda _, a: a.close("BTC", stop=90.0), lambda _, a: a.close("BTC", limit=110.0)),
        2: lambda _, a: a.close("BTC"),
    }
    _, result = trade(tmp_path, [100.0] * 5, steps)
    assert rows(result, "orders", "order_id", "ts_done", "status", "reason") == [
        (0, HOUR, "filled", None),
        (1, 3 * HOUR, "cancelled", "reduce_only"),
        (2, 3 * HOUR, "cancelled", "reduce_only"),
        (3, 3 * HOUR, "filled", None),
    ]


# ---- what is sent


def test_buy_sell_and_send_are_the_same(tmp_path: Path) -> None:
    def way(name: str, step: Step) -> list[Any]:
        heard, result = trade(tmp_path / name, [100.0, HILL], step)
        return [*heard.states, *heard.fills, *rows(result, "orders", "ts_arrived", "symbol", "qty", "status")]

    for n, (side, terms) in enumerate(
        [("buy", {"limit": 99.0}), ("sell", {"stop": 99.0, "take_profit": 98.5}), ("sell", {"trail": "1%"})]
    ):
        qty = 2.0 if side == "buy" else -2.0
        called = way(f"{n}c", lambda _, account: getattr(account, side)("BTC", 2.0, **terms))  # noqa: B023
        sent = way(f"{n}s", lambda _, account: account.send(Order("BTC", qty, **terms)))  # noqa: B023
        assert called == sent
        assert len(called) > 2


def test_a_notional_is_counted_at_the_price_of_the_order(tmp_path: Path) -> None:
    # 1,000 at the last close, 100; at a limit of 80: 12.5; at a trigger of 125: 8; less than a lot of 0.001: none.
    def send(_: Any, account: Any) -> None:
        for terms in ({}, {"limit": 80.0}, {"stop": 125.0}, {"stop": 125.0, "limit": 160.0}, {"trail": 5.0}):
            account.buy("BTC", notional=1_000, **terms)
        account.sell("BTC", notional=1_000, limit=160.0, reduce_only=True)
        account.sell("BTC", notional=0.15, limit=160.0)

    _, result = trade(tmp_path, [100.0, 100.0], send)
    assert rows(result, "orders", "qty", "reason")[:-1] == [
        (10.0, None), (12.5, "end_of_run"), (8.0, "end_of_run"), (6.25, "end_of_run"), (10.0, "end_of_run"),
        (-6.25, "end_of_run"),
    ]  # fmt: skip
    assert ended(result)[-1] == (6, "rejected", "step")


@pytest.mark.parametrize(("qty", "step", "lots"), [
    (0.1234567, "0.000001", 0.123456),
    (0.1999999, "0.1", 0.1),
    (0.3, "0.1", 0.3),
    (1 - 0.9, "0.1", 0.1),  # 0.09999999999999998
    (123_456.7890129, "0.000001", 123_456.789012),
    (2_999_999.0, "1000000", 2_000_000.0),
])  # fmt: skip
def test_every_size_is_rounded_down_to_whole_lots(tmp_path: Path, qty: float, step: str, lots: float) -> None:
    bracket = {"stop_loss": 0.5, "take_profit": 2.0}

    def send(_: Any, account: Any) -> None:
        account.buy("BTC", qty)
        account.sell("BTC", qty)
        account.buy("BTC", qty, limit=0.9, **bracket)
        account.send(Order("BTC", -qty, stop=0.9))
        account.oco(Order("BTC", qty, limit=0.9), Order("BTC", qty, stop=1.1))
        account.sell("BTC", qty, reduce_only=True)
        account.target("ETH", qty=-qty)
        account.target("SOL", qty=qty, limit=0.9)
        account.buy("BTC", notional=qty)
        account.sell("BTC", notional=qty, limit=1.0)
        account.target("XRP", notional=-qty)
        account.buy("BTC", qty * 3, limit=0.8)

    markets = [Market(name, [1.0] * 3, step=step) for name in ("BTC", "ETH", "SOL", "XRP")]
    steps = {0: send, 1: lambda _, account: account.amend(14, qty, limit=0.9)}
    _, result = trade(tmp_path, [], steps, market=markets[0], beside=markets[1:], cash=100_000_000)
    signs = [1, -1, 1, -1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1, 1]
    asked = dict(rows(result, "orders", "order_id", "qty"))
    assert [asked[n] for n in range(len(signs) - 1)] == [sign * lots for sign in signs[:-1]]
    assert asked[14] == lots  # as amended


@pytest.mark.parametrize("kind", ["qty", "notional"])
def test_sizes_of_targets_are_rounded_down_to_whole_lots(tmp_path: Path, kind: str) -> None:
    amounts = [0.1234567, 1 - 0.9, 1e5 / 3, -0.7, -1e-7]
    data = write(tmp_path, *(Market(f"M{n}", [1.0] * 3, step="0.000001") for n in range(len(amounts))), interval="1h")

    class Sized(backtest.Strategy):
        def targets(self, candles: Any) -> Any:
            frame = candles.collect().filter(pl.col("ts") == pl.col("ts").min())
            return frame.select("ts", "symbol", pl.Series(kind, amounts))

    result = backtest.run(Sized(), data, allow=("missing-funding",), cash=100_000)
    assert rows(result, "orders", "symbol", "qty") == [
        ("M0", 0.123456),
        ("M1", 0.1),
        ("M2", 33_333.333333),
        ("M3", -0.7),
    ]


def test_prices_go_to_the_market_s_tick(tmp_path: Path) -> None:
    seen = Tape()

    def send(_: Any, account: Any) -> None:
        account.buy("BTC", 1.0, limit=99.3)
        account.sell("BTC", 1.0, limit=102.1)
        account.buy("BTC", 1.0, stop=102.1, limit=102.3)
        account.sell("BTC", 1.0, stop=97.3)
        account.buy("BTC", 1.0, limit=90.3, stop_loss=89.7, take_profit=102.1)
        account.amend(0, limit=99.4)
        account.amend(3, stop=97.9)
        seen.extend((order.limit, order.stop) for order in account.orders)

    heard, _ = trade(tmp_path, [100.0, HILL], {0: send, 1: lambda _, a: seen.append(a.orders)}, tick=0.5)
    nan = pytest.approx(math.nan, nan_ok=True)
    assert seen[:7] == [
        (99.0, nan), (102.5, nan), (102.0, 102.5), (nan, 97.0), (90.0, nan), (nan, 89.5), (102.5, nan),
    ]  # fmt: skip
    # The amended ones: still 99.0 and, of the stop, 97.5.
    # The purchase is triggered at 102.5 and met again 10 of 20 minutes below 103.
    assert [fill[:4] for fill in heard.fills] == [(0, 70.0, 1.0, 99.0), (1, 98.0, -1.0, 102.5), (2, 110.0, 1.0, 102.0)]
    assert {order.order_id: order.stop for order in seen[7] if order.order_id in (3, 5)} == {3: 97.5, 5: 89.5}


def test_a_trailing_child_that_wakes_a_hair_below_the_top_follows_it(tmp_path: Path) -> None:
    # From 10 to 103 in 20 minutes: the next number below 103 is met at the instant of the top, to the last bit. The top
    # comes after it, so the trailing stop stands at 103 − 1 = 102; then from 103 to 101 in 20 minutes: 102 after 10.
    stop = math.nextafter(103.0, 0.0)
    dip = (100.0, 103.0, 10.0, 101.0)
    heard, _ = trade(tmp_path, [100.0, dip], lambda _, account: account.buy("BTC", 1.0, stop=stop, trailing_stop=1.0))
    assert heard.fills == [(0, 100.0, 1.0, stop, "taker"), (1, 110.0, -1.0, 102.0, "taker")]


def test_a_two_sided_entry_with_brackets(tmp_path: Path) -> None:
    def send(_: Any, account: Any) -> None:
        assert account.oco(
            Order("BTC", -1.0, stop=99.0, stop_loss=101.0), Order("BTC", 1.0, stop=102.0, stop_loss=97.0)
        ) == (0, 2)

    heard, result = trade(tmp_path, [100.0, HILL], {0: send})
    # From 100 to 98 in 20 minutes: 99 after 10, sold. Then from 98 to 103: 101 after 20 × 3/5 = 12, its stop. The
    # purchase ends with the sale, and its own stop, which never woke, with it.
    assert [fill[:4] for fill in heard.fills] == [(0, 70.0, -1.0, 99.0), (1, 92.0, 1.0, 101.0)]
    assert rows(result, "orders", "status", "reason") == [
        ("filled", None), ("filled", None), ("cancelled", "oco"), ("cancelled", "parent"),
    ]  # fmt: skip


def test_close_and_target_with_prices(tmp_path: Path) -> None:
    said = Tape()
    steps = {
        0: both(lambda _, a: a.buy("BTC", 3.0), lambda _, a: said.append(a.close("BTC", limit=102.0))),
        1: both(
            lambda _, a: said.append(a.close("BTC", limit=103.0, expires="1h")),
            lambda _, a: said.append(a.target("BTC", qty=5, limit=97.0)),
            lambda _, a: said.append(a.target("BTC", qty=5, limit=96.0)),  # it is on its way
            lambda _, a: said.append(a.target("BTC", qty=5.5)),  # half is missing, by market
        ),
        2: both(
            # The limit of 97 rests, the half has been filled: 3.5 and 2. The reduce-only one is not counted; its time
            # is up at this very instant, which it ends with, at the next open.
            lambda _, a: said.append([(o.order_id, o.qty, o.state, o.reduce_only) for o in a.orders]),
            lambda _, a: said.append(a.target("BTC", notional=550.0, limit=96.0, post_only=True)),
            lambda _, a: said.append(a.target("BTC", weight=0.0, limit=104.0, tif="gtc")),
        ),
    }
    _, result = trade(tmp_path, [100.0] * 4, steps)
    resting = [(1, -3.0, "working", True), (2, 2.0, "working", False)]
    assert list(said) == [None, 1, 2, None, 3, resting, None, 4]
    assert rows(result, "orders", "qty", "reduce_only", "status", "reason") == [
        (3.0, False, "filled", None),
        (-3.0, True, "expired", "gtd"),
        (2.0, False, "expired", "end_of_run"),
        (0.5, False, "filled", None),
        (-5.5, False, "expired", "end_of_run"),
    ]


def test_cancel_all_of_a_market_and_of_the_account(tmp_path: Path) -> None:
    def rest(_: Any, account: Any) -> None:
        account.buy("BTC", 1.0, limit=50.0)
        account.buy("BTC", 1.0, limit=60.0, stop_loss=40.0)
        account.buy("ETH", 1.0, limit=50.0)
        account.sell("ETH", 1.0, stop=50.0)

    seen = Tape()
    steps = {
        0: rest,
        1: lambda _, account: account.cancel_all("BTC"),
        2: both(lambda _, a: seen.append([o.order_id for o in a.orders]), lambda _, a: a.cancel_all()),
    }
    _, result = trade(tmp_path, [100.0] * 5, steps, beside=[Market("ETH", [100.0] * 5)])
    assert list(seen) == [[3, 4]]
    assert rows(result, "orders", "order_id", "ts_done", "status", "reason") == [
        (0, 2 * HOUR, "cancelled", "strategy"),
        (1, 2 * HOUR, "cancelled", "strategy"),
        (2, 2 * HOUR, "cancelled", "parent"),
        (3, 3 * HOUR, "cancelled", "strategy"),
        (4, 3 * HOUR, "cancelled", "strategy"),
    ]


# ---- what is rejected before it is sent


def test_what_no_order_can_have_is_in_the_table_and_the_run_goes_on(tmp_path: Path) -> None:
    nan, inf = math.nan, math.inf
    calls: list[tuple[Any, str]] = [
        (lambda a: a.buy("BTC", nan), "quantity"),
        (lambda a: a.sell("BTC", inf), "quantity"),
        (lambda a: a.buy("BTC", 0), "quantity"),
        (lambda a: a.sell("BTC", -1.0), "quantity"),
        (lambda a: a.buy("BTC", notional=-5.0), "quantity"),
        (lambda a: a.buy("BTC", notional=nan, limit=90.0), "quantity"),
        (lambda a: a.sell("BTC", -1.0, limit=110.0, stop_loss=1.0), "quantity"),
        (lambda a: a.target("BTC", weight=nan), "quantity"),
        (lambda a: a.target("BTC", qty=-inf, limit=90.0), "quantity"),
        (lambda a: a.send(Order("BTC", nan)), "quantity"),
        (lambda a: a.buy("BTC", 0.0009), "step"),
        (lambda a: a.buy("BTC", 0.0009, limit=90.0), "step"),
        (lambda a: a.buy("BTC", 1.0, limit=nan), "price"),
        (lambda a: a.sell("BTC", 1.0, stop=-1.0), "price"),
        (lambda a: a.sell("BTC", 1.0, trail="100%"), "price"),
        (lambda a: a.buy("BTC", notional=100.0, limit=0.0), "price"),
        (lambda a: a.buy("BTC", 1.0, limit=90.0, stop_loss=91.0), "bracket"),
        (lambda a: a.buy("BTC", 1.0, stop_loss=120.0, take_profit=80.0), "bracket"),
    ]
    said = Tape()
    steps = {
        0: both(*(lambda _, a, call=call: said.append(call(a)) for call, _ in calls), lambda _, a: a.buy("BTC", 1))
    }
    heard, result = trade(tmp_path, [100.0] * 3, steps)
    assert list(said) == list(range(len(calls)))
    reasons = [(n, "rejected", reason) for n, (_, reason) in enumerate(calls)]
    assert ended(result) == [*reasons, (len(calls), "filled", None)]
    sizes = ("NaN", "infinite", *["0 or less"] * 3, "NaN", "0 or less", "NaN", "infinite", "NaN")
    assert rows(result, "orders", "reason")[:10] == [(f"quantity: {size}",) for size in sizes]
    assert rows(result, "orders", "ts_sent", "ts_arrived", "ts_done")[0] == (HOUR, None, HOUR)
    # It is heard as any other end, at the next close.
    assert [state[:3] for state in heard.states] == [*reasons, (len(calls), "filled", None)]


def test_of_a_pair_none_is_sent_if_one_cannot_be(tmp_path: Path) -> None:
    said = Tape()

    def send(_: Any, account: Any) -> None:
        said.append(account.oco(Order("BTC", 1.0, limit=90.0), Order("BTC", -1.0, stop=-1.0)))

    _, result = trade(tmp_path, [100.0, 100.0], send)
    assert list(said) == [(0, 1)]
    assert ended(result) == [(0, "rejected", "price"), (1, "rejected", "price")]


def test_an_amendment_that_no_order_can_have_leaves_the_order_as_it_is(tmp_path: Path) -> None:
    def change(_: Any, account: Any) -> None:
        for asked in ({"qty": math.nan}, {"qty": -1.0}, {"qty": 0.0001}, {"limit": 0.0}, {"limit": math.inf}):
            account.amend(0, **asked)
        account.amend(99, limit=98.0)  # no such order
        account.amend(0, stop=98.0)  # it has no stop

    steps = {0: lambda _, a: a.buy("BTC", 1.0, limit=90.0), 1: change}
    _, result = trade(tmp_path, [100.0] * 4, steps)
    assert ended(result) == [
        (0, "expired", "end_of_run"),
        (1, "rejected", "quantity"),
        (2, "rejected", "quantity"),
        (3, "rejected", "step"),
        (4, "rejected", "price"),
        (5, "rejected", "price"),
        (6, "rejected", "not_open"),
        (7, "rejected", "amend"),
    ]


def test_an_amendment_gives_new_terms(tmp_path: Path) -> None:
    # The sale is made three as large and lower: 101.5 is met on the way up, after 14 of the 20 minutes.
    steps = {
        0: lambda _, a: a.sell("BTC", 1.0, limit=110.0),
        1: lambda _, a: a.amend(0, qty=3.0, limit=101.5),
    }
    heard, result = trade(tmp_path, [100.0, 100.0, HILL], steps)
    assert list(heard.fills) == [(0, 154.0, -3.0, 101.5, "maker")]
    assert list(heard.states) == [
        (0, "working", None, 60.0),
        (0, "amended", None, 120.0),
        (0, "filled", None, 154.0),
    ]
    assert rows(result, "orders", "order_id", "qty", "filled_qty") == [(0, -3.0, -3.0)]


# ---- what is told


def test_orders_in_every_state(tmp_path: Path) -> None:
    seen = Tape()

    def send(_: Any, account: Any) -> None:
        account.buy("BTC", 2.0, limit=99.0, take_profit=110.0, trailing_stop=3.0)
        account.sell("BTC", 0.5, trail="2%", activation=102.0, trigger="mark", expires=START + 5 * HOUR)
        account.buy("BTC", 1.0, limit=90.0, post_only=True)

    def look(_: Any, account: Any) -> None:
        seen.append([(o.order_id, o.left, o.filled, o.stop, o.state) for o in account.orders])

    # Row 1 stands at 100, row 2 is the hill: 99 is met. Then the trailing child follows from 99 to 103: 100.
    steps = {0: both(send, look, lambda _, a: seen.append(a.orders[3])), 1: look, 2: look}
    trade(tmp_path, [100.0, 100.0, HILL, 101.0], steps)
    nan = pytest.approx(math.nan, nan_ok=True)
    fresh = [(0, 2.0, 0.0), (1, -2.0, 0.0), (2, -2.0, 0.0), (3, -0.5, 0.0), (4, 1.0, 0.0)]
    before, one, resting, after = seen
    assert before == [(*row, nan, "in_flight") for row in fresh]
    assert one._replace(limit=0.0, stop=0.0) == (
        3, "BTC", -0.5, -0.5, 0.0, "trailing_stop", 0.0, 0.0, "in_flight", "gtd", "mark", START + 5 * HOUR, False,
        False, START + HOUR, -1, -1,
    )  # fmt: skip
    assert resting == [
        (0, 2.0, 0.0, nan, "working"),
        (1, 0.0, 0.0, nan, "dormant"),
        (2, 0.0, 0.0, nan, "dormant"),
        (3, -0.5, 0.0, nan, "armed"),  # 102 is not reached
        (4, 1.0, 0.0, nan, "working"),
    ]
    assert after == [
        (1, -2.0, 0.0, nan, "working"),
        (2, -2.0, 0.0, 100.0, "armed"),
        (3, -0.5, 0.0, 103.0 * 0.98, "armed"),
        (4, 1.0, 0.0, nan, "working"),
    ]


def test_a_bracket_by_its_words(tmp_path: Path) -> None:
    # Bought at 99 after 10 minutes; the target of 102 after 36 takes it, the stop of 95 is cancelled.
    seen = Tape()
    steps = {
        0: both(
            lambda _, a: a.buy("BTC", 2.0, limit=99.0, stop_loss=95.0, take_profit=102.0),
            lambda _, a: seen.extend((o.order_id, o.parent, o.group) for o in a.orders),
        )
    }
    heard, result = trade(tmp_path, [100.0, HILL], steps)
    group = seen[1][2]
    assert list(seen) == [(0, -1, -1), (1, 0, group), (2, 0, group)]
    assert group >= 0
    assert at_each_instant(heard) == [
        (0, "working", None, 60.0),
        (1, "dormant", None, 60.0),
        (2, "dormant", None, 60.0),
        (0, "filled", None, 70.0),
        (1, "armed", None, 70.0),
        (2, "working", None, 70.0),
        (1, "cancelled", "oco", 96.0),
        (2, "filled", None, 96.0),
    ]
    assert ended(result) == [(0, "filled", None), (1, "cancelled", "oco"), (2, "filled", None)]


def test_a_pair_of_which_one_cancels_the_other(tmp_path: Path) -> None:
    steps = {0: lambda _, a: a.oco(Order("BTC", 1.0, stop=102.0), Order("BTC", -1.0, stop=97.0))}
    heard, result = trade(tmp_path, [100.0, HILL], steps)
    assert at_each_instant(heard) == [
        (0, "armed", None, 60.0),
        (1, "armed", None, 60.0),
        (0, "triggered", None, 96.0),
        (0, "filled", None, 96.0),
        (1, "cancelled", "oco", 96.0),
    ]
    assert ended(result) == [(0, "filled", None), (1, "cancelled", "oco")]


def test_parts_of_an_order_are_told(tmp_path: Path) -> None:
    # A tenth of a volume of 10 per candle: one unit of 2.5 in each.
    market = Market("BTC", [100.0] * 5, volume=[10.0] * 5)
    steps = {0: lambda _, a: a.buy("BTC", 2.5)}
    heard, _ = trade(tmp_path, [], steps, market=market, volume_share="10%")
    assert [fill[:3] for fill in heard.fills] == [(0, 60.0, 1.0), (0, 120.0, 1.0), (0, 180.0, 0.5)]
    assert [state[1:] for state in heard.states if state[1] != "working"] == [
        ("partly_filled", None, 60.0),
        ("partly_filled", None, 120.0),
        ("filled", None, 180.0),
    ]


def test_an_order_hook_hears_each_row_once_whatever_the_chunks(tmp_path: Path) -> None:
    def chatter(_: Any, account: Any) -> None:
        account.cancel_all()
        for n in range(20):
            account.buy("BTC", 1.0, limit=50.0 + n)
            account.buy("BTC", math.nan)

    count = 60
    steps = dict.fromkeys(range(count), chatter)
    whole, _ = trade(tmp_path / "whole", [100.0] * count, steps)
    parts, _ = trade(tmp_path / "parts", [100.0] * count, steps, chunk_rows=7)
    assert list(whole.states) == list(parts.states)
    # Of each of the 20 a row: refused, or working and cancelled an hour later; what comes of the last close has no row.
    kinds = [state[1] for state in whole.states]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "rejected": 20 * (count - 1),
        "working": 20 * (count - 1),
        "cancelled": 20 * (count - 2),
    }


@pytest.mark.parametrize("every", [None, "4h"])
def test_what_is_refused_before_it_is_sent_is_heard_after_the_next_candle(tmp_path: Path, every: str | None) -> None:
    # Nothing else happens in these hours: no order is at the venue, and nobody decides.
    class Deaf(Listener):
        def on_order(self, event: Any, market: Any, account: Any) -> None:
            self.states.append((event.reason, (market.now_ms - START) // HOUR))

    deaf = Deaf({3: lambda _, account: account.buy("BTC", math.nan)})
    deaf.every = every
    data = write(tmp_path, Market("BTC", [100.0] * 12), interval="1h")
    backtest.run(deaf, data, allow=("missing-funding",))
    assert list(deaf.states) == [("quantity", 5)]


def test_hooks_hear_all_of_more_than_the_journal_holds(tmp_path: Path) -> None:
    # Three rows of the journal for each refusal: it is put aside twice while the strategy speaks.
    many = 12_000
    heard, _ = trade(tmp_path, [100.0] * 3, lambda _, a: [a.buy("BTC", math.nan, limit=1.0) for _ in range(many)])
    assert [state[0] for state in heard.states] == list(range(many))
