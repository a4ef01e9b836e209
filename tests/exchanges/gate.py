"""Gate's API v4, `/api/v4/futures/usdt`, as "Futures" of its documents says. Times are seconds, sizes are contracts.

"Frequency limit rule": public endpoints, 200 requests in 10 seconds for each endpoint and address; above it 429,
label TOO_MANY_REQUESTS. "Return Format": errors are `{"label": …, "message": …}`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tests.exchanges.market import HOUR, Contract, Market, decimal
from tests.exchanges.quota import Quota
from tests.exchanges.request import Answer, Parameters, Refused
from tests.exchanges.routes import INTERVALS, Routes

POINTS = 2000
LENGTHS = {name: length for name, length in INTERVALS.items() if name != "3m"}


def symbol(contract: Contract) -> str:
    return f"{contract.base}_USDT"


def multiplier(contract: Contract) -> str:
    """`quanto_multiplier`: what one contract is, in base currency; a hundredth of `Contract.unit` where it can be."""
    return decimal(max(contract.unit // 100, 1), contract.lot_places)


def contracts_of(contract: Contract, units: int) -> int:
    """Volumes in contracts."""
    return units * contract.unit // max(contract.unit // 100, 1)


class Gate(Routes):
    """Contracts, tickers, candlesticks, funding rates, risk limit tiers."""

    prefixes = ("/api/v4/",)

    def __init__(self, market: Market, rates: bool = True) -> None:
        super().__init__(market, rates)
        self.quotas: dict[str, Quota] = defaultdict(lambda: Quota(200, 10))
        root = "/api/v4/futures/usdt"
        self.routes = {
            "/api/v4/spot/time": self.time,
            f"{root}/contracts": self.contracts,
            f"{root}/tickers": self.tickers,
            f"{root}/candlesticks": self.candlesticks,
            f"{root}/funding_rate": self.funding_rate,
            f"{root}/risk_limit_tiers": self.risk_limit_tiers,
            "/api/v4/futures/btc/contracts": self.nothing,
            "/api/v4/spot/currencies": self.nothing,
            "/api/v4/spot/currency_pairs": self.nothing,
            "/api/v4/margin/currency_pairs": self.nothing,
            "/api/v4/delivery/usdt/contracts": self.nothing,
            "/api/v4/options/underlyings": self.nothing,
        }
        for contract in market.contracts:
            self.routes[f"{root}/contracts/{symbol(contract)}"] = lambda p, c=contract: self.contract(p, c)  # type: ignore[misc]

    def refusal(self, why: str) -> Refused:
        label = "MISSING_REQUIRED_PARAM" if "missing" in why else "INVALID_PARAM_VALUE"
        return Refused(why, Answer.json({"label": label, "message": why}, 400))

    def throttled(self, wait_s: float) -> Answer:
        said = {"label": "TOO_MANY_REQUESTS", "message": "Request Rate limit Exceeded"}
        return Answer.json(said, 429, **{"X-Gate-RateLimit-Requests-Remain": "0", "X-Gate-RateLimit-Limit": "200"})

    def _contract(self, p: Parameters, need: bool = True, mark: bool = False) -> tuple[Contract | None, bool]:
        """The contract, and whether `mark_` stands before it, where that is documented."""
        name = p.text("contract", need=need)
        marked = mark and name.startswith("mark_")
        found = next((c for c in self.market.contracts if symbol(c) == name.removeprefix("mark_" * marked)), None)
        if name and found is None:
            said = {"label": "CONTRACT_NOT_FOUND", "message": f"contract {name} not found"}
            raise Refused(f"contract {name}", Answer.json(said, 400))
        return found, marked

    def time(self, p: Parameters) -> Answer:
        """Get server current time."""
        p.done()
        self.spend(self.quotas["time"])
        return Answer.json({"server_time": self.market.now_ms()})

    def nothing(self, p: Parameters) -> Answer:
        """Other markets that ccxt loads: none of it is ours."""
        return Answer.json([])

    def contracts(self, p: Parameters) -> Answer:
        """Query all futures contracts: limit, offset."""
        limit, offset = p.limit("limit", 1000, 1000), p.number("offset", default=0) or 0
        p.done()
        self.spend(self.quotas["contracts"])
        rows = [self._listing(c) for c in self.market.contracts]
        rows.append(rows[0] | {"name": "OLD_USDT", "in_delisting": True, "status": "delisted", "position_size": 0})
        return Answer.json(rows[offset : offset + limit])

    def contract(self, p: Parameters, contract: Contract) -> Answer:
        """Query single contract information."""
        p.done()
        self.spend(self.quotas["contract"])
        return Answer.json(self._listing(contract))

    def _listing(self, contract: Contract) -> dict[str, Any]:
        price = self.market.last(contract)
        now = self.market.now_ms()
        return {
            "name": symbol(contract), "type": "direct", "quanto_multiplier": multiplier(contract), "leverage_min": "1",
            "leverage_max": str(contract.tiers[0].leverage), "maintenance_rate": contract.tiers[0].maintenance,
            "mark_type": "index", "mark_price": price, "index_price": price, "last_price": price,
            "maker_fee_rate": "-0.0001",
            "taker_fee_rate": "0.00075", "order_price_round": contract.tick, "mark_price_round": contract.tick,
            "funding_rate": "0.0001", "funding_interval": contract.recent_hours * 3600,
            "funding_next_apply": (now // (8 * HOUR) + 1) * 8 * 3600, "risk_limit_base": "1000000",
            "risk_limit_step": "1000000", "risk_limit_max": "8000000", "order_size_min": 1, "order_size_max": 1000000,
            "order_price_deviate": "0.5", "ref_discount_rate": "0", "ref_rebate_rate": "0.2", "orderbook_id": 1,
            "trade_id": 1, "trade_size": 1, "position_size": 1, "config_change_time": 1593158867, "in_delisting": False,
            "orders_limit": 50, "enable_bonus": True, "enable_credit": True, "create_time": contract.listed_ms // 1000,
            "funding_cap_ratio": "0.75", "status": "trading", "launch_time": contract.listed_ms // 1000,
        }  # fmt: skip

    def tickers(self, p: Parameters) -> Answer:
        """Get all futures trading statistics. ccxt sends the `timezone` of the spot tickers, which is ignored."""
        contract, _ = self._contract(p, need=False)
        p.text("timezone", ("utc0",))
        p.done()
        self.spend(self.quotas["tickers"])
        rows = []
        for c in reversed(self.market.contracts):
            price = self.market.last(c)
            rows.append({
                "contract": symbol(c), "last": price, "change_percentage": "0", "total_size": "1000", "low_24h": price,
                "high_24h": price, "volume_24h": "1000", "volume_24h_base": str(int(c.day_volume / float(price))),
                "volume_24h_quote": str(c.day_volume), "volume_24h_settle": str(c.day_volume), "mark_price": price,
                "funding_rate": "0.0001", "funding_rate_indicative": "0.0001", "index_price": price,
                "quanto_base_rate": "", "lowest_ask": price, "lowest_size": "1", "highest_bid": price,
                "highest_size": "1",
            })  # fmt: skip
        return Answer.json([row for row in rows if contract is None or row["contract"] == symbol(contract)])

    def candlesticks(self, p: Parameters) -> Answer:
        """Futures market K-line chart: ascending, both ends included, at most 2000 points.

        `limit` conflicts with `from` and `to`; `mark_` before the contract asks for its mark price, without `v`.
        """
        contract, mark = self._contract(p, mark=True)
        assert contract is not None
        length = LENGTHS[p.text("interval", LENGTHS, default="5m")]
        since, to = p.number("from"), p.number("to")
        limit = p.number("limit", 1, POINTS)
        p.done()
        self.spend(self.quotas["candlesticks"])
        if limit is not None and (since is not None or to is not None):
            raise self.refusal("limit conflicts with from and to")
        end = self.market.now_ms() if to is None else to * 1000
        start = end - (limit or 100) * length + 1 if since is None else since * 1000
        if end < start or end // length - -(-start // length) + 1 > POINTS:
            raise self.refusal("Candlestick range too broad. Maximum 2000 data points are allowed per request")
        rows = self.market.candles(contract, mark, length, start, end + 1)
        return Answer.json([
            {"o": r.open, "t": r.ts // 1000, "c": r.close, "l": r.low, "h": r.high, "sum": r.turnover}
            | ({} if mark else {"v": contracts_of(contract, r.units)})
            for r in rows
        ])  # fmt: skip

    def funding_rate(self, p: Parameters) -> Answer:
        """Futures market historical funding rate: limit 100, at most 1000; newest first, both ends included."""
        contract, _ = self._contract(p)
        assert contract is not None
        since, to = p.number("from"), p.number("to")
        limit = p.limit("limit", 1000, 100)
        p.done()
        self.spend(self.quotas["funding_rate"])
        end = self.market.now_ms() if to is None else to * 1000
        start = max((since or 0) * 1000, end - (limit + 3) * 8 * HOUR)
        due = self.market.funding(contract.base, start, end + 1)[-limit:]
        return Answer.json([{"t": s.ts // 1000, "r": s.rate} for s in reversed(due)])

    def risk_limit_tiers(self, p: Parameters) -> Answer:
        """Query risk limit tiers: of one contract, or of the first 100 markets."""
        contract, _ = self._contract(p, need=False)
        limit, offset = p.limit("limit", 100, 100), p.number("offset", default=0) or 0
        p.done()
        self.spend(self.quotas["risk_limit_tiers"])
        listed = [contract] if contract else list(self.market.contracts)[offset : offset + limit]
        return Answer.json([
            {"tier": n, "risk_limit": str(tier.notional), "initial_rate": f"{1 / tier.leverage:.6g}",
             "maintenance_rate": tier.maintenance, "leverage_max": str(tier.leverage), "contract": symbol(c),
             "deduction": "0"}
            for c in listed for n, tier in enumerate(c.tiers, 1)
        ])  # fmt: skip
