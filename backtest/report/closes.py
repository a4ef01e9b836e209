"""What the table `equity` says of each close, as arrays, read column by column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.report.downsampling import Times, Values, floats, stamps

if TYPE_CHECKING:
    from backtest.results.result import Result

T = TypeVar("T", np.int64, np.float64)
EQUITY = "equity"
PARTS = ("equity", "in_flight", "reserve")


def times(result: Result) -> Times:
    """The closes, in milliseconds."""
    return _filled(result, np.dtype(np.int64), ("ts",), stamps)


def column(result: Result, name: str) -> Values:
    """A column; NaN for null."""
    return _filled(result, np.dtype(np.float64), (name,), lambda piece: floats(piece, name))


def worth(result: Result) -> Values:
    """The total at each close: equity at the venue, money in flight and reserve."""

    def total(piece: pl.DataFrame) -> Values:
        at_venue, in_flight, reserve = (floats(piece, name) for name in PARTS)
        return at_venue + in_flight + reserve

    return _filled(result, np.dtype(np.float64), PARTS, total)


def _filled(
    result: Result, kind: np.dtype[T], names: Sequence[str], made: Callable[[pl.DataFrame], NDArray[T]]
) -> NDArray[T]:
    """What is made of some columns, of a piece after another: no more than the result is in memory."""
    out = np.empty(result.tables.height(EQUITY), kind)
    first = 0
    for piece in result.tables.table(EQUITY).pieces(*names):
        out[first : first + len(piece)] = made(piece)
        first += len(piece)
    return out


def outside(result: Result) -> bool:
    """Whether there was ever money outside the venue."""
    pieces = result.tables.table(EQUITY).pieces("reserve", "in_flight")
    return any(((piece["reserve"] != 0) | (piece["in_flight"] != 0)).any() for piece in pieces)
