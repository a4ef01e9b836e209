"""What one position must be backed by: initial and maintenance requirement, exact.

Money is whole micro-units of the quote, sizes are micro-units of the base. Rates are doubles, taken as the exact
rationals they are; a requirement is rounded once, as docs/reference/rules.md has it:

    share(n, rate) = n × rate, to the nearest, ties to even
    by tiers       = max(0, max over tiers of share(n, rate) − deduction)
    by size        = max(0, share(n, rate(s)) − deduction)
    rounded up     = initial ⌈n × initial_ppm / 10⁶⌉, maintenance ⌈⌈n × base_ppm / 10⁶⌉ × fraction_ppm / 10⁶⌉

A size or an amount may be a fraction of a micro-unit where a venue's own grid is finer.
"""

from __future__ import annotations

import math
from fractions import Fraction

from backtest.venues.terms import BySize, Terms

Exact = int | Fraction

# `enums.MICRO` is the same number; its module loads NumPy, and a calculator is to answer at once.
MICRO = 1_000_000


def magnitude(amount: Exact) -> Exact:
    """Without its sign."""
    return amount if amount >= 0 else -amount


def share(amount: Exact, rate: float | Fraction) -> int:
    """``amount × rate`` to the nearest micro, ties to even, from the exact product."""
    return round(Fraction(amount) * Fraction(rate))


def decimal(number: float | Fraction) -> Fraction:
    """The decimal that a double was written as: 0.3 is three tenths.

    For venues that truncate: the double nearest to 0.3 lies below it, and truncating would lose a micro each time.
    """
    return number if isinstance(number, Fraction) else Fraction(repr(float(number)))


def up(amount: Exact, ppm: int) -> int:
    """``⌈amount × ppm / 10⁶⌉``."""
    return math.ceil(Fraction(amount) * ppm / MICRO)


def rate_by_size(base: float, rule: BySize, units: Exact) -> float:
    """The rate of a position of ``units`` micro-units of base, by `terms.BySize`, in doubles.

    The begun increments alone are counted in whole micro-units: in doubles a size of exactly three increments can
    come out as a fourth begun one.
    """
    size = magnitude(units)
    s = float(size / Fraction(MICRO))
    over = size - round(rule.baseline * MICRO)
    begun = max(0, math.ceil(over / Fraction(round(rule.increment * MICRO))))
    return max(base, rule.share * base + rule.linear * s + rule.root * math.sqrt(s) + rule.step * begun)


def initial(terms: Terms, notional_micro: Exact, units: Exact, leverage: float | None = None) -> int:
    """Initial requirement, micro. ``leverage`` is the user's own: it can only raise it, to ``notional / leverage``."""
    if terms.ceil is not None:
        own = 0 if leverage is None else math.ceil(MICRO / decimal(leverage))
        return up(notional_micro, max(terms.ceil.initial_ppm, own))
    if terms.initial_by_size is not None:
        base = terms.tiers[0]
        rate = rate_by_size(base.initial, terms.initial_by_size, units)
        required = share(notional_micro, rate) - base.initial_deduction
    else:
        required = max(share(notional_micro, tier.initial) - tier.initial_deduction for tier in terms.tiers)
    return max(0, required, 0 if leverage is None else share(notional_micro, 1 / leverage))


def maintenance(terms: Terms, notional_micro: Exact, units: Exact) -> int:
    """Maintenance requirement, micro. Neither leverage nor open interest moves it."""
    if terms.ceil is not None:
        return up(up(notional_micro, terms.ceil.base_ppm), terms.ceil.fraction_ppm)
    return max(0, *(share(notional_micro, rate) - deduction for rate, deduction in maintenance_lines(terms, units)))


def maintenance_lines(terms: Terms, units: Exact) -> list[tuple[Fraction, int]]:
    """(rate, deduction) of the straight lines whose largest is the maintenance requirement of that size, unrounded."""
    if terms.ceil is not None:
        return [(Fraction(terms.ceil.base_ppm * terms.ceil.fraction_ppm, MICRO * MICRO), 0)]
    if terms.maintenance_by_size is not None:
        base = terms.tiers[0]
        rate = rate_by_size(base.maintenance, terms.maintenance_by_size, units)
        return [(Fraction(rate), base.maintenance_deduction)]
    return [(Fraction(tier.maintenance), tier.maintenance_deduction) for tier in terms.tiers]


def tier_of(terms: Terms, notional_micro: Exact) -> int:
    """Number, from 0, of the tier that holds a notional; at an edge the lower one."""
    edges = [tier.upto_micro for tier in terms.tiers]
    return next((i for i, edge in enumerate(edges) if edge is None or notional_micro <= edge), len(edges) - 1)


def open_interest_rate_ppm(base_ppm: int, open_interest_micro: Exact, lower_micro: int, upper_micro: int) -> int:
    """Initial rate in parts per million, rising with the market's open interest (its notional, micro).

    ``base`` up to ``lower`` or where ``upper`` is 0, the whole notional from ``upper`` on, straight between, rounded
    down to a millionth.
    """
    if upper_micro == 0 or open_interest_micro <= lower_micro:
        return base_ppm
    if open_interest_micro >= upper_micro:
        return MICRO
    along = Fraction(open_interest_micro - lower_micro) / (upper_micro - lower_micro)
    return base_ppm + math.floor((MICRO - base_ppm) * along)


def transfer_requirement(initial_micro: int, notional_micro: Exact, floor: float) -> int:
    """What must stay when margin is taken out: the initial requirement, and at least ``floor`` of the notional."""
    return max(initial_micro, share(notional_micro, floor))
