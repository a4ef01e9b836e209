"""How much may still be withdrawn where a chain limits it (docs/rules-layer2.md section 6)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backtest.engine.compile import kernel
from backtest.engine.money import proportion_down
from backtest.engine.world import World
from backtest.venue.chain import Chain

# limits: int64[limits, LIMIT_WIDTH]
LIMIT_AMOUNT, LIMIT_PER, LIMIT_LEFT, LIMIT_AT, LIMIT_WIDTH = range(5)
# LIMIT_AMOUNT micro that a period of LIMIT_PER ms gives; LIMIT_LEFT of it, micro, when it was counted last, at LIMIT_AT
UNLIMITED = (1 << 63) - 1


def pack_limits(chain: Chain, from_ms: int) -> NDArray[np.int64]:
    """`limits` of a run from that time on: all of them are whole."""
    rows = [[one.amount_micro, one.per_ms, one.amount_micro, from_ms] for one in chain.withdrawal_limits]
    return np.array(rows, np.int64).reshape(-1, LIMIT_WIDTH)


@kernel
def capacity(amount: int, per: int, left: int, passed: int) -> int:
    """Micro that a limit of `amount` in `per` ms lets out, `passed` ms after it let out so much that `left` remained:
    `min(amount, left + ⌊amount × passed / per⌋)`."""
    return min(int(amount), int(left) + proportion_down(amount, min(int(passed), int(per)), per))


@kernel
def may_leave(w: World, now: int) -> int:
    """The least capacity at `now`, micro; `UNLIMITED` where there is no limit."""
    least = UNLIMITED
    for n in range(w.limits.shape[0]):
        one = w.limits[n]
        least = min(least, capacity(one[LIMIT_AMOUNT], one[LIMIT_PER], one[LIMIT_LEFT], now - one[LIMIT_AT]))
    return least


@kernel
def count_out(w: World, now: int, amount: int) -> None:
    """Take `amount`, which leaves at `now`, from every limit."""
    for n in range(w.limits.shape[0]):
        one = w.limits[n]
        left = capacity(one[LIMIT_AMOUNT], one[LIMIT_PER], one[LIMIT_LEFT], now - one[LIMIT_AT])
        one[LIMIT_LEFT], one[LIMIT_AT] = left - amount, now
