"""Why a fill was made, in a word that tells more than its cause: which kind of order, or what forced it."""

from __future__ import annotations

import numpy as np

from backtest.core.enums import NO_ORDER, Cause, OrderType
from backtest.core.records import Record
from backtest.results.columns import Ints

MARKET, LIMIT, STOP, TAKE_PROFIT, TRAILING_STOP, LIQUIDATION, ADL, GUARD, DELISTING, REORG, OPENING = range(11)
WORDS = (
    "market", "limit", "stop", "take_profit", "trailing_stop", "liquidation", "adl", "guard", "delisting", "reorg",
    "opening",
)  # fmt: skip
UNKNOWN = -1
"""Of an order that is not in the record."""

_BY_TYPE = {
    OrderType.MARKET: MARKET,
    OrderType.LIMIT: LIMIT,
    OrderType.STOP_MARKET: STOP,
    OrderType.STOP_LIMIT: STOP,
    OrderType.TAKE_PROFIT_MARKET: TAKE_PROFIT,
    OrderType.TAKE_PROFIT_LIMIT: TAKE_PROFIT,
    OrderType.TRAILING_STOP: TRAILING_STOP,
    OrderType.AMEND: UNKNOWN,
}
_BY_CAUSE = {
    Cause.LIQUIDATION: LIQUIDATION,
    Cause.DELISTING: DELISTING,
    Cause.ADL: ADL,
    Cause.GUARD: GUARD,
    Cause.REORG: REORG,
    Cause.OPENING: OPENING,
}


def exits(record: Record) -> Ints:
    """For each fill of ``record`` the index of its word in `WORDS`, or UNKNOWN."""
    fills, orders = record.fills, record.orders
    kinds = np.array([_BY_TYPE[kind] for kind in OrderType])[orders["type"]]
    # A bracket takes its profit by a limit order that rests at the target.
    kinds[(orders["type"] == OrderType.LIMIT) & (orders["parent"] != NO_ORDER)] = TAKE_PROFIT
    at = np.searchsorted(orders["order_id"], fills["order_id"])
    found = np.full(len(fills), UNKNOWN)
    known = np.flatnonzero(at < len(orders))
    known = known[orders["order_id"][at[known]] == fills["order_id"][known]]
    found[known] = kinds[at[known]]
    for cause, word in _BY_CAUSE.items():
        found[fills["cause"] == cause] = word
    return found
