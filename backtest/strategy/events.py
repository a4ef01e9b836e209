"""What hooks are given: values about something that has happened. Base and quote units."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple, TypeAlias, cast

import numpy as np

from backtest.core.enums import (
    CROSS_POOL,
    MICRO,
    Cause,
    Liquidity,
    OrderState,
    Reason,
    Stage,
    TransferKind,
    TransferState,
)
from backtest.engine import layout as at
from backtest.engine.journal_records import records_of
from backtest.engine.replay import Replay
from backtest.strategy.literal_types import (
    CauseName,
    LiquidityName,
    OrderStateName,
    ReasonName,
    StageName,
    TransferKindName,
    TransferStateName,
)
from backtest.strategy.routes import route_name


def word(member: IntEnum) -> str:
    """Return the name of an enum member as tables and hooks write it."""
    return member.name.lower()


class Fill(NamedTuple):
    """An order, or a liquidation, was filled."""

    ts_ms: int
    symbol: str
    qty: float
    """Signed, bought positive."""
    price: float
    fee: float
    realized_pnl: float
    """Against average cost, without the fee."""
    order_id: int
    """−1: not an order of the strategy."""
    cause: CauseName
    """strategy, liquidation, delisting, adl, guard, reorg (what the chain has undone) or opening (held from the
    start)."""
    liquidity: LiquidityName
    """maker or taker."""


class OrderEvent(NamedTuple):
    """An order has changed its state."""

    ts_ms: int
    order_id: int
    symbol: str
    state: OrderStateName
    """At the venue: dormant, armed, working. On the way: triggered, partly_filled, amended. At the end: filled,
    cancelled, expired, rejected."""
    reason: ReasonName | None
    """In the words of the table of orders; None: no reason is needed."""
    left: float
    """Signed, bought positive; base units that are not filled."""
    filled: float
    """Signed."""


class FundingPayment(NamedTuple):
    """Funding was settled on a position."""

    ts_ms: int
    symbol: str
    qty: float
    price: float
    rate: float
    payment: float
    """Positive: received."""


class MarginCall(NamedTuple):
    """At a close a pool's equity has fallen below its initial margin, or its margin ratio has reached a level."""

    ts_ms: int
    pool: str
    equity: float
    initial_margin: float
    level: float
    """Margin ratio of the guard that calls (`call=0.5`); 0.0: equity below initial margin."""


class Liquidation(NamedTuple):
    """A position was liquidated, wholly or in part, or taken by auto-deleveraging."""

    ts_ms: int
    pool: str
    symbol: str
    qty: float
    """Signed, what was traded: the position's opposite."""
    price: float
    penalty: float
    bad_debt: float
    stage: StageName
    """whole, position, partial, backstop, adl, socialised; or deleveraged: a good position, taken for another's
    failure."""


class Transfer(NamedTuple):
    """Money between the reserve and the venue was sent, has arrived, or was refused."""

    ts_ms: int
    transfer_id: int
    kind: TransferKindName
    """deposit (to the venue) or withdrawal (from it)."""
    state: TransferStateName
    """sent, arrived or rejected."""
    route: str
    amount: float
    """What left; of one rejected what was asked, 0.0 where that was no amount."""
    fee: float
    """Of the route, paid from the amount on arrival; 0.0 in other states."""
    reason: ReasonName | None
    """Why it was rejected: quantity, reserve, collateral or gated; None: it was not."""


Event: TypeAlias = Fill | OrderEvent | FundingPayment | MarginCall | Liquidation | Transfer

REASONS: tuple[ReasonName | None, ...] = tuple(
    None if reason == Reason.NONE else "limit" if reason == Reason.LIMIT_SIZE else cast("ReasonName", word(reason))
    for reason in Reason
)
"""By number. A limit reads the same whether it is of the notional or of the size."""
HOOKS = {
    "on_fill": (at.L_FILL, at.EV_FILL),
    "on_order": (at.L_STATE, at.EV_ORDER),
    "on_funding": (at.L_FUNDING, at.EV_FUNDING),
    "on_liquidation": (at.L_LIQUIDATION, at.EV_LIQUIDATION),
    "on_margin_call": (at.L_CALL, at.EV_CALL),
    "on_transfer": (at.L_TRANSFER, at.EV_TRANSFER),
}
"""Hook: journal kind, and the bit that stops the kernels after the row."""


def since(replay: Replay, number: int, written: frozenset[str]) -> Iterator[tuple[str, np.void]]:
    """`(hook, record)` of all that a written hook hears in the journal from row `number` of the run on, in order."""
    # Orders sent in vain may fill the journal at the close itself: part of it may have been put aside unheard.
    log = replay.journal(number)
    for n, kind in enumerate(log[:, 0].tolist()):
        for hook in written:
            if hook in HOOKS and HOOKS[hook][0] == kind:
                row = records_of(int(kind), log[n : n + 1])[0]
                if happened(hook, row):
                    yield hook, row


def happened(hook: str, row: np.void) -> bool:
    """Whether what the hook is for happened: its table also has rows of what did not."""
    if hook == "on_liquidation":
        # A close that cost more than the pool had liquidated nothing.
        return bool(row["stage"] != Stage.SHORTFALL)
    # A settlement that the data lack paid nothing, at no rate.
    return hook != "on_funding" or bool(row["missing"] == 0)


def written(replay: Replay) -> int:
    """Rows that the journal has had since the run began."""
    return replay.flushed + int(replay.acct[at.LOGGED])


def value(replay: Replay, hook: str, r: np.void) -> Event:
    """What a hook is given of a record."""
    setup = replay.setup
    if hook == "on_margin_call":
        equity, initial = int(r["equity"]) / MICRO, int(r["initial"]) / MICRO
        return MarginCall(int(r["ts_ms"]), _pool(replay, r), equity, initial, float(r["level"]))
    if hook == "on_transfer":
        return _transfer(replay, r)
    i = int(r["symbol"])  # −1: an amendment of an order that never was
    ts, symbol, step = int(r["ts_ms"]), setup.symbols[i] if i >= 0 else "", int(setup.step_micro[i])
    if hook == "on_order":
        state, reason = cast("OrderStateName", word(OrderState(r["state"]))), REASONS[int(r["reason"])]
        left, filled = int(r["left"]) * step / MICRO, int(r["filled"]) * step / MICRO
        return OrderEvent(ts, int(r["order_id"]), symbol, state, reason, left, filled)
    qty, price = int(r["lots"]) * step / MICRO, float(r["price"])
    if hook == "on_funding":
        return FundingPayment(ts, symbol, qty, price, float(r["rate"]), int(r["payment"]) / MICRO)
    if hook == "on_liquidation":
        penalty, debt = int(r["penalty"]) / MICRO, int(r["bad_debt"]) / MICRO
        stage = cast("StageName", word(Stage(r["stage"])))
        return Liquidation(ts, _pool(replay, r), symbol, qty, price, penalty, debt, stage)
    fee, realized = int(r["fee"]) / MICRO, int(r["realized"]) / MICRO
    cause = cast("CauseName", word(Cause(r["cause"])))
    liquidity = cast("LiquidityName", word(Liquidity(r["liquidity"])))
    return Fill(ts, symbol, qty, price, fee, realized, int(r["order_id"]), cause, liquidity)


def _transfer(replay: Replay, r: np.void) -> Transfer:
    kind = cast("TransferKindName", word(TransferKind(r["kind"])))
    state = cast("TransferStateName", word(TransferState(r["state"])))
    route = route_name(replay.setup.chain, int(r["route"]))
    amount, fee, reason = int(r["amount"]) / MICRO, int(r["fee"]) / MICRO, REASONS[int(r["reason"])]
    return Transfer(int(r["ts_ms"]), int(r["order_id"]), kind, state, route, amount, fee, reason)


def _pool(replay: Replay, r: np.void) -> str:
    return "cross" if r["pool"] == CROSS_POOL else replay.setup.symbols[r["pool"]]
