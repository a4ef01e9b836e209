"""What a market's liveliness usually is, hour by hour, against which a chain's congestion is measured.

Formula: docs/reference/rules-layer2.md, section 2. A row belongs to the hour that holds its close.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.times import HOUR_MS
from backtest.data.activity import activity
from backtest.data.panel import CLOSE, HIGH, LOW, OPEN, Chunk
from backtest.data.selection import Selection

Floats = NDArray[np.float64]

TRAILING = 168
"""Hours looked back over."""
LEAST = 24
"""Hours of these that have to be known; with fewer what is usual is not known."""


class Usual:
    """The usual range and turnover of a row, filled in as the chunks of the run come by, each before it is played.

    What is usual in an hour is the median over the `TRAILING` hours before it of the hour's mean over its rows, so a
    chunk and those before it hold all that its own closes need: reading the whole history beforehand would take three
    times as long as playing it. Rows before the run count, where the dataset has them.
    """

    def __init__(self, selection: Selection) -> None:
        """Reads the week before the run. UserError where the data have no volume."""
        s = self._selection = selection
        self._first = s.start_ms // HOUR_MS
        hours = (s.start_ms + s.rows * s.interval_ms) // HOUR_MS + 1 - self._first
        self.values: Floats = np.full((hours, 2), np.nan)
        """[hours, 2] from the hour that holds the run's start to the one that holds its end: range, and turnover in
        quote. NaN where it is not known, or not yet."""
        self._means: Floats = np.full((TRAILING + hours, 2), np.nan)
        self._taken = self._filled = 0
        self._begun: tuple[NDArray[np.int64], Floats] = np.empty(0, np.int64), np.empty((0, 2))
        """Closes and values of the rows of an hour that is not over."""
        since_ms = (self._first - TRAILING) * HOUR_MS - s.interval_ms
        opens, held = activity(s, since_ms)
        self._add(opens + s.interval_ms, held, self._first)

    def take(self, chunk: Chunk) -> None:
        """Fill in the hours of the chunk's closes; its panel has volume. Rows that were taken before are passed by."""
        s, end = self._selection, chunk.row0 + chunk.rows
        if end <= self._taken:
            return
        held = _liveliness(chunk.panel[:, chunk.tail + self._taken - chunk.row0 :], s.volume_field)
        closes = s.start_ms + np.arange(self._taken + 1, end + 1) * s.interval_ms
        known = ~np.isnan(held[:, 0])
        self._add(closes[known], held[known], int(closes[-1]) // HOUR_MS)
        self._taken = end

    @property
    def unknown(self) -> int:
        """Hours in which nothing is known to be usual."""
        return int(np.isnan(self.values).any(axis=1).sum())

    def _add(self, closes: NDArray[np.int64], values: Floats, hour: int) -> None:
        """More rows, up to some in ``hour``: the hours before it are over. Fills in what is usual up to it."""
        closes, values = np.append(self._begun[0], closes), np.concatenate((self._begun[1], values))
        over = int(np.searchsorted(closes, hour * HOUR_MS))
        # Rows of an hour that is not over wait: an hour is added up at once, so that no sum knows of chunks.
        self._begun = closes[over:], values[over:]
        if over:
            hours = closes[:over] // HOUR_MS
            first = np.flatnonzero(np.diff(hours, prepend=hours[0] - 1))
            sums, count = np.add.reduceat(values[:over], first, axis=0), np.diff(first, append=over)
            self._means[hours[first] - self._first + TRAILING] = sums / count[:, None]
        end = hour - self._first + 1
        held = self._means[self._filled : end - 1 + TRAILING]
        for column in range(2) if end > self._filled else ():
            self.values[self._filled : end, column] = _trailing_medians(held[:, column])
        self._filled = max(end, self._filled)


def _liveliness(panel: Floats, volume_field: int) -> Floats:
    """[rows, 2] of a panel [fields, rows, symbols]: mean of (high − low) / open over the symbols with a candle, and sum
    of close × volume; NaN in a row without a candle."""
    reach = panel[HIGH] - panel[LOW]
    reach /= panel[OPEN]
    traded = panel[CLOSE] * panel[volume_field]
    out: Floats = np.column_stack((reach.mean(axis=1), traded.sum(axis=1)))
    gaps = np.flatnonzero(np.isnan(out).any(axis=1))
    count = (~np.isnan(reach[gaps])).sum(axis=1)
    with np.errstate(invalid="ignore"):  # 0 / 0 of a row without a candle
        out[gaps, 0] = np.nansum(reach[gaps], axis=1) / count
    out[gaps, 1] = np.nansum(traded[gaps], axis=1)
    return out


def _trailing_medians(means: Floats) -> Floats:
    """For each hour after the first `TRAILING`, the last one's next included, the median of those before it."""
    medians = pl.Series(means).fill_nan(None).rolling_median(TRAILING, min_samples=LEAST)
    out: Floats = medians.fill_null(np.nan).to_numpy()[TRAILING - 1 :]
    return out
