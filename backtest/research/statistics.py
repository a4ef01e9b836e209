"""The door to the statistics libraries (arch, SciPy): pip install 'perp-backtest[research]'."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from backtest.core.errors import UserError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A share with its 95 % confidence interval."""

    share: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.share:.1f}% ({100 * self.low:.1f}% to {100 * self.high:.1f}%)"


def proportion(hits: int, of: int) -> Interval:
    """Return the share of hits with its interval: Wilson, "Probable Inference", JASA 22 (1927)."""
    from scipy.stats import binomtest

    found = binomtest(hits, of).proportion_ci(0.95, method="wilson")
    return Interval(hits / of, float(found.low), float(found.high))


def block_length(values: Floats) -> float:
    """Return the mean block length that suits the stationary bootstrap of a series, in its steps, at least 1.

    Politis and White, "Automatic Block-Length Selection for the Dependent Bootstrap" (2004), as corrected by Patton,
    Politis and White (2009).
    """
    known = values[np.isfinite(values)]
    if len(known) < 20 or np.ptp(known) == 0:
        return 1.0
    return max(1.0, float(_bootstrap().optimal_block_length(known)["stationary"].iloc[0]))


def stationary_rows(rows: int, block: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return ``rows`` row numbers in blocks of random length (geometric, of mean ``block``) from random places.

    A block that reaches the end goes on at the beginning. Politis and Romano, "The Stationary Bootstrap", JASA 89
    (1994).
    """
    drawn = _bootstrap().StationaryBootstrap(block, np.arange(rows), seed=rng)
    ((found,), _) = next(drawn.bootstrap(1))
    return np.asarray(found, np.int64)


def _bootstrap() -> ModuleType:
    try:
        import arch.bootstrap
    except ImportError:
        remedy = "pip install 'perp-backtest[research]'"
        raise UserError("arch is not installed", "montecarlo", remedy) from None
    found: ModuleType = arch.bootstrap
    return found
