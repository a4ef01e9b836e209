"""`backtest data import`: every layout gives the rows that were written into it, and nothing is half written."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from backtest.data import from_frame
from backtest.data.catalog import Catalog
from backtest.data.importing.importer import ImportReport, prepared
from backtest.data.importing.options import mapping, options_of
from tests.unit.import_layouts import FILES, LAYOUTS, OHLC, Market

HOUR = 3_600_000
REAL = Path(os.environ.get("BACKTEST_REAL_DATA", "/nowhere"))
real = pytest.mark.skipif(not REAL.is_dir(), reason="BACKTEST_REAL_DATA names no folder of real market data")


def imported(source: Path, out: Path, symbol: str | None = None, interval: str | None = None, tz: str | None = None,
             file_format: str | None = None, columns: str = "", stamp: str | None = None) -> ImportReport:  # fmt: skip
    options = options_of(symbol, interval, tz, file_format, mapping(columns), stamp)
    with prepared(source, options) as ready:
        return ready.write(out)


def rows(folder: Path, series: str, symbol: str) -> pl.DataFrame:
    """What was written, with `ts` in ms."""
    frame = pl.read_parquet(folder / series / f"symbol={symbol}" / "part.parquet", hive_partitioning=False)
    return frame.with_columns(pl.col("ts").dt.epoch("ms"))


@pytest.fixture(scope="module")
def market() -> Market:
    """Ten real weeks of BTC, in which Binance's clock passed into 2025 and Berlin's went back; else invented ones."""
    if not REAL.is_dir():
        return invented()

    def read(series: str) -> pl.DataFrame:
        file = REAL / "binance_1h_long" / series / "symbol=BTCUSDT" / "part.parquet"
        frame = pl.read_parquet(file, hive_partitioning=False)
        ms = frame.with_columns(pl.col("ts").dt.epoch("ms"))
        return ms.filter(pl.col("ts").is_between(START, START + 70 * 24 * HOUR, closed="left"))

    funding = read("funding").with_columns(pl.col("ts") // HOUR * HOUR)
    return Market("BTCUSDT", HOUR, read("candles"), read("mark").select("ts", *OHLC), funding)


START = 1_729_382_400_000
"""2024-10-20T00:00Z."""


def invented() -> Market:
    count = 70 * 24
    close = [60_000 + 37.5 * (n % 101) for n in range(count)]
    candles = pl.DataFrame(
        {
            "ts": [START + HOUR * n for n in range(count)],
            "open": [60_000.0, *close[:-1]],
            "high": [price + 4_000 for price in close],
            "low": [price - 4_000 for price in close],
            "close": close,
            "volume": [n % 13 + 0.125 for n in range(count)],
        }
    )
    mark = candles.select("ts", *(pl.col(name) + 1.5 for name in OHLC))
    funding = pl.DataFrame({"ts": candles["ts"][::8], "rate": [0.0001 * (n % 5 - 2) for n in range(len(candles[::8]))]})
    return Market("BTCUSDT", HOUR, candles, mark, funding)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_known_layout_gives_the_rows_that_are_in_it(tmp_path: Path, market: Market, name: str) -> None:
    place = tmp_path / name
    LAYOUTS[name](place, market)
    interval = "1h" if name in ("trades", "hyperliquid", "tardis") else None
    report = imported(place, tmp_path / "out", interval=interval)
    held = {(one.series, one.symbol) for one in report.series}
    assert ("candles", "BTCUSDT") in held
    assert rows(tmp_path / "out", "candles", "BTCUSDT").equals(market.candles)
    if name in ("binance", "freqtrade", "hyperliquid", "tardis"):
        assert rows(tmp_path / "out", "mark", "BTCUSDT").equals(market.mark)
        paid = rows(tmp_path / "out", "funding", "BTCUSDT")
        assert paid.equals(market.funding)
        assert report.missing_funding == ()
    else:
        assert report.missing_funding == ("BTCUSDT",)
    catalog = Catalog.open(tmp_path / "out")
    assert (catalog.interval_ms, catalog.quote) == (HOUR, "USDT")


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_gives_the_same_bytes(tmp_path: Path, market: Market, name: str) -> None:
    one = from_frame(market.candles, tmp_path / "one", symbol="BTCUSDT")
    file = FILES[name](tmp_path, market)
    imported(file, tmp_path / "two", tz="Europe/Berlin" if name == "european" else None)
    part = "candles/symbol=BTCUSDT/part.parquet"
    assert (tmp_path / "two" / part).read_bytes() == (one / part).read_bytes()
