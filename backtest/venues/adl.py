"""Auto-deleveraging: who on the other side is closed against a pool in debt, and at what price.

Source: docs/reference/venues.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from backtest.core.errors import Broken
from backtest.venues.margin_pool import Pool
from backtest.venues.requirement import Exact, magnitude
from backtest.venues.risk_checks import allowed


@dataclass(frozen=True)
class Candidate:
    """A position that may be deleveraged, and the account that holds it."""

    name: str
    long: bool
    mark: float
    entry: float
    notional: float
    account_value: float

    @property
    def index(self) -> float:
        """``(mark / entry) × (notional / account value)``: how much is gained, times leverage.

        The venues that print it give it for longs alone; for a short the gain is taken as ``entry / mark``.
        """
        gain = self.mark / self.entry if self.long else self.entry / self.mark
        return gain * (self.notional / self.account_value)


def ranked(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Highest index first; equal ones by name."""
    return sorted(candidates, key=lambda candidate: (-candidate.index, candidate.name))


class Basis(Enum):
    """What a pool is deleveraged at."""

    BANKRUPTCY = "bankruptcy"
    MARK = "mark"


def basis(pool: Pool, settling: bool = False) -> Basis | None:
    """In debt: its bankruptcy price. Else the mark where the market is in its final settlement; None: not at all."""
    if pool.equity < 0:
        return Basis.BANKRUPTCY
    return Basis.MARK if settling else None


def closing_quote(pool: Pool, symbol: str, units: Exact, at: Basis) -> int:
    """Signed quote that a pool receives when ``units`` of it are closed on that basis."""
    if at is Basis.BANKRUPTCY:
        return pool.bankruptcy_quote(symbol, units)
    held = pool.position(symbol)
    return held.value_micro - held.reduced(units).value_micro


@dataclass(frozen=True)
class Deleveraging:
    """Both pools after one is closed against the other, and the unit price."""

    liquidated: Pool
    offsetting: Pool
    price: float


def deleverage(
    liquidated: Pool, offsetting: Pool, symbol: str, units: Exact, at: Basis = Basis.BANKRUPTCY
) -> Deleveraging | None:
    """Close ``units`` of one pool against the opposite position of another, without fee.

    At the liquidated pool's bankruptcy price, or the mark. None: refused, because the venue would not let the
    offsetting pool change so (their bankruptcy prices do not overlap).
    """
    quote = closing_quote(liquidated, symbol, units, at)
    if liquidated.position(symbol).units * offsetting.position(symbol).units >= 0:
        raise Broken("both on one side")
    after = offsetting.after(symbol, units, -quote, 0)
    if not allowed(offsetting, after):
        return None
    return Deleveraging(liquidated.after(symbol, units, quote, 0), after, float(abs(quote) / Fraction(units)))


def deleverage_against(
    liquidated: Pool, others: Iterable[Pool], symbol: str, units: Exact
) -> tuple[Pool, tuple[Pool, ...]]:
    """Close ``units`` against pools in their order, as much as each holds; a pool that refuses stays as it is."""
    after: list[Pool] = []
    for other in others:
        size = min(units, magnitude(other.position(symbol).units))
        done = deleverage(liquidated, other, symbol, size) if size else None
        after.append(other if done is None else done.offsetting)
        if done is not None:
            liquidated, units = done.liquidated, units - size
    return liquidated, tuple(after)
