"""A mark price's moving average over irregular samples. Source: docs/reference/venues.md."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Ema:
    """Exponentially weighted mean of samples, each weighing the time it stood for; empty at first."""

    tau_s: float
    numerator: float = 0.0
    denominator: float = 0.0

    def after(self, sample: float, elapsed_s: float) -> Ema:
        """With one sample more: ``num ← num × e^(−t/τ) + sample × t``, ``den ← den × e^(−t/τ) + t``."""
        fade = math.exp(-elapsed_s / self.tau_s)
        return Ema(self.tau_s, self.numerator * fade + sample * elapsed_s, self.denominator * fade + elapsed_s)

    @property
    def value(self) -> float | None:
        """The mean; None before the first sample."""
        return self.numerator / self.denominator if self.denominator else None
