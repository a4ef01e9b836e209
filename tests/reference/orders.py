"""Section 6: messages on their way, orders that wait, and fills."""

from __future__ import annotations

from dataclasses import dataclass

from tests.reference.account import Account, Order
from tests.reference.admission import Margin, Verdict
from tests.reference.books import Books
from tests.reference.margin import Asked
from tests.reference.market import Config, Symbol
from tests.reference.numbers import share
from tests.reference.outcome import CancelEnd, Fill, OrderEnd, Outcome
from tests.reference.path import Row


@dataclass(frozen=True)
class Cancel:
    number: int
    ts_sent: int
    order: int


class Orders:
    def __init__(
        self,
        config: Config,
        account: Account,
        asked: Asked,
        symbols: dict[str, Symbol],
        books: Books,
        outcome: Outcome,
    ) -> None:
        self.config, self.account, self.asked = config, account, asked
        self.symbols, self.books, self.outcome = symbols, books, outcome
        self.flying: list[tuple[int, Order | Cancel]] = []
        """(arrival, message), in the order sent."""
        self.sent = 0

    # ---- sending and arriving

    def send_order(self, ts_ms: int, symbol: str, lots: int, reduce_only: bool) -> None:
        order = Order(self.sent, ts_ms, symbol, lots, reduce_only, lots)
        self.flying.append((ts_ms + self.config.latency_ms, order))
        self.sent += 1

    def send_cancel(self, ts_ms: int, number: int) -> None:
        self.flying.append((ts_ms + self.config.latency_ms, Cancel(self.sent, ts_ms, number)))
        self.sent += 1

    def open(self, symbol: str) -> list[Order]:
        """Orders of the symbol that are on their way or waiting."""
        orders = [message for _, message in self.flying if isinstance(message, Order)] + self.account.waiting
        return [order for order in orders if order.symbol == symbol]

    def outstanding(self, symbol: str) -> int:
        """Their signed lots."""
        return sum(order.lots for order in self.open(symbol))

    def retry_waiting(self, row: Row) -> None:
        """At a row's open: waiting orders of symbols that trade again, in order of arrival, then of number."""
        for order in sorted(self.account.waiting, key=lambda o: (o.ts_arrived, o.number)):
            if order.symbol in row.trades:
                self.account.waiting.remove(order)
                self.judge(row, order, row.open_ms)

    def deliver(self, row: Row, ts_ms: int) -> None:
        arrived = [message for arrival, message in self.flying if arrival == ts_ms]
        self.flying = [entry for entry in self.flying if entry[0] != ts_ms]
        for message in sorted(arrived, key=lambda m: m.number):
            if isinstance(message, Cancel):
                self.cancel(message, ts_ms)
            else:
                message.ts_arrived = ts_ms
                self.judge(row, message, ts_ms)

    def cancel(self, message: Cancel, ts_ms: int) -> None:
        hit = [order for order in self.account.waiting if order.number == message.order]
        for order in hit:
            self.account.waiting.remove(order)
            self.end(order, ts_ms, "cancelled", "strategy")
        self.outcome.cancels.append(CancelEnd(message.number, message.order, message.ts_sent, ts_ms, bool(hit)))

    def cancel_for_liquidation(self, ts_ms: int, symbols: list[str]) -> None:
        for order in [o for o in self.account.waiting if o.symbol in symbols]:
            self.account.waiting.remove(order)
            self.end(order, ts_ms, "cancelled", "liquidation")

    def expire(self, ts_ms: int) -> None:
        """End of the run: what waits, and what has not arrived."""
        for order in self.account.waiting:
            self.end(order, ts_ms, "expired", "end_of_run")
        for _, message in self.flying:
            if isinstance(message, Cancel):
                self.outcome.cancels.append(CancelEnd(message.number, message.order, message.ts_sent, -1, False))
            else:
                self.end(message, ts_ms, "expired", "end_of_run")
        self.account.waiting, self.flying = [], []

    def end(self, order: Order, ts_ms: int, status: str, reason: str, verdict: Verdict | None = None) -> None:
        have, need = (verdict.have, verdict.need) if verdict else (0, 0)
        filled = order.lots if status == "filled" else 0
        self.outcome.orders.append(
            OrderEnd(order.number, order.ts_sent, order.ts_arrived, ts_ms, order.symbol, order.sent_lots,
                     status, reason, have, need, filled)
        )  # fmt: skip

    # ---- judging and filling

    def judge(self, row: Row, order: Order, ts_ms: int) -> None:
        """An order that is not among the waiting: reject it, let it wait, or fill it."""
        if row.open_ms > self.symbols[order.symbol].last_ms:
            self.end(order, ts_ms, "rejected", "delisted")
            return
        held = self.account.lots[order.symbol]
        if order.reduce_only and held * order.lots >= 0:
            self.end(order, ts_ms, "rejected", "reduce_only")
            return
        if order.symbol in row.trades:
            if order.reduce_only:
                order.lots = max(order.lots, -held) if held > 0 else min(order.lots, -held)
            self.fill(row, order, ts_ms)
            return
        margin = Margin(self.account, self.asked, row, row.thirds(ts_ms))
        verdict = margin.may_wait(order.symbol, order.lots, order.reduce_only)
        if verdict.admitted:
            self.account.waiting.append(order)
        else:
            self.end(order, ts_ms, "rejected", verdict.reason, verdict)

    def fill(self, row: Row, order: Order, ts_ms: int) -> None:
        at, name, lots = row.thirds(ts_ms), order.symbol, order.lots
        gross = row.trade_value(name, abs(lots) * self.account.steps[name], at)
        slip = share(gross, self.config.slippage)
        quote = -(gross + slip) if lots > 0 else gross - slip
        fee = share(abs(quote), self.config.fee)
        verdict = Margin(self.account, self.asked, row, at).may_fill(name, lots, quote - fee, order.reduce_only)
        if not verdict.admitted:
            self.end(order, ts_ms, "rejected", verdict.reason, verdict)
            return
        realized = self.account.trade(name, lots, quote)
        self.account.pay(self.account.pool_of(name), quote - fee)
        self.outcome.fills.append(Fill(order.number, ts_ms, name, lots, quote, fee, slip, realized, "strategy"))
        self.books.move(ts_ms, name, verdict.moved)
        self.end(order, ts_ms, "filled", "none")
        self.books.traded(ts_ms, name)
