"""Liquidations in steps: which rows are one, how they are counted, and who paid whom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.core import records
from backtest.core.enums import CROSS_POOL, Cause, Reason, Stage, Status
from backtest.core.records import Record
from backtest.results.ledger import balance
from backtest.results.liquidation_processes import NONE, processes, steps
from backtest.results.metrics import metrics
from backtest.results.tables import tables
from backtest.results.trades import round_trips
from tests.unit.results_records import START, curve_of, idle, isolated, micro, replace, rows

MINUTE = 60_000
P, W = Stage.PARTIAL, Stage.WHOLE


def row(second: float, stage: Stage, before: tuple[float, float], after: tuple[float, float], **more: Any) -> Any:
    """A row at so many seconds; (equity, maintenance) of the pool before and after it."""
    return {
        "ts_ms": START + round(second * 1000), "stage": stage, "pool": CROSS_POOL, "lots": -1,
        "equity_before": micro(before[0]), "maintenance_before": micro(before[1]),
        "equity_after": micro(after[0]), "maintenance_after": micro(after[1]), **more,
    }  # fmt: skip


def journal(*steps: Any) -> Record:
    return idle(interval_ms=MINUTE, liquidations=rows(records.LIQUIDATION, *steps))


CASES = {
    # 30 s apart, left below maintenance each time: one liquidation in three steps
    "steps": (
        [row(1, P, (50, 50), (50, 55)), row(31, P, (48, 55), (48, 51)), row(61, P, (49, 50), (49, 45))], [0, 0, 0], 3,
    ),
    # healthy after the first; the second crosses again (equity is maintenance, two micro of rounding)
    "crossed again": ([row(1, P, (50, 50), (50, 40)), row(90, P, (40.000002, 40), (40, 32))], [0, 1], 2),
    # left unhealthy, recovered without a step, and crossed again much later
    "recovered": ([row(1, P, (50, 50), (50, 55)), row(7201, P, (60, 60), (60, 50))], [0, 1], 2),
    # healthy after the first; the mark jumps below at the open of minute 2, through the crossing
    "a jump": ([row(1, P, (50, 50), (50, 40)), row(120, P, (30, 40), (30, 32))], [0, 1], 2),
    # within the venue's buffer: above maintenance, and below it again inside a candle
    "a buffer": (
        [row(1, P, (50, 50), (50, 49)), row(2, P, (49.5, 49), (49.5, 48)), row(3, P, (47, 48), (47, 46))], [0, 0, 0], 3,
    ),
    # two legs that went at once, and nothing is held after: one step; then another liquidation
    "whole": (
        [row(1, W, (50, 50), (45, 20)), row(1, W, (45, 20), (40, 0)), row(130.5, W, (20, 30), (15, 0))], [0, 0, 1], 2,
    ),
    # two steps of one look are at one instant
    "one look": ([row(1, P, (50, 50), (49, 48)), row(1, Stage.POSITION, (49, 48), (48, 40))], [0, 0], 2),
    # another pool's steps lie between; a shortfall and a deleveraging belong to none
    "pools": (
        [
            row(1, P, (50, 50), (50, 55)), row(2, P, (9, 9), (9, 10), pool=0),
            row(3, Stage.DELEVERAGED, (9, 1), (9, 0)), row(31, P, (48, 55), (48, 40)),
            row(32, P, (8, 10), (8, 7), pool=0), row(40, Stage.SHORTFALL, (-3, 0), (0, 0)),
        ],
        [0, 1, NONE, 0, 1, NONE], 4,
    ),
    # reduced, and then too late: the backstop takes both legs
    "backstop": (
        [
            row(1, P, (50, 50), (50, 55)), row(9, Stage.BACKSTOP, (30, 55), (15, 30)),
            row(9, Stage.BACKSTOP, (15, 30), (0, 0)),
        ],
        [0, 0, 0], 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_rows_of_one_liquidation(case: str) -> None:
    made, numbers, count = CASES[case]
    record = journal(*made)
    found = processes(record)
    assert found.tolist() == numbers
    assert steps(record, found) == count
    shown = tables(record)["liquidations"]["process"].to_list()
    assert shown == [None if number == NONE else number for number in numbers]


def stepped() -> Record:
    """Cash 10,000, five minutes; lots of 0.001 BTC. All rounded amounts; no fees.

    open:   buys 1 at 50,000
    1:00.5  sells 0.4 at 42,000 (the mark is 42,000): 16,800; of it 100 to the fund
    1:30.5  sells 0.3 at 40,500, below its bankruptcy price: 12,150; the fund pays 50
    2:00    the last 0.3 at the bankruptcy price of 40,333.333333, stage adl: 12,100; the mark is 39,000, so it cost the
            other side 12,100 − 11,700 = 400
    cash:   10,000 − 50,000 + 16,800 − 100 + 12,150 + 50 + 12,100 = 1,000
    """
    at, cross = START + MINUTE, {"pool": CROSS_POOL, "order_id": -1}
    forced = {"cause": Cause.LIQUIDATION, **cross}
    fills = rows(
        records.FILL,
        {"seq": 1, "ts_ms": START, "lots": 1000, "quote": -micro(50_000), "price": 50_000.0, "pool": CROSS_POOL},
        {"seq": 2, "ts_ms": at + 500, "lots": -400, "quote": micro(16_800), "price": 42_000.0, **forced},
        {"seq": 4, "ts_ms": at + 30_500, "lots": -300, "quote": micro(12_150), "price": 40_500.0, **forced},
        {"seq": 6, "ts_ms": at + MINUTE, "lots": -300, "quote": micro(12_100), "price": 40_333.333333, **cross,
         "cause": Cause.ADL},
    )  # fmt: skip
    liquidations = rows(
        records.LIQUIDATION,
        row(60.5, P, (2000, 2000), (1900, 2100), seq=3, lots=-400, penalty=micro(100), insurance=micro(100)),
        row(90.5, P, (1000, 2100), (1050, 1200), seq=5, lots=-300, insurance=-micro(50)),
        row(120, Stage.ADL, (600, 1100), (1000, 0), seq=7, lots=-300, adl_loss=micro(400)),
    )
    return idle(
        10_000, interval_ms=MINUTE, fills=fills, liquidations=liquidations,
        curve=curve_of([10_000, 2000, 1000, 1000, 1000], wallet=10_000), final_wallet=micro(1000), final_fund=micro(50),
        final_mark=np.array([39_000.0]),
    )  # fmt: skip


def test_a_pool_that_is_closed_in_steps() -> None:
    record = stepped()
    books = balance(record)
    got = metrics(record, books, round_trips(record))
    assert (got["pool_liquidations"], got["liquidation_steps"], got["liquidations"]) == (1, 3, 1)
    assert (got["penalties"], got["insurance"], got["bad_debt"], got["adl_loss"]) == (100, 50, 0, 400)
    assert (got["backstops"], got["deleveraged"], got["min_distance_to_liquidation"]) == (0, 0, 0)
    # −50,000 + 16,800 + 12,150 + 12,100 = −8,950; −8,950 − 100 + 50 = −9,000 = 1,000 − 10,000
    assert (got["price_moves"], got["final_equity"]) == (-8950, 1000)
    assert books.balances["insurance"] == micro(50)  # 100 received, 50 paid
    paid = [(*line[1:3], line[3] / 1e6, line[4]) for line in books.ledger.frame().rows() if "insurance" in line[1:3]]
    assert paid == [("insurance", "wallet", 100, "penalty"), ("wallet", "insurance", 50, "insurance")]


def test_a_trip_bears_all_its_steps() -> None:
    trip = round_trips(stepped()).table.frame().row(0, named=True)
    assert (trip["realized"], trip["penalty"], trip["insurance"], trip["net"]) == (-8950, 100, 50, -9000)
    assert trip["exit_cause"] == "adl"
    fills = stepped().fills.whole()
    for cause in (Cause.LIQUIDATION, Cause.GUARD):
        fills["cause"][-1] = cause
        (found,) = round_trips(replace(stepped(), fills=fills)).table.frame()["exit_cause"]
        assert found == cause.name.lower()


def test_the_tables_show_both_directions() -> None:
    shown = tables(stepped())["liquidations"]
    assert shown["stage"].to_list() == ["partial", "partial", "adl"]
    assert shown["insurance"].to_list() == [100, -50, 0]
    assert shown["adl_loss"].to_list() == [0, 0, 400]
    assert shown["process"].to_list() == [0, 0, 0]


def test_backstops_and_deleveraged_positions_are_counted() -> None:
    legs = [row(9, Stage.BACKSTOP, (30, 55), (15, 30)), row(9, Stage.BACKSTOP, (15, 30), (0, 0), symbol=1)]
    taken = [row(100 + n, Stage.DELEVERAGED, (90, 9), (90, 5)) for n in range(3)]
    record = replace(journal(*legs, *taken), symbols=("A", "B"), step_micro=np.array([1, 1]))
    quiet = idle()
    got = metrics(record, balance(quiet), round_trips(quiet))
    assert (got["pool_liquidations"], got["liquidations"], got["backstops"], got["deleveraged"]) == (1, 2, 1, 3)
    alone = metrics(journal(*taken), balance(quiet), round_trips(quiet))
    assert (alone["pool_liquidations"], alone["min_distance_to_liquidation"]) == (0, None)


amounts = st.integers(-(10**15), 10**15)


@settings(deadline=None)
@given(
    st.lists(st.tuples(amounts, amounts, st.integers(0, 10**15), st.booleans()), max_size=12),
    st.integers(-(10**15), 10**15),
)
def test_what_the_fund_gets_the_account_gives(closings: list[tuple[int, int, int, bool]], bought: int) -> None:
    """Closings: cash, to the fund, borne by others, in a pool of its own. What all sides gain sums to zero."""
    cash = {CROSS_POOL: micro(100) + bought, 0: 0}
    at = {"ts_ms": START}
    fills = [{"seq": 0, "lots": len(closings), "quote": bought, "pool": CROSS_POOL, **at}]
    losses = []
    for n, (quote, insured, debt, own) in enumerate(closings):
        pool = 0 if own else CROSS_POOL
        fills.append({"seq": 2 * n + 1, "lots": -1, "quote": quote, "pool": pool, "cause": Cause.LIQUIDATION, **at})
        losses.append(
            {"seq": 2 * n + 2, "pool": pool, "stage": Stage.PARTIAL, "lots": -1, "penalty": max(0, insured),
             "insurance": insured, "bad_debt": debt, **at}
        )  # fmt: skip
        cash[pool] += quote - insured + debt
    record = idle(
        100, fills=rows(records.FILL, *fills), liquidations=rows(records.LIQUIDATION, *losses),
        final_wallet=cash[CROSS_POOL], final_pool_cash=np.array([cash[0]]),
    )  # fmt: skip
    books = balance(record)
    fund = sum(insured for _, insured, _, _ in closings)
    traded, borne = bought + sum(quote for quote, *_ in closings), sum(debt for _, _, debt, _ in closings)
    assert books.balances["insurance"] == fund
    account = books.balances["wallet"] + books.balances["pool:BTC-USD"] - micro(100)
    assert account + fund - traded - borne == 0
    # what moved between account and fund, posting by posting
    ledger = books.ledger.frame().rows()
    received = sum(amount for _, debit, _, amount, _, _ in ledger if debit == "insurance")
    paid = sum(amount for _, _, credit, amount, _, _ in ledger if credit == "insurance")
    assert received - paid == fund
    assert (received, paid) == (books.flows["penalties"], books.flows["insurance"])


def test_refusals_say_by_the_pool_of_the_order() -> None:
    """The first symbol is in the cross pool, the second in one of its own from its fill on, whatever the run's mode."""
    fills = rows(
        records.FILL,
        {"seq": 1, "symbol": 0, "pool": CROSS_POOL, "lots": 1},
        {"seq": 2, "symbol": 1, "pool": 1, "lots": 1},
    )
    refused = {"status": Status.REJECTED, "have": micro(1234), "need": micro(2000), "ts_arrived_ms": START}
    orders = rows(
        records.ORDER,
        *({"order_id": n, "symbol": n % 2, "seq": 3 + n, "reason": Reason.MARGIN, **refused} for n in range(2)),
        {"order_id": 2, "symbol": 2, "seq": 5, "reason": Reason.MARGIN, **refused},
        {"order_id": 3, "symbol": 0, "seq": 6, "reason": Reason.LIMIT, **refused, "need": micro(1000)},
        {
            "order_id": 4,
            "symbol": 0,
            "seq": 7,
            "reason": Reason.LIMIT,
            **refused,
            "have": micro(1) + 1,
            "need": micro(1),
        },
        {"order_id": 5, "symbol": 0, "seq": 8, "reason": Reason.HALTED, **refused},
    )
    own, shared = (
        "margin: 1,234.00 available, 2,000.00 needed",
        "margin: equity 1,234.00 would not cover initial 2,000.00",
    )
    limits = [
        "limit: a position of notional 1,234.00 would be above the venue's 1,000.00",
        "limit: a position of notional 1.000001 would be above the venue's 1.000000",
        "halted",
    ]
    for margin, without in (("cross", shared), ("portfolio", shared), ("isolated", own)):
        record = idle(
            symbols=("A", "B", "C"), step_micro=np.array([1, 1, 1]), margin=margin, fills=fills, orders=orders,
            final_lots=np.array([1, 1, 0]), final_mark=np.zeros(3), final_pool_cash=np.zeros(3, dtype=np.int64),
        )  # fmt: skip
        assert tables(record)["orders"]["reason"].to_list() == [shared, own, without, *limits]


def test_the_nearest_pool_of_a_mixed_account() -> None:
    """A cross pool of two positions: (60 − 20) / (300 + 100); the own pool: (20 − 5) / 100. Cross is the nearer."""
    at = {"ts_ms": START + 1}
    record = idle(
        symbols=("A", "B", "C"), step_micro=np.full(3, 1_000_000), margin="cross",
        fills=rows(records.FILL, *({"symbol": i, "pool": 2 if i == 2 else -1, "lots": 1} for i in range(3))),
        positions=rows(
            records.POSITION,
            {"symbol": 0, "pool": -1, "lots": 3, "mark": 100.0, **at},
            {"symbol": 1, "pool": -1, "lots": -1, "mark": 100.0, **at},
            {"symbol": 2, "pool": 2, "lots": 1, "mark": 100.0, **at},
        ),
        pools=rows(
            records.POOL,
            {"pool": -1, "equity": 60.0, "maintenance": 20.0, **at},
            {"pool": 2, "equity": 20.0, "maintenance": 5.0, **at},
        ),
    )  # fmt: skip
    quiet = isolated()
    assert metrics(record, balance(quiet), round_trips(quiet))["min_distance_to_liquidation"] == pytest.approx(0.1)
