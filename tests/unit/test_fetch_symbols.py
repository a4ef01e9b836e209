"""Which markets a user means by what he writes."""

from __future__ import annotations

import pytest

from backtest.core.errors import UserError
from backtest.data.fetch.market import Market
from backtest.data.fetch.symbols import choose

LISTED = (
    Market("BTCUSDT", "BTC", "USDT"),
    Market("BTCUSDC", "BTC", "USDC"),
    Market("ETHUSDT", "ETH", "USDT"),
    Market("1000PEPEUSDT", "1000PEPE", "USDT"),
    Market("OLDUSDT", "OLD", "USDT", active=False),
    Market("USDCUSDT", "USDC", "USDT"),
)
VOLUMES = {"BTCUSDT": 9.0, "ETHUSDT": 5.0, "1000PEPEUSDT": 7.0, "OLDUSDT": 99.0, "BTCUSDC": 8.0}


def chosen(*asked: str, listed: tuple[Market, ...] = LISTED) -> list[str]:
    return [m.name for m in choose(asked, listed, ("USDT", "USDC"), lambda: VOLUMES, "Binance").markets]


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("BTC", ["BTCUSDT"]),
        ("btc", ["BTCUSDT"]),
        ("BTC-USD", ["BTCUSDT"]),
        ("BTCUSDT", ["BTCUSDT"]),
        ("BTC/USDT:USDT", ["BTCUSDT"]),
        ("BTC-USDT-SWAP", ["BTCUSDT"]),
        ("BTC_USDT", ["BTCUSDT"]),
        ("BTC-PERP", ["BTCUSDT"]),
        ("BTC/USDC:USDC", ["BTCUSDC"]),
        ("PEPE", ["1000PEPEUSDT"]),
        ("USDC", ["USDCUSDT"]),
        ("OLDUSDT", ["OLDUSDT"]),  # it no longer trades, and has a history
        ("BTC*", ["BTCUSDT"]),  # of two quotes the usual one
        ("*usdc", ["BTCUSDC"]),
        ("*", ["1000PEPEUSDT", "BTCUSDT", "ETHUSDT", "USDCUSDT"]),
        ("top2", ["1000PEPEUSDT", "BTCUSDT"]),
        ("top99", ["1000PEPEUSDT", "BTCUSDT", "ETHUSDT", "USDCUSDT"]),
    ],
)
def test_spellings(asked: str, names: list[str]) -> None:
    assert chosen(asked) == names


def test_spellings_of_other_venues() -> None:
    dydx, coin = (Market("BTC-USD", "BTC", "USDC"),), (Market("kPEPE", "kPEPE", "USDC"), Market("BTC", "BTC", "USDC"))
    assert chosen("BTCUSDT", listed=dydx) == chosen("BTC-USD", "BTC", listed=dydx) == ["BTC-USD"]
    assert chosen("PEPE", "kPEPE", listed=coin) == ["kPEPE"]
    assert chosen("k*", listed=coin) == ["kPEPE"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("BTCUSX",), "SYMBOLS: Binance has no market 'BTCUSX'; did you mean 'BTCUSD"),
        (("ETF",), "SYMBOLS: Binance has no market 'ETF'; did you mean 'ETH'?"),
        (("Z*",), "SYMBOLS: no market of Binance matches 'Z*'; widen the pattern"),
        (("top0",), "SYMBOLS: top0 names no market; write top20, say"),
        (("BTC", "BTCUSDC"), "SYMBOLS: markets of 2 quotes (BTCUSDC in USDC, BTCUSDT in USDT); fetch one dataset per"),
    ],
)
def test_what_no_market_has_is_an_error_of_one_line(asked: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserError) as caught:
        chosen(*asked)
    assert str(caught.value).startswith(said)
