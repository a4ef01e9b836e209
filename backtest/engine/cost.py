"""What a taker pays beside the price, and how much of it the band allows (rules-orders.md 7, costs.md)."""

from __future__ import annotations

import math

import numpy as np

from backtest.engine.compile import inlined, kernel
from backtest.engine.layout import (
    BAR_MS,
    BY_DEPTH,
    BY_POWER,
    BY_VOLUME,
    CANDLE,
    DRIFT,
    HALF_SPREAD,
    IMPACT,
    IMPACT_EXPONENT,
    IMPACT_FACTOR,
    INTERVAL,
    LEFT,
    LIMIT_AT,
    NO_IMPACT,
    PRICE_BAND,
    SIGMA,
    SLIPPAGE,
    START,
    STRESS,
    SYMBOL,
    TURNOVER,
    TYPE,
    VOLUME,
    Floats,
    Floats3,
)
from backtest.engine.levels import has_limit
from backtest.engine.margin import units
from backtest.engine.money import money, share
from backtest.engine.path import value_at
from backtest.engine.world import World

MOST_RATE = 1.0
"""No part of the costs is more than the price itself: a candle with hardly any volume asks for any number."""


@inlined
def flat_inside(run: Floats, bars: Floats3, spec: Floats, i: int) -> bool:
    """Whether a taker of symbol `i` pays one rate, whatever the size and time, and that is inside the price band."""
    return run[IMPACT] == NO_IMPACT and bars.shape[0] == 0 and run[STRESS] * run[SLIPPAGE] <= spec[i, PRICE_BAND]


@kernel
def within_band(
    w: World, j: int, lows: bool, t: int, at: int, lots: int, level: float, now: int
) -> tuple[int, int, int]:
    """`(lots, have, need)`: how many of `lots` > 0 the order may take without leaving the price band; and, where that
    is not all, what all of it would cost beside the price and what the band allows, micro.

    `level`: the price where it is not the trade path's at `t`, else NaN.
    """
    m = w.queue[at]
    if flat_inside(w.run, w.bars, w.spec, int(m[SYMBOL])):
        return lots, 0, 0
    have, need = cost_and_band(w, j, lows, t, at, lots, level, now)
    if have <= need:
        return lots, 0, 0
    least, most = 0, lots
    while most - least > 1:
        middle = (least + most) // 2
        cost, allowed = cost_and_band(w, j, lows, t, at, middle, level, now)
        if cost <= allowed:
            least = middle
        else:
            most = middle
    return least, have, need


@kernel
def cost_and_band(w: World, j: int, lows: bool, t: int, at: int, lots: int, level: float, now: int) -> tuple[int, int]:
    """What taking `lots` > 0 costs beside the price, and the most that the price band allows, micro."""
    m = w.queue[at]
    i = int(m[SYMBOL])
    u = units(w.spec, i, lots)
    d = int(w.run[INTERVAL])
    base = value_at(w.panel, 0, j, i, lows, t, d, u, CANDLE, False) if np.isnan(level) else money(level, u)
    signed = lots if m[LEFT] > 0.0 else -lots
    _, spread, impact, drift = slippage(w, j, at, signed, u, base, 0.0, now)
    return spread + impact + drift, share(base, w.spec[i, PRICE_BAND])


@kernel
def slippage(
    w: World, j: int, at: int, lots: int, u: int, base: int, arrival: float, now: int
) -> tuple[float, int, int, int]:
    """`(price, spread, impact, drift)` of a taker: the price with them, and each in micro ≥ 0; `lots` signed.

    A sale receives at least nothing, and a limit order pays at most its limit: what is too much is taken off the last.
    """
    m = w.queue[at]
    i = int(m[SYMBOL])
    near, far, adverse = w.run[STRESS] * w.run[SLIPPAGE], 0.0, 0.0
    if w.run[IMPACT] != NO_IMPACT or w.bars.shape[0] > 0:
        volume = w.panel[int(w.run[VOLUME]), j, i] if w.run[VOLUME] >= 0.0 else np.nan
        near, far, adverse = taker_rates(w, i, float(u) / 1e6, float(base) / 1e6, volume, now)
        near, far, adverse = min(near, MOST_RATE), min(far, MOST_RATE), min(adverse, MOST_RATE)
    spread, impact, drift = share(base, near), share(base, far), share(base, adverse)
    rate = near + far + adverse
    price = arrival
    if rate != 0.0:
        price = arrival * (1.0 + rate) if lots > 0 else arrival * (1.0 - rate)
    most = spread + impact + drift
    if lots < 0:
        most = min(most, base)
    if has_limit(int(m[TYPE])):
        bound = money(m[LIMIT_AT], u)
        most = min(most, max(0, bound - base if lots > 0 else base - bound))
    if most < spread + impact + drift:
        price = float(base + most if lots > 0 else base - most) / float(u)
        spread = min(spread, most)
        impact = min(impact, most - spread)
        drift = most - spread - impact
    return price, spread, impact, drift


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
    snapshot) costs nothing; `runner.fill_costs` counts such fills.
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
