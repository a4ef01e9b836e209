"""Journal fields as Polars columns: milliseconds as times, micro as quote units, lots as base units."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.enums import CROSS_POOL, MICRO

TIME = pl.Datetime("ms", "UTC")
CROSS = "cross"

Ints = NDArray[np.int64]


def times(ms: NDArray[Any]) -> pl.Series:
    """Milliseconds since 1970 as UTC times; a negative number (never happened) is null."""
    stamps = pl.Series(np.ascontiguousarray(ms, dtype=np.int64))
    if len(ms) and int(ms.min()) < 0:
        stamps = stamps.set(stamps < 0, None)
    return stamps.cast(TIME)


def money(micro: NDArray[Any]) -> pl.Series:
    """Micro-units as quote units, the nearest double."""
    return pl.Series(micro / MICRO, dtype=pl.Float64)


def quantity(lots: NDArray[Any], symbol: NDArray[Any], step_micro: Ints) -> pl.Series:
    """Signed lots as signed base units."""
    return pl.Series(lots * step_micro[symbol] / MICRO, dtype=pl.Float64)


def number(values: NDArray[Any]) -> pl.Series:
    """Doubles; NaN (missing) is null."""
    return pl.Series(np.ascontiguousarray(values, dtype=np.float64), nan_to_null=True)


def words(index: NDArray[Any], names: Sequence[str]) -> pl.Series:
    """The name at each index; a negative index is null."""
    places = pl.Series(np.ascontiguousarray(index, dtype=np.int64))
    if len(index) and int(index.min()) < 0:
        places = places.set(places < 0, None)
    return pl.Series(list(names), dtype=pl.String).gather(places.cast(pl.UInt32))


def lower(codes: NDArray[Any], kind: type[IntEnum]) -> pl.Series:
    """The words of ``kind`` in lower case."""
    return words(codes, [member.name.lower() for member in kind])


def numbers(ids: NDArray[Any]) -> pl.Series:
    """Whole numbers that name something; a negative one (nothing) is null."""
    known = pl.Series(np.ascontiguousarray(ids, dtype=np.int64))
    return known.set(known < 0, None)


def pools(pool: NDArray[Any], symbols: Sequence[str]) -> pl.Series:
    """A pool's name: ``cross``, or the symbol of an isolated pool."""
    # CROSS_POOL is −1: shifted by one it is the first name.
    return words(np.asarray(pool) - CROSS_POOL, (CROSS, *symbols))


def sides(lots: NDArray[Any]) -> pl.Series:
    """``buy`` for positive lots, ``sell`` for negative ones; null for none."""
    return words(np.select([lots > 0, lots < 0], [0, 1], -1), ("buy", "sell"))
