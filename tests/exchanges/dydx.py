"""dYdX's indexer, `/v4`, as "Indexer Client, HTTP, Markets" of its documents says.

"Rate limits", Indexer Rate Limits: 100 requests in 10 seconds for each address. A page has at most 1,000 rows (the
indexer's own setting API_LIMIT_V4; the documents name no number). There are no mark candles, no listing dates.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.exchanges import market as truth
from tests.exchanges.market import Contract, Market
from tests.exchanges.quota import Quota
from tests.exchanges.request import Answer, Parameters, Refused, Request
from tests.exchanges.routes import INTERVALS, Routes

RESOLUTIONS = {
    "1MIN": "1m", "5MINS": "5m", "15MINS": "15m", "30MINS": "30m", "1HOUR": "1h", "4HOURS": "4h", "1DAY": "1d",
}  # fmt: skip
PAGE = 1000


def symbol(contract: Contract) -> str:
    return f"{contract.base}-USD"


def iso(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms // 1000, UTC).strftime('%Y-%m-%dT%H:%M:%S')}.{ms % 1000:03d}Z"


class Dydx(Routes):
    """Get Perpetual Markets, Get Candles, Get Historical Funding, Get Time."""

    prefixes = ("/v4/",)

    def __init__(self, market: Market, rates: bool = True) -> None:
        super().__init__(market, rates)
        self.quota = Quota(100, 10)
        self.page = PAGE

    def refusal(self, why: str) -> Refused:
        said = {"errors": [{"type": "field", "msg": why, "location": "query"}]}
        return Refused(why, Answer.json(said, 400))

    def throttled(self, wait_s: float) -> Answer:
        said = {"errors": [{"msg": "Too many requests"}]}
        return Answer.json(said, 429, **{"Retry-After": str(int(wait_s)), "RateLimit-Reset": str(int(wait_s))})

    def answer(self, request: Request) -> Answer:
        p = Parameters(request.parameters, self.refusal)
        match request.path.split("/")[2:]:
            case ["time"] if request.method == "GET":
                return self.time(p)
            case ["perpetualMarkets"] if request.method == "GET":
                return self.markets(p)
            case ["candles", "perpetualMarkets", ticker] if request.method == "GET":
                return self.candles(p, self._contract(ticker))
            case ["historicalFunding", ticker] if request.method == "GET":
                return self.funding(p, self._contract(ticker))
        raise Refused("no such address", self.unknown())

    def _contract(self, ticker: str) -> Contract:
        found = next((c for c in self.market.contracts if symbol(c) == ticker), None)
        if found is None:
            said = {"errors": [{"msg": f"{ticker} not found in markets"}]}
            raise Refused(f"ticker {ticker}", Answer.json(said, 404))
        return found

    def _instant(self, p: Parameters, name: str) -> int | None:
        """An instant in ISO 8601, UTC, where it is given."""
        text = p.text(name)
        if not text:
            return None
        try:
            when = datetime.fromisoformat(text)
            if when.tzinfo is None:
                raise ValueError(text)
        except ValueError:
            raise self.refusal(f"{name} must be a valid ISO 8601 date") from None
        return round(when.timestamp() * 1000)

    def time(self, p: Parameters) -> Answer:
        """Get Time."""
        p.done()
        self.spend(self.quota)
        now = self.market.now_ms()
        return Answer.json({"iso": iso(now), "epoch": now / 1000})

    def markets(self, p: Parameters) -> Answer:
        """Get Perpetual Markets."""
        ticker = p.text("market", {symbol(c) for c in self.market.contracts})
        p.number("limit", 1, PAGE)
        p.done()
        self.spend(self.quota)
        listed = {
            symbol(c): self._listing(c, n) for n, c in enumerate(self.market.contracts) if ticker in ("", symbol(c))
        }
        if not ticker:
            old = self._listing(self.market.contracts[0], 99)
            listed["OLD-USD"] = old | {"ticker": "OLD-USD", "status": "FINAL_SETTLEMENT", "volume24H": "0"}
        return Answer.json({"markets": listed})

    def _listing(self, contract: Contract, number: int) -> dict[str, Any]:
        """PerpetualMarket: one margin fraction each, no leverage tiers."""
        tier = contract.tiers[0]
        price = self.market.last(contract)
        return {
            "clobPairId": str(number), "ticker": symbol(contract), "status": "ACTIVE", "oraclePrice": price,
            "priceChange24H": "0", "volume24H": str(contract.day_volume), "trades24H": 100,
            "nextFundingRate": "0.0000125",
            "initialMarginFraction": f"{1 / tier.leverage:.6g}", "maintenanceMarginFraction": tier.maintenance,
            "openInterest": "500", "atomicResolution": -10, "quantumConversionExponent": -9, "tickSize": contract.tick,
            "stepSize": contract.step, "stepBaseQuantums": 1000000, "subticksPerTick": 100000, "marketType": "CROSS",
            "openInterestLowerCap": "0", "openInterestUpperCap": "0", "baseOpenInterest": "500",
            "defaultFundingRate1H": "0",
        }  # fmt: skip

    def candles(self, p: Parameters, contract: Contract) -> Answer:
        """Get Candles: newest first, `fromISO` included, `toISO` not."""
        resolution = p.text("resolution", RESOLUTIONS, need=True)
        length = INTERVALS[RESOLUTIONS[resolution]]
        since, until = self._instant(p, "fromISO"), self._instant(p, "toISO")
        limit = p.limit("limit", PAGE, self.page)
        p.done()
        self.spend(self.quota)
        until = self.market.now_ms() + 1 if until is None else until
        start = max(since or 0, contract.listed_ms // length * length)
        rows: list[truth.Candle] = []
        while until > start and len(rows) < limit:
            first = max(start, until - limit * length)
            rows = self.market.candles(contract, False, length, first, until) + rows
            until = first
        return Answer.json({"candles": [
            {"startedAt": iso(r.ts), "ticker": symbol(contract), "resolution": resolution, "low": r.low, "high": r.high,
             "open": r.open, "close": r.close, "baseTokenVolume": r.volume, "usdVolume": r.turnover, "trades": r.units,
             "startingOpenInterest": "500", "orderbookMidPriceOpen": r.open, "orderbookMidPriceClose": r.close}
            for r in reversed(rows[-limit:])
        ]})  # fmt: skip

    def funding(self, p: Parameters, contract: Contract) -> Answer:
        """Get Historical Funding: each hour, newest first, `effectiveBeforeOrAt` included; stamped some ms late."""
        before = self._instant(p, "effectiveBeforeOrAt")
        p.number("effectiveBeforeOrAtHeight")
        limit = p.limit("limit", PAGE, self.page)
        p.done()
        self.spend(self.quota)
        end = self.market.now_ms() if before is None else before
        due = self.market.funding(contract.base, end - (limit + 2) * truth.HOUR, end + 1, hours=1)
        rows = [(s, s.ts + truth.late(contract, s.ts)) for s in due]
        rows = [(s, at) for s, at in rows if at <= end][-limit:]
        return Answer.json({"historicalFunding": [
            {"ticker": symbol(contract), "rate": s.rate, "price": "60000", "effectiveAtHeight": str(at // 1000),
             "effectiveAt": iso(at)}
            for s, at in reversed(rows)
        ]})  # fmt: skip
