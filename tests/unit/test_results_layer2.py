"""Books with a reserve, money in flight and gas: exact, explained, and in every table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.core import records
from backtest.core.enums import CROSS_POOL, Cause, GasKind, Reason, Status, TransferKind, TransferState
from backtest.core.records import Record
from backtest.results.ledger import COSTS, FLOWS, balance
from backtest.results.metrics import metrics
from backtest.results.reorgs import standing
from backtest.results.reserve import Outside, total
from backtest.results.tables import tables
from backtest.results.trades import round_trips
from tests.examples import examples
from tests.rules_index import rule
from tests.unit.results_records import (
    CHAIN,
    DAY,
    START,
    bridged,
    closes,
    cross,
    held,
    idle,
    isolated,
    micro,
    replace,
    rows,
    values,
)

pytestmark = rule("layer2 7")


def measure(record: Record) -> dict[str, Any]:
    return metrics(record, balance(record), round_trips(record))


def whole(amount: float) -> int:
    return round(amount * 1e6)


# Books


def test_books() -> None:
    books = balance(bridged())
    assert books.balances == {
        "capital": -micro(1500),
        "wallet": micro(742.60),
        "reserve": micro(594),  # 500 − 200 − 1 + 295
        "in_flight": micro(50),
        "trades": micro(100.10),
        "fees": micro(0.05),  # 0.05 + 0.06 − 0.06
        "gas": micro(6.25),  # 1 + 0.5 + 2 + 0.25 + 0.5 + 2
        "bridge_fees": micro(7),  # 2 + 5
        "funding": 0,
        "insurance": 0,
        "bad_debt": 0,
        "pool:BTC-USD": 0,
    }
    assert (books.equity_start, books.equity_end) == (micro(1500), micro(1506.60))
    # 120 − 100.10 and the 0.10 of spread that was in it; the fill that was undone is in nothing.
    assert books.flows == dict.fromkeys(FLOWS, 0) | {
        "price_moves": micro(20),
        "spread": micro(0.10),
        "fees": micro(0.05),
        "gas": micro(6.25),
        "bridge_fees": micro(7),
    }


def test_the_ledger_of_money_that_moves() -> None:
    ledger = balance(bridged()).ledger.frame()
    assert [(*row[1:3], row[3] / 1e6, *row[4:]) for row in ledger.rows()] == [
        ("wallet", "capital", 1000, "deposit", "deposit 0"),
        ("reserve", "capital", 500, "deposit", "deposit 1"),
        ("gas", "reserve", 1, "gas", "gas 0"),
        ("in_flight", "reserve", 200, "transfer", "transfer 0"),
        ("gas", "wallet", 0.5, "gas", "gas 1"),
        ("trades", "wallet", 100.10, "trade", "fill 0"),
        ("fees", "wallet", 0.05, "fee", "fill 0"),
        ("gas", "wallet", 2, "gas", "gas 2"),
        ("in_flight", "wallet", 300, "transfer", "transfer 1"),
        ("gas", "wallet", 0.25, "gas", "gas 3"),
        ("wallet", "in_flight", 198, "transfer", "transfer 2"),
        ("bridge_fees", "in_flight", 2, "bridge", "transfer 2"),
        ("reserve", "in_flight", 295, "transfer", "transfer 4"),
        ("bridge_fees", "in_flight", 5, "bridge", "transfer 4"),
        ("gas", "wallet", 0.5, "gas", "gas 4"),
        ("trades", "wallet", 110.22, "trade", "fill 1"),
        ("fees", "wallet", 0.06, "fee", "fill 1"),
        ("wallet", "trades", 110.22, "trade", "fill 2"),
        ("wallet", "fees", 0.06, "fee", "fill 2"),
        ("gas", "wallet", 2, "gas", "gas 5"),
        ("in_flight", "wallet", 50, "transfer", "transfer 5"),
    ]


@pytest.mark.parametrize(
    ("table", "row", "field", "by", "account"),
    [
        ("gas", 0, "amount", 1, "reserve"),
        ("gas", 1, "amount", -1, "wallet"),
        ("gas", 2, "kind", GasKind.DEPOSIT - GasKind.WITHDRAWAL, "wallet"),
        ("transfers", 0, "amount", 1, "reserve"),
        ("transfers", 1, "amount", 1, "wallet"),
        ("transfers", 2, "fee", 1, "wallet"),
        ("transfers", 2, "amount", 1, "wallet"),
        ("transfers", 4, "fee", -1, "reserve"),
        ("transfers", 3, "state", TransferState.SENT - TransferState.REJECTED, "reserve"),
        ("transfers", 5, "kind", TransferKind.DEPOSIT - TransferKind.WITHDRAWAL, "wallet"),
    ],
)
def test_a_journal_that_is_off_does_not_balance(table: str, row: int, field: str, by: int, account: str) -> None:
    record = bridged()
    copy = getattr(record, table)[:].copy()
    copy[field][row] += by
    with pytest.raises(AssertionError, match=f"^{account}: the books say"):
        balance(replace(record, **{table: copy}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"final_reserve": micro(594) + 1}, "reserve: the books say 594000000 micro, the engine 594000001"),
        ({"final_in_flight": 0}, "in_flight: the books say 50000000 micro, the engine 0"),
        ({"reserve": micro(500) - 1}, "reserve: the books say 593999999 micro, the engine 594000000"),
        ({"orders": bridged().orders[:1]}, "gas of order 5, which is not in the journal"),
    ],
)
def test_an_engine_that_keeps_something_else_does_not_balance(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        balance(replace(bridged(), **changes))


def test_a_fee_is_no_more_than_its_transfer_and_gas_is_paid() -> None:
    record = bridged()
    moved, gas = record.transfers.copy(), record.gas.whole()
    moved["fee"][2] = moved["amount"][2] + 1
    gas["amount"][3] = -micro(0.25)
    with pytest.raises(AssertionError, match="transfer 2: a fee of 200000001 micro"):
        balance(replace(record, transfers=moved, final_wallet=micro(544.6) - 1))
    with pytest.raises(AssertionError, match="gas 3: -250000 micro"):
        balance(replace(record, gas=gas, final_wallet=micro(743.1)))


def test_gas_of_orders_is_their_markets_and_the_rest_is_nobodys() -> None:
    btc, nobody = tables(bridged())["attribution"].rows(named=True)
    assert (btc["symbol"], btc["gas"], btc["bridge_fees"]) == ("BTC-USD", 1, 0)
    assert btc["change"] == 18.85  # 20 − 0.10 − 0.05 − 1
    assert (nobody["symbol"], nobody["gas"], nobody["bridge_fees"], nobody["change"]) == (None, 5.25, 7, -12.25)


def test_the_wallet_of_isolated_pools_pays() -> None:
    # 2,665 in the end, of which 65 of gas and 600 withdrawn: 2,000 left.
    at = {"ts_ms": START + 2 * DAY}
    gas = rows(records.GAS, {"seq": 10, "order_id": 7, "kind": GasKind.WITHDRAWAL, "amount": micro(65), **at})
    moved = rows(records.TRANSFER, {"seq": 11, "order_id": 7, "kind": 1, "amount": micro(600), "arrives_ms": 0, **at})
    record = replace(isolated(), gas=gas, transfers=moved, final_wallet=micro(2000), final_in_flight=micro(600))
    curve = values(record.curve)
    curve[-1, :2] = 2000
    record = replace(record, curve=closes(curve))
    books = balance(record)
    assert (books.balances["in_flight"], books.flows["gas"], books.equity_end) == (micro(600), micro(65), micro(2600))


# Equity rows and metrics


def test_where_the_money_is_at_each_close() -> None:
    equity = tables(bridged())["equity"]
    # What is sent at a close, and what arrives at it, is in the next row: the wallet of the row is before both.
    assert equity["reserve"].to_list() == [500, 299, 299, 594, 594]
    assert equity["in_flight"].to_list() == [0, 200, 500, 0, 0]
    assert equity["equity"].to_list() == [1000, 1004.35, 687.10, 904.60, 914.60]
    # 1,500; 1,503.35; 1,486.10; 1,498.60; 1,508.60
    assert equity["drawdown"].to_list() == pytest.approx([0, 0, 1486.10 / 1503.35 - 1, 1498.60 / 1503.35 - 1, 0])


def test_metrics_are_those_of_the_total() -> None:
    got = measure(bridged())
    assert (got["start_cash"], got["final_equity"]) == (1500, 1506.60)
    assert (got["final_reserve"], got["final_in_flight"]) == (594, 50)
    assert got["return"] == pytest.approx(6.60 / 1500)
    assert got["max_drawdown"] == pytest.approx(1486.10 / 1503.35 - 1)  # of the venue alone it would be −31.6 %
    assert got["max_drawdown_days"] == 3  # from the second close to the fifth
    daily = np.diff([1500, 1500, 1503.35, 1486.10, 1498.60, 1508.60]) / [1500, 1500, 1503.35, 1486.10, 1498.60]
    assert got["volatility"] == pytest.approx(np.std(daily, ddof=1) * np.sqrt(365))
    # What stands of the fills, over the mean of the total: 7,496.65 / 5, five of 365 days.
    assert got["turnover"] == pytest.approx(100.10 / 1499.33 * 73)
    # How much is at stake at the venue goes by what is there.
    assert got["max_leverage"] == pytest.approx(120 / 914.60)
    assert got["margin_use_peak"] == pytest.approx(0.05 * 120 / 914.60)
    assert (got["gas"], got["bridge_fees"], got["slippage"]) == (6.25, 7, 0.10)
    assert (got["fills"], got["undone_fills"]) == (3, 1)


@pytest.mark.parametrize("record", [cross(), isolated(), held([110, 99, 108.9, 98.01, 107.811])])
def test_without_a_reserve_the_total_is_the_equity_to_the_last_bit(record: Record) -> None:
    assert np.array_equal(total(record), record.curve["equity"])
    reserve, in_flight = Outside(record).at(0, len(record.curve))
    assert not reserve.any()
    assert not in_flight.any()
    got = measure(record)
    assert (got["final_reserve"], got["final_in_flight"], got["gas"], got["bridge_fees"]) == (0, 0, 0, 0)


def test_a_reserve_alone_is_part_of_the_total() -> None:
    # 100 at the venue fall to 50, 100 in the reserve stay: a quarter of 200, not half.
    record = held([50.0, 60.0], reserve=micro(100), final_reserve=micro(100))
    assert tables(record)["equity"]["drawdown"].to_list() == pytest.approx([-0.25, -0.2])
    got = measure(record)
    assert (got["start_cash"], got["final_equity"], got["return"], got["max_drawdown"]) == (200, 160, -0.2, -0.25)


# Tables


def test_the_table_of_transfers() -> None:
    table = tables(bridged(), chain=CHAIN)["transfers"]
    assert table.select("transfer_id", "kind", "state", "route", "amount", "fee", "reason").rows() == [
        (0, "deposit", "sent", "canonical", 200, 0, None),
        (2, "withdrawal", "sent", "fast", 300, 0, None),
        (0, "deposit", "arrived", "canonical", 200, 2, None),
        (4, "deposit", "rejected", "canonical", 9999, 0, "reserve: 299.00 there, 10,000.00 needed"),
        (2, "withdrawal", "arrived", "fast", 300, 5, None),
        (6, "withdrawal", "sent", "fast", 50, 0, None),
    ]
    day_4 = datetime(2025, 1, 4, tzinfo=UTC)
    assert table["arrives"].to_list()[:4] == [day_4, day_4.replace(hour=12), day_4, None]
    assert table["ts"][2] == day_4
    # Without a chain there is one way.
    assert set(tables(bridged())["transfers"]["route"]) == {"direct"}


@pytest.mark.parametrize(
    ("why", "text"),
    [
        ({"reason": Reason.QUANTITY}, "quantity"),
        ({"reason": Reason.GATED}, "gated"),
        ({"reason": Reason.GATED, "have": 0, "need": micro(5)}, "gated: 0.00 may leave, 5.00 needed"),
        ({"reason": Reason.COLLATERAL, "have": micro(80), "need": micro(101)}, "collateral: 80.00 free, 101.00 needed"),
        (
            {"reason": Reason.RESERVE, "have": micro(1) - 1, "need": micro(1)},
            "reserve: 0.999999 there, 1.000000 needed",
        ),
    ],
)
def test_why_a_transfer_was_refused(why: dict[str, Any], text: str) -> None:
    row = {"ts_ms": START, "state": TransferState.REJECTED, "arrives_ms": -1, **why}
    assert tables(idle(transfers=rows(records.TRANSFER, row)))["transfers"]["reason"].to_list() == [text]


def test_the_table_of_gas() -> None:
    assert tables(bridged())["gas"].select("order_id", "kind", "amount").rows() == [
        (0, "deposit", 1), (1, "order", 0.5), (2, "withdrawal", 2), (3, "cancel", 0.25), (5, "order", 0.5),
        (6, "withdrawal", 2),
    ]  # fmt: skip


def test_an_order_that_could_not_pay_says_both_numbers() -> None:
    order = {"status": Status.REJECTED, "reason": Reason.GAS, "have": micro(0.2), "need": micro(0.5)}
    shown = tables(idle(orders=rows(records.ORDER, order)))["orders"]["reason"].to_list()
    assert shown == ["gas: equity 0.20 would not pay 0.50"]


# Whatever happens


class Life:
    """An account of ten rows of 100 ms, event by event; a lot is a millionth, so a mark is its value in micro."""

    def __init__(self, cash: int, reserve: int) -> None:
        self.cash, self.start_reserve = cash, reserve
        self.wallet, self.reserve, self.flight, self.lots = cash, reserve, 0, 0
        self.gas: list[dict[str, Any]] = []
        self.moved: list[dict[str, Any]] = []
        self.fills: list[dict[str, Any]] = []
        self.underway: list[dict[str, Any]] = []
        self.soft: list[dict[str, Any]] = []
        self.seen: list[tuple[int, int]] = []

    def pay(self, at: dict[str, Any], kind: GasKind, amount: int) -> None:
        self.gas.append({**at, "kind": kind, "amount": amount})
        if kind == GasKind.DEPOSIT:
            self.reserve -= amount
        else:
            self.wallet -= amount

    def send(self, at: dict[str, Any], kind: TransferKind, amount: int) -> None:
        self.moved.append({**at, "kind": kind, "amount": amount, "seq": at["seq"] + 1})
        self.underway.append(self.moved[-1])
        self.flight += amount
        if kind == TransferKind.DEPOSIT:
            self.reserve -= amount
        else:
            self.wallet -= amount

    def arrive(self, at: dict[str, Any], which: int, share: float) -> None:
        sent = self.underway.pop(which)
        fee = int(sent["amount"] * share)
        self.moved.append({**sent, **at, "order_id": sent["order_id"], "state": TransferState.ARRIVED, "fee": fee})
        self.flight -= sent["amount"]
        if sent["kind"] == TransferKind.DEPOSIT:
            self.wallet += sent["amount"] - fee
        else:
            self.reserve += sent["amount"] - fee

    def fill(self, row: dict[str, Any]) -> None:
        self.fills.append(row)
        self.wallet += row["quote"] - row["fee"]
        self.lots += row["lots"]

    def undo(self, at: dict[str, Any]) -> None:
        was = self.soft.pop()
        back = {name: -was[name] for name in ("lots", "quote", "fee")}
        self.fill({**was, **at, **back, "order_id": was["order_id"], "spread": 0, "cause": Cause.REORG})

    def record(self, mark: int) -> Record:
        curve = np.zeros((10, len(records.CURVE)))
        curve[-1, 0] = (self.wallet + self.lots * mark) / 1e6
        record = idle(
            interval_ms=100, step_micro=np.array([1]), curve=closes(curve), gas=rows(records.GAS, *self.gas),
            transfers=rows(records.TRANSFER, *self.moved), fills=rows(records.FILL, *self.fills),
            final_wallet=self.wallet, final_lots=np.array([self.lots]), final_mark=np.array([float(mark)]),
            reserve=self.start_reserve, final_reserve=self.reserve, final_in_flight=self.flight,
        )  # fmt: skip
        return replace(record, cash=self.cash)


@st.composite
def lives(draw: st.DrawFn) -> tuple[Record, list[tuple[int, int]]]:
    """A record, and the reserve and the money in flight at each of its closes."""
    life = Life(draw(st.integers(1, 10**9)), draw(st.integers(0, 10**9)))
    for n, time in enumerate(sorted(draw(st.lists(st.integers(0, 999), max_size=14)))):
        # What is stamped with a close comes after its row.
        life.seen += [(life.reserve, life.flight)] * (time // 100 - len(life.seen))
        at = {"seq": 10 * n, "ts_ms": START + time, "order_id": n}
        what = draw(st.sampled_from(("deposit", "withdraw", "arrive", "fill", "undo", "gas")))
        paid, amount = draw(st.integers(0, 10**6)), draw(st.integers(1, 10**8))
        if what == "deposit" and amount + paid <= life.reserve:
            life.pay(at, GasKind.DEPOSIT, paid)
            life.send(at, TransferKind.DEPOSIT, amount)
        elif what == "withdraw" and amount + paid <= life.wallet:
            life.pay(at, GasKind.WITHDRAWAL, paid)
            life.send(at, TransferKind.WITHDRAWAL, amount)
        elif what == "arrive" and life.underway:
            life.arrive(at, draw(st.integers(0, len(life.underway) - 1)), draw(st.floats(0, 1)))
        elif what == "fill":
            size, cost = draw(st.sampled_from((-2, -1, 1, 3))), draw(st.integers(0, 99))
            costs = {"quote": -size * amount - cost, "fee": paid, "spread": cost, "pool": CROSS_POOL}
            life.fill({**at, "lots": size, **costs})
            life.soft.append(life.fills[-1])
        elif what == "undo" and life.soft:
            life.undo(at)
        else:
            life.pay(at, GasKind.CANCEL, paid)
    life.seen += [(life.reserve, life.flight)] * (10 - len(life.seen))
    return life.record(draw(st.integers(0, 10**6))), life.seen


@settings(max_examples=examples(300), deadline=None)
@given(lives())
def test_every_micro_is_somewhere_and_explained(life: tuple[Record, list[tuple[int, int]]]) -> None:
    record, seen = life
    books, frames = balance(record), tables(record)
    value = int(record.final_lots[0]) * int(record.final_mark[0])
    assert books.equity_end == record.final_wallet + value + record.final_reserve + record.final_in_flight
    assert list(zip(*(part.tolist() for part in Outside(record).at(0, len(record.curve))), strict=True)) == seen
    assert [whole(v) for v in frames["equity"]["reserve"]] == [reserve for reserve, _ in seen]
    shares = frames["attribution"]
    assert sum(whole(v) for v in shares["change"]) == books.equity_end - books.equity_start
    for row in shares.rows(named=True):
        assert sum((-1 if name in COSTS else 1) * whole(row[name]) for name in FLOWS) == whole(row["change"])
    # An undone fill costs nothing: what is charged for spreads is that of the fills that stand.
    stands = standing(record.fills)
    assert whole(shares["spread"].sum()) == int(stands["spread"].sum())
    assert books.balances["fees"] == int(stands["fee"].sum())
    assert not pl.Series(frames["ledger"]["amount_micro"] <= 0).any()
