"""Books: exact, explained, and refused when a single row of the journal is not true."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from backtest.core import records
from backtest.core.enums import CROSS_POOL, Liquidity
from backtest.core.records import Record
from backtest.results.ledger import FLOWS, balance
from tests.unit.results_records import DAY, START, cross, held, idle, isolated, micro, replace, rows


def test_cross_books() -> None:
    books = balance(cross())
    assert books.balances == {
        "capital": -micro(100_000),
        "wallet": micro(128_313.307125),
        "trades": -micro(28_407.75),  # −(−50,025 + 29,985 + 76,461.75 − 28,014)
        "fees": micro(92.242875),  # 25.0125 + 14.9925 + 38.230875 + 14.007
        "funding": micro(2.2),  # 5.10 paid − 2.90 received
        "insurance": 0,
        "bad_debt": 0,
        "pool:BTC-USD": 0,
        "pool:ETH-USD": 0,
        "reserve": 0,
        "in_flight": 0,
        "gas": 0,
        "bridge_fees": 0,
    }
    assert books.flows == dict.fromkeys(FLOWS, 0) | {
        "price_moves": micro(2510),  # 28,407.75 − 26,000 of the short that is left, and the costs that were in prices:
        "spread": micro(79),  # 20 + 15 + 30 + 14
        "impact": micro(10),  # 5 + 5
        "latency": micro(13.25),  # 10 from decision to arrival, 3.25 of drift
        "funding": micro(-2.2),
        "fees": micro(92.242875),
    }
    assert books.equity_end - books.equity_start == micro(2313.307125)
    assert books.by_symbol["BTC-USD"] == {
        "price_moves": micro(510),  # −50,025 + 76,461.75 − 26,000 + 50 + 10 + 13.25
        "funding": micro(-5.1),
        "fees": micro(63.243375),
        "spread": micro(50),
        "impact": micro(10),
        "latency": micro(13.25),
        "penalties": 0,
        "insurance": 0,
        "bad_debt": 0,
        "gas": 0,
        "bridge_fees": 0,
    }


def test_isolated_books_with_penalty_and_bad_debt() -> None:
    books = balance(isolated())
    assert books.balances == {
        "capital": -micro(10_000),
        "wallet": micro(2665),
        "trades": micro(8000),
        "fees": micro(40),
        "funding": 0,
        "insurance": micro(320),
        "bad_debt": -micro(1025),
        "pool:BTC-USD": 0,
        "pool:ETH-USD": 0,
        "reserve": 0,
        "in_flight": 0,
        "gas": 0,
        "bridge_fees": 0,
    }
    # −8,000 − 40 − 320 + 1,025 = −7,335 = 2,665 − 10,000
    assert books.flows == dict.fromkeys(FLOWS, 0) | {
        "price_moves": -micro(8000),
        "fees": micro(40),
        "penalties": micro(320),
        "bad_debt": micro(1025),
    }
    assert books.by_symbol["ETH-USD"]["penalties"] == micro(320)


def test_ledger_is_in_the_order_of_the_journal_and_the_debited_receives() -> None:
    ledger = balance(isolated()).ledger.frame()
    assert [(*row[1:3], row[3] / 1e6, *row[4:]) for row in ledger.rows()] == [
        ("wallet", "capital", 10_000, "deposit", "deposit 0"),
        ("pool:BTC-USD", "wallet", 5000, "margin", "move 0"),
        ("trades", "pool:BTC-USD", 50_000, "trade", "fill 0"),
        ("fees", "pool:BTC-USD", 25, "fee", "fill 0"),
        ("pool:ETH-USD", "wallet", 3000, "margin", "move 1"),
        ("pool:ETH-USD", "trades", 30_000, "trade", "fill 1"),
        ("fees", "pool:ETH-USD", 15, "fee", "fill 1"),
        ("pool:BTC-USD", "trades", 44_000, "trade", "fill 2"),
        ("pool:BTC-USD", "bad_debt", 1025, "bad_debt", "liquidation 0"),
        ("trades", "pool:ETH-USD", 32_000, "trade", "fill 3"),
        ("insurance", "pool:ETH-USD", 320, "penalty", "liquidation 1"),
        ("wallet", "pool:ETH-USD", 665, "margin", "move 2"),
    ]
    assert ledger["ts"].dt.epoch("ms").to_list() == [START, *[START + DAY] * 6, *[START + 2 * DAY] * 5]


def test_an_idle_account_has_one_posting() -> None:
    books = balance(idle(100))
    assert books.ledger.frame().height == 1
    assert books.equity_end == micro(100)


@pytest.mark.parametrize(("mark", "value"), [(0.5, 0), (1.5, 2), (2.5, 2), (2.500001, 3)])
def test_the_last_valuation_rounds_the_exact_value_half_to_even(mark: float, value: int) -> None:
    # One lot of a millionth of the base: mark × 1 micro, so the mark is the value in micro.
    fill = {"seq": 1, "ts_ms": START, "pool": CROSS_POOL, "lots": 1, "quote": -1}
    record = idle(
        1,
        step_micro=np.array([1]),
        fills=rows(records.FILL, fill),
        final_wallet=micro(1) - 1,
        final_lots=np.array([1]),
        final_mark=np.array([mark]),
    )
    assert balance(record).equity_end == micro(1) - 1 + value


def test_the_last_valuation_is_exact_where_doubles_are_not() -> None:
    # 3 × 3,002,399,751,580,331 = 9,007,199,254,740,993 = 2^53 + 1, which no double holds.
    fill = {"seq": 1, "ts_ms": START, "pool": CROSS_POOL, "lots": 3_002_399_751_580_331}
    record = idle(
        1,
        step_micro=np.array([1]),
        fills=rows(records.FILL, fill),
        final_lots=np.array([3_002_399_751_580_331]),
        final_mark=np.array([3.0]),
    )
    assert balance(record).equity_end == micro(1) + 2**53 + 1


def _tampered(record: Record, table: str, row: int, field: str, by: float) -> Record:
    copy = getattr(record, table)[:].copy()
    copy[field][row] += by
    return replace(record, **{table: copy})


JOURNAL = [
    ("fills", 2, "quote", 1),
    ("fills", 3, "fee", 1),
    ("fills", 3, "fee", -2),
    ("fills", 1, "lots", 1),
    ("fills", 0, "pool", 1),
    ("moves", 2, "amount", -1),
    ("liquidations", 1, "insurance", 1),
    ("liquidations", 0, "bad_debt", -1),
]


@pytest.mark.parametrize(("table", "row", "field", "by"), JOURNAL)
def test_a_journal_that_is_off_by_one_does_not_balance(table: str, row: int, field: str, by: int) -> None:
    with pytest.raises(AssertionError, match=r"the books say|fills add up to"):
        balance(_tampered(isolated(), table, row, field, by))


@pytest.mark.parametrize("table", ["fills", "funding", "moves", "liquidations"])
def test_a_lost_row_does_not_balance(table: str) -> None:
    record = cross() if table == "funding" else isolated()
    lost = replace(record, **{table: getattr(record, table)[1:]})
    with pytest.raises(AssertionError, match="the books say"):
        balance(lost)


def test_funding_off_by_a_micro_names_both_numbers() -> None:
    with pytest.raises(AssertionError, match="the books say 128313307126 micro, the engine 128313307125"):
        balance(_tampered(cross(), "funding", 1, "payment", 1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"final_wallet": micro(2665) - 1}, "wallet: the books say 2665000000 micro, the engine 2664999999"),
        ({"cash": micro(10_000) + 1}, "wallet: the books say"),
        ({"final_pool_cash": np.array([0, 7])}, "pool:ETH-USD: the books say 0 micro, the engine 7"),
        ({"final_lots": np.array([5, 0])}, "BTC-USD: fills add up to 0 lots, not 5"),
    ],
)
def test_an_engine_that_holds_something_else_does_not_balance(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        balance(replace(isolated(), **changes))


def test_the_curve_must_end_where_the_books_do() -> None:
    balance(held([101.0, 102.0]))
    with pytest.raises(AssertionError, match=r"the curve ends at 102\.0, the books at 102000010 micro"):
        balance(held([101.0, 102.0], final_mark=np.array([102.00001])))


def test_a_rebate_is_a_posting_the_other_way() -> None:
    # Bought at 100 and sold at 100 as maker, for 0.02 of rebate each.
    at = {"pool": CROSS_POOL, "fee": micro(-0.02), "liquidity": Liquidity.MAKER}
    fills = rows(
        records.FILL,
        {"seq": 1, "ts_ms": START, "lots": 1000, "quote": -micro(100), **at},
        {"seq": 2, "ts_ms": START, "lots": -1000, "quote": micro(100), **at},
    )
    books = balance(idle(200, fills=fills, final_wallet=micro(200.04)))
    assert (books.balances["fees"], books.flows["fees"]) == (micro(-0.04), micro(-0.04))
    assert (
        books.ledger.frame().filter(pl.col("code") == "fee").select("debit", "credit", "amount_micro").rows()
        == [("wallet", "fees", 20_000)] * 2
    )


@pytest.mark.parametrize(
    ("field", "by", "message"),
    [
        ("spread", -micro(21), "fill 0: a spread of -1000000 micro"),
        ("drift", -1, "fill 0: a drift of -1 micro"),
        ("liquidity", Liquidity.MAKER, "fill 0: a spread of 20000000 micro"),
    ],
)
def test_no_gain_is_a_cost_and_no_maker_pays_one(field: str, by: int, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        balance(_tampered(cross(), "fills", 0, field, by))


def test_time_never_goes_back() -> None:
    with pytest.raises(AssertionError, match="time went back"):
        balance(_tampered(isolated(), "fills", 1, "ts_ms", 2 * DAY))
