"""The journal's rows as records, kind by kind: kept on disk while the replay goes on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtest.core import enums, records
from backtest.core.rows import Rows
from backtest.core.spool import Spool
from backtest.engine.layout import (
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
)

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
        ("ts_ms", "order_id", "kind", "state", "route", "amount", "fee", "arrives_ms", "reason", "have", "need")
        + ("strategy",),
        (),
    ),
    L_MOVE: (records.MOVE, ("ts_ms", "symbol", "amount"), ()),
    L_ORDER: (
        records.ORDER,
        ("order_id", "ts_sent_ms", "ts_arrived_ms", "ts_done_ms", "symbol", "lots", "reduce_only", "status", "reason")
        + ("have", "need", "filled", "cause", "strategy"),
        (),
    ),
    L_DETAIL: (
        DETAIL,
        ("order_id", "type", "tif", "by_mark", "post_only", "expires_ms", "triggered_ms", "parent", "group", "target")
        + ("trail_share",),
        ("limit_price", "stop_price", "trail", "activation"),
    ),
    L_STATE: (
        records.ORDER_EVENT,
        ("ts_ms", "order_id", "symbol", "state", "reason", "left", "filled", "strategy"),
        (),
    ),
    L_AMBIGUOUS: (records.AMBIGUOUS, ("ts_ms", "pool"), ()),
    L_CALL: (records.MARGIN_CALL, ("ts_ms", "pool", "equity", "initial", "strategy"), ("level",)),
    L_GUARD: (records.GUARD, ("ts_ms", "guard", "symbol", "pool", "order_id"), ("value",)),
    L_POSITION: (records.POSITION, ("ts_ms", "symbol", "pool", "lots", "cost"), ("mark", "liquidation_price")),
    L_POOL: (records.POOL, ("ts_ms", "pool"), ("equity", "initial", "maintenance")),
    L_SHARE: (
        records.SHARE,
        ("ts_ms", "strategy", "symbol", "kind", "message", "lots", "amount", "fee", "realized"),
        (),
    ),
    L_STANDING: (records.STANDING, ("ts_ms", "strategy", "pnl", "alone", "account"), ()),
    L_HOLDING: (records.HOLDING, ("ts_ms", "strategy", "symbol", "lots", "cost", "value"), ()),
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


def orders_of(log: NDArray[np.float64], first: int = 0) -> NDArray[np.void]:
    """The ends of orders as records, with their details where they have any."""
    ends, details = records_of(L_ORDER, log, first), records_of(L_DETAIL, log)
    ends["expires_ms"] = ends["triggered_ms"] = -1
    ends["parent"] = ends["group"] = ends["target"] = enums.NO_ORDER
    ends["limit_price"] = ends["stop_price"] = ends["trail"] = ends["activation"] = np.nan
    if len(details):
        # The details of an order are written before its end: none without the other.
        by_number = np.argsort(ends["order_id"], kind="stable")
        at = by_number[np.searchsorted(ends["order_id"], details["order_id"], sorter=by_number)]
        for name in DETAIL.names or ():
            ends[name][at] = details[name]
    return ends


KEPT = tuple(kind for kind in FIELDS if kind not in (L_DETAIL, L_STATE))
"""Kinds that the record has. Details are part of their orders; states are for hooks alone."""


class JournalRecords:
    """All that has happened, by kind, in order."""

    def __init__(self, spool: Spool | None) -> None:
        self.count = 0
        """Rows of the journal so far."""
        self._rows = {kind: Rows(FIELDS[kind][0], spool) for kind in KEPT}

    def append(self, log: NDArray[np.float64]) -> None:
        """Take the rows of the journal that follow. An order's details and its end come together."""
        for kind in np.unique(log[:, 0]).astype(int).tolist():
            if kind in self._rows:
                made = orders_of(log, self.count) if kind == L_ORDER else records_of(kind, log, self.count)
                self._rows[kind].append(made)
        self.count += len(log)

    def of(self, kind: int) -> Rows:
        """Return the records of one kind."""
        return self._rows[kind]
