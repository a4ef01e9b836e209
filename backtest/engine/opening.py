"""A position that an account begins with: taken over at its entry price, or bought at the first open."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Opening:
    """One of them (docs/reference/rules.md section 2.1)."""

    symbol: int
    """Its number in the run."""
    lots: int
    """Signed."""
    entry: float | None = None
    """Price that it was entered at; None: a market order sent before the first row opens it."""
    cost: int = 0
    """Micro that it cost there, signed as it is."""
    posted: int = 0
    """Micro moved into its isolated account."""
    leverage: float | None = None
    """Of its market from the start on; None: that of the run."""
