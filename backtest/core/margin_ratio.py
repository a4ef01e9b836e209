"""The margin ratio of one instant."""

from __future__ import annotations


def ratio_of(maintenance: float, equity: float) -> float | None:
    """Return maintenance margin over equity; 0 without maintenance, None where it has no meaning."""
    if not maintenance:
        return 0.0
    return maintenance / equity if equity > 0 else None
