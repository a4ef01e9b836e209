"""What a fill pays: the rate by date and trailing volume, and that volume (rules-orders.md section 8)."""

from __future__ import annotations

import numpy as np

from backtest.core.errors import Broken
from backtest.engine.compile import inlined, kernel
from backtest.engine.layout import (
    DISCOUNT,
    FEE_FROM,
    FEE_MAKER,
    FEE_TAKER,
    FEE_VOLUME,
    FEE_WINDOW,
    TURNOVER_DAY,
    TURNOVER_DAYS,
    Floats,
    Ints,
)
from backtest.engine.world import World

DAY_MS = 86400000
MICRO_UNITS = 1e6
MOST_OF_A_DAY = 2**62
"""Micro: a day's turnover stays there. More than any tier asks for, and one more fill cannot overflow it."""


def turnover_ring(fees: Floats) -> Ints:
    """An empty `World.turnover`: a day longer than the longest window, for the day that is not over."""
    return np.zeros(TURNOVER_DAYS + int(fees[:, FEE_WINDOW].max()) + 1, np.int64)


@kernel
def fee_rate(w: World, maker: bool, ts_ms: int) -> float:
    """Share of ``|quote|`` that a fill at `ts_ms` pays; below 0: receives.

    Of the last table dated at or before the fill, the last tier whose volume is at most the account's turnover in the
    table's window of whole UTC days before that of the fill. A positive rate is less the discount:
    ``rate × (1 − discount)``. The rows of `World.fees` are sorted by table, then volume; the first row always holds.
    """
    fees, row = w.fees, 0
    if len(fees) > 1:
        end = len(fees)
        while fees[end - 1, FEE_FROM] > ts_ms:
            end -= 1
        row = end - 1
        while row > 0 and fees[row - 1, FEE_FROM] == fees[end - 1, FEE_FROM]:
            row -= 1
        if row < end - 1:
            traded = trailing(w, int(fees[row, FEE_WINDOW]), ts_ms)
            while row + 1 < end and fees[row + 1, FEE_VOLUME] * MICRO_UNITS <= traded:
                row += 1
    rate = fees[row, FEE_MAKER] if maker else fees[row, FEE_TAKER]
    return rate * (1.0 - w.run[DISCOUNT]) if rate > 0.0 else rate


@inlined
def flat_rate(fees: Floats, run: Floats, maker: bool) -> float:
    """`fee_rate` of a schedule with one row, which no turnover changes."""
    rate = fees[0, FEE_MAKER] if maker else fees[0, FEE_TAKER]
    return rate * (1.0 - run[DISCOUNT]) if rate > 0.0 else rate


@kernel
def trailing(w: World, window_days: int, ts_ms: int) -> float:
    """Turnover, micro of quote, in the `window_days` whole UTC days before that of `ts_ms`.

    A sum of whole numbers in doubles, by day: exact up to 2^53 micro, nine billion quote units. The ring is one day
    longer than the longest window.
    """
    ring = w.turnover
    days = len(ring) - TURNOVER_DAYS
    today, last = ts_ms // DAY_MS, ring[TURNOVER_DAY]
    total = 0.0
    for day in range(today - window_days, min(today, last + 1)):
        total += float(ring[TURNOVER_DAYS + day % days])
    return total


@kernel
def note_turnover(w: World, amount_micro: int, ts_ms: int) -> None:
    """Count a fill's ``|quote|`` on its UTC day. Days follow each other; those passed without a fill become 0."""
    if len(w.fees) == 1:  # one rate whatever the volume: nobody asks
        return
    ring = w.turnover
    days = len(ring) - TURNOVER_DAYS
    today, last = ts_ms // DAY_MS, ring[TURNOVER_DAY]
    if not today >= last:
        raise Broken("time went back")
    for day in range(max(last, today - days) + 1, today + 1):
        ring[TURNOVER_DAYS + day % days] = 0
    ring[TURNOVER_DAY] = today
    place = TURNOVER_DAYS + today % days
    ring[place] = min(ring[place] + abs(amount_micro), MOST_OF_A_DAY)
