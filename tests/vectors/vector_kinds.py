"""Which kinds of vector are known: each a function that takes one through the public parts of `backtest.venues`."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from tests.vectors.reading import MICRO, Vector, micro

Check = Callable[[Vector], None]
KNOWN: dict[tuple[str, str], Check] = {}
BORROWING = "spot borrowing is not modelled: the only collateral is the quote"
VOTES = "premium votes: funding rates are data, not made from a book"
OUT_OF_SCOPE = {
    ("dydx_v4", "premium"): VOTES,
    ("dydx_v4", "premium_sample_median"): VOTES,
    ("hyperliquid", "max_leverage_transfer_example_pm"): BORROWING,
    ("hyperliquid", "pm_partial_borrow_liquidation"): BORROWING,
    ("hyperliquid", "pm_full_borrow_liquidation"): BORROWING,
    ("hyperliquid", "pm_health_factor"): BORROWING,
}


def kind(venue: str, *names: str) -> Callable[[Check], Check]:
    def known(check: Check) -> Check:
        KNOWN.update({(venue, name): check for name in names})
        return check

    return known


def kind_of(vector: Vector) -> tuple[str, str] | None:
    """The longest known name that the case begins with, whole words only."""
    names = [name for venue, name in (*KNOWN, *OUT_OF_SCOPE) if venue == vector.venue]
    fits = [name for name in names if re.match(re.escape(name) + r"\b(?!_)", vector.case)]
    return (vector.venue, max(fits, key=len)) if fits else None


def in_micro(got: Fraction | int, want: str) -> None:
    assert got == micro(want), (float(Fraction(got) / MICRO), want)
