"""The dataset that comes with the package: what it holds, how it is named, and what the demo says of it."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tomllib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import backtest
from backtest import Comparison, UserError
from backtest.data.catalog import Catalog
from backtest.data.check import check
from backtest.data.sample import write_sample
from backtest.data.shipped import FOLDER, SHIPPED
from backtest.runner import demo
from tests.shipped_dataset import BEGIN, DIGITS, END, write

REAL = Path(os.environ.get("BACKTEST_REAL_DATA", ""))
needs_real = pytest.mark.skipif(
    not os.environ.get("BACKTEST_REAL_DATA") or not REAL.is_dir(),
    reason="no real data: BACKTEST_REAL_DATA does not name a folder",
)
OCTOBER: dict[str, Any] = {
    "venue": demo.VENUE, "start": demo.START, "end": demo.END,
    "leverage": demo.LEVERAGE, "slippage_bps": demo.SLIPPAGE_BPS,
}  # fmt: skip


def pair(long: str, short: str, data: str | Path = SHIPPED) -> Comparison:
    """The demo's account with another pair, or on other data."""
    return backtest.compare("hedged_pair", data, params={"long": long, "short": short}, **OCTOBER)


def test_it_is_small_clean_and_says_whose_it_is() -> None:
    files = [file for file in FOLDER.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 2_000_000
    assert (FOLDER / "UNLICENSE").read_text("utf-8").startswith("This is free and unencumbered software")
    catalog = Catalog.open(SHIPPED)
    assert check(catalog).found == ()
    assert catalog.symbols == tuple(DIGITS)
    assert (catalog.venue, catalog.quote, catalog.synthetic) == ("binance_usdm", "USDT", False)
    for told in ("0xknxwledge/group-m-finm33150-final", "64385d37", "Unlicense"):
        assert told in catalog.provenance
        assert told in (FOLDER / "README.md").read_text("utf-8")


@needs_real
def test_it_is_what_the_script_makes_of_the_source(tmp_path: Path) -> None:
    candles, funding = (
        pl.read_parquet(REAL / "plain" / f"binance_{name}.parquet") for name in ("candles_1h", "funding")
    )
    write(candles, funding, tmp_path)
    made = sorted(file.relative_to(tmp_path) for file in tmp_path.rglob("*.parquet"))
    assert made == sorted(file.relative_to(FOLDER) for file in FOLDER.rglob("*.parquet"))
    assert all(pl.read_parquet(tmp_path / file).equals(pl.read_parquet(FOLDER / file)) for file in made)
    # The engine reads the numbers of the source, to the last bit.
    stored = Catalog.open(SHIPPED)
    for kind, rows in (("candles", candles), ("funding", funding)):
        columns = tuple(name for name in rows.columns if name not in ("ts", "symbol"))
        for symbol, source in stored.sources[kind].items():
            wanted = rows.filter(pl.col("symbol") == symbol, pl.col("ts").is_between(BEGIN, END, closed="left"))
            read = source.fetch(stored.con, source.scan(columns))
            assert len(read["t"]) == len(wanted) > 1_000
            assert all((read[name] == wanted.sort("ts")[name].to_numpy()).all() for name in columns)


def test_a_folder_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Catalog.open(SHIPPED).symbols == tuple(DIGITS)
    write_sample(SHIPPED, days=1, interval="1h", symbols=["BTC-USD"])
    assert Catalog.open(SHIPPED).symbols == ("BTC-USD",)
    with pytest.raises(UserError, match="binance-2025: is in the current folder, and hides"):
        backtest.demo("report")
    assert not Path("report").exists()


def test_a_report_names_it_wherever_it_is_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ("--symbols", "SOLUSDT", "--start", "2025-10-09", "--end", "2025-10-12")
    assert command("run", "sma_cross", "--data", SHIPPED, *flags, "--out", "deep/report").code == 0
    assert tomllib.loads(Path("deep/report/run.toml").read_text("utf-8"))["data"] == SHIPPED
    before = json.loads(Path("deep/report/summary.json").read_text("utf-8"))
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert command("verify", "../deep/report").out.startswith("../deep/report: the same; digest ")
    assert command("run", "--config", "../deep/report/run.toml", "--out", "again").code == 0
    again = json.loads(Path("again/summary.json").read_text("utf-8"))
    assert (again["digest"], again["data"]) == (before["digest"], before["data"])


def test_markets_without_mark_prices_are_named_above_the_results(tmp_path: Path) -> None:
    data = write_sample(tmp_path / "data", days=1, interval="1h", symbols=["A-USD", "B-USD"])
    for symbols, told in (
        (["A-USD"], "no mark prices for A-USD in the data"),
        (["A-USD", "B-USD"], "no mark prices in"),
    ):
        for symbol in symbols:
            shutil.rmtree(data / "mark" / f"symbol={symbol}", ignore_errors=True)
        said = backtest.run("sma_cross", data).summary["warnings"]
        assert [clause for clause in said if clause.startswith(told)]


@needs_real
def test_the_demo_tells_what_marks_of_the_venue_tell() -> None:
    """The dataset has no mark prices. Those of Binance give the demo the same liquidations, seconds later."""
    ours, theirs = pair("BTCUSDT", "ETHUSDT"), pair("BTCUSDT", "ETHUSDT", REAL / "binance_1h_long")
    assert theirs.results[0].summary["data"]["marks"] == {"BTCUSDT": "given", "ETHUSDT": "given"}
    for mine, real in zip(ours.results, theirs.results, strict=True):
        assert abs(mine.metrics["final_equity"] - real.metrics["final_equity"]) < 100
        lost, really = (result.tables["liquidations"].select("symbol", "ts").rows() for result in (mine, real))
        assert [symbol for symbol, _ in lost] == [symbol for symbol, _ in really]
        assert all(abs(at - when) < timedelta(minutes=1) for (_, at), (_, when) in zip(lost, really, strict=True))


def test_the_demo_is_not_the_one_pair_that_fits() -> None:
    """docs/tutorial/compare-margin-modes.md tells this of the 20 pairs of the dataset's markets."""
    played = {names: pair(*names).results for names in itertools.permutations(DIGITS, 2)}
    assert all(isolated.metrics["pool_liquidations"] >= 2 for isolated, _ in played.values())
    worse = [
        names
        for names, (isolated, cross) in played.items()
        if cross.metrics["final_equity"] < isolated.metrics["final_equity"]
    ]
    lost = [names for names, (_, cross) in played.items() if cross.metrics["pool_liquidations"]]
    assert worse == lost == [("DOGEUSDT", "BTCUSDT")]
    assert played["DOGEUSDT", "BTCUSDT"][1].metrics["final_equity"] < 1


@pytest.mark.parametrize("name", ["hedged_pair", "pairs_trade", "lifeline"])
def test_default_markets_take_the_names_of_the_dataset(name: str, tmp_path: Path) -> None:
    defaults = backtest.run(name, SHIPPED, start="2025-10-01", end="2025-10-04", out=tmp_path / "report")
    named = {"hedged_pair": ("long", "short"), "pairs_trade": ("second", "first"), "lifeline": ("market",)}[name]
    markets = dict(zip(named, ("BTCUSDT", "ETHUSDT"), strict=False))
    explicit = backtest.run(name, SHIPPED, start="2025-10-01", end="2025-10-04", params=markets)
    assert defaults.digest == explicit.digest
    assert markets.items() <= dict(defaults.summary["strategy"]["params"]).items()
    assert all(f'"{market}"' in (tmp_path / "report" / "run.toml").read_text() for market in markets.values())


def test_a_market_that_the_user_names_and_one_that_several_could_be_are_unknown(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'BTC-USD' is not in the data"):
        backtest.run("hedged_pair", SHIPPED, params={"long": "BTC-USD"})
    write_sample(tmp_path / "both", days=2, symbols=("BTC-USDT", "BTC-USDC", "ETH-USDT"))
    with pytest.raises(UserError, match="'BTC-USD' is not in the data"):
        backtest.run("hedged_pair", tmp_path / "both")
