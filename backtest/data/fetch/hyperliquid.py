"""Hyperliquid perpetuals, through the venue's own `POST /info`.

Source: hyperliquid.gitbook.io, For developers, API, Info endpoint (metaAndAssetCtxs, candleSnapshot: the latest 5,000
candles; fundingHistory: 500 rows, the oldest first), Tick and lot size (prices have at most 6 − szDecimals decimals),
Margin tiers (maintenance is half of the initial margin at the largest leverage). It serves no candles of the mark.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import polars as pl

from backtest.core.durations import parse as length_ms
from backtest.core.times import HOUR_MS
from backtest.data.fetch.exchange import Exchange, around
from backtest.data.fetch.market import MarginTable, Market, number, product
from backtest.data.fetch.pages import forward, windows
from backtest.data.fetch.rows import Span, frame, nothing

_CANDLES = 5_000
_PRICE_DECIMALS = 6
_LEAST_ORDER = "10"
"""USDC, of an order: the error MinTradeNtl of the venue's documentation."""


class Hyperliquid(Exchange):
    """Perpetuals of the main exchange, margined in USDC."""

    name, title, ccxt_id = "hyperliquid", "Hyperliquid", "hyperliquid"
    preset = "hyperliquid"
    quotes = ("USDC",)
    funding_interval_ms = HOUR_MS
    spellings: ClassVar[dict[str, str]] = {
        one: one for one in ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "12h", "1d")
    }
    unserved: ClassVar[dict[str, str]] = {"mark": "Hyperliquid serves no candles of the mark"}
    limits: ClassVar[dict[str, str]] = {"candles": "Hyperliquid serves the latest 5,000 candles"}

    def markets(self) -> list[Market]:
        """Return the universe of `metaAndAssetCtxs`."""
        meta, _ = self._info({"type": "metaAndAssetCtxs"})
        tables = {int(number): table for number, table in meta.get("marginTables", ())}
        return [_market(one, tables) for one in meta["universe"]]

    def volumes(self) -> dict[str, float]:
        """Return `dayNtlVlm` of `metaAndAssetCtxs`."""
        meta, told = self._info({"type": "metaAndAssetCtxs"})
        pairs = zip(meta["universe"], told, strict=True)
        return {str(one["name"]): number(context.get("dayNtlVlm")) for one, context in pairs}

    def candles(self, market: Market, interval: str, span: Span) -> list[pl.DataFrame]:
        """Return candles of `candleSnapshot`."""
        step = length_ms(interval)
        page = partial(self._candles, market, interval)
        return [one for window in windows(span, _CANDLES * step) for one in forward(page, window, step)]

    def marks(self, market: Market, interval: str, span: Span) -> list[pl.DataFrame]:  # noqa: ARG002  not served
        """Return nothing: there are none."""
        return [nothing("mark")]

    def funding(self, market: Market, span: Span) -> list[pl.DataFrame]:
        """Return settlements of `fundingHistory`."""
        return list(forward(partial(self._settlements, market), around(span)))

    def listed_ms(self, market: Market) -> int:
        """Return the open of the first daily candle: the venue does not tell the day of listing."""
        first = self._candles(market, "1d", Span(0, self.now_ms))
        return int(first["ts"][0]) if 0 < len(first) < _CANDLES else 0

    def _info(self, question: dict[str, object]) -> Any:
        return self.client.call("publicPostInfo", question)

    def _candles(self, market: Market, interval: str, span: Span) -> pl.DataFrame:
        wanted = {"coin": market.name, "interval": interval, "startTime": span.start_ms, "endTime": span.end_ms - 1}
        rows = self._info({"type": "candleSnapshot", "req": wanted})
        return frame(
            "candles", ([row[key] for key in ("t", "o", "h", "l", "c", "v")] for row in rows), "candleSnapshot"
        )

    def _settlements(self, market: Market, span: Span) -> pl.DataFrame:
        wanted = {"type": "fundingHistory", "coin": market.name}
        rows = self._info({**wanted, "startTime": span.start_ms, "endTime": span.end_ms - 1})
        return frame("funding", ((row["time"], row["fundingRate"]) for row in rows), "fundingHistory")


def _market(one: dict[str, Any], tables: dict[int, Any]) -> Market:
    decimals = int(one["szDecimals"])
    return Market(
        name=str(one["name"]),
        base=str(one["name"]),
        quote="USDC",
        active=not one.get("isDelisted", False),
        step=product(f"1e-{decimals}"),
        tick=product(f"1e-{max(0, _PRICE_DECIMALS - decimals)}"),
        min_notional=_LEAST_ORDER,
        margin=_margin(one, tables.get(int(one.get("marginTableId", 0)))),
    )


def _margin(one: dict[str, Any], table: dict[str, Any] | None) -> MarginTable:
    """The tiers of a market; one without a table has a single one. A tier ends where the next begins."""
    steps = table["marginTiers"] if table else [{"lowerBound": "0", "maxLeverage": one["maxLeverage"]}]
    edges = [*(product(step["lowerBound"]) for step in steps[1:]), ""]
    rows = (
        ((("upto", edge),) if edge else ()) + (("max_leverage", product(step["maxLeverage"])),)
        for step, edge in zip(steps, edges, strict=True)
    )
    return MarginTable("max_leverage", tiers=tuple(rows))
