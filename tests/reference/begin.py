"""Section 2.1: positions that the account has at the start."""

from __future__ import annotations

from tests.reference.account import Account
from tests.reference.books import Books
from tests.reference.market import Message, Placed
from tests.reference.numbers import money
from tests.reference.orders import Orders
from tests.reference.outcome import NO_ORDER, Fill, Outcome
from tests.reference.path import Row


def begin(
    placed: tuple[Placed, ...], row: Row, account: Account, books: Books, orders: Orders, outcome: Outcome
) -> None:
    """Put the positions in place before the first row is played, and send orders for the others."""
    for one in placed:
        if one.entry is not None:
            take_over(one, one.entry, row, account, books, outcome)
    for one in placed:
        if one.entry is None:
            orders.send_order(Message(row.open_ms, "order", one.symbol, one.lots), row.trades[one.symbol].open)


def take_over(one: Placed, entry: float, row: Row, account: Account, books: Books, outcome: Outcome) -> None:
    units = one.lots * account.steps[one.symbol]
    cost = money(entry, units)
    account.trade(one.symbol, one.lots, -cost)
    account.pay(account.pool_of(one.symbol), -cost)
    outcome.fills.append(Fill(NO_ORDER, row.open_ms, one.symbol, one.lots, -cost, 0, 0, "opening"))
    if account.own[one.symbol]:
        books.move(row.open_ms, one.symbol, one.posted)
    outcome.opening_profit += money(row.marks[one.symbol].open, units) - cost
