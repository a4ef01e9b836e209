"""`compare`: the same strategy on the same prices in several margin modes, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack, cast

from backtest.core.records import Record
from backtest.data.catalog import DataSource
from backtest.report.page import render_comparison
from backtest.report.variants_page import render_variants
from backtest.results import report_files
from backtest.results.result import Result
from backtest.results.summary_types import ComparisonSummary
from backtest.runner.origins import keyword_errors
from backtest.runner.plan import Plan, plan_of
from backtest.runner.quick_check import quick_check, tell
from backtest.runner.replays import played
from backtest.runner.run import document, result
from backtest.runner.run_keywords import CompareKeywords
from backtest.runner.setting import COMPARE
from backtest.runner.settings import RunSettings
from backtest.runner.stream import Progress
from backtest.runner.timeout import within
from backtest.runner.validation import checked
from backtest.runner.variants import Variant, play_variants, variants_of, varied_document, varied_facts
from backtest.strategy.loader import StrategySource
from backtest.venues.margin_modes import split


@dataclass(frozen=True, repr=False)
class Comparison:
    """One result per margin mode, in the order asked for."""

    results: list[Result]
    summary: ComparisonSummary
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


@keyword_errors(COMPARE)
def compare(
    strategy: StrategySource | None = None,
    data: DataSource = "",
    *,
    progress: Progress | None = None,
    chunk_rows: int | None = None,
    **settings: Unpack[CompareKeywords],
) -> Comparison:
    """Stream the data once into one account per margin mode. Other arguments as of `run`.

    ``vary``: values of settings, like ``{"venue": ["dydx_v4", "hyperliquid"], "leverage": [5, 10]}``, and of
    ``strategy``, which is then left out: one account for every combination and margin mode, the data streamed once for
    those that replay the same candles. The summary has ``varied`` by label, and ``partings``: where each account first
    differs from the first.

    A mode that the venue cannot be played in is left out: the summary says why in ``left_out``, by mode. UserError if
    that is all of them, and as `run`.
    """
    asked = checked(settings, COMPARE)
    target = report_files.claim(Path(asked.out)) if asked.out is not None else None
    if asked.vary:
        given = [name for name, value in settings.items() if value is not None]
        variants = variants_of(strategy, data, asked, given)
        return within(asked.timeout, lambda: _varied(variants, asked, target, progress, chunk_rows))

    def made() -> tuple[Comparison, str, str]:
        whole = plan_of(strategy, data, asked)
        kept, left_out = split(whole.profile, asked.margin_modes)
        planned, records = played(whole, kept, progress, chunk_rows)
        results = list(_results(planned, kept, records))
        runs = {r.label: r.summary for r in results}
        summary: ComparisonSummary = {"kind": "comparison", "runs": runs, "left_out": left_out}
        done = Comparison(results, summary)
        if target is None:
            return done, "", ""
        return done, render_comparison(results, left_out=left_out), document(COMPARE, whole, strategy, target)

    done, page, written = within(asked.timeout, made)
    if target is None:
        return done
    extras = {"left_out": done.summary["left_out"]}
    return replace(done, folder=report_files.write(target, done.results, page, extras, document=written))


def _results(planned: Plan, modes: Sequence[str], records: Iterator[Record]) -> Iterator[Result]:
    """The result of each account; a record is gone before the next comes."""
    looked = None
    for record in records:
        # One check for all: the accounts have one strategy.
        if looked is None and planned.config.check and not planned.config.positions:
            looked = quick_check(planned, record, modes)
        made = result(planned, record)
        if looked is not None:
            tell(made, looked)
        yield made


def _varied(
    variants: Sequence[Variant],
    asked: RunSettings,
    target: Path | None,
    progress: Progress | None,
    chunk_rows: int | None,
) -> Comparison:
    """The accounts of every combination, and their report."""
    results, left_out = play_variants(variants, progress, chunk_rows)
    facts = varied_facts(variants, results, left_out)
    runs = {r.label: r.summary for r in results}
    summary = cast("ComparisonSummary", {"kind": "comparison", "runs": runs, **facts})
    done = Comparison(results, summary)
    if target is None:
        return done
    page = render_variants(results, facts["varied"], facts["partings"], left_out)
    written = varied_document(variants, asked, target)
    return replace(done, folder=report_files.write(target, results, page, facts, document=written))
