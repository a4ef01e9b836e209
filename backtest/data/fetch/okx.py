"""OKX linear swaps. Source: www.okx.com/docs-v5/en, Public Data and Market Data (instruments, tickers, candles,
history-candles, mark-price-candles, funding-rate-history, position-tiers): pages are sorted in reverse by time, `after`
asks for what is older and `before` for what is newer than a stamp; 300 candles, 100 of the mark, 100 settlements.
Funding goes back three months."""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property, partial
from typing import Any, ClassVar

import polars as pl

from backtest.core.durations import parse as length_ms
from backtest.data.fetch.exchange import Exchange, around
from backtest.data.fetch.market import MarginTable, Market, milliseconds, number, product, tier
from backtest.data.fetch.pages import backward, windows
from backtest.data.fetch.rows import Span, frame

_ROWS = {"candles": 300, "mark": 100}
_SETTLEMENTS = 100
_RECENT = 1_400
"""Candles for which the venue asks to use its endpoint of the latest ones, which holds 1,440."""
_SWAPS = {"instType": "SWAP"}


class Okx(Exchange):
    """Swaps that settle in their quote."""

    name, title, ccxt_id = "okx", "OKX", "okx"
    preset = "okx_swap"
    quotes = ("USDT", "USDC", "USD")
    spellings: ClassVar[dict[str, str]] = {
        "1m": "1m", "3m": "3m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1H",
        "2h": "2H", "4h": "4H", "6h": "6Hutc", "12h": "12Hutc", "1d": "1Dutc",
    }  # fmt: skip
    limits: ClassVar[dict[str, str]] = {"funding": "OKX serves about three months of funding"}

    def markets(self) -> list[Market]:
        """Return the linear swaps of `instruments`."""
        listed = self.client.call("publicGetPublicInstruments", _SWAPS)["data"]
        return [_market(one) for one in listed if one.get("ctType") == "linear" and one.get("uly")]

    def volumes(self) -> dict[str, float]:
        """Return the base volume of `tickers`, times the last price."""
        return {str(one["instId"]): number(one["volCcy24h"]) * number(one["last"]) for one in self._tickers}

    def margin(self, market: Market) -> MarginTable | None:
        """Return `position-tiers` of cross margin. Sizes are contracts there, and notionals at the last price here."""
        wanted = _SWAPS | {"tdMode": "cross", "instFamily": market.name.removesuffix("-SWAP")}
        steps = sorted(self.client.call("publicGetPublicPositionTiers", wanted)["data"], key=_number_of)
        last = next((product(one["last"]) for one in self._tickers if one["instId"] == market.name), "")
        value = product(market.contract, last)
        if not value:
            return None
        rows = (tier(int(Decimal(one["maxSz"]) * Decimal(value)), one["maxLever"], one["mmr"]) for one in steps)
        return MarginTable("tiers", tiers=tuple(rows))

    @cached_property
    def _tickers(self) -> list[dict[str, Any]]:
        """All swaps' tickers, as they are when they are first asked for."""
        return list(self.client.call("publicGetMarketTickers", _SWAPS)["data"])

    def candles(self, market: Market, interval: str, span: Span) -> list[pl.DataFrame]:
        """Return candles of `history-candles`, the latest of `candles`."""
        return self._read("candles", market, interval, span)

    def marks(self, market: Market, interval: str, span: Span) -> list[pl.DataFrame]:
        """Return candles of `history-mark-price-candles`, the latest of `mark-price-candles`."""
        return self._read("mark", market, interval, span)

    def funding(self, market: Market, span: Span) -> list[pl.DataFrame]:
        """Return settlements of `funding-rate-history`, at the rate that was settled."""
        return list(backward(partial(self._settlements, market), around(span)))

    def _read(self, series: str, market: Market, interval: str, span: Span) -> list[pl.DataFrame]:
        page = partial(self._candles, series, market, interval)
        return [one for window in windows(span, _ROWS[series] * length_ms(interval)) for one in backward(page, window)]

    def _candles(self, series: str, market: Market, interval: str, span: Span) -> pl.DataFrame:
        recent = span.start_ms >= self.now_ms - _RECENT * length_ms(interval)
        kind = "Candles" if series == "candles" else "MarkPriceCandles"
        endpoint = f"publicGetMarket{'' if recent else 'History'}{kind}"
        wanted = {"instId": market.name, "bar": self.spellings[interval], "limit": _ROWS[series]}
        rows = self.client.call(endpoint, wanted | {"after": span.end_ms, "before": span.start_ms - 1})["data"]
        over = (row for row in rows if str(row[-1]) != "0")  # the last column: whether the candle is over
        if series == "mark":
            return frame(series, (row[:5] for row in over), endpoint)
        return frame(series, ((*row[:5], row[6]) for row in over), endpoint)  # 5 is in contracts, 6 in base units

    def _settlements(self, market: Market, span: Span) -> pl.DataFrame:
        wanted = {"instId": market.name, "limit": _SETTLEMENTS, "after": span.end_ms}
        rows = self.client.call("publicGetPublicFundingRateHistory", wanted)["data"]
        told = ((row["fundingTime"], row.get("realizedRate") or row["fundingRate"]) for row in rows)
        return frame("funding", told, "funding-rate-history")


def _number_of(step: dict[str, Any]) -> int:
    return int(step["tier"])


def _market(one: dict[str, Any]) -> Market:
    base, _, quote = str(one["uly"]).partition("-")
    contract = product(one["ctVal"], one.get("ctMult") or "1")
    return Market(
        name=str(one["instId"]),
        base=base,
        quote=str(one.get("settleCcy") or quote),
        active=one.get("state") == "live",
        step=product(one["lotSz"], contract),
        tick=product(one["tickSz"]),
        listed_ms=milliseconds(one.get("listTime")),
        contract=contract or "1",
    )
