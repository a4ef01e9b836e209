"""What a strategy decides on, prepared once before the replay and shared by the accounts of a comparison."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core import durations
from backtest.core.errors import RunError, UserError
from backtest.core.spool import Spool
from backtest.data.lazy_frame import LazyCandles
from backtest.data.selection import Selection
from backtest.engine import layout as at
from backtest.runner.shared_data import SharedData
from backtest.strategy import base
from backtest.strategy import features as plans
from backtest.strategy.candle_table import CandleTable
from backtest.strategy.rounding import whole_parts_of_all
from backtest.strategy.window import FIELDS

_THREADS = 2
"""Symbols read at a time, as the feed does."""
KINDS = {"target": at.WEIGHT, "qty": at.TARGET_LOTS, "notional": at.NOTIONAL}


@dataclass(frozen=True)
class Decisions:
    """When a strategy is called and what it sees besides the panel; for `targets`, what it decided."""

    selection: Selection
    every_ms: int
    feature_names: tuple[str, ...] = ()
    features: CandleTable | None = None
    """For a strategy that is called at each candle: a column for each feature, over the rows of the run."""
    coarse: CandleTable | None = None
    """For one that is called once in so many: candles of length `every`, with the columns of a `strategy.window` but
    for the marks, which are those of the decision. Row 0 is empty: before the first of them has closed."""
    targets: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 3)))
    """[targets, 3] of `engine.layout`: row, symbol, amount."""
    target_kind: int = at.WEIGHT

    @property
    def every_rows(self) -> int:
        """Rows between decisions."""
        return self.every_ms // self.selection.interval_ms

    def never_known(self) -> list[str]:
        """Return the features without a value all the time: ``name``, or ``name of SYMBOL`` where others have one."""
        table, first = (self.coarse, len(FIELDS)) if self.coarse else (self.features, 0)
        found: list[str] = []
        for column, name in enumerate(self.feature_names if table else (), first):
            unknown = table.unknown(column) if table else np.empty(0, np.bool_)
            each = [f"{name} of {self.selection.symbols[i]}" for i in np.flatnonzero(unknown)]
            found += [name] if unknown.all() else each
        return found

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


def prepare(strategy: base.Strategy, selection: Selection, spool: Spool, shared: SharedData | None = None) -> Decisions:
    """Evaluate `features` or `targets`, and join candles where `every` is longer than the data's interval.

    ``shared``: what earlier runs over the selection have read and worked out.
    """
    every_ms = strategy.every_ms or selection.interval_ms
    if every_ms % selection.interval_ms:
        candles = f"the data's {durations.text(selection.interval_ms)} candles"
        remedy = f"decide every so many of {candles}, or take finer data"
        raise UserError(f"every = {strategy.every!r} is not a multiple of {candles}", base.place(strategy), remedy)
    if every_ms != selection.interval_ms and selection.start_ms % selection.interval_ms:
        # Longer candles open on the clock; one of these would belong to two, and tell the first what is to come.
        thing = f"every = {strategy.every!r} on candles that do not open at whole multiples of their interval"
        raise UserError(thing, base.place(strategy), "decide at each candle, or take data on the clock's grid")
    if "targets" in base.hooks(strategy):
        return _targets(strategy, selection, every_ms, shared)
    if every_ms == selection.interval_ms:
        return _fine(strategy, selection, every_ms, spool, shared)
    return _coarse(strategy, selection, every_ms, spool, shared)


def _fine(strategy: base.Strategy, s: Selection, every_ms: int, spool: Spool, shared: SharedData | None) -> Decisions:
    stamps: dict[str, NDArray[np.int64]] = {}
    table = CandleTable(s.rows, len(s.symbols), spool)
    read = shared.candles(s).candles if shared else s.candles

    def candles(symbol: str, columns: tuple[str, ...]) -> pl.DataFrame:
        # One symbol's at a time: all of them at once would be the whole history in memory.
        frame = read(symbol, every_ms, columns)
        stamps.clear()
        stamps[symbol] = _stamps(frame)
        return frame

    def put(symbol: str, number: int, values: NDArray[np.float64]) -> None:
        # The feature's rows are the symbol's candles; on the grid they leave gaps.
        table.put(number, s.symbols.index(symbol), (stamps[symbol] - s.start_ms) // every_ms, values)

    kept = shared.features(s, every_ms) if shared else None
    names = plans.compute(strategy, candles, s.symbols, put, kept)
    return Decisions(s, every_ms, names, table if names else None)


def _coarse(strategy: base.Strategy, s: Selection, every_ms: int, spool: Spool, shared: SharedData | None) -> Decisions:
    end = s.start_ms + s.rows * s.interval_ms
    table = CandleTable(1 + -(-end // every_ms) - s.start_ms // every_ms, len(s.symbols), spool)
    rows: dict[str, NDArray[np.int64]] = {}

    def laid(symbol: str, frame: pl.DataFrame) -> pl.DataFrame:
        rows[symbol] = _stamps(frame) // every_ms - s.start_ms // every_ms + 1
        for n, name in enumerate(FIELDS):
            table.put(n, s.symbols.index(symbol), rows[symbol], frame[name].to_numpy())
        return frame

    def put(symbol: str, number: int, values: NDArray[np.float64]) -> None:
        table.put(len(FIELDS) + number, s.symbols.index(symbol), rows[symbol], values)

    kept = shared.features(s, every_ms) if shared else None
    read = shared.candles(s).candles if shared else s.candles
    with ExitStack() as reading:
        coming: list[Generator[tuple[str, pl.DataFrame], None, None]] = []

        def candles(_: str, columns: tuple[str, ...]) -> pl.DataFrame:
            if not coming:  # which columns the files are read for is known with the first symbol
                whole = tuple(dict.fromkeys((*FIELDS, *columns)))
                coming.append(reading.enter_context(closing(_candles(s, every_ms, read, whole))))
            return laid(*next(coming[0]))

        names = plans.compute(strategy, candles, s.symbols, put, kept)
        if not names:
            for symbol, frame in reading.enter_context(closing(_candles(s, every_ms, read, FIELDS))):
                laid(symbol, frame)
    return Decisions(s, every_ms, names, coarse=table)


def _targets(strategy: base.Strategy, s: Selection, every_ms: int, shared: SharedData | None) -> Decisions:
    candles = LazyCandles(s, every_ms, shared.candles(s) if shared else None)
    try:
        frame = plans.targets(strategy, candles.frame, s.symbols, candles.opens)
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


def _candles(
    s: Selection, every_ms: int, read: Callable[[str, int, tuple[str, ...]], pl.DataFrame], columns: tuple[str, ...]
) -> Generator[tuple[str, pl.DataFrame], None, None]:
    """Every symbol's candles. They are read side by side, since DuckDB decodes one symbol's file on one thread."""
    with ThreadPoolExecutor(_THREADS, "candles") as pool:
        coming: deque[tuple[str, Future[pl.DataFrame]]] = deque()
        for symbol in s.symbols:
            coming.append((symbol, pool.submit(read, symbol, every_ms, columns)))
            if len(coming) > _THREADS:  # no more of them wait in memory
                name, frame = coming.popleft()
                yield name, frame.result()
        for name, frame in coming:
            yield name, frame.result()


def _stamps(frame: pl.DataFrame) -> NDArray[np.int64]:
    return frame["ts"].to_physical().to_numpy()
