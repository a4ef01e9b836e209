"""What the chain did to an account: `summary["chain"]`."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.enums import MICRO, NO_ORDER, GasKind, OrderType, Reason, Status, TransferKind, TransferState
from backtest.core.records import Record
from backtest.core.rows import Rows
from backtest.results import finality
from backtest.results.columns import Ints
from backtest.results.reorgs import NONE, undone
from backtest.results.transfers import routes
from backtest.venues.chain import Chain

ENDS = {
    "lost": (Status.REJECTED, Reason.OUTAGE),
    "late": (Status.EXPIRED, Reason.OUTAGE),
    "unpaid": (Status.REJECTED, Reason.GAS),
    "stale": (Status.REJECTED, Reason.STALE),
}
"""How orders end by the chain's doing."""


def figures(record: Record, chain: Chain, fills: pl.DataFrame) -> dict[str, Any]:
    """Plain values by name; ``fills``: the account's table of them. Times in ms, money in quote units.

    - `latency`: from sending to arrival, of the orders, deposits and withdrawals that arrived; the run's own delay,
      blocks and outages are in it. `messages`: how many; `median`, `p99` (straight between the two nearest), `most`.
      Orders that travel together are one message. Cancels and amendments leave no times
    - `orders`: how many messages with orders were `lost` in an outage, `late` after one, `unpaid` for gas, or met a
      `stale` oracle
    - `gas`: paid, by kind of message, and in all
    - `transfers`: by kind, how many, with the amounts and fees of those that arrived
    - `outages`: those of the run; `grace_ms` and `stale_ms` follow each of them
    - `finality`: what was at risk, see `results.finality`
    - `undone`: fills that a reorg took back, and their |quote|
    """
    end_ms = record.start_ms + len(record.curve) * record.interval_ms
    kinds = {kind.name.lower(): kind for kind in TransferKind}
    undoes = undone(record.fills)
    taken_back = record.fills["quote"][undoes[undoes != NONE]]
    paid, why = record.gas["amount"], record.gas["kind"]
    gas = {kind.name.lower(): int(paid[why == kind].sum()) / MICRO for kind in GasKind}
    return {
        "name": chain.name,
        "routes": routes(chain),
        "latency": {
            "order": _spread(_orders(record)),
            **{name: _spread(_underway(record, kind)) for name, kind in kinds.items()},
        },
        "orders": ends(record.orders),
        "gas": {**gas, "total": int(paid.sum()) / MICRO},
        "transfers": {name: _transfers(record, kind) for name, kind in kinds.items()},
        "outages": [{"start_ms": o.start_ms, "end_ms": o.end_ms, "cause": o.cause} for o in chain.outages],
        "grace_ms": chain.grace_ms,
        "stale_ms": chain.stale_ms,
        "finality": finality.figures(fills, chain.finality_ms, record.start_ms, end_ms),
        "undone": {"fills": len(taken_back), "value": int(np.abs(taken_back).sum()) / MICRO},
    }


def _spread(ms: Ints) -> dict[str, float | int | None]:
    if not len(ms):
        return {"messages": 0, "median": None, "p99": None, "most": None}
    median, p99 = (float(value) for value in np.quantile(ms, (0.5, 0.99)))
    return {"messages": len(ms), "median": median, "p99": p99, "most": int(ms.max())}


def ends(orders: Rows) -> dict[str, int]:
    """By the names of `ENDS` how many messages with orders ended so; of orders that travel together one is enough."""
    ended, why = orders["status"], orders["reason"]
    each = ((ended == status) & (why == reason) for status, reason in ENDS.values())
    return {name: len(messages(orders, some)) for name, some in zip(ENDS, each, strict=True)}


def messages(orders: Rows, some: NDArray[np.bool_]) -> Ints:
    """Of some orders the rows of those that are messages: of orders that travel together one, wherever messages are
    counted. Amendments are none."""
    # Children travel with their parent, and a group has the number of its first order.
    own = np.flatnonzero(some & (orders["type"] != OrderType.AMEND) & (orders["parent"] == NO_ORDER))
    group = orders["group"][own]
    _, first = np.unique(np.where(group == NO_ORDER, orders["order_id"][own], group), return_index=True)
    one: Ints = own[first]
    return one


def _orders(record: Record) -> Ints:
    """Ms from sending to arrival, of each message with orders that arrived."""
    came = record.orders["ts_arrived_ms"]
    arrived = messages(record.orders, came >= 0)
    took: Ints = came[arrived] - record.orders["ts_sent_ms"][arrived]
    return took


def _underway(record: Record, kind: TransferKind) -> Ints:
    """Ms from sending to arrival, of each transfer of the kind that arrived."""
    rows = record.transfers[record.transfers["kind"] == kind]
    sent, arrived = (rows[rows["state"] == state] for state in (TransferState.SENT, TransferState.ARRIVED))
    sent = sent[np.argsort(sent["order_id"], kind="stable")]
    took: Ints = arrived["ts_ms"] - sent["ts_ms"][np.searchsorted(sent["order_id"], arrived["order_id"])]
    return took


def _transfers(record: Record, kind: TransferKind) -> dict[str, float | int]:
    rows = record.transfers[record.transfers["kind"] == kind]
    by_state = {state: rows[rows["state"] == state] for state in TransferState}
    arrived = by_state[TransferState.ARRIVED]
    return {
        **{state.name.lower(): len(found) for state, found in by_state.items()},
        "amount": int(arrived["amount"].sum()) / MICRO,
        "fees": int(arrived["fee"].sum()) / MICRO,
    }
