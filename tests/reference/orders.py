"""Messages on their way, and their arrival: rules of orders, sections 2 and 10; Layer 2, sections 2 and 5."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.reference import trigger
from tests.reference.account import Account
from tests.reference.admission import Margin, Verdict
from tests.reference.chain import Beside
from tests.reference.desk import Desk
from tests.reference.ends import Ends
from tests.reference.gas import KINDS, Gases
from tests.reference.margin import Asked
from tests.reference.market import Message, Symbol
from tests.reference.message import Passage, Ways
from tests.reference.numbers import money
from tests.reference.oracle import Seen
from tests.reference.order import Order
from tests.reference.outage import Outages
from tests.reference.outcome import CancelEnd, OrderEnd, Outcome
from tests.reference.path import Row


@dataclass(eq=False)
class Wish:
    """A cancel, a cancel of all or an amendment: the message that was sent, with its number."""

    number: int
    said: Message
    passage: Passage


class Orders:
    def __init__(
        self,
        beside: Beside,
        latency_ms: int,
        start_ms: int,
        seen: dict[str, Seen],
        outages: Outages,
        account: Account,
        asked: Asked,
        symbols: dict[str, Symbol],
        desk: Desk,
        ends: Ends,
        outcome: Outcome,
    ) -> None:
        self.chain, self.account, self.asked, self.symbols = beside.chain, account, asked, symbols
        self.desk, self.ends, self.outcome = desk, ends, outcome
        self.stale_after, self.seen, self.outages = beside.oracle.limit_ms if beside.oracle else 0, seen, outages
        self.ways = Ways(beside, latency_ms, account.names, self.underway, start_ms)
        self.gases = Gases(beside.chain, account, outcome)
        self.wishes: list[Wish] = []
        """On their way; orders on theirs are `ends.flying`."""
        self.known: dict[int, Order] = {}
        """Every order that was sent, by number."""
        self.sent = 0

    # ---- sending

    def number(self) -> int:
        if self.account.sharing:
            self.account.sharing.senders[self.sent] = self.account.sender
        self.sent += 1
        return self.sent - 1

    def passage(self, said: Message, symbol: str) -> Passage:
        gas = self.gases.price(KINDS[said.kind], said.sent_ms, self.ways.congested)
        return self.ways.send(said.sent_ms, symbol, gas)

    def send_wish(self, said: Message) -> None:
        """A cancel is of no symbol, nor is an amendment of an order that has ended."""
        about = self.known.get(said.order)
        symbol = about.symbol if said.kind == "amend" and about and not about.ended else said.symbol
        self.wishes.append(Wish(self.number(), said, self.passage(said, symbol)))

    def send_order(self, said: Message, decision: float) -> Order:
        order = self.made(said, decision)
        order.passage = self.passage(said, order.symbol)
        self.ends.flying.append(order)
        return order

    def made(self, said: Message, decision: float, parent: Order | None = None) -> Order:
        """Children take the numbers behind their parent, travel with it and cancel each other."""
        order = Order(
            self.number(), said.sent_ms, said.symbol, said.lots, said.type, said.limit, said.stop, said.by_mark,
            said.trail, said.trail_share, said.activation, said.tif, said.expires_ms, said.post_only,
            said.reduce_only or parent is not None, decision, parent,
        )  # fmt: skip
        order.sender, order.offset = self.account.sender, said.offset
        self.known[order.number] = order
        if parent is None:
            order.left = said.lots
        order.children = [self.made(replace(c, sent_ms=said.sent_ms), decision, order) for c in said.children]
        for child in order.children:
            child.group = order.children
        return order

    def send_group(self, said: list[tuple[Message, float]]) -> None:
        """Orders of which one cancels the others; they travel as one message."""
        group = [self.made(message, decision) for message, decision in said]
        passage = self.passage(said[0][0], group[0].symbol)
        for order in group:
            order.group, order.passage = group, passage
            self.ends.flying.append(order)

    # ---- what is open

    def open(self, symbol: str) -> list[Order]:
        """Unfinished orders of the symbol."""
        return [o for o in self.known.values() if o.symbol == symbol and not o.ended]

    def outstanding(self, symbol: str) -> int:
        """Signed lots underway: what a target leaves out of account because it will be, or may be, filled as it is."""
        lots = 0
        for order in self.open(symbol):
            if order.sender != self.account.sender:
                continue
            plain = order.state == "flying" and not order.conditional and order.parent is None
            if plain or order.state == "working":
                lots += order.left if order.limit is None or not order.reduce_only else 0
        return lots

    # ---- arriving

    def flying(self) -> list[tuple[Order | Wish, Passage]]:
        """Messages on their way; of a group its first order."""
        orders = [o for o in self.ends.flying if not o.group or o is o.group[0]]
        messages: list[Order | Wish] = [*orders, *self.wishes]
        return [(message, message.passage) for message in messages if message.passage]

    def underway(self) -> list[Passage]:
        return [passage for _, passage in self.flying()]

    def arrivals(self) -> list[int]:
        return [passage.arrives for passage in self.underway()]

    def deliver(self, row: Row, ts_ms: int) -> None:
        """Messages that arrive at this instant, in order of number, or as the chain sorts them."""
        while due := [entry for entry in self.flying() if entry[1].arrives == ts_ms]:
            message, passage = min(due, key=lambda entry: (self.rank(entry[0]), entry[0].number))
            if isinstance(message, Wish):
                self.wishes.remove(message)
                self.hear(row, message, passage, ts_ms)
            else:
                heads = message.group or [message]
                for head in heads:
                    self.ends.flying.remove(head)
                self.arrive(row, heads, passage, ts_ms)

    def rank(self, message: Order | Wish) -> int:
        if not self.chain.sorts:
            return 0
        if isinstance(message, Order):
            return 0 if message.post_only else 2
        return 1 if message.said.kind in ("cancel", "cancel_all") else 2

    def unpaid(self, row: Row, number: int, kind: str, gas: int, ts_ms: int) -> Verdict | None:
        """Take the gas, or say that the cross pool cannot pay it."""
        if gas == 0:
            return None
        have = Margin(self.account, self.asked, row, row.thirds(ts_ms)).cross_equity()
        if have < gas:
            return Verdict(False, have, gas, reason="gas")
        self.gases.pay(ts_ms, number, kind, gas)
        return None

    def hear(self, row: Row, wish: Wish, passage: Passage, ts_ms: int) -> None:
        """A cancel or an amendment, if it has not been lost on the way."""
        if passage.fate == "lost":
            self.idle(wish, -1, ts_ms, "rejected", Verdict(False, reason="outage"))
        elif passage.fate == "late":
            self.idle(wish, ts_ms, ts_ms, "expired", Verdict(False, reason="outage"))
        elif poor := self.unpaid(row, wish.number, KINDS[wish.said.kind], passage.gas, ts_ms):
            self.idle(wish, ts_ms, ts_ms, "rejected", poor)
        else:
            self.grant(row, wish, ts_ms)

    def idle(self, wish: Wish, arrived: int, ts_ms: int, status: str, verdict: Verdict) -> None:
        """An amendment that does nothing is recorded, a cancel is counted."""
        if wish.said.kind == "amend":
            self.end_amendment(wish, arrived, ts_ms, status, verdict)
        else:
            self.outcome.lost += 1

    def arrive(self, row: Row, heads: list[Order], passage: Passage, ts_ms: int) -> None:
        """One message: an order with its children, or a group. All of it is at the venue before the first is judged."""
        at = row.thirds(ts_ms)
        whole = [one for head in heads for one in (head, *head.children)]
        if passage.fate == "lost":
            self.end_all(whole, ts_ms, "rejected", Verdict(False, reason="outage"))
            return
        for one in whole:
            one.ts_arrived = ts_ms
        if passage.fate == "late":
            self.end_all(whole, ts_ms, "expired", Verdict(False, reason="outage"))
            return
        if poor := self.unpaid(row, heads[0].number, "order", passage.gas, ts_ms):
            self.end_all(whole, ts_ms, "rejected", poor)
            return
        if row.open_ms > self.symbols[heads[0].symbol].last_ms:
            self.end_all(whole, ts_ms, "rejected", Verdict(False, reason="delisted"))
            return
        for head in heads:
            if head.expires_ms is not None and head.expires_ms <= ts_ms:
                self.ends.end(head, ts_ms, "expired", "gtd")
        whole = [one for one in whole if not one.ended]
        crowded = self.too_many(whole)
        if crowded is not None:
            self.end_all(whole, ts_ms, "rejected", crowded)
            return
        self.account.orders += whole
        for one in whole:
            one.state = "dormant" if one.parent else "busy"
        for head in heads:
            if not head.ended:
                self.judge(row, head, at)

    def end_all(self, orders: list[Order], ts_ms: int, status: str, verdict: Verdict) -> None:
        """Children first, so that each has the reason of the whole message."""
        for order in reversed(orders):
            self.ends.end(order, ts_ms, status, verdict.reason, verdict)

    def judge(self, row: Row, order: Order, at: int) -> None:
        """An order that has just arrived: refuse it, arm it, or execute it."""
        refusal = self.refusal(row, order, at)
        if refusal is not None:
            self.ends.end(order, row.stamp(at), "rejected", refusal.reason, refusal)
        elif order.conditional:
            order.state = "armed"
            trigger.follow(order, trigger.price_at(order, row, at))
        else:
            self.desk.execute(row, order, self.desk.spot(row, order.symbol, at), arriving=True)

    def refusal(self, row: Row, order: Order, at: int) -> Verdict | None:
        """The first reason that applies."""
        if self.is_stale(order, 3 * row.open_ms + at):
            return Verdict(False, reason="stale")
        if order.reduce_only:
            if self.account.against(order) == 0:
                return Verdict(False, reason="reduce_only")
        elif small := self.too_small(row, order, at):
            return small
        trails = order.type == "trailing_stop"
        if order.conditional and not trails and self.holds(row, order, at):
            return Verdict(False, reason="would_trigger")
        return None

    def is_stale(self, order: Order, time: int) -> bool:
        """Whether the oracle's last price is too old, at a time in thirds since 1970; who wants out may."""
        if order.reduce_only or self.stale_after == 0:
            return False
        frozen = self.outages.frozen_by(time)
        known = 3 * frozen.start if frozen else time
        return time - self.seen[order.symbol].last(known) > 3 * self.stale_after

    def holds(self, row: Row, order: Order, at: int) -> bool:
        return trigger.holds(order, trigger.price_at(order, row, at))

    def too_many(self, message: list[Order]) -> Verdict | None:
        """Plain market orders are not counted: they do not stay."""
        staying = sum(order.type != "market" for order in message)
        if staying == 0:
            return None
        rules, orders = self.asked.order_rules, self.account.orders
        here = [order for order in orders if order.symbol == message[0].symbol]
        for there, most in ((len(here), rules.most_each), (len(orders), rules.most)):
            if most is not None and there + staying > most:
                return Verdict(False, there, most, reason="open_orders")
        return None

    def too_small(self, row: Row, order: Order, at: int) -> Verdict | None:
        least = self.asked.terms[order.symbol].min_notional
        units = abs(order.left) * self.account.steps[order.symbol]
        price = order.stop if order.limit is None else order.limit
        if price is not None:
            worth = money(price, units)
        elif order.symbol in row.trades:
            worth = row.trade_value(order.symbol, units, at)
        else:
            worth = row.mark_value(order.symbol, units, at)
        return Verdict(False, worth, least, reason="min_notional") if worth < least else None

    # ---- cancels and amendments

    def grant(self, row: Row, wish: Wish, ts_ms: int) -> None:
        said = wish.said
        mine = [o for o in self.account.orders if o.sender == said.sender]
        hit = [o for o in mine if o.number == said.order]
        if said.kind == "cancel":
            self.ends.cancel(hit, ts_ms, "strategy")
            self.outcome.cancels.append(CancelEnd(wish.number, said.order, said.sent_ms, ts_ms, bool(hit)))
        elif said.kind == "cancel_all":
            symbols = [said.symbol] if said.symbol else self.account.names
            self.ends.cancel_of(symbols, ts_ms, "strategy", said.sender)
        elif not hit:
            self.refuse(wish, ts_ms, Verdict(False, reason="not_open"))
        else:
            self.amend(row, wish, hit[0], ts_ms)

    def refuse(self, wish: Wish, ts_ms: int, verdict: Verdict) -> None:
        self.end_amendment(wish, ts_ms, ts_ms, "rejected", verdict)

    def end_amendment(self, wish: Wish, arrived: int, ts_ms: int, status: str, verdict: Verdict) -> None:
        """In the table of orders are amendments that did not come about."""
        said = wish.said
        symbol = self.known[said.order].symbol if said.order in self.known else ""
        self.outcome.orders.append(
            OrderEnd(
                wish.number, said.sent_ms, arrived, ts_ms, symbol, said.lots, status,
                verdict.reason, verdict.have, verdict.need, 0, "amend", said.limit, said.stop, target=said.order,
            )
        )  # fmt: skip

    def amend(self, row: Row, wish: Wish, order: Order, ts_ms: int) -> None:
        said, at = wish.said, row.thirds(ts_ms)
        waits = order.stop is not None and order.triggered < 0
        lacks = (said.limit is not None and order.limit is None) or (said.stop is not None and not waits)
        if lacks or (said.lots != 0 and (order.parent is not None or said.lots * order.sent < 0)):
            self.refuse(wish, ts_ms, Verdict(False, reason="amend"))
            return
        before = (order.sent, order.left, order.limit, order.stop)
        if said.lots != 0:
            order.sent, order.left = said.lots, said.lots - order.filled
            if order.left * order.sent <= 0:
                self.ends.end(order, ts_ms, "cancelled", "strategy")
                return
        order.limit = order.limit if said.limit is None else said.limit
        order.stop = order.stop if said.stop is None else said.stop
        refusal = self.unamendable(row, order, before[1], at)
        if refusal is not None:
            order.sent, order.left, order.limit, order.stop = before
            self.refuse(wish, ts_ms, refusal)
        elif self.crosses_now(row, order, at):
            self.desk.execute(row, order, self.desk.spot(row, order.symbol, at))

    def unamendable(self, row: Row, order: Order, left: int, at: int) -> Verdict | None:
        """Why an order with new values may not be; it had `left` before."""
        if order.state == "armed" and self.holds(row, order, at):
            return Verdict(False, reason="would_trigger")
        if order.post_only and self.crosses_now(row, order, at):
            return Verdict(False, reason="post_only")
        if order.state == "working" and not order.reduce_only and abs(order.left) > abs(left):
            order.state = "busy"  # counted with the new size, not with both
            verdict = Margin(self.account, self.asked, row, at).may_wait(order.symbol, order.left, False)
            order.state = "working"
            return None if verdict.admitted else verdict
        return None

    def crosses_now(self, row: Row, order: Order, at: int) -> bool:
        price = row.trade_price(order.symbol, at)
        return trigger.rests(order) and price is not None and self.desk.crosses(order, price)

    # ---- the end of the run

    def expire(self, ts_ms: int) -> None:
        """What is at the venue, and what has not arrived; children first, so that all have the same reason."""
        for order in reversed(self.known.values()):
            if not order.ended:
                self.ends.end(order, ts_ms, "expired", "end_of_run")
        for wish in self.wishes:
            if wish.said.kind == "cancel":
                self.outcome.cancels.append(CancelEnd(wish.number, wish.said.order, wish.said.sent_ms, -1, False))
            elif wish.said.kind == "amend":
                self.end_amendment(wish, -1, ts_ms, "expired", Verdict(False, reason="end_of_run"))
