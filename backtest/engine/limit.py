"""How much may still be withdrawn where a chain limits it (docs/reference/rules-layer2.md section 6)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backtest.engine.compile import kernel
from backtest.engine.money import proportion_down
from backtest.engine.world import World
from backtest.venues.chain import Chain

# limits: int64[limits, LIMIT_WIDTH]
LIMIT_BASELINE, LIMIT_PER, LIMIT_STEP, LIMIT_LEFT, LIMIT_AT, LIMIT_WIDTH = range(6)
# LIMIT_LEFT micro of capacity at LIMIT_AT; it moves toward LIMIT_BASELINE within LIMIT_PER ms, above twice the baseline
# in steps of LIMIT_STEP ms
UNLIMITED = (1 << 63) - 1
SHORTEST_STEP_MS = 1_000
"""Of a chain with shorter blocks, or none, the step is a second."""


def pack_limits(chain: Chain, from_ms: int) -> NDArray[np.int64]:
    """`limits` of a run from that time on: all of them are at their baseline."""
    step = max(chain.block_ms, SHORTEST_STEP_MS)
    rows = [[one.amount_micro, one.per_ms, step, one.amount_micro, from_ms] for one in chain.withdrawal_limits]
    return np.array(rows, np.int64).reshape(-1, LIMIT_WIDTH)


@kernel
def capacity(baseline: int, per: int, left: int, passed: int) -> int:
    """What `left` micro of capacity have become after one step of `passed` ms: by `max(baseline, left − baseline) ×
    passed / per`, rounded down, nearer to the baseline, and never past it.

    Source: dydxprotocol/v4-chain, x/ratelimit/util/capacity.go.
    """
    over = int(left) - int(baseline)
    moved = proportion_down(max(int(baseline), over), min(int(passed), int(per)), per)
    if abs(over) <= moved:
        return int(baseline)
    return int(left) + moved if over < 0 else int(left) - moved


@kernel
def capacity_at(w: World, n: int, now: int) -> int:
    """The capacity of limit `n` at `now`, micro. Steps above twice the baseline are kept."""
    one = w.limits[n]
    baseline, per, step = one[LIMIT_BASELINE], one[LIMIT_PER], one[LIMIT_STEP]
    while one[LIMIT_LEFT] > 2 * baseline and one[LIMIT_AT] + step <= now:
        one[LIMIT_LEFT] = capacity(baseline, per, one[LIMIT_LEFT], step)
        one[LIMIT_AT] += step
    return capacity(baseline, per, one[LIMIT_LEFT], now - one[LIMIT_AT])


@kernel
def may_leave(w: World, now: int) -> int:
    """The least capacity at `now`, micro; `UNLIMITED` where there is no limit."""
    least = UNLIMITED
    for n in range(w.limits.shape[0]):
        least = min(least, capacity_at(w, n, now))
    return least


@kernel
def raise_capacity(w: World, now: int, amount: int) -> None:
    """Add `amount`, signed, to the capacity of every limit at `now`: what was deposited, less what was withdrawn."""
    for n in range(w.limits.shape[0]):
        left = capacity_at(w, n, now)
        w.limits[n, LIMIT_LEFT], w.limits[n, LIMIT_AT] = left + amount, now
