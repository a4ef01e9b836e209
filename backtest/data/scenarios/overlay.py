"""What a scenario changes of a stream, with times and markets filled in: plain values, the same for the same input."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backtest.data.scenarios.curve import Curve
from backtest.data.scenarios.shocked_candles import Hold


@dataclass(frozen=True)
class Thinning:
    """Candles that open in ``start_ms <= t < end_ms`` have this share of their volume."""

    start_ms: int
    end_ms: int
    share: float


@dataclass(frozen=True)
class MarketShock:
    """What happens to one market."""

    symbol: str
    trade: tuple[Curve, ...] = ()
    """Factors on its trades, all of them together."""
    mark: tuple[Curve, ...] = ()
    """Factors on its marks."""
    holds: tuple[Hold, ...] = ()
    """When its mark stands still."""
    volume: tuple[Thinning, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether any price or volume becomes another."""
        curves = (*self.trade, *self.mark)
        return any(not one.flat for one in curves) or bool(self.holds) or any(v.share != 1.0 for v in self.volume)


@dataclass(frozen=True)
class FundingShock:
    """Settlements in ``start_ms <= t < end_ms`` of some markets: their rate times a factor, or another rate."""

    symbols: tuple[str, ...]
    start_ms: int
    end_ms: int
    factor: float = 1.0
    rate: float | None = None


@dataclass(frozen=True)
class Overlay:
    """Everything that a scenario changes of candles, marks, volume and funding."""

    markets: tuple[MarketShock, ...] = ()
    funding: tuple[FundingShock, ...] = field(default=())

    @property
    def changes(self) -> bool:
        """Whether it changes anything."""
        kept = any(shock.factor != 1.0 or shock.rate is not None for shock in self.funding)
        return kept or any(shock.changes for shock in self.markets)

    @property
    def apart(self) -> bool:
        """Whether marks go another way than trades."""
        return any(shock.trade != shock.mark or shock.holds for shock in self.markets)

    def sha256(self) -> str:
        """By which two overlays are told apart."""
        return hashlib.sha256(repr(self).encode()).hexdigest()

    def of(self, symbol: str) -> MarketShock:
        """What happens to a market."""
        return next((shock for shock in self.markets if shock.symbol == symbol), MarketShock(symbol))

    def settled(self, funding: NDArray[np.float64], symbols: Sequence[str]) -> NDArray[np.float64]:
        """Settlements [n, 3] of stamp ms, symbol number and rate, with the rates of the scenario."""
        out = funding.copy()
        for shock in self.funding:
            numbers = [symbols.index(symbol) for symbol in shock.symbols if symbol in symbols]
            inside = (out[:, 0] >= shock.start_ms) & (out[:, 0] < shock.end_ms) & np.isin(out[:, 1], numbers)
            if shock.rate is None:
                out[inside, 2] *= shock.factor
            else:
                # What the data lack stays missing: a run stops there, or goes on as it is allowed to.
                known = inside & ~np.isnan(out[:, 2])
                out[known, 2] = shock.rate
        return out
