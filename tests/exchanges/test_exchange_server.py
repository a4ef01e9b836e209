"""The server itself: what ccxt reads from it is the invented truth, and what no document allows is refused.

ccxt knows the exchanges' formats from practice, so that each page that it understands speaks for the page's format.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

import pytest

from tests.exchanges import bitget, bybit, fault, gate, okx
from tests.exchanges import market as truth
from tests.exchanges.market import BY_BASE, DAY, HOUR, Market, ms
from tests.exchanges.server import Server

ccxt = pytest.importorskip("ccxt", reason="ccxt is not installed: it comes with the extra `fetch`")


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with Server(Market()) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    """One server for the file; each test starts with an empty log."""
    running.broken.clear()
    running.log.clear()
    running.faults.clear()
    yield running
    running.market.held_back.clear()


@contextmanager
def client(name: str, server: Server) -> Iterator[Any]:
    """ccxt's client of an exchange, with every address of it moved to the server. Few requests need no pauses."""
    exchange = getattr(ccxt, name)({"enableRateLimit": False})
    exchange.urls["api"] = _moved(exchange.urls["api"], server.url)
    with exchange.session:
        yield exchange


def _moved(value: Any, url: str) -> Any:
    if isinstance(value, dict):
        return {name: _moved(part, url) for name, part in value.items()}
    split = urlsplit(value)
    return url + value[len(f"{split.scheme}://{split.netloc}") :]


class Said(NamedTuple):
    """What came back."""

    status: int
    headers: Message
    body: bytes


def ask(server: Server, path: str, parameters: Mapping[str, object] | None = None) -> Said:
    query = f"?{urlencode(parameters)}" if parameters else ""
    try:
        with urlopen(f"{server.url}{path}{query}") as answer:
            return Said(answer.status, answer.headers, answer.read())
    except HTTPError as error:
        with error:
            return Said(error.code, error.headers, error.read())


def get(server: Server, path: str, **parameters: object) -> Any:
    said = ask(server, path, parameters)
    assert said.status == 200, said
    return json.loads(said.body)


def info(server: Server, **body: object) -> Any:
    with urlopen(Request(f"{server.url}/info", json.dumps(body).encode())) as answer:
        return json.load(answer)


ALL = ("binance", "bybit", "okx", "hyperliquid", "dydx", "gate", "bitget")
WITHOUT_MARKS = ("hyperliquid", "dydx")
LATE = ("binance", "hyperliquid", "dydx")


@pytest.mark.parametrize("name", ALL)
def test_ccxt_reads_the_truth(server: Server, name: str) -> None:
    with client(name, server) as exchange:
        exchange.load_markets()
        read_the_truth(server, name, exchange)
        if name not in WITHOUT_MARKS:
            read_the_facts(name, exchange)
    assert server.broken == []


def read_the_truth(server: Server, name: str, exchange: Any) -> None:
    quote = "USDC" if name in WITHOUT_MARKS else "USDT"
    since, base = server.market.now_ms() // DAY * DAY - 2 * DAY, "ETH"
    symbol = f"{base}/{quote}:{quote}"
    contract, hours = BY_BASE[base], 1 if name in WITHOUT_MARKS else None
    expected = [candle.row() for candle in server.market.closed(base, False, HOUR, since, since + 30 * HOUR)]
    if name == "dydx":  # ccxt asks dYdX for `fromIso`, which is ignored there and refused here
        got = exchange.fetch_ohlcv(symbol, "1h", None, 200)
        got = [row for row in got if since <= row[0] < since + 30 * HOUR]
    else:
        got = exchange.fetch_ohlcv(symbol, "1h", since, 30)
    size = float(gate.multiplier(contract)) if name == "gate" else 1
    assert [(*row[:5], pytest.approx(row[5] * size)) for row in got] == expected
    if name not in WITHOUT_MARKS:
        got = exchange.fetch_ohlcv(symbol, "1h", since, 30, {"price": "mark"})
        marks = server.market.closed(base, True, HOUR, since, since + 30 * HOUR)
        assert [tuple(row[:5]) for row in got] == [candle.row()[:5] for candle in marks]
    rates = {row["timestamp"]: row["fundingRate"] for row in exchange.fetch_funding_rate_history(symbol, since, 90)}
    due = server.market.funding(base, since, server.market.now_ms() - 1000, hours)
    stamps = [s.ts + truth.late(contract, s.ts) * (name in LATE) for s in due]
    assert rates == dict(zip(stamps, [float(s.rate) for s in due], strict=True))


def read_the_facts(name: str, exchange: Any) -> None:
    contract, market = BY_BASE["SOL"], exchange.markets["SOL/USDT:USDT"]
    step, size = float(contract.step), market["contractSize"]
    facts = (market["precision"]["amount"] * size, market["precision"]["price"])
    assert facts == (step / 10 if name == "okx" else step, float(contract.tick))
    if name not in ("okx", "gate", "bybit"):  # of Bybit a later ccxt than the pinned one reads it
        assert market["limits"]["cost"]["min"] == float(contract.least)
    if name != "bitget":  # ccxt does not read Bitget's launchTime
        assert market["created"] == contract.listed_ms
    if name == "binance":  # tiers need a key there
        return
    tiers = exchange.fetch_market_leverage_tiers("SOL/USDT:USDT")
    rates = [(tier["maintenanceMarginRate"], tier["maxLeverage"]) for tier in tiers]
    assert rates == [(float(tier.maintenance), tier.leverage) for tier in contract.tiers]
    most = [size for _, size in okx.tier_sizes(contract)] if name == "okx" else [t.notional for t in contract.tiers]
    assert [tier["maxNotional"] for tier in tiers] == most


BYBIT, OKX, GATE, BITGET = "/v5/market", "/api/v5", "/api/v4/futures/usdt", "/api/v2/mix/market"
REFUSED = [
    ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1h", "limit": 1501}, 400, "-1130"),
    ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1h", "from": 1}, 400, "-1101"),
    ("/fapi/v1/fundingRate", {"symbol": "XUSDT"}, 400, "-1121"),
    (f"{BYBIT}/kline", {"symbol": "BTCUSDT", "interval": "1h"}, 200, "10001"),
    (f"{BYBIT}/funding/history", {"category": "linear", "symbol": "BTCUSDT", "startTime": 5}, 200, "10001"),
    (f"{BYBIT}/funding/history", {"category": "linear", "symbol": "BTCUSDT", "limit": 201}, 200, "10001"),
    (f"{OKX}/public/funding-rate-history", {"instId": "BTC-USDT-SWAP", "limit": 101}, 200, "51000"),
    (f"{OKX}/market/history-mark-price-candles", {"instId": "BTC-USDT-SWAP", "limit": 101}, 200, "51000"),
    (f"{GATE}/candlesticks", {"contract": "BTC_USDT", "from": 1, "to": 2, "limit": 5}, 400, "conflicts"),
    (f"{GATE}/candlesticks", {"contract": "BTC_USDT", "interval": "1m", "from": 0, "to": 120_000}, 400, "2000"),
    (f"{BITGET}/history-candles", {"symbol": "BTCUSDT", "productType": "USDT-FUTURES", "granularity": "1m",
    "limit": 201},
     400, "400172"),
    ("/v4/candles/perpetualMarkets/BTC-USD", {"resolution": "1HOUR", "limit": 1001}, 400, "limit"),
    ("/v4/historicalFunding/XYZ-USD", {}, 404, "not found"),
    ("/fapi/v1/klinez", {}, 404, ""),
]  # fmt: skip


@pytest.mark.parametrize(("path", "parameters", "status", "code"), REFUSED)
def test_what_no_document_allows_is_refused_and_recorded(
    server: Server, path: str, parameters: dict[str, object], status: int, code: str
) -> None:
    said = ask(server, path, parameters)
    assert (said.status, code in said.body.decode(), len(server.broken)) == (status, True, 1)


def test_pages_end_where_the_documents_say() -> None:
    now = ms("2026-06-15") + 25 * 60_000
    with Server(Market(clock=lambda: now / 1000), rates=False) as server:
        tail = {"category": "linear", "symbol": "BTCUSDT"}
        rows = get(server, f"{BYBIT}/funding/history", **tail, startTime=now - 300 * DAY, endTime=now)["result"]["list"]
        assert (len(rows), rows[0]["fundingRateTimestamp"]) == (200, str(now - 25 * 60_000))
        rows = get(server, f"{OKX}/public/funding-rate-history", instId="BTC-USDT-SWAP", before=now - 60 * DAY)["data"]
        assert (len(rows), rows[0]["fundingTime"]) == (100, str(now - 25 * 60_000))
        oldest = str(now // DAY * DAY - 90 * DAY)
        assert get(server, f"{OKX}/public/funding-rate-history", instId="BTC-USDT-SWAP", after=oldest)["data"] == []
        row = get(server, f"{OKX}/market/candles", instId="BTC-USDT-SWAP", bar="1H", limit=1)["data"][0]
        assert (row[0], row[-1]) == (str(now // HOUR * HOUR), "0")
        request = {"coin": "BTC", "interval": "1m", "startTime": 0, "endTime": now}
        rows = info(server, type="candleSnapshot", req=request)
        assert (len(rows), rows[0]["t"]) == (5000, now - 4999 * 60_000)
        rows = info(server, type="fundingHistory", coin="BTC", startTime=now - 100 * DAY)
        assert (len(rows), rows[-1]["time"] // HOUR - rows[0]["time"] // HOUR) == (500, 499)
        rows = get(server, f"{BITGET}/history-fund-rate", symbol="BTCUSDT", productType="USDT-FUTURES", pageNo=2)[
            "data"
        ]
        assert (len(rows), rows[0]["fundingTime"]) == (20, str(ms("2026-06-15") - 20 * 8 * HOUR))
        rows = get(server, "/fapi/v1/klines", symbol="BTCUSDT", interval="1m", startTime=ms("2023-03-09T23:59"))
        assert [row[0] for row in rows[:2]] == [ms("2023-03-09T23:59"), ms("2023-03-13")]
        last = get(server, "/fapi/v1/klines", symbol="BTCUSDT", interval="1h", limit=1)[0]
        whole = truth.candles(BY_BASE["BTC"], False, HOUR, now // HOUR * HOUR, 1)[0]
        assert (last[0], last[1], last[4] != whole.close) == (whole.ts, whole.open, True)
        assert server.broken == []


def archive(server: Server, path: str) -> tuple[bytes, list[str]]:
    body = ask(server, f"/data/futures/um/{path}").body
    with zipfile.ZipFile(io.BytesIO(body)) as packed:
        return body, packed.read(packed.namelist()[0]).decode().splitlines()


def test_archive_files_are_as_published() -> None:
    now = ms("2026-06-15T09:00")
    with Server(Market(clock=lambda: now / 1000)) as server:
        _, old = archive(server, "monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2022-05.zip")
        body, new = archive(server, "monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2022-06.zip")
        assert (len(old), old[0][:14], len(new), new[0][:15]) == (744, "1651363200000,", 721, "open_time,open,")
        said = ask(server, "/data/futures/um/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2022-06.zip.CHECKSUM").body
        assert said.decode() == f"{hashlib.sha256(body).hexdigest()}  BTCUSDT-1h-2022-06.zip\n"
        _, funding = archive(server, "monthly/fundingRate/SOLUSDT/SOLUSDT-fundingRate-2022-11.zip")
        assert funding[0] == "calc_time,funding_interval_hours,last_funding_rate"
        assert {line.split(",")[1] for line in funding[1:]} == {"8", "4"}
        assert len(archive(server, "daily/markPriceKlines/BTCUSDT/1m/BTCUSDT-1m-2026-06-14.zip")[1]) == 1441
        for missing in (
            "monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2026-06.zip", "monthly/klines/DOGEUSDT/1h/DOGEUSDT-1h-2022-04.zip",
            "daily/klines/BTCUSDT/1h/BTCUSDT-1h-2026-06-15.zip",
            "daily/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2026-06-14.zip",
        ):  # fmt: skip
            assert ask(server, f"/data/futures/um/{missing}").status == 404
        assert server.broken == []


def test_rates_above_the_documented_ones_are_refused_and_recorded() -> None:
    with Server(Market()) as server:
        path = f"{OKX}/public/funding-rate-history"
        assert [ask(server, path, {"instId": "BTC-USDT-SWAP"}).status for _ in range(12)] == [200] * 11 + [429]
        said = [ask(server, "/fapi/v1/ticker/24hr") for _ in range(67)]
        assert [one.status for one in said] == [200] * 66 + [429]
        assert 1 <= int(said[-1].headers["Retry-After"]) <= 60
        assert [why.split(":")[0] for why in server.broken] == ["more than 10 in 2 s", "more than 2400 in 60 s"]


def test_faults_hit_the_requests_that_they_name(server: Server) -> None:
    path = "/data/futures/um/monthly/klines/SOLUSDT/1d/SOLUSDT-1d-2023-01.zip"
    body = ask(server, path).body
    server.add("1d-2023-01.zip ", fault.flipped(0.5))
    server.add("1d-2023-01.zip ", fault.cut(0.5), after=1)
    server.add("CHECKSUM", fault.flipped(0.1))
    assert ask(server, path).body != body
    with pytest.raises(http.client.IncompleteRead):
        ask(server, path)
    assert ask(server, path).body == body
    assert ask(server, f"{path}.CHECKSUM").body.split()[0].decode() != hashlib.sha256(body).hexdigest()
    server.add("/fapi/v1/time", fault.status(429, retry_after="7"), times=2, after=1)
    said = [ask(server, "/fapi/v1/time") for _ in range(4)]
    assert [(one.status, one.headers["Retry-After"]) for one in said] == [
        (200, None),
        (429, "7"),
        (429, "7"),
        (200, None),
    ]
    server.market.held_back["funding"] = late = server.market.now_ms() - 3 * DAY
    rows = get(server, f"{GATE}/funding_rate", contract="BTC_USDT")
    assert max(row["t"] * 1000 for row in rows) < late
    assert server.broken == []


def test_names_are_those_of_each_exchange() -> None:
    contract = BY_BASE["BTC"]
    names = [module.symbol(contract) for module in (bybit, okx, gate, bitget)]
    assert names == ["BTCUSDT", "BTC-USDT-SWAP", "BTC_USDT", "BTCUSDT"]
