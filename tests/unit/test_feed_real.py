"""Facts about real data; the environment's BACKTEST_REAL_DATA names the folder that holds the datasets."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pytest

from backtest.data.catalog import Catalog
from backtest.data.check import check
from backtest.data.info import info
from backtest.data.panel import CLOSE, LOW, MARK_HIGH, MARK_LOW, MARK_OPEN, OPEN
from backtest.data.select import select
from tests.unit.feed_datasets import HOUR, MIN, dense

ROOT = Path(os.environ.get("BACKTEST_REAL_DATA", ""))
pytestmark = pytest.mark.skipif(
    not os.environ.get("BACKTEST_REAL_DATA") or not ROOT.is_dir(),
    reason="no real data: BACKTEST_REAL_DATA does not name a folder",
)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def test_march_2020_marks_did_not_follow_the_trades() -> None:
    s = select(Catalog.open(ROOT / "binance_1h_long"), ["BTCUSDT"], ms("2020-03-12"), ms("2020-03-14"))
    panel, _ = dense(s)
    row = (ms("2020-03-12T10:00") - s.start_ms) // HOUR
    assert (round(panel[LOW, row, 0]), round(panel[MARK_LOW, row, 0])) == (5_199, 5_621)
    assert s.marks == {"BTCUSDT": "given"}


def test_marks_before_their_series_begins_are_the_trades() -> None:
    s = select(Catalog.open(ROOT / "binance_1h_long"), ["BTCUSDT"], None, ms("2019-12-25"))
    panel, _ = dense(s)
    first = (ms("2019-12-23T11:00") - s.start_ms) // HOUR  # where the mark series begins
    np.testing.assert_array_equal(panel[MARK_OPEN, :first, 0], panel[OPEN, :first, 0])
    assert s.counts["derived mark rows"] == first
    assert (panel[MARK_OPEN, first:, 0] != panel[OPEN, first:, 0]).any()


def test_layer_switches_from_four_hours_to_one_without_a_false_alarm() -> None:
    folder = ROOT / "binance_1m_2025"
    layer = next(row for row in info(folder) if row.symbol == "LAYERUSDT")
    assert layer.funding_intervals_ms == (4 * HOUR, HOUR)
    catalog = Catalog.open(folder)
    s = select(catalog, ["LAYERUSDT"])
    missing = s.funding[np.isnan(s.funding[:, 2]), 0].tolist()
    assert missing == [ms("2025-06-03T15:00")]  # its funding ends at 14:00, its candles at 15:35
    every = select(catalog)
    assert (every.symbols, every.rows, every.mark_offset) == (catalog.symbols, 60_191, 4)
    assert set(every.marks.values()) == {"derived"}


def test_derived_marks_stay_inside_their_hour_and_near_its_open() -> None:
    folder = ROOT / "binance_5m_2024"
    s = select(Catalog.open(folder), ["BTCUSDT"], ms("2024-08-05"), ms("2024-08-06"))
    panel, _ = dense(s, 100)
    query = f"SELECT open, high, low FROM '{folder}/mark/symbol=BTCUSDT/*.parquet' WHERE ts >= '2024-08-05 00:00+00' AND ts < '2024-08-06 00:00+00' ORDER BY ts"  # noqa: E501
    con = duckdb.connect()
    con.execute("SET timezone = 'UTC'")
    hours = np.array(con.execute(query).fetchall())
    con.close()
    assert len(hours) == 24
    np.testing.assert_allclose(panel[MARK_OPEN, ::12, 0], hours[:, 0], rtol=1e-8)
    high, low = np.repeat(hours[:, 1], 12), np.repeat(hours[:, 2], 12)
    assert (panel[MARK_HIGH, :, 0] <= high * (1 + 1e-7)).all()
    assert (panel[MARK_LOW, :, 0] >= low * (1 - 1e-7)).all()


def test_sums_agree_with_duckdb_whatever_the_chunks() -> None:
    folder = ROOT / "binance_1m_2025"
    s = select(Catalog.open(folder))
    panel, volume = dense(s, 10_007, volume=True)
    con = duckdb.connect()
    rows = con.execute(
        f"SELECT count(*), sum(close), sum(volume) FROM '{folder}/candles/*/*.parquet' GROUP BY symbol ORDER BY symbol"
    ).fetchall()
    con.close()
    for i, (count, close, amount) in enumerate(rows):
        assert np.count_nonzero(~np.isnan(panel[CLOSE, :, i])) == count
        assert np.nansum(panel[CLOSE, :, i]) == pytest.approx(close, rel=1e-12)
        assert volume is not None
        assert np.nansum(volume[:, i]) == pytest.approx(amount, rel=1e-12)


@pytest.mark.parametrize("name", ["binance_1h_long", "binance_1m_2025", "okx_5m_2022", "plain/binance", "plain/bybit"])
def test_real_data_have_no_errors(name: str) -> None:
    findings = check(ROOT / name)
    errors = {f.kind: f.count for f in findings.found if f.severity == "error"}
    # This one has no funding at all, which a run has to be told to go without.
    assert errors == ({"symbols without funding": 3} if name == "okx_5m_2022" else {})


def test_a_market_without_funding_is_named() -> None:
    s = select(Catalog.open(ROOT / "okx_5m_2022"))
    assert s.no_funding == s.symbols == ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    assert s.marks == {"BTCUSDT": "trades", "ETHUSDT": "derived", "SOLUSDT": "derived"}
    assert len(s.funding) == 0
    assert s.interval_ms == 5 * MIN
