"""What the strategy does at a close: sends orders, targets and cancels, and changes settings."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from tests.reference.account import Account
from tests.reference.admission import Margin
from tests.reference.books import Books
from tests.reference.margin import Asked
from tests.reference.market import Message, Symbol
from tests.reference.numbers import money, share, sign
from tests.reference.orders import Orders
from tests.reference.path import Row
from tests.reference.transfer import Transfers


class Script:
    def __init__(
        self,
        messages: list[Message],
        known: dict[str, dict[int, float]],
        symbols: dict[str, Symbol],
        account: Account,
        asked: Asked,
        orders: Orders,
        books: Books,
        transfers: Transfers,
    ) -> None:
        self.messages, self.known, self.symbols = messages, known, symbols
        self.account, self.asked, self.orders, self.books = account, asked, orders, books
        self.transfers = transfers

    def check(self, interval_ms: int) -> None:
        """A strategy is called at closes of rows in which something traded, and knows symbols that have begun."""
        for message in self.messages:
            open_ms = message.sent_ms - interval_ms
            if not any(open_ms in s.candles for s in self.symbols.values()):
                raise ValueError(f"no strategy is called at {message.sent_ms}")
            for one in message.children if message.kind == "oco" else (message,):
                if one.symbol and open_ms < self.symbols[one.symbol].first_ms:
                    raise ValueError(f"{one.symbol} has not begun at {message.sent_ms}")
                if one.kind == "order" and one.lots == 0:
                    raise ValueError(f"an order of no lots at {message.sent_ms}")

    def send(self, row: Row) -> None:
        for message in self.messages:
            if message.sent_ms == row.close_ms:
                self.act(row, message)

    def act(self, row: Row, message: Message) -> None:
        self.account.sender = message.sender
        if message.kind in ("cancel", "cancel_all", "amend"):
            self.orders.send_wish(message)
        elif message.kind == "leverage":
            self.asked.leverage[message.symbol] = message.value
        elif message.kind == "add_margin":
            self.add_margin(row, message.symbol, message.amount)
        elif message.kind == "mode":
            self.set_mode(message.symbol, message.mode)
        elif message.kind == "deposit":
            self.transfers.deposit(row, self.orders.number(), message.amount, message.route)
        elif message.kind == "withdraw":
            self.transfers.withdraw(row, self.orders.number(), message.amount, message.route)
        elif message.kind == "oco":
            self.orders.send_group(
                [(replace(one, sent_ms=row.close_ms), self.decision(row, one)) for one in message.children]
            )
        elif message.kind == "order":
            self.orders.send_order(message, self.decision(row, message))
        else:
            lots = self.target_order(row, message)
            if lots != 0:
                self.orders.send_order(replace(message, kind="order", lots=lots), self.decision(row, message))

    def decision(self, row: Row, message: Message) -> float:
        return self.last_price(row, self.symbols[message.symbol])

    # ---- settings

    def add_margin(self, row: Row, symbol: str, amount: int) -> None:
        """Nothing happens without a position in a pool of its own, or where the wallet may not give so much."""
        if not self.account.own[symbol] or self.account.lots[symbol] == 0:
            return
        if Margin(self.account, self.asked, row, row.end).may_leave(amount):
            self.books.move(row.close_ms, symbol, amount)

    def set_mode(self, symbol: str, mode: str) -> None:
        """Only for a symbol with neither a position nor an order, on its way or waiting."""
        if self.account.lots[symbol] == 0 and not self.orders.open(symbol):
            self.account.own[symbol] = mode == "isolated"

    # ---- targets

    def equity_as_known(self, row: Row) -> int:
        """What a decision at the close is sized by."""
        values = [money(self.known[name][row.open_ms], self.account.units(name)) for name in self.account.held()]
        return self.account.wallet + sum(self.account.pools.values()) + sum(values)

    def target_order(self, row: Row, message: Message) -> int:
        """Lots from here to the target, less what is on its way or waiting."""
        name = message.symbol
        wanted = share(self.equity_as_known(row), message.weight)
        lot_value = Fraction(self.last_price(row, self.symbols[name])) * self.symbols[name].step_micro
        target = sign(wanted) * (abs(wanted) // lot_value)
        return int(target) - self.account.held_by(message.sender, name) - self.orders.outstanding(name)

    def last_price(self, row: Row, symbol: Symbol) -> float:
        """The trade's close; the mark's in a gap; of a symbol that is over, its last mark."""
        if symbol.name in row.trades:
            return row.trades[symbol.name].close
        return self.known[symbol.name][min(row.open_ms, symbol.last_ms)]
