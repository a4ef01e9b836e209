"""Binance USDⓈ-M futures, `/fapi/v1`, as developers.binance.com documents it.

"General Info", sections LIMITS and Error Codes: 2,400 weight a minute for each address, `X-MBX-USED-WEIGHT-1M`, 429
with `Retry-After` above it; errors are `{"code": …, "msg": …}`.
"""

from __future__ import annotations

from typing import Any

from tests.exchanges import market as truth
from tests.exchanges.market import Contract, Market
from tests.exchanges.quota import Quota
from tests.exchanges.request import Answer, Parameters, Refused
from tests.exchanges.routes import INTERVALS, Routes


def symbol(contract: Contract) -> str:
    return f"{contract.base}USDT"


class Binance(Routes):
    """The public REST endpoints of "Market Data Endpoints"."""

    prefixes = ("/fapi/", "/dapi/", "/api/v3/", "/sapi/")

    def __init__(self, market: Market, rates: bool = True) -> None:
        super().__init__(market, rates)
        self.weight, self.funding_weight = Quota(2400, 60), Quota(500, 300)
        self.routes = {
            "/fapi/v1/ping": self.ping,
            "/fapi/v1/time": self.time,
            "/fapi/v1/exchangeInfo": self.exchange_info,
            "/fapi/v1/klines": lambda p: self.klines(p, mark=False),
            "/fapi/v1/markPriceKlines": lambda p: self.klines(p, mark=True),
            "/fapi/v1/fundingRate": self.funding_rate,
            "/fapi/v1/fundingInfo": self.funding_info,
            "/fapi/v1/ticker/24hr": self.ticker,
            "/fapi/v1/leverageBracket": self.leverage_bracket,
            "/api/v3/exchangeInfo": self.nothing,
            "/dapi/v1/exchangeInfo": self.nothing,
        }

    def refusal(self, why: str) -> Refused:
        """Error Codes, 11xx Request issues: -1102 mandatory parameter, -1130 invalid data."""
        code = -1102 if "missing" in why else -1101 if "undocumented" in why else -1130
        return Refused(why, Answer.json({"code": code, "msg": why}, 400))

    def throttled(self, wait_s: float) -> Answer:
        """General Info, LIMITS: -1003 TOO_MANY_REQUESTS."""
        said = {"code": -1003, "msg": "Too many requests; current limit of IP is 2400 requests per minute."}
        return Answer.json(said, 429, **{"Retry-After": str(int(wait_s))})

    def ping(self, p: Parameters) -> Answer:
        """Test Connectivity: weight 1."""
        p.done()
        self.spend(self.weight)
        return Answer.json({})

    def time(self, p: Parameters) -> Answer:
        """Check Server Time: weight 1."""
        p.done()
        self.spend(self.weight)
        return Answer.json({"serverTime": self.market.now_ms()})

    def nothing(self, p: Parameters) -> Answer:
        """Exchange Information of spot and COIN-M, which ccxt loads as well: none of it is ours."""
        p.done()
        return Answer.json({"timezone": "UTC", "serverTime": self.market.now_ms(), "rateLimits": [], "symbols": []})

    def exchange_info(self, p: Parameters) -> Answer:
        """Exchange Information: weight 1; a perpetual in USDC and a quarterly contract beside ours."""
        p.done()
        self.spend(self.weight)
        rows = [_listing(contract) for contract in self.market.contracts]
        bitcoin = rows[0]
        rows.append(bitcoin | {"symbol": "BTCUSDC", "pair": "BTCUSDC", "quoteAsset": "USDC", "marginAsset": "USDC"})
        rows.append(
            bitcoin | {"symbol": "BTCUSDT_270326", "contractType": "CURRENT_QUARTER", "deliveryDate": 1806048000000}
        )
        rows.append(bitcoin | {
            "symbol": "OLDUSDT", "pair": "OLDUSDT", "baseAsset": "OLD", "status": "SETTLING",
            "deliveryDate": truth.ms("2024-03-01"),
        })  # fmt: skip
        return Answer.json({
            "timezone": "UTC", "serverTime": self.market.now_ms(), "futuresType": "U_MARGINED", "exchangeFilters": [],
            "rateLimits": [
                {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400},
                {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
            ],
            "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}], "symbols": rows,
        })  # fmt: skip

    def _contract(self, p: Parameters, need: bool = True) -> Contract | None:
        name = p.text("symbol", need=need)
        found = next((c for c in self.market.contracts if symbol(c) == name), None)
        if name and found is None:
            raise Refused(f"symbol {name}", Answer.json({"code": -1121, "msg": "Invalid symbol."}, 400))
        return found

    def klines(self, p: Parameters, *, mark: bool) -> Answer:
        """Kline/Candlestick Data, Mark Price Kline/Candlestick Data: limit 500, at most 1500; weight by limit.

        Ascending from startTime, both ends included; the most recent ones without startTime.
        """
        contract = self._contract(p)
        assert contract is not None
        interval = INTERVALS[p.text("interval", INTERVALS, need=True)]
        start, end = p.number("startTime"), p.number("endTime", default=self.market.now_ms())
        limit = p.limit("limit", 1500, 500)
        p.done()
        assert end is not None
        self.spend(self.weight, 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10)
        if start is None:
            rows = self.market.candles(contract, mark, interval, end - (limit + 1) * interval, end + 1)[-limit:]
        else:  # from the start on, across a halt
            rows, at = [], start
            while len(rows) < limit and at <= min(end, self.market.now_ms()):
                upto = min(end + 1, at + limit * interval)
                rows += self.market.candles(contract, mark, interval, max(at, contract.listed_ms - interval), upto)
                at = max(upto, contract.listed_ms // interval * interval)
            rows = rows[:limit]
        return Answer.json([kline(row, interval, mark) for row in rows])

    def funding_rate(self, p: Parameters) -> Answer:
        """Get Funding Rate History: 500 requests in 5 minutes, with fundingInfo; limit 100, at most 1000; ascending.

        The response example has whole hours; in fact `fundingTime` is some milliseconds late.
        """
        contract = self._contract(p)
        assert contract is not None
        start, end = p.number("startTime"), p.number("endTime", default=self.market.now_ms())
        limit = p.limit("limit", 1000, 100)
        p.done()
        assert end is not None
        self.spend(self.funding_weight)
        since = end - (limit + 3) * 8 * truth.HOUR if start is None else start - 1000
        due = self.market.funding(contract.base, since, end + 1)
        stamped = [(s, s.ts + truth.late(contract, s.ts)) for s in due]
        stamped = [(s, at) for s, at in stamped if (start or 0) <= at <= end]
        stamped = stamped[-limit:] if start is None else stamped[:limit]
        price = self.market.last(contract)
        return Answer.json([
            {"symbol": symbol(contract), "fundingRate": s.rate, "fundingTime": at, "markPrice": price}
            for s, at in stamped
        ])  # fmt: skip

    def funding_info(self, p: Parameters) -> Answer:
        """Get Funding Rate Info: only symbols whose cap, floor or interval was adjusted."""
        p.done()
        self.spend(self.funding_weight)
        return Answer.json([
            {"symbol": symbol(c), "adjustedFundingRateCap": "0.02500000", "adjustedFundingRateFloor": "-0.02500000",
             "fundingIntervalHours": c.recent_hours, "disclaimer": False}
            for c in self.market.contracts if c.recent_hours != 8
        ])  # fmt: skip

    def ticker(self, p: Parameters) -> Answer:
        """24hr Ticker Price Change Statistics: weight 1 for one symbol, 40 for all."""
        contract = self._contract(p, need=False)
        p.done()
        self.spend(self.weight, 1 if contract else 40)
        if contract:
            return Answer.json(self._ticker(contract))
        return Answer.json([self._ticker(c) for c in reversed(self.market.contracts)])

    def _ticker(self, contract: Contract) -> dict[str, Any]:
        price = self.market.last(contract)
        now = self.market.now_ms()
        return {
            "symbol": symbol(contract), "priceChange": "0", "priceChangePercent": "0", "weightedAvgPrice": price,
            "lastPrice": price, "lastQty": contract.step, "openPrice": price, "highPrice": price, "lowPrice": price,
            "volume": str(int(contract.day_volume / float(price))), "quoteVolume": str(contract.day_volume),
            "openTime": now - truth.DAY, "closeTime": now, "firstId": 1, "lastId": 2, "count": 2,
        }  # fmt: skip

    def leverage_bracket(self, p: Parameters) -> Answer:
        """Notional and Leverage Brackets (USER_DATA) needs a key, and a public client has none: -2014."""
        raise Refused("needs an API key", Answer.json({"code": -2014, "msg": "API-key format invalid."}, 401))


def kline(row: truth.Candle, interval: int, mark: bool) -> list[Any]:
    """The twelve columns of a kline; those of a mark price but its prices are to be ignored."""
    tail: list[Any] = ["0", row.ts + interval - 1, "0", 60, "0", "0", "0"]
    if not mark:
        tail = [row.volume, row.ts + interval - 1, row.turnover, row.units, row.volume, row.turnover, "0"]
    return [row.ts, row.open, row.high, row.low, row.close, *tail]


def _listing(contract: Contract) -> dict[str, Any]:
    """A row of Exchange Information, with the filters of "Filters"."""
    return {
        "symbol": symbol(contract), "pair": symbol(contract), "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": contract.listed_ms, "status": "TRADING", "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000", "baseAsset": contract.base, "quoteAsset": "USDT", "marginAsset": "USDT",
        "pricePrecision": contract.places, "quantityPrecision": contract.lot_places, "baseAssetPrecision": 8,
        "quotePrecision": 8, "underlyingType": "COIN", "underlyingSubType": ["PoW"], "triggerProtect": "0.0500",
        "liquidationFee": "0.012500", "marketTakeBound": "0.05",
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": contract.tick, "maxPrice": "4529764", "tickSize": contract.tick},
            {"filterType": "LOT_SIZE", "minQty": contract.step, "maxQty": "1000000", "stepSize": contract.step},
            {"filterType": "MARKET_LOT_SIZE", "minQty": contract.step, "maxQty": "120000", "stepSize": contract.step},
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MIN_NOTIONAL", "notional": contract.least},
            {"filterType": "PERCENT_PRICE", "multiplierUp": "1.0500", "multiplierDown": "0.9500",
             "multiplierDecimal": "4"},
        ],
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET"], "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }  # fmt: skip
