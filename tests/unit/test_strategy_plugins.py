"""What the teaching plug-ins decide, with small fakes of market and account in place of a replay."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

import backtest
from backtest import Order
from backtest.data.sample import write_sample
from backtest.strategy.features import STAMP, compute, targets
from backtest.strategy.loader import load

START = datetime(2024, 1, 1, tzinfo=UTC)


class Market:
    """Prices, rates and features of one instant, as given."""

    def __init__(self, price, hour=0, features=None, rates=None, history=None):
        self.now = START + timedelta(hours=hour)
        self.symbols = tuple(sorted(price))
        self.close = self.mark = price
        self.funding_rate = rates or {}
        self._features = features or {}
        self._history = history or {}

    def feature(self, name, symbol):
        return self._features[symbol][name]

    def history(self, symbol, field, n):
        return np.array(self._history[symbol][-n:])


class Account:
    """Remembers what is sent and, asked to, fills targets at a price at once; a position is worth 1 a unit."""

    orders = transfers = ()

    def __init__(self, equity=1000.0, wallet=1000.0, reserve=0.0, free=1000.0, **qty):
        self.equity, self.wallet, self.reserve, self.free_collateral = equity, wallet, reserve, free
        self.qty = qty
        self.sent = []

    def position(self, symbol):
        qty = self.qty.get(symbol, 0.0)
        return SimpleNamespace(qty=qty, notional=qty)

    def target(self, symbol, weight=None, **more):
        self.sent.append((symbol, weight, more) if more else (symbol, weight))

    def send(self, order):
        self.sent.append(order)

    def buy(self, symbol, notional, **terms):
        self.send(Order(symbol, notional / terms["limit"], **terms))

    def sell(self, symbol, notional, **terms):
        self.send(Order(symbol, -notional / terms["limit"], **terms))

    def close(self, symbol):
        self.sent.append(("close", symbol))

    def cancel_all(self):
        self.sent.append("cancel all")

    def top_up(self, amount):
        self.sent.append(("top up", amount))

    def withdraw(self, amount):
        self.sent.append(("withdraw", amount))

    def fill(self, price):
        for symbol, weight in self.sent:
            self.qty[symbol] = weight * self.equity / price[symbol]
        self.sent = []


def started(name, **params):
    strategy = load(name, params)
    strategy.on_start(None, None)
    return strategy


def test_sma_cross_trades_only_when_the_sign_changes():
    strategy, account = started("sma_cross", weight=0.5), Account()

    def hour(**spread):
        features = {symbol: {"fast": 10.0 + gap, "slow": 10.0} for symbol, gap in spread.items()}
        strategy.on_candle(Market(dict.fromkeys(spread, 10.0), features=features), account)
        sent, account.sent = account.sent, []
        return sent

    assert hour(AAA=1, BBB=-1) == [("AAA", 0.5), ("BBB", -0.5)]
    assert hour(AAA=2, BBB=-2) == []
    assert hour(AAA=0, BBB=-1) == [("AAA", -0.5)]  # not above is below
    assert hour(BBB=1) == [("BBB", 0.5)]
    assert hour(AAA=-1, BBB=1, CCC=1) == [("CCC", 0.5)]
    strategy.on_start(None, None)
    assert hour(AAA=-1) == [("AAA", -0.5)]  # a new run begins without an opinion


def test_sma_cross_averages():
    strategy = load("sma_cross", {"fast": 2, "slow": 5})
    frame = pl.DataFrame({"close": [1.0, 2, 3, 4, 10]})
    values = []
    names = compute(strategy, lambda symbol, columns: frame, ("AAA",), lambda *put: values.append(put[2]))
    last = {name: column[-1] for name, column in zip(names, values, strict=True)}
    assert last == {"fast": 7.0, "slow": 4.0}  # (4 + 10) / 2, (1 + 2 + 3 + 4 + 10) / 5
    assert math.isnan(values[names.index("slow")][3])


def test_hedged_pair_asks_for_its_two_markets():
    assert load("hedged_pair").symbols == ("BTC-USD", "ETH-USD")
    assert load("hedged_pair", {"long": "SOL-USD"}).symbols == ("SOL-USD", "ETH-USD")


def test_hedged_pair_rebalances_daily_or_beyond_its_band():
    strategy = started("hedged_pair", long="AAA", short="BBB", weight=2.0, band=0.05)
    account, both = Account(), [("AAA", 2.0), ("BBB", -2.0)]
    price = {"AAA": 100.0, "BBB": 10.0}
    strategy.on_candle(Market(price, hour=5), account)
    assert account.sent == both
    account.fill(price)  # 20 AAA and −200 BBB, 2,000 each
    strategy.on_candle(Market({"AAA": 104.9, "BBB": 10.0}, hour=6), account)
    assert account.sent == []  # 2,098 to 2,000: 4.9 %
    strategy.on_candle(Market({"AAA": 105.1, "BBB": 10.0}, hour=7), account)
    assert account.sent == both  # 5.1 %
    account.sent = []
    strategy.on_candle(Market({"AAA": 100.0, "BBB": 10.51}, hour=8), account)
    assert account.sent == both  # the short has outgrown the long
    account.sent = []
    strategy.on_candle(Market(price, hour=23), account)
    assert account.sent == []
    strategy.on_candle(Market(price, hour=24), account)
    assert account.sent == both  # a new day


def test_hedged_pair_after_a_liquidation():
    strategy = started("hedged_pair", long="AAA", short="BBB")
    price = {"AAA": 100.0, "BBB": 10.0}
    account = Account(AAA=0.0, BBB=-200.0)
    strategy.day = Market(price).now.date()
    strategy.on_candle(Market(price, hour=1), account)
    assert account.sent == [("AAA", 2.0), ("BBB", -2.0)]  # the lost leg is bought again
    for nothing in (Account(equity=0.0), Account(equity=-1.0)):
        strategy.on_candle(Market(price, hour=30), nothing)
        assert nothing.sent == []
    alone = Account()
    strategy.on_candle(Market({"AAA": 100.0}, hour=31), alone)
    assert alone.sent == []  # one of the two has no candle now


def test_funding_carry_sells_the_dearest_and_holds_the_cheapest():
    strategy, account = load("funding_carry", {"side": 2, "weight": 1.0, "edge": 0.0001}), Account()
    price = dict.fromkeys("ABCDEF", 10.0)
    rates = {"A": 0.0003, "B": -0.0002, "C": 0.0001, "D": 0.0001, "E": 0.0002, "F": math.nan}
    strategy.on_candle(Market(price, rates=rates), account)
    # Ranked B, C, D, E, A, and C before D by name; F has not settled yet. Two a side, half the weight each.
    assert account.sent == [("B", 0.5), ("C", 0.5), ("D", 0.0), ("E", -0.5), ("A", -0.5)]
    assert sum(weight for _, weight in account.sent) == 0


@pytest.mark.parametrize(("edge", "weight"), [(0.00031, 0.0), (0.0003, 1.0)])
def test_funding_carry_stands_aside_where_the_rates_are_close(edge, weight):
    strategy, account = load("funding_carry", {"edge": edge}), Account()
    strategy.on_candle(Market({"A": 1.0, "B": 1.0}, rates={"A": 0.0003, "B": 0.0}), account)
    assert account.sent == [("B", weight), ("A", -weight)]


def test_funding_carry_needs_two_sides_and_some_equity():
    strategy = load("funding_carry", {"edge": 0})
    price, rates = {"A": 1.0, "B": 1.0}, {"A": 0.001, "B": 0.0}
    for market, account in (
        (Market({"A": 1.0}, rates=rates), Account()),
        (Market(price, rates={"A": 0.001, "B": math.nan}), Account()),
        (Market(price, rates=rates), Account(equity=0.0)),
    ):
        strategy.on_candle(market, account)
        assert account.sent == []


def daily(**closes) -> pl.DataFrame:
    """Daily candles; None is a day without a candle."""
    frames = [
        pl.DataFrame(
            {"ts": [START + timedelta(days=d) for d in range(len(close))], "symbol": symbol, "close": close},
            schema={"ts": STAMP, "symbol": pl.String, "close": pl.Float64},
        ).drop_nulls()
        for symbol, close in closes.items()
    ]
    # Newest first, to see that the strategy puts them in order.
    prices = {name: pl.col("close") for name in ("open", "high", "low")}
    return pl.concat(frames).with_columns(**prices, volume=1.0).sort("ts", descending=True)


def test_momentum_rotation_by_hand():
    strategy = load("momentum_rotation", {"top": 2, "days": 2, "weight": 1.5})
    frame = daily(
        AAA=[10, 11, 12, 13],  # +20 % on day 2, 13/11 = +18 % on day 3
        BBB=[10, 9, 13, 9],  # +30 %, 0 %
        CCC=[10, 10, 12, 9],  # +20 %, the same as AAA: the name decides; −10 %
        DDD=[None, 5, 9, 10],  # listed a day later: first return on day 3, +100 %
    )
    said = targets(strategy, frame.lazy(), ("AAA", "BBB", "CCC", "DDD"))
    decided = [(row["ts"].day, row["symbol"], row["target"]) for row in said.iter_rows(named=True)]
    assert decided == [
        (3, "AAA", 0.75), (3, "BBB", 0.75), (3, "CCC", 0.0),
        (4, "AAA", 0.75), (4, "BBB", 0.0), (4, "CCC", 0.0), (4, "DDD", 0.75),
    ]  # fmt: skip


def test_momentum_rotation_holds_nothing_that_has_fallen():
    strategy = load("momentum_rotation", {"top": 2, "days": 1})
    said = targets(strategy, daily(AAA=[10, 9], BBB=[10, 10], CCC=[10, 11]).lazy(), ("AAA", "BBB", "CCC"))
    assert said["target"].to_list() == [0.0, 0.0, 0.5]  # half the book: the other half has nothing to hold


def test_momentum_rotation_does_not_look_ahead():
    strategy = load("momentum_rotation", {"top": 1, "days": 2})
    closes = {"AAA": [10.0, 12, 11, 15, 9, 14], "BBB": [10.0, 9, 13, 12, 16, 8]}
    whole = targets(strategy, daily(**closes).lazy(), closes)
    for end in range(3, 6):
        part = targets(strategy, daily(**{s: c[:end] for s, c in closes.items()}).lazy(), closes)
        assert part.rows() == whole.filter(pl.col("ts") < START + timedelta(days=end)).rows()


def test_maker_grid_by_hand():
    # A part of 1,000 in each market; orders of 100; 2 a side, 0.5 of a range of 4 % apart: 98, 96 and 102, 104.
    strategy = load("maker_grid", {"levels": 2, "gap": 0.5, "size": 0.1, "most": 0.4})
    price = {"AAA": 100.0, "BBB": 100.0}
    market = Market(price, features={symbol: {"range": 0.04} for symbol in price})
    account = Account(equity=2000.0, BBB=300.0)
    strategy.on_candle(market, account)
    # BBB: 0.3 held of at most 0.4: the middle is 100 x (1 - 0.02 x 0.75 / 2) = 99.25, and one purchase more fits.
    first, *orders = account.sent
    assert first == "cancel all"
    assert all(order.post_only and order.type == "limit" for order in orders)
    assert [(o.symbol, round(o.qty * o.limit, 9), round(o.limit, 9)) for o in orders] == [
        ("AAA", 100, 98.0), ("AAA", -100, 102.0), ("AAA", 100, 96.0), ("AAA", -100, 104.0),
        ("BBB", 100, 97.265), ("BBB", -100, 101.235), ("BBB", -100, 103.22),
    ]  # fmt: skip
    account = Account(equity=0.0)
    strategy.on_candle(market, account)
    assert account.sent == ["cancel all"]


def test_lifeline_moves_money_between_its_bounds():
    asked = {"market": "AAA", "leverage": 4.0, "high": 6.0, "low": 3.0, "least": 50.0}
    strategy = started("lifeline", **asked)
    assert strategy.symbols == ("AAA",)
    market = Market({"AAA": 1.0})

    def hour(**account):
        account = Account(**account)
        strategy.on_candle(market, account)
        return account.sent

    assert hour() == [("AAA", 4.0)]
    held = {"AAA": 6000.0, "reserve": 5000.0}
    assert hour(equity=1000.0, **held) == []  # six times: not above
    assert hour(equity=999.0, **held) == [("top up", 501.0)]  # 6,000 / 4 - 999
    assert hour(equity=-100.0, **held) == [("top up", 1600.0)]
    assert hour(equity=999.0, AAA=6000.0, reserve=300.0) == [("top up", 250.0)]  # 50 stay for gas
    assert hour(equity=999.0, AAA=6000.0, reserve=99.0) == []
    assert hour(equity=2000.0, **held) == []  # three times: not below
    # 2,100 - 6,000 / 4 = 600 are not needed; of what is free 50 stay.
    assert hour(equity=2100.0, wallet=2000.0, free=1800.0, **held) == [("withdraw", 550.0)]
    assert hour(equity=2100.0, wallet=400.0, free=1800.0, **held) == [("withdraw", 350.0)]
    assert hour(equity=2100.0, wallet=2000.0, free=120.0, **held) == [("withdraw", 70.0)]
    assert hour(equity=2100.0, wallet=99.0, free=1800.0, **held) == []
    assert hour(equity=500.0, wallet=500.0, free=500.0) == [("withdraw", 450.0)]  # liquidated: all goes home
    strategy.on_start(None, None)
    assert hour() == [("AAA", 4.0)]  # a new run opens anew


def test_lifeline_counts_what_is_on_its_way_to_the_venue():
    strategy = started("lifeline", market="AAA", leverage=4.0, high=6.0, low=3.0)
    strategy.opened = True
    account = Account(equity=900.0, reserve=5000.0, AAA=6000.0)
    account.transfers = (SimpleNamespace(kind="deposit", amount=100.0), SimpleNamespace(kind="withdrawal", amount=9e9))
    strategy.on_candle(Market({"AAA": 1.0}), account)
    assert account.sent == []  # 6,000 on 900 + 100
    account.equity = 899.0
    strategy.on_candle(Market({"AAA": 1.0}), account)
    assert account.sent == [("top up", 501.0)]
    account.orders = ("one that has not ended",)
    strategy.on_candle(Market({"AAA": 1.0}), account)
    assert len(account.sent) == 1


def test_breakout_waits_at_the_nearer_edge():
    strategy = load("breakout", {"risk": 0.01, "stop": 2.0, "target": 4.0, "trail": 3.0, "most": 1.5})

    def sent(price, range_, equity=10_000.0, **held):
        account = Account(equity=equity, **held)
        features = {"AAA": {"top": 110.0, "bottom": 90.0, "range": range_}}
        strategy.on_candle(Market({"AAA": price}, features=features), account)
        return account.sent

    # 1 % of 10,000 over a stop 2 x 2.5 away: 20 units, 2,100 of at most 15,000.
    assert sent(105.0, 2.5) == [
        Order("AAA", 20.0, stop=110.0, stop_loss=105.0, take_profit=120.0, trailing_stop=7.5, expires="4h")
    ]
    assert sent(95.0, 2.5) == [
        Order("AAA", -20.0, stop=90.0, stop_loss=95.0, take_profit=80.0, trailing_stop=7.5, expires="4h")
    ]
    # A range of 0.25 would make 200 units; 15,000 / 100 are allowed.
    assert [order.qty for order in sent(100.0, 0.25)] == [-150.0]
    assert sent(105.0, 2.5, AAA=1.0) == []  # the bracket has it
    assert sent(105.0, 0.0) == sent(105.0, 22.5) == sent(105.0, 2.5, equity=0.0) == []


def test_pairs_trade_by_hand():
    asked = {"first": "AAA", "second": "BBB", "window": 10, "weight": 0.5, "inside": 0.01}
    strategy = started("pairs_trade", give_up=2.9, **asked)
    assert strategy.symbols == ("AAA", "BBB")

    def hour(last, account, second=50.0):
        history = {"AAA": [100.0] * 9 + [last], "BBB": [50.0] * 9 + [second]}
        strategy.on_candle(Market({"AAA": last, "BBB": second}, history=history), account)
        sent, account.sent = account.sent, []
        return sent

    # One of ten away from the others is always three deviations from the mean, sqrt(9): too far for this one.
    assert hour(120.0, Account()) == []
    strategy = started("pairs_trade", **asked)
    account = Account()
    assert hour(120.0, account) == [
        ("AAA", -0.5, {"limit": 121.2, "expires": "55m"}),
        ("BBB", 0.5, {"limit": 49.5, "expires": "55m"}),
    ]
    assert hour(80.0, account)[0] == ("AAA", 0.5, {"limit": 79.2, "expires": "55m"})
    assert hour(80.0, Account(equity=0.0)) == []
    assert hour(math.nan, account) == hour(100.0, account) == []
    held = Account(AAA=-5.0, BBB=5.0)
    assert hour(120.0, held) == []  # far, but not too far
    assert hour(100.0, held) == [("close", "AAA"), ("close", "BBB")]


def test_pairs_trade_completes_a_pair_at_the_market():
    strategy = started("pairs_trade", first="AAA", second="BBB")
    strategy.side = {"AAA": -1, "BBB": 1}
    for qty, expected in (({"AAA": -5.0}, 5.0), ({"AAA": -5.0, "BBB": 2.0}, 5.0), ({}, 0.0)):
        account = Account(**qty)
        strategy.on_order(SimpleNamespace(state="expired", symbol="BBB"), None, account)
        assert account.sent == [("BBB", None, {"notional": expected})]
        strategy.on_order(SimpleNamespace(state="filled", symbol="AAA"), None, account)
        assert len(account.sent) == 1


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """Forty days of two markets."""
    return write_sample(tmp_path_factory.mktemp("plugins") / "sample", days=40, symbols=("BTC-USD", "ETH-USD"))


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("maker_grid", {("limit", "maker")}),
        # The stop and the trailing stop take, the target rests.
        ("breakout", {("stop_market", "taker"), ("trailing_stop", "taker"), ("limit", "maker")}),
        ("pairs_trade", {("limit", "maker"), ("market", "taker")}),
    ],
)
def test_they_fill_the_orders_that_they_teach(sample, name, kinds):
    result = backtest.run(name, sample, fee_bps=5, latency_ms=500)
    orders = result.tables["orders"].select("order_id", "type")
    filled = result.tables["fills"].join(orders, on="order_id").filter(pl.col("cause") == "strategy")
    assert kinds <= set(filled.select("type", "liquidity").unique().rows())
    assert set(result.tables["orders"].filter(status="rejected")["reason"]) <= {"post_only", "would_trigger"}
