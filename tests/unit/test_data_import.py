"""`backtest data import`: every layout gives the rows that were written into it, and nothing is half written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from backtest.core.errors import UserError
from backtest.data import from_frame
from backtest.data.catalog import Catalog
from backtest.data.manifest import read_manifest
from tests.small_market import Ended
from tests.unit.import_layouts import (
    FILES,
    HOUR,
    LAYOUTS,
    OHLC,
    START,
    Market,
    candles_csv,
    imported,
    local,
    minutes,
    rows,
)

REAL = Path(os.environ.get("BACKTEST_REAL_DATA", "/nowhere"))
real = pytest.mark.skipif(not REAL.is_dir(), reason="BACKTEST_REAL_DATA names no folder of real market data")


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


# ---- what is done to rows is done in the open


def test_candles_stamped_at_their_close_are_moved_to_their_open(tmp_path: Path) -> None:
    named = candles_csv(*minutes(9, START + 59_999), header="close_time,open,high,low,close,volume")
    (tmp_path / "BTCUSDT.csv").write_text(named)
    report = imported(tmp_path / "BTCUSDT.csv", tmp_path / "one")
    assert rows(tmp_path / "one", "candles", "BTCUSDT")["ts"].to_list() == [START + 60_000 * n for n in range(9)]
    assert [change.what for change in report.changes] == ["stamps moved from the close of a candle to its open"]
    (tmp_path / "BTCUSDT.csv").write_text(candles_csv(*minutes(9, START + 60_000)))
    imported(tmp_path / "BTCUSDT.csv", tmp_path / "two", stamp="close")
    part = "candles/symbol=BTCUSDT/part.parquet"
    assert (tmp_path / "one" / part).read_bytes() == (tmp_path / "two" / part).read_bytes()


def test_overlapping_files_that_agree_are_written_once_and_counted(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "BTCUSDT-b.csv").write_text(candles_csv(*minutes(10)))
    (tmp_path / "in" / "BTCUSDT-a.csv").write_text(candles_csv(*minutes(10, START + 300_000)))
    report = imported(tmp_path / "in", tmp_path / "out")
    assert [(one.rows, one.first_ms) for one in report.series] == [(15, START)]
    (step,) = read_manifest(tmp_path / "out" / "dataset.toml").history
    (change,) = step.changes
    assert (change.what, change.rows) == ("rows that were there twice, written once", 5)
    assert (change.first, change.last) == (START + 300_000, START + 540_000)


def test_an_hour_that_the_clock_repeats_is_told_by_the_order_of_rows(tmp_path: Path) -> None:
    hours = ["2024-11-03 00:00", "2024-11-03 01:00", "2024-11-03 01:00", "2024-11-03 02:00", "2024-11-03 03:00"]
    (tmp_path / "BTCUSDT.csv").write_text(local(*hours))
    report = imported(tmp_path / "BTCUSDT.csv", tmp_path / "out", tz="America/New_York", interval="1h")
    first = 1_730_606_400_000
    assert rows(tmp_path / "out", "candles", "BTCUSDT")["ts"].to_list() == [first + HOUR * n for n in range(5)]
    assert [change.rows for change in report.changes] == [2]


def test_trades_with_any_name_for_their_size_become_candles(tmp_path: Path) -> None:
    lines = [f"{START + 20_000 * n},{10 + n % 7},0.5" for n in range(9)]
    (tmp_path / "BTCUSDT-trades.csv").write_text(candles_csv(*lines, header="time,price,qty"))
    imported(tmp_path / "BTCUSDT-trades.csv", tmp_path / "out", interval="1m")
    made = rows(tmp_path / "out", "candles", "BTCUSDT")
    assert made.row(1) == (START + 60_000, 13.0, 15.0, 13.0, 15.0, 1.5)
    assert len(made) == 3


def test_commas_between_thousands_are_no_decimal_ones(tmp_path: Path) -> None:
    lines = [f'"{START + 60_000 * n}","42,{n:03}.5","1,042,999","41,999.25","42,000",3' for n in range(9)]
    (tmp_path / "BTCUSDT.csv").write_text(candles_csv(*lines))
    imported(tmp_path / "BTCUSDT.csv", tmp_path / "out")
    made = rows(tmp_path / "out", "candles", "BTCUSDT")
    assert made.row(7) == (START + 7 * 60_000, 42_007.5, 1_042_999.0, 41_999.25, 42_000.0, 3.0)


def test_many_markets_in_one_unsorted_table_come_apart(tmp_path: Path) -> None:
    lines = [f"{row},{symbol}" for row in minutes(50) for symbol in ("ETHUSDT", "BTC/USDT:USDT", "SOLUSDT")]
    text = candles_csv(*reversed(lines), header="ts,open,high,low,close,volume,pair")
    (tmp_path / "all.csv").write_text(text)
    report = imported(tmp_path / "all.csv", tmp_path / "out")
    assert [(one.symbol, one.rows) for one in report.series] == [("BTCUSDT", 50), ("ETHUSDT", 50), ("SOLUSDT", 50)]
    assert [one.symbol for one in imported(tmp_path / "all.csv", tmp_path / "one", symbol="SOLUSDT").series] == [
        "SOLUSDT"
    ]


def test_frames_of_all_kinds_give_the_same_bytes(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    market = invented()
    part = "candles/symbol=BTCUSDT/part.parquet"
    dated = market.candles.with_columns(pl.col("ts").cast(pl.Datetime("ms", "UTC")))
    indexed = pandas.DataFrame(dated.to_dict(as_series=False)).set_index("ts")
    frames = {
        "polars": dated, "lazy": market.candles.lazy(), "arrow": market.candles.to_arrow(), "pandas": indexed,
        "ccxt": [list(row) for row in market.candles.iter_rows()], "records": market.candles.to_dicts(),
    }  # fmt: skip
    made = {name: from_frame(frame, tmp_path / name, symbol="BTCUSDT") for name, frame in frames.items()}
    assert len({(place / part).read_bytes() for place in made.values()}) == 1
    whole = from_frame(
        {"BTCUSDT": dated}, tmp_path / "all", mark={"BTCUSDT": market.mark}, funding={"BTCUSDT": market.funding}
    )
    assert rows(whole, "mark", "BTCUSDT").equals(market.mark)
    assert rows(whole, "funding", "BTCUSDT").equals(market.funding)
    with pytest.raises(UserError, match="candles: data is of type int; give a pandas or Polars DataFrame"):
        from_frame(3, tmp_path / "none", symbol="X")  # type: ignore[arg-type]


def test_a_strangers_csv_comes_to_a_report_in_two_commands(
    tmp_path: Path, command: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    market = invented()
    file = Path("downloads") / "btc-usd_history.csv"
    file.parent.mkdir()
    named = market.candles.with_columns(pl.col("ts").cast(pl.Datetime("ms")).dt.strftime("%d.%m.%Y %H:%M"))
    file.write_text(named.write_csv(separator=";").replace("ts;", "Datum;").replace("volume", "Vol"))
    shown = command("data", "import", str(file), "--map", "ts=Datum", "--dry-run")
    assert (shown.code, "nothing is written" in shown.out, Path("data").exists()) == (0, True, False)
    done = command("data", "import", str(file), "--map", "ts=Datum")
    assert done.code == 0
    following = done.out.strip().splitlines()[-1]
    assert following == "backtest run sma_cross --data data/btc-usd_history --allow missing-funding"
    ran = command(*following.split()[1:], "--out", "report")
    assert ran.code == 0
    assert Path("report/report.html").is_file()
    written = json.loads(command("data", "import", str(file), "--map", "ts=Datum", "--json").out)
    assert written["next"] == following
    assert [(one["symbol"], one["rows"]) for one in written["series"]] == [("BTC-USD", len(market.candles))]
