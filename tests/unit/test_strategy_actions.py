"""Hooks in order and with the right values, and what each order and setting of `account` does.

Unless said otherwise: rows of a minute, 100,000 cash, no fees, initial 5 %, maintenance 3 %, penalty 1 %.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import backtest
from backtest import Order, RunError, Strategy
from tests.scenarios.scenario import MINUTE, START, Market, Tape, both, buy, column, play, rows, sell, write

FLAT = [1e4] * 5


# ---- hooks


class Diary(Strategy):
    """Buys 100 BTC at the first close and writes down what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = Tape()

    def note(self, what: Any, market: Any, account: Any) -> None:
        self.heard.append((what, (market.now_ms - START) // MINUTE, account.equity))

    def on_start(self, market: Any, account: Any) -> None:
        self.heard.append(("start", account.equity, account.wallet, account.orders, account.positions))
        account.set_leverage("BTC", 20)

    def on_candle(self, market: Any, account: Any) -> None:
        self.note("candle", market, account)
        if market.now_ms == START + MINUTE:
            account.buy("BTC", 100)

    def on_fill(self, fill: Any, market: Any, account: Any) -> None:
        self.note(fill._replace(ts_ms=fill.ts_ms - START), market, account)

    on_funding = on_margin_call = on_liquidation = on_fill

    def on_stop(self, market: Any, account: Any) -> None:
        self.note("stop", market, account)


@pytest.mark.parametrize("chunk_rows", [None, 1])
@pytest.mark.parametrize(("margin", "pool"), [("cross", "cross"), ("isolated", "BTC")])
def test_hooks_come_in_order_and_with_their_values(
    tmp_path: Path, margin: str, pool: str, chunk_rows: int | None
) -> None:
    # Fee 10 bps of 1,000,000 = 1,000: 99,000. Funding of 0.1 % at 00:02: 98,000. Closes:
    #   00:03  9,500   48,000 against initial 47,500
    #   00:04  9,480   46,000 against 47,400: a call
    #   00:05  9,470   45,000: still below, no second call (and a settlement of nothing)
    #   00:06  9,500   48,000: recovered
    #   00:07  9,480   46,000: called again
    # 00:07 opens at 9,250: 23,000 against 27,750. Sold for 925,000, penalty 9,250, left 13,750.
    # In isolated the pool posts 50,000 and 50,000 are added at 00:02, less the fee: the same thing.
    closes = [1e4, 1e4, 9_500.0, 9_480.0, 9_470.0, 9_500.0, 9_480.0]
    candles: list[Any] = [
        1e4,
        1e4,
        *((a, max(a, b), min(a, b), b) for a, b in pairwise(closes[1:])),
    ]
    btc = Market("BTC", [*candles, 9_250.0, 9_250.0], funding={2: 0.001, 4: 0.0})

    class Posting(Diary):
        def on_candle(self, market: Any, account: Any) -> None:
            super().on_candle(market, account)
            if market.now_ms == START + 2 * MINUTE:
                account.add_margin("BTC", 49_000)

    diary = Posting()
    data = write(tmp_path, btc)
    backtest.run(diary, data, margin=margin, fee_bps=10, chunk_rows=chunk_rows)
    assert diary.heard[0] == ("start", 100_000.0, 100_000.0, (), ())
    assert [tuple(what) if isinstance(what, tuple) else what for what, *_ in diary.heard[1:]] == [
        "candle",
        (MINUTE, "BTC", 100.0, 1e4, 1_000.0, 0.0, 0, "strategy", "taker"),
        "candle",
        (2 * MINUTE, "BTC", 100.0, 1e4, 0.001, -1_000.0),
        "candle",
        (4 * MINUTE, pool, 46_000.0, 47_400.0, 0.0),
        "candle",
        (4 * MINUTE, "BTC", 100.0, 9_480.0, 0.0, 0.0),
        "candle",
        "candle",
        (7 * MINUTE, pool, 46_000.0, 47_400.0, 0.0),
        "candle",
        (7 * MINUTE, "BTC", -100.0, 9_250.0, 0.0, -75_000.0, -1, "liquidation", "taker"),
        (7 * MINUTE, pool, "BTC", -100.0, 9_250.0, 9_250.0, 0.0, "whole"),
        "candle",
        "candle",
        "stop",
    ]
    # Each is told at the close of the candle in which it happened, with the account as it is then.
    assert [(minute, equity) for _, minute, equity in diary.heard[1:]] == [
        (1, 1e5), (2, 99e3), (2, 99e3), (3, 48e3), (3, 48e3), (4, 46e3), (4, 46e3), (5, 45e3), (5, 45e3), (6, 48e3),
        (7, 46e3), (7, 46e3), (8, 13_750.0), (8, 13_750.0), (8, 13_750.0), (9, 13_750.0), (9, 13_750.0),
    ]  # fmt: skip


def test_names_of_what_hooks_are_given(tmp_path: Path) -> None:
    diary = Diary()
    backtest.run(diary, write(tmp_path, Market("BTC", [1e4, 1e4, 9.4e3, 9e3], funding={2: 0.001})))
    fields = {type(what).__name__: what._fields for what, *_ in diary.heard[1:] if isinstance(what, tuple)}
    assert fields == {
        "Fill": ("ts_ms", "symbol", "qty", "price", "fee", "realized_pnl", "order_id", "cause", "liquidity"),
        "FundingPayment": ("ts_ms", "symbol", "qty", "price", "rate", "payment"),
        "MarginCall": ("ts_ms", "pool", "equity", "initial_margin", "level"),
        "Liquidation": ("ts_ms", "pool", "symbol", "qty", "price", "penalty", "bad_debt", "stage"),
    }


@pytest.mark.parametrize("chunk_rows", [None, 1, 7])
def test_hooks_are_heard_in_the_row_of_the_event_also_at_the_end(tmp_path: Path, chunk_rows: int | None) -> None:
    # Decisions by the hour on minutes; the run ends inside the second hour, with a settlement in its last row.
    class ByTheHour(Diary):
        every = "1h"

        def on_candle(self, market: Any, account: Any) -> None:
            account.buy("BTC", 1)

    diary = ByTheHour()
    data = write(tmp_path, Market("BTC", [1e4] * 75, funding={66: 0.001, 74: 0.001}))
    backtest.run(diary, data, chunk_rows=chunk_rows)
    assert [(type(what).__name__, minute) for what, minute, *_ in diary.heard[1:]] == [
        ("Fill", 61),
        ("FundingPayment", 67),
        ("FundingPayment", 75),
        ("str", 75),
    ]


def test_an_order_from_a_hook_is_sent_at_that_close(tmp_path: Path) -> None:
    class Once(Diary):
        def on_candle(self, market: Any, account: Any) -> None:
            if market.now_ms == START + MINUTE:
                account.buy("BTC", 2)

        def on_fill(self, fill: Any, market: Any, account: Any) -> None:
            if fill.qty > 0:
                account.sell("BTC", 1)

    result = backtest.run(Once(), write(tmp_path, Market("BTC", FLAT)), latency_ms=20_000, allow=("missing-funding",))
    # Filled at 00:01:20, heard at 00:02, sold at 00:02:20.
    assert rows(result, "orders", "ts_sent", "ts_done", "qty") == [
        (MINUTE, MINUTE + 20_000, 2.0),
        (2 * MINUTE, 2 * MINUTE + 20_000, -1.0),
    ]


# ---- orders


def test_buy_and_sell_by_quantity_and_by_notional(tmp_path: Path) -> None:
    # By notional at the last price, 10,000, in whole lots of 0.001: 12,345.67 -> 1.234; it fills at the next open.
    steps = {
        0: both(
            lambda _, account: account.buy("BTC", 0.3),
            lambda _, account: account.buy("BTC", notional=12_345.67),
            lambda _, account: account.sell("BTC", qty=0.5009),
            lambda _, account: account.sell("BTC", notional=20_000),
        )
    }
    result = play(tmp_path, [Market("BTC", [1e4, 1.1e4])], steps)
    assert rows(result, "fills", "order_id", "qty", "price") == [
        (0, 0.3, 1.1e4),
        (1, 1.234, 1.1e4),
        (2, -0.5, 1.1e4),
        (3, -2.0, 1.1e4),
    ]


def test_less_than_a_lot_is_refused_by_the_venue_and_a_target_of_it_is_nothing(tmp_path: Path) -> None:
    said = Tape()
    steps = {
        0: both(
            lambda _, account: said.append(account.buy("BTC", 0.0009)),
            lambda _, account: said.append(account.sell("BTC", notional=9.99)),
            lambda _, account: said.append(account.target("BTC", qty=0.0009)),
            lambda _, account: said.append(account.target("BTC", notional=-9.99)),
            lambda _, account: said.append(account.target("BTC", weight=0.00009)),
            lambda _, account: said.append(account.buy("BTC", 0.001)),
        )
    }
    result = play(tmp_path, [Market("BTC", [1e4] * 2)], steps)
    assert list(said) == [0, 1, None, None, None, 2]
    assert rows(result, "orders", "order_id", "status", "reason", "filled_qty", "ts_arrived", "ts_done") == [
        (0, "rejected", "step", 0.0, None, MINUTE),
        (1, "rejected", "step", 0.0, None, MINUTE),
        (2, "filled", None, 0.001, MINUTE, MINUTE),
    ]


def test_target_counts_what_is_held_and_what_is_on_its_way(tmp_path: Path) -> None:
    # Latency of 90 s: an order sent at 00:01 fills in row 2 at 00:02:30.
    said = Tape()
    steps = {
        0: both(buy("BTC", 2), lambda _, account: said.append(account.target("BTC", qty=5))),  # 3 missing
        1: both(
            lambda _, account: said.append(account.target("BTC", qty=5)),  # all on its way
            lambda _, account: said.append(account.target("BTC", notional=40_000)),  # 4 at 10,000: one too many
        ),
        2: lambda _, account: said.append([order[:3] for order in account.orders]),
        3: lambda _, account: said.append(account.target("BTC", weight=-0.2)),  # 20,000 / 10,000 = 2 short
    }
    result = play(tmp_path, [Market("BTC", [1e4] * 7)], steps, latency_ms=90_000)
    assert list(said) == [1, None, 2, [(2, "BTC", -1.0)], 3]
    assert rows(result, "fills", "ts", "qty") == [
        (2 * MINUTE + 30_000, 2.0),
        (2 * MINUTE + 30_000, 3.0),
        (3 * MINUTE + 30_000, -1.0),
        (5 * MINUTE + 30_000, -6.0),
    ]


def test_target_by_weight_is_of_equity_at_the_close(tmp_path: Path) -> None:
    # 1.5 of 100,000 at 10,000: 15. At 11,000 equity is 115,000: 1.5 of it / 11,000 = 15.6818 -> 15.681.
    def weigh(_: Any, account: Any) -> None:
        account.target("BTC", weight=1.5)

    result = play(tmp_path, [Market("BTC", [1e4, (1e4, 1.1e4, 1e4, 1.1e4), 1.1e4])], {0: weigh, 1: weigh})
    assert column(result, "fills", "qty") == [15.0, 0.681]


def test_close_and_reduce_only(tmp_path: Path) -> None:
    said = Tape()
    steps = {
        0: both(lambda _, account: said.append(account.close("BTC")), sell("BTC", 3)),
        1: both(
            lambda _, account: account.sell("BTC", 1, reduce_only=True),  # would add to it
            lambda _, account: account.buy("BTC", 2, reduce_only=True),
            lambda _, account: said.append(account.close("BTC")),  # 3 by what is held now: clipped to 1
            lambda _, account: account.target("BTC", qty=1, reduce_only=True),  # nothing is missing
        ),
        2: lambda _, account: said.append(account.position("BTC").qty),
    }
    result = play(tmp_path, [Market("BTC", [1e4] * 4)], steps)
    assert list(said) == [None, 3, 0.0]
    assert rows(result, "orders", "qty", "reduce_only", "status", "reason", "filled_qty") == [
        (-3.0, False, "filled", None, -3.0),
        (-1.0, True, "rejected", "reduce_only", 0.0),
        (2.0, True, "filled", None, 2.0),
        (3.0, True, "filled", None, 1.0),
        # No fourth: what is on its way counts in full, -3 - 1 + 2 + 3 = 1, which is the target.
    ]


def test_cancel_acts_on_what_waits_when_it_arrives(tmp_path: Path) -> None:
    # BTC does not trade in rows 1 to 3. Order 0 waits from 00:01; the cancel of 00:02 (message 1) ends it, order 2 is
    # sent beside it and waits in its place. A second cancel of order 0 and one of order 77 do nothing. The last one
    # arrives at 00:04 with the candle, where the order that waited fills first.
    steps = {
        0: buy("BTC", 1),
        1: both(lambda _, account: account.cancel(0), buy("BTC", 2)),
        2: both(lambda _, account: account.cancel(0), lambda _, account: account.cancel(77)),
        3: lambda _, account: account.cancel(2),
    }
    markets = [Market("BTC", [1e4, None, None, None, 9e3, 9e3]), Market("ETH", [1e3] * 6)]
    result = play(tmp_path, markets, steps)
    assert rows(result, "orders", "order_id", "ts_arrived", "ts_done", "status", "reason") == [
        (0, MINUTE, 2 * MINUTE, "cancelled", "strategy"),
        (2, 2 * MINUTE, 4 * MINUTE, "filled", None),
    ]
    assert result.summary["counts"]["cancels without effect"] == 3
    # One that is still on its way cannot be cancelled: both travel a minute, and the order is there first.
    steps = {0: both(buy("BTC", 1), lambda _, account: account.cancel(0))}
    result = play(tmp_path / "late", [Market("BTC", FLAT)], steps, latency_ms=MINUTE)
    assert rows(result, "orders", "ts_done", "status") == [(2 * MINUTE, "filled")]
    assert result.summary["counts"]["cancels without effect"] == 1


def test_add_margin_moves_money_into_an_isolated_pool(tmp_path: Path) -> None:
    # 10 BTC at leverage 10: 10,000 posted, dead at (100,000 - 10,000) / 9.7 = 9,278.35; with 5,000 more at 8,762.89.
    said = Tape()

    def add(amount: float):
        return lambda _, account: said.append(account.add_margin("BTC", amount))

    def level(_: Any, account: Any) -> None:
        said.append((account.position("BTC").liquidation_price, account.equity, account.wallet))

    steps = {0: both(add(1.0), buy("BTC", 10)), 1: both(add(5_000), add(85_000.000001), add(-1), level)}
    result = play(tmp_path, [Market("BTC", [1e4] * 4)], steps, margin="isolated", leverage=10)
    assert [answer for answer in said if isinstance(answer, bool)] == [False, True, False, False]
    assert said[-1] == (pytest.approx(85_000 / 9.7, rel=1e-12), 1e5, 1e5)
    moves = [
        posting for posting in rows(result, "ledger", "ts", "debit", "amount_micro", "code") if posting[3] == "margin"
    ]
    assert moves == [
        (MINUTE, "pool:BTC", 10_000_000_000, "margin"),
        (2 * MINUTE, "pool:BTC", 5_000_000_000, "margin"),
    ]
    assert play(tmp_path / "cross", [Market("BTC", FLAT)], {0: buy("BTC", 10), 1: add(1.0)}).metrics["fills"] == 1
    assert said[-1] is False


def test_set_leverage_posts_by_the_leverage_of_the_fill(tmp_path: Path) -> None:
    # 10,000 at leverage 5 post 2,000, which stay when leverage becomes 20. The next 10,000 then raise the requirement
    # from 500 to 1,000 and post the difference.
    def lever(leverage: float):
        return lambda _, account: account.set_leverage("BTC", leverage)

    steps = {0: both(lever(5), buy("BTC", 1)), 1: both(lever(20), buy("BTC", 1))}
    result = play(tmp_path, [Market("BTC", [1e4] * 4)], steps, margin="isolated")
    pools = rows(result, "margin", "ts", "equity", "initial")
    assert pools[0] == (2 * MINUTE, 2_000.0, 2_000.0)
    assert pools[1] == (3 * MINUTE, 2_500.0, 1_000.0)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda account: account.buy("BTC", "1"), "size '1' is not a number"),
        (lambda account: account.buy("BTC", 2e12), "size 2e\\+12 is too large; give at most 1e\\+12"),
        (lambda account: account.sell("BTC", notional=-1e300), "size -1e\\+300 is too large"),
        (lambda account: account.buy("BTC", notional=1e6, limit=1e-9), "size 1e\\+15 is too large"),
        (lambda account: account.buy("BTC"), "needs either qty or notional"),
        (lambda account: account.buy("BTC", 1, notional=5), "needs either qty or notional"),
        (lambda account: account.buy("BTC", 1, limit=9e3, trail=5.0), "trail and limit are both given"),
        (lambda account: account.sell("BTC", 1, tif="day"), "unknown tif 'day'"),
        (lambda account: account.buy("BTC", 1, limt=9e3), "TypeError: .*limt"),
        (lambda account: account.send(Order("BTX", 1.0)), "unknown symbol 'BTX'"),
        (lambda account: account.send(Order("NEW", 1.0, limit=1.0)), "NEW does not trade now"),
        (lambda account: account.oco(Order("BTC", 1.0)), "account.oco: 1 orders for BTC; give at least two"),
        (lambda account: account.oco(), "account.oco: 0 orders for nothing"),
        (
            lambda account: account.oco(Order("BTC", 1.0, limit=1.0), Order("NEW", 1.0)),
            "account.oco: 2 orders for BTC, NEW; give at least two orders, all for one market",
        ),
        (lambda account: account.close("NEW", limit=1.0), "NEW does not trade now"),
        (lambda account: account.close("BTC", limit=1.0, tif="day"), "unknown tif 'day'"),  # with nothing to close, too
        (lambda account: account.target("BTC", qty=0, limit=1.0, tif="gtd"), "tif gtd without expires"),
        (lambda account: account.cancel_all("BTX"), "unknown symbol 'BTX'"),
        (lambda account: account.amend(0), "amendment of order 0: nothing to change; give qty, limit or stop"),
        (lambda account: account.amend(0, limit="9"), "amendment of order 0: limit '9' is not a number"),
        (lambda account: account.target("BTC"), "exactly one of weight, qty and notional"),
        (lambda account: account.target("BTC", weight="1"), "size '1' is not a number"),
        (lambda account: account.target("BTC", qty=1, post_only=True), "post_only without limit"),
        (lambda account: account.buy("BTX", 1), "unknown symbol 'BTX'.*did you mean 'BTC'"),
        (lambda account: account.buy("NEW", 1), "NEW does not trade now; it has had no candle yet; trade"),
        (lambda account: account.target("NEW", weight=1), "NEW does not trade now"),
        (lambda account: account.set_leverage("BTC", 0), "leverage 0"),
        (lambda account: account.set_leverage("BTC", float("nan")), "leverage nan is not a finite number"),
        (lambda account: account.add_margin("BTC", float("inf")), "amount inf is not a finite number"),
    ],
)
def test_what_is_no_order_at_all_stops_the_run(tmp_path: Path, act: Any, said: str) -> None:
    markets = [Market("BTC", [1e4] * 4), Market("NEW", [None, None, 1.0, 1.0])]
    with pytest.raises(RunError, match=rf"Script.on_candle, 2024-03-01 00:01:00Z: .*{said}"):
        play(tmp_path, markets, {0: lambda _, account: act(account)})


def test_a_market_that_has_ended_takes_no_orders(tmp_path: Path) -> None:
    markets = [Market("OLD", [1.0, 1.0]), Market("BTC", [1e4] * 5)]
    # Sent at its last close it is refused by the venue, sent a candle later it is the strategy's mistake.
    result = play(tmp_path / "last", markets, {1: buy("OLD", 1)})
    assert rows(result, "orders", "status", "reason") == [("rejected", "delisted")]
    with pytest.raises(RunError, match="OLD does not trade now; its last candle closed at 2024-03-01T00:02Z; trade"):
        play(tmp_path / "later", markets, {2: buy("OLD", 1)})


def test_a_longer_candle_that_a_symbol_s_end_cuts_short_never_closes(tmp_path: Path) -> None:
    """OLD ends after 7 of its minutes: its first five-minute candle closes, its second does not; YOUNG's one never."""
    seen: list[tuple[str, ...]] = []

    class Every(Strategy):
        """A tenth of equity in whatever trades."""

        every = "5m"

        def on_candle(self, market: Any, account: Any) -> None:
            seen.append(market.symbols)
            for symbol in market.symbols:
                account.target(symbol, weight=0.1)

    class Ahead(Strategy):
        """The same, decided before the replay."""

        every = "5m"

        def targets(self, candles: pl.LazyFrame) -> pl.LazyFrame:
            return candles.select("ts", "symbol", target=pl.lit(0.1))

    lives = {"BTC": 20, "OLD": 7, "YOUNG": 3}
    data = write(tmp_path / "data", *(Market(name, [1.0] * rows, funding={0: 0.0}) for name, rows in lives.items()))
    played = [backtest.run(strategy, data, allow=("missing-funding",)) for strategy in (Every, Ahead)]
    assert seen == [("BTC", "OLD"), ("BTC",), ("BTC",), ("BTC",)]
    # A tenth of 100,000 at a price of 1, once for each; OLD is settled at the price that it cost.
    for result in played:
        bought = rows(result, "orders", "symbol", "qty", "status")
        assert bought == [("BTC", 10_000.0, "filled"), ("OLD", 10_000.0, "filled")]
