"""Binance USD-M futures: the public archive first, the interface for what it does not hold yet.

Sources: developers.binance.com, USDⓈ-M Futures, Market Data (`/fapi/v1/exchangeInfo`, `klines`, `markPriceKlines`,
`fundingRate`, `ticker/24hr`); github.com/binance/binance-public-data for the archive.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import polars as pl

from backtest.core.durations import parse as length_ms
from backtest.data.fetch.binance_archive import Archive
from backtest.data.fetch.connection import Connection
from backtest.data.fetch.exchange import Exchange, around
from backtest.data.fetch.market import Market, milliseconds, number, product
from backtest.data.fetch.pages import forward, windows
from backtest.data.fetch.rows import Span, frame

_CANDLES = 1000
"""Rows of a page: 1,500 are allowed, and cost twice as much of the rate limit."""
_SETTLEMENTS = 1000
_PLACEHOLDER_MS = 1_569_398_400_000
"""`onboardDate` of the first markets, which traded earlier or began later."""


class Binance(Exchange):
    """USDT- and USDC-margined perpetuals."""

    name, title, ccxt_id = "binance", "Binance", "binanceusdm"
    preset = "binance_usdm"
    quotes = ("USDT", "USDC", "BUSD", "USD1")
    spellings: ClassVar[dict[str, str]] = {
        one: one for one in ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")
    }
    tiers_reason = "Binance tells its leverage brackets only to accounts; the preset binance_usdm has them by date"

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._archive = Archive(connection)

    def stop(self) -> None:
        """End the requests that still wait, those to the archive too."""
        super().stop()
        self._archive.stop()

    def markets(self) -> list[Market]:
        """Return the perpetuals of `exchangeInfo`."""
        listed = self.client.call("fapiPublicGetExchangeInfo", {})["symbols"]
        return [_market(one) for one in listed if "PERPETUAL" in str(one["contractType"])]

    def volumes(self) -> dict[str, float]:
        """Return `quoteVolume` of `ticker/24hr`."""
        told = self.client.call("fapiPublicGetTicker24hr", {})
        return {str(one["symbol"]): number(one["quoteVolume"]) for one in told}

    def listed_ms(self, market: Market) -> int:
        """Return `onboardDate`, or the first daily candle of the markets that all have the day it was introduced."""
        if market.listed_ms not in (0, _PLACEHOLDER_MS):
            return market.listed_ms
        first = self._candles("candles", market, "1d", Span(0, self.now_ms), 1)
        return int(first["ts"][0]) if len(first) else 0

    def candles(self, market: Market, interval: str, span: Span) -> list[pl.DataFrame]:
        """Return candles of the archive, and of `klines` where it has none."""
        return self._read("candles", market, interval, span)

    def marks(self, market: Market, interval: str, span: Span) -> list[pl.DataFrame]:
        """Return candles of the archive, and of `markPriceKlines` where it has none."""
        return self._read("mark", market, interval, span)

    def funding(self, market: Market, span: Span) -> list[pl.DataFrame]:
        """Return settlements of the archive's months, and of `fundingRate` where it has none."""
        found, left = self._archive.funding(market.name, span, self.now_ms)
        for part in left:
            found += forward(partial(self._settlements, market), around(part))
        return found

    def _read(self, series: str, market: Market, interval: str, span: Span) -> list[pl.DataFrame]:
        found, left = self._archive.candles(series, market.name, interval, span, self.now_ms)
        step = length_ms(interval)
        page = partial(self._candles, series, market, interval)
        for part in left:
            for window in windows(part, _CANDLES * step):
                found += forward(page, window, step)
        return found

    def _candles(self, series: str, market: Market, interval: str, span: Span, most: int = _CANDLES) -> pl.DataFrame:
        endpoint = "fapiPublicGetKlines" if series == "candles" else "fapiPublicGetMarkPriceKlines"
        wanted = {"symbol": market.name, "interval": interval, "limit": most}
        rows = self.client.call(endpoint, wanted | {"startTime": span.start_ms, "endTime": span.end_ms - 1})
        return frame(series, (row[: 6 if series == "candles" else 5] for row in rows), endpoint)

    def _settlements(self, market: Market, span: Span) -> pl.DataFrame:
        wanted = {"symbol": market.name, "limit": _SETTLEMENTS}
        bounds = {"startTime": span.start_ms, "endTime": span.end_ms - 1}
        rows = self.client.call("fapiPublicGetFundingRate", wanted | bounds)
        return frame("funding", ((row["fundingTime"], row["fundingRate"]) for row in rows), "fundingRate")


def _market(one: dict[str, Any]) -> Market:
    limits: dict[str, Any] = {limit["filterType"]: limit for limit in one.get("filters", ())}
    return Market(
        name=str(one["symbol"]),
        base=str(one["baseAsset"]),
        quote=str(one["quoteAsset"]),
        active=one.get("status") == "TRADING",
        step=product(limits.get("LOT_SIZE", {}).get("stepSize", "")),
        tick=product(limits.get("PRICE_FILTER", {}).get("tickSize", "")),
        min_notional=product(limits.get("MIN_NOTIONAL", {}).get("notional", "")),
        listed_ms=milliseconds(one.get("onboardDate")),
    )
