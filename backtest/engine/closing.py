"""Everything at once: a pool closed whole, by the backstop, or bankrupt (docs/reference/rules.md section 7.4)."""

from __future__ import annotations

from backtest.engine.attribution import attribute_relief
from backtest.engine.compile import kernel
from backtest.engine.fund import empty_pool, fund_room, to_fund
from backtest.engine.journal import (
    BACKSTOPPED,
    BY_ADL,
    BY_LIQUIDATION,
    DELEVERAGING,
    SOCIALISED,
    WHOLE,
    put_liquidation,
)
from backtest.engine.layout import (
    FLAGGED,
    FUND_WHEN_BANKRUPT,
    LOTS,
    OWN,
    PENALTY,
    SHORTFALL_RULE,
    VALUE_A,
    VALUE_B,
    VALUE_X,
)
from backtest.engine.margin import cash_of, equity_of, in_pool, maintenance_of, own_of, pool_span, units
from backtest.engine.money import proportion, proportion_down, share
from backtest.engine.settle import add_cash, close_lots
from backtest.engine.world import World
from backtest.venues.terms import Shortfall, Take

# The words of `venues.terms` as the plain numbers that kernels compare.
RULE_BAD_DEBT, RULE_ADL, RULE_SOCIALISED = map(int, Shortfall)
TAKE_POOL, TAKE_POSITION, TAKE_SHARE, TAKE_TIER, TAKE_RAMP = map(int, Take)


@kernel
def weigh(w: World, p: int) -> int:
    """Each position's own maintenance at X into OWN, by which equity is shared; by notional where all are zero.

    Returns their sum.
    """
    total = own_of(w, p, VALUE_X)
    if total > 0:
        return total
    first, last = pool_span(w.spec, p)
    for i in range(first, last):
        if in_pool(w.book, p, i):
            w.book[i, OWN] = abs(w.book[i, VALUE_X])
            total += w.book[i, OWN]
    return total


@kernel
def portion_of(equity: int, weight: int, total: int) -> int:
    """`⌊equity × weight / total⌋`; all weights zero: nothing has a value, and nothing is shared."""
    return proportion_down(equity, weight, total) if total > 0 else 0


@kernel
def bankrupt(w: World, k: int, p: int, ts: int) -> None:
    """Close pool `p` at the values in X, with its equity below zero: by the fund, deleveraging, or others' loss."""
    shortfall = max(0, -equity_of(w, p, VALUE_X))
    pays = w.run[FUND_WHEN_BANKRUPT] != 0.0
    paid = min(shortfall, fund_room(w, ts)) if pays else 0
    rule = int(w.run[SHORTFALL_RULE])
    if paid < shortfall or not pays:
        if rule == RULE_ADL:
            close_all(w, k, p, ts, DELEVERAGING, 0, False)
            return
        if rule == RULE_SOCIALISED:
            close_all(w, k, p, ts, SOCIALISED, paid, False)
            return
    close_all(w, k, p, ts, WHOLE, paid, False)


@kernel
def close_all(w: World, k: int, p: int, ts: int, stage: int, paid: int, fined: bool) -> None:
    """Close every position of pool `p` at the values in X (by `DELEVERAGING`: at their bankruptcy quotes).

    What goes to the fund is taken (the penalty only of one that is `fined`); of what is below zero the fund pays
    `paid`, others the rest.
    """
    first, last = pool_span(w.spec, p)
    equity, need = equity_of(w, p, VALUE_X), maintenance_of(w, p, VALUE_X)
    total = weigh(w, p)
    final = last_held(w, p)
    left = cash_of(w.book, w.acct, p)
    cause = BY_ADL if stage == DELEVERAGING else BY_LIQUIDATION
    for i in range(first, last):
        held = in_pool(w.book, p, i)
        w.book[i, VALUE_A] = w.book[i, LOTS] if held else 0  # the records below still need what was held
        if held:
            v = w.book[i, VALUE_X]
            q = v
            if stage == DELEVERAGING:
                q = -left if i == final else v - portion_of(equity, w.book[i, OWN], total)
            left += q
            w.book[i, VALUE_B] = q
            price = float(q) / float(units(w.spec, i, w.book[i, LOTS]))
            close_lots(w, k, ts, i, -w.book[i, LOTS], q, cause, price)
    journal_closing(w, k, p, ts, stage, paid, fined, equity, need, total, final)
    empty_pool(w, ts, p, final)


@kernel
def journal_closing(
    w: World,
    k: int,
    p: int,
    ts: int,
    stage: int,
    paid: int,
    fined: bool,
    equity: int,
    need: int,
    total: int,
    final: int,
) -> None:
    """What goes to the fund and what others bear, position by position, with a row each."""
    first, last = pool_span(w.spec, p)
    ambiguous = 1 if w.book[p, FLAGGED] == k else 0
    left, at_start = total, equity
    for i in range(first, last):
        lots = w.book[i, VALUE_A]
        if lots == 0:
            continue
        v, q = w.book[i, VALUE_X], w.book[i, VALUE_B]
        penalty = 0
        if fined:
            penalty = min(share(abs(v), w.spec[i, PENALTY]), max(0, cash_of(w.book, w.acct, p)))
        elif stage == BACKSTOPPED and at_start > 0:
            penalty = cash_of(w.book, w.acct, p) if i == final else portion_of(at_start, w.book[i, OWN], total)
        from_fund = paid if i == final else 0
        to_fund(w, p, ts, penalty - from_fund)
        debt = max(0, -cash_of(w.book, w.acct, p)) if i == final else 0
        add_cash(w.book, w.acct, p, debt)
        attribute_relief(w, ts, i, debt + from_fund - penalty)
        equity_after = equity + (q - v) - penalty + from_fund + debt
        left -= w.book[i, OWN]
        need_after = proportion(need, left, total) if total > 0 else 0
        price = float(q) / float(units(w.spec, i, lots))
        put_liquidation(
            w, ts, p, i, stage, -lots, penalty, penalty - from_fund, debt, q - v,
            equity, proportion(need, left + w.book[i, OWN], total) if total > 0 else 0, equity_after, need_after,
            ambiguous, price,
        )  # fmt: skip
        equity = equity_after


@kernel
def last_held(w: World, p: int) -> int:
    """The last symbol in which pool `p` holds a position."""
    first, last = pool_span(w.spec, p)
    for i in range(last - 1, first - 1, -1):
        if in_pool(w.book, p, i):
            return i
    return -1
