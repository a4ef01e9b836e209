"""Which feature, target or position goes best with the next candle's move, where candles are in a random order.

In such an order nothing that is known says anything about what comes next, so the rank correlation r of n pairs is
chance: z = r √(n − 1) is about standard normal. A large |z| knows more than it can.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.records import Record
from backtest.engine import layout as at
from backtest.runner.plan import Plan
from backtest.strategy.source_line import source_line
from backtest.strategy.window import FIELDS

Floats = NDArray[np.float64]
LEAST_PAIRS = 50


@dataclass(frozen=True)
class Telling:
    """A rank correlation with the next candle's move."""

    thing: str
    """`feature NAME`, `target` or `position`."""
    feature: str
    symbol: str
    z: float
    """r √(n − 1)."""
    place: str
    """`file.py:LINE`."""


def most_telling(planned: Plan, record: Record | None) -> Telling | None:
    """The largest |z| of all features, targets and positions; None where none varies.

    ``record``: of an account whose strategy is called; None: positions are not looked at.
    """
    found = list(_all(planned, record))
    return max(found, key=lambda one: abs(one.z), default=None)


def _all(planned: Plan, record: Record | None) -> Iterator[Telling]:
    s, decisions = planned.selection, planned.decisions
    for i, symbol in enumerate(s.symbols):
        candles = s.candles(symbol, decisions.every_ms, ("open", "close"))
        opens = candles["ts"].to_physical().to_numpy()
        # What is known at the close of a candle goes with the move of the one after it.
        moves = np.log(candles["close"].to_numpy() / candles["open"].to_numpy())[1:]
        closes = opens[:-1] + decisions.every_ms
        follows = opens[1:] == closes
        for number, name in enumerate(decisions.feature_names):
            values = _feature(planned, number, i, closes)
            yield from _told(f"feature {name!r}", name, symbol, values[follows], moves[follows],
                             source_line(planned.strategy, "features", name))  # fmt: skip
        if decisions.targets.size:
            values = _targets(planned, i, closes)
            yield from _told(
                "target", "", symbol, values[follows], moves[follows], source_line(planned.strategy, "targets")
            )
        if record is not None:
            values = _positions(record, symbol, closes)
            yield from _told(
                "position", "", symbol, values[follows], moves[follows], source_line(planned.strategy, "on_candle")
            )


def _told(thing: str, name: str, symbol: str, values: Floats, moves: Floats, place: str) -> Iterator[Telling]:
    known = np.isfinite(values) & np.isfinite(moves)
    count = int(known.sum())
    if count < LEAST_PAIRS or np.ptp(values[known]) == 0 or np.ptp(moves[known]) == 0:
        return
    pairs = pl.DataFrame({"a": values[known], "b": moves[known]})
    r = pairs.select(pl.corr("a", "b", method="spearman")).item()
    if r is not None and math.isfinite(r):
        yield Telling(thing, name, symbol, float(r) * math.sqrt(count - 1), place)


def _feature(planned: Plan, number: int, symbol: int, closes: NDArray[np.int64]) -> Floats:
    """A feature's values as they are known at these closes."""
    s, decisions = planned.selection, planned.decisions
    if decisions.coarse:
        rows = closes // decisions.every_ms - s.start_ms // decisions.every_ms
        return decisions.coarse.part(len(FIELDS) + number, symbol, 0, decisions.coarse.rows)[rows]
    if decisions.features is None:
        return np.empty(0)
    return decisions.features.part(number, symbol, 0, s.rows)[(closes - s.start_ms) // s.interval_ms - 1]


def _targets(planned: Plan, symbol: int, closes: NDArray[np.int64]) -> Floats:
    """The last target decided by each of these closes; NaN before the first."""
    s, table = planned.selection, planned.decisions.targets
    mine = table[table[:, at.TARGET_SYMBOL] == symbol]
    known = s.start_ms + (mine[:, at.TARGET_ROW].astype(np.int64) + 1) * s.interval_ms
    return _last(known, mine[:, at.AMOUNT], closes, float("nan"))


def _positions(record: Record, symbol: str, closes: NDArray[np.int64]) -> Floats:
    """The position held at each of these times: fills of that very instant count, as orders fill at the next open."""
    mine = np.asarray(record.fills["symbol"]) == record.symbols.index(symbol)
    held = np.cumsum(np.asarray(record.fills["lots"])[mine]).astype(np.float64)
    return _last(np.asarray(record.fills["ts_ms"])[mine], held, closes, 0.0)


def _last(times: NDArray[np.int64], values: Floats, at_ms: NDArray[np.int64], before: float) -> Floats:
    rows = np.searchsorted(times, at_ms, side="right") - 1
    found = np.full(len(at_ms), before)
    found[rows >= 0] = values[rows[rows >= 0]]
    return found
