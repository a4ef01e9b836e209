"""Coarse candles played on their fine ones: the windows that the feed gives, and what a replay makes of them."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import backtest
from backtest import Order, Result, Strategy, UserError
from backtest.data import drill_down as drilling
from backtest.data.catalog import Catalog
from backtest.data.chunk_reader import Reader
from backtest.data.drill_down import Drill
from backtest.data.panel import MARK_OPEN
from backtest.data.select import select
from backtest.data.selection import Selection
from tests.rules_index import rule
from tests.scenarios.scenario import write
from tests.scenarios.test_scenarios_same_bytes import invented
from tests.unit.feed_datasets import HOUR, MIN, T0, candles, dense, flat, marks
from tests.unit.test_feed_join import ragged

pytestmark = rule("orders 11")

FIVE = 5 * MIN
ROOT = Path(os.environ.get("BACKTEST_REAL_DATA", ""))
real = pytest.mark.skipif(
    not os.environ.get("BACKTEST_REAL_DATA") or not ROOT.is_dir(),
    reason="no real data: BACKTEST_REAL_DATA does not name a folder",
)


def windows(drill: Drill, coarse: Selection, every: int = 1) -> dict[int, np.ndarray]:
    return {row: drill.window(row) for row in range(0, coarse.rows, every)}


def native(coarse: Selection, fine_ms: int, packed: bool) -> np.ndarray:
    """The whole fine panel of a replay at ``fine_ms``, on the coarse grid, with the fields of the coarse one."""
    end = coarse.start_ms + coarse.rows * coarse.interval_ms
    fine = select(coarse.catalog, coarse.symbols, coarse.start_ms, end, fine_ms)
    chunks = list(fine.chunks(4_999, packed=packed))
    own = np.concatenate([chunk.panel for chunk in chunks], axis=1)
    prices = coarse.volume_field
    whole = np.full((prices + packed, coarse.rows * coarse.interval_ms // fine_ms, len(coarse.symbols)), np.nan)
    before = (fine.start_ms - coarse.start_ms) // fine_ms
    rows = slice(before, before + fine.rows)
    shared = min(prices, fine.volume_field)
    whole[:shared, rows] = own[:shared]
    if fine.volume_field == MARK_OPEN:  # nothing is given as a mark there: the mark is the trade
        whole[MARK_OPEN:prices, rows] = own[[0, 1, 2, 3, 3][: prices - MARK_OPEN]]
    elif shared < prices:
        whole[shared:prices, rows] = own[MARK_OPEN + 3]
    if packed:
        whole[prices, rows] = own[fine.volume_field]
    for i in range(len(coarse.symbols)):  # beside a life, in the coarse rows in which it begins and ends
        alive = np.flatnonzero(~np.isnan(whole[MARK_OPEN, :, i]))
        ratio = coarse.interval_ms // fine_ms
        begin, end = int(coarse.first_row[i]) * ratio, (int(coarse.last_row[i]) + 1) * ratio
        whole[MARK_OPEN:prices, begin : alive[0], i] = whole[MARK_OPEN, alive[0], i]
        whole[MARK_OPEN:prices, alive[-1] + 1 : end, i] = whole[MARK_OPEN + 3, alive[-1], i]
    return whole


def same_windows(coarse: Selection, fine_ms: int, every: int, packed: bool = True) -> int:
    """Windows of every so many rows are the native panel's rows; how many there were."""
    drill, whole = Drill(coarse, fine_ms, packed), native(coarse, fine_ms, packed)
    found = windows(drill, coarse, every)
    assert drill.rows == coarse.interval_ms // fine_ms
    for row, window in found.items():
        assert window.flags.c_contiguous
        np.testing.assert_array_equal(window, whole[:, row * drill.rows : (row + 1) * drill.rows], err_msg=f"row {row}")
    return len(found)


@pytest.mark.parametrize(("coarse_ms", "fine_ms"), [(FIVE, MIN), (HOUR, MIN), (HOUR, FIVE), (24 * HOUR, 20 * MIN)])
@pytest.mark.parametrize("period", [(None, None), (T0 + 2_903 * MIN, T0 + 4_444 * MIN)], ids=["all", "some"])
def test_windows_are_the_rows_of_a_fine_replay(
    tmp_path: Path, coarse_ms: int, fine_ms: int, period: tuple[int | None, int | None]
) -> None:
    ragged(tmp_path)
    coarse = select(Catalog.open(tmp_path), None, *period, coarse_ms)
    assert same_windows(coarse, fine_ms, 1) == coarse.rows
    same_windows(coarse, fine_ms, 7, packed=False)


@pytest.mark.parametrize("span", [1, 45, 600])
def test_windows_do_not_depend_on_how_much_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, span: int
) -> None:
    """Spans of one coarse row begin in the middle of gaps of hours: the mark there is the last close before."""
    ragged(tmp_path)
    monkeypatch.setattr(drilling, "_SPAN_ROWS", span)
    coarse = select(Catalog.open(tmp_path), None, T0 + 2_953 * MIN, T0 + 3_453 * MIN, 15 * MIN)
    whole = dense(select(coarse.catalog, None, coarse.start_ms, coarse.start_ms + coarse.rows * 15 * MIN))[0]
    assert np.isnan(whole[0, :: 15 * max(1, span // 15)]).any()
    same_windows(coarse, MIN, 1)


def test_a_window_by_hand(tmp_path: Path) -> None:
    # X lives from minute 2 to 8 and lacks 4 and 5; Y is there from 0 to 9 but for 5. No marks are given.
    candles(tmp_path, "X", [(k, 10 + k, 12 + k, 9 + k, 11 + k, k) for k in (2, 3, 6, 7, 8)])
    candles(tmp_path, "Y", flat(*range(50, 55), None, *range(56, 60)))
    coarse = select(Catalog.open(tmp_path), None, None, None, FIVE)
    drill = Drill(coarse, MIN, packed=True)
    first, second = drill.window(0), drill.window(1)
    assert first.shape == second.shape == (9, 5, 2)
    nan = float("nan")
    np.testing.assert_array_equal(
        first[[0, 3, 8], :, 0], [[nan, nan, 12, 13, nan], [nan, nan, 13, 14, nan], [nan, nan, 2, 3, nan]]
    )
    # Before its first candle X's mark stands at that one's open, in the gap at 14, after the last one at 19.
    np.testing.assert_array_equal(first[[4, 7], :, 0], [[12, 12, 12, 13, 14], [12, 12, 13, 14, 14]])
    np.testing.assert_array_equal(second[[4, 7], :, 0], [[14, 16, 17, 18, 19], [14, 17, 18, 19, 19]])
    np.testing.assert_array_equal(second[[0, 4], :, 1], [[nan, 56, 57, 58, 59], [54, 56, 57, 58, 59]])
    assert coarse.mark_offset == 4


def test_fine_marks_are_derived_where_the_coarse_candle_has_its_own(tmp_path: Path) -> None:
    # Five-minute marks beside 1m candles flat at 100: the 5m candle has 102 … 104, its minutes go along the basis.
    candles(tmp_path, "X", flat(*[100] * 15))
    marks(tmp_path, "X", [(0, 102, 109, 95, 104), (1, 104, 109, 95, 106), (2, 106, 109, 95, 107)], FIVE)
    coarse = select(Catalog.open(tmp_path), None, None, None, FIVE)
    assert (coarse.marks["X"], coarse.known_field) == ("given", 7)
    window = Drill(coarse, MIN).window(0)
    assert window.shape == (8, 5, 1)  # the fields of the coarse panel
    # b = 1.02 at 0, 1.04 at 5: a minute adds 0.4 to the open
    np.testing.assert_array_equal(window[4, :, 0], [102, 102.4, 102.8, 103.2, 103.6])
    np.testing.assert_array_equal(window[7, :, 0], [102.4, 102.8, 103.2, 103.6, 104])


def test_accounts_that_play_a_chunk_in_turn_share_one_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ragged(tmp_path)
    made: list[Reader] = []

    class Counting(Reader):
        def __init__(self, *arguments: Any) -> None:
            made.append(self)
            super().__init__(*arguments)

    monkeypatch.setattr(drilling, "Reader", Counting)
    monkeypatch.setattr(drilling, "_SPAN_ROWS", 600)
    coarse = select(Catalog.open(tmp_path), ["A"], None, None, HOUR)  # without gaps: nothing is read twice
    drill = Drill(coarse, MIN)
    assert not made  # a run in which nothing happens reads nothing
    once = windows(drill, coarse)
    spans = -(-coarse.rows // 10)
    assert (len(made), coarse.rows <= coarse.default_chunk_rows) == (spans, True)
    again = windows(drill, coarse)
    assert len(made) == spans
    for row, window in once.items():
        np.testing.assert_array_equal(window, again[row])


def test_what_cannot_be_drilled_is_named(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(*[1] * 24, start=0), FIVE)

    class Hold(Strategy):
        def on_candle(self, market: Any, account: Any) -> None: ...

    for interval, drill, said in (
        ("7m", None, "7m is not a multiple of the data's 5m candles"),
        ("1h", "7m", "a drill to 7m does not divide 1h candles"),
        ("1h", "1h", "a drill to 1h is not finer than 1h candles"),
        (None, "5m", "a drill to 5m is not finer than 5m candles"),
        ("1h", "1m", "1m is not a multiple of the data's 5m candles"),
        ("1h", "soon", "invalid value 'soon' in drill="),
        ("0h", None, "invalid value '0h' in interval="),
    ):
        with pytest.raises(UserError) as raised:
            backtest.run(Hold, tmp_path, interval=interval, drill=drill, allow=["missing-funding"])
        assert said in str(raised.value)
        assert len(str(raised.value).splitlines()) == 1


@real
@pytest.mark.parametrize("fine", [FIVE, 20 * MIN])
def test_real_windows_are_the_rows_of_a_fine_replay(fine: int) -> None:
    coarse = select(Catalog.open(ROOT / "binance_5m_2024"), None, None, None, HOUR)
    assert coarse.rows > 10_000
    assert same_windows(coarse, fine, 3) > 3_000


# ---- what a replay makes of them


class Breakout(Strategy):
    """Waits at the nearer edge of the day's range, with a stop, a target and a trailing stop behind the entry."""

    every = "1h"

    def features(self, candle: Any) -> dict[str, pl.Expr]:
        unit = (candle.high - candle.low).rolling_mean(24)
        return {"top": candle.high.rolling_max(24), "bottom": candle.low.rolling_min(24), "range": unit}

    def on_candle(self, market: Any, account: Any) -> None:
        for symbol in market.symbols:
            unit, price = market.feature("range", symbol), market.close[symbol]
            if account.position(symbol).qty or not unit > 0:
                continue
            top, bottom = market.feature("top", symbol), market.feature("bottom", symbol)
            edge, side = (top, 1) if top - price < price - bottom else (bottom, -1)
            bracket = {
                "stop_loss": edge - side * unit,
                "take_profit": edge + 2 * side * unit,
                "trailing_stop": 1.5 * unit,
            }
            account.send(Order(symbol, side * 10_000 / price, stop=edge, expires="1h", **bracket))


class Leveraged(Strategy):
    """Buys each dip of a fifth of a per cent, and holds until it is liquidated."""

    every = "1h"

    def on_candle(self, market: Any, account: Any) -> None:
        for symbol in market.symbols:
            if not account.position(symbol).qty:
                price = market.close[symbol]
                account.buy(symbol, 20_000 / price, limit=price * 0.998, expires="1h")


def happened(results: list[Result]) -> dict[str, Counter[Any]]:
    """Fills and liquidations: whose, of what, in which 5m candle, at which price (to seven digits)."""
    found: dict[str, Counter[Any]] = {"fills": Counter(), "liquidations": Counter()}
    columns = {"fills": ("order_id", "symbol", "qty"), "liquidations": ("pool", "symbol", "stage")}
    for number, result in enumerate(results):
        for name, wanted in columns.items():
            rows = result.tables[name].select(*wanted, pl.col("ts").dt.epoch("ms") // FIVE, "price").rows()
            found[name].update((number, *row[:-1], f"{row[-1]:.7g}") for row in rows)
    return found


COSTS: dict[str, Any] = {"venue": "generic", "fee_bps": 4.0, "slippage_bps": 1.0, "leverage": 20.0}


@pytest.fixture(scope="module")
def invented_fives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty days less five minutes; marks of 5m, of 1h and none; funding inside of candles; a few gaps."""
    return write(tmp_path_factory.mktemp("fives"), *invented(12 * 24 * 30 - 1, seed=4), interval="5m")


@pytest.mark.parametrize("strategy", [Breakout, Leveraged])
@pytest.mark.parametrize("settings", [{}, {"path": "worst"}, {"latency_ms": 70_000}], ids=["", "worst", "late"])
def test_invented_hours_with_a_drill_are_the_5m_replay(
    invented_fives: Path, strategy: type[Strategy], settings: dict[str, Any]
) -> None:
    asked = {"cash": 30_000, **COSTS, **settings}
    fine = backtest.compare(strategy, invented_fives, **asked)
    drilled = backtest.compare(strategy, invented_fives, interval="1h", drill="5m", **asked)
    truth, found = happened(fine.results), happened(drilled.results)
    assert len(truth["fills"]) > 50
    assert sum((found["fills"] & truth["fills"]).values()) >= 0.99 * sum((found["fills"] | truth["fills"]).values())
    assert found["liquidations"] == truth["liquidations"]


def test_hooks_hear_a_drilled_row_at_its_close(invented_fives: Path) -> None:
    heard = []

    class Listening(Breakout):
        def on_fill(self, fill: Any, market: Any, account: Any) -> None:
            heard.append((market.now.timestamp() * 1000 - fill.ts_ms) / MIN)

    result = backtest.run(Listening, invented_fives, cash=30_000, interval="15m", drill="5m", check=False, **COSTS)
    assert result.summary["counts"]["candles drilled down"] > 50
    assert len(heard) == result.tables["fills"].height
    # It decides each hour, and hears of a fill when the quarter of an hour is over in which it was made.
    assert 0 <= min(heard) < max(heard) <= 15


def test_sub_accounts_and_verify_drill_like_the_run_that_they_are(invented_fives: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"interval": "1h", "drill": "5m", **COSTS}
    together = backtest.subaccounts([Breakout, Leveraged], invented_fives, cash=60_000, out=tmp_path / "both", **asked)
    for result, strategy in zip(together.results, (Breakout, Leveraged), strict=True):
        alone = backtest.run(strategy, invented_fives, cash=30_000, **asked)
        assert result.digest == alone.digest
        assert result.summary["data"]["fingerprint"] == alone.summary["data"]["fingerprint"]
        data = result.summary["data"]
        assert (data["interval_ms"], data["joined_from_ms"], data["drill_ms"]) == (HOUR, FIVE, FIVE)
        assert result.summary["counts"]["candles drilled down"] > 0
    assert backtest.verify(tmp_path / "both").ok


def played(strategy: type[Strategy], periods: list[tuple[str, str]], **settings: Any) -> tuple[list[Result], float]:
    """The results over each period in isolated and in cross margin, and the seconds that they took."""
    begun = time.perf_counter()
    compared = [
        backtest.compare(strategy, ROOT / "binance_5m_2024", start=start, end=end, **COSTS, **settings)
        for start, end in periods
    ]
    return [result for one in compared for result in one.results], time.perf_counter() - begun


MONTHS = [f"2024-{month:02}-01" for month in range(1, 13)]


@real
@pytest.mark.parametrize(
    ("strategy", "cash", "periods", "least"),
    [
        (Breakout, 100_000, [("2024-01-01", "2024-12-01")], {"fills": 5_000}),
        (Leveraged, 100_000, [("2024-01-01", "2024-12-01")], {"fills": 50, "liquidations": 20}),
        (Leveraged, 4_000, list(pairwise(MONTHS)), {"fills": 30, "liquidations": 10}),
    ],
    ids=["breakout", "leveraged", "leveraged-by-month"],
)
def test_hours_with_a_drill_to_5m_are_the_5m_replay(
    strategy: type[Strategy], cash: float, periods: list[tuple[str, str]], least: dict[str, int]
) -> None:
    """At least 99 % of fills and liquidations are the same, on far fewer candles; `-s` shows the figures."""
    played(strategy, [("2024-01-01", "2024-01-03")], cash=cash, interval="1h", drill="5m")  # compiled by now
    runs = {
        "5m": played(strategy, periods, cash=cash),
        "1h": played(strategy, periods, cash=cash, interval="1h"),
        "1h, drill 5m": played(strategy, periods, cash=cash, interval="1h", drill="5m"),
    }
    truth = happened(runs["5m"][0])
    rows = sum(len(result.tables["equity"]) for result in runs["5m"][0])
    shares: dict[tuple[str, str], float] = {}
    for label, (results, seconds) in runs.items():
        drilled = sum(result.summary["counts"].get("candles drilled down", 0) for result in results)
        walked = sum(len(result.tables["equity"]) for result in results) + 12 * drilled
        sys.stdout.write(f"{strategy.__name__} {label}: {seconds:.2f} s, {walked:,} candles, {drilled:,} opened up\n")
        for name, events in happened(results).items():
            same = sum((events & truth[name]).values())
            most = max(sum(events.values()), sum(truth[name].values()))
            shares[label, name] = same / most if most else 1.0
            sys.stdout.write(f"    {name}: {same:,} of {most:,} as in the 5m replay\n")
        if label == "1h, drill 5m":
            assert walked < rows / 2
    for name, count in least.items():
        assert sum(truth[name].values()) >= count
        assert shares["1h, drill 5m", name] >= 0.99
        assert shares["1h", name] < 0.9  # or there was nothing to find out
