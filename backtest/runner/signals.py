"""What a strategy decides on, prepared once before the replay and shared by the accounts of a comparison."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core import durations
from backtest.core.errors import RunError, UserError
from backtest.data.lazy_frame import LazyCandles
from backtest.data.selection import Selection
from backtest.engine import layout as at
from backtest.strategy import base
from backtest.strategy import features as plans
from backtest.strategy.rounding import whole_parts_of_all
from backtest.strategy.window import FIELDS

_THREADS = 2
"""Symbols read at a time, as the feed does."""
KINDS = {"target": at.WEIGHT, "qty": at.TARGET_LOTS, "notional": at.NOTIONAL}


@dataclass(frozen=True)
class Coarse:
    """Candles of length `every` over the whole run. Row 0 is empty: before the first of them has closed."""

    table: NDArray[np.float64]
    """[1 + candles, column, symbol] of a `strategy.window`; without the marks, which are those of the decision."""
    features: dict[str, NDArray[np.float64]]
    """The same by name: [1 + candles, symbol]."""


@dataclass(frozen=True)
class Decisions:
    """When a strategy is called and what it sees besides the panel; for `targets`, what it decided."""

    selection: Selection
    every_ms: int
    feature_names: tuple[str, ...] = ()
    features: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """[rows, symbols] by name, for a strategy that is called at each candle."""
    coarse: Coarse | None = None
    targets: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 3)))
    """[targets, 3] of `engine.layout`: row, symbol, amount."""
    target_kind: int = at.WEIGHT

    @property
    def every_rows(self) -> int:
        """Rows between decisions."""
        return self.every_ms // self.selection.interval_ms

    def never_known(self) -> list[str]:
        """Return the features without a value all the time: ``name``, or ``name of SYMBOL`` where others have one."""
        values = self.coarse.features if self.coarse else self.features
        # The last row first: a feature that is known at all is mostly known there.
        unknown = {
            name: np.isnan(v[-1]) & np.isnan(v).all(axis=0) for name, v in values.items() if np.isnan(v[-1]).any()
        }
        return [
            text
            for name, where in unknown.items()
            for text in (
                [name] if where.all() else [f"{name} of {self.selection.symbols[i]}" for i in np.flatnonzero(where)]
            )
        ]

    def next_decision(self, row: int) -> int:
        """The first row from `row` on at whose close the strategy decides."""
        s = self.selection
        close = s.start_ms + (row + 1) * s.interval_ms
        due = -(-close // self.every_ms) * self.every_ms
        return row + (due - close) // s.interval_ms

    def coarse_row(self, row: int) -> int:
        """Row of `coarse` that has closed by the close of `row`."""
        s = self.selection
        return (s.start_ms + (row + 1) * s.interval_ms) // self.every_ms - s.start_ms // self.every_ms


def prepare(strategy: base.Strategy, selection: Selection) -> Decisions:
    """Evaluate `features` or `targets`, and join candles where `every` is longer than the data's interval."""
    every_ms = strategy.every_ms or selection.interval_ms
    if every_ms % selection.interval_ms:
        candles = f"the data's {durations.text(selection.interval_ms)} candles"
        remedy = f"decide every so many of {candles}, or take finer data"
        raise UserError(f"every = {strategy.every!r} is no multiple of {candles}", base.place(strategy), remedy)
    if every_ms != selection.interval_ms and selection.start_ms % selection.interval_ms:
        # Longer candles open on the clock; one of these would belong to two, and tell the first what is to come.
        thing = f"every = {strategy.every!r} on candles that do not open at whole multiples of their interval"
        raise UserError(thing, base.place(strategy), "decide at each candle, or take data on the clock's grid")
    if "targets" in base.hooks(strategy):
        return _targets(strategy, selection, every_ms)
    if every_ms == selection.interval_ms:
        return _fine(strategy, selection, every_ms)
    return _coarse(strategy, selection, every_ms)


def _fine(strategy: base.Strategy, s: Selection, every_ms: int) -> Decisions:
    stamps: dict[str, NDArray[np.int64]] = {}

    def candles(symbol: str, columns: tuple[str, ...]) -> pl.DataFrame:
        # One symbol's at a time: all of them at once would be the whole history in memory.
        frame = s.candles(symbol, every_ms, columns)
        stamps[symbol] = _stamps(frame)
        return frame

    names, values = plans.compute(strategy, candles, s.symbols)
    features = {name: np.full((s.rows, len(s.symbols)), np.nan) for name in names}
    for i, symbol in enumerate(s.symbols if names else ()):
        # The feature's rows are the symbol's candles; on the grid they leave gaps.
        at_rows = (stamps[symbol] - s.start_ms) // every_ms
        for n, name in enumerate(names):
            features[name][at_rows, i] = values[symbol][:, n]
    return Decisions(s, every_ms, names, features)


def _coarse(strategy: base.Strategy, s: Selection, every_ms: int) -> Decisions:
    frames = _candles(s, every_ms)
    names, values = plans.compute(strategy, lambda symbol, _: frames[symbol], s.symbols)
    end = s.start_ms + s.rows * s.interval_ms
    rows = 1 + -(-end // every_ms) - s.start_ms // every_ms
    table = np.full((rows, len(FIELDS) + len(names) + 1, len(s.symbols)), np.nan)
    for i, (symbol, frame) in enumerate(frames.items()):
        at_rows = _stamps(frame) // every_ms - s.start_ms // every_ms + 1
        for n, name in enumerate(FIELDS):
            table[at_rows, n, i] = frame[name].to_numpy()
        if names:
            table[at_rows, len(FIELDS) : -1, i] = values[symbol]
    features = {name: table[:, n] for n, name in enumerate(names, len(FIELDS))}
    return Decisions(s, every_ms, names, coarse=Coarse(table, features))


def _targets(strategy: base.Strategy, s: Selection, every_ms: int) -> Decisions:
    candles = LazyCandles(s, every_ms)
    try:
        frame = plans.targets(strategy, candles.frame, s.symbols)
    except RunError:
        if candles.error:
            raise candles.error from None  # the data are wrong, not the strategy
        raise
    kind = frame.columns[2]
    table = np.empty((frame.height, 3))
    # decided at the close of the candle that opens at ts, which is the close of this row
    table[:, at.TARGET_ROW] = (_stamps(frame) + every_ms - s.start_ms) // s.interval_ms - 1
    table[:, at.TARGET_SYMBOL] = frame["symbol"].to_physical().to_numpy()
    amount = frame[kind].to_numpy()
    if kind == "qty":
        amount = whole_parts_of_all(amount, s.step_micro[table[:, at.TARGET_SYMBOL].astype(np.int64)])
    elif kind == "notional":
        amount = whole_parts_of_all(amount, 1)
    table[:, at.AMOUNT] = amount
    return Decisions(s, every_ms, targets=table, target_kind=KINDS[kind])


def _candles(s: Selection, every_ms: int) -> dict[str, pl.DataFrame]:
    """Every symbol's candles. They are read side by side, since DuckDB decodes one symbol's file on one thread."""
    with ThreadPoolExecutor(_THREADS, "candles") as pool:
        return dict(zip(s.symbols, pool.map(lambda symbol: s.candles(symbol, every_ms), s.symbols), strict=True))


def _stamps(frame: pl.DataFrame) -> NDArray[np.int64]:
    return frame["ts"].to_physical().to_numpy()
