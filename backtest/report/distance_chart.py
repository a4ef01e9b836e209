"""How far prices could have moved against all positions before a liquidation, and the collateral that was free."""

from __future__ import annotations

import numpy as np
import polars as pl

from backtest.report import formatting as fmt
from backtest.report.charts import Chart
from backtest.report.charts import over as over_time_of
from backtest.report.downsampling import CROSS, Times, Values, envelope, floats, stamps
from backtest.report.figure import GAIN, LIMIT, Figure, axis, curve, money_axis, thinned
from backtest.report.section import Subject
from backtest.report.verdict import nearest

FAR = 1.0
"""Farther away than this no price movement matters: the axis ends."""


def distance_chart(subject: Subject) -> Chart:
    """Return the distance to liquidation over time, with the smallest one inside candles as a mark."""
    title = "Distance to liquidation"
    if not subject.outcome.fills:
        return Chart("distance", title, "", None, 0, "No position was held.")
    clock, distance, where = _distances(subject)
    if not np.isfinite(distance).any():
        return Chart("distance", title, "", None, 0, "No position was held at a close.")
    line = envelope(clock, distance)
    data: list[Figure] = [curve("At closes", line, subject.run.colour, ".2%", width=1.6)]
    near = nearest(subject.result)
    if near is not None and near[1] is not None:
        data.append(
            {
                "type": "scatter", "mode": "markers", "name": "Smallest, inside candles", "x": [near[1]],
                "y": [round(near[0], 6)], "hovertemplate": "%{y:.2%}",
                "marker": {"symbol": "diamond", "size": 10, "color": LIMIT},
            }
        )  # fmt: skip
    top = min(FAR, float(np.nanmax(distance)) * 1.05)
    low = min(0.0, float(np.nanmin(distance)), near[0] if near else 0.0)
    layout = over_time_of([subject.run]) | {"yaxis": axis(range=[low - 0.02 * (top - low), top], tickformat=".0%")}
    layout["shapes"] = [*layout.get("shapes", ()), {
        "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0, "line": {"color": LIMIT, "width": 1.5},
    }]  # fmt: skip
    layout["showlegend"] = True
    note = f"Equity above maintenance margin over gross notional, {where}. 0% is liquidation."
    note = f"{note} {thinned(line.each, 'values')}"
    if near is not None:
        note = f"{note.strip()} The smallest, moments inside candles included, was {fmt.percent(near[0])}."
    return Chart("distance", title, note.strip(), {"data": data, "layout": layout}, 320)


def _distances(subject: Subject) -> tuple[Times, Values, str]:
    """Of one cross account at each close; else the smallest of all margin accounts at each sample."""
    run = subject.run
    tables = run.result.tables
    if (tables.columns("fills", "pool")["pool"] == CROSS).all():
        gross = run.column("gross_notional")
        free = run.column("equity") - run.column("maintenance_margin")
        with np.errstate(divide="ignore", invalid="ignore"):
            return run.ts, np.where(gross > 0, free / gross, np.nan), "at closes"
    held = tables.columns("positions", "ts", "pool", "notional")
    grosses = held.group_by("ts", "pool").agg(gross=pl.col("notional").abs().sum())
    both = tables.columns("margin", "ts", "pool", "equity", "maintenance").join(grosses, on=("ts", "pool"))
    distance = (pl.col("equity") - pl.col("maintenance")) / pl.col("gross")
    least = both.filter(pl.col("gross") > 0).group_by("ts").agg(distance=distance.min()).sort("ts")
    return stamps(least), floats(least, "distance"), "of the margin account nearest to liquidation, at samples"


def free_chart(subject: Subject) -> Chart:
    """Return the collateral that no position needs."""
    title = subject.titled("Free collateral")
    run = subject.run
    free = run.column("free_collateral")
    if not subject.outcome.fills:
        return Chart("free", title, "", None, 0, "No position was held: all collateral was free.")
    line = envelope(run.ts, free)
    data = [curve("Free collateral", line, GAIN, ",.2f")]
    layout = over_time_of([run]) | {"yaxis": money_axis([line.values], zeroline=True), "showlegend": False}
    note = f"Equity less initial margin; below zero no new risk can be taken. {thinned(line.each, 'candles')}"
    return Chart("free", title, note.strip(), {"data": data, "layout": layout}, 260)
