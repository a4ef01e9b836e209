"""`compare`: the same strategy on the same prices in several margin modes, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from backtest.report.page import render_comparison
from backtest.results import report_files
from backtest.results.result import Result
from backtest.runner.run import plan, played, result
from backtest.runner.stream import Progress
from backtest.runner.timeout import within
from backtest.venues.margin_modes import margin_modes, split


@dataclass(frozen=True, repr=False)
class Comparison:
    """One result per margin mode, in the order asked for."""

    results: list[Result]
    summary: dict[str, Any]
    """The runs' summaries by label."""
    folder: Path | None = None

    def __getitem__(self, label: str) -> Result:
        """Return the result of a margin mode; KeyError for one that was not played."""
        found = next((r for r in self.results if r.label == label), None)
        if found is None:
            raise KeyError(self.summary.get("left_out", {}).get(label) or label)
        return found

    def __repr__(self) -> str:
        """Return a line per result for a notebook or a prompt."""
        where = "" if self.folder is None else f", report in {self.folder}"
        lines = [f"  {result.label}: {result.headline}" for result in self.results]
        return "\n".join([f"<{type(self).__name__} of {len(self.results)} runs{where}", *lines]) + ">"


def compare(
    strategy: Any,
    data: Any,
    *,
    margin: Sequence[str] | str = ("isolated", "cross"),
    out: str | Path | None = None,
    progress: Progress | None = None,
    chunk_rows: int | None = None,
    timeout: float | None = None,
    **settings: Any,
) -> Comparison:
    """Stream the data once into one account per margin mode. Other arguments as of `run`.

    A mode that the venue cannot be played in is left out: the summary says why in ``left_out``, by mode. UserError if
    that is all of them, and as `run`.
    """
    modes, own = margin_modes(margin)
    target = report_files.claim(Path(out)) if out is not None else None

    def made() -> tuple[Comparison, str]:
        whole = plan(strategy, data, **{"modes": own, **settings})
        kept, left_out = split(whole.profile, modes)
        planned, records = played(whole, kept, progress, chunk_rows)
        results = [result(planned, record) for record in records]
        summary = {"kind": "comparison", "runs": {r.label: r.summary for r in results}, "left_out": left_out}
        page = "" if target is None else render_comparison(results, left_out=left_out)
        return Comparison(results, summary), page

    done, page = within(timeout, made)
    if target is None:
        return done
    extras = {"left_out": done.summary["left_out"]}
    return replace(done, folder=report_files.write(target, done.results, page, extras))
