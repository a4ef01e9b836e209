"""The journal: what happened, in order, written by kernels into packed rows and read back as records.

A row's position is its sequence number. Money in micro, times in ms.
"""

from __future__ import annotations

from backtest.core import enums
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
    L_HOLDING,
    L_LIQUIDATION,
    L_MOVE,
    L_ORDER,
    L_POOL,
    L_POSITION,
    L_SHARE,
    L_STANDING,
    L_STATE,
    L_TRANSFER,
    LEFT,
    LIMIT_AT,
    LOGGED,
    OWNER,
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
    OVER_MARGIN_LIMIT,
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
ORDERED, BY_LIQUIDATION, BY_DELISTING, BY_ADL, BY_GUARD, BY_REORG, AS_OPENING = map(int, enums.Cause)
PAID_ORDER, PAID_CANCEL, PAID_AMENDMENT, PAID_DEPOSIT, PAID_WITHDRAWAL = map(int, enums.GasKind)
TR_SENT, TR_ARRIVED, TR_REJECTED = map(int, enums.TransferState)
(
    SHARE_OF_FILL,
    SHARE_OF_CLOSING,
    SHARE_OF_SETTLEMENT,
    SHARE_OF_FUNDING,
    SHARE_OF_RELIEF,
    SHARE_OF_GAS,
    SHARE_OF_BRIDGE,
) = map(int, enums.ShareKind)
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
    row[13], row[14] = m[CAUSE], m[OWNER]


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
    row[6], row[7], row[8] = m[LEFT], m[DONE_LOTS], m[OWNER]


@kernel
def put_ambiguous(w: World, ts: int, p: int) -> None:
    n = w.acct[LOGGED]
    w.acct[LOGGED] = n + 1
    row = w.log[n]
    row[0], row[1], row[2] = L_AMBIGUOUS, ts, pool_name(w.spec, p)


@kernel
def put_call(w: World, ts: int, p: int, equity: int, needed: int, level: float, owner: int) -> None:
    """`owner`: the strategy whose guard calls; −1: the venue."""
    n = w.acct[LOGGED]
    w.acct[LOGGED] = n + 1
    w.acct[EVENTS] |= EV_CALL
    row = w.log[n]
    row[0], row[1], row[2], row[3], row[4] = L_CALL, ts, pool_name(w.spec, p), equity, needed
    row[5], row[6] = owner, level


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
    row[12] = m[OWNER]


@kernel
def put_share(
    w: World, ts: int, s: int, i: int, kind: int, message: int, lots: int, amount: int, fee: int, realized: int
) -> None:
    """What strategy `s` has of an event of the shared account; `i` −1: of no symbol."""
    n = w.acct[LOGGED]
    w.acct[LOGGED] = n + 1
    row = w.log[n]
    row[0], row[1], row[2], row[3], row[4], row[5] = L_SHARE, ts, s, i, kind, message
    row[6], row[7], row[8], row[9] = lots, amount, fee, realized


@kernel
def put_standing(w: World, ts: int, s: int, pnl: int, alone: int, account: int) -> None:
    """Profit and loss and stand-alone initial margin of strategy `s`, and the account's initial margin."""
    n = w.acct[LOGGED]
    w.acct[LOGGED] = n + 1
    row = w.log[n]
    row[0], row[1], row[2], row[3], row[4], row[5] = L_STANDING, ts, s, pnl, alone, account


@kernel
def put_holding(w: World, ts: int, s: int, i: int, lots: int, cost: int, value: int) -> None:
    """The virtual position of strategy `s` in `i`."""
    n = w.acct[LOGGED]
    w.acct[LOGGED] = n + 1
    row = w.log[n]
    row[0], row[1], row[2], row[3], row[4], row[5], row[6] = L_HOLDING, ts, s, i, lots, cost, value
