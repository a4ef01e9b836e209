"""Funding: from premium to rate, from rate to payment.

Signs: a positive rate, longs pay. A payment is what the position receives. Rates are per eight hours
unless said otherwise. Exact rules are in parts per million and micro-units, as the venues that truncate
have them; the others are doubles.
Source: docs/reference/venues.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from backtest.venues.requirement import MICRO, Exact

HOURS_8_S = 28_800


def truncated(amount: Fraction) -> int:
    """Toward zero."""
    return int(amount)


# --- premium to rate, in doubles


def premium(impact_bid: float | None, impact_ask: float | None, index: float) -> float:
    """``(max(0, bid − index) − max(0, index − ask)) / index``; a side without depth (None) adds nothing."""
    above = 0.0 if impact_bid is None else max(0.0, impact_bid - index)
    below = 0.0 if impact_ask is None else max(0.0, index - impact_ask)
    return (above - below) / index


def clamped_interest(mean_premium: float, interest: float, clamp: float) -> float:
    """``clamp(interest − premium, ±clamp)``: what is added to the premium."""
    return min(clamp, max(-clamp, interest - mean_premium))


def rate(mean_premium: float, interest: float, clamp: float) -> float:
    """``premium + clamp(interest − premium, ±clamp)``, per eight hours."""
    return mean_premium + clamped_interest(mean_premium, interest, clamp)


def hourly(rate_8h: float, cap: float = math.inf) -> float:
    """An eighth of it, within ``±cap`` per hour."""
    return min(cap, max(-cap, rate_8h / 8))


def fee(size: float, price: float, rate_paid: float) -> float:
    """What a signed position receives at a stamp: ``−size × price × rate``."""
    return -size * price * rate_paid


@dataclass(frozen=True)
class Stamp:
    """One settlement: its time, rate and price."""

    ts_ms: int
    rate: float
    price: float


def fees_while_open(
    size: float, opened_ms: int, closed_ms: int, stamps: Iterable[Stamp], grace_ms: int = 15_000
) -> float:
    """What a signed position receives over its life.

    A stamp counts if the position was opened less than ``grace_ms`` after it, and closed at it or later.
    """
    return sum(fee(size, s.price, s.rate) for s in stamps if opened_ms < s.ts_ms + grace_ms and s.ts_ms <= closed_ms)


# --- samples to rate to index, exact


def clamp_ppm(factor_ppm: int, initial_ppm: int, fraction_ppm: int) -> int:
    """Largest rate either way: ``factor × (imf − mmf)``, ``mmf = imf × fraction`` and the product rounded down."""
    return factor_ppm * (initial_ppm - initial_ppm * fraction_ppm // MICRO) // MICRO


def mean_sample_ppm(samples_ppm: Sequence[int], expected: int) -> int:
    """Mean of the samples, zeros for those that are missing, toward zero: missing samples pull toward no funding."""
    return truncated(Fraction(sum(samples_ppm), max(expected, len(samples_ppm)) or 1))


def tick_rate_ppm(samples_ppm: Sequence[int], expected: int, default_ppm: int, most_ppm: int) -> int:
    """Rate of one funding tick: mean of the samples plus the default, within ``±most``."""
    return min(most_ppm, max(-most_ppm, mean_sample_ppm(samples_ppm, expected) + default_ppm))


def index_delta(rate_ppm: int, price: Fraction, seconds: int, base_exponent: int) -> int:
    """Change of the funding index: quote millionths of a micro-unit per smallest unit of base, toward zero.

    ``rate × price × seconds / 8 h``; a unit of base is ``10 ** base_exponent`` smallest ones.
    """
    return truncated(Fraction(rate_ppm) * price * MICRO * seconds / HOURS_8_S / 10**base_exponent)


def exact_payment_micro(units: Exact, rate_ppm: int, price: Fraction, seconds: int) -> Fraction:
    """What a signed position (micro-units of base) receives at a tick before any truncation, micro."""
    return -units * Fraction(rate_ppm, MICRO) * price * seconds / HOURS_8_S


def settlement_micro(quantums: int, delta: int) -> int:
    """What a signed position of so many smallest units of base receives for a change of the index, toward zero."""
    return truncated(Fraction(-quantums * delta, MICRO))


def settlement_by_unit(units: Exact, delta_per_unit: Fraction) -> int:
    """The same from a change in quote per whole unit of base: ``−size × Δ``, micro, toward zero."""
    return truncated(-units * delta_per_unit)


# --- pools of liquidity


def imbalance_rates(factor: float, exponent: float, long_interest: float, short_interest: float) -> tuple[float, float]:
    """(long, short) rate per second, positive pays: ``factor × |imbalance|^e / total`` for the larger side.

    The smaller side receives all of it, so its rate is larger by the ratio of the open interests.
    """
    total = long_interest + short_interest
    if not total:
        return 0.0, 0.0
    paid = factor * abs(long_interest - short_interest) ** exponent / total
    longs_pay = long_interest > short_interest
    payer, receiver = (long_interest, short_interest) if longs_pay else (short_interest, long_interest)
    received = -paid * payer / receiver if receiver else 0.0
    return (paid, received) if longs_pay else (received, paid)


@dataclass(frozen=True)
class Adaptive:
    """How a funding factor drifts with the imbalance (its share of the open interest), per second."""

    increase: float = 0.0
    decrease: float = 0.0
    stable_above: float = 0.0
    """Beyond this imbalance it grows."""
    decrease_below: float = 0.0

    def change(self, imbalance: float, same_direction: bool, seconds: float) -> float:
        """Change of the factor, positive toward what is paid now.

        An imbalance against what is paid turns it: ``−increase × imbalance × time``. One with it: grows by
        ``increase × imbalance × time`` above one threshold, shrinks by ``decrease × time`` below the other.
        """
        if not same_direction:
            return -self.increase * imbalance * seconds
        if imbalance > self.stable_above:
            return self.increase * imbalance * seconds
        return -self.decrease * seconds if imbalance < self.decrease_below else 0.0


def borrow_rate(usage: float, optimal: float, base: float, above: float) -> float:
    """Yearly rate of what a position borrows from the pool: ``base × u``, beyond the kink plus
    ``(above − base) × (u − optimal) / (1 − optimal)``."""
    return base * usage + max(0.0, (above - base) * (usage - optimal) / (1 - optimal) if usage > optimal else 0.0)
