"""Fills that the chain has undone, what could still have been, and what else the chain did."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backtest.core import records
from backtest.core.enums import CROSS_POOL, Cause, OrderType, Reason, Status
from backtest.core.records import Record
from backtest.data.panel import Chunk
from backtest.results.chain_summary import figures
from backtest.results.excursions import Observer
from backtest.results.fifo import matched
from backtest.results.finality import at_risk, orders_at_risk
from backtest.results.ledger import balance
from backtest.results.metrics import metrics
from backtest.results.reorgs import standing, undone
from backtest.results.summary import build
from backtest.results.tables import tables
from backtest.results.trades import round_trips
from backtest.venues.chain import Chain
from tests.unit.results_records import CHAIN, DAY, START, bridged, held, idle, micro, replace, rows

HOUR = 3_600_000


def traded(*fills: tuple[int, int, float, Cause], **changes: Any) -> Record:
    """Fills (order, quantity, price, cause), an hour apart, a fee of 1 each (of a reorg −1); lots of one whole."""
    made, lots, cost = [], 0, 0.0
    for n, (order, qty, price, cause) in enumerate(fills):
        closing = min(abs(qty), abs(lots)) if lots * qty < 0 else 0
        released = cost * closing / abs(lots) if closing else 0.0
        realized = closing * price * -np.sign(qty) - released
        lots, cost = lots + qty, cost - released + (abs(qty) - closing) * price * np.sign(qty)
        made.append(
            {"seq": n, "order_id": order, "ts_ms": START + n * HOUR, "lots": qty, "quote": micro(-qty * price),
             "fee": micro(-1 if cause == Cause.REORG else 1), "realized": micro(realized), "cause": cause,
             "pool": CROSS_POOL}
        )  # fmt: skip
    return idle(10_000, step_micro=np.array([1_000_000]), fills=rows(records.FILL, *made), **changes)


BUY, BACK = Cause.STRATEGY, Cause.REORG


def test_an_undone_entry_is_a_trip_without_a_profit() -> None:
    record = traded((0, 2, 100, BUY), (0, -2, 100, BACK))
    trip = round_trips(record).table.frame().row(0, named=True)
    assert (trip["realized"], trip["fees"], trip["net"], trip["hold"]) == (0, 0, 0, 1)
    assert (trip["exit_cause"], trip["exit_reason"]) == ("reorg", "reorg")
    (piece,) = matched(record).frame().rows(named=True)
    assert (piece["qty"], piece["realized"], piece["fees"], piece["exit_reason"]) == (2, 0, 0, "reorg")
    fills = tables(record)["fills"]
    assert fills.select("cause", "qty", "quote", "fee").rows() == [("strategy", 2, -200, 1), ("reorg", -2, 200, -1)]


def test_an_undone_exit_begins_another_trip_at_its_price() -> None:
    # Bought 1 at 100, sold at 110, undone, sold at last at 90: 10 − 20 = 90 − 100.
    record = traded((0, 1, 100, BUY), (1, -1, 110, BUY), (1, 1, 110, BACK), (2, -1, 90, BUY))
    table = round_trips(record).table.frame()
    assert table.select("entry_price", "exit_price", "realized", "fees").rows() == [
        (100, 110, 10, 2),
        (110, 90, -20, 0),
    ]
    assert matched(record).frame().select("entry_fill", "exit_fill", "realized").rows() == [(0, 1, 10), (2, 3, -20)]
    # What stands is the first purchase and the last sale.
    assert standing(record.fills)["seq"].tolist() == record.fills["seq"][[0, 3]].tolist()
    record = replace(record, final_wallet=micro(10_000 - 10 - 2))
    assert balance(record).flows["price_moves"] == -micro(10)
    assert metrics(record, balance(record), round_trips(record))["turnover"] is None  # of no time at all


def test_excursions_around_an_undone_fill() -> None:
    # 1 from 100, then 2 at 105 on average, 1 of them undone at 110: the rest cost what it did, 105, less 5 realised.
    reached = np.array([(104, 98), (115, 103), (120, 90), (np.nan, np.nan)], dtype=records.EXTREME)
    record = traded((0, 1, 100, BUY), (1, 1, 110, BUY), (1, -1, 110, BACK), (2, -1, 108, BUY), extremes=reached)
    trip = round_trips(record).table.frame().row(0, named=True)
    # In favour: 4 × 1, 10 × 2, 15 × 1; against: −2 × 1, −2 × 2, −15 × 1.
    assert (trip["mfe"], trip["mae"], trip["mfe_price"], trip["mae_price"]) == (20, -15, 15, -15)


def test_undoing_at_an_open_comes_after_the_jump() -> None:
    # Bought at 110 in the last ms of the first candle, which closes there; the next opens at 130, where the chain stops
    # and undoes it at 110, the close's price. It was held over the jump to 130. A sale at 110 with that stamp was made
    # at the close.
    panel = np.array([[[100.0], [130.0]], [[120.0], [131.0]], [[90.0], [129.0]], [[110.0], [130.0]]])
    for cause, high in ((Cause.REORG, 130), (Cause.STRATEGY, 110)):
        fills = rows(
            records.FILL,
            {"order_id": 1, "ts_ms": START + 59, "lots": 1, "quote": -110_000_000},
            {"order_id": 1, "ts_ms": START + 60, "lots": -1, "quote": 110_000_000, "cause": cause},
        )
        observer = Observer(np.array([1_000_000]), START, 60)
        observer.take(Chunk(0, 0, panel, None), fills)
        assert observer.extremes()["high"][0] == high


def test_an_orders_fills_are_undone_the_last_first() -> None:
    record = traded((0, 1, 100, BUY), (7, 2, 100, BUY), (7, 3, 101, BUY), (7, -3, 101, BACK), (7, -2, 100, BACK))
    assert undone(record.fills).tolist() == [-1, -1, -1, 2, 1]
    assert standing(record.fills)["seq"].tolist() == record.fills["seq"][:1].tolist()


@pytest.mark.parametrize(
    ("fills", "message"),
    [
        (((0, 1, 100, BUY), (1, -1, 100, BACK)), "fill 1 undoes a fill of order 1, which has none left"),
        (((0, 1, 100, BUY), (0, -1, 100, BACK), (0, -1, 100, BACK)), "fill 2 undoes a fill of order 0, which has none"),
        (((0, 1, 100, BUY), (0, -1, 101, BACK)), "fill 1 undoes fill 0: quote 101000000, not 100000000"),
        (((0, 2, 100, BUY), (0, -1, 200, BACK)), "fill 1 undoes fill 0: lots -1, not -2"),
    ],
)
def test_what_undoes_nothing_that_was_is_found(fills: tuple[Any, ...], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        balance(traded(*fills))


# What was at risk


def test_value_at_risk_over_time() -> None:
    fills = tables(bridged())["fills"]
    risk = at_risk(fills, DAY // 2)
    # The second fill is at risk only until it is undone, a quarter of a day later.
    assert ((risk.ts - START) / DAY).tolist() == [1.25, 1.75, 3.5, 3.75]
    assert risk.value.tolist() == pytest.approx([100.10, 0, 110.22, 0])
    # With three days both are soft for a while: from 3.5 to 3.75.
    risk = at_risk(fills, 3 * DAY)
    assert ((risk.ts - START) / DAY).tolist() == [1.25, 3.5, 3.75, 4.25]
    assert risk.value.tolist() == pytest.approx([100.10, 210.32, 100.10, 0])
    assert not at_risk(fills, 0).value.any()
    assert len(at_risk(fills[:0], DAY).ts) == 0


def test_an_orders_time_at_risk_counts_no_moment_twice() -> None:
    # Fills of order 3 at 0 h, 1 h and 5 h, each soft for 2 h: 0 to 3 and 5 to 7; order 4 at 2 h; a liquidation.
    at = {"pool": CROSS_POOL, "lots": 1000}
    table = tables(
        idle(
            fills=rows(
                records.FILL,
                *({"seq": n, "order_id": order, "ts_ms": START + hour * HOUR, "quote": -micro(10 + n), **at}
                  for n, (order, hour) in enumerate(((3, 0), (3, 1), (4, 2), (-1, 3), (3, 5)))),
            ),
            final_wallet=micro(100 - 60), final_lots=np.array([5000]), final_mark=np.array([1.0]),
        )
    )["fills"]  # fmt: skip
    found = orders_at_risk(table, 2 * HOUR)
    assert found.select("order_id", "at_risk_ms", "value").rows() == [(3, 5 * HOUR, 10 + 11 + 14), (4, 2 * HOUR, 12)]
    assert found["ts_until"].dt.epoch("ms").to_list() == [START + 7 * HOUR, START + 4 * HOUR]


def test_what_the_chain_did() -> None:
    record = bridged()
    got = figures(record, CHAIN, tables(record, chain=CHAIN)["fills"])
    assert (got["name"], got["routes"]) == ("hand", ["canonical", "fast"])
    # 6 h and 12 h: half way, and 99 hundredths of it.
    order = {"messages": 2, "median": 9 * HOUR, "p99": pytest.approx(11.94 * HOUR), "most": 12 * HOUR}
    assert got["latency"]["order"] == order
    assert got["latency"]["deposit"] == {"messages": 1, "median": 2 * DAY, "p99": 2 * DAY, "most": 2 * DAY}
    assert got["latency"]["withdrawal"]["most"] == 36 * HOUR
    assert got["gas"] == {"order": 1, "cancel": 0.25, "amendment": 0, "deposit": 1, "withdrawal": 4, "total": 6.25}
    assert got["transfers"] == {
        "deposit": {"sent": 1, "arrived": 1, "rejected": 1, "amount": 200, "fees": 2},
        "withdrawal": {"sent": 2, "arrived": 1, "rejected": 0, "amount": 300, "fees": 5},
    }
    assert got["outages"] == [{"start_ms": START + 4 * DAY, "end_ms": START + 4 * DAY + 1000, "cause": "by hand"}]
    # (100.10 × ½ + 110.22 × ¼) / 5 days; orders 12 h and 6 h.
    assert got["finality"] == {
        "finality_ms": DAY // 2, "most_at_risk": 110.22, "most_at_risk_ms": START + 84 * HOUR,
        "mean_at_risk": pytest.approx(15.521), "order_median_ms": 9 * HOUR, "order_longest_ms": 12 * HOUR,
    }  # fmt: skip
    assert got["undone"] == {"fills": 1, "value": 110.22}


def test_what_is_soft_after_the_end_is_not_in_the_mean() -> None:
    # One fill of 100 at the open of the only day, final after two: at risk the whole time.
    record = held([101.0])
    found = figures(record, Chain(finality_ms=2 * DAY), tables(record)["fills"])["finality"]
    assert (found["mean_at_risk"], found["most_at_risk"], found["most_at_risk_ms"]) == (100, 100, START)
    nothing = figures(idle(), Chain(), tables(idle())["fills"])
    assert nothing["finality"]["most_at_risk_ms"] is nothing["finality"]["mean_at_risk"] is None
    assert nothing["latency"]["order"] == {"messages": 0, "median": None, "p99": None, "most": None}


def test_orders_that_the_chain_stopped_and_messages_that_carry_several() -> None:
    late = {"status": Status.EXPIRED, "reason": Reason.OUTAGE}
    took = {"ts_sent_ms": START, "ts_arrived_ms": START + 10}
    record = idle(
        orders=rows(
            records.ORDER,
            {"order_id": 0, "ts_arrived_ms": -1, "status": Status.REJECTED, "reason": Reason.OUTAGE},
            {"order_id": 1, **took, **late},
            # An entry with its stop and target, and two orders of a group: a message each.
            {"order_id": 2, **took, **late},
            {"order_id": 3, "parent": 2, "group": 3, **took, **late},
            {"order_id": 4, "parent": 2, "group": 3, **took, **late},
            {"order_id": 5, "group": 5, **took},
            {"order_id": 6, "group": 5, **took},
            {"order_id": 7, **took, "status": Status.REJECTED, "reason": Reason.GAS},
            {"order_id": 8, **took, "status": Status.REJECTED, "reason": Reason.STALE},
            {"order_id": 9, **took, "type": OrderType.AMEND, "status": Status.REJECTED, "reason": Reason.NOT_OPEN},
        )
    )
    got = figures(record, Chain(), tables(record)["fills"])
    assert got["orders"] == {"lost": 1, "late": 2, "unpaid": 1, "stale": 1}
    assert got["latency"]["order"] == {"messages": 5, "median": 10, "p99": 10, "most": 10}


def test_the_summary_has_a_chain_where_there_is_one() -> None:
    record = bridged()
    about: dict[str, Any] = {"strategy": {}, "config": {}, "data": {}, "metrics": {}, "counts": {}, "notes": []}
    plain = build(label="cross", seed=1, digest="", **about)
    assert "chain" not in plain
    chained = build(label="cross", seed=1, digest="", chain=figures(record, CHAIN, tables(record)["fills"]), **about)
    assert chained["chain"]["gas"]["total"] == 6.25
    assert chained.keys() - plain.keys() == {"chain"}
