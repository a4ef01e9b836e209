"""Mark candles for rows that have none of their own: the trade path times a basis (docs/rules.md, 3.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

_DIGITS = 8
TIE = 1.0 + 1e-12
_POWERS = np.array([float(f"1e{k}") for k in range(-300, 301)])
"""Powers of ten as the nearest doubles, so that no power function's last digit can show."""


@dataclass(frozen=True)
class Basis:
    """Mark over trade where both open at one instant, and the coarse mark candles that bound what is derived."""

    times: Times
    """Basis points, ms, rising."""
    values: Floats
    cover_times: Times
    """Opens of the mark candles that are coarser than the candles, ms, rising; empty when marks are not coarser."""
    cover_low: Floats
    cover_high: Floats
    cover_ms: int

    def at(self, t: Floats) -> Floats:
        """The basis at times ``t`` (ms): linear between points, 1 before the first, the last one's after it.

        Computed as ``b0 + (b1 - b0) * ((t - t0) / (t1 - t0))`` in doubles.
        """
        if len(self.times) == 0:
            return np.ones(len(t))
        right = np.searchsorted(self.times, t, side="right")
        a, b = np.clip(right - 1, 0, None), np.clip(right, None, len(self.times) - 1)
        width = np.where(b > a, self.times[b] - self.times[a], 1)
        value = self.values[a] + (self.values[b] - self.values[a]) * ((t - self.times[a]) / width)
        return np.where(right == 0, 1.0, value)

    def covers(self, t: Times) -> NDArray[np.bool_]:
        """Whether one of the coarse mark candles covers each of the times ``t`` (ms)."""
        if len(self.cover_times) == 0:
            return np.zeros(len(t), bool)
        at = np.searchsorted(self.cover_times, t, side="right") - 1
        covered: NDArray[np.bool_] = (at >= 0) & (t < self.cover_times[at] + self.cover_ms)
        return covered

    def held(self, t: Times) -> Floats:
        """The last basis known before each of the times ``t`` (ms); 1 before any.

        A point at ``t`` itself opens with the next candle.
        """
        if len(self.times) == 0:
            return np.ones(len(t))
        seen = np.searchsorted(self.times, t, side="left")
        value: Floats = np.where(seen == 0, 1.0, self.values[np.maximum(seen - 1, 0)])
        return value


def derive(trade: Floats, t: Times, interval_ms: int, basis: Basis) -> Floats:
    """Derived mark candles [4, n] for trade candles ``trade`` [4, n] that open at ``t`` (ms).

    Open at b(t), close at b(t + interval), high and low at b(t + interval / 2); each clipped to the mark
    candle that covers t, rounded to eight significant digits; high and low then include open and close.
    """
    starts = t.astype(np.float64)
    middle = basis.at(starts + interval_ms / 2)
    factors = (basis.at(starts), middle, middle, basis.at(starts + interval_ms))
    mark = trade * np.stack(factors)
    if len(basis.cover_times):
        at, covered = np.searchsorted(basis.cover_times, t, side="right") - 1, basis.covers(t)
        low = np.where(covered, basis.cover_low[at], -np.inf)
        high = np.where(covered, basis.cover_high[at], np.inf)
        mark = np.minimum(np.maximum(mark, low), high)
    mark = significant(mark)
    mark[1] = np.maximum(mark[1], np.maximum(mark[0], mark[3]))
    mark[2] = np.minimum(mark[2], np.minimum(mark[0], mark[3]))
    return mark


def significant(values: Floats) -> Floats:
    """Positive ``values`` to eight significant digits.

    floor(v 10^(7-e) (1 + 1e-12) + 1/2) / 10^(7-e) with e = floor(log10 v).
    Round prices make exact ties, which doubles miss by a hair on either side: the factor lifts them all over it.
    """
    power = _POWERS[300 + (_DIGITS - 1) - np.floor(np.log10(values)).astype(np.int64)]
    rounded: Floats = np.floor(values * power * TIE + 0.5) / power
    return rounded


def stand_still(mark: Floats, last_close: float) -> int:
    """Fill rows of ``mark`` [fields, n] that are NaN with the close before them, in place; how many there were.

    The last field is the close.

    ``last_close`` is the mark's close before the first row (NaN when there is none, and none is needed).
    """
    empty = np.isnan(mark[0])
    count = int(np.count_nonzero(empty))
    if count:
        source = np.maximum.accumulate(np.where(empty, -1, np.arange(mark.shape[1])))
        close = np.where(source >= 0, mark[-1][source], last_close)
        mark[:, empty] = close[empty]
    return count
