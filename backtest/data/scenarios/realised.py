"""What markets did before an instant: deviation of their returns and beta, from closes that were known by then."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from backtest.core.errors import UserError
from backtest.core.times import DAY_MS, HOUR_MS, stamp
from backtest.data.catalog import Catalog
from backtest.data.scenarios.curve import Floats
from backtest.data.select import select

WINDOW_MS = 30 * DAY_MS
"""Returns of so long before an instant are measured."""
LEAST = 24
"""Returns that have to be known."""
_BLOCK = 512
"""Windows that are looked at together."""
_Measure = Callable[[list[Floats]], Floats]
"""Of windows [windows, rows] of columns a value for each window."""


@dataclass(frozen=True)
class Returns:
    """Simple returns between the closes of hours (or of the data's candles, where they are longer)."""

    symbols: tuple[str, ...]
    step_ms: int
    first_ms: int
    """Close of row 0."""
    values: Floats
    """[rows, symbols]; NaN where one of the two closes is missing."""
    _made: dict[tuple[str, ...], Floats] = field(default_factory=dict, compare=False)
    """Measures of all windows, by what they are of: a pack asks for the same ones again and again."""

    @property
    def window(self) -> int:
        """Rows that are measured."""
        return WINDOW_MS // self.step_ms

    def known(self, instants: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many rows had closed by each instant."""
        rows: NDArray[np.int64] = (instants - self.first_ms) // self.step_ms + 1
        return np.clip(rows, 0, len(self.values))

    def sigma(self, symbols: Sequence[str], instants: NDArray[np.int64], horizon_ms: int) -> Floats:
        """Deviation of the mean return of ``symbols`` before each instant, times √(horizon / step); NaN: too few."""
        table = self._table(("sigma", *symbols), lambda: [self._mean(symbols)], lambda x: _deviation(x[0]))
        found: Floats = table[self.known(instants)] * math.sqrt(horizon_ms / self.step_ms)
        return found

    def beta(self, symbol: str, leaders: Sequence[str], instants: NDArray[np.int64]) -> Floats:
        """Covariance with the mean return of ``leaders`` over its variance, before each instant; NaN: too few."""

        def columns() -> list[Floats]:
            return [self._column(symbol), self._mean(leaders)]

        found: Floats = self._table(("beta", symbol, *leaders), columns, lambda x: _beta(x[0], x[1]))[
            self.known(instants)
        ]
        return found

    def _column(self, symbol: str) -> Floats:
        found: Floats = self.values[:, self.symbols.index(symbol)]
        return found

    def _mean(self, symbols: Sequence[str]) -> Floats:
        return np.asarray(sum(self._column(symbol) for symbol in symbols) / len(symbols))

    def _table(self, key: tuple[str, ...], columns: Callable[[], list[Floats]], of: _Measure) -> Floats:
        """A measure of the window before each row, by the number of rows that have closed; made once."""
        if key not in self._made:
            padded = [np.concatenate((np.full(self.window, np.nan), column)) for column in columns()]
            views = [sliding_window_view(column, self.window) for column in padded]
            found = np.empty(len(self.values) + 1)
            for start in range(0, len(found), _BLOCK):
                found[start : start + _BLOCK] = of([view[start : start + _BLOCK] for view in views])
            self._made[key] = found
        return self._made[key]


def _deviation(x: Floats) -> Floats:
    known = ~np.isnan(x)
    n = known.sum(axis=1).astype(float)
    n[n < LEAST] = np.nan
    mean = np.where(known, x, 0.0).sum(axis=1) / n
    centred = np.where(known, x - mean[:, None], 0.0)
    found: Floats = np.sqrt((centred * centred).sum(axis=1) / (n - 1))
    return found


def _beta(y: Floats, x: Floats) -> Floats:
    both = ~(np.isnan(x) | np.isnan(y))
    n = both.sum(axis=1).astype(float)
    n[n < LEAST] = np.nan
    mx = np.where(both, x, 0.0).sum(axis=1) / n
    my = np.where(both, y, 0.0).sum(axis=1) / n
    dx, dy = np.where(both, x - mx[:, None], 0.0), np.where(both, y - my[:, None], 0.0)
    variance = (dx * dx).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.where(variance > 0, (dx * dy).sum(axis=1) / variance, np.nan)
    return found


def read(catalog: Catalog, symbols: Sequence[str], start_ms: int, end_ms: int) -> Returns:
    """Returns of ``symbols`` from 30 days before ``start_ms`` to ``end_ms``, as the data are without a scenario."""
    data_ms = catalog.interval_ms
    step = HOUR_MS if HOUR_MS % data_ms == 0 else data_ms
    wide = select(catalog, symbols, (start_ms - WINDOW_MS - step) // step * step, end_ms, step)
    closes = np.full((wide.rows, len(wide.symbols)), np.nan)
    for i, symbol in enumerate(wide.symbols):
        frame = wide.candles(symbol, step, ("close",))
        rows = (frame["ts"].to_physical().to_numpy() - wide.start_ms) // step
        closes[rows, i] = frame["close"].to_numpy()
    return Returns(wide.symbols, step, wide.start_ms + 2 * step, closes[1:] / closes[:-1] - 1)


def measured(value: float, what: str, at_ms: int, place: str) -> float:
    """The value; UserError where too little is known to measure it."""
    if math.isnan(value):
        thing = f"{what} cannot be measured before {stamp(at_ms)}: fewer than {LEAST} returns are known"
        raise UserError(thing, place, "choose a later time, or a move that needs none")
    return value
