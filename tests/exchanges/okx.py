"""OKX's V5 API, `/api/v5`, as "Public Data" and "Order Book Trading, Market Data" of its guide say.

"Overview, General Info, Rate Limits": each endpoint has a rate for each address, with the instrument where it says
so; above it, status 429 and code 50011. "Error Code": 51000 is a wrong parameter, 51001 an unknown instrument; both
come with status 200. Volumes and sizes are contracts; `volCcy` is base currency.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.exchanges.market import DAY, Candle, Contract, Market, decimal
from tests.exchanges.quota import Quota
from tests.exchanges.request import Answer, Parameters, Refused
from tests.exchanges.routes import INTERVALS, Routes

BARS = {
    **{name.replace("h", "H"): length for name,
    length in INTERVALS.items() if name[-1] != "d" and length < INTERVALS["6h"]},
    "6Hutc": INTERVALS["6h"], "12Hutc": INTERVALS["12h"], "1Dutc": INTERVALS["1d"],
}  # fmt: skip
"""Those that open at whole multiples of UTC; `1D` opens at midnight in Hong Kong."""
TYPES = ("SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION")
RECENT = 1440
"""Candles that /market/candles goes back."""
FUNDING_DAYS = 90
"""Days that funding goes back: "up to three months"."""
FUNDING_LIMIT = 100


def symbol(contract: Contract) -> str:
    return f"{contract.base}-USDT-SWAP"


def contract_size(contract: Contract) -> str:
    """`ctVal`: what one contract is, in base currency; the lot is a tenth of it."""
    return decimal(contract.unit, contract.lot_places)


class Okx(Routes):
    """Instruments, tickers, candles, mark price candles, funding rate history, position tiers."""

    prefixes = ("/api/v5/",)

    def __init__(self, market: Market, rates: bool = True) -> None:
        super().__init__(market, rates)
        self.routes = {
            "/api/v5/public/time": self.time,
            "/api/v5/public/instruments": self.instruments,
            "/api/v5/market/tickers": self.tickers,
            "/api/v5/public/funding-rate-history": self.funding_history,
            "/api/v5/public/position-tiers": self.position_tiers,
            "/api/v5/market/candles": lambda p: self.candles(p, "recent", 300, mark=False),
            "/api/v5/market/history-candles": lambda p: self.candles(p, "history", 300, mark=False),
            "/api/v5/market/mark-price-candles": lambda p: self.candles(p, "mark", 100, mark=True),
            "/api/v5/market/history-mark-price-candles": lambda p: self.candles(p, "old mark", 100, mark=True),
        }
        self.quotas = {
            "time": Quota(10, 2), "instruments": Quota(20, 2), "tickers": Quota(20, 2), "funding": Quota(10, 2),
            "tiers": Quota(10, 2), "recent": Quota(40, 2), "history": Quota(20, 2), "mark": Quota(20, 2),
            "old mark": Quota(10, 2),
        }  # fmt: skip

    def _said(self, data: list[Any], code: str = "0", said: str = "") -> Answer:
        return Answer.json({"code": code, "msg": said, "data": data})

    def refusal(self, why: str) -> Refused:
        return Refused(why, self._said([], "51000", f"Parameter error: {why}"))

    def throttled(self, wait_s: float) -> Answer:
        said = "Rate limit reached. Please refer to API documentation and throttle requests accordingly."
        return self._said([], "50011", said).but(status=429)

    def _contract(self, p: Parameters, need: bool = True) -> Contract | None:
        name = p.text("instId", need=need)
        found = next((c for c in self.market.contracts if symbol(c) == name), None)
        if name and found is None:
            raise Refused(f"instrument {name}", self._said([], "51001", "Instrument ID does not exist."))
        return found

    def time(self, p: Parameters) -> Answer:
        """Get system time."""
        p.done()
        self.spend(self.quotas["time"])
        return self._said([{"ts": str(self.market.now_ms())}])

    def instruments(self, p: Parameters) -> Answer:
        """Get instruments: 20 requests in 2 seconds for each instType."""
        kind = p.text("instType", TYPES, need=True)
        family = p.text("uly") or p.text("instFamily")
        contract = self._contract(p, need=False)
        p.done()
        self.spend(self.quotas["instruments"], key=kind)
        rows = [_listing(c) for c in self.market.contracts if contract in (None, c)] if kind == "SWAP" else []
        if rows and contract is None:
            rows.append(
                rows[0] | {"instId": "BTC-USDC-SWAP", "uly": "BTC-USDC", "instFamily": "BTC-USDC", "settleCcy": "USDC"}
            )
        return self._said([row for row in rows if family in ("", row["instFamily"])])

    def tickers(self, p: Parameters) -> Answer:
        """Get tickers. `volCcy24h` is base currency."""
        kind = p.text("instType", TYPES, need=True)
        p.done()
        self.spend(self.quotas["tickers"])
        return self._said([self._ticker(c) for c in reversed(self.market.contracts)] if kind == "SWAP" else [])

    def _ticker(self, contract: Contract) -> dict[str, str]:
        price = self.market.last(contract)
        volume = Decimal(contract.day_volume) / Decimal(price)
        return {
            "instType": "SWAP", "instId": symbol(contract), "last": price, "lastSz": "1", "askPx": price, "askSz": "1",
            "bidPx": price, "bidSz": "1", "open24h": price, "high24h": price, "low24h": price,
            "volCcy24h": f"{volume:.4f}", "vol24h": f"{volume / Decimal(contract_size(contract)):.2f}",
            "sodUtc0": price, "sodUtc8": price, "ts": str(self.market.now_ms()),
        }  # fmt: skip

    def candles(self, p: Parameters, quota: str, most: int, *, mark: bool) -> Answer:
        """Get candlesticks, Get candlesticks history, and the same of the mark price: limit 100; newest first.

        `after` is for records earlier than it, `before` for newer ones. The recent ones go back 1,440 candles.
        """
        contract = self._contract(p)
        assert contract is not None
        length = BARS[p.text("bar", BARS, default="1m")]
        after, before = p.number("after"), p.number("before")
        limit = p.limit("limit", most, 100)
        p.done()
        self.spend(self.quotas[quota])
        now = self.market.now_ms()
        end = now + 1 if after is None else after
        start = max(0 if before is None else before + 1, end - (limit + 1) * length)
        while True:  # across a halt, back to the listing
            rows = self.market.candles(contract, mark, length, start, end)
            if len(rows) >= limit or start <= max(contract.listed_ms, 0 if before is None else before + 1):
                break
            start = max(contract.listed_ms, 0 if before is None else before + 1, start - limit * length)
        oldest = (now // length - RECENT) * length if quota in ("recent", "mark") else 0
        rows = [row for row in rows[-limit:] if row.ts > oldest]
        return self._said([_row(row, length, now, mark) for row in reversed(rows)])

    def funding_history(self, p: Parameters) -> Answer:
        """Get funding rate history: limit 100, newest first, up to three months; `before` alone gives the newest."""
        contract = self._contract(p)
        assert contract is not None
        after, before = p.number("after"), p.number("before")
        limit = p.limit("limit", FUNDING_LIMIT, FUNDING_LIMIT)
        p.done()
        self.spend(self.quotas["funding"], key=contract.base)
        now = self.market.now_ms()
        start = max(0 if before is None else before + 1, now // DAY * DAY - FUNDING_DAYS * DAY)
        due = self.market.funding(contract.base, start, now + 1 if after is None else after)[-limit:]
        return self._said([
            {"instType": "SWAP", "instId": symbol(contract), "formulaType": "withRate", "fundingRate": s.rate,
             "realizedRate": s.rate, "fundingTime": str(s.ts), "method": "current_period"}
            for s in reversed(due)
        ])  # fmt: skip

    def position_tiers(self, p: Parameters) -> Answer:
        """Get position tiers: sizes in contracts."""
        kind = p.text("instType", TYPES[1:], need=True)
        p.text("tdMode", ("cross", "isolated"), need=True)
        family = p.text("instFamily") or p.text("uly", need=True)
        p.text("tier")
        p.done()
        self.spend(self.quotas["tiers"])
        if "," in family:
            raise self.refusal("one instFamily at a time here")
        contract = next((c for c in self.market.contracts if family == f"{c.base}-USDT"), None)
        if contract is None or kind != "SWAP":
            return self._said([])
        return self._said(list(_tiers(contract)))


def tier_sizes(contract: Contract) -> list[tuple[int, int]]:
    """(least, most) contracts of each tier: those of `Contract.tiers` at the usual level of the price."""
    one = Decimal(contract_size(contract)) * Decimal(decimal(contract.level, contract.places))
    most = [int(tier.notional / one) for tier in contract.tiers]
    return list(zip([0, *(m + 1 for m in most[:-1])], most, strict=True))


def _tiers(contract: Contract) -> list[dict[str, str]]:
    return [
        {"baseMaxLoan": "", "imr": f"{1 / tier.leverage:.6g}", "instFamily": f"{contract.base}-USDT", "instId": "",
         "maxLever": str(tier.leverage), "maxSz": str(most), "minSz": str(least), "mmr": tier.maintenance,
         "optMgnFactor": "0", "quoteMaxLoan": "", "tier": str(n), "uly": f"{contract.base}-USDT"}
        for n, (tier, (least, most)) in enumerate(zip(contract.tiers, tier_sizes(contract), strict=True), 1)
    ]  # fmt: skip


def _row(row: Candle, length: int, now: int, mark: bool) -> list[str]:
    """[ts, o, h, l, c, vol, volCcy, volCcyQuote, confirm], of a mark price without the volumes."""
    confirm = str(int(row.ts + length <= now))
    prices = [str(row.ts), row.open, row.high, row.low, row.close]
    return [*prices, confirm] if mark else [*prices, str(row.units), row.volume, row.turnover, confirm]


def _listing(contract: Contract) -> dict[str, Any]:
    return {
        "alias": "", "auctionEndTime": "", "baseCcy": "", "category": "1", "ctMult": "1", "ctType": "linear",
        "ctVal": contract_size(contract), "ctValCcy": contract.base, "expTime": "",
        "instFamily": f"{contract.base}-USDT",
        "instId": symbol(contract), "instType": "SWAP", "lever": str(contract.tiers[0].leverage),
        "listTime": str(contract.listed_ms), "contTdSwTime": "", "lotSz": "0.1", "maxIcebergSz": "100000000",
        "maxLmtSz": "100000000", "maxMktSz": "85000", "maxStopSz": "85000", "maxTriggerSz": "100000000",
        "maxTwapSz": "100000000", "minSz": "0.1", "optType": "", "quoteCcy": "", "ruleType": "normal",
        "settleCcy": "USDT", "state": "live", "stk": "", "tickSz": contract.tick, "uly": f"{contract.base}-USDT",
    }  # fmt: skip
