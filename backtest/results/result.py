"""What one run gives: a summary and its tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl


@dataclass(frozen=True)
class Result:
    """One account's run, in memory as on disk."""

    label: str
    """Short name, such as the margin mode: its curve's name in a comparison, and its folder's."""
    summary: dict[str, Any]
    """See :func:`backtest.results.summary.build`."""
    tables: dict[str, pl.DataFrame]
    """See :func:`backtest.results.tables.tables`."""
    folder: Path | None = None
    """Where its report was written; None: nowhere."""

    @property
    def metrics(self) -> dict[str, Any]:
        """Numbers by name, None where undefined; see :func:`backtest.results.metrics.metrics`."""
        metrics: dict[str, Any] = self.summary["metrics"]
        return metrics

    @property
    def digest(self) -> str:
        """SHA-256 over the tables."""
        return str(self.summary["digest"])
