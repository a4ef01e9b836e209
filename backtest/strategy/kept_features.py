"""Features that several sets of parameters have in common, worked out once."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

HELD_BYTES = 32 << 20
"""What is held in memory at most; other features are worked out each time."""
PYTHON = (b"PLPYFN", b"pickle")
"""In an expression that calls Python: what comes of it need not be the same each time."""


class KeptFeatures:
    """Values of expressions over the candles of a symbol."""

    def __init__(self, most: int = HELD_BYTES) -> None:
        self._left = most
        self._held: dict[tuple[str, bytes], NDArray[np.float64]] = {}

    def key(self, expression: pl.Expr) -> bytes | None:
        """Return what an expression is known by; None for one that is not to be held."""
        try:
            text = expression.meta.serialize()
        except pl.exceptions.PolarsError:
            return None
        return None if any(word in text for word in PYTHON) else text

    def get(self, symbol: str, key: bytes | None) -> NDArray[np.float64] | None:
        """Return the values, if they are held."""
        return None if key is None else self._held.get((symbol, key))

    def keep(self, symbol: str, key: bytes | None, values: NDArray[np.float64]) -> None:
        """Hold the values, which must not change, as long as there is space."""
        if key is not None and values.nbytes <= self._left:
            self._left -= values.nbytes
            self._held[symbol, key] = values
