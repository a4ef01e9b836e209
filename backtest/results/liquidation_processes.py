"""Which rows of `liquidations` are one liquidation of one pool.

A venue may close a pool in many steps, and a row is a step or a part of one. The record has no number for the process,
so it is told from the rows of the pool, in the order of the journal:

- rows of one instant belong together
- a row begins a liquidation where nothing was held after the row before it; where the pool stands at its crossing
  (equity is maintenance, but for rounding); or where the row before left the pool at maintenance or above and it is
  below at a candle's open, to which the mark has jumped
- any other row goes on with the one before it: a pool that was left below maintenance, or between maintenance and the
  venue's buffer above it

So two are counted as one where a pool was left below maintenance, recovered before its next step, and later
fell below at a jump; and one as two where a step within the buffer falls on such a jump. An ordinary close below zero
(`shortfall`) and the deleveraging of a good position (`deleveraged`) are not the pool's liquidation.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from backtest.core.enums import Stage
from backtest.core.records import Record
from backtest.results.columns import Ints

NONE = -1
"""A row that belongs to no liquidation."""
OTHERWISE = (Stage.SHORTFALL, Stage.DELEVERAGED)
STEPS = (Stage.PARTIAL, Stage.POSITION)
"""A row is its own step; in the other stages all rows of an instant are one."""
ROUNDING = 1_000
"""Micro: values at a crossing are rounded, once for each position."""


class Row(NamedTuple):
    """What the rows are told apart by."""

    pool: int
    ts_ms: int
    equity_before: int
    maintenance_before: int
    equity_after: int
    maintenance_after: int


def processes(record: Record) -> Ints:
    """For each row of the record's liquidations the number of its process, from 0 in the order of their first rows."""
    table = record.liquidations
    number = np.full(len(table), NONE, dtype=np.int64)
    known = [Row(*values) for values in zip(*(table[name].tolist() for name in Row._fields), strict=True)]
    latest: dict[int, int] = {}
    count = 0
    for at in np.flatnonzero(~np.isin(table["stage"], OTHERWISE)).tolist():
        row, before = known[at], latest.get(known[at].pool)
        at_open = (row.ts_ms - record.start_ms) % record.interval_ms == 0
        if before is None or _begins(known[before], row, at_open):
            number[at] = count
            count += 1
        else:
            number[at] = number[before]
        latest[row.pool] = at
    return number


def _begins(before: Row, row: Row, at_open: bool) -> bool:
    if before.ts_ms == row.ts_ms:
        return False
    health = row.equity_before - row.maintenance_before
    if before.maintenance_after == 0 or abs(health) <= ROUNDING:
        return True
    return at_open and health < 0 and before.equity_after >= before.maintenance_after


def steps(record: Record, number: Ints) -> int:
    """Steps of all liquidations: what was closed alone, a position or a part of one, is a step, and what went at once
    is one."""
    rows = record.liquidations
    alone = np.isin(rows["stage"], STEPS)
    acts = {(n, ts) for n, ts in zip(number[~alone].tolist(), rows["ts_ms"][~alone].tolist(), strict=True) if n != NONE}
    return int(alone.sum()) + len(acts)
