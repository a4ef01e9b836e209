"""The positions of a run, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

IN_MEMORY = "positions"
"""What messages call positions that are in no file."""


@dataclass(frozen=True)
class HeldBook:
    """Positions of a run, in the order of their symbols, and what else their file says."""

    rows: tuple[Mapping[str, str | float], ...]
    """Keys and values of a positions file, without those that it leaves out."""
    venue: str | None = None
    margin: str | None = None
    collateral: float | None = None
    place: str = field(default=IN_MEMORY, compare=False)
    """The file, for messages."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The markets."""
        return tuple(str(row["symbol"]) for row in self.rows)

    @property
    def modes(self) -> dict[str, str]:
        """Margin mode of the positions with their own mode, by symbol."""
        return {str(row["symbol"]): str(row["mode"]) for row in self.rows if "mode" in row}

    def plain(self) -> list[dict[str, str | float]]:
        """Return the positions as plain tables."""
        return [dict(row) for row in self.rows]
