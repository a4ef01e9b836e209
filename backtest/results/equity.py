"""The table `equity`: what there is at each close."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.enums import MICRO
from backtest.core.records import CURVE, Record
from backtest.core.rows import Columns
from backtest.results.columns import TIME, Ints, money, number, times
from backtest.results.lazy_tables import LazyTable
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
    begin = (record.cash + record.reserve) / MICRO

    def make(names: Sequence[str]) -> Iterator[pl.DataFrame]:
        first, highest = 0, begin
        for closes in curve.pieces(*dict.fromkeys(column for name in names for column in READS[name])):
            count = len(next(iter(closes.values())))
            beside = outside.at(first, count)
            made: dict[str, pl.Series] = {}
            for name in names:
                if name == "ts":
                    made[name] = times(start_ms + np.arange(first + 1, first + count + 1) * interval_ms)
                elif name == "drawdown":
                    made[name], highest = _drawdown(closes["equity"], beside, highest)
                else:
                    made[name] = _COLUMNS[name](closes, beside)
            yield pl.DataFrame(made)
            first += count

    return LazyTable(SCHEMA, len(curve), make)


def margin_ratio(maintenance: NDArray[np.float64], equity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Maintenance margin over equity: 0 without a position, 1 where liquidation begins.

    NaN (null in the tables) where equity is not positive although margin is required: the ratio has no meaning there.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(equity > 0, maintenance / equity, np.nan)
    return np.where(maintenance == 0, 0.0, ratio)


def _drawdown(at_venue: NDArray[np.float64], beside: tuple[Ints, Ints], highest: float) -> tuple[pl.Series, float]:
    """Of the total below its highest so far, and that highest; ``highest``: before these closes."""
    worth = at_venue + (beside[0] + beside[1]) / MICRO
    peak = np.maximum(np.maximum.accumulate(worth), highest)
    return pl.Series(worth / peak - 1.0), float(peak[-1])


def _of(name: str) -> Callable[[Columns, tuple[Ints, Ints]], pl.Series]:
    return lambda closes, _: number(closes[name])


_COLUMNS: dict[str, Callable[[Columns, tuple[Ints, Ints]], pl.Series]] = {
    **{name: _of(name) for name in CURVE},
    "reserve": lambda _, beside: money(beside[0]),
    "in_flight": lambda _, beside: money(beside[1]),
    "margin_ratio": lambda closes, _: number(margin_ratio(closes["maintenance_margin"], closes["equity"])),
    "free_collateral": lambda closes, _: pl.Series(closes["equity"] - closes["initial_margin"]),
}
