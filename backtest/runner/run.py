"""`run`: one account through history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Unpack

from backtest.core.errors import UserError
from backtest.core.records import Record
from backtest.data.catalog import DataSource
from backtest.report.run_page import render
from backtest.results import mark_cost as costs
from backtest.results import report_files, summary
from backtest.results.chain_summary import figures
from backtest.results.finality import READS
from backtest.results.judgement import judged
from backtest.results.result import Result
from backtest.runner import fee_schedule
from backtest.runner.beginning import opening_figures, opening_notes
from backtest.runner.drawn_candles import drawn_candles
from backtest.runner.fill_costs import depth_sha256
from backtest.runner.notes import STRETCHED, notes
from backtest.runner.origins import keyword_errors
from backtest.runner.plan import Plan, plan_of
from backtest.runner.posted_margin import posted
from backtest.runner.quick_check import quick_check, tell
from backtest.runner.replays import in_place, replay, replay_with_shadow
from backtest.runner.run_document import document_text, named_again
from backtest.runner.run_keywords import RunKeywords
from backtest.runner.setting import RUN
from backtest.runner.settings import RunSettings
from backtest.runner.stream import Progress
from backtest.runner.timeout import within
from backtest.runner.validation import checked
from backtest.runner.warnings import warnings
from backtest.strategy import loader
from backtest.strategy.loader import StrategySource
from backtest.venues.field_types import moment_at


def result(planned: Plan, record: Record, label: str | None = None) -> Result:
    """The tables, metrics and summary of one account; the books must balance, or it fails. ``label``: else the mode."""
    chaining = planned.chaining
    frames, numbers, hashed = judged(record, chaining.chain)
    s, c = planned.selection, planned.config
    description = type(planned.strategy).describe()
    stretched = (planned.drill if planned.drill and record.counts.get("candles drilled down") else s).stretched
    counted = record.counts | chaining.halts.counts | {STRETCHED: len(stretched)}
    counts = {name: number for name, number in counted.items() if number}
    about = summary.build(
        label=label or record.margin,
        strategy={
            "name": description.name,
            "doc": description.doc,
            "params": planned.strategy.params,
            "source": None if c.positions else loader.source_sha256(planned.strategy),
            "every_ms": planned.decisions.every_ms,
            "guards": list(planned.strategy.guards),
            "never_known": planned.decisions.never_known(),
        },
        config={
            **c.as_dict(),
            "margin": record.margin,
            "fees": fee_schedule.in_words(planned.profile, c, s.start_ms, s.start_ms + s.rows * s.interval_ms),
            "venue_rules": planned.profile.in_words(s.symbols, moment_at(s.start_ms)),
            "venue_changes": planned.profile.changes(s.symbols, s.start_ms, s.start_ms + s.rows * s.interval_ms),
            "venue_sha256": planned.profile.sha256(),
            "depth_sha256": depth_sha256(c),
            "isolated": posted(planned.profile, c, record),
            **chaining.as_dict(s.start_ms),
        },
        data={
            "name": s.catalog.name,
            "symbols": list(s.symbols),
            "interval_ms": s.interval_ms,
            "joined_from_ms": s.catalog.interval_ms if s.finer > 1 else None,
            "drill_ms": c.drill_ms,
            "from_ms": s.start_ms,
            "to_ms": s.start_ms + s.rows * s.interval_ms,
            "rows": s.rows,
            "quote": s.catalog.quote,
            "synthetic": s.catalog.synthetic,
            "provenance": s.catalog.provenance,
            "marks": dict(s.marks),
            "stretched_marks": [asdict(stretch) for stretch in stretched],
            "fingerprint": s.fingerprint(c.drill_ms or 0, further=planned.chaining.oracle.median),
        },
        seed=c.seed,
        metrics=numbers,
        counts=counts,
        digest=hashed,
        notes=[
            *opening_notes(c, record, s.catalog.quote),
            *planned.operator.sentences(),
            *notes(planned.profile, c, record, planned.charges, chaining, planned.usual, stretched),
        ],
        warnings=warnings(planned.profile, c, record, s, planned.chaining.oracle),
        chain=figures(record, chaining.chain, frames.columns("fills", *READS)) if chaining.alive else None,
        lowest=record.lowest,
        opening=opening_figures(record),
    )
    return Result(label or record.margin, about, frames)


@keyword_errors(RUN)
def run(
    strategy: StrategySource | None = None,
    data: DataSource = "",
    *,
    progress: Progress | None = None,
    chunk_rows: int | None = None,
    **settings: Unpack[RunKeywords],
) -> Result:
    """Replay one account.

    ``strategy``: a file, ``module:Class``, a name, a class or an instance; left out where ``positions`` are given.
    ``data``: a folder or an open Catalog.
    ``settings``: as `RunKeywords` lists them; docs/reference/settings.md explains each. ``out`` is the folder of the
    report, without it nothing is written. ``timeout`` covers the planning, every replay and the page.

    Raises UserError for bad settings or data, RunError when the strategy fails or the time is over.
    """
    asked = checked(settings, RUN)
    modes = one_mode(asked, "a run has one; `backtest compare` replays several")
    target = report_files.claim(Path(asked.out)) if asked.out is not None else None

    def made() -> tuple[Result, Callable[[Path], Path]]:
        planned = in_place(plan_of(strategy, data, asked), modes, progress, chunk_rows)
        done = _account(planned, modes, asked, progress, chunk_rows)
        if target is None:
            return done, lambda folder: folder
        candles = drawn_candles(planned.selection, [done])
        page, written = render(done, candles), document(RUN, planned, strategy, target)
        beside = {report_files.CANDLES: candles}
        return done, lambda folder: report_files.write(folder, done, page, beside=beside, document=written)

    done, write = within(asked.timeout, made)
    return done if target is None else Result(done.label, done.summary, done.tables, write(target))


def document(command: str, planned: Plan, strategy: StrategySource | None, folder: Path) -> str:
    """The text of the `run.toml` of a report in ``folder``."""
    named = [] if strategy is None else [named_again(strategy, planned.config.strategy)]
    return document_text(command, planned.config, named, folder)


def one_mode(asked: RunSettings, remedy: str) -> tuple[str, ...]:
    """The one margin mode of the account; UserError with the remedy where there are several."""
    if len(asked.margin_modes) > 1:
        raise UserError(f"margin modes {', '.join(asked.margin_modes)}", "--margin", remedy)
    return asked.margin_modes


def _account(
    planned: Plan, modes: Sequence[str], asked: RunSettings, progress: Progress | None, chunk_rows: int | None
) -> Result:
    """The result of one account; with what its venue mark cost, where that is asked for and is another."""
    shadowed = asked.mark_cost and planned.chaining.sees_apart
    if shadowed:
        record, other = replay_with_shadow(planned, modes[0], progress, chunk_rows)
    else:
        record, other = next(replay(planned, modes, progress, chunk_rows)), ""
    looked = quick_check(planned, record, modes) if asked.check and not asked.positions else None
    made = result(planned, record)
    if shadowed:
        known = {"failure": other} if isinstance(other, str) else costs.figures(made.metrics, other)
        made.summary["mark_cost"] = summary.plain({**known, "approximate": bool(planned.chaining.oracle.rough)})
    if looked is not None:
        tell(made, looked)
    return made
