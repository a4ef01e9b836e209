"""Bybit's V5 market endpoints, `/v5/market`, as the pages under "Market" of its V5 documents say.

"Rate Limit Rules", HTTP IP limit: 600 requests in 5 seconds for each address, then 403 "access too frequent"; error
10006 "Too many visits" is the rate of an endpoint. "Error": 10001 is a wrong parameter. Both come with status 200.
"""

from __future__ import annotations

from typing import Any

from tests.exchanges.market import HOUR, MINUTE, Candle, Contract, Market
from tests.exchanges.quota import Quota
from tests.exchanges.request import Answer, Parameters, Refused
from tests.exchanges.routes import INTERVALS, Routes

LENGTHS = {
    {"1d": "D"}.get(name, str(length // MINUTE)): length for name, length in INTERVALS.items() if name != "8h"
}  # fmt: skip
"""`1` for a minute, `60` for an hour, `D` for a day."""
CATEGORIES = ("spot", "linear", "inverse", "option")
RISK_PAGE = 15
"""Symbols a page of risk limits."""


def symbol(contract: Contract) -> str:
    return f"{contract.base}USDT"


class Bybit(Routes):
    """Get Server Time, Kline, Mark Price Kline, Instruments Info, Tickers, Funding Rate History, Risk Limit."""

    prefixes = ("/v5/",)

    def __init__(self, market: Market, rates: bool = True) -> None:
        super().__init__(market, rates)
        self.quota = Quota(600, 5)
        self.risk_page = RISK_PAGE
        self.routes = {
            "/v5/market/time": self.time,
            "/v5/market/kline": lambda p: self.klines(p, mark=False),
            "/v5/market/mark-price-kline": lambda p: self.klines(p, mark=True),
            "/v5/market/instruments-info": self.instruments,
            "/v5/market/tickers": self.tickers,
            "/v5/market/funding/history": self.funding_history,
            "/v5/market/risk-limit": self.risk_limit,
        }

    def _said(self, result: Any, code: int = 0, said: str = "OK") -> Answer:
        now = self.market.now_ms()
        return Answer.json({"retCode": code, "retMsg": said, "result": result, "retExtInfo": {}, "time": now})

    def refusal(self, why: str) -> Refused:
        return Refused(why, self._said({}, 10001, f"params error: {why}"))

    def throttled(self, wait_s: float) -> Answer:
        return Answer(403, b'{"retCode":10006,"retMsg":"access too frequent"}')

    def _begin(self, p: Parameters, *, spot: bool = False, need: bool = True) -> str:
        self.spend(self.quota)
        return p.text("category", CATEGORIES if spot else CATEGORIES[1:3], need=need, default="linear")

    def _contract(self, p: Parameters, category: str, need: bool = True) -> Contract | None:
        name = p.text("symbol", need=need)
        found = next((c for c in self.market.contracts if symbol(c) == name), None)
        if name and (found is None or category != "linear"):
            raise Refused(f"symbol {name}", self._said({}, 10001, "params error: symbol invalid"))
        return found

    def time(self, p: Parameters) -> Answer:
        """Get Bybit Server Time."""
        p.done()
        self.spend(self.quota)
        now = self.market.now_ms()
        return self._said({"timeSecond": str(now // 1000), "timeNano": str(now * 1_000_000)})

    def klines(self, p: Parameters, *, mark: bool) -> Answer:
        """Get Kline, Get Mark Price Kline: limit 200, at most 1000; newest first, both ends included.

        From `start` on where it is given alone; else the newest ones up to `end`.
        """
        category = self._begin(p, need=False)
        contract = self._contract(p, category)
        assert contract is not None
        length = LENGTHS[p.text("interval", LENGTHS, need=True)]
        start, end = p.number("start"), p.number("end")
        limit = p.limit("limit", 1000, 200)
        p.done()
        if end is not None and start is not None and end < start:
            raise self.refusal("end before start")
        if start is not None and end is None:
            end = start + limit * length - 1
        end = self.market.now_ms() if end is None else end
        since = max(start or 0, end // length * length - (limit + 1) * length)
        rows = self.market.candles(contract, mark, length, since, end + 1)[-limit:]
        listed = [_mark(row) if mark else _kline(row) for row in reversed(rows)]
        return self._said({"symbol": symbol(contract), "category": category, "list": listed})

    def instruments(self, p: Parameters) -> Answer:
        """Get Instruments Info: limit 500, at most 1000, with a cursor; `Trading` only where no status is given."""
        category = self._begin(p, spot=True)
        contract = self._contract(p, category, need=False)
        status = p.text("status", ("PreLaunch", "Trading", "Delivering", "Closed"), default="Trading")
        base = p.text("baseCoin")
        limit = p.limit("limit", 1000, 500)
        cursor = p.text("cursor")
        p.done()
        rows = [_listing(c) for c in self.market.contracts if contract in (None, c) and base in ("", c.base)]
        if category != "linear" or status != "Trading":
            rows = []
        elif contract is None and not base:
            rows.append(rows[0] | {"symbol": "BTCPERP", "quoteCoin": "USDC", "settleCoin": "USDC"})
        first = int(cursor or 0)
        following = str(first + limit) if first + limit < len(rows) else ""
        return self._said({"category": category, "list": rows[first : first + limit], "nextPageCursor": following})

    def tickers(self, p: Parameters) -> Answer:
        """Get Tickers."""
        category = self._begin(p, spot=True)
        contract = self._contract(p, category, need=False)
        p.done()
        rows = [self._ticker(c) for c in reversed(self.market.contracts) if contract in (None, c)]
        return self._said({"category": category, "list": rows if category == "linear" else []})

    def _ticker(self, contract: Contract) -> dict[str, str]:
        price = self.market.last(contract)
        hours = self.market.funding_hours(contract, self.market.now_ms())
        return {
            "symbol": symbol(contract), "lastPrice": price, "indexPrice": price, "markPrice": price,
            "prevPrice24h": price,
            "price24hPcnt": "0", "highPrice24h": price, "lowPrice24h": price, "prevPrice1h": price,
            "openInterest": "1000",
            "openInterestValue": "1000", "turnover24h": str(contract.day_volume),
            "volume24h": str(int(contract.day_volume / float(price))), "fundingRate": "0.0001",
            "nextFundingTime": str((self.market.now_ms() // HOUR // hours + 1) * hours * HOUR),
            "fundingIntervalHour": str(hours), "ask1Price": price, "bid1Price": price, "ask1Size": "1", "bid1Size": "1",
            "deliveryTime": "0", "deliveryFeeRate": "", "basis": "",
        }  # fmt: skip

    def funding_history(self, p: Parameters) -> Answer:
        """Get Funding Rate History: limit 200, at most 200; newest first.

        Only `startTime` is an error; with both, the newest ones up to `endTime` that are not before `startTime`.
        """
        category = self._begin(p)
        contract = self._contract(p, category)
        assert contract is not None
        start, end = p.number("startTime"), p.number("endTime")
        limit = p.limit("limit", 200, 200)
        p.done()
        if end is None and start is not None:
            raise self.refusal("startTime without endTime")
        end = self.market.now_ms() if end is None else end
        due = self.market.funding(contract.base, max(start or 0, end - (limit + 3) * 8 * HOUR), end + 1)[-limit:]
        listed = [
            {"symbol": symbol(contract), "fundingRate": s.rate, "fundingRateTimestamp": str(s.ts)}
            for s in reversed(due)
        ]
        return self._said({"category": category, "list": listed})

    def risk_limit(self, p: Parameters) -> Answer:
        """Get Risk Limit: of one symbol, or 15 symbols a page with a cursor."""
        category = self._begin(p)
        contract = self._contract(p, category, need=False)
        first = int(p.text("cursor", default="0"))
        p.done()
        listed = [c for c in self.market.contracts if contract in (None, c)] if category == "linear" else []
        page = listed[first : first + self.risk_page]
        following = str(first + self.risk_page) if first + self.risk_page < len(listed) else ""
        rows = [
            {"id": n, "symbol": symbol(c), "riskLimitValue": str(tier.notional), "maintenanceMargin": tier.maintenance,
             "initialMargin": f"{1 / tier.leverage:.6g}", "isLowestRisk": int(n == 1),
             "maxLeverage": f"{tier.leverage}.00", "mmDeduction": ""}
            for c in page for n, tier in enumerate(c.tiers, 1)
        ]  # fmt: skip
        return self._said({"category": category, "list": rows, "nextPageCursor": following})


def _kline(row: Candle) -> list[str]:
    return [str(row.ts), row.open, row.high, row.low, row.close, row.volume, row.turnover]


def _mark(row: Candle) -> list[str]:
    return [str(row.ts), row.open, row.high, row.low, row.close]


def _listing(contract: Contract) -> dict[str, Any]:
    return {
        "symbol": symbol(contract), "symbolId": 5, "contractType": "LinearPerpetual", "status": "Trading",
        "baseCoin": contract.base, "quoteCoin": "USDT", "launchTime": str(contract.listed_ms), "deliveryTime": "0",
        "deliveryFeeRate": "", "priceScale": str(contract.places),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": f"{contract.tiers[0].leverage}.00",
        "leverageStep": "0.01"},
        "priceFilter": {"minPrice": contract.tick, "maxPrice": "1999999.80", "tickSize": contract.tick},
        "lotSizeFilter": {
            "maxOrderQty": "1190.000", "minOrderQty": contract.step, "qtyStep": contract.step,
            "postOnlyMaxOrderQty": "1190.000", "maxMktOrderQty": "500.000", "minNotionalValue": contract.least,
        },
        "unifiedMarginTrade": True, "fundingInterval": contract.recent_hours * 60, "settleCoin": "USDT",
        "copyTrading": "both", "upperFundingRate": "0.00375", "lowerFundingRate": "-0.00375", "isPreListing": False,
        "preListingInfo": None, "riskParameters": {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02"},
        "symbolType": "",
    }  # fmt: skip
