"""Records made by hand, with their arithmetic, for the tests of `backtest.results`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from backtest.core import records
from backtest.core.enums import (
    CROSS_POOL,
    Cause,
    GasKind,
    OrderType,
    Reason,
    Stage,
    Status,
    TransferKind,
    TransferState,
)
from backtest.core.records import Record
from backtest.core.rows import Rows
from backtest.venues.chain import Chain, Latency, Outage, Route

DAY = 86_400_000
START = 1_735_689_600_000  # 2025-01-01T00:00Z


def micro(amount: float) -> int:
    return round(amount * 1_000_000)


MANY = (
    records.FILL, records.FUNDING, records.MOVE, records.ORDER, records.POSITION, records.POOL, records.EXTREME,
    records.GAS,
)  # fmt: skip
"""What a record has of these types may lie on disk."""


def replace(record: Record, **changes: Any) -> Record:
    """The record with other rows."""
    made = {name: Rows.of(v) if isinstance(v, np.ndarray) and v.dtype in MANY else v for name, v in changes.items()}
    return dataclasses.replace(record, **made)


def rows(dtype: np.dtype[Any], *records: dict[str, Any]) -> np.ndarray:
    """Journal rows; fields that are not named are 0, prices NaN; orders never expire and belong to nothing."""
    table = np.zeros(len(records), dtype=dtype)
    for name in dtype.names or ():
        if dtype[name].kind == "f":
            table[name] = np.nan
        if name in ("expires_ms", "triggered_ms", "parent", "group", "target"):
            table[name] = -1
    for row, record in zip(table, records, strict=True):
        for name, value in record.items():
            row[name] = value
    return table


def curve_of(equity: Sequence[float], gross: Sequence[float] | None = None, wallet: float = 0.0) -> Rows:
    """A curve with maintenance 3 % and initial 5 % of the gross notional, all of it long."""
    held = np.array(gross if gross is not None else [0.0] * len(equity))
    total = np.array(equity, dtype=float)
    columns = [total, np.full(len(total), wallet), total - wallet, 0.05 * held, 0.03 * held, held, held]
    return closes(np.column_stack(columns).reshape(len(total), len(records.CURVE)))


def closes(values: np.ndarray) -> Rows:
    """A curve of [rows, columns]."""
    return Rows.of(np.ascontiguousarray(values, float).view(records.CLOSE)[:, 0])


def values(curve: Rows) -> np.ndarray:
    """A curve as [rows, columns]."""
    return np.column_stack([curve[name] for name in records.CURVE])


def idle(cash: float = 100.0, **changes: Any) -> Record:
    """An account that does nothing for no time at all."""
    empty = {
        "fills": rows(records.FILL), "funding": rows(records.FUNDING), "liquidations": rows(records.LIQUIDATION),
        "moves": rows(records.MOVE), "orders": rows(records.ORDER), "ambiguous": rows(records.AMBIGUOUS),
        "margin_calls": rows(records.MARGIN_CALL), "positions": rows(records.POSITION), "pools": rows(records.POOL),
    }  # fmt: skip
    record = Record(
        symbols=("BTC-USD",), step_micro=np.array([1000]), margin="cross", interval_ms=DAY, start_ms=START,
        cash=micro(cash), curve=curve_of([]), final_wallet=micro(cash), final_pool_cash=np.zeros(1, dtype=np.int64),
        final_lots=np.zeros(1, dtype=np.int64), final_mark=np.array([np.nan]),
        **{name: Rows.of(table) if table.dtype in MANY else table for name, table in empty.items()},
    )  # fmt: skip
    return replace(record, **changes)


def held(equity: Sequence[float], cash: float = 100.0, **changes: Any) -> Record:
    """One unit bought at the first open with all the cash, free of cost: equity is its mark."""
    fill = {"seq": 1, "ts_ms": START, "pool": CROSS_POOL, "lots": 1000, "quote": -micro(cash), "price": cash}
    record = idle(
        cash,
        curve=curve_of(equity, gross=equity, wallet=cash),
        fills=rows(records.FILL, fill),
        final_wallet=0,
        final_lots=np.array([1000]),
        final_mark=np.array(equity[-1:]),
    )
    return replace(record, **changes)


def _fill(
    seq: int, order: int, day: int, symbol: int, lots: int, quote: float, fee: float, **more: Any
) -> dict[str, Any]:
    return {
        "seq": seq, "order_id": order, "ts_ms": START + day * DAY, "symbol": symbol, "lots": lots,
        "quote": micro(quote), "fee": micro(fee), **more,
    }  # fmt: skip


def cross() -> Record:
    """Cash 100,000, 5 bps slippage, 5 bps fee, five daily candles; lots of 0.001 BTC and 0.01 ETH.

    day 1: buys 1 BTC at 50,000: 50,025.00 with slippage, fee 25.0125; sells 10 ETH at 3,000: 29,985.00, fee 14.9925
    day 2: funding −5.10 on BTC (51,000 × 1 × 0.0001) and +2.90 on ETH (2,900 × 10 × 0.0001);
           sells 1.5 BTC at 51,000, a flip: 76,461.75, fee 38.230875
    day 3: buys 10 ETH at 2,800: 28,014.00, fee 14.007
    end:   −0.5 BTC at 52,000 = −26,000
    costs: of the first fill 20 of spread and 5 of impact, of the flip 30, 5 and 3.25 of drift; else all spread.
           Latency of the first: 10, from 49,990 at the decision to 50,000
    wallet: 100,000 − 50,025 + 29,985 + 76,461.75 − 28,014 − 92.242875 (fees) − 2.20 (funding) = 128,313.307125
    equity: 128,313.307125 − 26,000 = 102,313.307125
    """
    cross = {"pool": CROSS_POOL}
    fills = rows(
        records.FILL,
        _fill(2, 0, 1, 0, 1000, -50_025, 25.0125, price=50_025.0, decision_price=49_990.0, arrival_price=50_000.0,
              spread=micro(20), impact=micro(5), latency=micro(10), **cross),
        _fill(4, 1, 1, 1, -1000, 29_985, 14.9925, price=2998.5, spread=micro(15), **cross),
        _fill(8, 2, 2, 0, -1500, 76_461.75, 38.230875, price=50_974.5, spread=micro(30), impact=micro(5),
              drift=micro(3.25), latency=micro(3.25), realized=micro(949.5), **cross),
        _fill(10, -1, 3, 1, 1000, -28_014, 14.007, price=2801.4, spread=micro(14), realized=micro(1971),
              cause=Cause.DELISTING, **cross),
    )  # fmt: skip
    day2 = {"ts_ms": START + 2 * DAY, "pool": CROSS_POOL, "rate": 0.0001}
    funding = rows(
        records.FUNDING,
        {"seq": 5, "symbol": 0, "lots": 1000, "payment": micro(-5.1), "price": 51_000.0, **day2},
        {"seq": 6, "symbol": 1, "lots": -1000, "payment": micro(2.9), "price": 2900.0, **day2},
        {"seq": 7, "symbol": 0, "lots": 1000, "missing": 1, **day2, "rate": np.nan},
    )
    sent = {"ts_sent_ms": START + DAY, "ts_arrived_ms": START + DAY, "ts_done_ms": START + DAY}
    late = {"ts_sent_ms": START + 5 * DAY, "ts_arrived_ms": -1, "ts_done_ms": START + 5 * DAY}
    refused = {"status": Status.REJECTED, "reason": Reason.MARGIN, "have": micro(98_000), "need": micro(120_000)}
    close = {"status": Status.REJECTED, "reason": Reason.MARGIN, "have": micro(1) - 1, "need": micro(1)}
    orders = rows(
        records.ORDER,
        {"order_id": 0, "lots": 1000, "filled": 1000, "seq": 1, **sent},
        {"order_id": 1, "symbol": 1, "lots": -1000, "filled": -1000, "seq": 3, **sent},
        {"order_id": 2, "lots": -1500, "filled": -1500, "seq": 8, "type": OrderType.LIMIT, "parent": 0, **sent},
        {"order_id": 3, "lots": 48_000, "seq": 11, **sent, **refused},
        {"order_id": 4, "lots": 1, "seq": 12, "reduce_only": 1, **sent, **close},
        {"order_id": 5, "lots": -10, "seq": 13, "status": Status.EXPIRED, "reason": Reason.END_OF_RUN, **late},
    )
    at = {"ts_ms": START + 2 * DAY, "pool": CROSS_POOL}
    curve = curve_of([100_000, 98_000, 101_000, 101_500, 102_313.307125], gross=[0, 80_000, 25_500, 25_500, 26_000])
    return idle(
        100_000,
        symbols=("BTC-USD", "ETH-USD"), step_micro=np.array([1000, 10_000]), curve=curve, fills=fills, funding=funding,
        orders=orders,
        positions=rows(
            records.POSITION,
            {"symbol": 0, "lots": 1000, "cost": micro(50_025), "mark": 51_000.0, "liquidation_price": 1234.5, **at},
            {"symbol": 1, "lots": -1000, "cost": micro(-29_985), "mark": 2900.0, **at},
        ),
        pools=rows(records.POOL, {"equity": 80_000.0, "initial": 4000.0, "maintenance": 2400.0, **at}),
        ambiguous=rows(records.AMBIGUOUS, {"ts_ms": START + DAY, "pool": CROSS_POOL, "seq": 9}),
        final_wallet=micro(128_313.307125), final_pool_cash=np.zeros(2, dtype=np.int64),
        final_lots=np.array([-500, 0]), final_mark=np.array([52_000.0, np.nan]),
    )  # fmt: skip


def isolated() -> Record:
    """Cash 10,000; two pools, both liquidated on day 2, one through a gap and one at its crossing.

    day 1: 5,000 into BTC, buys 1 at 50,000, fee 25; 3,000 into ETH, sells 10 at 3,000, fee 15
    day 2: BTC gaps to 44,000: 5,000 − 50,000 − 25 + 44,000 = −1,025: bad debt 1,025, nothing left for a penalty
           ETH is bought back at 3,200: 3,000 + 30,000 − 15 − 32,000 = 985, penalty 1 % of 32,000 = 320, 665 go home
    wallet: 10,000 − 5,000 − 3,000 + 665 = 2,665
    """
    fills = rows(
        records.FILL,
        _fill(2, 0, 1, 0, 1000, -50_000, 25, pool=0, price=50_000.0),
        _fill(4, 1, 1, 1, -1000, 30_000, 15, pool=1, price=3000.0),
        _fill(5, -1, 2, 0, -1000, 44_000, 0, pool=0, price=44_000.0, realized=micro(-6000), cause=Cause.LIQUIDATION),
        _fill(7, -1, 2, 1, 1000, -32_000, 0, pool=1, price=3200.0, realized=micro(-2000), cause=Cause.LIQUIDATION),
    )
    whole = {"ts_ms": START + 2 * DAY, "stage": Stage.WHOLE}
    liquidations = rows(
        records.LIQUIDATION,
        {"seq": 6, "pool": 0, "symbol": 0, "lots": -1000, "bad_debt": micro(1025), "price": 44_000.0,
         "equity_before": micro(-1025), "maintenance_before": micro(1320), "ambiguous": 1, **whole},
        {"seq": 8, "pool": 1, "symbol": 1, "lots": 1000, "penalty": micro(320), "insurance": micro(320),
         "price": 3200.0,
         "equity_before": micro(985), "maintenance_before": micro(985) + 1, "equity_after": micro(665), **whole},
    )  # fmt: skip
    moves = rows(
        records.MOVE,
        {"seq": 1, "ts_ms": START + DAY, "symbol": 0, "amount": micro(5000)},
        {"seq": 3, "ts_ms": START + DAY, "symbol": 1, "amount": micro(3000)},
        {"seq": 9, "ts_ms": START + 2 * DAY, "symbol": 1, "amount": micro(-665)},
    )
    at = {"ts_ms": START + 2 * DAY}
    return idle(
        10_000,
        symbols=("BTC-USD", "ETH-USD"), step_micro=np.array([1000, 10_000]), margin="isolated",
        curve=curve_of([10_000, 9000, 2665], gross=[0, 80_000, 0]), fills=fills, liquidations=liquidations, moves=moves,
        positions=rows(
            records.POSITION,
            {"symbol": 0, "pool": 0, "lots": 1000, "cost": micro(50_000), "mark": 49_000.0, **at},
            {"symbol": 1, "pool": 1, "lots": -1000, "cost": micro(-30_000), "mark": 3100.0, **at},
        ),
        pools=rows(
            records.POOL,
            {"pool": 0, "equity": 3975.0, "initial": 2450.0, "maintenance": 1470.0, **at},
            {"pool": 1, "equity": 1985.0, "initial": 1550.0, "maintenance": 930.0, **at},
        ),
        final_wallet=micro(2665), final_pool_cash=np.zeros(2, dtype=np.int64),
        final_lots=np.zeros(2, dtype=np.int64), final_mark=np.array([44_000.0, 3200.0]),
    )  # fmt: skip


def shortfall() -> Record:
    """Bought at 100 with all the cash and a fee of 105, sold at 90: 100 − 100 − 105 + 90 = −15, borne by others."""
    row = {"pool": CROSS_POOL, "ts_ms": START}
    return idle(
        100,
        fills=rows(
            records.FILL,
            {"seq": 1, "lots": 1000, "quote": -micro(100), "fee": micro(105), **row},
            {"seq": 2, "lots": -1000, "quote": micro(90), **row},
        ),
        liquidations=rows(records.LIQUIDATION, {"seq": 3, "symbol": -1, "stage": 1, "bad_debt": micro(15), **row}),
        final_wallet=0,
    )


CHAIN = Chain(
    name="hand",
    finality_ms=DAY // 2,
    deposits=(Route("canonical", Latency()),),
    withdrawals=(Route("fast", Latency()),),
    outages=(Outage(START + 4 * DAY, START + 4 * DAY + 1000, "by hand"),),
)
"""The chain of `bridged`."""


def bridged() -> Record:
    """Cash 1,000 and a reserve of 500, five daily candles, lots of 0.001 BTC.

    day 1:    deposit 0 of 200, gas 1:               reserve 299, in flight 200
    day 1.25: order 1, gas 0.50, buys 1 at 100.10 (0.10 of spread), fee 0.05:           wallet 899.35
    day 2:    withdrawal 2 of 300, gas 2:            wallet 597.35, in flight 500
    day 2.25: cancel 3, gas 0.25:                    wallet 597.10
    day 3:    deposit 0 arrives less a fee of 2:     wallet 795.10, in flight 300; deposit 4 of 9,999 is refused
    day 3.5:  withdrawal 2 arrives less a fee of 5:  reserve 594, in flight 0
              order 5, gas 0.50, buys 1 at 110.22 (0.22 of spread), fee 0.06
    day 3.75: which is undone:                       wallet 794.60
    day 5:    after the last row: withdrawal 6 of 50, gas 2:  wallet 742.60, in flight 50
    total:    742.60 + 120 (1 BTC) + 594 + 50 = 1,506.60
    """
    deposit, withdrawal = {"kind": TransferKind.DEPOSIT, "route": 0}, {"kind": TransferKind.WITHDRAWAL, "route": 1}
    refused = {"state": TransferState.REJECTED, "arrives_ms": -1, "reason": Reason.RESERVE}

    def moved(seq: int, order: int, day: float, amount: float, arrives: float, **more: Any) -> dict[str, Any]:
        return {
            "seq": seq, "order_id": order, "ts_ms": at(day), "amount": micro(amount), "arrives_ms": at(arrives), **more,
        }  # fmt: skip

    def at(day: float) -> int:
        return START + round(day * DAY)

    arrived = {"state": TransferState.ARRIVED}
    gas = (
        (1, 0, 1, "deposit", 1), (3, 1, 1.25, "order", 0.5), (5, 2, 2, "withdrawal", 2), (7, 3, 2.25, "cancel", 0.25),
        (11, 5, 3.5, "order", 0.5), (14, 6, 5, "withdrawal", 2),
    )  # fmt: skip
    taken = {"pool": CROSS_POOL, "order_id": 5}
    return idle(
        1000,
        reserve=micro(500), curve=curve_of([1000, 1004.35, 687.10, 904.60, 914.60], gross=[0, 105, 90, 110, 120]),
        gas=rows(
            records.GAS,
            *({"seq": seq, "order_id": order, "ts_ms": at(day), "kind": GasKind[kind.upper()], "amount": micro(amount)}
              for seq, order, day, kind, amount in gas),
        ),
        transfers=rows(
            records.TRANSFER,
            moved(2, 0, 1, 200, 3, **deposit),
            moved(6, 2, 2, 300, 3.5, **withdrawal),
            moved(8, 0, 3, 200, 3, fee=micro(2), **arrived, **deposit),
            moved(9, 4, 3, 9999, 0, have=micro(299), need=micro(10_000), **deposit) | refused,
            moved(10, 2, 3.5, 300, 3.5, fee=micro(5), **arrived, **withdrawal),
            moved(15, 6, 5, 50, 9, **withdrawal),
        ),
        fills=rows(
            records.FILL,
            {"seq": 4, "order_id": 1, "ts_ms": at(1.25), "pool": CROSS_POOL, "lots": 1000, "quote": micro(-100.10),
             "fee": micro(0.05), "spread": micro(0.10)},
            {"seq": 12, "ts_ms": at(3.5), "lots": 1000, "quote": micro(-110.22), "fee": micro(0.06),
             "spread": micro(0.22), **taken},
            {"seq": 13, "ts_ms": at(3.75), "lots": -1000, "quote": micro(110.22), "fee": micro(-0.06),
             "realized": micro(5.06), "cause": Cause.REORG, **taken},
        ),
        orders=rows(
            records.ORDER,
            {"order_id": 1, "lots": 1000, "filled": 1000, "ts_sent_ms": at(1), "ts_arrived_ms": at(1.25)},
            {"order_id": 5, "lots": 1000, "filled": 1000, "ts_sent_ms": at(3), "ts_arrived_ms": at(3.5)},
        ),
        final_wallet=micro(742.60), final_reserve=micro(594), final_in_flight=micro(50),
        final_lots=np.array([1000]), final_mark=np.array([120.0]),
    )  # fmt: skip
