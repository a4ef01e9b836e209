"""What costs are made from, hour by hour: σ and turnover of the trailing month, half the spread of the trailing week.

A bar holds what had closed by its start and nothing after; history before the run's period is used where the dataset
has it. Formulas: docs/reference/costs.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from backtest.data.select import select
from backtest.data.selection import Selection
from backtest.engine import layout as at
from backtest.venues import spread
from backtest.venues.slippage_models import DAY_MS

Floats = NDArray[np.float64]

TRAILING_MS = 30 * DAY_MS
"""σ and turnover look back so far."""
SPREAD_MS = 7 * DAY_MS
"""The spread looks back so far, or LEAST candles where they are longer."""
LEAST = 24
"""Candles that have to be known; with fewer the value is NaN."""
_BLOCK = 128
"""Windows looked at together: as many as stay in the cache."""

HALF: Mapping[str, Callable[[Mapping[str, Floats]], Floats]] = {
    "corwin-schultz": lambda c: spread.corwin_schultz(c["high"], c["low"]),
    "abdi-ranaldo": lambda c: spread.abdi_ranaldo(c["high"], c["low"], c["close"]),
    "edge": lambda c: spread.edge(c["open"], c["high"], c["low"], c["close"]),
}
COLUMNS = {
    "corwin-schultz": ("high", "low"),
    "abdi-ranaldo": ("high", "low", "close"),
    "edge": ("open", "high", "low", "close"),
}


def bars(
    selection: Selection, sigma: bool, turnover: bool, estimator: str | None, trailing_ms: int = TRAILING_MS
) -> Floats:
    """[bars, symbols, BAR_WIDTH] of `engine.layout`, NaN in what is not asked for and before it is known.

    ``trailing_ms``: how far σ and turnover look back, or `LEAST` candles where they are longer.

    UserError where turnover is asked for and the data have no volume.
    """
    end_ms = selection.start_ms + selection.rows * selection.interval_ms
    starts = np.arange(selection.start_ms, end_ms, at.BAR_MS)
    # The data's own interval, however long the run's candles are, or the fewest of them that make an hour.
    base = -(-at.BAR_MS // selection.catalog.interval_ms) * selection.catalog.interval_ms
    reach = max(trailing_ms, LEAST * base) + base
    wide = select(selection.catalog, selection.symbols, (selection.start_ms - reach) // base * base, end_ms, base)
    columns = ("close",) * sigma + ("close", "volume") * turnover + COLUMNS.get(estimator or "", ())
    window = max(trailing_ms // base, LEAST)
    out = np.full((len(starts), len(selection.symbols), at.BAR_WIDTH), np.nan)
    for i, symbol in enumerate(selection.symbols):
        frame = wide.candles(symbol, base, tuple(dict.fromkeys(columns)))
        stamps = frame["ts"].to_physical().to_numpy()
        if not len(stamps):
            continue
        first = int(stamps[0])
        held = {name: _laid(stamps, frame[name].to_numpy(), base, end_ms) for name in frame.columns[1:]}
        # Number of candles, of those on the grid from the symbol's first on, that had closed by each bar's start.
        closed = (starts - first) // base
        if sigma:
            out[:, i, at.SIGMA] = _rolled(held, closed, window, _sigma) * np.sqrt(DAY_MS / base)
        if turnover:
            out[:, i, at.TURNOVER] = _rolled(held, closed, window, _turnover) * (DAY_MS / base)
        if estimator:
            week = max(SPREAD_MS // base, LEAST)
            out[:, i, at.HALF_SPREAD] = _rolled(held, closed, week, _known(HALF[estimator])) / 2
    return out


def volatility(selection: Selection) -> Floats:
    """[hours, symbols]: σ of a day's log return over the day before each hour of the run; NaN before it is known."""
    return bars(selection, sigma=True, turnover=False, estimator=None, trailing_ms=DAY_MS)[:, :, at.SIGMA].copy()


def _laid(stamps: NDArray[np.int64], values: Floats, base: int, end_ms: int) -> Floats:
    """A column of candles on the grid from the first of them to the run's end, NaN where it is missing."""
    laid = np.full(-(-(end_ms - int(stamps[0])) // base), np.nan)
    laid[(stamps - stamps[0]) // base] = values
    return laid


Windows = Mapping[str, Floats]
"""Columns of candles by name: [windows, candles of a window]."""


def _rolled(held: Windows, closed: NDArray[np.int64], window: int, of: Callable[[Windows], Floats]) -> Floats:
    """For each bar the value ``of`` the last ``window`` candles that had closed; NaN before the first."""
    # A window of returns needs the close before it too: `window` candles behind the first of all are unknown.
    padded = {name: np.append(np.full(window + 1, np.nan), column) for name, column in held.items()}
    views = {name: sliding_window_view(column, window + 1) for name, column in padded.items()}
    most = len(next(iter(views.values()))) - 1
    wanted, back = np.unique(np.clip(closed, 0, most), return_inverse=True)
    values = np.empty(len(wanted))
    for start in range(0, len(wanted), _BLOCK):
        some = wanted[start : start + _BLOCK]
        values[start : start + _BLOCK] = of({name: view[some] for name, view in views.items()})
    out: Floats = values[back]
    return out


def _count(values: Floats) -> Floats:
    """How many are known, NaN where that is fewer than LEAST."""
    known = (~np.isnan(values)).sum(axis=-1).astype(float)
    return np.where(known < LEAST, np.nan, known)


def _sigma(candles: Windows) -> Floats:
    """Deviation of one candle's log return, over candles that follow each other: ``√(Σ(r − r̄)² / (n − 1))``."""
    returns = np.diff(np.log(candles["close"]), axis=-1)
    n = _count(returns)
    centred = returns - (np.nansum(returns, axis=-1) / n)[..., None]
    root: Floats = np.sqrt(np.nansum(centred * centred, axis=-1) / (n - 1))
    return root


def _turnover(candles: Windows) -> Floats:
    """Mean of volume × close."""
    traded = (candles["close"] * candles["volume"])[..., 1:]
    mean: Floats = np.nansum(traded, axis=-1) / _count(traded)
    return mean


def _known(estimate: Callable[[Windows], Floats]) -> Callable[[Windows], Floats]:
    """The estimate of the windows' candles, NaN where too few are known."""

    def of(candles: Windows) -> Floats:
        own = {name: values[..., 1:] for name, values in candles.items()}
        return np.where(np.isnan(_count(next(iter(own.values())))), np.nan, estimate(own))

    return of
