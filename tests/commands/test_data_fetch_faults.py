"""`backtest data fetch` and `update` when things go wrong on the way, or come late: the same dataset in the end."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.exchanges import fault
from tests.exchanges.fault import Change
from tests.exchanges.fetched import away_from_the_hour, content, data, fetch, series, wrong
from tests.exchanges.market import DAY, HOUR, MINUTE, Market, ms
from tests.exchanges.server import Server

pytest.importorskip("ccxt", reason="ccxt is not installed: it comes with the extra `fetch`")

KLINE, FUNDING = "/v5/market/kline", "/v5/market/funding/history"
FAULTS: dict[str, list[tuple[str, Change, int]]] = {
    "busy": [(KLINE, fault.status(429, retry_after="1"), 1), (FUNDING, fault.status(503), 2)],
    "dropped": [(KLINE, fault.cut(0.63), 2), (FUNDING, fault.cut(0.0), 1), ("mark-price", fault.cut(0.99), 1)],
    "no JSON": [(KLINE, fault.swapped(b"<html>Bad gateway</html>"), 1), ("mark-price", fault.swapped(b""), 1)],
    "twice": [(path, fault.doubled("result", "list"), 99) for path in (KLINE, FUNDING, "mark-price")],
    "too many": [
        (KLINE, fault.swapped(b'{"retCode":10006,"retMsg":"Too many visits!","result":{},"retExtInfo":{},"time":1}'), 2)
    ],
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_goes_wrong_once_leaves_no_trace(tmp_path: Path, name: str) -> None:
    start, end = ms("2026-03-01"), ms("2026-05-30")
    with Server(Market(clock=lambda: ms("2026-07-01") / 1000)) as server:
        hits = [server.add(where, change, times, after=int(times == 1)) for where, change, times in FAULTS[name]]
        done = fetch(server, "bybit", "BTC,SOL", start, end, "1h", tmp_path / "set")
        assert done.code == 0, done
        assert all(hit.hits for hit in hits)
        assert wrong(tmp_path / "set", server.market, ["BTC", "SOL"], start, end, HOUR) == {}
        assert server.broken == []


def test_retry_after_is_waited_for(tmp_path: Path) -> None:
    with Server(Market()) as server:
        now = server.market.now_ms() // HOUR * HOUR
        server.add("/fapi/v1/klines", fault.status(418, retry_after="2"))
        assert fetch(server, "binance", "BTC", now - 9 * HOUR, now, "1h", tmp_path / "set").code == 0
        first, second = server.asked("/fapi/v1/klines")[:2]
        assert second.at_s - first.at_s >= 2
        between = [e for e in server.asked("/fapi/v1/") if first.at_s < e.at_s < first.at_s + 1.9]
        assert len(between) <= 3  # those that were under way: banned is the address, not the endpoint


def test_what_never_comes_is_an_error_and_no_dataset(tmp_path: Path) -> None:
    with Server(Market()) as server:
        now = server.market.now_ms() // DAY * DAY
        server.add(KLINE, fault.status(400, b'{"retCode":10001}'), times=999)
        done = fetch(server, "bybit", "BTC", now - 3 * HOUR, now, "1h", tmp_path / "set")
        assert done.code in (1, 2), done
        assert not (tmp_path / "set" / "candles").exists()


def test_requests_in_parallel_within_the_rate(tmp_path: Path) -> None:
    """Four days of minutes at Bitget are 29 pages of candles and of marks, at 20 a second each."""
    with Server(Market()) as server:
        server.add("/api/v2/mix/market/history", fault.slow(0.05), times=999)
        end = server.market.now_ms() // DAY * DAY - 40 * DAY
        done = fetch(server, "bitget", "BTC", end - 4 * DAY, end, "1m", tmp_path / "set")
        assert done.code == 0, done
        assert wrong(tmp_path / "set", server.market, ["BTC"], end - 4 * DAY, end, MINUTE) == {}
        assert server.broken == []
        assert server.peak > 1


@pytest.mark.parametrize("exchange", ["binance", "bybit", "okx", "hyperliquid", "dydx", "gate", "bitget"])
def test_a_candle_that_is_not_over_is_not_stored(tmp_path: Path, exchange: str) -> None:
    with Server(Market()) as server:
        start = server.market.now_ms() // HOUR * HOUR - 9 * HOUR
        fetch(server, exchange, "ETH", start, None, "1m", tmp_path / "set")
        found = series(tmp_path / "set", "candles")["ETH"]
        end, hourly = int(found[-1][0]) + MINUTE, exchange in ("hyperliquid", "dydx")
        assert server.market.now_ms() - 2 * MINUTE < end <= server.market.now_ms()
        hours = 1 if hourly else None
        said = wrong(
            tmp_path / "set", server.market, ["ETH"], start, end, MINUTE, hours=hours, marks=not hourly, up_to_now=True
        )
        assert said == {}


@pytest.mark.parametrize("exchange", ["binance", "bybit"])
def test_update_appends_what_is_new_and_what_came_late(tmp_path: Path, exchange: str) -> None:
    """The exchange's clock is two days behind at first, and its last rows are published later."""
    end, behind, names = away_from_the_hour(30), [2 * DAY], ["BTC", "SOL"]
    with Server(Market(clock=lambda: time.time() - behind[0] / 1000)) as server:
        first = server.market.now_ms() // DAY * DAY
        start, late = first - 12 * DAY, first - 4 * HOUR
        server.market.held_back.update(candles=late, mark=late, funding=late - 12 * HOUR, archive=first - 3 * DAY)
        fetch(server, exchange, "BTC,SOL", start, first, "1h", tmp_path / "set")
        assert series(tmp_path / "set", "candles")["BTC"][-1][0] < late
        server.market.held_back.clear()
        behind[0] = 0
        done = data("update", tmp_path / "set", "--endpoint", server.url)
        assert done.code == 0, done
        assert wrong(tmp_path / "set", server.market, names, start, end, HOUR, up_to_now=True) == {}
        once = content(tmp_path / "set")
        assert data("update", tmp_path / "set", "--endpoint", server.url).code == 0
        assert content(tmp_path / "set") == once
        assert server.broken == []
