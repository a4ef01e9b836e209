"""Section 1: each operation rounds once, from the exact value, to the nearest, ties to even (`round` of a Fraction)."""

from __future__ import annotations

from fractions import Fraction
from math import floor


def money(price: float, units: int) -> int:
    """Micro value of `units` millionths of the base at `price`."""
    return round(Fraction(price) * units)


def share(amount: int, rate: float) -> int:
    """`rate` of `amount`."""
    return round(amount * Fraction(rate))


def part(amount: int, num: int, den: int) -> int:
    """`num / den` of `amount`."""
    return round(Fraction(amount * num, den))


def part_down(amount: int, num: int, den: int) -> int:
    """`num / den` of `amount`, rounded down."""
    return amount * num // den


def part_up(amount: int, num: int, den: int) -> int:
    """`num / den` of `amount`, rounded up."""
    return -(-amount * num // den)


def between(a: int, b: int, num: int, den: int) -> int:
    """The point `num / den` of the way from `a` to `b`."""
    return a + part(b - a, num, den)


def eight_digits(value: Fraction) -> float:
    """`value` (positive) rounded to eight significant decimal digits, then to the nearest double.

    A tie, and what is within a part in 10^12 below it, is rounded up.
    """
    exponent = 0
    while value >= Fraction(10) ** (exponent + 8):
        exponent += 1
    while value < Fraction(10) ** (exponent + 7):
        exponent -= 1
    nudged = value / Fraction(10) ** exponent * (1 + Fraction(1, 10**12))
    return float(floor(nudged + Fraction(1, 2)) * Fraction(10) ** exponent)


def sign(number: int) -> int:
    return (number > 0) - (number < 0)
