"""The section "What happened": equity beside its benchmarks, crashes, liquidations and what guards did."""

from __future__ import annotations

from dataclasses import replace

from backtest.report import formatting as fmt
from backtest.report import liquidation_tables, table_rows
from backtest.report.benchmarks import Benchmark, benchmarks
from backtest.report.charts import Chart, equity_chart
from backtest.report.daily_returns import Episode, episodes
from backtest.report.downsampling import envelope
from backtest.report.figure import FAINT, MUTED, Figure, curve
from backtest.report.section import Part, Section, Subject, chart, table
from backtest.report.unliquidated import unharmed

CRASH, CRASHES = -0.15, 6
"""How deep a fall of the markets is a crash, and how many are shaded."""
STROKES = ((MUTED, "dash"), (FAINT, "dot"))


def section(subject: Subject) -> Section:
    """Return the section."""
    parts = [chart(_equity(subject)), _liquidations(subject)]
    guards = table_rows.guards(subject.result)
    if guards.rows:
        parts.append(table(guards))
    return Section("happened", "What happened?", tuple(parts))


def _equity(subject: Subject) -> Chart:
    """Equity and drawdown; with candles, what the markets did."""
    made = equity_chart([subject.run], subject.quote)
    compared = benchmarks(subject)
    if made.figure is None or not compared:
        return made
    data, layout = list(made.figure["data"]), dict(made.figure["layout"])
    for one, (colour, dash) in zip(compared, STROKES, strict=False):
        data.append(curve(one.name, envelope(one.clock, one.values), colour, ",.2f", width=1.2, dash=dash))
    falls = _crashes(compared[-1], subject)
    layout["shapes"] = [*layout.get("shapes", ()), *map(_shade, falls)]
    layout["showlegend"] = True
    layout["yaxis"] = {key: value for key, value in layout["yaxis"].items() if key != "range"}
    told = "Benchmarks: bought at the first open without leverage, costs or funding, and held."
    if falls:
        what = fmt.plural(len(falls), "fall")
        told += f" Shaded: {what} of {compared[-1].name.lower()} by more than {fmt.percent(-CRASH, 0)}, peak to trough."
    note = " ".join(filter(None, (made.note, told)))
    return replace(made, note=note, figure={"data": data, "layout": layout})


def _crashes(market: Benchmark, subject: Subject) -> list[Episode]:
    found = episodes(market.clock, market.values, float(market.values[0]), subject.outcome.start_ms)
    return [one for one in found[:CRASHES] if one.depth <= CRASH]


def _shade(fall: Episode) -> Figure:
    return {
        "type": "rect", "x0": fall.peak_ms, "x1": fall.trough_ms, "yref": "paper", "y0": 0, "y1": 1, "layer": "below",
        "fillcolor": "var(--wash)", "line": {"width": 0},
    }  # fmt: skip


def _liquidations(subject: Subject) -> Part:
    out = subject.outcome
    listing = liquidation_tables.listing(out, unharmed(subject.result, subject.quote))
    title = "Liquidations and deleveraging" if out.deleveraged else "Liquidations"
    return Part("listing", listing, title, liquidation_tables.NOTE if out.losses or out.deleveraged else "")
