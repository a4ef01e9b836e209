"""Risk weights that widen with realised volatility: margin that grows before a storm is over.

```text
σ on a day = sample deviation of the last `window_days` log returns before that day × √365
weight     = min(most, max(1, σ / reference))
```

An idealisation, not a venue's rule: venues raise margin by announcement, in steps and often late.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

from backtest.core.errors import Broken
from backtest.venues.terms import BySize, CeilRates, Terms, Tier

PPM = 1_000_000
DAYS_A_YEAR = 365


@dataclass(frozen=True)
class Widening:
    """How weights follow volatility."""

    window_days: int
    """Returns that a deviation is taken of; at least 2."""
    reference: float
    """Annualised volatility up to which the weight is 1."""
    most: float
    """Largest weight, at least 1."""


def weights(rule: Widening, days_ms: Sequence[int], closes: Sequence[float]) -> list[tuple[int, float]]:
    """The weight that holds on each day, from its first instant on.

    ``closes[i]`` is the last price of the day that begins at ``days_ms[i]`` and is known only after it, so the weight
    of a day uses the closes before it alone. A day with fewer than ``window_days`` returns before it has a weight
    of 1. Closes are taken one after another: across a gap of days they give one return. Weights are rounded to a
    millionth, so that they are the same on every machine.
    """
    if len(days_ms) != len(closes):
        raise Broken("one close for each day")
    if rule.window_days < 2:
        raise Broken("a deviation needs two returns")
    returns = [math.log(late / early) for early, late in pairwise(closes)]
    out = []
    for i, at in enumerate(days_ms):
        known = returns[max(0, i - 1 - rule.window_days) : max(0, i - 1)]
        out.append((at, _weight(rule, known) if len(known) == rule.window_days else 1.0))
    return out


def _weight(rule: Widening, returns: Sequence[float]) -> float:
    volatility = statistics.stdev(returns) * math.sqrt(DAYS_A_YEAR)
    return round(min(rule.most, max(1.0, volatility / rule.reference)), 6)


def widened(terms: tuple[Terms, ...], weights: Sequence[tuple[int, float]]) -> tuple[Terms, ...]:
    """``terms`` with initial and maintenance requirements multiplied by the weight of each instant.

    ``weights`` are (from ms, weight at least 1) by time; before the first the weight is 1. Equal neighbours are merged.
    """
    starts = [at for at, _ in weights]
    own = [one.from_ms for one in terms]
    out: list[Terms] = []
    for at in sorted({*own, *starts}):
        asked = terms[max(0, bisect_right(own, at) - 1)]
        place = bisect_right(starts, at)
        factor = Fraction(round(weights[place - 1][1] * PPM), PPM) if place else Fraction(1)
        now = replace(_times(asked, factor), from_ms=at)
        if not out or replace(now, from_ms=out[-1].from_ms) != out[-1]:
            out.append(now)
    return tuple(out)


def _times(terms: Terms, factor: Fraction) -> Terms:
    if factor == 1:
        return terms
    return replace(
        terms,
        tiers=_ladder(terms.tiers, factor),
        ceil=terms.ceil and _ceil(terms.ceil, factor),
        initial_by_size=terms.initial_by_size and _size(terms.initial_by_size, factor),
        maintenance_by_size=terms.maintenance_by_size and _size(terms.maintenance_by_size, factor),
    )


def _ladder(tiers: tuple[Tier, ...], factor: Fraction) -> tuple[Tier, ...]:
    """Rates times the factor, at most 1; the deductions again from them, so that the requirement stays continuous."""
    out: list[Tier] = []
    initial, maintenance = (
        round(d * factor) for d in (tiers[0].initial_deduction, tiers[0].maintenance_deduction)
    )  # a flat amount on top
    edge = 0
    for tier in tiers:
        rates = [min(1.0, float(Fraction(rate) * factor)) for rate in (tier.initial, tier.maintenance)]
        if out:
            initial += round(edge * (Fraction(rates[0]) - Fraction(out[-1].initial)))
            maintenance += round(edge * (Fraction(rates[1]) - Fraction(out[-1].maintenance)))
        out.append(Tier(tier.upto_micro, rates[0], initial, rates[1], maintenance))
        edge = tier.upto_micro or 0
    return tuple(out)


def _size(size: BySize, factor: Fraction) -> BySize:
    # A rate that goes by size is not cut at 1: the position that it asks more than its notional for is not opened.
    linear, root, step = (float(Fraction(rate) * factor) for rate in (size.linear, size.root, size.step))
    return replace(size, linear=linear, root=root, step=step)


def _ceil(rates: CeilRates, factor: Fraction) -> CeilRates:
    initial, base = (min(PPM, math.ceil(rate * factor)) for rate in (rates.initial_ppm, rates.base_ppm))
    return replace(rates, initial_ppm=initial, base_ppm=base)
