"""The panel cache: data are read from Parquet once, and nothing that happens to a panel changes a result."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import backtest
from backtest.core.errors import CacheWarning
from backtest.data import panel_cache
from backtest.data.catalog import Catalog
from backtest.data.select import select
from tests import small_market as small

MINUTES = 26_000
STRATEGIES = '''import polars as pl

from backtest import Strategy


class Turns(Strategy):
    """Targets of both markets, without volume."""

    def targets(self, candles):
        row = pl.int_range(pl.len()).over("symbol")
        side = pl.when((row // 700) % 2 == 0).then(0.4).otherwise(-0.4)
        kept = candles.with_columns(row=row, target=side).filter(pl.col("row") % 700 == 0)
        return kept.select("ts", "symbol", "target")


class Each(Strategy):
    """Looks at every candle, its volume and its past."""

    def on_start(self, market, account):
        self.n = 0

    def on_candle(self, market, account):
        self.n += 1
        if self.n % 900 == 0:
            for symbol in market.symbols:
                past = market.history(symbol, "close", 50)
                up = past[-1] * market.history(symbol, "volume", 1)[0] > past[0] * 10
                account.target(symbol, weight=0.3 if up else -0.3)


class Hourly(Strategy):
    """Looks at hours and a feature."""

    every = "1h"

    def features(self, candle):
        return {"mean": candle.close.rolling_mean(5), "busy": candle.volume.rolling_mean(3)}

    def on_candle(self, market, account):
        for symbol in market.symbols:
            up = market.feature("mean", symbol) < market.history(symbol, "close", 1)[0]
            account.target(symbol, weight=0.2 if up else -0.2)
'''


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two markets of minutes: one with marks by the hour and a gap, one with marks by the minute and a hole in them."""
    monkeypatch.setattr(panel_cache, "cache_folder", lambda: tmp_path / "cache" / "perp-backtest")
    monkeypatch.delenv("BACKTEST_PANEL_CACHE", raising=False)
    monkeypatch.setattr(panel_cache, "_unkept", [])
    monkeypatch.setattr(panel_cache, "_open", {})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moves.py").write_text(STRATEGIES)
    rng = np.random.default_rng(5)
    ts = pl.Series("ts", 1_709_251_200_000 + 60_000 * np.arange(MINUTES)).cast(small.STAMP)
    for n, symbol in enumerate(small.SYMBOLS):
        close = (100 + 50 * n) * np.exp(np.cumsum(rng.normal(0, 5e-4, MINUTES)))
        start = np.append(close[:1], close[:-1])
        prices = {"open": start, "high": np.maximum(start, close) * 1.0004, "low": np.minimum(start, close) * 0.9997}
        frame = pl.DataFrame({"ts": ts, **prices, "close": close, "volume": np.round(rng.random(MINUTES) * 20)})
        marks = frame.drop("volume").with_columns(pl.exclude("ts") * 1.0001)
        small.put(frame if n else frame.filter((pl.int_range(pl.len()) // 300) != 7), Path("data"), "candles", symbol)
        hourly = marks.group_by_dynamic("ts", every="1h").agg(
            pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last()
        )
        holed = marks.filter((pl.int_range(pl.len()) // 100) != 40)
        small.put(holed if n else hourly, Path("data"), "mark", symbol)
        small.put(pl.DataFrame({"ts": ts[::480], "rate": [1e-4] * len(ts[::480])}), Path("data"), "funding", symbol)
    (tmp_path / "data" / "dataset.toml").write_text('[dataset]\ninterval = "1m"\nquote = "USD"\n')
    return tmp_path / "data"


def play(strategy: str = "Turns", **settings: Any) -> backtest.Result:
    return backtest.run(f"moves.py:{strategy}", "data", venue="binance_usdm", mark_cost=False, **settings)


def same(one: backtest.Result, other: backtest.Result) -> None:
    assert one.digest == other.digest
    assert one.summary == other.summary


@pytest.mark.parametrize(
    ("strategy", "settings"),
    [
        ("Turns", {}),
        ("Turns", {"slippage": "volume=0.1", "chunk_rows": 777}),
        ("Turns", {"oracle": ["delay=3s"]}),
        ("Each", {"volume_share": "10%"}),
        ("Hourly", {"chunk_rows": 5_000, "interval": "2m"}),
    ],
)
def test_results_are_the_same_with_and_without(
    data: Path, monkeypatch: pytest.MonkeyPatch, strategy: str, settings: dict[str, Any]
) -> None:
    settings.setdefault("interval", None)
    if settings["interval"]:
        monkeypatch.setattr(panel_cache, "LEAST_CELLS", 20_000)
    monkeypatch.setenv("BACKTEST_PANEL_CACHE", "off")
    without = play(strategy, **settings)
    assert not panel_cache.folder().exists()
    monkeypatch.delenv("BACKTEST_PANEL_CACHE")
    first = play(strategy, **settings)
    (kept,) = panel_cache.panels()
    for reader in ("selection", "chunk_reader"):
        monkeypatch.setattr(f"backtest.data.{reader}.candles_of", lambda *_: pytest.fail("Parquet was read again"))
    second = play(strategy, **settings)
    same(first, without)
    same(second, without)
    assert [one.path for one in panel_cache.panels()] == [kept.path]
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(panel_cache.folder().stat().st_mode) == 0o700
    assert without.summary["counts"]["derived mark rows"] > 10_000


def test_other_data_have_another_panel(data: Path) -> None:
    before = play()
    file = data / "candles" / "symbol=ETH-USD" / "part.parquet"
    frame = pl.read_parquet(file)
    open_ = frame["open"].to_list()
    open_[1_401] = frame["high"][1_401]
    frame.with_columns(pl.Series("open", open_)).write_parquet(file)
    after = play()
    assert after.digest != before.digest
    assert len(panel_cache.panels()) == 2
    play(start="2024-03-01T00:10")
    assert len(panel_cache.panels()) == 3


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut": lambda whole: whole[: len(whole) // 2],
    "cut at its end": lambda whole: whole[:-1],
    "zeros": lambda whole: whole[:4096] + bytes(4096) + whole[8192:],
    "one bit": lambda whole: whole[:500_000] + bytes([whole[500_000] ^ 4]) + whole[500_001:],
    "its description": lambda whole: whole[:-60] + b"x" + whole[-59:],
    "of something else": lambda whole: bytes(k * 37 % 251 for k in range(len(whole))),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_panel_is_read_again_with_one_line(data: Path, damage: str) -> None:
    selection = select(Catalog.open(data))
    sound = selection.panel
    assert sound is not None
    (kept,) = panel_cache.panels()
    content = kept.path.read_bytes()
    words = sound.words.copy()
    kept.path.unlink()
    kept.path.write_bytes(DAMAGES[damage](content))
    panel_cache._open.clear()
    with pytest.warns(CacheWarning, match="is damaged") as said:
        again = select(Catalog.open(data)).panel
    assert [str(line.message).count("\n") for line in said] == [0]
    assert again is not None
    assert np.array_equal(again.words, words, equal_nan=True)
    assert kept.path.read_bytes() == content


SCRIPT = "import backtest; print(backtest.run('moves.py:Turns', 'data').digest)"


def start(folder: Path, **how: Any) -> subprocess.Popen[str]:
    around = {**small.environment(), "XDG_CACHE_HOME": str(folder / "cache")}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT], cwd=folder, env=around, stdout=pipe, stderr=pipe, text=True, **how
    )


def test_two_processes_may_read_it_at_once_and_a_full_disk_stops_none(data: Path) -> None:
    import resource

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))

    digest, said = start(data.parent, preexec_fn=small_files).communicate()
    assert "panels cannot be kept in" in said
    assert panel_cache.panels() == []
    together = [start(data.parent), start(data.parent)]
    assert [one.communicate() for one in together] == [(digest, "")] * 2
    assert len(list(panel_cache.folder().iterdir())) == 1, "a draft was left"


def test_the_disk_that_is_full_is_named_once(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("backtest.data.panel_file.write", full)
    with pytest.warns(CacheWarning, match=r"panels cannot be kept in .*No space left"):
        play()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        play()


def test_the_cache_is_bounded_and_the_oldest_goes_first(
    data: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., small.Ended]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(data.parent / "cache"))  # that of kernels is cleared as well
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("BACKTEST_PANEL_CACHE", "9MB")
    starts = [1_709_251_200_000 + 600_000 * n for n in (0, 1, 0, 2)]
    for begin in starts:
        assert select(Catalog.open(data), start_ms=begin).panel is not None
    kept = {one.path for one in panel_cache.panels()}
    assert len(kept) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        select(Catalog.open(data), start_ms=starts[0])
    assert {one.path for one in panel_cache.panels()} == kept
    info = json.loads(command("cache", "info", "--json").out)
    assert (info["panels"], info["panels_bound_bytes"]) == (2, 9_000_000)
    assert info["panels_bytes"] == sum(one.size for one in panel_cache.panels()) < 9_000_000
    assert command("cache", "clear").code == 0
    assert panel_cache.panels() == []
    assert command("cache", "build", "--data", "data").code == 0
    assert len(panel_cache.panels()) == 1
    monkeypatch.setenv("BACKTEST_PANEL_CACHE", "many")
    small.one_line(command("cache", "info"), 2, "'many' is not a size", "BACKTEST_PANEL_CACHE")
