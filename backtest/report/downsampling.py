"""Columns as arrays, thinned for display so that no peak is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

BUCKETS = 1_500
"""More points than a screen has columns show nothing more."""

LOOK = 65_536
"""Samples that are looked at together."""

DUST = 5e-7
CROSS = "cross"
"""Name of the pool that the positions of an account share."""

Times = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """A curve to draw: ``ts`` in milliseconds, ``values`` (NaN: a gap); ``each``: samples behind every two points."""

    ts: Times
    values: Values
    each: int = 1

    def points(self) -> tuple[list[int], list[float | None]]:
        """Plain lists for JSON; a gap is null. Six decimals are finer than a pixel and than a cent."""
        rounded = np.round(self.values, 6)
        finite = np.isfinite(rounded)
        numbers = rounded.tolist()
        if finite.all():
            return self.ts.tolist(), numbers
        return self.ts.tolist(), [v if ok else None for v, ok in zip(numbers, finite.tolist(), strict=True)]


def envelope(ts: Times, values: Values, buckets: int = BUCKETS) -> Line:
    """The lowest and the highest of each bucket of equally many samples, in order of time, and the two ends.

    Every extreme of the whole curve is among the points. A gap survives where a whole bucket is a gap.
    """
    n = len(ts)
    if n <= 2 * buckets:
        return Line(ts, values)
    each = -(-n // buckets)
    found = [np.array([0, n - 1])]
    step = max(1, LOOK // each) * each  # whole buckets that are looked at together
    for first in range(0, n, step):
        part = values[first : first + step]
        full = np.concatenate([part, np.full(-len(part) % each, np.nan)]).reshape(-1, each)
        starts = first + np.arange(len(full)) * each
        found.append(starts + np.where(np.isfinite(full), full, np.inf).argmin(axis=1))
        found.append(starts + np.where(np.isfinite(full), full, -np.inf).argmax(axis=1))
    kept = np.unique(np.concatenate(found))
    return Line(ts[kept], values[kept], each)


def stamps(frame: pl.DataFrame, column: str = "ts") -> Times:
    """A time column as milliseconds since 1970 UTC."""
    return frame[column].dt.epoch("ms").to_numpy().astype(np.int64, copy=False)


def floats(frame: pl.DataFrame, column: str) -> Values:
    """A numeric column as float64; null is NaN."""
    return frame[column].cast(pl.Float64).fill_null(np.nan).to_numpy()


def ratio(above: Values, below: Values) -> Values:
    """``above / below``; a gap where ``below`` is not positive, for then the ratio says nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, np.nan)


def tracks(
    frame: pl.DataFrame, fills: pl.DataFrame, key: str, value: str, absent: float, start_ms: int, end_ms: int
) -> dict[str, Line]:
    """One curve per ``key`` (``symbol`` or ``pool``) from the samples of what is held.

    A sample need not list everything that is held, so a row that is missing says nothing: a curve goes to ``absent``
    at the fill that brings the quantity to zero, and starts there. The last value holds to the end.
    """
    names, seen, values = frame[key].cast(pl.Categorical), stamps(frame), floats(frame, value)
    positions = _open_positions(fills)
    curves: dict[str, Line] = {}
    for name in sorted(names.unique().to_list()):
        mine = (names == name).to_numpy()
        closed = _emptied(positions, name)
        ts = np.concatenate([[start_ms], seen[mine], closed]).astype(np.int64)
        held = np.concatenate([[absent], values[mine], np.full(len(closed), absent)])
        # Stable: at one stamp the sample is the close of the candle before, and the fill comes after it.
        order = np.argsort(ts, kind="stable")
        ts, held = np.append(ts[order], end_ms), np.append(held[order], held[order[-1]])
        curves[name] = Line(ts, held)
    return curves


def _open_positions(fills: pl.DataFrame) -> pl.DataFrame:
    """After each fill whether its position is `open`, whether it `was` before, and the pool that it was opened in."""
    # Quantities are whole millionths: what is smaller is the rounding of their sum.
    held = fills.select("ts", "symbol", "pool", open=pl.col("qty").cum_sum().over("symbol").abs() >= DUST)
    known = held.with_columns(was=pl.col("open").shift(1, fill_value=False).over("symbol"))
    opened = pl.when(pl.col("open") & ~pl.col("was")).then("pool")
    return known.with_columns(home=opened.forward_fill().over("symbol"))


def _emptied(positions: pl.DataFrame, name: str) -> Times:
    """When nothing was held any more in a symbol, in its own pool, which has its name, or in the cross pool."""
    if name != CROSS:
        return stamps(positions.filter((pl.col("symbol") == name) & ~pl.col("open")))
    # A position that a rule has given its own pool counts here until it is closed.
    mine = positions.filter(pl.col("home") == CROSS)
    change = mine.select("ts", "open", held=(pl.col("open").cast(pl.Int64) - pl.col("was").cast(pl.Int64)).cum_sum())
    return stamps(change.filter((pl.col("held") == 0) & ~pl.col("open")))


def together(curves: Sequence[Line], absent: float) -> tuple[Times, list[Values]]:
    """Curves on one clock, each holding its last value."""
    clock = np.unique(np.concatenate([line.ts for line in curves]))
    steps = [np.searchsorted(line.ts, clock, side="right") - 1 for line in curves]
    return clock, [np.where(at < 0, absent, line.values[at]) for at, line in zip(steps, curves, strict=True)]


def running(ts: Times, amounts: Values, start_ms: int, end_ms: int) -> Line:
    """The running sum of payments as a curve from zero at ``start_ms`` to its last value at ``end_ms``."""
    # Payments of one instant are one step: two legs that cancel are not a spike.
    at, which = np.unique(ts, return_inverse=True)
    total = np.cumsum(np.bincount(which, weights=amounts, minlength=len(at)))
    clock = np.concatenate([[start_ms], at, [end_ms]]).astype(np.int64)
    last = total[-1:] if len(total) else np.zeros(1)
    return envelope(clock, np.concatenate([np.zeros(1), total, last]))
