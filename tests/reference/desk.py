"""The venue's desk: it triggers, executes and fills orders. Rules of orders, sections 3, 4 and 7."""

from __future__ import annotations

from dataclasses import dataclass

from tests.reference.account import Account
from tests.reference.admission import Margin, Verdict
from tests.reference.books import Books
from tests.reference.cost import Costs
from tests.reference.ends import Ends
from tests.reference.fee import Fees
from tests.reference.groups import Groups
from tests.reference.margin import Asked
from tests.reference.market import Config
from tests.reference.numbers import money, share
from tests.reference.order import Order
from tests.reference.outcome import Fill, Outcome
from tests.reference.path import Row
from tests.reference.room import Room


@dataclass(frozen=True)
class Spot:
    """Where an order is executed: thirds from the row's open, and the price there.

    At a `level` everything is worth that price; else it is worth what the trade path says at the time.
    """

    at: int
    price: float | None
    """None in a gap."""
    is_level: bool = False

    def value(self, row: Row, symbol: str, units: int) -> int:
        if self.is_level:
            assert self.price is not None
            return money(self.price, units)
        return row.trade_value(symbol, units, self.at)


@dataclass(frozen=True)
class Trade:
    """A fill that is to be judged: signed lots, signed cash without the fee, and what made it up."""

    lots: int
    quote: int
    side: str
    spread: int = 0
    impact: int = 0
    drift: int = 0
    latency: int = 0


class Desk:
    def __init__(
        self, config: Config, account: Account, asked: Asked, books: Books, ends: Ends, outcome: Outcome, start_ms: int
    ) -> None:
        self.config, self.account, self.asked, self.books = config, account, asked, books
        self.ends, self.outcome = ends, outcome
        self.room, self.costs, self.fees = Room(config, account.steps), Costs(config, start_ms), Fees(config)
        self.groups = Groups(self, ends, account)

    def spot(self, row: Row, symbol: str, at: int) -> Spot:
        return Spot(at, row.trade_price(symbol, at))

    # ---- executing

    def trigger(self, row: Row, order: Order, spot: Spot) -> None:
        """Release a conditional order."""
        order.triggered = row.stamp(spot.at)
        self.execute(row, order, spot)

    def execute(self, row: Row, order: Order, spot: Spot, arriving: bool = False) -> None:
        """Fill what can be filled now; the rest works, or ends by its time in force."""
        ts_ms = row.stamp(spot.at)
        order.state, order.executed_row = "busy", row.open_ms
        if self.has_nothing_to_reduce(order, ts_ms):
            return
        if spot.price is None or not self.crosses(order, spot.price):
            if order.tif in ("ioc", "fok"):
                self.ends.end(order, ts_ms, "cancelled", order.tif)
            else:
                self.rest(row, order, spot.at)
            return
        if order.post_only:
            self.ends.refuse(order, ts_ms, "post_only")
            return
        lots = self.room.clipped(row, order.symbol, "taker", abs(order.left))
        wanted = lots
        lots, beyond = self.within_band(row, order, wanted, spot, arriving)
        if order.tif == "fok" and lots < abs(order.left):
            self.ends.end(order, ts_ms, "cancelled", "fok")
            return
        filled = lots > 0 and self.fill(row, order, self.taken(row, order, lots, spot, arriving), spot)
        if order.ended:
            pass
        elif beyond is not None:
            self.ends.refuse(order, ts_ms, "price_band", beyond)
        elif order.tif == "ioc":
            self.ends.end(order, ts_ms, "cancelled", "ioc")
        elif not self.has_nothing_to_reduce(order, ts_ms):
            self.rest(row, order, spot.at)
        if filled:
            self.groups.wake_children(row, order, spot)

    def crosses(self, order: Order, price: float) -> bool:
        """What has no limit takes at any price."""
        if order.limit is None:
            return True
        return price <= order.limit if order.buys else price >= order.limit

    def has_nothing_to_reduce(self, order: Order, ts_ms: int) -> bool:
        """Clip a reduce-only order to the position; where there is none it is cancelled."""
        if not order.reduce_only:
            return False
        lots = min(abs(order.left), self.account.against(order))
        order.left = lots if order.buys else -lots
        if lots == 0:
            self.ends.end(order, ts_ms, "cancelled", "reduce_only")
        return lots == 0

    def rest(self, row: Row, order: Order, at: int) -> None:
        """What is left works, if it may wait."""
        verdict = Margin(self.account, self.asked, row, at).may_wait(
            order.symbol, order.left, order.reduce_only, order.sender
        )
        if verdict.admitted:
            order.state = "working"
        else:
            self.ends.refuse(order, row.stamp(at), verdict.reason, verdict)

    # ---- filling

    def make(self, row: Row, order: Order, at: int) -> None:
        """A limit order that works is met by the path: it fills at its limit, as far as there is room."""
        assert order.limit is not None
        order.state = "busy"
        if self.has_nothing_to_reduce(order, row.stamp(at)):
            return
        lots = self.room.clipped(row, order.symbol, "maker", abs(order.left))
        value = money(order.limit, lots * self.account.steps[order.symbol])
        trade = Trade(lots, -value, "maker") if order.buys else Trade(-lots, value, "maker")
        spot = Spot(at, order.limit, is_level=True)
        filled = self.fill(row, order, trade, spot)
        if not order.ended:
            order.state = "working"
        if filled:
            self.groups.wake_children(row, order, spot)

    def taken(self, row: Row, order: Order, lots: int, spot: Spot, arriving: bool) -> Trade:
        """What taking `lots` (unsigned) costs."""
        name = order.symbol
        units = lots * self.account.steps[name]
        value = spot.value(row, name, units)
        most = self.most_cost(order, units, value)
        volume = row.trades[name].volume
        spread, impact, drift = self.costs.parts(name, units, value, volume, row.stamp(spot.at), most)
        cost = spread + impact + drift
        latency = drift
        if order.type == "market" or (order.type == "limit" and arriving):
            later = value - money(order.decision, units)
            latency += later if order.buys else -later
        if order.buys:
            return Trade(lots, -(value + cost), "taker", spread, impact, drift, latency)
        return Trade(-lots, value - cost, "taker", spread, impact, drift, latency)

    def within_band(self, row: Row, order: Order, lots: int, spot: Spot, arriving: bool) -> tuple[int, Verdict | None]:
        """As many of `lots` (unsigned) as the price band allows, by halving; with the numbers, if not all of them."""

        def judged(some: int) -> Verdict:
            units = some * self.account.steps[order.symbol]
            trade = self.taken(row, order, some, spot, arriving)
            cost = trade.spread + trade.impact + trade.drift
            allowed = share(spot.value(row, order.symbol, units), self.band(order.symbol))
            return Verdict(cost <= allowed, cost, allowed, reason="price_band")

        if lots == 0 or (whole := judged(lots)).admitted:
            return lots, None
        fits, exceeds = 0, lots
        while exceeds - fits > 1:
            middle = (fits + exceeds) // 2
            if judged(middle).admitted:
                fits = middle
            else:
                exceeds = middle
        return fits, whole

    def band(self, symbol: str) -> float:
        """The run's, else the market's, else a tenth."""
        for known in (self.config.band, self.asked.terms[symbol].price_band):
            if known is not None:
                return known
        return 0.1

    def most_cost(self, order: Order, units: int, value: int) -> int:
        """A sale never pays to sell; a limit order never gets worse than its limit."""
        within = []
        if not order.buys:
            within.append(value)
        if order.limit is not None:
            at_limit = money(order.limit, units)
            within.append(at_limit - value if order.buys else value - at_limit)
        return min(within, default=2**63)

    def fill(self, row: Row, order: Order, trade: Trade, spot: Spot) -> bool:
        """Judge the trade; refused, the order ends; else it is made, and has what consequences it has."""
        ts_ms, name = row.stamp(spot.at), order.symbol
        fee = self.fees.of(trade.quote, trade.side, ts_ms)
        margin = Margin(self.account, self.asked, row, spot.at)
        verdict = margin.may_fill(name, trade.lots, trade.quote - fee, order.reduce_only, order.sender)
        if not verdict.admitted:
            self.ends.refuse(order, ts_ms, verdict.reason, verdict)
            return False
        realized = self.account.trade(name, trade.lots, trade.quote)
        self.account.pay(self.account.pool_of(name), trade.quote - fee)
        if self.account.sharing:
            self.account.sharing.fill(ts_ms, order.number, name, trade.lots, trade.quote, fee)
        self.outcome.fills.append(
            Fill(
                order.number, ts_ms, name, trade.lots, trade.quote, fee, realized, "strategy", trade.side,
                trade.spread, trade.impact, trade.drift, trade.latency,
            )
        )  # fmt: skip
        self.books.move(ts_ms, name, verdict.moved)
        self.room.use(row, name, trade.side, abs(trade.lots))
        self.fees.note(trade.quote, ts_ms)
        order.left -= trade.lots
        order.filled += trade.lots
        if order.left == 0:
            self.ends.end(order, ts_ms, "filled", "none")
        self.books.traded(ts_ms, name)
        price = abs(trade.quote) / (abs(trade.lots) * self.account.steps[name])
        self.groups.after_fill(row, order, trade.lots, spot, price)
        return True
