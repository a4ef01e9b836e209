"""A factor on a price over time: straight lines between points, 1 before the first, the last value after the last."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_FACTOR = 0.01
"""A shocked price stops at −99 %: below it a price is no longer one that an engine can count in."""


@dataclass(frozen=True)
class Curve:
    """Points (ms since 1970, factor) in order of time; two at one instant are a jump."""

    points: tuple[tuple[float, float], ...]

    @property
    def first_ms(self) -> float:
        """When it begins to differ from 1."""
        return self.points[0][0]

    @property
    def last_ms(self) -> float:
        """From when it no longer changes."""
        return self.points[-1][0]

    @property
    def flat(self) -> bool:
        """Whether it is 1 everywhere."""
        return all(factor == 1.0 for _, factor in self.points)

    def later(self, delay_ms: int) -> Curve:
        """The same, so many ms later."""
        return Curve(tuple((when + delay_ms, factor) for when, factor in self.points))

    def after(self, times: Floats) -> Floats:
        """Factors at these times, behind a jump that is there."""
        return self._valued(times, "right")

    def before(self, times: Floats) -> Floats:
        """Factors at these times, before a jump that is there."""
        return self._valued(times, "left")

    def _valued(self, times: Floats, side: str) -> Floats:
        stamps = np.array([when for when, _ in self.points])
        factors = np.array([factor for _, factor in self.points])
        k = np.searchsorted(stamps, times, side)  # type: ignore[call-overload]
        near, far = np.clip(k - 1, 0, len(stamps) - 1), np.clip(k, 0, len(stamps) - 1)
        length = stamps[far] - stamps[near]
        share = np.where(length > 0, (times - stamps[near]) / np.where(length > 0, length, 1.0), 0.0)
        found: Floats = factors[near] + (factors[far] - factors[near]) * share
        return np.where(k == 0, 1.0, found)


def moved(at_ms: int, moves: Sequence[tuple[int, float]]) -> Curve:
    """The curve of moves from ``at_ms`` on: pairs of ms after it and the move by then, as a share (−0.15).

    A move at 0 ms is a jump. Moves stop at −99 %.
    """
    points = [(float(at_ms), 1.0)]
    points += [(float(at_ms + after), max(LEAST_FACTOR, 1.0 + move)) for after, move in moves]
    return Curve(tuple(points))


def product(curves: Iterable[Curve], times: Floats, jumped: bool) -> Floats:
    """Factors of all curves together at these times, behind a jump that is there (``jumped``) or before it."""
    found = np.ones(len(times))
    for curve in curves:
        found *= curve.after(times) if jumped else curve.before(times)
    return np.maximum(found, LEAST_FACTOR)


def instants(curves: Iterable[Curve]) -> list[float]:
    """Every time at which any of the curves has a point, once, in order."""
    return sorted({when for curve in curves for when, _ in curve.points if math.isfinite(when)})
