"""The section "How good is it?": returns by month, their distribution, drawdowns, the best and worst days, trades."""

from __future__ import annotations

import numpy as np
import polars as pl

from backtest.report import closes
from backtest.report import formatting as fmt
from backtest.report.daily_returns import Daily, daily, episodes
from backtest.report.excursion_chart import excursions_chart
from backtest.report.return_charts import distribution_chart, months_chart, rolling_chart, years_chart
from backtest.report.section import Part, Section, Subject, chart, facts, table
from backtest.report.table_rows import Cell, Table

EPISODES, DAYS = 10, 5
"""Drawdowns that are listed, and days at each end."""


def section(subject: Subject) -> Section | None:
    """Return the section; None: nothing was traded."""
    if not subject.outcome.fills:
        return None
    days = daily(subject.result)
    by_year = years_chart(days)
    parts = [
        chart(months_chart(days)),
        *([chart(by_year)] if by_year else []),
        chart(distribution_chart(days)),
        table(_episodes(subject)),
        chart(rolling_chart(subject, days)),
        table(_days(days)),
        _trades(subject),
        chart(excursions_chart(subject.result, subject.quote)),
    ]
    return Section("good", "How good is it?", tuple(parts))


def _episodes(subject: Subject) -> Table:
    out, result = subject.outcome, subject.result
    start_ms = int(result.summary["data"]["from_ms"])
    found = episodes(closes.times(result), closes.worth(result), out.start, start_ms)[:EPISODES]
    head = tuple(Cell(title, n > 2) for n, title in enumerate(("Peak", "Trough", "Regained", "Depth", "Length")))
    rows = []
    for one in found:
        regained = "not regained" if one.end_ms is None else fmt.moment(one.end_ms)
        length = fmt.duration((one.end_ms or out.end_ms) - one.peak_ms)
        times = [Cell(fmt.moment(one.peak_ms)), Cell(fmt.moment(one.trough_ms)), Cell(regained)]
        rows.append((*times, Cell(fmt.percent(one.depth), True, "minus"), Cell(length, True)))
    empty = "The account never fell below an earlier close."
    note = "At closes, UTC; the deepest first."
    return Table("episodes", "Deepest drawdowns", head, tuple(rows), empty=empty, note=note if rows else "")


def _days(days: Daily) -> Table:
    """The best and the worst days."""
    known = np.flatnonzero(np.isfinite(days.returns))
    ordered = known[np.argsort(days.returns[known], kind="stable")]
    most = min(DAYS, len(ordered) // 2)
    head = (Cell("Worst days"), Cell("Return", True), Cell("Best days"), Cell("Return", True))
    rows = []
    for low, high in zip(ordered[:most], ordered[::-1][:most], strict=True):
        cells = []
        for i in (low, high):
            shown = fmt.percent(float(days.returns[i]))
            cells += [Cell(fmt.day(days.days[i])), Cell(shown, True, "minus" if shown.startswith("-") else "")]
        rows.append(tuple(cells))
    return Table("days", "Worst and best days", head, tuple(rows), empty="The run has fewer than two whole days.")


def _trades(subject: Subject) -> Part:
    """What trades made on average, and how much of the time something was held."""
    net = subject.result.tables.columns("trades", "net")["net"]
    won, lost = net.filter(net > 0), net.filter(net < 0)
    held = closes.column(subject.result, "gross_notional") > 0
    hold = subject.result.tables.columns("trades", "hold")["hold"]
    pairs = [
        ("Expectancy per trade", fmt.signed(_mean(net))),
        ("Average win", fmt.signed(_mean(won))),
        ("Average loss", fmt.signed(_mean(lost))),
        ("Winning trades", fmt.percent(len(won) / len(net)) if len(net) else fmt.NA),
        ("Largest win", fmt.signed(_most(won))),
        ("Largest loss", fmt.signed(_least(lost))),
        ("Mean time held", fmt.duration(None if not len(hold) else float(hold.mean()) * 3_600_000)),  # type: ignore[arg-type]
        ("Time with a position", fmt.percent(float(held.mean()) if len(held) else None)),
    ]
    return facts("Trades on average", pairs, "Net of fees and funding, of finished round trips.")


def _mean(values: pl.Series) -> float | None:
    return float(values.sum()) / len(values) if len(values) else None


def _most(values: pl.Series) -> float | None:
    return max(values.to_list(), default=None)


def _least(values: pl.Series) -> float | None:
    return min(values.to_list(), default=None)
