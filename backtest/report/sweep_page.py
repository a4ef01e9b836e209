"""The page of a sweep: heat maps, parallel coordinates, and the table of its best runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import polars as pl

from backtest.report import formatting as fmt
from backtest.report.charts import Chart
from backtest.report.heatmap import heatmap
from backtest.report.page import environment, script_json
from backtest.report.parallel_coordinates import parallel
from backtest.report.table_rows import Cell, Table
from backtest.results.metric_definitions import METRICS

JUDGED = "sharpe"
MAPS = ("sharpe", "return", "max_drawdown", "liquidations")
"""Metrics of the heat maps over the first two things that vary."""
COORDINATES = ("sharpe", "return", "max_drawdown", "liquidations", "fees")
COLUMNS = ("final_equity", "return", "sharpe", "max_drawdown", "liquidations", "min_distance_inside", "fills", "fees")
BEST = {"sharpe": "Best Sharpe", "return": "Best return"}
PAIRS, ROWS = 6, 100
"""Most pairs that have a heat map, and rows of the table."""
ERRORS = 20


@dataclass(frozen=True)
class SweepFacts:
    """What holds for every run of a sweep."""

    strategy: str
    doc: str
    quote: str
    synthetic: bool
    data: str
    symbols: tuple[str, ...]
    span: tuple[int, int]
    """Start and end, ms; zeros where the data vary."""
    venue: str
    settings: Mapping[str, Any]
    where: str


def render_sweep(frame: pl.DataFrame, axes: Sequence[str], facts: SweepFacts) -> str:
    """The page of a sweep's table as a complete HTML document."""
    varied = [name for name in axes if frame[name].n_unique() > 1]
    good = frame.filter(pl.col("digest").is_not_null())
    drawn = [*_maps(good, varied), parallel(good, varied, COORDINATES, JUDGED)]
    return (
        environment()
        .get_template("sweep.html.j2")
        .render(
            name=facts.strategy,
            about=facts.doc,
            more="",
            synthetic=facts.synthetic,
            scope=(),
            omissions="",
            period=_period(facts),
            quote=facts.quote,
            words=_words(frame, good, varied),
            cards=_cards(frame, good, varied),
            charts=drawn,
            best=_best(good, varied),
            errors=_errors(frame),
            settings=_settings(frame, axes, facts),
            figures=script_json({chart.name: chart.figure for chart in drawn if chart.figure}),
        )
    )


def _period(facts: SweepFacts) -> str:
    return f"{fmt.moment(facts.span[0])} to {fmt.moment(facts.span[1])} (UTC)" if facts.span[1] else ""


def _words(frame: pl.DataFrame, good: pl.DataFrame, varied: Sequence[str]) -> list[str]:
    lost = frame.height - good.height
    liquidated = good.filter(pl.col("liquidations") > 0).height
    gains = good.filter(pl.col("return") > 0).height
    said = [
        f"{fmt.plural(frame.height, 'run')} over {fmt.listing(list(varied)) or 'one combination'}: "
        f"{gains:,} ended with a profit, {liquidated:,} with a liquidation on the way"
        + (f", and {lost:,} failed." if lost else ".")
    ]
    if good.height > 1:
        said.append(
            f"The best of {good.height:,} is the best by luck as well: its Sharpe ratio overstates what to expect."
        )
    return said


def _cards(frame: pl.DataFrame, good: pl.DataFrame, varied: Sequence[str]) -> list[dict[str, str]]:
    lost = frame.height - good.height
    cards = [
        {"title": "Runs", "figure": f"{frame.height:,}", "more": f"{lost:,} failed" if lost else "None failed",
         "colour": ""},
    ]  # fmt: skip
    for name in BEST:
        known = good.filter(pl.col(name).is_not_null()).sort(name, "run", descending=[True, False])
        if known.height:
            row = known.row(0, named=True)
            told = ", ".join(f"{axis} {_value(row[axis])}" for axis in varied[:4])
            cards.append(
                {
                    "title": BEST[name],
                    "figure": fmt.text(name, row[name]),
                    "more": f"Run {row['run']}: {told}",
                    "colour": "",
                }
            )
    middle = good["sharpe"].median()
    shown = fmt.number(float(middle)) if isinstance(middle, int | float) else fmt.NA
    cards.append({"title": "Median Sharpe", "figure": shown, "more": "Of all runs", "colour": ""})
    return cards


def _maps(good: pl.DataFrame, varied: Sequence[str]) -> list[Chart]:
    """Heat maps over the first pair by several metrics, then over the other pairs by the Sharpe ratio."""
    pairs = list(combinations(varied, 2))
    asked = [(pair, metric) for pair in pairs[:1] for metric in MAPS]
    asked += [(pair, JUDGED) for pair in pairs[1:PAIRS]]
    charts: list[Chart] = []
    for (y, x), metric in asked:
        if not good[metric].drop_nulls().len():
            continue
        drawn = heatmap(good, x, y, metric)
        others = [name for name in varied if name not in (x, y)]
        note = f"The median over {fmt.listing(others)}." if others else ""
        height = min(max(40 * drawn.frame.height + 90, 240), 640)
        name = f"map-{len(charts)}"
        charts.append(Chart(name, f"{METRICS[metric].title} by {y} and {x}", note, drawn.figure, height))
    return charts


def _best(good: pl.DataFrame, varied: Sequence[str]) -> Table:
    ranked = good.sort(JUDGED, "run", descending=[True, False], nulls_last=True).head(ROWS)
    head = [Cell("Run", True), *(Cell(name, True) for name in varied)]
    head += [Cell(METRICS[name].title, True) for name in COLUMNS]
    rows = [
        (
            Cell(str(row["run"]), True),
            *(Cell(_value(row[name]), True) for name in varied),
            *(Cell(fmt.text(name, row[name]), True) for name in COLUMNS),
        )
        for row in ranked.iter_rows(named=True)
    ]
    cut = f"The best {ROWS} of {good.height:,}; all of them are in sweep.parquet." if good.height > ROWS else ""
    note = "The command backtest sweep show FOLDER RUN makes the full report of one."
    return Table("best", "Runs by Sharpe ratio", tuple(head), tuple(rows), cut, "No run has ended.", note)


def _errors(frame: pl.DataFrame) -> Table:
    lost = frame.filter(pl.col("error").is_not_null())
    counted = lost.group_by("error").agg(pl.len().alias("count"), pl.col("run").min()).sort("run")
    rows = tuple(
        (Cell(str(row["error"])), Cell(f"{row['count']:,}", True), Cell(str(row["run"]), True))
        for row in counted.head(ERRORS).iter_rows(named=True)
    )
    cut = f"{ERRORS} of {counted.height:,} reasons." if counted.height > ERRORS else ""
    head = (Cell("Reason"), Cell("Runs", True), Cell("First", True))
    return Table("errors", "Runs that failed", head, rows, cut, "No run failed.")


def _settings(frame: pl.DataFrame, axes: Sequence[str], facts: SweepFacts) -> list[tuple[str, str]]:
    found = [("Dataset", facts.data), ("Symbols", ", ".join(facts.symbols)), ("Venue", facts.venue)]
    for name in axes:
        values = frame[name].unique().sort().to_list()
        shown = values if len(values) <= 12 else [*values[:6], "…", *values[-2:]]
        found.append((name, f"{', '.join(_value(value) for value in shown)} ({fmt.plural(len(values), 'value')})"))
    found += [("Only where", facts.where)] * bool(facts.where)
    return found + [(name, _value(value)) for name, value in facts.settings.items()]


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value)) or "none"
    if isinstance(value, float):
        return fmt.quantity(value) if 1e-4 <= abs(value) < 1e9 or value == 0 else f"{value:g}"
    return "none" if value is None else str(value)
