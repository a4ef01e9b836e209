"""Which changes of a pool a venue lets happen: risk may rise only under enough equity, or must fall.

Source: docs/reference/venues.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from backtest.core.errors import Broken
from backtest.venues.margin_pool import Held, Pool
from backtest.venues.requirement import Exact, decimal, magnitude, open_interest_rate_ppm
from backtest.venues.terms import Terms


def allowed(before: Pool, after: Pool) -> bool:
    """Whether a venue accepts the change.

    Enough equity for the initial requirement after it; else maintenance must not rise and equity / maintenance must
    not fall. Without maintenance before and after, equity must rise; with it on one side only it is refused.
    """
    if after.equity >= after.initial:
        return True
    old, new = before.maintenance, after.maintenance
    if new > old:
        return False
    if old == 0 or new == 0:
        return old == new and after.equity > before.equity
    return after.equity * old >= before.equity * new


@dataclass(frozen=True)
class OpenInterest:
    """The open interest of a market whose initial rate rises with it."""

    units: Exact
    """Micro-units of the base, one side."""
    mark: float | Fraction
    lower_micro: int
    upper_micro: int

    @property
    def notional_micro(self) -> int:
        """At the mark, truncated."""
        return int(decimal(self.mark) * self.units)

    def terms(self, base: Terms) -> Terms:
        """The market's terms at this open interest."""
        if base.ceil is None:
            raise Broken("only rates in parts per million scale with open interest")
        ppm = open_interest_rate_ppm(base.ceil.base_ppm, self.notional_micro, self.lower_micro, self.upper_micro)
        return replace(base, ceil=replace(base.ceil, initial_ppm=ppm))

    def after(self, units: Exact, buyer_held: Exact, seller_held: Exact) -> OpenInterest:
        """After a match of ``units``, given what the two held: half the change of their absolute sizes."""
        before = magnitude(buyer_held) + magnitude(seller_held)
        change = magnitude(buyer_held + units) + magnitude(seller_held - units) - before
        return replace(self, units=self.units + Fraction(change) / 2)


@dataclass(frozen=True)
class Match:
    """Both sides after a match, and whether the venue lets it happen."""

    buyer: Pool
    seller: Pool
    allowed: bool


def match(buyer: Pool, seller: Pool, held: Held, price: float | Fraction, interest: OpenInterest) -> Match:
    """A match of ``held.units`` (bought by ``buyer``) at ``price``; both are judged at the open interest *after* it."""
    bought, sold = _units(buyer, held.symbol), _units(seller, held.symbol)
    terms = interest.after(held.units, bought, sold).terms(held.terms)
    quote = held.value_at(price)
    sides = (
        (buyer, buyer.holding(replace(held, terms=terms, units=bought + held.units), -quote)),
        (seller, seller.holding(replace(held, terms=terms, units=sold - held.units), quote)),
    )
    return Match(sides[0][1], sides[1][1], all(allowed(before, after) for before, after in sides))


def _units(pool: Pool, symbol: str) -> Exact:
    return sum((held.units for held in pool.positions if held.symbol == symbol), start=0)
