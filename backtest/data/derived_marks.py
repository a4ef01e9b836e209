"""Mark candles for rows that have none: the trade path times a basis (docs/reference/rules.md, 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
Side = Literal["high", "low"]

_DIGITS = 8
TIE = 1.0 + 1e-12
_POWERS = np.array([float(f"1e{k}") for k in range(-300, 301)])
"""Powers of ten as the nearest doubles, so that no power function's last digit can show."""


@dataclass(frozen=True)
class Cover:
    """Mark candles that do not fit into the rows: they bound the marks derived inside, which attain their extremes.

    One entry per mark candle in every array, by time.
    """

    times: Times
    """Opens, ms, rising."""
    low: Floats
    high: Floats
    interval_ms: int
    low_rows: Times
    """Open of the row that attains the low, ms; not falling."""
    high_rows: Times

    def holds(self, t: Times) -> NDArray[np.bool_]:
        """Whether one of the mark candles covers each of the times ``t`` (ms)."""
        if len(self.times) == 0:
            return np.zeros(len(t), bool)
        at = np.searchsorted(self.times, t, side="right") - 1
        held: NDArray[np.bool_] = (at >= 0) & (t < self.times[at] + self.interval_ms)
        return held

    def clip(self, mark: Floats, t: Times) -> Floats:
        """Marks [fields, n] of rows that open at ``t`` (ms), between the low and the high of what covers ``t``."""
        if len(self.times) == 0:
            return mark
        at, held = np.searchsorted(self.times, t, side="right") - 1, self.holds(t)
        low = np.where(held, self.low[at], -np.inf)
        return np.minimum(np.maximum(mark, low), np.where(held, self.high[at], np.inf))

    def stretch(self, mark: Floats, start_ms: int, interval_ms: int) -> None:
        """Make the rows that attain a high or a low do so, in place: ``mark`` [4, n], rows from ``start_ms`` on."""
        stop_ms = start_ms + mark.shape[1] * interval_ms
        sides = ((self.high_rows, self.high, np.maximum, mark[1]), (self.low_rows, self.low, np.minimum, mark[2]))
        for rows, extreme, farther, column in sides:
            begin, end = np.searchsorted(rows, (start_ms, stop_ms))
            farther.at(column, (rows[begin:end] - start_ms) // interval_ms, extreme[begin:end])


_NO_TIMES, _NO_VALUES = np.empty(0, np.int64), np.empty(0)
NO_COVER = Cover(_NO_TIMES, _NO_VALUES, _NO_VALUES, 1, _NO_TIMES, _NO_TIMES)


@dataclass(frozen=True, order=True)
class Stretch:
    """A derived mark that was moved far to attain the venue's high or low."""

    ts_ms: int
    """Open of the candle."""
    symbol: str
    side: Side
    interval_ms: int
    """Length of the candle."""
    mark_ts_ms: int
    """Open of the venue's mark candle."""
    derived: float
    """The candle's own high or low of the mark."""
    mark: float
    """The venue's, which it attains."""
    bps: float
    """Distance between the two in bps of the derived one, above 0."""


@dataclass(frozen=True)
class Basis:
    """Mark over trade where both open at one instant, and the mark candles around the rows."""

    times: Times
    """Basis points, ms, rising."""
    values: Floats
    cover: Cover = NO_COVER
    """Without any where marks are as fine as the rows, and only holes are filled."""
    stretches: tuple[Stretch, ...] = ()
    """Those of the period that are far enough to be listed."""

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
    candle that covers t, rounded to eight significant digits; high and low then include open and close. `Cover.stretch`
    does the rest.
    """
    starts = t.astype(np.float64)
    middle = basis.at(starts + interval_ms / 2)
    factors = (basis.at(starts), middle, middle, basis.at(starts + interval_ms))
    mark = trade * np.stack(factors)
    mark = significant(basis.cover.clip(mark, t))
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

    ``last_close`` is the mark's close before the first row (NaN if it is missing, and none is needed).
    """
    empty = np.isnan(mark[0])
    count = int(np.count_nonzero(empty))
    if count:
        source = np.maximum.accumulate(np.where(empty, -1, np.arange(mark.shape[1])))
        close = np.where(source >= 0, mark[-1][source], last_close)
        mark[:, empty] = close[empty]
    return count
