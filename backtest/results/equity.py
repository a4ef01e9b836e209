"""The table `equity`: what there is at each close."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.enums import MICRO
from backtest.core.records import CURVE, Record
from backtest.core.rows import Columns
from backtest.results.columns import TIME, Ints, number, times
from backtest.results.lazy_tables import LazyTable, Values
from backtest.results.reserve import Outside

F = pl.Float64()
SCHEMA = pl.Schema(
    {"ts": TIME, "equity": F, "wallet": F, "reserve": F, "in_flight": F, "unrealized": F, "initial_margin": F,
     "maintenance_margin": F, "margin_ratio": F, "free_collateral": F, "gross_notional": F, "net_notional": F,
     "drawdown": F}
)  # fmt: skip
READS: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in CURVE},
    "ts": ("equity",), "reserve": ("equity",), "in_flight": ("equity",), "drawdown": ("equity",),
    "margin_ratio": ("maintenance_margin", "equity"), "free_collateral": ("equity", "initial_margin"),
}  # fmt: skip
"""The columns of the curve that each column of the table is made of."""


def equity(record: Record) -> LazyTable:
    """Return the table of ``record``, see `results.tables`. It keeps the curve, and nothing else of the record."""
    curve, outside, start_ms, interval_ms = record.curve, Outside(record), record.start_ms, record.interval_ms
    begin = record.start_total / MICRO

    def arrays(names: Sequence[str]) -> Iterator[dict[str, NDArray[Any]]]:
        first, highest, wanted = 0, begin, BESIDE.intersection(names)
        for closes in curve.pieces(*dict.fromkeys(column for name in names for column in READS[name])):
            count = len(next(iter(closes.values())))
            beside = outside.at(first, count) if wanted else NOTHING
            made: dict[str, NDArray[Any]] = {}
            for name in names:
                if name == "ts":
                    made[name] = start_ms + np.arange(first + 1, first + count + 1) * interval_ms
                elif name == "drawdown":
                    made[name], highest = _drawdown(closes["equity"], beside, highest)
                else:
                    made[name] = _COLUMNS[name](closes, beside)
            yield made
            first += count

    def make(names: Sequence[str]) -> Iterator[pl.DataFrame]:
        for made in arrays(names):
            yield pl.DataFrame({name: _series(name, values) for name, values in made.items()})

    def values(name: str) -> Iterator[Values]:
        for made in arrays((name,)):
            null = np.isnan(made[name]) if name in NULLED else None
            yield made[name], null if null is not None and null.any() else None

    return LazyTable(SCHEMA, len(curve), make, values)


def _series(name: str, values: NDArray[Any]) -> pl.Series:
    if name == "ts":
        return times(values)
    return number(values) if name in NULLED else pl.Series(values, dtype=F)


def margin_ratio(maintenance: NDArray[np.float64], equity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Maintenance margin over equity: 0 without a position, 1 where liquidation begins.

    NaN (null in the tables) where equity is not positive although margin is required: the ratio has no meaning there.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(equity > 0, maintenance / equity, np.nan)
    return np.where(maintenance == 0, 0.0, ratio)


def _drawdown(
    at_venue: NDArray[np.float64], beside: tuple[Ints, Ints], highest: float
) -> tuple[NDArray[np.float64], float]:
    """Of the total below its highest so far, and that highest; ``highest``: before these closes."""
    worth = at_venue + (beside[0] + beside[1]) / MICRO
    peak = np.maximum(np.maximum.accumulate(worth), highest)
    return worth / peak - 1.0, float(peak[-1])


def _of(name: str) -> Callable[[Columns, tuple[Ints, Ints]], NDArray[np.float64]]:
    return lambda closes, _: closes[name]


_COLUMNS: dict[str, Callable[[Columns, tuple[Ints, Ints]], NDArray[np.float64]]] = {
    **{name: _of(name) for name in CURVE},
    "reserve": lambda _, beside: beside[0] / MICRO,
    "in_flight": lambda _, beside: beside[1] / MICRO,
    "margin_ratio": lambda closes, _: margin_ratio(closes["maintenance_margin"], closes["equity"]),
    "free_collateral": lambda closes, _: closes["equity"] - closes["initial_margin"],
}
BESIDE = frozenset({"reserve", "in_flight", "drawdown"})
"""Columns that what is outside of the venue belongs to."""
NOTHING = np.empty(0, np.int64), np.empty(0, np.int64)
NULLED = frozenset({*CURVE, "margin_ratio"})
"""Columns in which NaN means missing."""
