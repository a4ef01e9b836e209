"""Layer 2, section 1: a latency's value at a number made from a key of whole numbers."""

from __future__ import annotations

from fractions import Fraction
from math import exp, floor, log
from statistics import NormalDist

from tests.reference.chain import Latency

NETWORK, QUEUE, TRANSFER = 0, 1, 3
"""Stages; 2 is the way back, which nothing here takes."""
WORD = 2**32
NONE = -1
"""In place of a symbol's number: none."""


def mix(h: int) -> int:
    h ^= h >> 16
    h = h * 0x45D9F3B % WORD
    h ^= h >> 16
    h = h * 0x45D9F3B % WORD
    return h ^ h >> 16


def uniform(seed: int, time_ms: int, symbol: int, n: int, stage: int) -> float:
    """In (0, 1), a double; `symbol` is a number in sorted order or NONE."""
    h = 0x9E3779B9
    for word in (seed % WORD, seed // WORD, time_ms % WORD, time_ms // WORD, symbol + 1, n, stage):
        h = mix(h ^ word)
    high, low = mix(h ^ 1) // 2**5, mix(h ^ 2) // 2**6
    return float(Fraction(2 * (high * 2**26 + low) + 1, 2**54))


def value(latency: Latency, u: float) -> float:
    """In ms, not rounded."""
    if latency.quantiles:
        return quantile(latency.quantiles, u)
    if latency.median == latency.p99 or latency.median == 0:
        return latency.median
    normal = NormalDist()
    sigma = log(latency.p99 / latency.median) / normal.inv_cdf(0.99)
    return latency.median * exp(sigma * normal.inv_cdf(u))


def quantile(table: tuple[float, ...], u: float) -> float:
    """On the straight lines between evenly spaced quantiles."""
    p = u * (len(table) - 1)
    i = floor(p)
    if i == len(table) - 1:
        return table[i]
    return table[i] + (table[i + 1] - table[i]) * (p - i)


def whole(ms: float) -> int:
    return floor(ms + 0.5)
