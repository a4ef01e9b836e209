"""Gate USDT perpetuals. Source: www.gate.com/docs/developers/apiv4/en, Futures (contracts, tickers, candlesticks,
funding_rate, risk_limit_tiers): times in seconds, at most 2,000 candles a request and the latest 10,000 in all; `mark_`
before the name asks for the mark; volume is in contracts of `quanto_multiplier` base units."""

from __future__ import annotations

import threading
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar

import polars as pl

from backtest.core.durations import parse as length_ms
from backtest.data.fetch.connection import Connection
from backtest.data.fetch.exchange import Exchange, around
from backtest.data.fetch.failures import VenueError
from backtest.data.fetch.market import MarginTable, Market, milliseconds, number, product, tier
from backtest.data.fetch.pages import forward, windows
from backtest.data.fetch.rows import Span, frame, nothing

_CANDLES = 1_999
_SETTLEMENTS = 1_000
_DAYS_30_MS = 30 * 86_400_000
"""Fewer than 1,000 settlements, were they hourly."""
_USDT: dict[str, object] = {"settle": "usdt"}
_TOO_OLD = "too long ago"
"""In the venue's words: ``Candlestick too long ago. Maximum 10000 points recently are allowed``."""


class Gate(Exchange):
    """Perpetuals that settle in USDT."""

    name, title, ccxt_id = "gate", "Gate", "gate"
    quotes = ("USDT",)
    spellings: ClassVar[dict[str, str]] = {one: one for one in ("1m", "5m", "15m", "30m", "1h", "4h", "8h", "1d")}
    limits: ClassVar[dict[str, str]] = {
        "candles": "Gate serves the latest 10,000 candles",
        "mark": "Gate serves the latest 10,000 candles of the mark",
    }

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._lock = threading.Lock()
        self._refused_ms: dict[tuple[str, str], int] = {}
        """Starts that were too old, by series and market: what lies before them need not be asked for."""

    def markets(self) -> list[Market]:
        """Return `contracts`."""
        return [_market(one) for one in self.client.call("publicFuturesGetSettleContracts", _USDT)]

    def volumes(self) -> dict[str, float]:
        """Return `volume_24h_quote` of `tickers`."""
        told = self.client.call("publicFuturesGetSettleTickers", _USDT)
        return {str(one["contract"]): number(one.get("volume_24h_quote")) for one in told}

    def candles(self, market: Market, interval: str, span: Span) -> list[pl.DataFrame]:
        """Return candles of `candlesticks`."""
        return self._read("candles", market, interval, span)

    def marks(self, market: Market, interval: str, span: Span) -> list[pl.DataFrame]:
        """Return candles of `candlesticks` of the mark."""
        return self._read("mark", market, interval, span)

    def funding(self, market: Market, span: Span) -> list[pl.DataFrame]:
        """Return settlements of `funding_rate`."""
        page = partial(self._settlements, market)
        return [page(window) for window in windows(around(span), _DAYS_30_MS)]

    def margin(self, market: Market) -> MarginTable | None:
        """Return the steps of `risk_limit_tiers`."""
        steps = self.client.call("publicFuturesGetSettleRiskLimitTiers", _USDT | {"contract": market.name})
        steps = sorted(steps, key=lambda one: number(one["risk_limit"]))
        rows = (tier(one["risk_limit"], one["leverage_max"], one["maintenance_rate"]) for one in steps)
        return MarginTable("tiers", tiers=tuple(rows))

    def _read(self, series: str, market: Market, interval: str, span: Span) -> list[pl.DataFrame]:
        found: list[pl.DataFrame] = []
        step = length_ms(interval)
        page = partial(self._candles, series, market, interval)
        for window in windows(span, _CANDLES * step):
            if window.start_ms <= self._refused_ms.get((series, market.name), -1):
                break
            try:
                found += forward(page, window, step)
            except VenueError as error:
                if _TOO_OLD not in str(error):
                    raise
                self._refuse(series, market, window)
                found += self._rest(series, market, interval, window)
                break
        return found

    def _rest(self, series: str, market: Market, interval: str, window: Span) -> list[pl.DataFrame]:
        """Return what is served of a window whose start is too old: the start is moved up by halves."""
        step = length_ms(interval)
        span = Span(window.start_ms + (window.end_ms - window.start_ms) // step // 2 * step, window.end_ms)
        if span.start_ms <= window.start_ms or span.empty:
            return []
        try:
            later = list(forward(partial(self._candles, series, market, interval), span, step))
        except VenueError as error:
            if _TOO_OLD not in str(error):
                raise
            self._refuse(series, market, span)
            return self._rest(series, market, interval, span)
        return later + self._rest(series, market, interval, Span(window.start_ms, span.start_ms))

    def _refuse(self, series: str, market: Market, window: Span) -> None:
        with self._lock:
            known = self._refused_ms.get((series, market.name), -1)
            self._refused_ms[series, market.name] = max(known, window.start_ms)

    def _candles(self, series: str, market: Market, interval: str, span: Span) -> pl.DataFrame:
        if span.empty:
            return nothing(series)
        contract = market.name if series == "candles" else f"mark_{market.name}"
        bounds = {"from": span.start_ms // 1000, "to": (span.end_ms - 1) // 1000}
        wanted = {"contract": contract, "interval": self.spellings[interval]}
        rows = self.client.call("publicFuturesGetSettleCandlesticks", _USDT | wanted | bounds)
        prices = ("o", "h", "l", "c")
        if series == "mark":
            told = ((_ms(row), *(row[key] for key in prices)) for row in rows)
        else:
            size = Decimal(market.contract)  # exact: a product of doubles would not be the venue's own number
            told = ((_ms(row), *(row[key] for key in prices), Decimal(str(row["v"])) * size) for row in rows)
        return frame(series, told, "candlesticks")

    def _settlements(self, market: Market, span: Span) -> pl.DataFrame:
        bounds = {"from": span.start_ms // 1000, "to": (span.end_ms - 1) // 1000, "limit": _SETTLEMENTS}
        rows = self.client.call("publicFuturesGetSettleFundingRate", _USDT | {"contract": market.name} | bounds)
        return frame("funding", ((_ms(row), row["r"]) for row in rows), "funding_rate")


def _ms(row: dict[str, Any]) -> int:
    return milliseconds(row["t"], 1000)


def _market(one: dict[str, Any]) -> Market:
    base, _, quote = str(one["name"]).rpartition("_")
    contract = product(one["quanto_multiplier"])
    return Market(
        name=str(one["name"]),
        base=base,
        quote=quote,
        active=not one.get("in_delisting", False),
        step=contract,
        tick=product(one["order_price_round"]),
        listed_ms=milliseconds(one.get("launch_time") or one.get("create_time"), 1000),
        contract=contract or "1",
    )
