"""`latency`: the same strategy on the same prices with several delays, and what being slower cost it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Unpack

import polars as pl

from backtest.core.errors import UserError
from backtest.core.records import Record
from backtest.data.catalog import DataSource
from backtest.report.latency_page import render_latency
from backtest.report.outcome import outcome
from backtest.results import report_files
from backtest.results.metric_definitions import by_name
from backtest.results.result import Result
from backtest.results.summary import LATENCY
from backtest.results.summary_types import ComparisonSummary
from backtest.runner.account_runner import AccountRunner
from backtest.runner.compare import Comparison
from backtest.runner.origins import keyword_errors
from backtest.runner.plan import Plan, plan_of
from backtest.runner.replays import placed, seated
from backtest.runner.run import document, one_mode, result
from backtest.runner.run_keywords import LatencyKeywords
from backtest.runner.setting import LATENCY as LATENCY_CURVE
from backtest.runner.settings import MOST_LATENCY_MS
from backtest.runner.slippage_settings import parse_slippage
from backtest.runner.stream import Progress, stream
from backtest.runner.timeout import within
from backtest.runner.validation import checked
from backtest.strategy.loader import StrategySource
from backtest.venues.slippage_models import adverse_move

MOST_DELAYS = 50
"""Accounts that are played at once, each with its own curve in memory."""
FLAG = "--grid"

F, I = pl.Float64(), pl.Int64()  # noqa: E741
SCHEMA = pl.Schema(
    {"latency_ms": I, "final_equity": F, "profit": F, "cost": F, "return": F, "max_drawdown": F, "sharpe": F,
     "latency": F, "fees": F, "gas": F, "orders": I, "fills": I, "rejected_orders": I, "expired_orders": I,
     "cancelled_orders": I, "liquidations": I, "pool_liquidations": I}
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, repr=False)
class LatencyCurve(Comparison):
    """One result per delay, the fastest first; labels are ``0ms``, ``50ms`` and so on."""

    curve: pl.DataFrame
    """A row per delay with the columns of `SCHEMA`, see :func:`table`."""


@keyword_errors(LATENCY_CURVE)
def latency(
    strategy: StrategySource | None = None,
    data: DataSource = "",
    *,
    progress: Progress | None = None,
    chunk_rows: int | None = None,
    **settings: Unpack[LatencyKeywords],
) -> LatencyCurve:
    """Stream the data once into one account per delay.

    ``grid``: delays in whole ms, in any order, as numbers or as a text with commas. Each takes the place of `run`'s
    ``latency_ms``: the time from the close at which the strategy decides until its message leaves, and where a chain is
    on, its way begins then. Other arguments as of `run`. ``out``: folder of the report, with a folder per delay and
    `curve.parquet`. UserError for a grid that is none, and as `run`.
    """
    asked = checked(settings, LATENCY_CURVE)
    delays = parse_grid(asked.grid)
    modes = one_mode(asked, "a curve has one; run it once for each")
    target = report_files.claim(Path(asked.out)) if asked.out is not None else None

    def made() -> tuple[LatencyCurve, str, str]:
        planned = plan_of(strategy, data, asked)
        results = play(planned, modes[0], delays, progress, chunk_rows)
        curve = table(results)
        runs = {r.label: r.summary for r in results}
        summary: ComparisonSummary = {"kind": LATENCY, "runs": runs, "curve": curve.to_dicts()}
        done = LatencyCurve(results, summary, curve=curve)
        if target is None:
            return done, "", ""
        return done, render_latency(results), document(LATENCY_CURVE, planned, strategy, target)

    done, page, written = within(asked.timeout, made)
    if target is None:
        return done
    extras, beside = {"curve": done.summary["curve"]}, {"curve": done.curve}
    folder = report_files.write(target, done.results, page, extras, LATENCY, beside, written)
    return replace(done, folder=folder)


def parse_grid(asked: Sequence[float | str]) -> list[int]:
    """The delays in rising order, each named once; UserError for what is no grid."""
    delays = sorted(_delay(part) for part in asked)
    if len(delays) < 2:
        remedy = "a curve needs two; one alone is `backtest run` with --latency-ms"
        raise UserError("no delay" if not delays else "one delay", FLAG, remedy)
    for one, other in pairwise(delays):
        if one == other:
            raise UserError(f"delay {one:,} is named twice", FLAG, "name each once")
    if len(delays) > MOST_DELAYS:
        raise UserError(f"{len(delays):,} delays", FLAG, f"give {MOST_DELAYS} at most: each is an account")
    return delays


def _delay(part: object) -> int:
    """One delay in whole ms; a text of ASCII digits, or a whole number that is no truth value."""
    text = part if isinstance(part, str) else str(part) if type(part) is int else ""
    if not (text.isascii() and text.isdigit() and int(text) <= MOST_LATENCY_MS):
        remedy = f"give whole ms from 0 to {MOST_LATENCY_MS:,}, like 0,50,200,1000,5000"
        raise UserError(f"{part!r} is not a delay", FLAG, remedy)
    return int(text)


def play(
    planned: Plan,
    margin: str,
    delays: Sequence[int],
    progress: Progress | None = None,
    chunk_rows: int | None = None,
) -> list[Result]:
    """Lead one account per delay through the data, all of them through one chunk after another."""

    def replayed(plans: Sequence[Plan]) -> Iterator[Record]:
        players = [seated(one, margin, AccountRunner) for one in plans]
        stream(planned.selection, players, progress, chunk_rows)
        return (player.record(dict(planned.selection.counts)) for player in players)

    plans = placed([slower(planned, delay) for delay in delays], planned.selection, replayed)
    results = []
    for one, record, delay in zip(plans, replayed(plans), delays, strict=True):
        made = result(one, record, f"{delay}ms")
        made.summary["delays_ms"] = list(delays)
        results.append(made)
        del record  # before the next one comes
    return results


def slower(planned: Plan, delay_ms: int) -> Plan:
    """The same plan with another delay, and with the adverse move that goes by it."""
    asked = replace(planned.config, latency_ms=delay_ms)
    drift = adverse_move(parse_slippage(asked.slippage).drift, 1.0, delay_ms)
    return replace(planned, config=asked, charges=replace(planned.charges, drift=drift))


def table(results: Sequence[Result]) -> pl.DataFrame:
    """The curve, a row per delay, the fastest first; money in quote units.

    `profit` is the change of the account's total, `cost` that of the fastest less this one's: what being slower cost;
    below 0 it paid. `latency` is the flow of the books: the price move between decision and fill, above 0 a cost. The
    others are the metrics of the same names.
    """
    # Sums of whole micro: what is behind the sixth digit is the rounding of doubles.
    changes = [round(outcome(result).change, 6) for result in results]
    rows = [
        {
            **{name: by_name(result.metrics)[name] for name in SCHEMA if name in result.metrics},
            "latency_ms": result.summary["config"]["latency_ms"],
            "profit": change,
            "cost": round(changes[0] - change, 6),
        }
        for result, change in zip(results, changes, strict=True)
    ]
    return pl.DataFrame(rows, schema=SCHEMA)
