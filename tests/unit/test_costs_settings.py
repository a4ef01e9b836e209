"""What a user may ask of fills: the texts of --slippage and --volume-share, and what is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from backtest.core.errors import UserError
from backtest.data import depth
from backtest.runner.slippage_settings import Slippage, parse_shares, parse_slippage
from tests import small_market as small
from tests.small_market import Ended

RUN = ("run", "hold.py", "--data", "market")
MS = int(small.START.timestamp() * 1000)


@pytest.mark.parametrize(
    ("texts", "models"),
    [
        ((), Slippage()),
        (("half-spread=1.2",), Slippage(half=1.2 / 10_000)),
        (("half-spread=edge",), Slippage(estimator="edge")),
        (("impact=0.8",), Slippage(impact="impact", factor=0.8, exponent=0.5)),
        (("impact=29.4:0.945", "stress=2"), Slippage(impact="impact", factor=29.4, exponent=0.945, stress=2)),
        (("volume=.1", "drift=8e-1"), Slippage(impact="volume", factor=0.1, drift=0.8)),
        (("band=12.5%",), Slippage(band=0.125)),
        ((" depth = a folder/d.parquet ",), Slippage(impact="depth", depth="a folder/d.parquet")),
    ],
)
def test_models_are_read(texts: tuple[str, ...], models: Slippage) -> None:
    assert parse_slippage(texts) == models


def test_shares_are_read() -> None:
    assert parse_shares(None) == (math.inf, math.inf)
    assert parse_shares("10%") == (0.1, 0.1)
    assert parse_shares("taker=10%, maker=2.5%") == (0.1, 0.025)
    assert parse_shares("maker=5%") == (math.inf, 0.05)


SPREADS = "BPS or corwin-schultz, abdi-ranaldo, edge"
USAGE = {
    "--slippage spread=1": ("--slippage: unknown kind 'spread'", "did you mean 'half-spread'?"),
    "--slippage 1.5": ("--slippage: '1.5' is not KIND=VALUE", "kinds are half-spread, impact"),
    "--slippage impact=": ("--slippage: 'impact=' is not KIND=VALUE",),
    "--slippage half-spread=edgy": ("--slippage: unknown estimator 'edgy'", "did you mean 'edge'?"),
    "--slippage half-spread=-1": ("--slippage: half-spread=-1", SPREADS, "0 to 10,000"),
    "--slippage half-spread=1e9": ("--slippage: half-spread=1e9",),
    "--slippage impact=x": ("--slippage: impact=x", "Y or Y:DELTA"),
    "--slippage impact=nan": ("--slippage: impact=nan",),
    "--slippage impact=1:4": ("--slippage: impact=4", "from 0 to 3"),
    "--slippage impact=1:": ("--slippage: impact=", "Y or Y:DELTA"),
    "--slippage volume=inf": ("--slippage: volume=inf",),
    "--slippage band=100%": ("--slippage: band=100%", "above 0 and below 100, like 10%"),
    "--slippage band=0%": ("--slippage: band=0%",),
    "--slippage band=0.1": ("--slippage: band=0.1",),
    "--slippage stress=two": ("--slippage: stress=two",),
    "--slippage drift=-0.5": ("--slippage: drift=-0.5",),
    "--slippage impact=1 --slippage volume=0.1": ("--slippage: impact and volume are both models of impact",),
    "--slippage depth=d.parquet --slippage impact=1": ("--slippage: depth and impact are both", "choose one"),
    "--slippage stress=1 --slippage stress=2": ("--slippage: stress is given twice",),
    "--slippage depth=nowhere.parquet": ("nowhere.parquet: no such file",),
    "--slippage depth=hold.py": ("hold.py: not a whole Parquet file",),
    "--volume-share 0.1": ("--volume-share: volume share '0.1'", "like 10%, or taker=10%,maker=5%"),
    "--volume-share 0%": ("--volume-share: volume share '0%'",),
    "--volume-share 101%": ("--volume-share: volume share '101%'",),
    "--volume-share taker=5%,taker=6%": ("--volume-share: volume share",),
    "--volume-share taker=5%,6%": ("--volume-share: volume share",),
    "--volume-share broker=5%": ("--volume-share: volume share",),
    "--limit-fill trough": ("unknown limit fill 'trough'", "did you mean 'through'?"),
}


@pytest.mark.parametrize("arguments", USAGE)
def test_bad_usage(place: Path, command: Callable[..., Ended], arguments: str) -> None:
    ended = command(*RUN, *arguments.split())
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended
    for part in USAGE[arguments]:
        assert part in ended.err
    assert not (place / "reports").exists()


@pytest.mark.parametrize("flag", ["--volume-share 10%", "--slippage volume=0.1", "--slippage impact=1"])
def test_volume_that_the_data_lack(place: Path, command: Callable[..., Ended], flag: str) -> None:
    file = small.put(small.candles().drop("volume"), place / "market", "candles", "ETH-USD")
    ended = command(*RUN, *flag.split())
    assert ended.code == 2
    assert ended.err.startswith(f"error: {file.relative_to(place)}: no column 'volume'")


def book(*rows: tuple[float, str, float, float]) -> pl.DataFrame:
    """A depth table of (hour, symbol, bps, quote)."""
    times = [small.START + timedelta(hours=row[0]) for row in rows]
    columns = dict(zip(("symbol", "bps", "depth_usd"), list(zip(*rows, strict=True))[1:], strict=True))
    return pl.DataFrame({"ts": times, **columns}, schema_overrides={"ts": small.STAMP, "depth_usd": pl.Float64})


BTC = ((0, "BTC-USD", 10.0, 1e6), (0, "BTC-USD", 50.0, 3e6), (6, "BTC-USD", 10.0, 2e6))
ETH = ((1, "ETH-USD", 20.0, 5e5), (9, "ETH-USD", 20.0, 6e5))


def test_a_depth_table_is_packed(tmp_path: Path) -> None:
    file = tmp_path / "d.parquet"
    mixed = [BTC[0], BTC[1], ETH[0], BTC[2], ETH[1]]  # symbols by turns
    book(*mixed).write_parquet(file)
    hour, nan = 3_600_000, math.nan
    wanted = np.array(
        [
            [[MS, 0.001, 1e6, 0.005, 3e6], [MS + 6 * hour, 0.001, 2e6, nan, nan]],
            [[MS + hour, 0.002, 5e5, nan, nan], [MS + 9 * hour, 0.002, 6e5, nan, nan]],
        ]
    )
    got = depth.read(file, ("BTC-USD", "ETH-USD"), MS, MS + 24 * hour)
    np.testing.assert_array_equal(got, wanted)
    # from 7:00 on only the last snapshot at or before counts; to 9:00 the one of ETH is not there yet
    late = depth.read(file, ("BTC-USD", "ETH-USD"), MS + 7 * hour, MS + 9 * hour)
    np.testing.assert_array_equal(late, [wanted[0, 1:, :3], wanted[1, :1, :3]])


@pytest.mark.parametrize("kind", ["integer", "naive", "nanoseconds", "f32 and categorical"])
def test_other_types_of_columns(tmp_path: Path, kind: str) -> None:
    frame = book(*BTC)
    changed = {
        "integer": frame.with_columns(pl.col("ts").dt.epoch("ms"), pl.col("bps").cast(pl.Int32)),
        "naive": frame.with_columns(pl.col("ts").dt.replace_time_zone(None)),
        "nanoseconds": frame.with_columns(pl.col("ts").cast(pl.Datetime("ns", "UTC"))),
        "f32 and categorical": frame.with_columns(
            pl.col("depth_usd").cast(pl.Float32), pl.col("symbol").cast(pl.Categorical)
        ),
    }
    for name, table in (("plain", frame), (kind, changed[kind])):
        table.write_parquet(tmp_path / f"{name}.parquet")
    read = [depth.read(tmp_path / f"{name}.parquet", ("BTC-USD",), MS, MS + 10**8) for name in ("plain", kind)]
    np.testing.assert_array_equal(*read)


def row(hour: float, bps: float, quote: float) -> tuple[float, str, float, float]:
    return (hour, "BTC-USD", bps, quote)


WRONG = {
    "a symbol is missing": (book(*ETH), "no depth of BTC-USD"),
    "a column is missing": (book(*BTC).drop("bps"), "no column 'bps' (it has ts, symbol, depth_usd)"),
    "a column is text": (
        book(*BTC).with_columns(pl.col("bps").cast(pl.String)),
        "column 'bps' is String, not a number",
    ),
    "a time is text": (book(*BTC).with_columns(pl.col("ts").cast(pl.String)), "column 'ts' is String, not a time"),
    "an empty cell": (book(*BTC).with_columns(depth_usd=pl.Series([1.0, None, 2.0])), "depth_usd is empty in row 1"),
    "no rows": (book(*BTC).head(0), "the file has no rows"),
    "unsorted": (book(row(6, 10, 1), row(0, 10, 1)), "unsorted: it comes after a later time"),
    "negative depth": (book(row(0, 10, -1)), "depth_usd is not a number from 0 on: bps 10, depth_usd -1"),
    "negative distance": (book(row(0, -5, 1)), "bps is not a number from 0 on"),
    "not a number": (book(row(0, math.nan, 1)), "bps is not a number from 0 on"),
    "distances fall": (book(row(0, 20, 1), row(0, 10, 2)), "bps does not rise within a snapshot"),
    "a distance twice": (book(row(0, 20, 1), row(0, 20, 2)), "bps does not rise within a snapshot"),
    "depth falls": (book(row(0, 10, 2), row(0, 20, 1)), "depth_usd falls within a snapshot"),
    "no depth": (book(row(0, 10, 0), row(0, 20, 0)), "a snapshot without any depth"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_depth_table_that_is_wrong(tmp_path: Path, case: str) -> None:
    table, said = WRONG[case]
    file = tmp_path / "d.parquet"
    table.write_parquet(file)
    with pytest.raises(UserError) as error:
        depth.read(file, ("BTC-USD",), MS, MS + 10**8)
    assert said in str(error.value)
    assert str(file) in str(error.value)


def test_an_empty_stretch_of_a_book_is_none_of_these(tmp_path: Path) -> None:
    file = tmp_path / "d.parquet"
    book(row(0, 5, 0), row(0, 10, 1e6), row(0, 20, 1e6)).write_parquet(file)
    assert depth.read(file, ("BTC-USD",), MS, MS + 10**8)[0, 0].tolist() == [MS, 0.0005, 0, 0.001, 1e6, 0.002, 1e6]
