"""`export`: what other programs read is what the dataset has, to the last bit."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow.feather as feather
import pytest

import backtest
from backtest.cli import main
from backtest.core.errors import SettingError, UserError
from backtest.data.catalog import Catalog
from backtest.data.export import FORMATS, export
from backtest.data.sample import write_sample
from tests.unit.feed_datasets import HOUR, MIN, T0, candles, flat, funding, marks, toml
from tests.unit.test_data_repair import bytes_of

PRICES = [(n, 0.1 + n / 3, 1e7 / 3 + n, 1e-7 / 3, 0.1 + 0.2, n / 7) for n in range(5)]
"""Numbers that have no short form."""


@pytest.fixture
def market(tmp_path: Path) -> Path:
    folder = tmp_path / "market"
    candles(folder, "BTCUSDT", PRICES, 5 * MIN)
    candles(folder, "ETH-USDT", flat(7, 8, 9), 5 * MIN)
    marks(folder, "BTCUSDT", [(0, 3.5, 3.5, 3.5, 3.5)], HOUR)
    funding(folder, "BTCUSDT", [(0, 1e-4 / 3), (8, -2e-5)])
    toml(folder, '[dataset]\ninterval = "5m"\nquote = "USDT"\n[symbols.BTCUSDT]\nstep = 0.001\n')
    return folder


def _csv(file: Path) -> pl.DataFrame:
    time = pl.col("ts").str.to_datetime("%Y-%m-%d %H:%M:%S%.3fZ", time_unit="ms", time_zone="UTC")
    return pl.read_csv(file, infer_schema=False).with_columns(time, pl.exclude("ts").cast(pl.Float64))


READERS = {"csv": _csv, "parquet": pl.read_parquet, "feather": lambda file: pl.from_arrow(feather.read_table(file))}


@pytest.mark.parametrize("form", READERS)
def test_a_file_of_every_series_with_the_same_numbers(market: Path, tmp_path: Path, form: str) -> None:
    out = export(market, tmp_path / "out", form)
    made = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    assert made == sorted(
        [
            "dataset.toml",
            *(f"{kind}/symbol=BTCUSDT/part.{form}" for kind in ("candles", "mark", "funding")),
            f"candles/symbol=ETH-USDT/part.{form}",
        ]
    )
    for kind in ("candles", "mark", "funding"):
        mine = pl.read_parquet(market / kind / "symbol=BTCUSDT" / "part.parquet")
        assert READERS[form](out / kind / "symbol=BTCUSDT" / f"part.{form}").equals(mine)
    if form == "csv":
        text = (out / "candles" / "symbol=ETH-USDT" / "part.csv").read_text()
        assert text.splitlines()[:2] == ["ts,open,high,low,close,volume", "2023-11-15 00:00:00.000Z,7,7,7,7,1"]
    if form == "parquet":
        assert Catalog.open(out).market("BTCUSDT") == Catalog.open(market).market("BTCUSDT")


def test_the_layout_of_freqtrade(market: Path, tmp_path: Path) -> None:
    out = export(market, tmp_path / "out", "freqtrade")
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*.*")) == [
        "futures/BTC_USDT_USDT-1h-funding_rate.feather",
        "futures/BTC_USDT_USDT-5m-futures.feather",
        "futures/BTC_USDT_USDT-5m-mark.feather",  # one mark candle is taken to be as long as the candles
        "futures/ETH_USDT_USDT-5m-futures.feather",
    ]
    futures = pl.from_arrow(feather.read_table(out / "futures" / "BTC_USDT_USDT-5m-futures.feather"))
    assert futures.columns == ["date", "open", "high", "low", "close", "volume"]
    assert futures.with_columns(pl.col("date").dt.epoch("ms") - T0).rows() == [
        (n * 5 * MIN, *row) for n, *row in PRICES
    ]
    rates = pl.from_arrow(feather.read_table(out / "futures" / "BTC_USDT_USDT-1h-funding_rate.feather"))
    assert rates["open"].to_list() == [1e-4 / 3, -2e-5]
    assert set(rates["close"]) == {0.0}


def test_what_is_refused_leaves_nothing(market: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    before = bytes_of(tmp_path)
    with pytest.raises(SettingError, match=r"unknown value 'cvs' in --format \(did you mean 'csv'\?\)"):
        export(market, tmp_path / "out", "cvs")
    with pytest.raises(UserError, match="no symbol 'BTCUSD'; did you mean 'BTCUSDT'"):
        export(market, tmp_path / "out", "csv", ["BTCUSD"])
    with pytest.raises(UserError, match="is not an empty folder"):
        export(market, tmp_path / "full")
    candles(market, "ZZZ", [*flat(1, 2), (1, 2, 2, 2, 2, 1)], 5 * MIN)  # the last series has a stamp twice
    with pytest.raises(UserError, match="ZZZ candles at 2023-11-15T00:05Z"):
        export(market, tmp_path / "out")
    (market / "candles" / "symbol=ZZZ" / "part.parquet").unlink()
    (market / "candles" / "symbol=ZZZ").rmdir()
    assert bytes_of(tmp_path) == before
    candles(market, "BTC-USDT", flat(1, 2), 5 * MIN)
    with pytest.raises(UserError, match="another symbol have one name in freqtrade, BTC_USDT_USDT"):
        export(market, tmp_path / "out", "freqtrade")
    assert [p.name for p in export(market, tmp_path / "out", "freqtrade", ["BTC-USDT"]).rglob("*.feather")]


@pytest.mark.parametrize("form", FORMATS)
def test_export_and_import_give_the_same_run(tmp_path: Path, form: str) -> None:
    whole = write_sample(tmp_path / "sample", days=4, symbols=("BTCUSDT", "ETHUSDT"), interval="15m")
    toml(whole, '[dataset]\ninterval = "15m"\nquote = "USDT"\n')
    export(whole, tmp_path / "out", form)
    with pytest.raises(SystemExit) as ended:
        main(["data", "import", str(tmp_path / "out"), "--out", str(tmp_path / "back")])
    assert ended.value.code == 0
    before, after = (backtest.run("sma_cross", folder) for folder in (whole, tmp_path / "back"))
    assert after.digest == before.digest
    assert after.summary["data"]["fingerprint"] == before.summary["data"]["fingerprint"]
