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


class Reasons:
    """The words of fills, from the orders of a record."""

    def __init__(self, record: Record) -> None:
        kind_of = np.array([_BY_TYPE[kind] for kind in OrderType], np.int8)
        self._ids = record.orders["order_id"]
        self._kinds = np.empty(len(self._ids), np.int8)
        first = 0
        for orders in record.orders.pieces("type", "parent"):
            kinds = kind_of[orders["type"]]
            # A bracket takes its profit by a limit order that rests at the target.
            kinds[(orders["type"] == OrderType.LIMIT) & (orders["parent"] != NO_ORDER)] = TAKE_PROFIT
            self._kinds[first : first + len(kinds)] = kinds
            first += len(kinds)

    def of(self, order_id: Ints, cause: Ints) -> Ints:
        """Return the index in `WORDS` of each fill, or UNKNOWN."""
        at = np.searchsorted(self._ids, order_id)
        found = np.full(len(order_id), UNKNOWN)
        known = np.flatnonzero(at < len(self._ids))
        known = known[self._ids[at[known]] == order_id[known]]
        found[known] = self._kinds[at[known]]
        for forced, word in _BY_CAUSE.items():
            found[cause == forced] = word
        return found
