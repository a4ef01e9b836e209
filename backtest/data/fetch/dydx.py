"""dYdX v4 perpetuals, through the venue's own indexer.

Source: docs.dydx.xyz, Indexer client, HTTP (perpetualMarkets, candles with fromISO and toISO, historicalFunding with
effectiveBeforeOrAt): pages have the latest rows of what is asked for, 1,000 at most (100 at older indexers). It serves
no candles of the mark; the venue mark is its oracle price.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

import polars as pl

from backtest.core.durations import parse as length_ms
from backtest.core.times import HOUR_MS, moment
from backtest.data.fetch.exchange import Exchange, around, first_day
from backtest.data.fetch.market import MarginTable, Market, number, product
from backtest.data.fetch.pages import backward, windows
from backtest.data.fetch.rows import Span, frame, nothing

_CANDLES = 1_000


class Dydx(Exchange):
    """Perpetuals of the chain, margined in USDC."""

    name, title, ccxt_id = "dydx", "dYdX", "dydx"
    preset = "dydx_v4"
    quotes = ("USDC",)
    funding_interval_ms = HOUR_MS
    spellings: ClassVar[dict[str, str]] = {
        "1m": "1MIN", "5m": "5MINS", "15m": "15MINS", "30m": "30MINS", "1h": "1HOUR", "4h": "4HOURS", "1d": "1DAY",
    }  # fmt: skip
    unserved: ClassVar[dict[str, str]] = {"mark": "dYdX serves no candles of the mark, which is its oracle price"}

    def markets(self) -> list[Market]:
        """Return `perpetualMarkets`."""
        return [_market(one) for one in self._markets().values()]

    def volumes(self) -> dict[str, float]:
        """Return `volume24H` of `perpetualMarkets`."""
        return {name: number(one.get("volume24H")) for name, one in self._markets().items()}

    def candles(self, market: Market, interval: str, span: Span) -> list[pl.DataFrame]:
        """Return candles of trades."""
        page = partial(self._candles, market, interval)
        return [one for window in windows(span, _CANDLES * length_ms(interval)) for one in backward(page, window)]

    def marks(self, market: Market, interval: str, span: Span) -> list[pl.DataFrame]:  # noqa: ARG002  not served
        """Return nothing: there are none."""
        return [nothing("mark")]

    def funding(self, market: Market, span: Span) -> list[pl.DataFrame]:
        """Return settlements of `historicalFunding`."""
        return list(backward(partial(self._settlements, market), around(span)))

    def listed_ms(self, market: Market) -> int:
        """Return the open of the first daily candle: the venue does not tell the day of listing."""
        return first_day(partial(self._candles, market, "1d"), self.now_ms)

    def _markets(self) -> dict[str, Any]:
        listed: dict[str, Any] = self.client.call("indexerGetPerpetualMarkets", {})["markets"]
        return listed

    def _candles(self, market: Market, interval: str, span: Span) -> pl.DataFrame:
        wanted = {"market": market.name, "resolution": self.spellings[interval]}
        bounds = {"fromISO": _iso(span.start_ms), "toISO": _iso(span.end_ms)}
        rows = self.client.call("indexerGetCandlesPerpetualMarketsMarket", wanted | bounds)["candles"]
        keys = ("open", "high", "low", "close", "baseTokenVolume")
        return frame("candles", ((moment(row["startedAt"]), *(row[key] for key in keys)) for row in rows), "candles")

    def _settlements(self, market: Market, span: Span) -> pl.DataFrame:
        wanted = {"market": market.name, "effectiveBeforeOrAt": _iso(span.end_ms - 1)}
        rows = self.client.call("indexerGetHistoricalFundingMarket", wanted)["historicalFunding"]
        told = ((moment(row["effectiveAt"]), row["rate"]) for row in rows)
        return frame("funding", told, "historicalFunding")


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _market(one: dict[str, Any]) -> Market:
    initial, maintenance = product(one["initialMarginFraction"]), product(one["maintenanceMarginFraction"])
    return Market(
        name=str(one["ticker"]),
        base=str(one["ticker"]).rpartition("-")[0],
        quote="USDC",  # the name says USD, accounts hold USDC
        active=one.get("status") == "ACTIVE",
        step=product(one["stepSize"]),
        tick=product(one["tickSize"]),
        margin=_margin(initial, maintenance) if initial and maintenance else None,
    )


def _margin(initial: str, maintenance: str) -> MarginTable:
    """The base rates: what open interest adds to them is no input of a run."""
    share = f"{number(maintenance) / number(initial):.6f}".rstrip("0").rstrip(".")
    return MarginTable("ceil", rates=(("initial", initial), ("maintenance_share", share)))
