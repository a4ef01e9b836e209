"""One step of a liquidation against resting orders, with the insurance fund beside it.

Before each fill the bankruptcy price is taken again, from the pool as the fills before it left it. A fill that the
fund cannot pay for, or that the block's cap on what it pays forbids, is refused and ends the step.
Source: docs/reference/venues.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

from backtest.venues.margin_pool import Pool
from backtest.venues.requirement import Exact, share
from backtest.venues.terms import Law


@dataclass(frozen=True)
class Resting:
    """A resting order on the other side: its price and unsigned size."""

    price: float | Fraction
    units: Exact


@dataclass(frozen=True)
class Fill:
    """One fill of a liquidation."""

    units: Exact
    """Unsigned."""
    quote_micro: int
    """Signed: what the pool received."""
    insurance_micro: int
    """To the fund; negative: from it."""


@dataclass(frozen=True)
class Execution:
    """What a step came to."""

    pool: Pool
    fund_micro: int
    fills: tuple[Fill, ...]
    refused: bool
    """Whether a fill was refused for want of insurance."""

    @property
    def insurance_micro(self) -> int:
        """To the fund, of all fills."""
        return sum(fill.insurance_micro for fill in self.fills)


def fund_can(fund_micro: int, delta_micro: int) -> bool:
    """Whether the fund can make a movement: it may go to zero and not below."""
    return delta_micro >= 0 or fund_micro + delta_micro >= 0


def execute(
    pool: Pool, symbol: str, units: Exact, book: Iterable[Resting], law: Law, fund_micro: int, paid_micro: int = 0
) -> Execution:
    """Close up to ``units`` (unsigned) of a position against a book, best order first.

    ``paid_micro``: what the fund has paid in this block already, of ``law.fund_cap_micro``.
    """
    held = pool.position(symbol)
    fills: list[Fill] = []
    for order in book:
        size = min(units, order.units)
        if not size:
            break
        quote = replace(held, units=size if held.units > 0 else -size).value_at(order.price)
        delta = pool.insurance_delta(symbol, size, quote, law)
        paid_after = paid_micro + max(0, -delta)
        capped = delta < 0 and law.fund_cap_micro is not None and paid_after > law.fund_cap_micro
        if capped or not fund_can(fund_micro, delta):
            return Execution(pool, fund_micro, tuple(fills), True)
        pool, fund_micro, paid_micro = pool.after(symbol, size, quote, delta), fund_micro + delta, paid_after
        units -= size
        fills.append(Fill(size, quote, delta))
    return Execution(pool, fund_micro, tuple(fills), False)


def maker_receives(fill: Fill, maker_fee: float) -> int:
    """Signed quote of the other side of a fill, less its own fee (share of the quote)."""
    return -fill.quote_micro - share(abs(fill.quote_micro), maker_fee)
