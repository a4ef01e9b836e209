"""Positions over time as areas: longs stacked above zero, shorts below; readable with thousands of trades."""

from __future__ import annotations

import numpy as np

from backtest.report import formatting as fmt
from backtest.report.charts import SHOWN, Chart
from backtest.report.charts import over as over_time_of
from backtest.report.downsampling import Line, Times, Values, tracks
from backtest.report.figure import FAINT, PALETTE, Figure, money_axis, plain
from backtest.report.section import Subject

STEPS = 300
"""Stretches of time, each with the mean of what was held in it."""


def position_areas(subject: Subject) -> Chart:
    """Return the chart of signed notional per market."""
    title = subject.titled("Positions: notional by market")
    tables, out = subject.result.tables, subject.outcome
    if not tables.height("positions"):
        closed = " at a close" if out.fills else ""
        return Chart("positions", title, "", None, 0, f"No position was held{closed}.")
    table = tables.columns("positions", "ts", "symbol", "notional")
    fills = tables.columns("fills", "ts", "symbol", "pool", "qty")
    curves = tracks(table, fills, "symbol", "notional", 0.0, out.start_ms, out.end_ms)
    edges = np.linspace(out.start_ms, max(out.end_ms, out.start_ms + 1), STEPS + 1)
    held = {name: _means(line, edges) for name, line in curves.items()}
    ranked = sorted(held, key=lambda name: (-float(np.abs(held[name]).max()), name))
    kept = ranked if len(ranked) <= SHOWN else ranked[: SHOWN - 1]
    parts = [(name, PALETTE[i], held[name]) for i, name in enumerate(sorted(kept))]
    rest = [held[name] for name in ranked if name not in kept]
    if rest:
        parts.append((f"{len(rest)} others", FAINT, np.sum(rest, axis=0)))
    middles = ((edges[:-1] + edges[1:]) / 2).astype(np.int64)
    data = [area for name, colour, values in parts for area in _areas(name, colour, middles, values)]
    layout = over_time_of([subject.run]) | {"yaxis": money_axis([v for *_, v in parts], zeroline=True)}
    layout["showlegend"] = True
    layout["hovermode"] = "x"
    note = f"Long above zero, short below; the mean of each {fmt.duration(float(edges[1] - edges[0]))}, on the mark."
    return Chart("positions", title, note, {"data": data, "layout": layout}, 340)


def _means(line: Line, edges: Values) -> Values:
    """The mean over time of a curve of steps, between each two edges."""
    ts, values = line.ts.astype(np.float64), np.nan_to_num(line.values)
    area = np.concatenate([[0.0], np.cumsum(values[:-1] * np.diff(ts))])
    at = np.clip(np.searchsorted(ts, edges, side="right") - 1, 0, len(ts) - 1)
    whole = area[at] + values[at] * np.maximum(edges - ts[at], 0.0)
    return np.diff(whole) / np.diff(edges)


def _areas(name: str, colour: str, middles: Times, values: Values) -> list[Figure]:
    """What was long and what was short, each in its own stack."""
    sides = (("long", np.maximum(values, 0.0)), ("short", np.minimum(values, 0.0)))
    drawn = [(side, amounts) for side, amounts in sides if amounts.any()]
    return [
        {
            "type": "scatter", "mode": "lines", "name": plain(name), "legendgroup": plain(name), "showlegend": n == 0,
            "stackgroup": side, "x": middles.tolist(), "y": np.round(amounts + 0.0, 2).tolist(),
            "line": {"width": 0.5, "color": colour, "shape": "hvh"}, "fillcolor": colour,
            "hovertemplate": f"%{{y:,.0f}}<extra>{plain(name)} {side}</extra>",
        }
        for n, (side, amounts) in enumerate(drawn)
    ]  # fmt: skip
