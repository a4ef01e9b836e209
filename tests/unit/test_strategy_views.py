"""What `market` and `account` show a strategy, against numbers worked out by hand.

Unless said otherwise: rows of a minute, 100,000 cash, no fees, initial 5 %, maintenance 3 %.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import backtest
from backtest import RunError, Strategy
from backtest.engine.replay import Replay
from tests.scenarios.scenario import (
    MINUTE,
    START,
    Market,
    Row,
    Script,
    Step,
    Tape,
    both,
    buy,
    play,
    rows,
    sell,
    venue,
    write,
)

ANY_FUNDING = ("missing-funding",)


class Watcher(Strategy):
    """Writes down what `look` makes of the views, wherever it is called."""

    lookback = 5
    look: Callable[[Any, Any], Any] = staticmethod(lambda market, account: None)

    def __init__(self) -> None:
        super().__init__()
        self.seen = Tape()
        self.steps: dict[int, Step] = {}

    def note(self, where: str, market: Any, account: Any) -> None:
        self.seen.append((where, market.now_ms - START, self.look(market, account)))

    def on_candle(self, market: Any, account: Any) -> None:
        self.note("on_candle", market, account)
        step = self.steps.get(market.now_ms - START)
        if step:
            step(market, account)


def watch(folder: Path, markets: list[Market], look: Callable[[Any, Any], Any], **settings: Any) -> list[Any]:
    """What `look` saw at each close."""
    watcher = Watcher()
    watcher.look, watcher.steps = look, settings.pop("steps", {})
    data = write(folder, *markets, interval=settings.pop("interval", "1m"))
    backtest.run(watcher, data, allow=ANY_FUNDING, **settings)
    return [seen for _, _, seen in watcher.seen]


# ---- market


def test_market_shows_the_candle_that_has_just_closed(tmp_path: Path) -> None:
    candles: list[Row] = [(100.0, 103.0, 99.0, 101.0), None, (102.0, 102.5, 98.0, 98.5)]
    mark: list[Row] = [(100.1, 103.1, 99.1, 101.1), (101.2, 101.4, 101.0, 101.3), (102.1, 102.6, 98.1, 98.6)]
    btc = Market("BTC", candles, mark, funding={0: 0.1, 1: 0.2, 1.5: 0.3, 2: 0.4}, volume=[7.0, 0.0, 9.0])

    def look(market: Any, account: Any) -> Any:
        fields = (market.open, market.high, market.low, market.close, market.volume, market.mark, market.funding_rate)
        return [field["BTC"] for field in fields], market.symbols, market.now.isoformat()

    first, gap, last = watch(tmp_path, [btc, Market("ETH", [1e3] * 3)], look)
    # A stamp at the very close is settled after the strategy has decided: at 00:01 the rate is still that of 00:00.
    assert first == ([100.0, 103.0, 99.0, 101.0, 7.0, 101.1, 0.1], ("BTC", "ETH"), "2024-03-01T00:01:00+00:00")
    assert gap[1:] == (("ETH",), "2024-03-01T00:02:00+00:00")
    np.testing.assert_equal(gap[0][:4] + gap[0][5:], [np.nan] * 4 + [101.3, 0.3])
    assert last == ([102.0, 102.5, 98.0, 98.5, 9.0, 98.6, 0.4], ("BTC", "ETH"), "2024-03-01T00:03:00+00:00")


def test_symbols_are_those_that_are_ready(tmp_path: Path) -> None:
    class Warm(Watcher):
        def features(self, candle: Any) -> dict[str, Any]:
            return {"mean": candle.close.rolling_mean(2)}

    markets = [
        Market("BTC", [1.0, 2.0, 4.0, None, None, 8.0, 8.0]),  # a feature counts candles, not rows: (4 + 8) / 2
        Market("ETH", [None, None, 10.0, 20.0, 30.0]),  # listed at row 2, its last candle in row 4
    ]
    watcher = Warm()
    watcher.look = lambda market, account: {s: market.feature("mean", s) for s in market.symbols}
    backtest.run(watcher, write(tmp_path, *markets), allow=ANY_FUNDING)
    # Nobody is ready at the first close: the strategy is not called.
    assert [(at // MINUTE, seen) for _, at, seen in watcher.seen] == [
        (2, {"BTC": 1.5}),
        (3, {"BTC": 3.0}),
        (4, {"ETH": 15.0}),
        (5, {"ETH": 25.0}),
        (6, {"BTC": 6.0}),
        (7, {"BTC": 8.0}),
    ]


@pytest.mark.parametrize("chunk_rows", [None, 1, 3])
def test_history_is_the_last_candles(tmp_path: Path, chunk_rows: int | None) -> None:
    count = 14
    candles: list[Row] = [(k + 1.0, k + 4.0, k + 0.5, k + 2.0) for k in range(count)]
    candles[6] = None
    volume = [10.0 * k for k in range(count)]
    fields = ("open", "high", "low", "close", "volume")

    def look(market: Any, account: Any) -> Any:
        return [market.history("BTC", field, n).tolist() for field in fields for n in (1, 3, 5)]

    markets = [Market("BTC", candles, volume=volume), Market("ETH", [1.0] * count)]
    seen = watch(tmp_path, markets, look, chunk_rows=chunk_rows)
    nan = float("nan")
    table = [[nan if row is None else row[n] for row in candles] for n in range(4)]  # type: ignore[index]
    table.append([nan if k == 6 else volume[k] for k in range(count)])
    for k in range(count):
        expected = [column[max(0, k + 1 - n) : k + 1] for column in table for n in (1, 3, 5)]
        np.testing.assert_equal(seen[k], expected)


def test_history_by_the_hour(tmp_path: Path) -> None:
    watcher = Watcher()
    watcher.every = "1h"
    watcher.look = lambda market, account: market.history("BTC", "close", 3).tolist()
    backtest.run(
        watcher, write(tmp_path, Market("BTC", [float(k) for k in range(1, 62)]), interval="5m"), allow=ANY_FUNDING
    )
    assert [seen for _, _, seen in watcher.seen] == [[12], [12, 24], [12, 24, 36], [24, 36, 48], [36, 48, 60]]


@pytest.mark.parametrize(
    ("look", "said"),
    [
        (
            lambda market, _: market.history("BTC", "close", 6),
            "history of 6 candles.*ask for 1 to 5, or set lookback = 6",
        ),
        (lambda market, _: market.history("BTC", "close", 0), "history of 0 candles"),
        (lambda market, _: market.history("BTC", "clos", 2), "no field 'clos'.*did you mean 'close'"),
        (lambda market, _: market.history("BTX", "close", 2), "unknown symbol 'BTX'.*did you mean 'BTC'"),
        (lambda market, _: market.history("BTC", "close", 2).fill(1.0), "read-only"),
        (lambda market, _: market.close["BTX"], "unknown symbol 'BTX'"),
        (lambda market, _: market.funding_rate["BTX"], "unknown symbol 'BTX'"),
        (lambda market, _: market.feature("mean", "BTC"), "no feature 'mean'"),
        (lambda _, account: account.position("BTX"), "unknown symbol 'BTX'"),
    ],
)
def test_what_is_not_there_is_an_error_of_the_strategy(tmp_path: Path, look: Any, said: str) -> None:
    with pytest.raises(RunError, match=rf"Watcher.on_candle, 2024-03-01 00:01:00Z: .*{said}"):
        watch(tmp_path, [Market("BTC", [1.0, 2.0])], look)


def test_views_cannot_be_written(tmp_path: Path) -> None:
    def tamper(market: Any, account: Any) -> None:
        for name in ("close", "mark", "volume"):
            with pytest.raises(TypeError):
                getattr(market, name)["BTC"] = 1.0
        with pytest.raises(AttributeError):
            account.equity = 1e9

    watch(tmp_path, [Market("BTC", [1.0, 2.0])], tamper)


# ---- hours on five-minute candles


def stairs(first: int, count: int) -> list[Row]:
    """Candle k opens at 100 + k, reaches 3 above and 2 below, closes 1 above."""
    return [None] * first + [(100.0 + k, 103.0 + k, 98.0 + k, 101.0 + k) for k in range(first, count)]


class Hourly(Watcher):
    every = "1h"

    def __init__(self) -> None:
        super().__init__()
        self.look = lambda market, account: (
            market.open["BTC"], market.high["BTC"], market.low["BTC"], market.close["BTC"], market.volume["BTC"],
            market.mark["BTC"], account.position("BTC").qty,
        )  # fmt: skip

    def on_fill(self, fill: Any, market: Any, account: Any) -> None:
        self.note("on_fill", market, account)
        if fill.qty > 0:
            account.sell("BTC", 1)

    def on_funding(self, payment: Any, market: Any, account: Any) -> None:
        self.note("on_funding", market, account)


@pytest.mark.parametrize("chunk_rows", [None, 1, 5])
def test_hourly_candles_on_a_fine_replay(tmp_path: Path, chunk_rows: int | None) -> None:
    # Hour h of rows 12 h to 12 h + 11: open 100 + 12 h, high 103 + 12 h + 11, low 98 + 12 h, close 101 + 12 h + 11,
    # volume (of row k: k + 1) 144 h + 78. The run ends within hour 3, which never closes.
    # The order of 01:00 takes ten minutes to row 14's open, 114. Its hook hears of it at that row's close, 01:15, and
    # sees hour 0 and a mark of 115; it sells, which arrives at 01:25, row 17's open of 117. Funding at 01:20 pays.
    market = Market("BTC", stairs(0, 40), funding={16: 0.001}, volume=[k + 1.0 for k in range(40)])
    hourly = Hourly()
    hourly.steps = {60 * MINUTE: buy("BTC", 1)}
    data = write(tmp_path, market, interval="5m")
    result = backtest.run(hourly, data, latency_ms=10 * MINUTE, chunk_rows=chunk_rows)
    hour = [(100.0 + 12 * h, 114.0 + 12 * h, 98.0 + 12 * h, 112.0 + 12 * h, 144.0 * h + 78) for h in range(3)]
    assert [(where, at // MINUTE, seen) for where, at, seen in hourly.seen] == [
        ("on_candle", 60, (*hour[0], 112.0, 0.0)),
        ("on_fill", 75, (*hour[0], 115.0, 1.0)),
        ("on_funding", 85, (*hour[0], 117.0, 1.0)),
        ("on_fill", 90, (*hour[0], 118.0, 0.0)),
        ("on_candle", 120, (*hour[1], 124.0, 0.0)),
        ("on_candle", 180, (*hour[2], 136.0, 0.0)),
    ]
    assert rows(result, "fills", "ts", "qty", "price") == [(70 * MINUTE, 1.0, 114.0), (85 * MINUTE, -1.0, 117.0)]
    assert len(result.tables["equity"]) == 40


def test_a_missing_settlement_is_counted_and_not_heard(tmp_path: Path) -> None:
    # Settlements each minute from row 1 on, but for that of row 4. One BTC at 100 is held from row 1 on.
    heard: list[Any] = Tape()

    class Payee(Script):
        def on_funding(self, payment: Any, market: Any, account: Any) -> None:
            heard.append(((payment.ts_ms - START) // MINUTE, payment.rate, payment.payment))

    market = Market("BTC", [100.0] * 8, funding=dict.fromkeys((1, 2, 3, 5, 6, 7), 0.001))
    data = write(tmp_path, market)
    result = backtest.run(Payee({0: buy("BTC", 1)}, MINUTE), data, allow=("missing-funding",))
    assert heard == [(row, 0.001, -0.1) for row in (2, 3, 5, 6, 7)]
    assert result.metrics["missing_settlements"] == 1
    assert rows(result, "funding", "ts", "missing") == [(row * MINUTE, row == 4) for row in (2, 3, 4, 5, 6, 7)]


def test_hours_are_those_of_the_clock(tmp_path: Path) -> None:
    # ETH's candles begin at 00:00, BTC's at 00:30: its first hour has six of them, rows 6 to 11.
    # A gap of a whole hour (rows 24 to 35) has no candle; from 03:00 there is one of rows 36 to 47.
    candles = stairs(6, 48)
    candles[24:36] = [None] * 12
    btc = Market("BTC", candles, volume=[1.0] * 48)
    watcher = Watcher()
    watcher.every = "1h"
    watcher.look = lambda market, account: (
        market.symbols, market.open["BTC"], market.high["BTC"], market.low["BTC"], market.close["BTC"],
        market.volume["BTC"],
    )  # fmt: skip
    backtest.run(watcher, write(tmp_path, btc, Market("ETH", [1.0] * 48), interval="5m"), allow=ANY_FUNDING)
    first, second, gap, fourth = [seen for _, _, seen in watcher.seen]
    assert first == (("BTC", "ETH"), 106.0, 114.0, 104.0, 112.0, 6.0)
    assert second == (("BTC", "ETH"), 112.0, 126.0, 110.0, 124.0, 12.0)
    assert gap[0] == ("ETH",)
    assert np.isnan(gap[1:]).all()
    assert fourth == (("BTC", "ETH"), 136.0, 150.0, 134.0, 148.0, 12.0)


# ---- account


def own(market: Any, account: Any) -> Any:
    return (
        account.equity, account.wallet, account.initial_margin, account.maintenance_margin, account.margin_ratio,
        account.free_collateral, account.leverage, account.reserve,
    )  # fmt: skip


@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_account_by_the_numbers(tmp_path: Path, margin: str) -> None:
    # Leverage 10, fee 10 bps. Long 20 BTC at 10,000 (fee 200) and short 100 ETH at 1,000 (fee 100) in row 1, which
    # closes at 10,500 and 1,020: unrealised 10,000 - 2,000.
    #   wallet 99,700, equity 107,700; gross 210,000 + 102,000; initial 31,200, maintenance 9,360
    # Half of BTC is sold in row 2 at 10,500: realised 5,000, fee 105; the rest stays.
    #   wallet 104,595, equity 107,595; gross 105,000 + 102,000; initial 20,700, maintenance 6,210
    markets = [
        Market("BTC", [1e4, (1e4, 1.05e4, 1e4, 1.05e4), 1.05e4]),
        Market("ETH", [1e3, (1e3, 1.02e3, 1e3, 1.02e3), 1.02e3]),
    ]
    steps = {MINUTE: both(buy("BTC", 20), sell("ETH", 100)), 2 * MINUTE: sell("BTC", 10)}
    seen = watch(tmp_path, markets, own, steps=steps, margin=margin, leverage=10, fee_bps=10)
    assert seen[0] == (1e5, 1e5, 0.0, 0.0, 0.0, 1e5, 0.0, 0.0)
    expected = (107_700.0, 99_700.0, 31_200.0, 9_360.0, 9_360 / 107_700, 76_500.0, 312_000 / 107_700, 0.0)
    assert seen[1] == pytest.approx(expected, rel=1e-12)
    expected = (107_595.0, 104_595.0, 20_700.0, 6_210.0, 6_210 / 107_595, 86_895.0, 207_000 / 107_595, 0.0)
    assert seen[2] == pytest.approx(expected, rel=1e-12)


def test_position_fields(tmp_path: Path) -> None:
    # Bought 10 at 10,000 and 30 at 11,000: average 10,750; the mark closes at 11,200. Isolated, leverage 10.
    # Posted: 10,000 at first. Then at 11,000: the pool is worth 20,000, and 30 more ask 33,000 more: 53,000, of which
    # 10,000 are profit. It dies where 43,000 + 40 p - 430,000 = 3 % of 40 p: p = 387,000 / 38.8 = 9,974.226804.
    market = Market("BTC", [1e4, 1e4, 1.1e4, 1.1e4], mark=[1e4, 1e4, (1.1e4, 1.12e4, 1.1e4, 1.12e4), 1.12e4])
    steps = {MINUTE: buy("BTC", 10), 2 * MINUTE: buy("BTC", 30)}

    def look(market: Any, account: Any) -> Any:
        return account.position("BTC"), account.positions, account.position("ETH")

    markets = [market, Market("ETH", [1e3] * 4)]
    before, first, second, _ = watch(tmp_path, markets, look, steps=steps, margin="isolated", leverage=10)
    assert before[0][:2] == ("BTC", 0.0)
    assert np.isnan(before[0].entry_price)
    assert np.isnan(before[0].liquidation_price)
    assert before[1] == ()
    assert first[0][:6] == ("BTC", 10.0, 1e4, 1e4, 1e5, 0.0)
    position, positions, eth = second
    assert position[:6] == ("BTC", 40.0, 10_750.0, 11_200.0, 448_000.0, 18_000.0)
    assert position.liquidation_price == pytest.approx(387_000 / 38.8, rel=1e-12)
    assert positions == (position,)
    assert eth[:2] == ("ETH", 0.0)
    assert (eth.mark, eth.notional, eth.unrealized) == (1e3, 0.0, 0.0)


@pytest.mark.parametrize(
    ("step", "margin", "leverage", "ladder", "level"),
    [
        # Cross, long 50 BTC and short 100 ETH, whose mark stands: 100,000 - 500,000 + 48.5 p = 3,000.
        (both(buy("BTC", 50), sell("ETH", 100)), "cross", 20, [(None, 0.05, 0.03)], 403_000 / 48.5),
        # Cross, short 40: 100,000 + 400,000 = 41.2 p.
        (sell("BTC", 40), "cross", 20, [(None, 0.05, 0.03)], 500_000 / 41.2),
        # Isolated, leverage 10: 50,000 posted, 48.5 p = 450,000; the short 51.5 p = 550,000.
        (buy("BTC", 50), "isolated", 10, [(None, 0.05, 0.03)], 450_000 / 48.5),
        (sell("BTC", 50), "isolated", 10, [(None, 0.05, 0.03)], 550_000 / 51.5),
        # Tiers: above 500,000 maintenance is 6 % less 15,000. Long 60: -500,000 + 60 p = 3.6 p - 15,000 at 515,957.
        (buy("BTC", 60), "cross", 20, [(500_000, 0.05, 0.03), (None, 0.10, 0.06)], 485_000 / 56.4),
        # Long 52 dies below the edge: -420,000 + 52 p = 1.56 p.
        (buy("BTC", 52), "cross", 20, [(500_000, 0.05, 0.03), (None, 0.10, 0.06)], 420_000 / 50.44),
        # Short 48 (480,000) dies above it: 580,000 - 48 p = 2.88 p - 15,000.
        (sell("BTC", 48), "cross", 20, [(500_000, 0.05, 0.03), (None, 0.10, 0.06)], 595_000 / 50.88),
    ],
)
def test_liquidation_price_is_where_the_pool_dies(tmp_path: Path, step, margin, leverage, ladder, level) -> None:
    seen = Tape()
    steps = {0: step, 1: lambda _, account: seen.append(account.position("BTC").liquidation_price)}
    file = venue(tmp_path, *ladder)
    for nudge, deaths in ((1e-7, 0), (-1e-7, 1)):
        # The mark touches a price just on this side of the level, or just beyond it.
        wick = level * (1 + nudge) if level < 1e4 else level * (1 - nudge)
        touched = (1e4, max(1e4, wick), min(1e4, wick), 1e4)
        btc = Market("BTC", [1e4] * 4, mark=[1e4, 1e4, touched, 1e4])
        result = play(
            tmp_path / str(deaths), [btc, Market("ETH", [1e3] * 4)], steps, margin=margin, leverage=leverage, venue=file
        )
        assert len(set(rows(result, "liquidations", "ts"))) == deaths
    assert seen == pytest.approx([level, level], rel=1e-12)


def test_a_liquidation_price_that_nobody_reads_is_not_computed(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: Any) -> float:
        raise AssertionError("computed")

    monkeypatch.setattr(Replay, "liquidation_price", refuse)
    market = Market("BTC", [1e4] * 3)
    seen = watch(tmp_path, [market], lambda _, account: account.position("BTC").qty, steps={MINUTE: buy("BTC", 50)})
    assert seen == [0.0, 50.0, 50.0]


@pytest.mark.parametrize("change", [None, lambda account: account.add_margin("BTC", 1_000)])
def test_a_position_that_is_kept_shows_the_close_at_which_it_was_asked_for(tmp_path: Path, change: Any) -> None:
    # Isolated, leverage 10: 50,000 posted for 50, dead at 450,000 / 48.5. A thousand more, or a second 10, moves that.
    kept = Tape()

    def look(market: Any, account: Any) -> Any:
        kept.append(account.position("BTC"))
        if change and len(kept) == 2:
            assert change(account)
            assert account.position("BTC").liquidation_price == pytest.approx(449_000 / 48.5)
        return None

    steps = {MINUTE: buy("BTC", 50), 2 * MINUTE: buy("BTC", 10)}
    watch(tmp_path, [Market("BTC", [1e4, 1e4, 1.1e4, 1.1e4])], look, steps=steps, margin="isolated", leverage=10)
    assert kept[1].liquidation_price == pytest.approx(450_000 / 48.5, rel=1e-12)
    assert kept[1] == copy.deepcopy(kept[1]) == pickle.loads(pickle.dumps(kept[1]))
    assert kept[1] != kept[2]
    assert [name for name, *_ in kept] == ["BTC"] * len(kept)


def test_there_is_no_liquidation_price_where_none_can_be_reached(tmp_path: Path) -> None:
    # One BTC for 10,000 of 100,000: at a price of 0 there are still 90,000.
    seen = watch(
        tmp_path, [Market("BTC", [1e4] * 3)], lambda _, account: account.position("BTC"), steps={MINUTE: buy("BTC", 1)}
    )
    assert (seen[1].qty, seen[1].notional) == (1.0, 1e4)
    assert np.isnan(seen[1].liquidation_price)
