"""Bounds in doubles that spare the exact sums: what is surely so is never asked to the micro.

A value and a requirement are rounded by less than a micro each, and sums of doubles err by far less than 1e-12 of the
gross value; each bound leaves room for both, so that taking it never changes a result.
"""

from __future__ import annotations

from backtest.engine.compile import kernel
from backtest.engine.layout import (
    BASE,
    BETA,
    CASH,
    FLOOR,
    IDIO_MAINTENANCE,
    INTERVAL,
    LOGGED,
    LOTS,
    MAINTENANCE,
    MAINTENANCE_LESS,
    MARK,
    POOL,
    PORTFOLIO,
    SCAN_MAINTENANCE,
    SOUND,
    SOUND_AT,
    SOUND_SINCE,
    STEP,
    TOUCHED,
    WALLET,
)
from backtest.engine.margin import adverse, cross_pool, in_pool
from backtest.engine.outage import seen
from backtest.engine.path import price_at
from backtest.engine.requirement import initial_need, tier_need
from backtest.engine.world import World


@kernel
def surely_healthy(w: World, j: int) -> bool:
    """Whether no pool can be liquidated in row `j`, whatever happens inside it but an order."""
    return spare(w, j) != 0


@kernel
def spare(w: World, j: int) -> int:
    """`bound_health`, asked once: what changes cash or lots is in the journal, so until it grows the answer holds."""
    row = w.acct[BASE] + j
    if w.acct[SOUND_AT] != row or w.acct[SOUND_SINCE] != w.acct[LOGGED]:
        w.acct[SOUND] = bound_health(w, j)
        w.acct[SOUND_AT], w.acct[SOUND_SINCE] = row, w.acct[LOGGED]
    return int(w.acct[SOUND])


@kernel
def bound_health(w: World, j: int) -> int:
    """By how many micro at least the cross pool's equity is above its maintenance margin with each leg at its worst
    price of row `j`; 1 where it is not known by how much; 0 where some pool may not be healthy."""
    if w.acct[TOUCHED] != 0:
        return 0  # the mark may stand still, or have stood
    off, cross = int(w.run[MARK]), w.spec.shape[0]
    health, slack, crossed = float(w.acct[WALLET]), 4.0, False
    for i in range(cross):
        lots = w.book[i, LOTS]
        if lots == 0:
            continue
        value = adverse(w.panel, off, j, i, lots) * (float(lots) * w.spec[i, STEP])
        notional = abs(value)
        need = tier_need(w.spec, i, notional, MAINTENANCE, MAINTENANCE_LESS)
        if w.book[i, POOL] != cross:
            if not float(w.book[i, CASH]) + value - need > 4.0 + 1e-12 * notional:
                return 0
        else:
            crossed = True
            health += value - need
            slack += 4.0 + 1e-12 * notional
    if crossed and w.run[PORTFOLIO] != 0.0:
        return 1 if net_surely_covered(w, j) else 0
    return max(1, int(health - slack)) if health > slack or not crossed else 0


@kernel
def net_surely_covered(w: World, j: int) -> bool:
    """`bound_health` for a cross pool whose requirement goes by the net.

    The net is largest where all legs stand at one end of their candles, whichever that is, and the rest where each
    is at its largest notional; equity is lowest where each is at its worst.
    """
    off, cross = int(w.run[MARK]), w.spec.shape[0]
    equity, own, rest, low, high, slack = float(w.acct[WALLET]), 0.0, 0.0, 0.0, 0.0, 8.0
    for i in range(cross):
        if not in_pool(w.book, cross, i):
            continue
        u = float(w.book[i, LOTS]) * w.spec[i, STEP]
        worst = adverse(w.panel, off, j, i, w.book[i, LOTS]) * u
        best = adverse(w.panel, off, j, i, -w.book[i, LOTS]) * u
        n = max(abs(worst), abs(best))
        equity += worst
        own += tier_need(w.spec, i, n, MAINTENANCE, MAINTENANCE_LESS)
        rest += n * w.spec[i, IDIO_MAINTENANCE]
        low += min(worst * w.spec[i, BETA], best * w.spec[i, BETA])
        high += max(worst * w.spec[i, BETA], best * w.spec[i, BETA])
        slack += 8.0 + 1e-12 * n
    need = max(w.run[FLOOR] * own, w.run[SCAN_MAINTENANCE] * max(abs(low), abs(high)) + rest)
    return equity - need > slack


@kernel
def surely_above(w: World, j: int, lows: bool, t: int, amount: float, free: bool) -> bool:
    """Whether the cross pool's equity at `t` of panel row `j`, or what its initial margin leaves `free` of it, is above
    `amount` by more than rounding: of a value at two knots and between them, and of a requirement."""
    panel, off, row, late, holds = seen(w, j)
    spec, d, cross = w.spec, int(w.run[INTERVAL]), cross_pool(w.spec)
    worth, slack = float(w.acct[WALLET]), 4.0
    for i in range(cross):
        if in_pool(w.book, cross, i):
            price = panel[off, row, i] if t == 0 else price_at(panel, off, row, i, lows, t, d, late, holds)
            v = price * (float(w.book[i, LOTS]) * spec[i, STEP])
            n = abs(v)
            worth += v - initial_need(spec, i, n) if free else v
            slack += 4.0 + 1e-12 * n
    return worth - slack > amount
