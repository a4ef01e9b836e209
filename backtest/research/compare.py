"""`compare`: the same strategy on the same prices in several margin modes, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtest.report.page import render_comparison
from backtest.research.config import margin_modes
from backtest.research.run import Progress, plan, played, result
from backtest.results import files
from backtest.results.result import Result


@dataclass(frozen=True)
class Comparison:
    """One result per margin mode, in the order asked for."""

    results: list[Result]
    summary: dict[str, Any]
    """The runs' summaries by label."""
    folder: Path | None = None

    def __getitem__(self, label: str) -> Result:
        """The result of a margin mode."""
        return next(r for r in self.results if r.label == label)


def compare(
    strategy: Any,
    data: Any,
    *,
    margin: Sequence[str] | str = ("isolated", "cross"),
    out: str | Path | None = None,
    progress: Progress | None = None,
    chunk_rows: int | None = None,
    **settings: Any,
) -> Comparison:
    """Stream the data once into one account per margin mode. Other arguments as of `run`."""
    modes, own = margin_modes(margin)
    target = files.claim(Path(out)) if out is not None else None
    planned, records = played(plan(strategy, data, **{"modes": own, **settings}), modes, progress, chunk_rows)
    results = [result(planned, record) for record in records]
    summary = {"kind": "comparison", "runs": {r.label: r.summary for r in results}}
    if target is None:
        return Comparison(results, summary)
    return Comparison(results, summary, files.write(target, results, render_comparison(results)))
