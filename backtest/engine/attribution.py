"""What of an event of a shared account each strategy bears (rules-shared-margin.md section 1).

Amounts are divided by running sums: a strategy gets what those up to it get together, less what those before it do.
So the parts make the whole to the micro, whatever is rounded.
"""

from __future__ import annotations

from backtest.core.errors import Broken
from backtest.engine.compile import kernel
from backtest.engine.ends import drop_exits
from backtest.engine.journal import (
    SHARE_OF_CLOSING,
    SHARE_OF_FILL,
    SHARE_OF_RELIEF,
    SHARE_OF_SETTLEMENT,
    put_share,
)
from backtest.engine.money import money, proportion, proportion_down
from backtest.engine.slots import first_of
from backtest.engine.virtual import (
    V_CASH,
    V_COST,
    V_ENTERED,
    V_LOTS,
    V_TAKEN,
    place_of,
    shared,
)
from backtest.engine.world import World

THE_VENUE, NOBODY = -1, -2
"""Who trades, where it is no strategy: the venue; none, since what each has of it is said elsewhere."""


@kernel
def exchange(held: int, cost: int, lots: int, quote: int) -> tuple[int, int]:
    """`(cost after, profit realised)` of trading signed `lots` for signed cash `quote` on a position of `held` lots at
    average cost."""
    if held != 0 and (held > 0) != (lots > 0):
        closing = min(abs(held), abs(lots))
        released = proportion(cost, closing, abs(held))
        closing_quote = proportion(quote, closing, abs(lots))
        return cost - released - (quote - closing_quote), closing_quote - released
    return cost - quote, 0


@kernel
def take_share(w: World, ts: int, s: int, i: int, kind: int, order: int, lots: int, quote: int, fee: int) -> None:
    """Let strategy `s` have traded signed `lots` for `quote`; its orders that could only reduce what is gone end."""
    row = w.virtual[place_of(w, s, i)]
    held = int(row[V_LOTS])
    cost, realized = exchange(held, int(row[V_COST]), lots, quote)
    after = held + lots
    row[V_LOTS], row[V_COST] = after, cost
    row[V_CASH] += quote - fee
    row[V_TAKEN] = abs(lots)
    if held == 0 or (held > 0) != (after > 0):
        row[V_ENTERED] = ts
    put_share(w, ts, s, i, kind, order, lots, quote, fee, realized)
    if held != 0 and first_of(w.book, i) >= 0 and (after == 0 or (held > 0) != (after > 0)):
        drop_exits(w, i, ts, order, s)


@kernel
def attribute_trade(w: World, ts: int, i: int, order: int, lots: int, quote: int, fee: int, owner: int) -> None:
    """Give a trade of the account to the strategy whose order it is; one of the venue to those on its side."""
    if owner == NOBODY:
        return
    for s in range(w.margin_limits.shape[0]):
        w.virtual[place_of(w, s, i), V_TAKEN] = 0
    if owner != THE_VENUE:
        take_share(w, ts, owner, i, SHARE_OF_FILL, order, lots, quote, fee)
        return
    size, total = abs(lots), 0
    for s in range(w.margin_limits.shape[0]):
        total += on_side(w, s, i, lots)
    if not total >= size:
        raise Broken("the venue closes more than all strategies hold on that side")
    reached, done, paid = 0, 0, 0
    for s in range(w.margin_limits.shape[0]):
        reached += on_side(w, s, i, lots)
        closed, quoted = proportion_down(size, reached, total), 0
        if closed > done:
            quoted = proportion(quote, closed, size)
            part = closed - done
            take_share(w, ts, s, i, SHARE_OF_CLOSING, order, part if lots > 0 else -part, quoted - paid, 0)
            done, paid = closed, quoted


@kernel
def on_side(w: World, s: int, i: int, lots: int) -> int:
    """Size of the virtual position of `s` if signed `lots` would close it, else 0."""
    held = int(w.virtual[place_of(w, s, i), V_LOTS])
    return abs(held) if held != 0 and (held > 0) != (lots > 0) else 0


@kernel
def settle_shares(w: World, ts: int, i: int, price: float, step: int) -> None:
    """Close every virtual position in `i`, whose life is over, at `price`."""
    reached, paid = 0, 0
    for s in range(w.margin_limits.shape[0]):
        held = int(w.virtual[place_of(w, s, i), V_LOTS])
        w.virtual[place_of(w, s, i), V_TAKEN] = 0
        if held != 0:
            reached += held
            quote = money(price, reached * step)
            take_share(w, ts, s, i, SHARE_OF_SETTLEMENT, -1, -held, quote - paid, 0)
            paid = quote


@kernel
def attribute_relief(w: World, ts: int, i: int, amount: int) -> None:
    """Give what the fund or others have paid into the account (negative: it paid) for the last trade of `i` to those
    who have traded."""
    if not shared(w) or amount == 0:
        return
    total = 0
    for s in range(w.margin_limits.shape[0]):
        total += int(w.virtual[place_of(w, s, i), V_TAKEN])
    if not total > 0:
        raise Broken("a shortfall of a shared account that no trade has made")
    reached, paid = 0, 0
    for s in range(w.margin_limits.shape[0]):
        taken = int(w.virtual[place_of(w, s, i), V_TAKEN])
        if taken != 0:
            reached += taken
            part = proportion(amount, reached, total)
            attribute_cash(w, ts, s, i, SHARE_OF_RELIEF, -1, part - paid)
            paid = part


@kernel
def attribute_cash(w: World, ts: int, s: int, i: int, kind: int, message: int, amount: int) -> None:
    """Give strategy `s` an amount of cash, signed, of symbol `i` with what it holds of it; behind the symbols: of
    none."""
    if shared(w):
        row = w.virtual[place_of(w, s, i)]
        row[V_CASH] += amount
        put_share(w, ts, s, i if i < w.spec.shape[0] else -1, kind, message, int(row[V_LOTS]), amount, 0, 0)
