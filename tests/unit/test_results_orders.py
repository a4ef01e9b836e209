"""The table of orders: every field of every kind, and reasons that say their numbers."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from backtest.core import records
from backtest.core.enums import NO_ORDER, Cause, OrderType, Reason, Status, TimeInForce
from backtest.results.tables import tables
from tests.unit.results_records import DAY, START, cross, idle, micro, rows


def test_orders_say_why() -> None:
    orders = tables(cross())["orders"]
    assert orders["status"].to_list() == ["filled", "filled", "filled", "rejected", "rejected", "expired"]
    assert orders["reason"].to_list() == [
        None,
        None,
        None,
        "margin: equity 98,000.00 would not cover initial 120,000.00",
        "margin: equity 0.999999 would not cover initial 1.000000",
        "end_of_run",
    ]
    assert orders["side"].to_list() == ["buy", "sell", "sell", "buy", "buy", "sell"]
    assert orders["qty"].to_list() == [1, -10, -1.5, 48, 0.001, -0.01]
    assert orders["filled_qty"].to_list() == [1, -10, -1.5, 0, 0, 0]
    assert orders["ts_arrived"].is_null().to_list() == [False] * 5 + [True]
    assert orders["reduce_only"].to_list() == [False, False, False, False, True, False]
    assert orders["type"].to_list() == ["market"] * 2 + ["limit"] + ["market"] * 3
    assert orders["parent_id"].to_list() == [None, None, 0, None, None, None]


DAY_1 = datetime(2025, 1, 2, tzinfo=UTC)
PLAIN = {
    "type": "market", "limit_price": None, "stop_price": None, "tif": "gtc", "post_only": False, "trigger": None,
    "ts_triggered": None, "ts_expires": None, "trail": None, "trail_unit": None, "activation": None, "parent_id": None,
    "group_id": None, "target_id": None, "reason": None, "status": "filled", "cause": "strategy",
}  # fmt: skip


@pytest.mark.parametrize(
    ("order", "shown"),
    [
        ({}, {}),
        ({"by_mark": 1}, {}),  # a market order waits for no trigger
        ({"cause": Cause.GUARD}, {"cause": "guard"}),
        (
            {"type": OrderType.LIMIT, "limit_price": 99.5, "post_only": 1, "tif": TimeInForce.GTD,
             "expires_ms": START + DAY, "status": Status.EXPIRED, "reason": Reason.GTD},
            {"type": "limit", "limit_price": 99.5, "post_only": True, "tif": "gtd", "ts_expires": DAY_1,
             "status": "expired", "reason": "gtd"},
        ),
        (
            {"type": OrderType.STOP_LIMIT, "limit_price": 99.0, "stop_price": 100.0, "tif": TimeInForce.IOC,
             "by_mark": 1, "triggered_ms": START + DAY, "status": Status.CANCELLED, "reason": Reason.IOC},
            {"type": "stop_limit", "limit_price": 99, "stop_price": 100, "tif": "ioc", "trigger": "mark",
             "ts_triggered": DAY_1, "status": "cancelled", "reason": "ioc"},
        ),
        (
            {"type": OrderType.TRAILING_STOP, "trail": 0.02, "trail_share": 1, "activation": 110.0, "parent": 3,
             "group": 3, "status": Status.CANCELLED, "reason": Reason.OCO},
            {"type": "trailing_stop", "trail": 0.02, "trail_unit": "share", "activation": 110, "trigger": "last",
             "parent_id": 3, "group_id": 3, "status": "cancelled", "reason": "oco"},
        ),
        (
            {"type": OrderType.TRAILING_STOP, "trail": 5.0},
            {"type": "trailing_stop", "trail": 5, "trail_unit": "quote", "trigger": "last"},
        ),
        (
            {"type": OrderType.TAKE_PROFIT_MARKET, "stop_price": 120.0, "tif": TimeInForce.FOK,
             "status": Status.REJECTED, "reason": Reason.WOULD_TRIGGER},
            {"type": "take_profit_market", "stop_price": 120, "tif": "fok", "trigger": "last", "status": "rejected",
             "reason": "would_trigger"},
        ),
        (
            {"type": OrderType.AMEND, "target": 2, "status": Status.REJECTED, "reason": Reason.NOT_OPEN},
            {"type": "amend", "target_id": 2, "status": "rejected", "reason": "not_open"},
        ),
        (
            {"status": Status.REJECTED, "reason": Reason.MIN_NOTIONAL, "have": micro(3.2), "need": micro(5)},
            {"status": "rejected", "reason": "min_notional: worth 3.20, the venue takes 5.00 or more"},
        ),
        (
            {"status": Status.REJECTED, "reason": Reason.MIN_NOTIONAL, "have": micro(5) - 1, "need": micro(5)},
            {"status": "rejected", "reason": "min_notional: worth 4.999999, the venue takes 5.000000 or more"},
        ),
        (
            {"status": Status.REJECTED, "reason": Reason.OPEN_ORDERS, "have": 1000, "need": 1000},
            {"status": "rejected", "reason": "open_orders: 1,000 at the venue, which allows 1,000"},
        ),
        (
            {"status": Status.REJECTED, "reason": Reason.LIMIT, "have": micro(120), "need": micro(100)},
            {"status": "rejected", "reason": "limit: a position of notional 120.00 would be above the venue's 100.00"},
        ),
        (
            {"status": Status.REJECTED, "reason": Reason.LIMIT_SIZE, "have": micro(1.5), "need": micro(1)},
            {"status": "rejected", "reason": "limit: a position of size 1.5 would be above the venue's 1"},
        ),
    ],
)  # fmt: skip
def test_an_order_in_words(order: dict[str, Any], shown: dict[str, Any]) -> None:
    row = tables(idle(orders=rows(records.ORDER, {"order_id": 5, "lots": 1000, **order})))["orders"].row(0, named=True)
    assert {name: row[name] for name in PLAIN} == PLAIN | shown


def test_every_word_is_lower_case_and_none_is_missing() -> None:
    for reason in Reason:
        found = tables(idle(orders=rows(records.ORDER, {"reason": reason})))["orders"]["reason"][0]
        assert (found is None) == (reason == Reason.NONE)
        assert found is None or found.partition(":")[0] in (reason.name.lower(), "limit")


def test_an_order_of_no_side_and_a_number_of_nothing() -> None:
    # Below one lot: no lots are left of it, and there is no side to it.
    order = {"lots": 0, "status": Status.REJECTED, "reason": Reason.STEP, "parent": NO_ORDER, "limit_price": math.nan}
    row = tables(idle(orders=rows(records.ORDER, order)))["orders"].row(0, named=True)
    assert (row["qty"], row["side"], row["parent_id"], row["limit_price"]) == (0, None, None, None)
