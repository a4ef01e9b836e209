"""Section 6.1: what a position needs, and what a pool needs."""

from __future__ import annotations

from fractions import Fraction
from math import sqrt

from tests.reference.numbers import part_up, share
from tests.reference.terms import BySize, Terms, Venue, in_force

PPM = 1_000_000
MICRO = 1_000_000


class Ladder:
    """The requirements of one symbol: `notional` and `units` are sizes, micro of the quote and of the base."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.edges = [tier.upto for tier in terms.tiers if tier.upto is not None]
        self.initial_rates = with_deductions(self.edges, [tier.initial for tier in terms.tiers], terms.flat_initial)
        self.maintenance_rates = with_deductions(
            self.edges, [tier.maintenance for tier in terms.tiers], terms.flat_maintenance
        )

    def initial(self, notional: int, units: int, leverage: float | None) -> int:
        if self.terms.ceil:
            asked = up(notional * self.terms.ceil.initial_ppm)
        else:
            asked = requirement(at_size(self.initial_rates, self.terms.initial_by_size, units), notional)
        return max(asked, share(notional, 0.0 if leverage is None else 1.0 / leverage))

    def maintenance(self, notional: int, units: int) -> int:
        if self.terms.ceil:
            return up(up(notional * self.terms.ceil.base_ppm) * self.terms.ceil.fraction_ppm)
        return requirement(at_size(self.maintenance_rates, self.terms.maintenance_by_size, units), notional)


def up(parts: int) -> int:
    """Parts per million as a whole number, rounded up."""
    return -(-parts // PPM)


def with_deductions(edges: list[int], rates: list[float], flat: int) -> list[tuple[float, int]]:
    """`edges[j]` is where rate `j` ends and `j + 1` begins. In decimals: 0.1 is a tenth here, as it was written."""
    pairs = [(rates[0], -flat)]
    for edge, rate in zip(edges, rates[1:], strict=True):
        below, deduction = pairs[-1]
        growth = edge * (Fraction(repr(rate)) - Fraction(repr(below)))
        pairs.append((rate, deduction + round(growth)))
    return pairs


def at_size(pairs: list[tuple[float, int]], by_size: BySize | None, units: int) -> list[tuple[float, int]]:
    """The pairs with the rate that a position of this size has."""
    if by_size is None:
        return pairs
    ((rate, deduction),) = pairs
    size = units / MICRO
    # Steps are counted in whole micro-units of the base, so that a size on a step's edge has begun no further step.
    baseline, increment = round(by_size.baseline * MICRO), round(by_size.increment * MICRO)
    steps = part_up(max(0, units - baseline), 1, increment)
    grown = by_size.share * rate + by_size.linear * size + by_size.root * sqrt(size) + by_size.step * steps
    return [(max(rate, grown), deduction)]


def requirement(pairs: list[tuple[float, int]], notional: int) -> int:
    return max(0, *(share(notional, rate) - deduction for rate, deduction in pairs))


class Asked:
    """What the venue asks at present: the terms and the law in force, and the leverage that was set.

    `own` says which symbols have a pool of their own; it is the account's, and changes with it.
    """

    def __init__(
        self, venue: Venue, leverage: dict[str, float], margin: str, own: dict[str, bool], posted: int | None = None
    ) -> None:
        self.venue, self.leverage, self.own, self.posted = venue, dict(leverage), own, posted
        self.portfolio = venue.portfolio if margin == "portfolio" else None
        self.hold_at(0)

    def hold_at(self, ts_ms: int) -> None:
        """What holds from an instant on."""
        self.law = in_force(self.venue.law, ts_ms)
        self.order_rules = in_force(self.venue.orders, ts_ms)
        self.terms = {name: in_force(dated, ts_ms) for name, dated in self.venue.terms.items()}
        self.ladders = {name: Ladder(terms) for name, terms in self.terms.items()}

    def changes(self) -> set[int]:
        """Instants from which something else holds."""
        dated = [*self.venue.terms.values(), self.venue.law, self.venue.orders]
        return {entry.from_ms for entries in dated for entry in entries[1:]}

    def initial(self, symbol: str, notional: int, units: int) -> int:
        """Of one position. The venue's default leverage is only that of a symbol with a pool of its own."""
        by_default = self.venue.default_leverage if self.own[symbol] else None
        return self.ladders[symbol].initial(notional, units, self.leverage.get(symbol, by_default))

    def betas(self, values: dict[str, int]) -> dict[str, int]:
        """What of each signed value moves with the market."""
        return {name: share(value, self.terms[name].beta) for name, value in values.items()}

    def sides(self, own: dict[str, int], values: dict[str, int], initial: bool) -> tuple[int, int]:
        """The sides of portfolio margin's maximum: the floor under the sum, the scan with what is idiosyncratic.

        `own` are the positions' own requirements, `values` their signed values.
        """
        assert self.portfolio is not None
        scan = self.portfolio.scan_initial if initial else self.portfolio.scan_maintenance
        scanned = share(abs(sum(self.betas(values).values())), scan)
        for name, value in values.items():
            idio = self.terms[name].idio
            scanned += share(abs(value), idio if initial else idio * self.portfolio.idio_maintenance)
        return share(sum(own.values()), self.portfolio.floor), scanned

    def of_cross(self, own: dict[str, int], values: dict[str, int], initial: bool) -> int:
        """The requirement of the cross pool, from its positions' own."""
        if self.portfolio is None:
            return sum(own.values())
        return max(self.sides(own, values, initial))
