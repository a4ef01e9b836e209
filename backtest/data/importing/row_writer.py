"""Rows on their way into a series: in order, each once, at one interval; what is left out is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtest.core.durations import text as interval_text
from backtest.core.errors import UserError
from backtest.core.times import stamp
from backtest.data.dataset_writer import SeriesWriter, Times, Values
from backtest.data.stream import numbers

_EVEN = 20
"""So many steps of another length one after another are no gaps but another interval."""


class Unsorted(Exception):
    """Rows that go back in time: they have to be sorted first."""


@dataclass(frozen=True)
class Left:
    """Rows that were there twice, with the same values, and are written once."""

    rows: int
    first_ms: int
    last_ms: int


class RowWriter:
    """Writes the rows of one series of one market, batch by batch."""

    def __init__(
        self, series: SeriesWriter, names: Sequence[str], interval_ms: int | None, places: Sequence[str]
    ) -> None:
        self.series, self.names, self.interval_ms, self.places = series, tuple(names), interval_ms, places
        self.repeated = 0
        self.repeated_first = self.repeated_last = 0
        self.folded = 0
        """Times in an hour that the clock repeats, told by their order."""
        self._last: tuple[int, tuple[float, ...], int] | None = None

    @property
    def left(self) -> Left | None:
        """What was left out; None: nothing."""
        return Left(self.repeated, self.repeated_first, self.repeated_last) if self.repeated else None

    def write(self, batch: Any) -> None:
        """Write rows of `ts`, `fold`, `part` and the columns.

        Raises Unsorted for a step back in time, and UserError for a row without a time, for one that is there twice
        with other values, for another interval, and for what `SeriesWriter` refuses.
        """
        if not batch.num_rows:
            return
        if batch.column("ts").null_count:
            raise UserError(
                f"a {self.series.kind} row of {self.series.symbol} without a time",
                self.places[_first_null(batch)],
                "fill it in, or leave the row out",
            )
        t: Times = numbers(batch.column("ts")).astype(np.int64, copy=False)
        values = {name: numbers(batch.column(name)) for name in self.names}
        parts: NDArray[np.int64] = numbers(batch.column("part")).astype(np.int64, copy=False)
        fold: Times = numbers(batch.column("fold")).astype(np.int64, copy=False)
        if fold.any():
            t = self._unfolded(t, fold)
        before = t[0] - 1 if self._last is None else self._last[0]
        steps = np.diff(t, prepend=before)
        if (steps < 0).any():
            raise Unsorted
        if (steps == 0).any():
            t, values, parts = self._once(t, values, parts, steps)
            if not len(t):
                return
            steps = np.diff(t, prepend=before)
        self._check_interval(t, steps if self._last is not None else steps[1:], parts)
        self._last = int(t[-1]), tuple(float(values[name][-1]) for name in self.names), int(parts[-1])
        self.series.place = self.places[int(parts[-1])]
        self.series.write(t, values)

    def _unfolded(self, t: Times, fold: Times) -> Times:
        """Times of a repeated hour: the first time round, and the second time once the clock has gone back."""
        t = t.copy()
        last = self._last[0] if self._last is not None else None
        for at in np.flatnonzero(fold).tolist():
            before = int(t[at - 1]) if at else last
            if before is not None and t[at] <= before:
                t[at] += fold[at]
            self.folded += 1
        return t

    def _once(
        self, t: Times, values: Mapping[str, Values], parts: NDArray[np.int64], steps: Times
    ) -> tuple[Times, dict[str, Values], NDArray[np.int64]]:
        """The rows without those that repeat the one before them."""
        again = np.flatnonzero(steps == 0)
        for at in again.tolist():
            mine = tuple(float(values[name][at]) for name in self.names)
            if at:
                before = tuple(float(values[name][at - 1]) for name in self.names), int(parts[at - 1])
            else:
                before = (self._last or (0, (), 0))[1:]
            if not np.array_equal(mine, before[0], equal_nan=True):
                raise self._disagree(int(t[at]), mine, int(parts[at]), *before)
        self.repeated_first = self.repeated_first or int(t[again[0]])
        self.repeated_last = int(t[again[-1]])
        self.repeated += len(again)
        kept = steps != 0
        return t[kept], {name: column[kept] for name, column in values.items()}, parts[kept]

    def _disagree(self, ms: int, mine: Sequence[float], part: int, other: Sequence[float], before: int) -> UserError:
        name, one, two = next((n, a, b) for n, a, b in zip(self.names, other, mine, strict=True) if a != b)
        where = f"{self.series.symbol} {self.series.kind} at {stamp(ms)} in {self.places[part]}"
        if part == before:
            return UserError(f"there twice: {name} is {one:.15g} and {two:.15g}", where, "take one of the rows out")
        thing = f"{name} is {two:.15g}, but {one:.15g} in {self.places[before]}"
        return UserError(thing, where, "leave one of the files out")

    def _check_interval(self, t: Times, steps: Times, parts: NDArray[np.int64]) -> None:
        """UserError where candles stand closer together than their interval, or evenly further apart."""
        if self.interval_ms is None or (steps == self.interval_ms).all():
            return
        first = len(t) - len(steps)
        bad = np.flatnonzero(steps % self.interval_ms != 0)
        if not len(bad):
            long = np.flatnonzero((steps[1:] == steps[:-1]) & (steps[1:] > self.interval_ms))
            runs = np.split(long, np.flatnonzero(np.diff(long) != 1) + 1)
            bad = next((run for run in runs if len(run) >= _EVEN), bad)
        if not len(bad):
            return
        at = int(bad[0])
        step, when = int(steps[at]), int(t[first + at])
        where = f"{self.series.symbol} {self.series.kind} at {stamp(when)} in {self.places[int(parts[first + at])]}"
        thing = f"mixed intervals: {interval_text(step)} after the candle before it, in a series of {interval_text(self.interval_ms)}"  # noqa: E501
        raise UserError(thing, where, "import the rows of one interval only, each into its own dataset (--out)")


def _first_null(batch: Any) -> int:
    at = int(np.argmax(np.asarray(batch.column("ts").is_null())))
    return int(batch.column("part")[at].as_py())
