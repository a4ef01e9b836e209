"""A position as a strategy is shown it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import SupportsIndex, overload


class Position(Sequence[str | float]):
    """A position at the last close; base and quote units. It compares and unpacks as the tuple of its fields.

    Only the liquidation price takes time to compute, and few strategies want it: it is computed when it is first
    read, or when the account changes while the position is still held, so it is always that of the last close.
    """

    __slots__ = ("__weakref__", "_level", "entry_price", "mark", "notional", "qty", "symbol", "unrealized")

    def __init__(
        self,
        symbol: str,
        qty: float,
        entry_price: float,
        mark: float,
        notional: float,
        unrealized: float,
        liquidation_price: float | Callable[[], float],
    ) -> None:
        self.symbol = symbol
        self.qty = qty
        """Signed, long positive; 0.0: none."""
        self.entry_price = entry_price
        """Average cost; NaN: no position."""
        self.mark = mark
        self.notional = notional
        """Signed, at the mark."""
        self.unrealized = unrealized
        self._level = liquidation_price

    @property
    def liquidation_price(self) -> float:
        """Mark at which its pool would be liquidated with all other marks as they are; NaN: none."""
        level = self._level
        if not isinstance(level, float):
            level = self._level = level()
        return level

    def _fields(self) -> tuple[str | float, ...]:
        known = (self.symbol, self.qty, self.entry_price, self.mark, self.notional, self.unrealized)
        return (*known, self.liquidation_price)

    @overload
    def __getitem__(self, at: SupportsIndex) -> str | float: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[str | float, ...]: ...
    def __getitem__(self, at: SupportsIndex | slice) -> str | float | tuple[str | float, ...]:
        return self._fields()[at]

    def __iter__(self) -> Iterator[str | float]:
        return iter(self._fields())

    def __len__(self) -> int:
        return len(self._fields())

    def __eq__(self, other: object) -> bool:
        return tuple(other) == self._fields() if isinstance(other, Position | tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._fields())

    def __repr__(self) -> str:
        names = ("symbol", "qty", "entry_price", "mark", "notional", "unrealized", "liquidation_price")
        return f"Position({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    def __reduce__(self) -> tuple[type[Position], tuple[str | float, ...]]:
        return Position, self._fields()
