"""`backtest data fetch binance`: the public archive first, the API for the rest, and the archive's known pitfalls."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.exchanges import fault
from tests.exchanges.fetched import fetch, series, wrong
from tests.exchanges.market import DAY, HOUR, MINUTE, Market, ms
from tests.exchanges.server import Server

pytest.importorskip("ccxt", reason="ccxt is not installed: it comes with the extra `fetch`")

NOW = ms("2026-11-05T10:25")
"""The first Monday of November has passed: October's files are out, and those of the days up to the fourth."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(Market(clock=lambda: NOW / 1000)) as server:
        yield server
        assert server.broken == []


def fetched_rightly(server: Server, out: Path, symbols: list[str], start: int, end: int, interval: str) -> None:
    length = {"1h": HOUR, "1m": MINUTE, "1d": DAY}[interval]
    done = fetch(server, "binance", ",".join(symbols), start, end, interval, out)
    assert done.code == 0, done
    assert wrong(out, server.market, symbols, start, end, length) == {}


def test_months_days_and_the_rest_by_the_api(server: Server, tmp_path: Path) -> None:
    start, end = ms("2026-09-20"), ms("2026-11-05T08:00")
    fetched_rightly(server, tmp_path / "set", ["BTC", "SOL"], start, end, "1h")
    for symbol in ("BTCUSDT", "SOLUSDT"):
        for file in ("monthly/klines", "daily/klines", "monthly/markPriceKlines", "daily/markPriceKlines"):
            assert server.asked(f"/data/futures/um/{file}/{symbol}/"), file
        assert [e.status for e in server.asked(f"monthly/klines/{symbol}/1h/{symbol}-1h-2026-10.zip ")] == [200]
        assert server.asked(f'"{symbol}"')  # the last hours are only at the API
    zips = [e.request.path for e in server.asked(".zip ") if e.status == 200]
    sums = [e.request.path.removesuffix(".CHECKSUM") for e in server.asked(".CHECKSUM") if e.status == 200]
    assert sorted(zips) == sorted(sums)
    bars = [e for e in server.asked("/fapi/v1/") if "lines" in e.request.path]
    assert len(bars) <= 8  # not what the archive has


def test_files_without_a_header(server: Server, tmp_path: Path) -> None:
    fetched_rightly(server, tmp_path / "set", ["ETH"], ms("2022-05-30"), ms("2022-06-03"), "1h")


def test_funding_intervals_that_change(server: Server, tmp_path: Path) -> None:
    start, end = ms("2022-11-05"), ms("2022-12-02")
    fetched_rightly(server, tmp_path / "set", ["SOL"], start, end, "1d")
    stamps = [row[0] for row in series(tmp_path / "set", "funding")["SOL"]]
    assert {(b - a) // HOUR for a, b in pairwise(stamps)} == {8, 4}
    assert not server.asked("/fapi/v1/fundingRate")


def test_stamps_in_microseconds(server: Server, tmp_path: Path) -> None:
    server.exchanges[0].microseconds = True
    fetched_rightly(server, tmp_path / "set", ["ETH"], ms("2025-02-27"), ms("2025-03-02"), "1h")


def test_a_market_listed_within_a_month(server: Server, tmp_path: Path) -> None:
    fetched_rightly(server, tmp_path / "set", ["DOGE"], ms("2022-04-20"), ms("2022-05-14"), "1h")


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("1h-2026-09.zip ", fault.flipped(0.5)),
        ("1h-2026-09.zip ", fault.cut(0.37)),
        ("1h-2026-09.zip ", fault.swapped(b"<html>Bad gateway</html>")),
        ("1h-2026-09.zip ", fault.status(503)),
        ("1h-2026-09.zip.CHECKSUM", fault.flipped(0.1)),
        ("1h-2026-09.zip.CHECKSUM", fault.cut(0.5)),
    ],
)
def test_a_damaged_file_is_asked_for_again(server: Server, tmp_path: Path, where: str, change: fault.Change) -> None:
    hit = server.add(where, change)
    fetched_rightly(server, tmp_path / "set", ["BTC"], ms("2026-09-01"), ms("2026-10-01"), "1h")
    assert hit.hits == 1
    assert len(server.asked(where)) > 1


def test_a_file_that_stays_damaged_is_never_stored(server: Server, tmp_path: Path) -> None:
    server.add("klines/BTCUSDT/1h/BTCUSDT-1h-2026-09.zip ", fault.flipped(0.5), times=99)
    start, end = ms("2026-09-01"), ms("2026-10-01")
    done = fetch(server, "binance", "BTC", start, end, "1h", tmp_path / "set")
    if done.code == 0:  # the API has it too
        assert wrong(tmp_path / "set", server.market, ["BTC"], start, end, HOUR) == {}
    else:
        assert "BTCUSDT-1h-2026-09" in done.out + done.err
