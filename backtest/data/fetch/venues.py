"""The venues that data can be fetched from, by name."""

from __future__ import annotations

from backtest.core.errors import UserError, nearest
from backtest.data.fetch.binance import Binance
from backtest.data.fetch.bitget import Bitget
from backtest.data.fetch.bybit import Bybit
from backtest.data.fetch.connection import Connection
from backtest.data.fetch.dydx import Dydx
from backtest.data.fetch.exchange import Exchange
from backtest.data.fetch.gate import Gate
from backtest.data.fetch.hyperliquid import Hyperliquid
from backtest.data.fetch.okx import Okx

_VENUES: dict[str, type[Exchange]] = {
    venue.name: venue for venue in (Binance, Bybit, Okx, Hyperliquid, Dydx, Gate, Bitget)
}
EXCHANGES = tuple(_VENUES)


def reach(name: str, endpoint: str | None) -> Exchange:
    """Return a venue by name. Nothing is asked of it yet. Raises UserError for an unknown name and a bad address."""
    known = _VENUES.get(name.lower())
    if known is None:
        raise UserError(f"unknown exchange {name!r}", "EXCHANGE", nearest(name, EXCHANGES))
    return known(Connection(endpoint))
