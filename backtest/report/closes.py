"""What the table `equity` says of each close, as arrays, read column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backtest.report.downsampling import Times, Values, floats, stamps

if TYPE_CHECKING:
    from backtest.results.result import Result

EQUITY = "equity"
PARTS = ("equity", "in_flight", "reserve")


def times(result: Result) -> Times:
    """The closes, in milliseconds."""
    return stamps(result.tables.columns(EQUITY, "ts"))


def column(result: Result, name: str) -> Values:
    """A column; NaN for null."""
    return floats(result.tables.columns(EQUITY, name), name)


def worth(result: Result) -> Values:
    """The total at each close: equity at the venue, money in flight and reserve."""
    total = np.empty(result.tables.height(EQUITY))
    first = 0
    for piece in result.tables.table(EQUITY).pieces(*PARTS):
        at_venue, in_flight, reserve = (floats(piece, name) for name in PARTS)
        total[first : first + len(piece)] = at_venue + in_flight + reserve
        first += len(piece)
    return total


def outside(result: Result) -> bool:
    """Whether there was ever money outside the venue."""
    pieces = result.tables.table(EQUITY).pieces("reserve", "in_flight")
    return any(((piece["reserve"] != 0) | (piece["in_flight"] != 0)).any() for piece in pieces)
