"""Money outside the venue at each close, and the account's total with it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backtest.core.enums import MICRO, GasKind, TransferKind, TransferState
from backtest.core.records import CURVE, Record
from backtest.results.columns import Ints


def outside(record: Record) -> tuple[Ints, Ints]:
    """Micro in the reserve and in flight at each close, as its row of the curve finds the wallet.

    The row is written before anything is sent at that close, and what arrives at that instant arrives at the next
    open: so what is stamped with a close is in the next row.
    """
    moved, gas = record.transfers, record.gas
    sent = (moved["state"] == TransferState.SENT).astype(np.int64)
    arrived = (moved["state"] == TransferState.ARRIVED).astype(np.int64)
    deposit = moved["kind"] == TransferKind.DEPOSIT
    back = np.where(deposit, -moved["amount"] * sent, (moved["amount"] - moved["fee"]) * arrived)
    reserve = _at_closes(record, moved["ts_ms"], back)
    reserve -= _at_closes(record, gas["ts_ms"], gas["amount"] * (gas["kind"] == GasKind.DEPOSIT))
    return reserve + record.reserve, _at_closes(record, moved["ts_ms"], moved["amount"] * (sent - arrived))


def _at_closes(record: Record, ts_ms: Ints, change: Ints) -> Ints:
    """The sum of the changes before each close."""
    rows = len(record.curve)
    if not len(change):  # most runs move no money, and have a row for every minute
        return np.zeros(rows, dtype=np.int64)
    at = np.minimum((ts_ms - record.start_ms) // record.interval_ms, rows)
    total = np.zeros(rows + 1, dtype=np.int64)
    np.add.at(total, at, change)
    return np.cumsum(total)[:rows]


def total(record: Record) -> NDArray[np.float64]:
    """The account's worth at each close, quote units: its equity at the venue, its reserve and its money in flight."""
    return worth(record.curve[:, CURVE.index("equity")], *outside(record))


def worth(equity: NDArray[np.float64], reserve: Ints, in_flight: Ints) -> NDArray[np.float64]:
    """Equity at the venue (quote units) and the money outside it (micro), together in quote units."""
    return equity + (reserve + in_flight) / MICRO
