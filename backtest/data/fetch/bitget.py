"""Bitget USDT perpetuals. Source: www.bitget.com/api-doc/contract/market (Get-All-Symbols-Contracts, tickers,
Get-History-Candle-Data, Get-History-Mark-Candle-Data, Get-History-Funding-Rate, Get-Query-Position-Lever): 200 candles
over at most 90 days a request; funding by numbered pages of 100, the latest first."""

from __future__ import annotations

from typing import Any, ClassVar

import polars as pl

from backtest.core.durations import parse as length_ms
from backtest.core.times import DAY_MS
from backtest.data.fetch.exchange import Exchange, around, first_day
from backtest.data.fetch.market import MarginTable, Market, milliseconds, number, product, tier
from backtest.data.fetch.pages import backward, windows
from backtest.data.fetch.rows import Span, frame, inside

_CANDLES = 200
_LONGEST_MS = 90 * DAY_MS
_SETTLEMENTS = 100
_USDT = {"productType": "USDT-FUTURES"}


class Bitget(Exchange):
    """Perpetuals that settle in USDT."""

    name, title, ccxt_id = "bitget", "Bitget", "bitget"
    quotes = ("USDT",)
    spellings: ClassVar[dict[str, str]] = {
        "1m": "1m", "3m": "3m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1H",
        "2h": "2H", "4h": "4H", "6h": "6Hutc", "12h": "12Hutc", "1d": "1Dutc",
    }  # fmt: skip
    monthly_funding = False

    def markets(self) -> list[Market]:
        """Return `contracts`."""
        listed = self.client.call("publicMixGetV2MixMarketContracts", _USDT)["data"]
        return [_market(one) for one in listed if one.get("symbolType", "perpetual") == "perpetual"]

    def volumes(self) -> dict[str, float]:
        """Return `quoteVolume` of `tickers`."""
        told = self.client.call("publicMixGetV2MixMarketTickers", _USDT)["data"]
        return {str(one["symbol"]): number(one.get("quoteVolume")) for one in told}

    def candles(self, market: Market, interval: str, span: Span) -> list[pl.DataFrame]:
        """Return candles of `history-candles`."""
        return self._read("candles", market, interval, span)

    def marks(self, market: Market, interval: str, span: Span) -> list[pl.DataFrame]:
        """Return candles of `history-mark-candles`."""
        return self._read("mark", market, interval, span)

    def funding(self, market: Market, span: Span) -> list[pl.DataFrame]:
        """Return settlements of `history-fund-rate`, from the latest page back to the span's start."""
        wide, found = around(span), []
        page_number = 1
        while True:
            wanted = {"symbol": market.name, "pageSize": _SETTLEMENTS, "pageNo": page_number}
            rows = self.client.call("publicMixGetV2MixMarketHistoryFundRate", _USDT | wanted)["data"] or ()
            page = frame("funding", ((row["fundingTime"], row["fundingRate"]) for row in rows), "history-fund-rate")
            found.append(inside(page, wide))
            if not len(page) or int(page["ts"][0]) < wide.start_ms:
                return found
            page_number += 1

    def margin(self, market: Market) -> MarginTable | None:
        """Return the steps of `query-position-lever`."""
        told = self.client.call("publicMixGetV2MixMarketQueryPositionLever", _USDT | {"symbol": market.name})["data"]
        steps = sorted(told, key=lambda one: number(one["level"]))
        rows = (tier(one["endUnit"], one["leverage"], one["keepMarginRate"]) for one in steps)
        return MarginTable("tiers", tiers=tuple(rows))

    def listed_ms(self, market: Market) -> int:
        """Return `launchTime`, or the open of the first daily candle where the venue leaves it out."""
        return market.listed_ms or first_day(lambda part: self._candles("candles", market, "1d", part), self.now_ms)

    def _read(self, series: str, market: Market, interval: str, span: Span) -> list[pl.DataFrame]:
        def page(part: Span) -> pl.DataFrame:
            return self._candles(series, market, interval, part)

        length = min(_CANDLES * length_ms(interval), _LONGEST_MS)
        return [one for window in windows(span, length) for one in backward(page, window)]

    def _candles(self, series: str, market: Market, interval: str, span: Span) -> pl.DataFrame:
        kind = "HistoryCandles" if series == "candles" else "HistoryMarkCandles"
        wanted = {"symbol": market.name, "granularity": self.spellings[interval], "limit": _CANDLES}
        bounds = {"startTime": span.start_ms, "endTime": span.end_ms}
        rows = self.client.call(f"publicMixGetV2MixMarket{kind}", _USDT | wanted | bounds)["data"] or ()
        return frame(series, (row[: 6 if series == "candles" else 5] for row in rows), kind)


def _market(one: dict[str, Any]) -> Market:
    place = number(one["pricePlace"])
    return Market(
        name=str(one["symbol"]),
        base=str(one["baseCoin"]),
        quote=str(one["quoteCoin"]),
        active=one.get("symbolStatus") == "normal",
        step=product(one["sizeMultiplier"]),
        tick=product(one["priceEndStep"], f"1e-{place:.0f}"),
        min_notional=product(one.get("minTradeUSDT", "")),
        listed_ms=milliseconds(one.get("launchTime")),
    )
