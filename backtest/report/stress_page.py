"""The page of a stress: who survived which scenario, a chart of each, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.report import formatting as fmt
from backtest.report.charts import MODES, Chart
from backtest.report.downsampling import Line
from backtest.report.figure import FAINT, curve, money_axis, over_time
from backtest.report.page import environment, script_json
from backtest.report.table_rows import Cell, Table

BASELINE = "baseline"
HEIGHT = 220
DASHES = ("", "dot", "dash", "dashdot")
"""Of the first variants on a chart."""
MOST_CURVES = 12


@dataclass(frozen=True)
class Curve:
    """The equity of one account around a scenario."""

    margin: str
    variant: str
    times: NDArray[np.int64]
    values: NDArray[np.float64]
    plain: bool = False
    """Whether it is that without the scenario."""


@dataclass(frozen=True)
class ScenarioCurves:
    """What the chart of a scenario shows."""

    name: str
    title: str
    start_ms: int
    end_ms: int
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class StressFacts:
    """What holds for all accounts."""

    strategy: str
    doc: str
    quote: str
    synthetic: bool
    data: str
    symbols: tuple[str, ...]
    span: tuple[int, int]
    pack: str
    cash: float
    sources: tuple[tuple[str, str, str], ...]
    """Name, title and source of each scenario."""


def render_stress(frame: pl.DataFrame, facts: StressFacts, curves: Sequence[ScenarioCurves]) -> str:
    """The page of a survival table as a complete HTML document."""
    charts = [_chart(one) for one in curves]
    return (
        environment()
        .get_template("stress.html.j2")
        .render(
            name=facts.strategy,
            about=facts.doc,
            more="",
            synthetic=facts.synthetic,
            scope=(),
            omissions="",
            period=f"{fmt.moment(facts.span[0])} to {fmt.moment(facts.span[1])} (UTC)",
            quote=facts.quote,
            words=words(frame),
            survival=_matrix(frame),
            charts=charts,
            reasons=_reasons(frame),
            sources=_sources(facts),
            settings=[
                ("Dataset", facts.data), ("Symbols", ", ".join(facts.symbols)), ("Cash", fmt.number(facts.cash)),
                *([("Pack", facts.pack)] if facts.pack else []),
            ],
            figures=script_json({chart.name: chart.figure for chart in charts if chart.figure}),
        )
    )  # fmt: skip


def words(frame: pl.DataFrame) -> list[str]:
    """How many scenarios each account survived, the best first, and what did not change."""
    played = frame.filter((pl.col("scenario") != BASELINE) & pl.col("digest").is_not_null())
    total = played["scenario"].n_unique()
    alive = [(label, own["survived"].sum(), own.height) for label, own in _accounts(played)]
    best = sorted(alive, key=lambda one: -one[1] / max(one[2], 1))
    parts = [f"{label} {count} of {of}" for label, count, of in best]
    said = [f"Scenarios survived: {fmt.listing(parts)}."] if parts else []
    base = frame.filter((pl.col("scenario") == BASELINE) & ~pl.col("survived"))
    if base.height:
        labels = [_label(row, frame) for row in base.iter_rows(named=True)]
        said.append(f"Liquidated without any scenario: {fmt.listing(labels)}.")
    still = played.filter(~pl.col("changed"))["scenario"].n_unique() if played.height else 0
    if still:
        said.append(f"{fmt.plural(still, 'scenario')} of {total} left some account unchanged; the reasons are below.")
    return said


def _accounts(frame: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """Rows of each account, by its label, in the order of the table."""
    keys = [*_varied(frame), "venue", "margin"]
    parts = frame.partition_by(keys, maintain_order=True)
    return [(_label(part.row(0, named=True), frame), part) for part in parts]


def _varied(frame: pl.DataFrame) -> list[str]:
    """Columns between the title and the venue: what varies."""
    return frame.columns[2 : frame.columns.index("venue")]


def _label(row: Mapping[str, Any], frame: pl.DataFrame) -> str:
    """The account of a row in a few words: its margin mode, and what else varies."""
    more = [str(row["venue"])] if frame["venue"].n_unique() > 1 else []
    more += [f"{name} {row[name]}" for name in _varied(frame)]
    return f"{row['margin']} ({', '.join(more)})" if more else str(row["margin"])


def _matrix(frame: pl.DataFrame) -> Table:
    """A row per scenario, a column per account: equity at the end, or when it was first liquidated."""
    accounts = _accounts(frame)
    head = (Cell("Scenario"), *(Cell(label, True) for label, _ in accounts))
    cells = {
        (row["scenario"], n): _outcome(row) for n, (_, own) in enumerate(accounts) for row in own.iter_rows(named=True)
    }
    titles = dict(zip(frame["scenario"], frame["title"], strict=True))
    rows = tuple(
        (Cell(title), *(cells.get((name, n), Cell("–", True)) for n in range(len(accounts))))
        for name, title in titles.items()
    )
    note = "Equity at the end. † liquidated: when it first was, and the equity at the end. – not played."
    return Table("survival", "Survival", head, rows, note=note)


def _outcome(row: Mapping[str, Any]) -> Cell:
    if row["digest"] is None:
        return Cell("–", True)
    left = fmt.number(row["end_equity"], 0)
    if row["survived"]:
        return Cell(left, True)
    first = row["first_liquidation"]
    when = f" {first:%-d %b %Y %H:%M}:" if first else ""
    return Cell(f"†{when} {left}", True, "minus")


def _reasons(frame: pl.DataFrame) -> Table:
    head = (
        Cell("Scenario"), Cell("Account"), Cell("Begins"), Cell("Equity at the end", True),
        Cell("Smallest distance", True), Cell("Bad debt", True), Cell("What happened"),
    )  # fmt: skip
    rows = tuple(
        (
            Cell(str(row["scenario"])),
            Cell(_label(row, frame)),
            Cell(f"{row['at']:%Y-%m-%d %H:%M}" if row["at"] else "–"),
            Cell(fmt.number(row["end_equity"], 0), True),
            Cell(fmt.percent(row["min_distance"]), True),
            Cell(fmt.number(row["bad_debt"], 0), True),
            Cell(str(row["reason"] or "")),
        )
        for row in frame.iter_rows(named=True)
    )
    note = "Distance to liquidation: the smallest (equity − maintenance margin) / gross notional of a margin account."
    return Table("reasons", "What happened", head, rows, note=note)


def _sources(facts: StressFacts) -> Table:
    rows = tuple((Cell(name), Cell(title), Cell(source)) for name, title, source in facts.sources)
    return Table("sources", "Scenarios", (Cell("Name"), Cell("What it does"), Cell("Source")), rows)


def _chart(one: ScenarioCurves) -> Chart:
    title = one.title or one.name
    name = f"scenario-{one.name}"
    drawn = [c for c in one.curves if len(c.times)][:MOST_CURVES]
    if not drawn:
        return Chart(name, title, "", None, HEIGHT, "Nothing is held at any close after which it fits into the run.")
    variants = list(dict.fromkeys(c.variant for c in drawn))
    lines = []
    for c in drawn:
        label = f"{c.margin}{f' ({c.variant})' if c.variant else ''}{', without it' if c.plain else ''}"
        dash = "dash" if c.plain else DASHES[variants.index(c.variant) % len(DASHES)]
        colour = FAINT if c.plain else MODES[c.margin]
        lines.append(curve(label, Line(c.times, c.values), colour, ",.0f", 1.0 if c.plain else 1.8, dash))
    layout = over_time(one.start_ms, one.end_ms)
    layout["meta"] = {"linked": False}
    figure = {"data": lines, "layout": {**layout, "yaxis": money_axis([c.values for c in drawn])}}
    note = "Equity; dashed and faint: without the scenario." if any(c.plain for c in drawn) else "Equity."
    return Chart(name, title, note, figure, HEIGHT)
