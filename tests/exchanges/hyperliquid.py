"""Hyperliquid's `POST /info`, as its documents, "For developers, API", say.

"Info endpoint", Candle snapshot: "Only the most recent 5000 candles are available". "Perpetuals", Retrieve historical
funding rates, with "Pagination": at most 500 rows from startTime on. "Rate limits and user limits": 1,200 weight a
minute for each address; 20 a request, 2 for some, and 1 more for each 60 candles and each 20 rows of funding. "Tick and
lot size": 5 significant digits, at most 6 − szDecimals decimal places. There are no mark candles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.exchanges import market as truth
from tests.exchanges.market import Contract, Market
from tests.exchanges.quota import Quota
from tests.exchanges.request import Answer, Parameters, Refused, Request
from tests.exchanges.routes import INTERVALS, Routes

CANDLES, FUNDING = 5000, 500
WEIGHT = 20


class Hyperliquid(Routes):
    """meta, metaAndAssetCtxs, candleSnapshot, fundingHistory, and the lists that ccxt loads beside them."""

    prefixes = ("/info",)
    method = "POST"

    def __init__(self, market: Market, rates: bool = True) -> None:
        super().__init__(market, rates)
        self.quota = Quota(1200, 60)
        self.kinds: dict[str, Callable[[Parameters], Answer]] = {
            "meta": self.meta,
            "metaAndAssetCtxs": self.contexts,
            "candleSnapshot": self.candles,
            "fundingHistory": self.funding,
            "spotMeta": self.nothing_spot,
            "spotMetaAndAssetCtxs": self.nothing_spot,
            "perpDexs": self.one_dex,
        }

    def answer(self, request: Request) -> Answer:
        if request.path != "/info" or request.method != "POST":
            raise Refused("no such address", self.unknown())
        p = Parameters(request.parameters, self.refusal)
        return self.kinds[p.text("type", self.kinds, need=True)](p)

    def refusal(self, why: str) -> Refused:
        said = b"Failed to deserialize the JSON body into the target type"
        return Refused(why, Answer(422, said, kind="text/plain"))

    def throttled(self, wait_s: float) -> Answer:
        return Answer(429, b"null")

    def _contract(self, p: Parameters) -> Contract:
        found = self.market.contract(p.text("coin", need=True))
        if found is None:
            raise Refused("unknown coin", Answer(500, b"null"))
        return found

    def _meta(self) -> dict[str, Any]:
        """marginTables: a table up to 50 is that leverage alone; the others are listed, by lower bound."""
        tables = [[n, {"description": "", "marginTiers": [
            {"lowerBound": str(float(bound)), "maxLeverage": tier.leverage}
            for bound, tier in zip([0, *(t.notional for t in c.tiers)], c.tiers, strict=False)
        ]}] for n, c in enumerate(self.market.contracts, 51)]  # fmt: skip
        universe = [
            {"name": c.base, "szDecimals": c.lot_places, "maxLeverage": c.tiers[0].leverage, "marginTableId": n}
            for n, c in enumerate(self.market.contracts, 51)
        ]
        universe.append({"name": "OLD", "szDecimals": 1, "maxLeverage": 3, "marginTableId": 3, "isDelisted": True})
        return {"universe": universe, "marginTables": tables, "collateralToken": 0}

    def meta(self, p: Parameters) -> Answer:
        """Retrieve perpetuals metadata (universe and margin tables)."""
        self._one_dex(p)
        self.spend(self.quota, WEIGHT)
        return Answer.json(self._meta())

    def _one_dex(self, p: Parameters) -> None:
        if p.text("dex", default="main") != "main":
            raise self.refusal("no such dex")
        p.done()

    def contexts(self, p: Parameters) -> Answer:
        """Retrieve perpetuals asset contexts: metadata, and prices and volumes in the same order."""
        self._one_dex(p)
        self.spend(self.quota, WEIGHT)
        contexts = []
        for c in self.market.contracts:
            price = self.market.last(c)
            contexts.append({
                "dayNtlVlm": str(float(c.day_volume)), "funding": "0.0000125", "impactPxs": [price, price],
                "markPx": price,
                "midPx": price, "openInterest": "688.11", "oraclePx": price, "premium": "0.00031774",
                "prevDayPx": price,
                "dayBaseVlm": str(int(c.day_volume / float(price))),
            })  # fmt: skip
        contexts.append(dict.fromkeys(contexts[0], "0.0") | {"impactPxs": None, "midPx": None, "premium": None})
        return Answer.json([self._meta(), contexts])

    def candles(self, p: Parameters) -> Answer:
        """Candle snapshot: ascending, both ends included, of the most recent 5000 only; `T` is the last millisecond."""
        given = p.mapping("req")
        p.done()
        contract = self._contract(given)
        name = given.text("interval", INTERVALS, need=True)
        length = INTERVALS[name]
        start, end = given.number("startTime", need=True), given.number("endTime", default=self.market.now_ms())
        given.done()
        assert start is not None
        assert end is not None
        oldest = (self.market.now_ms() // length - CANDLES + 1) * length
        rows = self.market.candles(contract, False, length, max(start, oldest), end + 1)
        self.spend(self.quota, WEIGHT + len(rows) // 60)
        return Answer.json([
            {"t": r.ts, "T": r.ts + length - 1, "s": contract.base, "i": name, "o": r.open, "c": r.close, "h": r.high,
             "l": r.low, "v": r.volume, "n": r.units}
            for r in rows
        ])  # fmt: skip

    def funding(self, p: Parameters) -> Answer:
        """Retrieve historical funding rates: each hour, ascending from startTime, 500 rows; stamped some ms late."""
        contract = self._contract(p)
        start, end = p.number("startTime", need=True), p.number("endTime", default=self.market.now_ms())
        p.done()
        assert start is not None
        assert end is not None
        due = self.market.funding(
            contract.base, start - 1000, min(end + 1, start + (FUNDING + 2) * truth.HOUR), hours=1
        )
        rows = [(s, s.ts + truth.late(contract, s.ts)) for s in due]
        rows = [(s, at) for s, at in rows if start <= at <= end][:FUNDING]
        self.spend(self.quota, WEIGHT + len(rows) // 20)
        return Answer.json([
            {"coin": contract.base, "fundingRate": s.rate, "premium": "0.00031774", "time": at} for s, at in rows
        ])  # fmt: skip

    def nothing_spot(self, p: Parameters) -> Answer:
        """Retrieve spot metadata, and asset contexts: USDC, which perpetuals are in, and no pairs."""
        p.done()
        self.spend(self.quota, WEIGHT)
        usdc = {
            "name": "USDC", "szDecimals": 8, "weiDecimals": 8, "index": 0, "isCanonical": True, "fullName": None,
            "tokenId": "0x6d1e7cde53ba9467b783cb7c530ce054", "evmContract": None,
        }  # fmt: skip
        return Answer.json([{"tokens": [usdc], "universe": []}, []])

    def one_dex(self, p: Parameters) -> Answer:
        """Retrieve all perpetual dexs: the first is null, the main one."""
        p.done()
        self.spend(self.quota, WEIGHT)
        return Answer.json([None])
