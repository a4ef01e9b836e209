"""The journal: what happened, in order, written by kernels into packed rows and read back as records.

A row's position is its sequence number. Money in micro, times in ms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtest import schema
from backtest.engine.compile import inlined, kernel
from backtest.engine.layout import (
    EV_CALL,
    EV_FILL,
    EV_FUNDING,
    EV_LIQUIDATION,
    EVENTS,
    L_AMBIGUOUS,
    L_CALL,
    L_FILL,
    L_FUNDING,
    L_GUARD,
    L_LIQUIDATION,
    L_MOVE,
    L_ORDER,
    L_POOL,
    L_POSITION,
    LOGGED,
    POOL,
    Floats,
    World,
)

# The words of `schema` as the plain numbers that kernels write.
FILLED, CANCELLED, EXPIRED, REJECTED = map(int, schema.Status)
(
    NO_REASON,
    MARGIN,
    NOT_REDUCING,
    DELISTED,
    TOO_SMALL,
    LIQUIDATED,
    BY_STRATEGY,
    END_OF_RUN,
    TOO_LARGE,
    HALTED,
    TOO_MUCH,
) = map(int, schema.Reason)
ORDERED, BY_LIQUIDATION, BY_DELISTING, BY_ADL, BY_GUARD = map(int, schema.Cause)
WHOLE, SHORTFALL, PARTIAL, ONE_POSITION, BACKSTOPPED, DELEVERAGING, SOCIALISED, TAKEN = map(int, schema.Stage)


@inlined
def pool_name(spec: Floats, p: int) -> int:
    """The number a pool goes by in records: its symbol's, or −1 for the cross pool."""
    return p if p < spec.shape[0] else -1


@kernel
def put_fill(
    w: World,
    ts: int,
    i: int,
    order: int,
    lots: int,
    quote: int,
    fee: int,
    slip: int,
    realized: int,
    cause: int,
    price: float,
    decision: float,
    arrival: float,
) -> None:
    n = w.acct[LOGGED]
    w.acct[LOGGED] = n + 1
    w.acct[EVENTS] |= EV_FILL
    row = w.log[n]
    row[0], row[1], row[2], row[3], row[4] = L_FILL, ts, i, pool_name(w.spec, w.book[i, POOL]), order
    row[5], row[6], row[7], row[8], row[9], row[10] = lots, quote, fee, slip, realized, cause
    row[11], row[12], row[13] = price, decision, arrival


@kernel
def put_funding(w: World, ts: int, i: int, lots: int, payment: int, missing: int, price: float, rate: float) -> None:
    n = w.acct[LOGGED]
    w.acct[LOGGED] = n + 1
    w.acct[EVENTS] |= EV_FUNDING
    row = w.log[n]
    row[0], row[1], row[2], row[3], row[4] = L_FUNDING, ts, i, pool_name(w.spec, w.book[i, POOL]), lots
    row[5], row[6] = payment, missing
    row[7], row[8] = price, rate


@kernel
def put_liquidation(
    w: World,
    ts: int,
    p: int,
    i: int,
    stage: int,
    lots: int,
    penalty: int,
    insured: int,
    bad_debt: int,
    adl_loss: int,
    equity_before: int,
    maintenance_before: int,
    equity_after: int,
    maintenance_after: int,
    ambiguous: int,
    price: float,
) -> None:
    n = w.acct[LOGGED]
    w.acct[LOGGED] = n + 1
    w.acct[EVENTS] |= EV_LIQUIDATION
    row = w.log[n]
    row[0], row[1], row[2], row[3], row[4], row[5] = L_LIQUIDATION, ts, pool_name(w.spec, p), i, stage, lots
    row[6], row[7], row[8], row[9] = penalty, insured, bad_debt, adl_loss
    row[10], row[11], row[12], row[13] = equity_before, maintenance_before, equity_after, maintenance_after
    row[14], row[15] = ambiguous, price


@kernel
def put_move(w: World, ts: int, i: int, amount: int) -> None:
    n = w.acct[LOGGED]
    w.acct[LOGGED] = n + 1
    row = w.log[n]
    row[0], row[1], row[2], row[3] = L_MOVE, ts, i, amount


@kernel
def put_order(
    w: World,
    order: int,
    sent: int,
    arrived: int,
    done: int,
    i: int,
    lots: int,
    reduce_only: int,
    status: int,
    reason: int,
    have: int,
    need: int,
    filled: int,
    cause: int,
) -> None:
    n = w.acct[LOGGED]
    w.acct[LOGGED] = n + 1
    row = w.log[n]
    row[0], row[1], row[2], row[3], row[4], row[5], row[6] = L_ORDER, order, sent, arrived, done, i, lots
    row[7], row[8], row[9], row[10], row[11], row[12] = reduce_only, status, reason, have, need, filled
    row[13] = cause


@kernel
def put_ambiguous(w: World, ts: int, p: int) -> None:
    n = w.acct[LOGGED]
    w.acct[LOGGED] = n + 1
    row = w.log[n]
    row[0], row[1], row[2] = L_AMBIGUOUS, ts, pool_name(w.spec, p)


@kernel
def put_call(w: World, ts: int, p: int, equity: int, needed: int, level: float) -> None:
    n = w.acct[LOGGED]
    w.acct[LOGGED] = n + 1
    w.acct[EVENTS] |= EV_CALL
    row = w.log[n]
    row[0], row[1], row[2], row[3], row[4] = L_CALL, ts, pool_name(w.spec, p), equity, needed
    row[5] = level


@kernel
def put_position(w: World, ts: int, i: int, lots: int, cost: int, mark: float, liquidation: float) -> None:
    n = w.acct[LOGGED]
    w.acct[LOGGED] = n + 1
    row = w.log[n]
    row[0], row[1], row[2], row[3], row[4], row[5] = L_POSITION, ts, i, pool_name(w.spec, w.book[i, POOL]), lots, cost
    row[6], row[7] = mark, liquidation


@kernel
def put_pool(w: World, ts: int, p: int, equity: float, needed: float, least: float) -> None:
    n = w.acct[LOGGED]
    w.acct[LOGGED] = n + 1
    row = w.log[n]
    row[0], row[1], row[2] = L_POOL, ts, pool_name(w.spec, p)
    row[3], row[4], row[5] = equity, needed, least


@kernel
def put_guard(w: World, ts: int, guard: int, i: int, pool: int, order: int, value: float) -> None:
    """`pool` as records name it; `i` and `order` −1 where it is not about one."""
    n = w.acct[LOGGED]
    w.acct[LOGGED] = n + 1
    row = w.log[n]
    row[0], row[1], row[2], row[3], row[4], row[5], row[6] = L_GUARD, ts, guard, i, pool, order, value


# kind: record type, its whole-number fields and then its doubles, in the order of the columns from 1 on
FIELDS: dict[int, tuple[np.dtype[Any], tuple[str, ...], tuple[str, ...]]] = {
    L_FILL: (
        schema.FILL,
        ("ts_ms", "symbol", "pool", "order_id", "lots", "quote", "fee", "slip", "realized", "cause"),
        ("price", "decision_price", "arrival_price"),
    ),
    L_FUNDING: (schema.FUNDING, ("ts_ms", "symbol", "pool", "lots", "payment", "missing"), ("price", "rate")),
    L_LIQUIDATION: (
        schema.LIQUIDATION,
        ("ts_ms", "pool", "symbol", "stage", "lots", "penalty", "insurance", "bad_debt", "adl_loss")
        + ("equity_before", "maintenance_before", "equity_after", "maintenance_after", "ambiguous"),
        ("price",),
    ),
    L_MOVE: (schema.MOVE, ("ts_ms", "symbol", "amount"), ()),
    L_ORDER: (
        schema.ORDER,
        ("order_id", "ts_sent_ms", "ts_arrived_ms", "ts_done_ms", "symbol", "lots", "reduce_only", "status", "reason")
        + ("have", "need", "filled", "cause"),
        (),
    ),
    L_AMBIGUOUS: (schema.AMBIGUOUS, ("ts_ms", "pool"), ()),
    L_CALL: (schema.MARGIN_CALL, ("ts_ms", "pool", "equity", "initial"), ("level",)),
    L_GUARD: (schema.GUARD, ("ts_ms", "guard", "symbol", "pool", "order_id"), ("value",)),
    L_POSITION: (schema.POSITION, ("ts_ms", "symbol", "pool", "lots", "cost"), ("mark", "liquidation_price")),
    L_POOL: (schema.POOL, ("ts_ms", "pool"), ("equity", "initial", "maintenance")),
}


def records(kind: int, log: NDArray[np.float64], first: int = 0) -> NDArray[np.void]:
    """The journal's rows of one kind as a record array; `first` is the sequence number of row 0."""
    dtype, whole, real = FIELDS[kind]
    at = np.flatnonzero(log[:, 0] == kind)
    out = np.zeros(len(at), dtype)
    for column, name in enumerate((*whole, *real), start=1):
        out[name] = log[at, column]
    if "seq" in (dtype.names or ()):
        out["seq"] = at + first
    return out
