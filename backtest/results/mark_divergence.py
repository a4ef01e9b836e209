"""What the venue saw: its mark beside the market's, where an oracle or an outage sets them apart.

Marks are those of closes. Of each sampling period and symbol the close is kept at which the two were farthest apart,
the first of equals: of a period without a distance its first close.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backtest.core.records import SIGHT
from backtest.results.columns import Ints
from backtest.results.price_path import Floats, knots_of, lows_first


class Sight:
    """Is fed the rows of a run in order; what it keeps does not depend on how they are cut."""

    def __init__(
        self,
        symbols: int,
        start_ms: int,
        interval_ms: int,
        every_ms: int,
        frozen: Sequence[tuple[int, int]],
        holds: bool = False,
        late_ms: int | None = None,
    ) -> None:
        """``every_ms``: length of a sampling period. ``frozen``: times `a ≤ T < z` at which the venue mark is that of
        the path at `a`, in order, apart. ``holds``: the venue mark is a staircase. ``late_ms``: an oracle makes it,
        and its path jumps so long after each open; None: it is the market's."""
        self._start_ms, self._interval, self._every, self._frozen = start_ms, interval_ms, every_ms, list(frozen)
        self._holds, self._late_ms = holds, late_ms
        self._still = np.full(symbols, np.nan)
        self._best = np.zeros(symbols, SIGHT)
        self._apart = np.full(symbols, -1.0)
        self._period = -1
        self._kept: list[NDArray[np.void]] = []

    def take(self, row0: int, trade: Floats, market: Floats, venue: Floats) -> None:
        """Look at rows from ``row0`` on: candles [4, rows, symbols] of trades, of the market mark, and of the one
        that the venue goes by while nothing is frozen; where an oracle makes it, its inner knots are behind its close.
        """
        opens = self._start_ms + (row0 + np.arange(market.shape[1], dtype=np.int64)) * self._interval
        closes, seen = opens + self._interval, venue[3].copy()
        for begin, end in self._frozen:
            rows = np.flatnonzero((closes > begin) & (closes < end))
            here = np.flatnonzero((opens <= begin) & (begin < closes))
            if len(here):
                path = self._path(trade[:, here], venue[:, here])
                self._still = self._along(*path, 3 * (begin - int(opens[here[0]])))
            if len(rows):
                self._freeze(seen, venue[0], rows)
        self._sample(closes, market[3], seen)

    def rows(self) -> NDArray[np.void]:
        """The samples (records.SIGHT) by time, then symbol; to be asked after the last row."""
        return np.concatenate([*self._kept, self._ended(), np.zeros(0, SIGHT)])

    def _freeze(self, seen: Floats, opened: Floats, rows: Ints) -> None:
        """Put what is frozen in the place of what the venue would have seen at the closes of ``rows``."""
        for row in rows.tolist():
            # A symbol that comes to life meanwhile stands still at its first mark.
            self._still = np.where(np.isnan(self._still), opened[row], self._still)
            seen[row] = np.where(np.isnan(seen[row]), np.nan, self._still)

    def _sample(self, closes: Ints, market: Floats, seen: Floats) -> None:
        """Keep of each period what is farthest apart; a period that is not over goes on with the next rows."""
        apart = np.abs(seen / market - 1.0)
        apart[np.isnan(apart)] = -1.0
        period = (closes - 1) // self._every
        cuts = np.flatnonzero(np.diff(period, prepend=period[0] - 1))
        for first, last in zip(cuts, [*cuts[1:], len(closes)], strict=True):
            if period[first] != self._period:
                if self._period >= 0:
                    self._kept.append(self._ended())
                self._period = int(period[first])
                self._apart[:] = -1.0
            row = first + np.argmax(apart[first:last], axis=0)
            i = np.arange(apart.shape[1])
            farther = apart[row, i] > self._apart
            self._apart = np.where(farther, apart[row, i], self._apart)
            for name, values in (("ts_ms", closes[row]), ("market", market[row, i]), ("venue", seen[row, i])):
                self._best[name] = np.where(farther, values, self._best[name])

    def _ended(self) -> NDArray[np.void]:
        """The samples of the period, by time."""
        self._best["symbol"] = np.arange(len(self._best))
        found: NDArray[np.void] = self._best[self._apart >= 0.0]
        return found[np.argsort(found["ts_ms"], kind="stable")].copy()

    def _path(self, trade: Floats, venue: Floats) -> tuple[Ints, Floats]:
        """Times [knots], thirds of a ms from the open, and prices [knots, symbols] of the venue's path in one row."""
        if self._late_ms is None:
            return self._interval * np.arange(4), knots_of(venue, lows_first(trade))[0]
        jumps, rest = divmod(3 * self._late_ms, self._interval)
        inner = rest + self._interval * np.array([n if n <= jumps else n - 1 for n in range(4)])
        return np.array([0, *inner, 3 * self._interval]), venue[[0, 4, 5, 6, 7, 3], 0]

    def _along(self, times: Ints, path: Floats, at: int) -> Floats:
        """Prices [symbols] at a time before the close, behind a jump that is there."""
        knot = int(np.searchsorted(times, at, side="right")) - 1
        share = 0.0 if self._holds else (at - times[knot]) / (times[knot + 1] - times[knot])
        along: Floats = path[knot] + (path[knot + 1] - path[knot]) * share
        return along
