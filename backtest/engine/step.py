"""One step of a liquidation: which position, how much of it, at what price, and what the fund gets (rules.md 7.3)."""

from __future__ import annotations

import numpy as np

from backtest.core.errors import Broken
from backtest.engine.attribution import attribute_relief
from backtest.engine.closing import RULE_ADL, TAKE_POSITION, TAKE_SHARE, TAKE_TIER, portion_of, weigh
from backtest.engine.compile import kernel
from backtest.engine.fund import empty_pool, fund_room, to_fund
from backtest.engine.journal import BY_ADL, BY_LIQUIDATION, DELEVERAGING, ONE_POSITION, PARTIAL, put_liquidation
from backtest.engine.layout import (
    ABOVE,
    ADJUSTMENT,
    BETA,
    BOUNDED,
    BUFFER,
    CANDLE,
    CAP,
    COOLDOWN,
    COST,
    DISCOUNT_MAX,
    DISCOUNT_PER_S,
    DISCOUNT_START,
    FLAGGED,
    FUND_WHEN_BANKRUPT,
    INTERVAL,
    LAW_SLIPPAGE,
    LIQUIDATOR_FEE,
    LOGGED,
    LOTS,
    MINIMUM,
    OWN,
    PATH,
    PENALTY,
    PORTION,
    PRICE,
    RAMP_MS,
    RAMP_START,
    RANKING,
    REFUSED,
    SHORTFALL_RULE,
    SINCE,
    SMALL,
    SPEC_TIERS,
    SPREAD,
    STEPPED,
    STEPS,
    TAKE,
    THEN_WHOLE,
    TIER_WIDTH,
    UPTO,
    VALUE_X,
)
from backtest.engine.margin import (
    by_net,
    equity_of,
    in_pool,
    maintenance_of,
    net_of,
    pool_span,
    units,
)
from backtest.engine.money import proportion, proportion_down, proportion_up, share
from backtest.engine.outage import seen
from backtest.engine.path import check_value, value_at
from backtest.engine.settle import add_cash, close_lots
from backtest.engine.world import World
from backtest.venues.terms import Price, Ranking

BY_SYMBOL, BY_SIZE, BY_LOSS, BY_MAINTENANCE = map(int, Ranking)
AT_MARK, AT_BOOK, AT_FILLABLE, AT_BANKRUPTCY, AT_ORACLE, AT_AUCTION = map(int, Price)


@kernel
def rank(w: World, i: int) -> int:
    """The larger, the sooner a step takes position `i`."""
    ranking = int(w.run[RANKING])
    if ranking == BY_SIZE:
        return abs(w.book[i, VALUE_X])
    if ranking == BY_LOSS:
        return w.book[i, COST] - w.book[i, VALUE_X]
    if ranking == BY_MAINTENANCE:
        return w.book[i, OWN]
    return -i


@kernel
def pick(w: World, p: int) -> int:
    """The position that a step takes next, or −1: all that may be taken were refused."""
    first, last = pool_span(w.spec, p)
    netted = by_net(w.run, w.spec, p)
    net = net_of(w, p, VALUE_X) if netted else 0
    best = -1
    for i in range(first, last):
        if not in_pool(w.book, p, i) or w.book[i, REFUSED] != 0 or (netted and lots_of_net(w, i, net) == 0):
            continue
        if best < 0 or rank(w, i) > rank(w, best):
            best = i
    return best


@kernel
def lots_of_net(w: World, i: int, net: int) -> int:
    """Most lots of position `i` that can be closed without the pool's net passing zero: closing more, or what stands on
    the other side, would add risk."""
    moved = share(w.book[i, VALUE_X], w.spec[i, BETA])
    if (moved > 0) != (net > 0) or moved == 0 or net == 0:
        return 0
    held = abs(w.book[i, LOTS])
    return held if abs(moved) <= abs(net) else proportion_down(held, abs(net), abs(moved))


@kernel
def can_step(w: World, p: int) -> bool:
    """Whether a step makes pool `p` safer: always, but in portfolio margin only while something stands for its net."""
    if not by_net(w.run, w.spec, p):
        return True
    first, last = pool_span(w.spec, p)
    net = net_of(w, p, VALUE_X)
    for i in range(first, last):
        if in_pool(w.book, p, i) and lots_of_net(w, i, net) > 0:
            return True
    return False


@kernel
def lots_of(held: int, wanted: int, n: int) -> int:
    """Lots, of `held`, worth `wanted` of the notional `n`, rounded up; at least one, at most all."""
    if wanted >= n:
        return held
    return max(1, proportion_up(held, wanted, n))


@kernel
def lots_of_share(w: World, p: int, held: int, n: int, t_abs: int) -> int:
    """What a step by share takes of `held` lots of notional `n`; within the cap, so rounded down."""
    again = w.book[p, STEPS] > 0 or t_abs - w.book[p, STEPPED] <= 3 * int(w.run[COOLDOWN])
    if n <= int(w.run[ABOVE]) or (w.run[THEN_WHOLE] != 0.0 and again):
        return held
    wanted = max(min(int(w.run[MINIMUM]), n), share(n, w.run[PORTION]))
    if float(wanted) > w.run[CAP]:
        wanted = int(w.run[CAP])
    if wanted >= n:
        return held
    return max(1, held - proportion_up(held, n - wanted, n))


@kernel
def lots_of_tier(w: World, i: int, held: int, n: int) -> int:
    """What lies above the lower edge of the tier that the notional `n` of `i` is in."""
    edge = 0
    for at in range(SPEC_TIERS, w.spec.shape[1] - TIER_WIDTH, TIER_WIDTH):
        if w.spec[i, at + UPTO] < float(n):
            edge = int(w.spec[i, at + UPTO])
    return held if edge == 0 else lots_of(held, n - edge, n)


@kernel
def lots_of_ramp(w: World, p: int, i: int, held: int, n: int, t_abs: int, equity: int, need: int, own: int) -> int:
    """What covers the share of the shortage that has been reached by now; `own` the position's own maintenance."""
    shortage = need + share(need, w.run[BUFFER]) - equity
    reached = 1.0
    if shortage >= int(w.run[SMALL]):
        reached = min(1.0, w.run[RAMP_START] + float(t_abs - w.book[p, SINCE]) / (3.0 * w.run[RAMP_MS]))
    free = float(own) / float(n) - w.run[LIQUIDATOR_FEE] - w.spec[i, PENALTY]
    if free <= 0.0:
        return held
    wanted = np.rint(float(share(shortage, reached)) / free)
    return held if wanted >= float(n) else lots_of(held, max(0, int(wanted)), n)


@kernel
def lots_to_close(w: World, p: int, i: int, t_abs: int, equity: int, need: int) -> int:
    """How many lots of position `i` a step closes, by the venue's rule."""
    held, n = abs(w.book[i, LOTS]), abs(w.book[i, VALUE_X])
    take = int(w.run[TAKE])
    if n == 0 or take == TAKE_POSITION:
        return held
    if take == TAKE_SHARE:
        return lots_of_share(w, p, held, n, t_abs)
    if take == TAKE_TIER:
        return lots_of_tier(w, i, held, n)
    return lots_of_ramp(w, p, i, held, n, t_abs, equity, need, w.book[i, OWN])


@kernel
def book_value(w: World, j: int, i: int, lows: bool, t: int, lots: int, marked: int) -> int:
    """Signed cash for closing `lots` on the trade path at `t` less slippage; in a gap on the mark."""
    b = marked
    if not np.isnan(w.panel[0, j, i]):
        b = value_at(w.panel, 0, j, i, lows, t, int(w.run[INTERVAL]), units(w.spec, i, lots), CANDLE, False)
    return b - share(abs(b), w.run[LAW_SLIPPAGE])


@kernel
def is_fillable(w: World, j: int, i: int, lows: bool, t: int, equity: int, need: int) -> bool:
    """Whether the book at `t` meets the limit price of a liquidation order for position `i`.

    Prices are compared, not amounts: of the whole position, and with the mark of `t` itself, because the values in X of
    a crossing are exact where `t` is a whole third of a millisecond.
    """
    panel, off, row, late, holds = seen(w, j)
    lots = w.book[i, LOTS]
    u = units(w.spec, i, lots)
    path, d = int(w.run[PATH]), int(w.run[INTERVAL])
    marked = check_value(panel, path, off, row, i, lows, t, d, u, late, holds, False)
    ratio = float(equity) / float(need) if need > 0 else 0.0
    spread = min(1.0, max(0.0, w.run[ADJUSTMENT] * (1.0 - ratio))) * w.run[SPREAD]
    return book_value(w, j, i, lows, t, lots, marked) >= marked - share(w.book[i, OWN], spread)


@kernel
def quote_of(w: World, p: int, j: int, i: int, lows: bool, t: int, t_abs: int, lots: int, marked: int) -> int:
    """Signed cash for closing signed `lots` worth `marked`, by the venue's price."""
    price = int(w.run[PRICE])
    if price in (AT_BOOK, AT_FILLABLE):
        return book_value(w, j, i, lows, t, lots, marked)
    if price == AT_ORACLE:
        return marked - share(abs(marked), w.run[LIQUIDATOR_FEE])
    if price == AT_AUCTION:
        waited = float(t_abs - w.book[p, SINCE]) / 3000.0
        discount = min(w.run[DISCOUNT_MAX], w.run[DISCOUNT_START] + w.run[DISCOUNT_PER_S] * waited)
        return marked - share(abs(marked), discount)
    return marked


@kernel
def due_to_fund(w: World, i: int, q: int, bankruptcy: int, equity_then: int) -> int:
    """What of a fill at `q` goes to the fund; negative: what it has to pay."""
    if int(w.run[PRICE]) == AT_BANKRUPTCY:
        return q - bankruptcy
    penalty = share(abs(q), w.spec[i, PENALTY])
    if w.run[BOUNDED] != 0.0:
        return min(q - bankruptcy, penalty)
    return min(penalty, max(0, equity_then))


@kernel
def take_step(w: World, k: int, j: int, lows: bool, t: int, t_abs: int, p: int) -> bool:
    """Take one step in pool `p` at the values in X; False where nothing could be filled."""
    equity, need = equity_of(w, p, VALUE_X), maintenance_of(w, p, VALUE_X)
    total = weigh(w, p)
    room = w.log.shape[0] - w.acct[LOGGED] - 16 * w.spec.shape[0]
    if not room > 0:
        raise Broken("a liquidation takes more steps in one candle than its rules bound")
    while True:
        i = pick(w, p)
        if i < 0:
            return False
        if fill_step(w, k, j, lows, t, t_abs, p, i, equity, need, total):
            w.book[p, STEPS] += 1
            w.book[p, STEPPED] = t_abs
            return True
        w.book[i, REFUSED] = 1


@kernel
def fill_step(
    w: World, k: int, j: int, lows: bool, t: int, t_abs: int, p: int, i: int, equity: int, need: int, total: int
) -> bool:
    """Close what a step takes of position `i`, pay the fund or be paid; False where it is refused."""
    if int(w.run[PRICE]) == AT_FILLABLE and not is_fillable(w, j, i, lows, t, equity, need):
        return False
    held, v, own, ts = w.book[i, LOTS], w.book[i, VALUE_X], w.book[i, OWN], t_abs // 3
    closed = lots_to_close(w, p, i, t_abs, equity, need)
    if by_net(w.run, w.spec, p):
        closed = min(closed, lots_of_net(w, i, net_of(w, p, VALUE_X)))
    lots = closed if held > 0 else -closed
    marked, share_of_own = proportion(v, closed, abs(held)), proportion(own, closed, abs(held))
    q = quote_of(w, p, j, i, lows, t, t_abs, lots, marked)
    bankruptcy = marked - portion_of(equity, share_of_own, total)
    insured = due_to_fund(w, i, q, bankruptcy, equity + q - marked)
    stage, debt, cost_to_others = PARTIAL if closed < abs(held) else ONE_POSITION, 0, 0
    room = fund_room(w, ts)
    if insured < 0 and -insured > room:
        if w.run[FUND_WHEN_BANKRUPT] == 0.0:
            return False
        if int(w.run[SHORTFALL_RULE]) == RULE_ADL:
            stage, cost_to_others = DELEVERAGING, bankruptcy - q
            q, insured = bankruptcy, 0
        else:
            debt = -insured - room
            insured = -room
    price = float(q) / float(units(w.spec, i, lots))
    cause = BY_ADL if stage == DELEVERAGING else BY_LIQUIDATION
    close_lots(w, k, ts, i, -lots, q, cause, price)
    to_fund(w, p, ts, insured)
    add_cash(w.book, w.acct, p, debt)
    attribute_relief(w, ts, i, debt - insured)
    w.book[i, VALUE_X] = v - marked
    put_liquidation(
        w, ts, p, i, stage, -lots, max(0, insured), insured, debt, cost_to_others, equity, need,
        equity_of(w, p, VALUE_X), maintenance_of(w, p, VALUE_X), 1 if w.book[p, FLAGGED] == k else 0, price,
    )  # fmt: skip
    empty_pool(w, ts, p, i)
    return True
