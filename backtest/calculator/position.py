"""The positions of a book as the venue counts them: in whole micro-units, with its terms on the day."""

from __future__ import annotations

from dataclasses import dataclass, replace

from backtest.calculator.book import Book, Position
from backtest.core.enums import MICRO
from backtest.core.errors import Broken, UserError
from backtest.engine.replay import to_micro
from backtest.venues.default_leverage import default_at
from backtest.venues.field_types import day_ms
from backtest.venues.margin_pool import Held, Pool
from backtest.venues.profile import Profile
from backtest.venues.requirement import tier_of
from backtest.venues.terms import Terms, Tier

FIGURES = 15
"""Whole numbers of so many figures are exact as doubles, which the engine counts positions in."""


@dataclass(frozen=True)
class Leg:
    """A position of the book, and whose margin it stands on."""

    held: Held
    step_micro: int
    """Micro-units in a lot."""
    isolated: bool
    posted_micro: int
    """What its isolated pool holds besides unrealised profit; 0 in the shared pool."""

    @property
    def symbol(self) -> str:
        """Its market."""
        return self.held.symbol

    @property
    def lots(self) -> int:
        """Signed lots."""
        return int(self.held.units) // self.step_micro

    @property
    def cost_micro(self) -> int:
        """What the position cost at its entry, signed as it is."""
        if self.held.entry is None:
            raise Broken("every position of a book has an entry")
        return self.held.value_at(self.held.entry)


def legs_of(book: Book, profile: Profile) -> list[Leg]:
    """The positions as the venue counts them, in the order of the book."""
    out = []
    for position in book.positions:
        step = _step(position.qty)
        held = Held(
            position.symbol,
            round(to_micro(position.qty) / step) * step,
            position.mark,
            own_terms(book, position, profile.terms(position.symbol, book.date)),
            position.entry,
            position.leverage,
            nearest=True,
        )
        _check_limit(book, held)
        isolated = book.mode(position) == "isolated"
        if isolated and held.leverage is None:
            held = replace(held, leverage=default_at(profile.default_leverage, day_ms(book.date or profile.date)))
        out.append(Leg(held, step, isolated, _posted(book, position, held) if isolated else 0))
    spare = to_micro(book.collateral) - sum(leg.posted_micro for leg in out)
    if spare < 0:
        raise UserError(
            f"collateral: {book.collateral:,.2f} is {-spare / MICRO:,.2f} less than isolated positions have posted",
            book.place,
            "raise collateral to the whole wallet, or lower posted",
        )
    return out


def _check_limit(book: Book, held: Held) -> None:
    """Refuse a position larger than the venue lets anybody have."""
    terms = held.terms
    for size, limit, unit in (
        (held.notional_micro, terms.limit_micro, "in notional"),
        (abs(int(held.units)), terms.limit_units, "units"),
    ):
        if limit is not None and size > limit:
            raise UserError(
                f"{held.symbol}: {size / MICRO:,.6g} {unit} is above the venue's limit of {limit / MICRO:,.15g}",
                book.place,
                "give a smaller position, or its own rates (initial, maintenance)",
            )


def _step(qty: float) -> int:
    """Micro-units in a lot: 1, and more only where the quantity has more figures than can be counted."""
    return int(10 ** max(0, len(str(abs(to_micro(qty)))) - FIGURES))


def _posted(book: Book, position: Position, held: Held) -> int:
    """Micro in the isolated pool: as given, else the notional at entry over leverage.

    With the venue's default leverage it is the initial margin at the entry, which is more where the market allows less.
    """
    if position.posted is not None:
        return to_micro(position.posted)
    if position.leverage is not None:
        return Pool.isolated(held).equity - (held.unrealized_micro or 0)
    if held.leverage is None:
        raise UserError(
            f"{position.symbol} is isolated, and its margin is not given",
            book.place,
            "give posted, the margin that it holds, or leverage",
        )
    return replace(held, mark=position.entry).initial


def own_terms(book: Book, position: Position, terms: Terms) -> Terms:
    """Return the venue's terms with what the position says instead; its own rates are one tier without an edge."""
    own = {name: value for name in ("penalty", "beta", "idio") if (value := getattr(position, name)) is not None}
    terms = replace(terms, **own)
    wanted = (position.initial, position.maintenance, position.deduction, position.initial_deduction)
    if all(value is None for value in wanted):
        return terms
    tier = terms.tiers[tier_of(terms, to_micro(position.mark * abs(position.qty)))]
    # What one side leaves out is the venue's for this notional: an overridden maintenance does not touch the initial.
    first, less, least, deduction = wanted[0], position.initial_deduction, wanted[1], position.deduction
    made = Tier(
        upto_micro=None,
        initial=tier.initial if first is None else first,
        initial_deduction=(0 if first is not None else tier.initial_deduction) if less is None else to_micro(less),
        maintenance=tier.maintenance if least is None else least,
        maintenance_deduction=(
            (0 if least is not None else tier.maintenance_deduction) if deduction is None else to_micro(deduction)
        ),
    )
    if made.maintenance > made.initial:
        raise UserError(
            f"{position.symbol}: maintenance {made.maintenance:g} is above initial {made.initial:g}",
            book.place,
            "give both, initial at least maintenance",
        )
    return replace(
        terms,
        tiers=(made,),
        initial_by_size=None,
        maintenance_by_size=None,
        ceil=None,
        limit_micro=None,
        limit_units=None,
    )
