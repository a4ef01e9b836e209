"""Returns of an account from one UTC midnight to the next, as the metrics define them, and what they are like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backtest.report import closes
from backtest.report.downsampling import Times, Values

if TYPE_CHECKING:
    from backtest.results.result import Result

DAY_MS = 86_400_000
TAIL = 0.05
"""Share of the worst days that value at risk leaves out."""


@dataclass(frozen=True)
class Daily:
    """The total at each midnight, and the return of each day."""

    midnights: Times
    """In ms; the first is the start of the first whole day."""
    totals: Values

    @property
    def returns(self) -> Values:
        """Of each whole day; none where the total before was not positive."""
        before, after = self.totals[:-1], self.totals[1:]
        kept = before > 0
        return np.where(kept, after / np.where(kept, before, 1.0) - 1.0, np.nan)

    @property
    def days(self) -> Times:
        """The midnight at which each day began, ms."""
        return self.midnights[:-1]


def daily(result: Result) -> Daily:
    """Return the account's totals at midnights, from the table `equity`."""
    data = result.summary["data"]
    start_ms, end_ms = int(data["from_ms"]), int(data["to_ms"])
    clock, worth = closes.times(result), closes.worth(result)
    midnights = np.arange(-(-start_ms // DAY_MS) * DAY_MS, end_ms + 1, DAY_MS, dtype=np.int64)
    return Daily(midnights, at(midnights, clock, worth, result.metrics["start_cash"]))


def at(moments: Times, clock: Times, values: Values, before: float) -> Values:
    """Return the last value at or before each moment; ``before`` ahead of the first."""
    where = np.searchsorted(clock, moments, side="right") - 1
    return np.where(where >= 0, values[np.maximum(where, 0)] if len(values) else before, before)


def value_at_risk(returns: Values) -> tuple[float, float] | None:
    """Return the loss that one day in twenty exceeds, and the mean of those days, as negative fractions."""
    known = np.sort(returns[np.isfinite(returns)])
    if len(known) < 1 / TAIL:
        return None
    worst = known[: max(1, int(len(known) * TAIL))]
    return float(np.quantile(known, TAIL)), float(worst.mean())


@dataclass(frozen=True)
class Episode:
    """A drawdown: from a peak to the close that regains it."""

    peak_ms: int
    trough_ms: int
    end_ms: int | None
    """None: not regained."""
    depth: float
    """At most 0."""


def episodes(clock: Times, values: Values, start: float, start_ms: int) -> list[Episode]:
    """Return every drawdown of a curve at its closes, the deepest first."""
    if not len(values) or start <= 0:
        return []
    ts = np.concatenate([[start_ms], clock])
    line = np.concatenate([[start], values])
    peak = np.maximum.accumulate(line)
    below = line < peak
    edges = np.flatnonzero(np.diff(np.concatenate([[False], below, [False]]).astype(np.int8)))
    found = []
    for first, last in edges.reshape(-1, 2):
        part = line[first:last] / peak[first:last] - 1.0
        trough = first + int(part.argmin())
        regained = int(ts[last]) if last < len(line) else None
        found.append(Episode(int(ts[first - 1]), int(ts[trough]), regained, float(part.min())))
    return sorted(found, key=lambda one: (one.depth, one.peak_ms))
