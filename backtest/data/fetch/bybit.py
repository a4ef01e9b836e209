"""Bybit linear perpetuals. Source: bybit-exchange.github.io/docs/v5/market (instrument, tickers, kline, mark-kline,
history-fund-rate, risk-limit): pages are sorted in reverse by time, 1,000 candles or 200 settlements at most."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

import polars as pl

from backtest.core.durations import parse as length_ms
from backtest.data.fetch.exchange import Exchange, around
from backtest.data.fetch.market import MarginTable, Market, milliseconds, number, product, tier
from backtest.data.fetch.pages import backward, windows
from backtest.data.fetch.rows import Span, frame

_CANDLES = 1000
_SETTLEMENTS = 200
_LINEAR = {"category": "linear"}


class Bybit(Exchange):
    """USDT- and USDC-margined perpetuals."""

    name, title, ccxt_id = "bybit", "Bybit", "bybit"
    preset = "bybit_linear"
    quotes = ("USDT", "USDC", "USD")
    spellings: ClassVar[dict[str, str]] = {
        "1m": "1", "3m": "3", "5m": "5", "15m": "15", "30m": "30", "1h": "60",
        "2h": "120", "4h": "240", "6h": "360", "12h": "720", "1d": "D",
    }  # fmt: skip

    def markets(self) -> list[Market]:
        """Return the perpetuals of `instruments-info`, page by page."""
        listed = self._listed("publicGetV5MarketInstrumentsInfo", {"limit": 1000})
        return [_market(one) for one in listed if one.get("contractType") == "LinearPerpetual"]

    def volumes(self) -> dict[str, float]:
        """Return `turnover24h` of `tickers`."""
        told = self.client.call("publicGetV5MarketTickers", _LINEAR)["result"]["list"]
        return {str(one["symbol"]): number(one["turnover24h"]) for one in told}

    def candles(self, market: Market, interval: str, span: Span) -> list[pl.DataFrame]:
        """Return candles of `kline`."""
        return self._read("candles", market, interval, span)

    def marks(self, market: Market, interval: str, span: Span) -> list[pl.DataFrame]:
        """Return candles of `mark-price-kline`."""
        return self._read("mark", market, interval, span)

    def funding(self, market: Market, span: Span) -> list[pl.DataFrame]:
        """Return settlements of `funding/history`."""
        return list(backward(partial(self._settlements, market), around(span)))

    def margin(self, market: Market) -> MarginTable | None:
        """Return the steps of `risk-limit`."""
        steps = sorted(self._listed("publicGetV5MarketRiskLimit", {"symbol": market.name}), key=_limit)
        rows = (tier(one["riskLimitValue"], one["maxLeverage"], one["maintenanceMargin"]) for one in steps)
        return MarginTable("tiers", tiers=tuple(rows))

    def _listed(self, endpoint: str, wanted: dict[str, object]) -> Iterator[dict[str, Any]]:
        cursor = ""
        while True:
            more = {"cursor": cursor} if cursor else {}
            result = self.client.call(endpoint, _LINEAR | wanted | more)["result"]
            yield from result["list"]
            cursor = str(result.get("nextPageCursor") or "")
            if not cursor or not result["list"]:
                return

    def _read(self, series: str, market: Market, interval: str, span: Span) -> list[pl.DataFrame]:
        page = partial(self._candles, series, market, interval)
        return [one for window in windows(span, _CANDLES * length_ms(interval)) for one in backward(page, window)]

    def _candles(self, series: str, market: Market, interval: str, span: Span) -> pl.DataFrame:
        endpoint = "publicGetV5MarketKline" if series == "candles" else "publicGetV5MarketMarkPriceKline"
        wanted = {"symbol": market.name, "interval": self.spellings[interval], "limit": _CANDLES}
        bounds = {"start": span.start_ms, "end": span.end_ms - 1}
        rows = self.client.call(endpoint, _LINEAR | wanted | bounds)["result"]["list"]
        return frame(series, (row[: 6 if series == "candles" else 5] for row in rows), endpoint)

    def _settlements(self, market: Market, span: Span) -> pl.DataFrame:
        bounds = {"startTime": span.start_ms, "endTime": span.end_ms - 1}
        wanted = {"symbol": market.name, "limit": _SETTLEMENTS}
        rows = self.client.call("publicGetV5MarketFundingHistory", _LINEAR | wanted | bounds)["result"]["list"]
        return frame("funding", ((row["fundingRateTimestamp"], row["fundingRate"]) for row in rows), "funding/history")


def _market(one: dict[str, Any]) -> Market:
    lot = one.get("lotSizeFilter", {})
    return Market(
        name=str(one["symbol"]),
        base=str(one["baseCoin"]),
        quote=str(one["quoteCoin"]),
        active=one.get("status") == "Trading",
        step=product(lot.get("qtyStep", "")),
        tick=product(one.get("priceFilter", {}).get("tickSize", "")),
        min_notional=product(lot.get("minNotionalValue", "")),
        listed_ms=milliseconds(one.get("launchTime")),
    )


def _limit(one: dict[str, Any]) -> float:
    return number(one["riskLimitValue"])
