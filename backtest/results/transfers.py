"""The tables of transfers and of gas: money that moves beside trading."""

from __future__ import annotations

import numpy as np
import polars as pl

from backtest.core.enums import GasKind, Reason, TransferKind, TransferState
from backtest.core.records import Record
from backtest.results.columns import TIME, lower, money, times, words
from backtest.results.lazy_tables import Column, LazyTable
from backtest.results.orders import both
from backtest.venues.chain import Chain

F, S, I = pl.Float64(), pl.String(), pl.Int64()  # noqa: E741
SCHEMA = pl.Schema(
    {"ts": TIME, "transfer_id": I, "kind": S, "state": S, "route": S, "amount": F, "fee": F, "arrives": TIME,
     "reason": S}
)  # fmt: skip
GAS_SCHEMA = pl.Schema({"ts": TIME, "order_id": I, "kind": S, "amount": F})
DIRECT = "direct"
"""The route where a chain has none."""
_HAVE = {Reason.COLLATERAL: "free", Reason.RESERVE: "there", Reason.GATED: "may leave"}


def routes(chain: Chain | None) -> list[str]:
    """Names of the chain's routes by their number in the journal: those of deposits, then those of withdrawals."""
    named = [] if chain is None else [route.name for route in (*chain.deposits, *chain.withdrawals)]
    return named or [DIRECT] * len(TransferKind)


def transfers(record: Record, chain: Chain | None) -> pl.DataFrame:
    """One row for each change of a transfer's state, in order: when it is sent and when it arrives, or that it was
    rejected, and why.

    `amount` is what left, of one rejected what was asked; `fee` of the route, paid from it on arrival; `arrives` when
    it does, if the venue is open then; null of one rejected.
    """
    rows = record.transfers
    return pl.DataFrame(
        {
            "ts": times(rows["ts_ms"]),
            "transfer_id": np.ascontiguousarray(rows["order_id"]),
            "kind": lower(rows["kind"], TransferKind),
            "state": lower(rows["state"], TransferState),
            "route": words(rows["route"], routes(chain)),
            "amount": money(rows["amount"]),
            "fee": money(rows["fee"]),
            "arrives": times(rows["arrives_ms"]),
            "reason": pl.Series([_reason(*why) for why in rows[["reason", "have", "need"]].tolist()], dtype=pl.String),
        }
    )


def _reason(reason: int, have: int, need: int) -> str | None:
    """Why a transfer was refused, with its numbers; None for one that was not."""
    if reason == Reason.NONE:
        return None
    name = Reason(reason).name.lower()
    if need == 0:
        return name
    left, right = both(have, need)
    return f"{name}: {left} {_HAVE[Reason(reason)]}, {right} needed"


def gas(record: Record) -> LazyTable:
    """One row for each message whose inclusion was paid for, and what it cost; `order_id` is the message's number."""
    columns: dict[str, Column] = {
        "ts": lambda rows: times(rows["ts_ms"]),
        "order_id": lambda rows: pl.Series(rows["order_id"]),
        "kind": lambda rows: lower(rows["kind"], GasKind),
        "amount": lambda rows: money(rows["amount"]),
    }
    return LazyTable.of_rows(GAS_SCHEMA, record.gas, columns)
