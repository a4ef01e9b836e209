"""The coherent trade path of candles, as arrays of knots (docs/reference/rules.md, section 3).

Times are milliseconds from the open of a row. A row is one candle, or several finer ones, each with its own path;
from one's close to the next one's open the price jumps. A *path* is [fills, candles, 4]: the prices at the four knots
of each candle of a row, one row for each fill.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backtest.data.panel import CLOSE, HIGH, LOW, OPEN
from backtest.results.columns import Ints

Floats = NDArray[np.float64]

SAME = 1.0 - 1e-12
"""As in the rules: a product of close/open within rounding of 1 counts as 1."""
BEFORE = -1
"""In place of a time: after the close of the row before, before the jump to the open."""


def knots(candles: Floats) -> Floats:
    """[rows, 4, symbols]: prices at the knots of ``candles`` [fields, rows, symbols]; NaN where it is missing."""
    return knots_of(candles, lows_first(candles))


def lows_first(candles: Floats) -> NDArray[np.bool_]:
    """[rows]: whether all series of a row have their lows before their highs, by its trades."""
    ratio = candles[CLOSE] / candles[OPEN]
    lows: NDArray[np.bool_] = np.prod(np.where(np.isnan(ratio), 1.0, ratio), axis=1) >= SAME
    return lows


def knots_of(candles: Floats, lows: NDArray[np.bool_]) -> Floats:
    """[rows, 4, symbols]: the knots of any series, given which extreme comes first in each row."""
    first = np.where(lows[:, None], candles[LOW], candles[HIGH])
    second = np.where(lows[:, None], candles[HIGH], candles[LOW])
    return np.stack([candles[OPEN], first, second, candles[CLOSE]], axis=1)


def price_at(path: Floats, time: Ints, price: Floats, interval_ms: int) -> Floats:
    """The price of the path at each fill's time; NaN at BEFORE.

    Stamps are whole milliseconds, crossings are not: where the fill's own ``price`` lies on the path within the
    millisecond of its stamp, that is the price.
    """
    length = interval_ms // path.shape[1]
    candle, since = np.divmod(time, length)
    at, later = _along(path, candle, since, length), _along(path, candle, since + 1, length)
    within: Floats = np.clip(price, np.minimum(at, later), np.maximum(at, later))
    return np.where(time == BEFORE, np.nan, np.where(since == 0, at, within))


def _along(path: Floats, candle: Ints, time: Ints, length: int) -> Floats:
    """The path at times from the open of a candle, up to its length."""
    thirds = np.minimum(3.0 * time / length, 3.0)
    knot = np.minimum(thirds.astype(np.int64), 2)
    row = np.arange(len(path))
    a, b = path[row, candle, knot], path[row, candle, knot + 1]
    along: Floats = a + (b - a) * (thirds - knot)
    return along


def reach(
    path: Floats, since: Ints, until: Ints, begin: Floats, end: Floats, interval_ms: int
) -> tuple[Floats, Floats]:
    """Highest and lowest price strictly between two times of each row, and of the prices at both; NaN: none.

    ``since`` BEFORE and ``until`` the interval: from the row's open, and to its close.
    """
    candles = path.shape[1]
    length = interval_ms / candles
    # A close and the next open share their instant. What begins there begins after the jump, what ends there ends after
    # it: the close stands half a millisecond earlier.
    within = np.array([0.0, length / 3, 2 * length / 3, length - 0.5])
    at = (np.arange(candles)[:, None] * length + within).ravel()
    passed = (at > since[:, None]) & (at < until[:, None])
    prices = np.where(passed, path.reshape(len(path), 4 * candles), np.nan)
    high: Floats = np.fmax(np.fmax.reduce(prices, axis=1), np.fmax(begin, end))
    low: Floats = np.fmin(np.fmin.reduce(prices, axis=1), np.fmin(begin, end))
    return high, low
