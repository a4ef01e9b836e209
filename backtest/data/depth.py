"""A depth table: how much quote lies within which distance of the middle, by symbol and time.

Parquet with `ts` (milliseconds UTC), `symbol`, `bps` (distance from the middle) and `depth_usd` (quote on one side
within it, so that it does not fall with the distance). The rows of one symbol and time, nearest first, are a snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.errors import UserError, nearest
from backtest.core.times import stamp
from backtest.data.parquet_table import rows

COLUMNS = {"ts": "time", "symbol": "text", "bps": "number", "depth_usd": "number"}
_BPS = 10_000.0


def read(path: Path, symbols: Sequence[str], start_ms: int, end_ms: int) -> NDArray[np.float64]:
    """[symbols, snapshots, 1 + 2 × levels]: stamp ms, then pairs of distance (a rate) and quote within it.

    Those from the last at or before ``start_ms`` to ``end_ms``; stamps of inf and levels of NaN fill up. UserError for
    a symbol that is not in it, and at the first row that is out of order or below zero.
    """
    frame = rows(path, COLUMNS)
    known = frame["symbol"].unique().to_list()
    parts = []
    for symbol in symbols:
        if symbol not in known:
            raise UserError(f"no depth of {symbol}", str(path), nearest(symbol, known))
        held = frame.filter(pl.col("symbol") == symbol)
        t, bps, depth = (held[name].to_numpy() for name in ("ts", "bps", "depth_usd"))
        _check(path, symbol, t, bps, depth)
        before = t[t <= start_ms]
        first = np.searchsorted(t, before[-1]) if len(before) else 0
        kept = slice(first, np.searchsorted(t, end_ms))
        parts.append((t[kept], bps[kept] / _BPS, depth[kept]))
    return _packed(parts)


def _check(path: Path, symbol: str, t: NDArray[np.int64], bps: NDArray[np.float64], depth: NDArray[np.float64]) -> None:
    """UserError at the first row of a symbol that is out of order or no depth."""
    same = np.diff(t) == 0
    ends = np.append(~same, True)
    wrong = (
        ("bps is not a number from 0 on", ~((bps >= 0) & (bps < np.inf))),
        ("depth_usd is not a number from 0 on", ~((depth >= 0) & (depth < np.inf))),
        ("unsorted: it comes after a later time", np.append(False, np.diff(t) < 0)),
        ("bps does not rise within a snapshot", np.append(False, same & (np.diff(bps) <= 0))),
        ("depth_usd falls within a snapshot", np.append(False, same & (np.diff(depth) < 0))),
        ("a snapshot without any depth", ends & (depth == 0)),
    )
    for thing, where in wrong:
        if where.any():
            at = int(np.argmax(where))
            place = f"{symbol} at {stamp(int(t[at]))} in {path}"
            raise UserError(f"{thing}: bps {bps[at]:g}, depth_usd {depth[at]:g}", place, "correct the file")


def _packed(
    parts: list[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]],
) -> NDArray[np.float64]:
    firsts = [np.flatnonzero(np.diff(t, prepend=t[:1] - 1)) for t, _, _ in parts]
    snapshots = max(len(first) for first in firsts)
    levels = max((int(np.diff(first, append=len(p[0])).max(initial=0)) for first, p in zip(firsts, parts, strict=True)))
    packed = np.full((len(parts), snapshots, 1 + 2 * levels), np.nan)
    packed[:, :, 0] = np.inf
    for out, first, (t, rate, depth) in zip(packed, firsts, parts, strict=True):
        snapshot = np.cumsum(np.diff(t, prepend=t[:1] - 1) != 0) - 1
        level = np.arange(len(t)) - first[snapshot] if len(t) else np.empty(0, np.int64)
        out[: len(first), 0] = t[first]
        out[snapshot, 1 + 2 * level] = rate
        out[snapshot, 2 + 2 * level] = depth
    return packed
