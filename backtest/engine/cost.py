"""What a taker pays beside the price: rates of spread, impact and drift (docs/rules-orders.md 7, docs/costs.md)."""

from __future__ import annotations

import math

import numpy as np

from backtest.engine.compile import kernel
from backtest.engine.layout import (
    BAR_MS,
    BY_DEPTH,
    BY_POWER,
    BY_VOLUME,
    DRIFT,
    HALF_SPREAD,
    IMPACT,
    IMPACT_EXPONENT,
    IMPACT_FACTOR,
    SIGMA,
    SLIPPAGE,
    START,
    STRESS,
    TURNOVER,
    Floats,
)
from backtest.engine.world import World


@kernel
def taker_rates(
    w: World,
    i: int,
    base: float,
    notional: float,
    volume: float,
    ts_ms: int,
) -> tuple[float, float, float]:
    """Rates of spread, impact and drift of a fill of symbol `i`: `base` units, worth `notional` in quote.

    `volume` is that of the candle, base units, NaN: not known. What a model lacks (no history yet, no volume, no
    snapshot) costs nothing; `research.charges` counts such fills.
    """
    half, sigma, turnover = 0.0, np.nan, np.nan
    bars = len(w.bars)
    if bars:
        b = min(max(0, (ts_ms - int(w.run[START])) // BAR_MS), bars - 1)
        sigma, turnover = w.bars[b, i, SIGMA], w.bars[b, i, TURNOVER]
        estimate = w.bars[b, i, HALF_SPREAD]
        half = 0.0 if np.isnan(estimate) else estimate
    spread = w.run[STRESS] * (w.run[SLIPPAGE] + half)
    model = 0.0
    if w.run[IMPACT] == BY_POWER:
        if sigma > 0 and turnover > 0:
            model = w.run[IMPACT_FACTOR] * sigma * math.pow(notional / turnover, w.run[IMPACT_EXPONENT])
    elif w.run[IMPACT] == BY_VOLUME:
        if volume > 0:
            share = base / volume
            model = w.run[IMPACT_FACTOR] * (share * share)
    elif w.run[IMPACT] == BY_DEPTH:
        model = walk(w.depth[i], notional, float(ts_ms))
    drift = 0.0 if np.isnan(sigma) else w.run[DRIFT] * sigma
    return spread, w.run[STRESS] * model, drift


@kernel
def walk(snapshots: Floats, notional: float, ts_ms: float) -> float:
    """Average rate of walking the latest snapshot at or before `ts_ms`, 0 before the first; `slippage.depth_walk`.

    A row is a stamp, then pairs of distance and quote within it; NaN where a snapshot has fewer of them than another.
    """
    first, past = 0, len(snapshots)  # the first that is later
    while first < past:
        middle = (first + past) // 2
        if snapshots[middle, 0] <= ts_ms:
            first = middle + 1
        else:
            past = middle
    if first == 0 or not notional > 0:
        return 0.0
    levels = snapshots[first - 1]
    last = len(levels) - 2
    while np.isnan(levels[last]):
        last -= 2
    near, within, left, cost = 0.0, 0.0, notional, 0.0
    for at in range(1, last + 1, 2):
        distance, quote = levels[at], levels[at + 1]
        band = quote - within
        if band > 0:
            taken = left if quote >= levels[last + 1] else min(left, band)
            cost += taken * (near + (distance - near) * taken / band / 2)
            left -= taken
            if left <= 0:
                break
        near, within = distance, quote
    return cost / notional
