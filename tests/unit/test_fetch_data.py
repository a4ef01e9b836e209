"""From a venue to a dataset and on: appended later it is the dataset that a whole fetch gives, and loses nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ccxt", reason="ccxt is not installed: it comes with the extra `fetch`")

import backtest
from backtest.data.manifest import read_manifest
from backtest.venues import profile
from tests.exchanges.market import Market
from tests.exchanges.server import Server

FIRST, MIDDLE, LAST = "2024-02-27", "2024-03-02T10:00", "2024-03-05"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(Market(), rates=False) as running:
        yield running


def fetched(server: Server, exchange: str, out: Path, symbols: str = "BTC,ETH", **given: str) -> backtest.Fetched:
    span = {"start": FIRST, "end": LAST} | given
    return backtest.fetch_data(exchange, symbols, interval="1h", out=out, endpoint=server.url, **span)


def rows(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*.parquet"))}


@pytest.mark.parametrize("exchange", ["binance", "bybit"])
def test_an_update_gives_the_bytes_of_a_whole_fetch(server: Server, tmp_path: Path, exchange: str) -> None:
    whole, later = tmp_path / "whole", tmp_path / "later"
    fetched(server, exchange, whole)
    fetched(server, exchange, later, end=MIDDLE)
    assert rows(later) != rows(whole)
    backtest.update_data(later, end=LAST, endpoint=server.url)
    assert rows(later) == rows(whole)
    again = backtest.update_data(later, end=LAST, endpoint=server.url)
    assert again.notes[-1] == "nothing is new"
    steps = read_manifest(later / "dataset.toml").history
    assert [(step.command, step.source) for step in steps] == [
        ("backtest data fetch", exchange), ("backtest data update", exchange),
    ]  # fmt: skip


def test_what_is_not_served_is_named_and_recorded(server: Server, tmp_path: Path) -> None:
    found = fetched(server, "dydx", tmp_path / "out", "BTC")
    assert "; ".join(str(one) for one in found.unserved) == (
        "BTC-USD mark, 2024-02-27T00:00Z to 2024-03-05T00:00Z (dYdX serves no candles of the mark, which is its oracle "
        "price)"
    )
    change = read_manifest(tmp_path / "out" / "dataset.toml").history[0].changes[0]
    assert (change.symbol, change.series) == ("BTC-USD", "mark")


def test_a_fetch_does_not_replace_what_it_does_not_cover(server: Server, tmp_path: Path) -> None:
    out = tmp_path / "out"
    fetched(server, "bybit", out)
    before = rows(out)
    for other in ({"symbols": "BTC"}, {"start": MIDDLE}, {"exchange": "bitget"}):
        with pytest.raises(backtest.UserError, match="holds fetched data that this fetch does not cover"):
            fetched(server, out=out, **{"exchange": "bybit"} | other)
    assert rows(out) == before
    fetched(server, "bybit", out, "BTC,ETH,SOL")  # covers all that is there
    assert rows(out).items() >= before.items()


@pytest.mark.parametrize("exchange", ["bybit", "okx", "hyperliquid", "dydx", "gate", "bitget"])
def test_leverage_tiers_are_a_venue_file(server: Server, tmp_path: Path, exchange: str) -> None:
    found = fetched(server, exchange, tmp_path / "out", "BTC", start="2026-11-20", end="2026-11-21")
    assert found.venue_file == tmp_path / "out.venue.toml"
    venue = profile.load(found.venue_file)
    assert venue.name.startswith(exchange)
    # 125x is the first tier of the server's BTC; before the day of the fetch the preset holds, where there is one.
    assert venue.max_leverage(found.symbols[0], dt.date(2030, 1, 1)) == 125
