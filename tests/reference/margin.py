"""Section 6, requirements: what a notional needs by the venue's tiers."""

from __future__ import annotations

from fractions import Fraction

from tests.reference.market import Tier
from tests.reference.numbers import share


class Ladder:
    """The tiers of one symbol with the deductions that make both requirements continuous at the edges."""

    def __init__(self, tiers: list[Tier], leverage: float) -> None:
        self.edges = [tier.upto for tier in tiers if tier.upto is not None]
        self.initial_rates = with_deductions(self.edges, [tier.initial for tier in tiers])
        self.maintenance_rates = with_deductions(self.edges, [tier.maintenance for tier in tiers])
        self.by_leverage = 1.0 / leverage

    def initial(self, notional: int) -> int:
        return max(requirement(self.initial_rates, notional), share(notional, self.by_leverage))

    def maintenance(self, notional: int) -> int:
        return requirement(self.maintenance_rates, notional)


def with_deductions(edges: list[int], rates: list[float]) -> list[tuple[float, int]]:
    """`edges[j]` is where rate `j` ends and `j + 1` begins. In decimals: 0.1 is a tenth here, as it was written."""
    pairs = [(rates[0], 0)]
    for edge, rate in zip(edges, rates[1:], strict=True):
        below, deduction = pairs[-1]
        growth = edge * (Fraction(repr(rate)) - Fraction(repr(below)))
        pairs.append((rate, deduction + round(growth)))
    return pairs


def requirement(pairs: list[tuple[float, int]], notional: int) -> int:
    return max(0, *(share(notional, rate) - deduction for rate, deduction in pairs))
