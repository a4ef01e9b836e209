"""Bitget's V2 API, `/api/v2/mix/market`, as "Futures, Market" and "Futures, Position" of its documents say.

Each page states its own rate: 20 requests a second for each address, 10 for position tiers; above it status 429.
Errors are `{"code": …, "msg": …}`: 400172 for a wrong parameter, 40034 for an unknown symbol.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tests.exchanges.market import DAY, HOUR, MINUTE, Candle, Contract, Market
from tests.exchanges.quota import Quota
from tests.exchanges.request import Answer, Parameters, Refused
from tests.exchanges.routes import INTERVALS, Routes

GRANULARITIES = {
    **{name.replace("h", "H"): INTERVALS[name] for name in ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h")},
    "6Hutc": INTERVALS["6h"], "12Hutc": INTERVALS["12h"], "1Dutc": INTERVALS["1d"],
}  # fmt: skip
"""Those that open at whole multiples of UTC."""
PRODUCTS = ("USDT-FUTURES", "COIN-FUTURES", "USDC-FUTURES", "SUSDT-FUTURES", "SCOIN-FUTURES", "SUSDC-FUTURES")
RECENT_DAYS = {
    MINUTE: 30,
    3 * MINUTE: 30,
    5 * MINUTE: 30,
    15 * MINUTE: 52,
    30 * MINUTE: 62,
    HOUR: 83,
    2 * HOUR: 120,
    4 * HOUR: 240,
}
"""How far back /candles goes."""
SPAN = 90 * DAY


def symbol(contract: Contract) -> str:
    return f"{contract.base}USDT"


class Bitget(Routes):
    """Contract config, tickers, candles and their histories, funding rates, position tiers."""

    prefixes = ("/api/v2/",)

    def __init__(self, market: Market, rates: bool = True) -> None:
        super().__init__(market, rates)
        self.quotas: dict[str, Quota] = defaultdict(lambda: Quota(20, 1), tiers=Quota(10, 1))
        root = "/api/v2/mix/market"
        self.routes = {
            "/api/v2/public/time": self.time,
            f"{root}/contracts": self.contracts,
            f"{root}/tickers": self.tickers,
            f"{root}/candles": self.recent,
            f"{root}/history-candles": lambda p: self.history(p, mark=False),
            f"{root}/history-mark-candles": lambda p: self.history(p, mark=True),
            f"{root}/history-fund-rate": self.funding,
            f"{root}/query-position-lever": self.position_tiers,
            "/api/v2/spot/public/coins": self.nothing,
            "/api/v2/spot/public/symbols": self.nothing,
            "/api/v2/margin/currencies": self.nothing,
        }

    def _said(self, data: Any, code: str = "00000", said: str = "success", status: int = 200) -> Answer:
        return Answer.json({"code": code, "msg": said, "requestTime": self.market.now_ms(), "data": data}, status)

    def refusal(self, why: str) -> Refused:
        return Refused(why, self._said(None, "400172", f"Parameter verification failed: {why}", 400))

    def throttled(self, wait_s: float) -> Answer:
        return self._said(None, "429", "Too Many Requests", 429)

    def _ours(self, p: Parameters) -> bool:
        """Whether the product type, in either case, is the one that our market is of."""
        product = p.text("productType", {*PRODUCTS, *(name.lower() for name in PRODUCTS)}, need=True)
        return product.upper() == PRODUCTS[0]

    def _contract(self, p: Parameters, need: bool = True) -> Contract | None:
        name, ours = p.text("symbol", need=need), self._ours(p)
        found = next((c for c in self.market.contracts if ours and symbol(c) == name), None)
        if name and found is None:
            raise Refused(f"symbol {name}", self._said(None, "40034", f"Parameter {name} does not exist", 400))
        return found if need or found or ours else None

    def time(self, p: Parameters) -> Answer:
        """Get Server Time."""
        p.done()
        self.spend(self.quotas["time"])
        return self._said({"serverTime": str(self.market.now_ms())})

    def nothing(self, p: Parameters) -> Answer:
        """Spot and margin, which ccxt loads as well: none of it is ours."""
        return self._said([])

    def contracts(self, p: Parameters) -> Answer:
        """Get Contract Config."""
        name, ours = p.text("symbol"), self._ours(p)
        p.done()
        self.spend(self.quotas["contracts"])
        return self._said([_listing(c) for c in self.market.contracts if ours and name in ("", symbol(c))])

    def tickers(self, p: Parameters) -> Answer:
        """Get All Tickers."""
        ours = self._ours(p)
        p.done()
        self.spend(self.quotas["tickers"])
        rows = []
        for c in reversed(self.market.contracts):
            price = self.market.last(c)
            rows.append({
                "symbol": symbol(c), "lastPr": price, "askPr": price, "bidPr": price, "bidSz": "1", "askSz": "1",
                "high24h": price, "low24h": price, "ts": str(self.market.now_ms()), "change24h": "0",
                "baseVolume": str(int(c.day_volume / float(price))), "quoteVolume": str(c.day_volume),
                "usdtVolume": str(c.day_volume), "openUtc": price, "changeUtc24h": "0", "indexPrice": price,
                "fundingRate": "0.0001", "holdingAmount": "1000", "open24h": price, "markPrice": price,
                "deliveryStartTime": None, "deliveryTime": None, "deliveryStatus": "",
            })  # fmt: skip
        return self._said(rows if ours else [])

    def recent(self, p: Parameters) -> Answer:
        """Get Candlestick Data: limit 100, at most 1000; a month of minutes, more of longer candles."""
        kind = p.text("kLineType", ("MARKET", "MARK", "INDEX", "market", "mark"), default="MARKET").upper()
        return self._candles(p, "candles", 1000, mark=kind == "MARK", recent=True)

    def history(self, p: Parameters, *, mark: bool) -> Answer:
        """Get Historical Candlestick, Get Historical Mark Price Candlestick: limit 100, at most 200."""
        return self._candles(p, "history mark" if mark else "history", 200, mark=mark, recent=False)

    def _candles(self, p: Parameters, quota: str, most: int, *, mark: bool, recent: bool) -> Answer:
        """The newest `limit` after `startTime` (included) and before `endTime`, ascending; at most 90 days apart."""
        contract = self._contract(p)
        assert contract is not None
        length = GRANULARITIES[p.text("granularity", GRANULARITIES, need=True)]
        start, end = p.number("startTime"), p.number("endTime", default=self.market.now_ms())
        limit = p.limit("limit", most, 100)
        p.done()
        self.spend(self.quotas[quota])
        assert end is not None
        if start is not None and not 0 <= end - start <= SPAN:
            raise self.refusal("startTime and endTime span more than 90 days")
        oldest = self.market.now_ms() - RECENT_DAYS.get(length, 360) * DAY if recent else 0
        since = max(end - (limit + 1) * length if start is None else start, end - (limit + 1) * length, oldest)
        rows = self.market.candles(contract, mark, length, since, end)[-limit:]
        return self._said([_row(row, mark) for row in rows])

    def funding(self, p: Parameters) -> Answer:
        """Get Historical Funding Rates: pages of 20, at most 100, newest first."""
        contract = self._contract(p)
        assert contract is not None
        size, page = p.limit("pageSize", 100, 20), p.limit("pageNo", 10_000, 1)
        p.done()
        self.spend(self.quotas["funding"])
        now = self.market.now_ms()
        due = self.market.funding(contract.base, now - (page + 1) * size * 8 * HOUR, now + 1)
        rows = due[::-1][(page - 1) * size : page * size]
        return self._said([{"symbol": symbol(contract), "fundingRate": s.rate, "fundingTime": str(s.ts)} for s in rows])

    def position_tiers(self, p: Parameters) -> Answer:
        """Get Position Tier."""
        contract = self._contract(p)
        assert contract is not None
        p.done()
        self.spend(self.quotas["tiers"])
        bounds = [0, *(tier.notional for tier in contract.tiers)]
        return self._said([
            {"symbol": symbol(contract), "level": str(n), "startUnit": str(bounds[n - 1]),
             "endUnit": str(tier.notional),
             "leverage": str(tier.leverage), "keepMarginRate": tier.maintenance}
            for n, tier in enumerate(contract.tiers, 1)
        ])  # fmt: skip


def _row(row: Candle, mark: bool) -> list[str]:
    volumes = ["0", "0"] if mark else [row.volume, row.turnover]
    return [str(row.ts), row.open, row.high, row.low, row.close, *volumes]


def _listing(contract: Contract) -> dict[str, Any]:
    return {
        "symbol": symbol(contract), "baseCoin": contract.base, "quoteCoin": "USDT", "buyLimitPriceRatio": "0.9",
        "sellLimitPriceRatio": "0.9", "feeRateUpRatio": "0.1", "makerFeeRate": "0.0004", "takerFeeRate": "0.0006",
        "openCostUpRatio": "0.1", "supportMarginCoins": ["USDT"], "minTradeNum": contract.step, "priceEndStep": "1",
        "volumePlace": str(contract.lot_places), "pricePlace": str(contract.places), "sizeMultiplier": contract.step,
        "symbolType": "perpetual", "minTradeUSDT": contract.least, "maxSymbolOrderNum": "999999",
        "maxProductOrderNum": "999999", "maxPositionNum": "150", "symbolStatus": "normal", "offTime": "-1",
        "limitOpenTime": "-1", "deliveryTime": "", "deliveryStartTime": "", "deliveryPeriod": "",
        "launchTime": str(contract.listed_ms), "fundInterval": str(contract.recent_hours), "minLever": "1",
        "maxLever": str(contract.tiers[0].leverage), "posLimit": "0.05", "maintainTime": "1680165535278",
    }  # fmt: skip
