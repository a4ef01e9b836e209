"""The exchanges that the server speaks for."""

from __future__ import annotations

from typing import Any

from tests.exchanges.binance import Binance
from tests.exchanges.binance_archive import BinanceArchive
from tests.exchanges.bitget import Bitget
from tests.exchanges.bybit import Bybit
from tests.exchanges.dydx import Dydx
from tests.exchanges.gate import Gate
from tests.exchanges.hyperliquid import Hyperliquid
from tests.exchanges.market import Market
from tests.exchanges.okx import Okx


def exchanges(market: Market, rates: bool) -> list[Any]:
    """One of each, over one market."""
    api = [kind(market, rates) for kind in (Binance, Bybit, Okx, Hyperliquid, Dydx, Gate, Bitget)]
    return [BinanceArchive(market), *api]
