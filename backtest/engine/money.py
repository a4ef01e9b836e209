"""Exact money: products of doubles and integers rounded once, to the nearest, ties to even.

docs/reference/rules.md section 1. A product of two doubles is kept as an unevaluated sum `high + low` of two
doubles that is exactly the product (Dekker, "A floating-point technique for extending the available
precision", Numerische Mathematik 18, 1971), so the one rounding sees the true value.
"""

from __future__ import annotations

import numpy as np

from backtest.core.errors import Broken
from backtest.engine.compile import kernel

LIMIT = 4503599627370496.0
"""2^52 micro, 4.5 billion quote units: below it the rounding here is exact. More in one amount is refused."""
MOST_LOTS = 9007199254740992.0
"""2^53: fewer lots than this are whole numbers as doubles, which queue and journal are made of."""
MOST_UNITS = 1152921504606846976.0
"""2^60 micro-units of base: an order and a position below it cannot overflow 64 bits together."""
SPLITTER = 134217729.0  # 2^27 + 1, halves a double's 53 bits


@kernel
def two_product(a: float, b: float) -> tuple[float, float]:
    """`(high, low)` with `high + low == a × b` exactly and `high` the nearest double."""
    high = a * b
    t = SPLITTER * a
    a_high = t - (t - a)
    a_low = a - a_high
    t = SPLITTER * b
    b_high = t - (t - b)
    b_low = b - b_high
    low = ((a_high * b_high - high) + a_high * b_low + a_low * b_high) + a_low * b_low
    return high, low


@kernel
def round_sum(high: float, low: float) -> int:
    """`high + low` to the nearest whole number, ties to even, for `|low| ≤ ulp(high) / 2`."""
    if not abs(high) < LIMIT:
        raise Broken("an amount of money is beyond 4.5 billion quote units")
    whole = np.rint(high)
    rest = high - whole
    # Only an apparent tie can be decided by the low part; rint went to the even side.
    if rest == 0.5 and low > 0.0:
        whole += 1.0
    elif rest == -0.5 and low < 0.0:
        whole -= 1.0
    return int(whole)


@kernel
def money(price: float, u: int) -> int:
    """Value in micro of `u` micro-units of base at `price`: `round(price × u)`."""
    base = float(u)
    if int(base) != u:
        raise Broken("a quantity is beyond what can be counted exactly")
    high, low = two_product(price, base)
    return round_sum(high, low)


@kernel
def share(amount: int, rate: float) -> int:
    """`round(amount × rate)`: a fee, a penalty, a requirement."""
    high, low = two_product(float(amount), rate)
    return round_sum(high, low)


@kernel
def money_share(price: float, u: int, rate: float) -> int:
    """`round(price × u × rate)` with one rounding: a funding payment at a mark price."""
    high, low = two_product(price, float(u))
    top, rest = two_product(high, rate)
    rest += low * rate
    total = top + rest
    return round_sum(total, rest - (total - top))


@kernel
def proportion(a: int, num: int, den: int) -> int:
    """`round(a × num / den)` for `0 ≤ num ≤ den`, `den > 0`, ties to even.

    The quotient is estimated in doubles; the remainder is exact although `a × num` may not fit 64 bits,
    because it is small and 64-bit products are exact modulo 2^64.
    """
    a, num, den = int(a), int(num), int(den)
    q = int(float(a) * float(num) / float(den))
    r = a * num - q * den
    d = r // den
    q += d
    r -= d * den
    if 2 * r > den or (2 * r == den and q % 2 != 0):
        q += 1
    return q


@kernel
def proportion_down(a: int, num: int, den: int) -> int:
    """`⌊a × num / den⌋`, towards −∞, for `0 ≤ num ≤ den`, `den > 0`; as `proportion`."""
    a, num, den = int(a), int(num), int(den)
    q = int(float(a) * float(num) / float(den))
    r = a * num - q * den
    return q + r // den


@kernel
def proportion_up(a: int, num: int, den: int) -> int:
    """`⌈a × num / den⌉`; as `proportion_down`."""
    return -proportion_down(-a, num, den)


@kernel
def millionths_up(n: int, ppm: int) -> int:
    """`⌈n × ppm / 10⁶⌉` for `n ≥ 0`; in two parts, since the product may not fit 64 bits."""
    whole, rest = n // 1000000, n % 1000000
    return whole * ppm + (rest * ppm + 999999) // 1000000


@kernel
def between(a: int, b: int, num: int, den: int) -> int:
    """The integer at `num / den` of the way from `a` to `b`."""
    return a + proportion(b - a, num, den)


@kernel
def divisor(amount: int, quotient: float) -> int:
    """The least whole number by which `amount` ≥ 0 divided, in doubles, is at most `quotient` > 0; 0 for 0.

    At most LIMIT, which nobody has.
    """
    about = float(amount) / quotient
    if not about < LIMIT:
        return int(LIMIT)
    n = int(np.ceil(about))
    while n > 1 and float(amount) / float(n - 1) <= quotient:
        n -= 1
    while n > 0 and float(amount) / float(n) > quotient:
        n += 1
    return n


@kernel
def whole_lots(lots: float, step: int) -> int:
    """`lots` cut to a whole number, towards zero."""
    fits = abs(lots) < MOST_LOTS and abs(lots) * float(step) < MOST_UNITS
    if not fits:
        raise Broken("a quantity is beyond what can be counted exactly")
    return int(lots)


@kernel
def lots_for(value: int, price: float, step: int) -> int:
    """Largest number of lots, ≥ 0, whose value `price × lots × step` does not exceed `value` ≥ 0 (micro)."""
    lots = whole_lots(float(value) / (price * float(step)), step)
    while lots > 0 and not _fits(value, price, lots * step):
        lots -= 1
    while _fits(value, price, (lots + 1) * step):
        lots += 1
    return lots


@kernel
def _fits(value: int, price: float, u: int) -> bool:
    high, low = two_product(price, float(u))
    excess = high - float(value)
    return excess < 0.0 or (excess == 0.0 and low <= 0.0)
