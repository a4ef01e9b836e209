"""How much of a candle's volume orders may still fill (docs/reference/rules-orders.md section 6)."""

from __future__ import annotations

import numpy as np

from backtest.engine.compile import kernel
from backtest.engine.layout import (
    MAKER_SHARE,
    STEP,
    TAKER_SHARE,
    USED_MAKER,
    USED_ROW,
    USED_TAKER,
    VOLUME,
)
from backtest.engine.world import World

NEARLY = 1.0 + 1e-12
ALL = 1 << 60
"""More lots than any order has."""


@kernel
def room(w: World, j: int, i: int, row: int, maker: bool) -> int:
    """Lots that makers, or takers, may still fill in panel row `j`, whose number `row` no other row has.

    `⌊volume × share × 10⁶ / step × (1 + 1e-12)⌋` less what has been filled; any number where no share is set.
    """
    portion = w.run[MAKER_SHARE] if maker else w.run[TAKER_SHARE]
    if portion == np.inf:
        return ALL
    volume = w.panel[int(w.run[VOLUME]), j, i]
    if np.isnan(volume):
        return 0
    used = 0
    if w.book[i, USED_ROW] == row:
        used = w.book[i, USED_MAKER] if maker else w.book[i, USED_TAKER]
    lots = np.floor(volume * portion * 1e6 / w.spec[i, STEP] * NEARLY)
    return max(0, int(min(lots, float(ALL))) - used)  # more than 64 bits hold is as good as all


@kernel
def use_room(w: World, i: int, row: int, maker: bool, lots: int) -> None:
    """Count `lots` ≥ 0 as filled in the row; the caller has seen that somebody asks."""
    if w.book[i, USED_ROW] != row:
        w.book[i, USED_ROW], w.book[i, USED_TAKER], w.book[i, USED_MAKER] = row, 0, 0
    w.book[i, USED_MAKER if maker else USED_TAKER] += lots
