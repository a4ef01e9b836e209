"""How low the account went inside candles (docs/reference/rules.md section 4.1). Report values, in doubles.

A look costs as much as an equity row, so an account is looked at only where a bound does not rule a new low out.
"""

from __future__ import annotations

from backtest.engine.compile import called, inlined, kernel
from backtest.engine.curve import pool_margin
from backtest.engine.layout import (
    BASE,
    CANDLE,
    CASH,
    IN_FLIGHT,
    INTERVAL,
    LOTS,
    MAINTENANCE,
    MAINTENANCE_LESS,
    MARK,
    MARKET,
    NOTED,
    POOL,
    PORTFOLIO,
    RESERVE,
    START,
    STEP,
    TOUCHED,
    WALLET,
)
from backtest.engine.margin import adverse, cross_pool, first_pool, in_pool, pool_span
from backtest.engine.outage import seen
from backtest.engine.path import knot, knot_at, lows_first, next_knot, price_at
from backtest.engine.requirement import tier_need
from backtest.engine.world import World

PEAK, DEEPEST, DEEPEST_MS, NEAREST, NEAREST_MS, LOWEST_WIDTH = range(6)
"""Columns of `World.lowest`: the highest total at the closes so far, micro; the deepest drawdown from it, ≤ 0, and the
smallest distance to liquidation, NOTHING_HELD if so; each with the time of its first look, ms, −1: none."""
NOTHING_HELD = 1e30
"""Farther than any account can be, and finite: times nothing it is nothing."""
MARKET_NOW, VENUE_NOW = range(2)
"""Fields of `World.now`, a panel of one row: the marks at the instant of a look."""
MICRO = 1e6
ROUNDING = 1e-12
"""A drawdown that is deeper by less is none: an account that stands still at its low need not be looked at again."""


@kernel
def outside(w: World) -> float:
    """What belongs to the account beside the venue, micro."""
    return float(w.acct[RESERVE]) + float(w.acct[IN_FLIGHT])


@kernel
def note_peak(w: World, equity: float) -> None:
    """Take the account's total at a close, whose `equity` at the venue is in micro."""
    w.lowest[PEAK] = max(w.lowest[PEAK], equity + outside(w))


@kernel
def note_way(w: World, j: int, lows: bool, ta: int, tb: int, t_ms: int) -> None:
    """Look at the account on the way from `ta` to `tb` of panel row `j`, which opens at `t_ms`; nothing acts on it."""
    if not may_be_lower(w, j):
        return
    look(w, j, lows, ta, t_ms, False)
    d = int(w.run[INTERVAL])
    _, _, _, late, _ = seen(w, j)
    t = ta
    while t < tb:
        t = min((t // d + 1) * d, next_knot(0, t, d, late), tb)
        look(w, j, lows, t, t_ms, True)
        if t < tb and t == late:
            look(w, j, lows, t, t_ms, False)


@inlined
def note_row(w: World, k: int, notes: bool, nearer: bool, bottom: float, total: float) -> None:
    """Look at row `k`, in which nothing happens, if a new low is not ruled out: it may be `nearer` to a liquidation, or
    its total is `bottom` at worst. Its close has the `total`. Not where nothing is to be noted."""
    if notes and (nearer or bottom < (1.0 + w.lowest[DEEPEST] - ROUNDING) * w.lowest[PEAK]):
        j, d = k - w.acct[BASE], int(w.run[INTERVAL])
        note_way(w, j, lows_first(w.panel, j), 0, 3 * d, int(w.run[START]) + k * d)
    if notes:
        w.lowest[PEAK] = max(w.lowest[PEAK], total)
        w.acct[NOTED] = k + 1


@called
def note_ahead(w: World, end: int) -> None:
    """Look at the quiet rows before `end` that were played ahead, and that the account has gone on from since."""
    d, beside = int(w.run[INTERVAL]), outside(w)
    for k in range(w.acct[NOTED], end):
        note_whole(w, k - w.acct[BASE], int(w.run[START]) + k * d)
        w.lowest[PEAK] = max(w.lowest[PEAK], w.curve[k - w.acct[BASE], 0] * MICRO + beside)
    w.acct[NOTED] = max(w.acct[NOTED], end)


@kernel
def note_whole(w: World, j: int, t_ms: int) -> None:
    """Look at the account in panel row `j`, which opens at `t_ms` and in which nothing happens."""
    if may_be_lower(w, j):
        note_way(w, j, lows_first(w.panel, j), 0, 3 * int(w.run[INTERVAL]), t_ms)


@kernel
def may_be_lower(w: World, j: int) -> bool:
    """Whether the account may be lower in panel row `j` than it has been, each position at its worst price there.

    Health above zero is divided by at most the largest notional; below zero the bound says nothing.
    """
    if w.acct[TOUCHED] != 0 or w.run[PORTFOLIO] != 0.0:
        return True
    off, market, cross = int(w.run[MARK]), int(w.run[MARKET]), cross_pool(w.spec)
    nearest = w.lowest[NEAREST]
    total, health, roof = float(w.acct[WALLET]) + outside(w), float(w.acct[WALLET]), 0.0
    for i in range(cross):
        lots = w.book[i, LOTS]
        if lots == 0:
            continue
        u, cash = float(lots) * w.spec[i, STEP], float(w.book[i, CASH])
        total += cash + adverse(w.panel, market, j, i, lots) * u
        worst = adverse(w.panel, off, j, i, lots) * u
        top = abs(adverse(w.panel, off, j, i, -1) * u)
        rest = worst - tier_need(w.spec, i, abs(worst), MAINTENANCE, MAINTENANCE_LESS)
        if w.book[i, POOL] != cross:
            if cash + rest < max(0.0, nearest * top):
                return True
        else:
            health += rest
            roof += top
    return health < max(0.0, nearest * roof) or total < (1.0 + w.lowest[DEEPEST] - ROUNDING) * w.lowest[PEAK]


@kernel
def look(w: World, j: int, lows: bool, t: int, t_ms: int, before: bool) -> None:
    """Compare the account at `t` of panel row `j`, `before` a jump of the venue mark there or behind it, with its
    lowest so far."""
    take_marks(w, j, lows, t, before)
    now = float(t_ms + t // 3)
    total = float(w.acct[WALLET]) + outside(w)
    for i in range(w.spec.shape[0]):
        lots = w.book[i, LOTS]
        if lots != 0:
            total += float(w.book[i, CASH]) + w.now[MARKET_NOW, 0, i] * (float(lots) * w.spec[i, STEP])
    if w.lowest[PEAK] > 0.0 and total / w.lowest[PEAK] - 1.0 < w.lowest[DEEPEST]:
        w.lowest[DEEPEST], w.lowest[DEEPEST_MS] = total / w.lowest[PEAK] - 1.0, now
    for p in range(first_pool(w.run, w.spec), cross_pool(w.spec) + 1):
        gross = 0.0
        first, last = pool_span(w.spec, p)
        for i in range(first, last):
            if in_pool(w.book, p, i):
                gross += abs(w.now[VENUE_NOW, 0, i] * (float(w.book[i, LOTS]) * w.spec[i, STEP]))
        if gross > 0.0:
            equity, _, least = pool_margin(w, w.now, p, 0, VENUE_NOW)
            if (equity - least) / gross < w.lowest[NEAREST]:
                w.lowest[NEAREST], w.lowest[NEAREST_MS] = (equity - least) / gross, now


@kernel
def take_marks(w: World, j: int, lows: bool, t: int, before: bool) -> None:
    """Write the marks of what is held, at `t` of panel row `j`, into `now`."""
    panel, off, row, late, holds = seen(w, j)
    market, d = int(w.run[MARKET]), int(w.run[INTERVAL])
    for i in range(w.spec.shape[0]):
        if w.book[i, LOTS] == 0:
            continue
        w.now[MARKET_NOW, 0, i] = price_at(w.panel, market, j, i, lows, t, d, CANDLE, False)
        if before and t > 0 and t == late:
            w.now[VENUE_NOW, 0, i] = knot(panel, off, row, i, lows, knot_at(t, late, d) - 1, late)
        else:
            w.now[VENUE_NOW, 0, i] = price_at(panel, off, row, i, lows, t, d, late, holds)
