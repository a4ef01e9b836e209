"""Marks coarser than the candles: derived ones attain the venue's own extremes, and nobody sees them coming.

The venue is generic: 3 % maintenance, a penalty of 1 %.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import backtest
from backtest import Result, Strategy
from backtest.data.catalog import Catalog
from backtest.data.select import select
from tests.rules_index import rule
from tests.scenarios.scenario import MINUTE, START, Market, Row, Tape, buy, play, write

FIVE = 5 * MINUTE
HOUR = 60 * MINUTE

# Twelve candles of 5m between 100 and 103 that close at 103; 103 is reached in rows 3 and 11, 100 in rows 0, 1 and 6.
CALM: list[Row] = [
    (100.0, 101.0, 100.0, 101.0), (101.0, 101.0, 100.0, 101.0), (101.0, 102.0, 101.0, 102.0),
    (102.0, 103.0, 102.0, 102.0), (102.0, 102.0, 101.0, 101.0), (101.0, 101.0, 100.5, 101.0),
    (101.0, 101.0, 100.0, 101.0), (101.0, 102.0, 101.0, 102.0), (102.0, 102.0, 101.0, 101.0),
    (101.0, 102.0, 101.0, 102.0), (102.0, 102.5, 102.0, 102.0), (102.0, 103.0, 102.0, 103.0),
]  # fmt: skip
WICK = (100.0, 110.0, 99.0, 103.0)
"""The venue mark of that hour."""


def hours(name: str, candles: list[Row], *mark: Row) -> Market:
    """A market of 5m candles with hourly marks. Before it a calm hour at the first open, after it one at the last
    close, of trades and marks alike."""
    first, last = candles[0][0], candles[-1][3]  # type: ignore[index]
    return Market(name, [first] * 12 + candles + [last] * 12, [first, *mark, last], mark_rows=12)


def liquidated(result: Result) -> list[tuple[int, float]]:
    """Time after the start in minutes, and price, of each liquidation step."""
    rows = result.tables["liquidations"].select("ts", "price").rows()
    return [((round(ts.timestamp() * 1000) - START) // MINUTE, price) for ts, price in rows]


GRAINS: list[dict[str, Any]] = [{"interval": "5m"}, {"interval": "1h"}, {"interval": "1h", "drill": "5m"}]


class At(Strategy):
    """Sells once, at the close of the first hour."""

    def __init__(self, symbol: str, qty: float) -> None:
        super().__init__()
        self.symbol, self.qty = symbol, qty

    def on_candle(self, market: Any, account: Any) -> None:
        if market.now_ms == START + HOUR:
            account.sell(self.symbol, self.qty)


def each_grain(folder: Path, market: Market, qty: float, cash: float) -> list[Result]:
    """The same short on candles of 5m, of 1h, and of 1h with a drill."""
    data = write(folder, market, interval="5m")
    common: dict[str, Any] = {"cash": cash, "allow": ("missing-funding",)}
    return [backtest.run(At(market.symbol, qty), data, **grain, **common) for grain in GRAINS]


@rule("3.1")
def test_G3_an_hourly_mark_kills_on_5m_candles_and_in_a_drill_too(tmp_path: Path) -> None:
    # Short 1,000 at 100 on 8,000: equity 108,000 − 1,000 p meets 3 % of 1,000 p at 108,000 / 1,030 = 104.854369.
    # Trades and basis (1 at either end) say 103 at most; the venue mark was at 110.
    fine, coarse, drilled = each_grain(tmp_path, hours("X", CALM, WICK), 1_000, 8_000)
    for result in (fine, coarse, drilled):
        ((minute, price),) = liquidated(result)
        assert price == pytest.approx(108_000 / 1_030, abs=1e-6)
        assert 60 <= minute < 120
    # On 5m candles, and in the drill, in the first one that trades at 103: row 3 of the hour.
    assert 75 <= liquidated(fine)[0][0] < 80
    assert liquidated(drilled) == liquidated(fine)
    assert drilled.summary["counts"]["candles drilled down"] > 0


@rule("3.1")
@pytest.mark.parametrize("chunk", [1, 5, 12, 100])
def test_G3_the_mark_attains_both_extremes_once_whatever_the_chunks(tmp_path: Path, chunk: int) -> None:
    data = write(tmp_path, hours("X", CALM, WICK), interval="5m")
    selection = select(Catalog.open(data))
    panel = np.concatenate([c.panel for c in selection.chunks(chunk)], axis=1)[:, 12:24, 0]
    # Of rows 3 and 11 at 103 and rows 0, 1 and 6 at 100 the earliest; the others are trades times a basis of 1.
    trades = np.array([row[1:3] for row in CALM])  # type: ignore[index]
    trades[3, 0], trades[0, 1] = 110, 99
    np.testing.assert_array_equal(panel[5:7].T, trades)
    np.testing.assert_array_equal(panel[[4, 7]].T, [[row[0], row[3]] for row in CALM])  # type: ignore[index]


@rule("3.1")
def test_G3_the_period_does_not_move_the_extremes(tmp_path: Path) -> None:
    data = write(tmp_path, hours("X", CALM, WICK), interval="5m")
    catalog = Catalog.open(data)
    whole = next(select(catalog).chunks(100)).panel
    for first, last in ((14, 30), (16, 30), (0, 15), (0, 18)):
        part = next(select(catalog, None, START + first * FIVE, START + last * FIVE).chunks(100)).panel
        np.testing.assert_array_equal(part, whole[:, first:last])


@rule("3.1")
def test_G3_what_was_stretched_far_is_counted_listed_and_told(tmp_path: Path) -> None:
    # 103 to 110 are 679.6 bps, 100 to 99 are 100 bps.
    fine, coarse, drilled = each_grain(tmp_path, hours("X", CALM, WICK), 1_000, 8_000)
    listed = fine.summary["data"]["stretched_marks"]
    row = {"symbol": "X", "interval_ms": FIVE, "mark_ts_ms": START + HOUR}
    assert listed == [
        {**row, "ts_ms": START + HOUR, "side": "low", "derived": 100, "mark": 99, "bps": pytest.approx(100)},
        {
            **row, "ts_ms": START + HOUR + 3 * FIVE, "side": "high", "derived": 103, "mark": 110,
            "bps": pytest.approx(1e4 * 7 / 103),
        },
    ]  # fmt: skip
    assert drilled.summary["data"]["stretched_marks"] == listed
    assert coarse.summary["data"]["stretched_marks"] == []
    name = "derived marks stretched by more than 50 bps"
    assert (fine.summary["counts"][name], drilled.summary["counts"][name]) == (2, 2)
    assert name not in coarse.summary["counts"]
    (said,) = [note for note in fine.summary["notes"] if "derived mark" in note]
    assert said.startswith("2 derived marks were moved by more than 50 bps")
    assert said.endswith("Largest: X at 2024-03-01 01:15 UTC, high 103.00 became 110.00, 680 bps.")
    near = hours("X", CALM, (100.0, 103.5, 99.6, 103.0))  # 48.5 and 40 bps
    calm = play(tmp_path / "near", [near], {}, interval="5m")
    assert calm.summary["data"]["stretched_marks"] == []


class Reader(Strategy):
    """Writes down at each close the marks, and the account as the strategy sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Tape()

    def on_candle(self, market: Any, account: Any) -> None:
        if market.now_ms == START + HOUR:
            account.sell("X", 100)
        held = account.position("X")
        self.seen.append((market.now_ms, market.mark["X"], account.equity, held.unrealized, held.liquidation_price))


@rule("3.1")
@pytest.mark.parametrize("mark", [WICK, (100.0, 160.0, 40.0, 103.0)])
def test_G4_no_strategy_sees_the_high_before_the_hour_has_closed(tmp_path: Path, mark: Row) -> None:
    # A short of 100 on 100,000 lives through either. What is seen is the same as if the mark had stayed at its open.
    seen = []
    for name, hour in (("quiet", (100.0, 103.0, 100.0, 103.0)), ("wild", mark)):
        reader = Reader()
        data = write(tmp_path / name, hours("X", CALM, hour), interval="5m")
        assert not liquidated(backtest.run(reader, data, cash=100_000, allow=("missing-funding",)))
        seen.append(list(reader.seen))
    assert seen[0] == seen[1]
    assert [page[1] for page in seen[0][12:24]] == [row[3] for row in CALM]  # type: ignore[index]


def test_a_real_squeeze_is_the_same_on_all_candles(tmp_path: Path) -> None:
    # A short of 1.5x: 1,000 at 2.352417 on 1,568.278. It dies where 1,568.278 + 2,352.417 − 1,000 p = 0.03 × 1,000 p,
    # at 3,920.695 / 1,030 = 3.8065. The market traded at 2.9 at most where the mark, by an index of other
    # exchanges, went to 4.494.
    first: list[Row] = [(2.352417, 2.4, 2.352417, 2.4), (2.4, 2.6, 2.4, 2.6), (2.6, 2.9, 2.6, 2.7)]
    candles: list[Row] = [*first, *[(2.7, 2.75, 2.7, 2.7)] * 9]
    market = hours("ORCAUSDT", candles, (2.352417, 4.494, 2.352417, 2.7))
    results = each_grain(tmp_path, market, 1_000, 1_568.278)
    for result in results:
        ((_, price),) = liquidated(result)
        assert price == pytest.approx(3.8065, abs=1e-6)
        assert result.metrics["final_equity"] < 200
    assert liquidated(results[0]) == liquidated(results[2])
    worst = max(results[0].summary["data"]["stretched_marks"], key=lambda stretch: stretch["bps"])
    assert (worst["ts_ms"], worst["derived"], worst["mark"]) == (START + HOUR + 2 * FIVE, 2.9, 4.494)


def test_a_mark_candle_over_a_gap_is_attained_in_its_first_row(tmp_path: Path) -> None:
    # Nothing trades in the third hour; the venue mark goes from 100 to 110 and 99 all the same. Short as in G3.
    market = Market("X", [100.0] * 24 + [None] * 12 + [100.0] * 12, [100.0, 100.0, WICK, 100.0], mark_rows=12)
    fine, coarse, drilled = each_grain(tmp_path, market, 1_000, 8_000)
    assert liquidated(fine) == liquidated(drilled)
    for result in (fine, coarse):
        ((minute, price),) = liquidated(result)
        assert price == pytest.approx(108_000 / 1_030, abs=1e-6)
        assert 120 <= minute < 180
    assert liquidated(fine)[0][0] < 125
    sides = [(s["side"], s["derived"], s["mark"]) for s in fine.summary["data"]["stretched_marks"]]
    assert sides == [("high", 100, 110), ("low", 100, 99)]
    chunks = {size: list(select(Catalog.open(tmp_path)).chunks(size)) for size in (1, 7, 100)}
    panels = [np.concatenate([c.panel for c in chunks[size]], axis=1) for size in chunks]
    for panel in panels:
        np.testing.assert_array_equal(panel, panels[0])
        assert panel[4:, 24:26, 0].T.tolist() == [[100, 110, 99, 100, 100], [100] * 5]


def test_mark_intervals_that_are_no_multiples_are_attained_too(tmp_path: Path) -> None:
    # Candles of 5m, marks of 12m that open at 0, 12, 24, …, 108: rows 0, 1, 2 | 3, 4 | 5, 6, 7 | 8, 9 | 10, 11 | …
    # and of 3m, which are finer but do not divide: that of minute 3 opens in row 0, that of 6 in row 1.
    candles: list[Row] = [(100.0, 100.0 + k, 100.0, 100.0) for k in (0, 1, 0, 0, 2, 2, 0, 0, 0, 3, 0, 0)]
    data = write(tmp_path, Market("X", candles), interval="5m")
    for every, count, tops in ((12, 5, {1, 4, 5, 9, 10}), (3, 20, set(range(12)))):
        marks = write(tmp_path / "m", Market("X", [(100.0, 150.0, 100.0, 100.0)] * count), interval="1m") / "candles"
        moved = pl.read_parquet(marks / "symbol=X" / "part.parquet").with_columns(
            (pl.lit(START) + pl.int_range(count) * every * MINUTE).cast(pl.Datetime("ms", "UTC")).alias("ts")
        )
        (data / "mark" / "symbol=X").mkdir(parents=True, exist_ok=True)
        moved.write_parquet(data / "mark" / "symbol=X" / "part.parquet")
        selection = select(Catalog.open(data))
        assert selection.marks == {"X": "derived"}
        for chunk in (1, 4, 12):
            panel = np.concatenate([c.panel for c in selection.chunks(chunk)], axis=1)
            assert set(np.flatnonzero(panel[5, :, 0] == 150).tolist()) == tops


def test_a_long_meets_the_low_in_every_mode(tmp_path: Path) -> None:
    # A long of 1,000 at 100 on 8,000 dies at 92,000 / 970 = 94.845361; the mark's low is 90, trades stay at 99.
    candles: list[Row] = [(100.0, 100.0, 99.0, 100.0)] * 12
    market = hours("X", candles, (100.0, 100.0, 90.0, 100.0))
    for margin in ("cross", "isolated"):
        result = play(tmp_path / margin, [market], {11: buy("X", 1_000)}, interval="5m", cash=8_000, margin=margin)
        ((minute, price),) = liquidated(result)
        assert 60 <= minute < 65
        if margin == "cross":
            assert price == pytest.approx(92_000 / 970, abs=1e-6)
