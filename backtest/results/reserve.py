"""Money outside the venue at each close, and the account's total with it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backtest.core.enums import MICRO, GasKind, TransferKind, TransferState
from backtest.core.records import Record
from backtest.results.columns import Ints


class Outside:
    """Micro in the reserve and in flight at the closes, each as its row of the curve finds the wallet.

    The row is written before anything is sent at that close, and what arrives at that instant arrives at the next
    open: so what is stamped with a close is in the next row.
    """

    def __init__(self, record: Record) -> None:
        moved, gas = record.transfers, record.gas
        sent = (moved["state"] == TransferState.SENT).astype(np.int64)
        arrived = (moved["state"] == TransferState.ARRIVED).astype(np.int64)
        deposit = moved["kind"] == TransferKind.DEPOSIT
        back = np.where(deposit, -moved["amount"] * sent, (moved["amount"] - moved["fee"]) * arrived)
        paid = gas["kind"] == GasKind.DEPOSIT
        stamps = np.concatenate([moved["ts_ms"], gas["ts_ms"][paid]])
        self._reserve = _steps(record, stamps, np.concatenate([back, -gas["amount"][paid]]), record.reserve)
        self._in_flight = _steps(record, moved["ts_ms"], moved["amount"] * (sent - arrived), 0)

    def at(self, first: int, count: int) -> tuple[Ints, Ints]:
        """Return both at ``count`` closes from number ``first`` on."""
        reserve, in_flight = (_between(*steps, first, count) for steps in (self._reserve, self._in_flight))
        return reserve, in_flight


def _steps(record: Record, ts_ms: Ints, change: Ints, begin: int) -> tuple[Ints, Ints]:
    """Numbers of the closes before which something changed, in order, and what there is from each of them on; the first
    is before all closes."""
    row = (ts_ms - record.start_ms) // record.interval_ms
    order = np.argsort(row, kind="stable")
    return np.concatenate([[-1], row[order]]), np.cumsum(np.concatenate([[begin], change[order]]))


def _between(row: Ints, amount: Ints, first: int, count: int) -> Ints:
    if len(row) == 1:
        return np.full(count, amount[0])
    found: Ints = amount[np.searchsorted(row, np.arange(first, first + count), side="right") - 1]
    return found


def total(record: Record) -> NDArray[np.float64]:
    """The account's worth at each close, quote units: its equity at the venue, its reserve and its money in flight."""
    outside = Outside(record)
    worth = np.empty(len(record.curve))
    first = 0
    for closes in record.curve.pieces("equity"):
        equity = closes["equity"]
        reserve, in_flight = outside.at(first, len(equity))
        worth[first : first + len(equity)] = equity + (reserve + in_flight) / MICRO
        first += len(equity)
    return worth
