"""Money between the reserve and the venue, and gas (docs/reference/rules-layer2.md sections 5 and 6)."""

from __future__ import annotations

from backtest.engine.admission import cross_room
from backtest.engine.attribution import attribute_cash
from backtest.engine.bound import spare, surely_above
from backtest.engine.compile import kernel
from backtest.engine.heap import count, slot_at
from backtest.engine.journal import (
    COLLATERAL,
    GAS_SHORT,
    GATED,
    LOST_IN_OUTAGE,
    NO_REASON,
    NO_RESERVE,
    PAID_DEPOSIT,
    PAID_WITHDRAWAL,
    SHARE_OF_BRIDGE,
    SHARE_OF_GAS,
    TR_ARRIVED,
    TR_REJECTED,
    TR_SENT,
    put_gas,
    put_transfer,
)
from backtest.engine.layout import (
    ARRIVES,
    BY_ARRIVAL,
    COST,
    COSTS_GAS,
    DEPOSIT,
    FATE,
    GAS_DEPOSIT,
    GAS_WITHDRAWAL,
    ID,
    IN_FLIGHT,
    INTERVAL,
    KIND,
    LATENCY,
    ON_ITS_WAY,
    RANK,
    RESERVE,
    ROUTE_FEE,
    ROUTE_RATE,
    SIZE,
    TARGET,
    TRANSFER_STAGE,
    WALLET,
    WITHDRAWAL,
)
from backtest.engine.limit import may_leave, raise_capacity
from backtest.engine.margin import cross_pool, in_pool, mark_equity
from backtest.engine.money import share
from backtest.engine.outage import transfers_from
from backtest.engine.path import lows_first
from backtest.engine.send import message
from backtest.engine.slots import fly, free_slot, land
from backtest.engine.virtual import owner_of
from backtest.engine.way import congestion, count_sent, draw, gas_of, whole_ms
from backtest.engine.world import World


@kernel
def transfer_gas(w: World, column: int, sent: int, j: int) -> int:
    """Gas of a transfer that is sent at the close of panel row `j`, micro."""
    return gas_of(w, column, sent, congestion(w, j, sent)) if w.gas.shape[0] > 0 else 0


@kernel
def deposits_underway(w: World) -> int:
    """Micro on their way to the venue."""
    total = 0
    for n in range(count(w, BY_ARRIVAL)):
        at = slot_at(w, BY_ARRIVAL, n)  # transfers travel alone
        if w.queue[at, KIND] == float(DEPOSIT):
            total += int(w.queue[at, SIZE])
    return total


@kernel
def transfer(w: World, kind: int, amount: int, route: int, sent: int) -> int:
    """A new message for a transfer by row `route` of `ways`; returns its slot."""
    at = message(w, kind, -1, sent)
    w.queue[at, SIZE], w.queue[at, TARGET], w.queue[at, RANK] = amount, route, -1.0
    return at


@kernel
def delay_of(w: World, route: int, sent: int) -> int:
    return whole_ms(draw(w, route, TRANSFER_STAGE, sent, -1, count_sent(w, -1, sent)))


@kernel
def reject(w: World, at: int, sent: int, reason: int, have: int, need: int) -> None:
    """Record that the transfer at `at` does not set out, and give its slot back."""
    put_transfer(w, at, sent, TR_REJECTED, 0, reason, have, need)
    free_slot(w, at)


@kernel
def set_out(w: World, at: int, sent: int, arrives: int, kind: int, gas: int) -> None:
    """Put the transfer at `at`, which has been taken from where it was, in flight; its `gas` has been paid."""
    w.acct[IN_FLIGHT] += int(w.queue[at, SIZE])
    if gas > 0:
        put_gas(w, sent, int(w.queue[at, ID]), kind, gas)
        attribute_cash(w, sent, owner_of(w, at), w.spec.shape[0], SHARE_OF_GAS, int(w.queue[at, ID]), -gas)
    w.queue[at, ARRIVES] = arrives
    put_transfer(w, at, sent, TR_SENT, 0, NO_REASON, 0, 0)
    fly(w, at)


@kernel
def deposit(w: World, amount: int, route: int, sent: int, j: int) -> int:
    """Send `amount` > 0 from the reserve at the close of panel row `j`; returns its number. It may be refused."""
    at = transfer(w, DEPOSIT, amount, route, sent)
    number, gas = int(w.queue[at, ID]), transfer_gas(w, GAS_DEPOSIT, sent, j)
    if amount + gas > w.acct[RESERVE]:
        reject(w, at, sent, NO_RESERVE, w.acct[RESERVE], amount + gas)
        return number
    w.acct[RESERVE] -= amount + gas
    arrives = transfers_from(w, sent + int(w.run[LATENCY]) + delay_of(w, route, sent))
    set_out(w, at, sent, arrives, PAID_DEPOSIT, gas)
    return number


@kernel
def paid_in(w: World) -> int:
    """Equity of the cross pool without the profit and loss of what is open, micro."""
    total, cross = w.acct[WALLET], cross_pool(w.spec)
    for i in range(cross):
        if in_pool(w.book, cross, i):
            total += w.book[i, COST]
    return int(total)


@kernel
def withdraw(w: World, amount: int, route: int, sent: int, j: int) -> int:
    """Take `amount` > 0 from the wallet at the close of panel row `j`; returns its number. It may be refused."""
    at = transfer(w, WITHDRAWAL, amount, route, sent)
    number, gas = int(w.queue[at, ID]), transfer_gas(w, GAS_WITHDRAWAL, sent, j)
    have, need = cross_room(w, j, lows_first(w.panel, j), 3 * int(w.run[INTERVAL]))
    free = max(0, min(paid_in(w), have - need))
    left = may_leave(w, sent)
    if transfers_from(w, sent) > sent:
        reject(w, at, sent, GATED, 0, 0)
    elif amount > left:
        reject(w, at, sent, GATED, left, amount)
    elif amount + gas > free:
        reject(w, at, sent, COLLATERAL, free, amount + gas)
    else:
        w.acct[WALLET] -= amount + gas
        raise_capacity(w, sent, -amount)
        set_out(w, at, sent, sent + delay_of(w, route, sent), PAID_WITHDRAWAL, gas)
    return number


@kernel
def refuse_transfer(w: World, kind: int, route: int, sent: int, reason: int) -> int:
    """Record a transfer of what is no amount; returns its number."""
    at = transfer(w, kind, 0, route, sent)
    number = int(w.queue[at, ID])
    reject(w, at, sent, reason, 0, 0)
    return number


@kernel
def settle_transfer(w: World, at: int, now: int) -> None:
    """Let the transfer at `at` arrive, less the fee of its route, and give its slot back."""
    m = w.queue[at]
    amount, route = int(m[SIZE]), int(m[TARGET])
    fee = min(amount, int(w.ways[route, ROUTE_FEE]) + share(amount, w.ways[route, ROUTE_RATE]))
    land(w, at)
    w.acct[IN_FLIGHT] -= amount
    if m[KIND] == float(DEPOSIT):
        w.acct[WALLET] += amount - fee
        raise_capacity(w, now, amount - fee)
    else:
        w.acct[RESERVE] += amount - fee
    put_transfer(w, at, now, TR_ARRIVED, fee, NO_REASON, 0, 0)
    if fee != 0:
        attribute_cash(w, now, owner_of(w, at), w.spec.shape[0], SHARE_OF_BRIDGE, int(m[ID]), -fee)
    free_slot(w, at)


@kernel
def pay_gas(w: World, j: int, lows: bool, t: int, at: int, now: int, kind: int) -> tuple[int, int, int]:
    """Pay for the inclusion of the message at `at`, or `(reason, have, need)` why it cannot be."""
    gas = int(w.queue[at, COSTS_GAS])
    if spare(w, j) <= gas and not surely_above(w, j, lows, t, float(gas), False):
        have = mark_equity(w, cross_pool(w.spec), j, lows, t)
        if have < gas:
            return GAS_SHORT, have, gas
    w.acct[WALLET] -= gas
    put_gas(w, now, int(w.queue[at, ID]), kind, gas)
    attribute_cash(w, now, owner_of(w, at), w.spec.shape[0], SHARE_OF_GAS, int(w.queue[at, ID]), -gas)
    return NO_REASON, 0, 0


@kernel
def included(w: World, j: int, lows: bool, t: int, at: int, now: int, kind: int) -> tuple[int, int, int]:
    """`(reason, have, need)` why the chain does not include the message at `at`: lost or late in an outage, no gas."""
    m = w.queue[at]
    if m[FATE] != ON_ITS_WAY:
        return LOST_IN_OUTAGE, 0, 0
    return pay_gas(w, j, lows, t, at, now, kind) if m[COSTS_GAS] > 0.0 else (NO_REASON, 0, 0)
