"""What hooks are given: values about something that has happened. Base and quote units."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from backtest.engine import layout as at
from backtest.engine.journal import records
from backtest.engine.replay import Replay
from backtest.schema import CROSS_POOL, MICRO, Cause, Stage


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
    cause: str
    """strategy, liquidation, delisting, adl or guard."""


class Payment(NamedTuple):
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
    stage: str
    """whole, position, partial, backstop, adl, socialised; or deleveraged: a good position, taken for another's
    failure."""


HOOKS = {
    "on_fill": (at.L_FILL, at.EV_FILL),
    "on_funding": (at.L_FUNDING, at.EV_FUNDING),
    "on_liquidation": (at.L_LIQUIDATION, at.EV_LIQUIDATION),
    "on_margin_call": (at.L_CALL, at.EV_CALL),
}
"""Hook: journal kind, and the bit that stops the kernels after the row."""


def since(replay: Replay, first: int, written: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """`(hook, value)` of everything in the journal from row `first` on that a written hook hears, in order."""
    log = replay.log[first : int(replay.acct[at.LOGGED])]
    for n, kind in enumerate(log[:, 0].tolist()):
        for hook in written:
            if hook in HOOKS and HOOKS[hook][0] == kind:
                row = records(int(kind), log[n : n + 1])[0]
                # A close that cost more than the pool had is in the same table, and liquidated nothing.
                if hook != "on_liquidation" or row["stage"] != Stage.SHORTFALL:
                    yield hook, _value(replay, hook, row)


def _value(replay: Replay, hook: str, r: Any) -> Any:
    setup = replay.setup
    pool = "cross" if r["pool"] == CROSS_POOL else setup.symbols[r["pool"]]
    if hook == "on_margin_call":
        equity, initial = int(r["equity"]) / MICRO, int(r["initial"]) / MICRO
        return MarginCall(int(r["ts_ms"]), pool, equity, initial, float(r["level"]))
    symbol = setup.symbols[r["symbol"]]
    qty = int(r["lots"]) * int(setup.step_micro[r["symbol"]]) / MICRO
    ts, price = int(r["ts_ms"]), float(r["price"])
    if hook == "on_funding":
        return Payment(ts, symbol, qty, price, float(r["rate"]), int(r["payment"]) / MICRO)
    if hook == "on_liquidation":
        penalty, debt = int(r["penalty"]) / MICRO, int(r["bad_debt"]) / MICRO
        return Liquidation(ts, pool, symbol, qty, price, penalty, debt, Stage(r["stage"]).name.lower())
    fee, realized = int(r["fee"]) / MICRO, int(r["realized"]) / MICRO
    return Fill(ts, symbol, qty, price, fee, realized, int(r["order_id"]), Cause(r["cause"]).name.lower())
