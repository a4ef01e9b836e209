"""The journal: what happened, in order, written by kernels into packed rows and read back as records.

A row's position is its sequence number. Money in micro, times in ms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtest.core import enums, records
from backtest.engine.compile import inlined, kernel
from backtest.engine.layout import (
    ACTIVATION,
    ARRIVES,
    BY_MARK,
    CAUSE,
    DEPOSIT,
    DONE_LOTS,
    EV_CALL,
    EV_FILL,
    EV_FUNDING,
    EV_LIQUIDATION,
    EV_ORDER,
    EV_TRANSFER,
    EVENTS,
    EXPIRES,
    GROUP,
    HOOKS,
    ID,
    KIND,
    L_AMBIGUOUS,
    L_CALL,
    L_DETAIL,
    L_FILL,
    L_FUNDING,
    L_GAS,
    L_GUARD,
    L_LIQUIDATION,
    L_MOVE,
    L_ORDER,
    L_POOL,
    L_POSITION,
    L_STATE,
    L_TRANSFER,
    LEFT,
    LIMIT_AT,
    LOGGED,
    PARENT,
    POOL,
    POST_ONLY,
    REDUCE_ONLY,
    SENT,
    SIZE,
    STOP_AT,
    SYMBOL,
    TARGET,
    TIF,
    TRAIL,
    TRAIL_SHARE,
    TRANSFER_STAGE,
    TRIGGERED,
    TYPE,
    Floats,
)
from backtest.engine.world import World

# The members of `core.enums` as the plain numbers that kernels write.
FILLED, CANCELLED, EXPIRED, REJECTED = map(int, enums.Status)
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
    BAD_QUANTITY,
    BAD_PRICE,
    BRACKETED,
    BELOW_MINIMUM,
    TOO_MANY,
    WOULD_TAKE,
    WOULD_TRIGGER,
    NOT_AT_ONCE,
    NOT_WHOLE,
    TIME_UP,
    ONE_CANCELS,
    NO_PARENT,
    NOT_OPEN,
    BAD_AMENDMENT,
    LOST_IN_OUTAGE,
    GAS_SHORT,
    STALE_ORACLE,
    GATED,
    COLLATERAL,
    NO_RESERVE,
    BEYOND_BAND,
) = map(int, enums.Reason)
(
    MARKET_ORDER,
    LIMIT_ORDER,
    STOP_MARKET,
    STOP_LIMIT,
    TAKE_PROFIT_MARKET,
    TAKE_PROFIT_LIMIT,
    TRAILING_STOP,
    AMEND,
) = map(int, enums.OrderType)
GTC, IOC, FOK, GTD = map(int, enums.TimeInForce)
AS_TAKER, AS_MAKER = map(int, enums.Liquidity)
(
    IS_DORMANT,
    IS_ARMED,
    IS_WORKING,
    IS_TRIGGERED,
    IS_PARTLY_FILLED,
    IS_AMENDED,
    IS_ENDED,
    _,
    _,
    _,
) = map(int, enums.OrderState)
# an order's end is IS_ENDED + its Status
ORDERED, BY_LIQUIDATION, BY_DELISTING, BY_ADL, BY_GUARD, BY_REORG = map(int, enums.Cause)
PAID_ORDER, PAID_CANCEL, PAID_AMENDMENT, PAID_DEPOSIT, PAID_WITHDRAWAL = map(int, enums.GasKind)
TR_SENT, TR_ARRIVED, TR_REJECTED = map(int, enums.TransferState)
WHOLE, SHORTFALL, PARTIAL, ONE_POSITION, BACKSTOPPED, DELEVERAGING, SOCIALISED, TAKEN = map(int, enums.Stage)


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
    spread: int,
    impact: int,
    drift: int,
    latency: int,
    realized: int,
    cause: int,
    liquidity: int,
    price: float,
    decision: float,
    arrival: float,
) -> None:
    n = w.acct[LOGGED]
    w.acct[LOGGED] = n + 1
    w.acct[EVENTS] |= EV_FILL
    row = w.log[n]
    row[0], row[1], row[2], row[3], row[4] = L_FILL, ts, i, pool_name(w.spec, w.book[i, POOL]), order
    row[5], row[6], row[7], row[8], row[9], row[10] = lots, quote, fee, spread, impact, drift
    row[11], row[12], row[13], row[14] = latency, realized, cause, liquidity
    row[15], row[16], row[17] = price, decision, arrival


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
def put_order(w: World, at: int, ts: int, status: int, reason: int, have: int, need: int) -> None:
    """The end of the order at queue row `at`; a plain market order has no details."""
    m = w.queue[at]
    if m[TYPE] != MARKET_ORDER or m[TIF] != GTC or m[GROUP] >= 0.0 or m[PARENT] >= 0.0:
        put_detail(w, at)
    n = w.acct[LOGGED]
    w.acct[LOGGED] = n + 1
    row = w.log[n]
    row[0], row[1], row[2], row[3], row[4], row[5], row[6] = L_ORDER, m[ID], m[SENT], m[ARRIVES], ts, m[SYMBOL], m[SIZE]
    row[7], row[8], row[9], row[10], row[11], row[12] = m[REDUCE_ONLY], status, reason, have, need, m[DONE_LOTS]
    row[13] = m[CAUSE]


@kernel
def put_detail(w: World, at: int) -> None:
    """What an order is beside its size, as it is now."""
    m = w.queue[at]
    n = w.acct[LOGGED]
    w.acct[LOGGED] = n + 1
    row = w.log[n]
    row[0], row[1], row[2], row[3], row[4], row[5] = L_DETAIL, m[ID], m[TYPE], m[TIF], m[BY_MARK], m[POST_ONLY]
    row[6], row[7], row[8], row[9] = m[EXPIRES] if m[TIF] == GTD else -1.0, m[TRIGGERED], m[PARENT], m[GROUP]
    row[10], row[11] = m[TARGET], m[TRAIL_SHARE]
    row[12], row[13], row[14], row[15] = m[LIMIT_AT], m[STOP_AT], m[TRAIL], m[ACTIVATION]


@kernel
def put_state(w: World, at: int, ts: int, state: int, reason: int) -> None:
    """A change of an order's state, where somebody wants to hear of it."""
    if int(w.run[HOOKS]) & EV_ORDER == 0:
        return
    m = w.queue[at]
    n = w.acct[LOGGED]
    w.acct[LOGGED] = n + 1
    w.acct[EVENTS] |= EV_ORDER
    row = w.log[n]
    row[0], row[1], row[2], row[3], row[4], row[5] = L_STATE, ts, m[ID], m[SYMBOL], state, reason
    row[6], row[7] = m[LEFT], m[DONE_LOTS]


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


@kernel
def put_gas(w: World, ts: int, message: int, kind: int, amount: int) -> None:
    n = w.acct[LOGGED]
    w.acct[LOGGED] = n + 1
    row = w.log[n]
    row[0], row[1], row[2], row[3], row[4] = L_GAS, ts, message, kind, amount


@kernel
def put_transfer(w: World, at: int, ts: int, state: int, fee: int, reason: int, have: int, need: int) -> None:
    """A change of state of the transfer at queue row `at`."""
    m = w.queue[at]
    n = w.acct[LOGGED]
    w.acct[LOGGED] = n + 1
    w.acct[EVENTS] |= EV_TRANSFER
    row = w.log[n]
    row[0], row[1], row[2], row[3], row[4] = L_TRANSFER, ts, m[ID], m[KIND] - DEPOSIT, state
    row[5], row[6], row[7] = m[TARGET] - TRANSFER_STAGE, m[SIZE], fee
    row[8], row[9], row[10], row[11] = m[ARRIVES] if state != TR_REJECTED else -1.0, reason, have, need


DETAIL = np.dtype(
    [(name, "i8") for name in ("order_id", "type", "tif", "by_mark", "post_only", "expires_ms", "triggered_ms")]
    + [(name, "i8") for name in ("parent", "group", "target", "trail_share")]
    + [(name, "f8") for name in ("limit_price", "stop_price", "trail", "activation")]
)
"""The fields of `records.ORDER` that a plain market order has none of."""
# kind: record type, its whole-number fields and then its doubles, in the order of the columns from 1 on
FIELDS: dict[int, tuple[np.dtype[Any], tuple[str, ...], tuple[str, ...]]] = {
    L_FILL: (
        records.FILL,
        ("ts_ms", "symbol", "pool", "order_id", "lots", "quote", "fee", "spread", "impact", "drift", "latency")
        + ("realized", "cause", "liquidity"),
        ("price", "decision_price", "arrival_price"),
    ),
    L_FUNDING: (records.FUNDING, ("ts_ms", "symbol", "pool", "lots", "payment", "missing"), ("price", "rate")),
    L_LIQUIDATION: (
        records.LIQUIDATION,
        ("ts_ms", "pool", "symbol", "stage", "lots", "penalty", "insurance", "bad_debt", "adl_loss")
        + ("equity_before", "maintenance_before", "equity_after", "maintenance_after", "ambiguous"),
        ("price",),
    ),
    L_GAS: (records.GAS, ("ts_ms", "order_id", "kind", "amount"), ()),
    L_TRANSFER: (
        records.TRANSFER,
        ("ts_ms", "order_id", "kind", "state", "route", "amount", "fee", "arrives_ms", "reason", "have", "need"),
        (),
    ),
    L_MOVE: (records.MOVE, ("ts_ms", "symbol", "amount"), ()),
    L_ORDER: (
        records.ORDER,
        ("order_id", "ts_sent_ms", "ts_arrived_ms", "ts_done_ms", "symbol", "lots", "reduce_only", "status", "reason")
        + ("have", "need", "filled", "cause"),
        (),
    ),
    L_DETAIL: (
        DETAIL,
        ("order_id", "type", "tif", "by_mark", "post_only", "expires_ms", "triggered_ms", "parent", "group", "target")
        + ("trail_share",),
        ("limit_price", "stop_price", "trail", "activation"),
    ),
    L_STATE: (records.ORDER_EVENT, ("ts_ms", "order_id", "symbol", "state", "reason", "left", "filled"), ()),
    L_AMBIGUOUS: (records.AMBIGUOUS, ("ts_ms", "pool"), ()),
    L_CALL: (records.MARGIN_CALL, ("ts_ms", "pool", "equity", "initial"), ("level",)),
    L_GUARD: (records.GUARD, ("ts_ms", "guard", "symbol", "pool", "order_id"), ("value",)),
    L_POSITION: (records.POSITION, ("ts_ms", "symbol", "pool", "lots", "cost"), ("mark", "liquidation_price")),
    L_POOL: (records.POOL, ("ts_ms", "pool"), ("equity", "initial", "maintenance")),
}


def records_of(kind: int, log: NDArray[np.float64], first: int = 0) -> NDArray[np.void]:
    """The journal's rows of one kind as a record array; `first` is the sequence number of row 0."""
    dtype, whole, real = FIELDS[kind]
    at = np.flatnonzero(log[:, 0] == kind)
    out = np.zeros(len(at), dtype)
    for column, name in enumerate((*whole, *real), start=1):
        out[name] = log[at, column]
    if "seq" in (dtype.names or ()):
        out["seq"] = at + first
    return out


def orders_of(log: NDArray[np.float64]) -> NDArray[np.void]:
    """The ends of orders as records, with their details where they have any."""
    ends, details = records_of(L_ORDER, log), records_of(L_DETAIL, log)
    ends["expires_ms"] = ends["triggered_ms"] = -1
    ends["parent"] = ends["group"] = ends["target"] = enums.NO_ORDER
    ends["limit_price"] = ends["stop_price"] = ends["trail"] = ends["activation"] = np.nan
    if len(details):
        by_number = np.argsort(ends["order_id"], kind="stable")
        at = by_number[np.searchsorted(ends["order_id"], details["order_id"], sorter=by_number)]
        for name in DETAIL.names or ():
            ends[name][at] = details[name]
    return ends
