"""What can be put right in one series without making anything up: order, exact duplicates, stamps, units, candles."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backtest.core.durations import text as interval_name
from backtest.core.times import HOUR_MS, stamp
from backtest.data.manifest import Change
from backtest.data.raw_series import RawSeries
from backtest.data.resample import joined

LATE_MS = 60_000
"""A settlement is put on the grid from at most so far away: venues stamp them some milliseconds or seconds late."""
_MOST_FINER = 1_440
"""Fine candles in a coarse one, at most: a day of minutes."""


@dataclass(frozen=True)
class Repaired:
    """A series after its repair."""

    series: RawSeries
    changes: tuple[Change, ...]
    left: tuple[str, ...]
    """What is still wrong and cannot be put right here, with the first place."""
    readable: bool
    """Whether the stamps rise strictly now; else the series cannot be written."""


def repaired(series: RawSeries, interval_ms: int | None, rate_unit: float = 1.0) -> Repaired:
    """Return the series repaired. ``interval_ms``: of its candles; None: not known, or settlements.

    ``rate_unit``: what a rate of 1 in the file is as a fraction: 0.01 for rates in per cent.
    """
    changes: list[Change] = []
    left: list[str] = []
    if series.units:
        changes.append(_change(series, f"times in {' and '.join(series.units)} converted to ms", series.t))
    if series.kind == "funding" and rate_unit != 1.0 and len(series.t):
        # Divided, not multiplied: 0.01 % is 0.0001 then, to the last bit.
        series = _with(series, "rate", series.columns["rate"] / round(1 / rate_unit))
        changes.append(_change(series, f"rates divided by {round(1 / rate_unit):,}", series.t))
    series = _sorted(series, changes)
    series = _once(series, changes)
    if series.kind == "funding":
        series = _once(_on_grid(series, changes), changes)
    elif interval_ms is not None:
        series = _coarse(series, interval_ms, changes, left)
    twice = list(_disagreeing(series))
    return Repaired(series, tuple(changes), (*twice, *left), not twice)


def _change(series: RawSeries, what: str, stamps: NDArray[np.int64]) -> Change:
    first, last = int(stamps.min()), int(stamps.max())
    return Change(what=what, symbol=series.symbol, series=series.kind, rows=len(stamps), first=first, last=last)


def _with(series: RawSeries, name: str, column: NDArray[np.float64]) -> RawSeries:
    columns = series.columns | {name: column}
    return RawSeries(series.kind, series.symbol, series.paths, series.t, columns, series.units)


def _sorted(series: RawSeries, changes: list[Change]) -> RawSeries:
    """Rows by time. Counted are those that came after a later one."""
    late = series.t < np.maximum.accumulate(series.t) if len(series.t) else np.empty(0, bool)
    if not late.any():
        return series
    changes.append(_change(series, "rows sorted by time", series.t[late]))
    return series.taken(np.argsort(series.t, kind="stable"))


def _same_as_before(series: RawSeries) -> NDArray[np.bool_]:
    """Of sorted rows: whether a row that comes before it has the same stamp and the same values."""
    # Bits, so that a missing value is like another one; adding zero makes -0.0 and 0.0 one.
    keys = [(column + 0.0).view(np.int64) for column in series.columns.values()]
    order = np.lexsort((*keys, series.t))
    alike = np.diff(series.t[order]) == 0
    for key in keys:
        alike &= np.diff(key[order]) == 0
    same = np.zeros(len(series.t), bool)
    same[order[1:][alike]] = True
    return same


def _equal(a: float, b: float) -> bool:
    return bool(a == b or (math.isnan(a) and math.isnan(b)))


def _once(series: RawSeries, changes: list[Change]) -> RawSeries:
    """Rows without exact duplicates."""
    if len(series.t) < 2 or (np.diff(series.t) > 0).all():
        return series
    repeated = np.isin(series.t, series.t[1:][np.diff(series.t) == 0])
    twice = np.zeros(len(series.t), bool)
    twice[repeated] = _same_as_before(series.taken(repeated))
    if not twice.any():
        return series
    changes.append(_change(series, "exact duplicates dropped", series.t[twice]))
    return series.taken(~twice)


def _disagreeing(series: RawSeries) -> Iterator[str]:
    """The first stamp that is there twice with different values."""
    twice = np.flatnonzero(np.diff(series.t) == 0)
    if not len(twice):
        return
    at = int(twice[0])
    name = next(n for n, column in series.columns.items() if not _equal(column[at], column[at + 1]))
    column = series.columns[name]
    many = len(np.unique(series.t[twice]))
    count = "a stamp is" if many == 1 else f"{many:,} stamps are"
    values = f"{name} {column[at]} and {column[at + 1]}"
    yield f"{count} there twice with different values, first {stamp(int(series.t[at]))}: {values}"


def _on_grid(series: RawSeries, changes: list[Change]) -> RawSeries:
    """Settlements on the nearest multiple of their grid, where they are less than `LATE_MS` from it."""
    stamps = np.unique(series.t)
    if not len(stamps):
        return series
    usual = int(np.median(np.diff(stamps))) if len(stamps) > 2 else HOUR_MS
    # To the minute: the gaps between stamps that are some milliseconds late are not those of the grid.
    grid = min(HOUR_MS, max(LATE_MS, round(usual / LATE_MS) * LATE_MS))
    nearest = (series.t + grid // 2) // grid * grid
    off = series.t != nearest
    off &= np.abs(series.t - nearest) <= LATE_MS  # those further away stay: `check` warns, and they are paid as stamped
    if not off.any():
        return series
    changes.append(_change(series, f"stamps rounded to {interval_name(grid)}", series.t[off]))
    rounded = np.where(off, nearest, series.t)
    moved = RawSeries(series.kind, series.symbol, series.paths, rounded, series.columns, series.units)
    return moved.taken(np.argsort(rounded, kind="stable"))


def _coarse(series: RawSeries, interval_ms: int, changes: list[Change], left: list[str]) -> RawSeries:
    """Candles of ``interval_ms`` on the clock, rebuilt where the series has all the finer ones of them.

    A series that is finer throughout is joined as a run joins it: a candle is there if any of its finer ones is.
    """
    t = series.t
    steps = np.diff(t)
    if not len(steps) or steps.min() == 0:
        return series  # what is there twice is named, and may not be joined
    fine = math.gcd(interval_ms, *np.unique(steps).tolist())
    if fine == interval_ms or interval_ms // fine > _MOST_FINER or t[0] % fine:
        return series
    opens = t - t % interval_ms
    first = np.flatnonzero(np.diff(opens, prepend=opens[0] - 1))
    held = np.diff(first, append=len(t))
    whole = held == interval_ms // fine
    kept_open = (held == 1) & (t[first] == opens[first])
    # Candles that fill most of the span are the series' own; a few whole ones may be all that a part is finer in.
    throughout = 2 * int(kept_open.sum()) < len(first) and 2 * int(whole.sum()) > len(first)
    rebuild = np.full(len(first), True) if throughout else whole
    stray = ~rebuild & ~kept_open
    if stray.any():
        at = stamp(int(opens[first[np.argmax(stray)]]))
        parts = f"{int(stray.sum()):,} candles of {interval_name(interval_ms)}"
        left.append(f"{parts} have only a part of their {interval_name(fine)} candles, first {at}")
    if not rebuild.any():
        return series
    short = int((rebuild & ~whole).sum())
    more = f", {short:,} from fewer than all" if short else ""
    what = f"{interval_name(interval_ms)} candles rebuilt from {interval_name(fine)} ones{more}"
    changes.append(_change(series, what, opens[first][rebuild]))
    kept = np.repeat(~rebuild, held)
    stamps = np.concatenate((opens[first][rebuild], t[kept]))
    order = np.argsort(stamps, kind="stable")
    columns = {
        name: np.concatenate((joined(name, column, first)[rebuild], column[kept]))[order]
        for name, column in series.columns.items()
    }
    return RawSeries(series.kind, series.symbol, series.paths, stamps[order], columns, series.units)
