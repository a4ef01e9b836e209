"""`backtest data fetch` of each exchange, against a server that speaks its format and is as strict as its documents.

What is written is compared with the truth row by row, and no request may have broken a documented rule.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.exchanges import fetched, gate, okx
from tests.exchanges.fetched import data, fetch, iso, wrong
from tests.exchanges.market import BY_BASE, DAY, HOUR, MINUTE, Contract, Market, ms
from tests.exchanges.server import Server

pytest.importorskip("ccxt", reason="ccxt is not installed: it comes with the extra `fetch`")


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with Server(Market()) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    """One server for the file; each test starts with an empty log, and none may break a documented rule."""
    running.broken.clear()
    running.log.clear()
    yield running
    assert running.broken == []


HOURLY = ("hyperliquid", "dydx")
"""They settle each hour, and have no mark candles."""
FETCHED = [
    ("bybit", "BTC,DOGE/USDT:USDT", 80),  # 240 and 450 settlements, 200 a page, the newest of a span first
    ("okx", "BTC-USDT-SWAP,doge", 12),  # settlements each hour, 100 a page: three pages, not one as with 8 hours
    ("hyperliquid", "DOGE-USD", 25),  # 600 settlements, 500 a page
    ("dydx", "DOGE", 50),  # 1,200 candles and settlements, 1,000 a page
    ("gate", "DOGE_USDT", 90),  # 2,160 candles, 2,000 a page; volumes in contracts
    ("bitget", "DOGEUSDT", 40),  # candles in pages of 200, settlements by page number
]


@pytest.mark.parametrize(("exchange", "symbols", "days"), FETCHED)
def test_each_exchange_faithfully(server: Server, tmp_path: Path, exchange: str, symbols: str, days: int) -> None:
    end = server.market.now_ms() // DAY * DAY
    start, out, hourly = end - days * DAY, tmp_path / "set", exchange in HOURLY
    done = fetch(server, exchange, symbols, start, end, "1h", out)
    assert done.code == int(hourly), done
    if hourly:
        said = done.out + done.err
        assert "mark" in said
        assert iso(start)[:10] in said
    hours = 1 if hourly else None
    names = ["BTC", "DOGE"] if "BTC" in symbols else ["DOGE"]
    assert wrong(out, server.market, names, start, end, HOUR, hours=hours, marks=not hourly) == {}
    for symbol, facts in fetched.manifest(out)["symbols"].items():
        right_facts(exchange, BY_BASE[fetched.base(symbol)], facts)
    if exchange in TIERED:
        right_tiers(exchange, out)
    assert data("check", out).code == 0


TIERED = ("bybit", "okx", "gate", "bitget", "hyperliquid", "dydx")
"""Exchanges whose leverage tiers are written beside the dataset. Binance gives them only with a key."""


def right_facts(exchange: str, contract: Contract, facts: dict[str, Any]) -> None:
    """Step, tick, minimum notional and listing date of a market in dataset.toml."""
    step = {"okx": float(okx.contract_size(contract)) / 10, "gate": float(gate.multiplier(contract))}
    assert facts["step"] == step.get(exchange, float(contract.step))
    tick = 10 ** -(6 - contract.lot_places) if exchange == "hyperliquid" else float(contract.tick)
    assert facts["tick"] == pytest.approx(tick)
    least = {"bybit": float(contract.least), "bitget": float(contract.least), "hyperliquid": 10.0}
    assert facts.get("min_notional") == least.get(exchange)
    assert str(facts["listed"])[:10] == contract.listed[:10]


def right_tiers(exchange: str, out: Path) -> None:
    """The venue file beside the dataset has each market's tiers of today."""
    venue = tomllib.loads(out.with_name(f"{out.name}.venue.toml").read_text())
    for symbol, tables in venue["symbols"].items():
        contract, margin = BY_BASE[fetched.base(symbol)], tables["margin"][0]
        if exchange == "dydx":
            first = contract.tiers[0]
            found = (margin["initial"], margin["initial"] * margin["maintenance_share"])
            assert found == pytest.approx((1 / first.leverage, float(first.maintenance)), rel=1e-4)
            continue
        tiers = [(t.get("upto"), t["max_leverage"], t.get("maintenance")) for t in margin["tiers"]]
        expected: list[tuple[float | None, int, float | None]]
        expected = [(tier.notional, tier.leverage, float(tier.maintenance)) for tier in contract.tiers]
        if exchange == "hyperliquid":  # half of the initial margin, and no bound above
            bounds = [*(tier.notional for tier in contract.tiers[:-1]), None]
            expected = [(upto, tier.leverage, None) for upto, tier in zip(bounds, contract.tiers, strict=True)]
        if exchange == "okx":  # in contracts: at the last price of the fetch, which is not far from the usual level
            sizes = [most for _, most in okx.tier_sizes(contract)]
            # Whole quote units: the largest tier tells the price best, the others are it within one.
            price = tiers[-1][0] / sizes[-1]
            assert [upto for upto, _, _ in tiers] == pytest.approx([price * most for most in sizes], abs=1)
            assert 0.5 < tiers[0][0] / expected[0][0] < 2
            tiers, expected = ([row[1:] for row in table] for table in (tiers, expected))
        assert tiers == expected


def test_funding_that_okx_no_longer_serves_is_named(server: Server, tmp_path: Path) -> None:
    now = server.market.now_ms()
    first = now // DAY * DAY - okx.FUNDING_DAYS * DAY
    start, end = first - 3 * DAY, first + 3 * DAY
    done = fetch(server, "okx", "ETH", start, end, "4h", tmp_path / "set")
    assert done.code == 1, done
    said = done.out + done.err
    assert ("funding" in said, iso(start)[:10] in said, iso(first)[:10] in said) == (True, True, True), said
    assert wrong(tmp_path / "set", server.market, ["ETH"], start, end, 4 * HOUR, funding_from_ms=first) == {}


def test_candles_that_hyperliquid_no_longer_serves_are_named(server: Server, tmp_path: Path) -> None:
    end = server.market.now_ms() // DAY * DAY
    start = end - 5 * DAY
    done = fetch(server, "hyperliquid", "SOL", start, end, "1m", tmp_path / "set")
    assert done.code == 1, done
    rows = fetched.series(tmp_path / "set", "candles")["SOL"]
    oldest = server.market.now_ms() - 5000 * MINUTE
    assert abs(rows[0][0] - oldest) < 5 * MINUTE
    expected = server.market.closed("SOL", False, MINUTE, int(rows[0][0]), end)
    assert rows == [candle.row() for candle in expected]
    assert "candles" in done.out + done.err
    assert iso(start)[:10] in done.out + done.err


def test_pages_without_a_row(server: Server, tmp_path: Path) -> None:
    """Three days without a candle are more than a page of minutes."""
    start, end = ms("2023-03-09T22:00"), ms("2023-03-13T02:00")
    fetch(server, "bybit", "BTC", start, end, "1m", tmp_path / "set")
    assert wrong(tmp_path / "set", server.market, ["BTC"], start, end, MINUTE) == {}


def test_a_market_listed_inside_the_span(server: Server, tmp_path: Path) -> None:
    start, end = ms("2022-05-09"), ms("2022-05-12")
    for exchange in ("bybit", "gate"):
        fetch(server, exchange, "DOGE", start, end, "15m", tmp_path / exchange)
        assert wrong(tmp_path / exchange, server.market, ["DOGE"], start, end, 15 * MINUTE) == {}, exchange


SPELLINGS = [
    ("bybit", ("btc-usd", "BTCUSDT,BTC/USDT:USDT", "B*", "top1", "BTC-USDT-SWAP,BTC_USDT")),
    ("okx", ("BTC,BTC-USDT-SWAP", "BTCUSDT")),
    ("binance", ("BTC", "BTC/USDT:USDT")),  # there are BTCUSDC and a quarterly contract too
]


@pytest.mark.parametrize(("exchange", "spellings"), SPELLINGS)
def test_symbols_in_the_users_spelling(
    server: Server, tmp_path: Path, exchange: str, spellings: tuple[str, ...]
) -> None:
    end = server.market.now_ms() // DAY * DAY
    for n, spelling in enumerate(spellings):
        done = fetch(server, exchange, spelling, end - 12 * HOUR, end, "1h", tmp_path / str(n))
        assert done.code == 0, (spelling, done)
        assert wrong(tmp_path / str(n), server.market, ["BTC"], end - 12 * HOUR, end, HOUR) == {}, spelling


def test_the_largest_by_volume_and_wildcards(server: Server, tmp_path: Path) -> None:
    end = server.market.now_ms() // DAY * DAY
    for symbols, names in {"top3": {"BTC", "ETH", "SOL"}, "?O*": {"DOGE", "SOL"}, "*": set(BY_BASE)}.items():
        out = tmp_path / symbols.strip("?*")
        done = fetch(server, "bybit", symbols, end - 12 * HOUR, end, "1h", out / "set")
        assert done.code == 0, done
        assert set(fetched.series(out / "set", "candles")) == names, symbols


def test_a_mistake_is_one_line_and_leaves_nothing(server: Server, tmp_path: Path) -> None:
    end, out = server.market.now_ms() // DAY * DAY, tmp_path / "set"
    for exchange, symbols, start, interval in (
        ("kraken", "BTC", end - DAY, "1h"),
        ("bybit", "BTX", end - DAY, "1h"),
        ("bybit", "BTC", end + DAY, "1h"),
        ("bybit", "BTC", end - DAY, "7m"),
        ("bybit", "top0", end - DAY, "1h"),
    ):
        done = fetch(server, exchange, symbols, start, end, interval, out)
        assert (done.code, done.err.count("\n"), done.err[:7]) == (2, 1, "error: "), (exchange, symbols, interval, done)
        assert list(tmp_path.iterdir()) == []
    done = data("fetch", "bybit", "BTC", "--from", "2024-01-01", "--out", out, "--endpoint", "http://127.0.0.1:1")
    assert done.code in (1, 2)
    assert "127.0.0.1" in done.err
    assert not out.exists()
