"""Funding settlements of a run, and which of them the data lack."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import numpy as np
from numpy.typing import NDArray

from backtest.core.errors import UserError
from backtest.core.times import stamp
from backtest.data.source import Source

_SIDE = 4
"""Gaps looked at on each side. Four and four let an interval switch without a false alarm: a gap that opens
or ends a new interval has itself and four of its kind against four of the other."""
_TOO_LONG = 1.5


def expected_intervals(gaps: NDArray[np.int64]) -> NDArray[np.int64]:
    """The interval expected at each gap: the median of up to four gaps on each side and itself (ms).

    Of an even number, the upper one of the two in the middle: near the edge of a series, where there are fewer
    than four on a side, an interval that has just switched must not pass for a hole.
    """
    padded = np.full(len(gaps) + 2 * _SIDE, np.iinfo(np.int64).max)
    padded[_SIDE : _SIDE + len(gaps)] = gaps
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(padded, 2 * _SIDE + 1), axis=1)
    index = np.arange(len(gaps))
    present = 1 + np.minimum(index, _SIDE) + np.minimum(len(gaps) - 1 - index, _SIDE)
    middle: NDArray[np.int64] = windows[index, present // 2]
    return middle


def missing_settlements(stamps: NDArray[np.int64], first_ms: int, end_ms: int, default_ms: int) -> NDArray[np.int64]:
    """Expected stamps in ``[first_ms, end_ms)`` that sorted ``stamps`` lack, sorted.

    A gap longer than 1.5 times the expected interval lacks ``round(gap / expected) - 1`` stamps, evenly in it.
    Before the first and after the last stamp the grid goes on. ``default_ms`` is the interval where fewer than three
    stamps can tell it. No stamps at all: nothing is known to be missing (the symbol has no funding data).
    """
    if len(stamps) == 0:
        return np.empty(0, np.int64)
    gaps = np.diff(stamps)
    few = len(stamps) < 3
    expected = np.full(len(gaps), default_ms) if few else expected_intervals(gaps)
    lacking: list[NDArray[np.int64]] = []
    for at in np.flatnonzero(gaps > _TOO_LONG * expected):
        count = round(gaps[at] / expected[at]) - 1
        lacking.append(stamps[at] + gaps[at] * np.arange(1, count + 1) // (count + 1))
    head = default_ms if few else int(expected[0])
    tail = default_ms if few else int(expected[-1])
    before = (int(stamps[0]) - first_ms) // head
    lacking.append(stamps[0] - head * np.arange(before, 0, -1))
    after = max(0, -((int(stamps[-1]) - end_ms) // tail) - 1)
    lacking.append(stamps[-1] + tail * np.arange(1, after + 1))
    found = np.sort(np.concatenate(lacking))
    return found[(found >= first_ms) & (found < end_ms)]


def due(first_ms: int, end_ms: int, interval_ms: int) -> NDArray[np.int64]:
    """Settlements that a market whose first candle ends at ``first_ms`` has before ``end_ms``: full intervals, UTC.

    Before its first candle ends nobody can hold anything. It is what a symbol without any funding data lacks.
    """
    return np.arange(-(-first_ms // interval_ms) * interval_ms, end_ms, interval_ms, dtype=np.int64)


def settlements(
    con: duckdb.DuckDBPyConnection,
    sources: Sequence[Source | None],
    first_ms: NDArray[np.int64],
    end_ms: NDArray[np.int64],
    default_ms: int,
) -> tuple[NDArray[np.float64], int]:
    """Settlements of every symbol's life ``[first_ms, end_ms)``, and how many of them are missing.

    [M, 3]: stamp (ms), number of the symbol, rate (NaN: missing); by stamp, then symbol. A source of None: the symbol
    has no funding data. UserError for a stamp that is missing, repeated or unsorted, and for an invalid rate.
    """
    blocks = [np.empty((0, 3))]
    missing = 0
    for i, source in enumerate(sources):
        if source is None:
            continue
        found = source.fetch(con, source.scan(("rate",)))
        t, rate = _checked(source, found["t"], np.ma.filled(found["rate"], np.nan))
        lacking = missing_settlements(t, int(first_ms[i]), int(end_ms[i]), default_ms)
        missing += len(lacking)
        held = (t >= first_ms[i]) & (t < end_ms[i])
        for stamps, rates in ((t[held], rate[held]), (lacking, np.full(len(lacking), np.nan))):
            blocks.append(np.column_stack((stamps, np.full(len(stamps), i), rates)))
    table = np.concatenate(blocks)
    return table[np.lexsort((table[:, 1], table[:, 0]))], missing


def _checked(
    source: Source, t: NDArray[np.int64], rate: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    if np.ma.is_masked(t):
        raise UserError("a settlement without a time", f"{source.symbol} in {source.files[0].path}", "fill it in")
    back = np.flatnonzero(np.diff(t) <= 0)
    if len(back):
        before, after = int(t[back[0]]), int(t[back[0] + 1])
        thing = "a settlement that is there twice" if before == after else f"unsorted: it comes after {stamp(before)}"
        raise UserError(thing, source.where(after), "look at it with `backtest data check`, and correct the file")
    bad = np.flatnonzero(~np.isfinite(rate))
    if len(bad):
        raise UserError(f"rate is {rate[bad[0]]}", source.where(int(t[bad[0]])), "correct or remove the row")
    return np.ma.getdata(t), rate
