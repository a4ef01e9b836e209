"""Fills some at a time, so that what is made of them needs no more memory for many than for few."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from backtest.core.records import Record
from backtest.core.rows import Columns
from backtest.results.columns import Ints
from backtest.results.exit_reasons import Reasons

TOGETHER = 1 << 17
"""Fills of a batch. One ends where the time changes: what an instant did is in one."""
FIELDS = ("seq", "ts_ms", "symbol", "lots", "quote", "fee", "cause", "realized")


class Batch(NamedTuple):
    """Fills that follow each other in the journal."""

    columns: Columns
    """`FIELDS`, `fill` (their numbers), `reason` (see `results.exit_reasons`), and `high` and `low` where they are
    known."""
    from_seq: int
    until_seq: int
    """Of the first fill of the next batch."""


def batches(record: Record, together: int | None) -> Iterator[Batch]:
    """Give the fills of ``record`` in their order, some ``together``; None: all."""
    late: Columns = {}
    reasons, first = Reasons(record), 0
    for columns in _filled(record):
        late = {name: np.concatenate([late[name], column]) for name, column in columns.items()} if late else columns
        if together is None or len(late["seq"]) < together:
            continue
        changes = np.flatnonzero(np.diff(late["ts_ms"]))
        if len(changes):
            cut = int(changes[-1]) + 1
            until = int(late["seq"][cut])
            yield Batch(_with_reasons({n: c[:cut] for n, c in late.items()}, reasons), first, until)
            late, first = {name: column[cut:] for name, column in late.items()}, until
    if late and len(late["seq"]):
        yield Batch(_with_reasons(late, reasons), first, np.iinfo(np.int64).max)


def cut_at_flat(fills: Columns, before: int = 0) -> Columns:
    """Fills of one symbol with each flip as two: the part that closes, then the part that opens; ``row`` where in
    ``fills``. ``before``: lots held before them."""
    after = before + np.cumsum(fills["lots"])
    held = after - fills["lots"]
    flips = np.flatnonzero(held * np.sign(after) < 0)
    twice = np.ones(len(after), dtype=np.int64)
    twice[flips] = 2
    parts = {name: np.repeat(fills[name], twice) for name in ("seq", "ts_ms", "lots", "quote", "fee", "cause", "fill")}
    parts["row"] = np.repeat(np.arange(len(after)), twice)
    closing = flips + np.arange(len(flips))
    share = held[flips] / -fills["lots"][flips]
    for name in ("quote", "fee"):
        # The opening part is the rest, so the two always add up to the fill.
        one = np.rint(fills[name][flips] * share).astype(np.int64)
        parts[name][closing], parts[name][closing + 1] = one, fills[name][flips] - one
    parts["lots"][closing], parts["lots"][closing + 1] = -held[flips], after[flips]
    return parts


def of_symbol(columns: Columns, symbol: int) -> Columns:
    """The fills of one symbol."""
    mine: Ints = np.flatnonzero(columns["symbol"] == symbol)
    return {name: column[mine] for name, column in columns.items()}


def _filled(record: Record) -> Iterator[Columns]:
    """Pieces of the fills, with the extremes after them."""
    first = 0
    reached = record.extremes.pieces() if len(record.extremes) else None
    high, low = np.empty(0), np.empty(0)
    for columns in record.fills.pieces("order_id", *FIELDS):
        count = len(columns["seq"])
        columns["fill"] = np.arange(first, first + count)
        first += count
        if reached is not None:
            while len(high) < count:
                more = next(reached)
                high, low = np.concatenate([high, more["high"]]), np.concatenate([low, more["low"]])
            columns["high"], columns["low"] = high[:count], low[:count]
            high, low = high[count:], low[count:]
        yield columns


def _with_reasons(columns: Columns, reasons: Reasons) -> Columns:
    return columns | {"reason": reasons.of(columns["order_id"], columns["cause"])}
