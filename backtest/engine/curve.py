"""What an account shows at a close: the equity row, samples of positions and pools. Report values, in doubles."""

from __future__ import annotations

import numpy as np

from backtest.engine.compile import called, kernel
from backtest.engine.journal import put_pool, put_position
from backtest.engine.layout import (
    BETA,
    CASH,
    COST,
    FLOOR,
    IDIO_INITIAL,
    IDIO_MAINTENANCE,
    LOTS,
    MAINTENANCE,
    MAINTENANCE_LESS,
    MARK,
    MARKET,
    POOL,
    PORTFOLIO,
    SCAN_INITIAL,
    SCAN_MAINTENANCE,
    SPEC_TIERS,
    STEP,
    TIER_WIDTH,
    TRADED,
    WALLET,
    Floats,
    Floats3,
)
from backtest.engine.margin import by_net, cash_of, cross_pool, first_pool, holds, in_pool, pool_span
from backtest.engine.requirement import initial_need, tier_need
from backtest.engine.world import World

MICRO = 1e6
HIGHEST = 1000.0
"""Times the mark: a liquidation price above it is none."""
HALVINGS = 60


@kernel
def draw_curve(w: World, row: Floats, j: int, close: int) -> None:
    """The columns of `records.CURVE`, quote units, into `row`, at the marks in panel field `close` of panel row `j`.

    Doubles: a report value. What is decided on equity is decided on whole micros.
    """
    cash = float(w.acct[WALLET])
    value, cost, gross, initial, least = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(w.spec.shape[0]):
        lots = w.book[i, LOTS]
        if lots == 0:
            continue
        cash += float(w.book[i, CASH])
        v = w.panel[close, j, i] * (float(lots) * w.spec[i, STEP])
        n = abs(v)
        value += v
        cost += float(w.book[i, COST])
        gross += n
        initial += initial_need(w.spec, i, n)
        least += tier_need(w.spec, i, n, MAINTENANCE, MAINTENANCE_LESS)
    if w.run[PORTFOLIO] != 0.0:
        initial, least = account_needs(w, j, close)
    row[0] = (cash + value) / MICRO
    row[1] = (cash + cost) / MICRO
    row[2] = (value - cost) / MICRO
    row[3] = initial / MICRO
    row[4] = least / MICRO
    row[5] = gross / MICRO
    row[6] = value / MICRO


@called
def see(w: World, j: int, close: int) -> None:
    """Draw the curve's row of panel row `j` for a strategy to see."""
    draw_curve(w, w.seen, j, close)


@kernel
def account_needs(w: World, j: int, close: int) -> tuple[float, float]:
    """Initial and maintenance margin of all pools, micro in doubles, where they are not sums over positions."""
    initial, least = 0.0, 0.0
    for p in range(first_pool(w.run, w.spec), cross_pool(w.spec) + 1):
        if holds(w, p):
            _, asked, need = pool_margin(w, w.panel, p, j, close)
            initial += asked
            least += need
    return initial, least


@kernel
def pool_margin(w: World, panel: Floats3, p: int, j: int, close: int) -> tuple[float, float, float]:
    """`(equity, initial, maintenance)` of pool `p` at the marks in field `close` of row `j` of `panel`, micro in
    doubles."""
    first, last = pool_span(w.spec, p)
    equity, initial, least = float(cash_of(w.book, w.acct, p)), 0.0, 0.0
    net, idio_initial, idio_least = 0.0, 0.0, 0.0
    for i in range(first, last):
        if in_pool(w.book, p, i):
            v = panel[close, j, i] * (float(w.book[i, LOTS]) * w.spec[i, STEP])
            equity += v
            n = abs(v)
            initial += initial_need(w.spec, i, n)
            least += tier_need(w.spec, i, n, MAINTENANCE, MAINTENANCE_LESS)
            net += v * w.spec[i, BETA]
            idio_initial += n * w.spec[i, IDIO_INITIAL]
            idio_least += n * w.spec[i, IDIO_MAINTENANCE]
    if by_net(w.run, w.spec, p):
        initial = max(w.run[FLOOR] * initial, w.run[SCAN_INITIAL] * abs(net) + idio_initial)
        least = max(w.run[FLOOR] * least, w.run[SCAN_MAINTENANCE] * abs(net) + idio_least)
    return equity, initial, least


@kernel
def liquidation_price(w: World, i: int, j: int, close: int, equity: float, least: float) -> float:
    """Mark price of `i` at which its pool would meet maintenance, all other marks frozen; NaN if there is none.

    `equity` and `least`: the pool's equity and maintenance margin at the marks in panel field `close`.

    Per tier health is a line in the price, `rest + u·price − (rate·|u|·price − deduction)`; health is the lowest of
    them, so the level is the highest zero of a long's lines and the lowest of a short's.
    """
    lots = w.book[i, LOTS]
    if lots == 0:
        return np.nan
    if by_net(w.run, w.spec, w.book[i, POOL]):
        return level_by_net(w, i, j, close)
    u = float(lots) * w.spec[i, STEP]
    v = w.panel[close, j, i] * u
    rest = equity - v - (least - tier_need(w.spec, i, abs(v), MAINTENANCE, MAINTENANCE_LESS))
    best = np.nan
    for at in range(SPEC_TIERS, w.spec.shape[1], TIER_WIDTH):
        slope = u - w.spec[i, at + MAINTENANCE] * abs(u)
        price = -(rest + w.spec[i, at + MAINTENANCE_LESS]) / slope
        if np.isnan(best) or (price > best if lots > 0 else price < best):
            best = price
    return best if best > 0.0 else np.nan


@called
def level_now(w: World, i: int, j: int, close: int) -> float:
    """`liquidation_price` by the pool's own figures at the marks in panel field `close` of panel row `j`."""
    equity, _, least = pool_margin(w, w.panel, w.book[i, POOL], j, close)
    return liquidation_price(w, i, j, close, equity, least)


@kernel
def level_by_net(w: World, i: int, j: int, close: int) -> float:
    """`liquidation_price` where the requirement goes by the net: health is concave in the price, so between a healthy
    mark and an unhealthy extreme on the position's losing side there is one zero, found by halving."""
    # A panel of one field and row of its own: accounts in other threads read the same prices.
    marks = w.panel[close : close + 1, j : j + 1].copy()
    alive = marks[0, 0, i]
    dead = 0.0 if w.book[i, LOTS] > 0 else HIGHEST * alive
    if health_with(w, i, marks, alive) < 0.0 or health_with(w, i, marks, dead) >= 0.0:
        return np.nan
    for _ in range(HALVINGS):
        middle = (alive + dead) / 2.0
        if health_with(w, i, marks, middle) < 0.0:
            dead = middle
        else:
            alive = middle
    return alive


@kernel
def health_with(w: World, i: int, marks: Floats3, price: float) -> float:
    """Health of the pool of `i` at `marks`, [1, 1, symbol], with its own mark at `price`."""
    marks[0, 0, i] = price
    equity, _, least = pool_margin(w, marks, w.book[i, POOL], 0, 0)
    return equity - least


@kernel
def traded(w: World, p: int, k: int) -> bool:
    """Whether pool `p` had a fill in row `k`."""
    first, last = pool_span(w.spec, p)
    for i in range(first, last):
        if w.book[i, TRADED] == k:
            return True
    return False


@kernel
def sample(w: World, k: int, j: int, t_end: int, everything: bool) -> None:
    """Journal every position and every pool that holds one; or only what row `k` traded."""
    close, market = int(w.run[MARK]) + 3, int(w.run[MARKET]) + 3
    for p in range(first_pool(w.run, w.spec), cross_pool(w.spec) + 1):
        if not holds(w, p) or not (everything or traded(w, p, k)):
            continue
        equity, initial, least = pool_margin(w, w.panel, p, j, close)
        put_pool(w, t_end, p, equity / MICRO, initial / MICRO, least / MICRO)
        first, last = pool_span(w.spec, p)
        for i in range(first, last):
            if in_pool(w.book, p, i) and (everything or w.book[i, TRADED] == k):
                level = liquidation_price(w, i, j, close, equity, least)
                put_position(w, t_end, i, w.book[i, LOTS], w.book[i, COST], w.panel[market, j, i], level)
