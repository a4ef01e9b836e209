"""The charts of a report: what is drawn, and what is said where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from backtest.report import closes
from backtest.report.downsampling import (
    CROSS,
    Line,
    Times,
    Values,
    envelope,
    floats,
    ratio,
    stamps,
    together,
    tracks,
)
from backtest.report.event_markers import KINDS, LIQUIDATED, MARKED, Kind, trace
from backtest.report.figure import (
    FAINT,
    INK,
    LIMIT,
    PALETTE,
    Figure,
    axis,
    caption,
    curve,
    cut_axis,
    money_axis,
    over_time,
    shaded,
    thinned,
    width,
)
from backtest.report.outcome import Loss, Outcome
from backtest.results.summary_types import untyped

if TYPE_CHECKING:
    from backtest.results.result import Result

MODES = {"cross": "var(--mode-cross)", "isolated": "var(--mode-isolated)", "portfolio": "var(--mode-portfolio)"}

SHOWN = 8
"""Curves of one chart; the rest are added up into one."""

LEAST_RATIO, RATIO_TICKS = 0.003, (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Where the axis of margin ratios begins, and its marks."""


@dataclass(frozen=True)
class Chart:
    """A figure, or the sentence that stands where there is nothing to draw."""

    name: str
    title: str
    note: str
    figure: Figure | None
    height: int
    empty: str = ""


@dataclass(frozen=True)
class Run:
    """One account on a chart: its result, its outcome, and how its curves are drawn on the whole page."""

    result: Result
    outcome: Outcome
    colour: str
    width: float
    marked: bool = True
    """What happened to it stands on its curves."""

    @property
    def worth(self) -> Values:
        """The total at each close: equity at the venue, money in flight and reserve."""
        return closes.worth(self.result)

    @property
    def outside(self) -> bool:
        """Whether there was ever money outside the venue."""
        return closes.outside(self.result)

    @property
    def ts(self) -> Times:
        """The closes, in milliseconds."""
        return closes.times(self.result)

    def column(self, name: str) -> Values:
        """A column of the table `equity`; NaN for null."""
        return closes.column(self.result, name)


def runs(results: Sequence[Result], outcomes: Sequence[Outcome]) -> list[Run]:
    """Each margin mode has its colour; where the modes do not tell the runs apart, the order does."""
    modes = [out.margin for out in outcomes]
    known = len(set(modes)) == len(modes) and all(m in MODES for m in modes)
    colours = [MODES[m] for m in modes] if known else [PALETTE[i % len(PALETTE)] for i in range(len(modes))]
    each = zip(results, outcomes, colours, strict=True)
    return [Run(r, o, c, width(i, len(results))) for i, (r, o, c) in enumerate(each)]


def total(result: Result, out: Outcome) -> Run:
    """The sum of sub-accounts: a curve of no sub-account's colour. What happened in one of them is marked there."""
    return Run(result, out, INK, width(0, 2), marked=False)


def equity_chart(accounts: Sequence[Run], quote: str) -> Chart:
    """Equity at each close, money outside the venue with it, with the liquidations on it, and the drawdown below."""
    data: list[Figure] = []
    several = len(accounts) > 1
    each, lines = 1, []
    for run in accounts:
        line = envelope(run.ts, run.worth)
        fall = envelope(run.ts, -np.abs(run.column("drawdown")))
        each = max(each, line.each)
        lines.append(line.values)
        name = run.result.label if several else "Equity"
        data.append(curve(name, line, run.colour, ",.2f", width=run.width))
        data.append(
            curve(name if several else "Drawdown", fall, run.colour, ".2%", width=run.width - 0.2, yaxis="y2")
            | {"showlegend": False}
            | ({} if several else {"fill": "tozeroy", "fillcolor": "var(--wash)"})
        )
        for kind in KINDS:
            data += _marked(run, kind, _at(run, kind), several)
    layout = over(accounts) | {
        "yaxis": money_axis(lines, domain=[0.36, 1.0]),
        "yaxis2": axis(domain=[0.0, 0.27], tickformat=".2~%", rangemode="tozero", anchor="x", nticks=4),
    }
    if all((run.column("drawdown") == 0).all() for run in accounts):
        layout["yaxis2"]["range"] = [-0.01, 0.0]
    layout["xaxis"]["anchor"] = "y2"
    layout["annotations"] = [caption("Drawdown", 0.27)]
    layout["showlegend"] = several or len(data) > 2 or "shapes" in layout
    title = f"Equity and drawdown{f' ({quote})' if quote else ''}"
    beside = "Includes the reserve and money in flight." if any(run.outside for run in accounts) else ""
    note = " ".join(filter(None, (beside, thinned(each, "candles"), _unmarked(accounts))))
    return Chart("equity", title, note, {"data": data, "layout": layout}, 440)


def margin_chart(accounts: Sequence[Run]) -> Chart:
    """Maintenance margin over equity, which liquidates at 1, and the ratio at which equity is the initial margin."""
    title = "Margin ratio"
    if not any(run.outcome.fills for run in accounts):
        return Chart("margin", title, "", None, 0, "No position was held, so no margin was needed.")
    several = len(accounts) > 1
    data, each, peak = [], 1, 1.0
    for run in accounts:
        for name, colour, line in _margin_lines(run, alone=not several):
            label = (run.result.label if several else name) if name != _INITIAL else name
            dashed = name == _INITIAL
            data.append(
                curve(label, line, colour, ".2%", width=1 if dashed else run.width, dash="dot" if dashed else "")
            )
            each, peak = max(each, line.each), max(peak, float(np.fmax.reduce(line.values, initial=0.0)))
        data += _marked(run, LIQUIDATED, np.ones(len(run.outcome.losses)), several)
    # On a logarithmic scale 1% is read as well as 100%.
    ends = [np.log10(LEAST_RATIO), np.log10(min(peak, 1.5) * 1.7)]
    layout = over(accounts) | {"yaxis": axis(type="log", range=ends, tickvals=list(RATIO_TICKS), tickformat=".1~%")}
    limit = {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": 1,
        "y1": 1,
        "line": {"color": LIMIT, "width": 1.5},
    }
    layout["shapes"] = [*layout.get("shapes", ()), limit]
    layout["annotations"] = [caption("100% = liquidation", 0.0, LIMIT) | {"yref": "y"}]
    note = "Maintenance margin over equity of the margin account."
    if any(_pooled(run) for run in accounts):
        note += " For the riskiest margin account, " if several else " For each margin account, "
        note += "at regular samples and at each candle with a fill."
    return Chart("margin", title, f"{note} {thinned(each, 'values')}".strip(), {"data": data, "layout": layout}, 320)


_INITIAL = "Initial margin (no new risk above)"


def _margin_lines(run: Run, alone: bool) -> list[tuple[str, str, Line]]:
    """One cross pool: the account at each close. Else: the pools at their samples, or the riskiest of them."""
    lines: list[tuple[str, str, Line]] = []
    marks = run.outcome.losses
    if not _pooled(run):
        values = _held(run, run.column("margin_ratio"))
        lines.append(("Margin ratio", run.colour, envelope(*_met(run.ts, values, marks))))
        if alone:
            limit = ratio(run.column("maintenance_margin"), run.column("initial_margin"))
            lines.append((_INITIAL, FAINT, envelope(run.ts, limit)))
        return lines
    table = run.result.tables.columns("margin", "ts", "initial", "maintenance")
    pools = _tracks(run, "margin", "pool", "margin_ratio", np.nan)
    if alone and len(pools) <= SHOWN:
        for i, name in enumerate(sorted(pools)):
            mine = [loss for loss in marks if loss.pool == name]
            lines.append((name, PALETTE[i], envelope(*_met(pools[name].ts, pools[name].values, mine))))
    elif pools:
        clock, ratios = together(list(pools.values()), np.nan)
        lines.append(("Riskiest pool", run.colour, envelope(*_met(clock, np.fmax.reduce(ratios), marks))))
    if alone and pools:
        least = table.group_by("ts").agg((pl.col("maintenance") / pl.col("initial")).min().alias("limit")).sort("ts")
        lines.append((_INITIAL, FAINT, envelope(stamps(least), floats(least, "limit"))))
    return lines


def _pooled(run: Run) -> bool:
    """Whether there was a pool beside the cross pool."""
    return bool((run.result.tables.columns("fills", "pool")["pool"] != CROSS).any())


def _tracks(run: Run, table: str, key: str, value: str, absent: float) -> dict[str, Line]:
    tables, out = run.result.tables, run.outcome
    seen, fills = tables.columns(table, "ts", key, value), tables.columns("fills", "ts", "symbol", "pool", "qty")
    return tracks(seen, fills, key, value, absent, out.start_ms, out.end_ms)


def _held(run: Run, values: Values) -> Values:
    """Without a position there is no ratio to speak of."""
    return np.where(run.column("gross_notional") > 0, values, np.nan)


def _met(ts: Times, values: Values, losses: Sequence[Loss]) -> tuple[Times, Values]:
    """The ratio met 1 at each liquidation, between two closes: put that point on the curve."""
    if not losses:
        return ts, values
    at = np.array([loss.ts_ms for loss in losses], dtype=np.int64)
    where = np.searchsorted(ts, at)
    return np.insert(ts, where, at), np.insert(values, where, 1.0)


def _none_held(accounts: Sequence[Run]) -> str:
    """What is said where no close saw a position: one may have been opened and closed inside a candle."""
    return f"No position was held{' at a close' if any(run.outcome.fills for run in accounts) else ''}"


def leverage_chart(accounts: Sequence[Run]) -> Chart:
    """Gross notional over equity at each close."""
    data, each, any_held, drawn = [], 1, False, list[Values]()
    for run in accounts:
        values = ratio(run.column("gross_notional"), run.column("equity"))
        any_held |= bool((run.column("gross_notional") > 0).any())
        line = envelope(run.ts, values)
        name = run.result.label if len(accounts) > 1 else "Leverage"
        data.append(curve(name, line, run.colour, ".2f", width=run.width))
        each = max(each, line.each)
        drawn.append(values[values > 0])
    if not any_held:
        return Chart("leverage", "Leverage", "", None, 0, f"{_none_held(accounts)}, so there was no leverage to draw.")
    yaxis, cut = cut_axis(drawn, ticksuffix="x", tickformat=".3~f")
    layout = over(accounts) | {"yaxis": yaxis}
    layout["showlegend"] = len(accounts) > 1
    note = " ".join(filter(None, ("Gross notional over equity.", cut, thinned(each, "candles"))))
    return Chart("leverage", "Leverage", note, {"data": data, "layout": layout}, 260)


def _marked(run: Run, kind: Kind, heights: Values, several: bool) -> list[Figure]:
    """The marks of one kind; nothing where it is missing."""
    if not run.marked:
        return []
    if several:
        return trace(kind, run.outcome, heights, f"{run.result.label} {kind.suffix}", run.colour)
    return trace(kind, run.outcome, heights, kind.title, kind.colour)


def _at(run: Run, kind: Kind) -> Values:
    """The total at the first close at or after each event."""
    if not (events := kind.events(run.outcome)):
        return np.zeros(0)
    where = np.searchsorted(run.ts, [ts_ms for ts_ms, _ in events])
    worth = run.worth
    return worth[np.minimum(where, len(worth) - 1)]


def over(accounts: Sequence[Run]) -> Figure:
    """The layout of a chart over the time of all accounts; where the chain was halted it is shaded."""
    outs = [run.outcome for run in accounts]
    layout = over_time(min(out.start_ms for out in outs), max(out.end_ms for out in outs))
    bands = shaded(halts(accounts[0].result))
    return layout | ({"shapes": bands} if bands else {})


def halts(result: Result) -> list[tuple[int, int, int]]:
    """Of each outage its start, its end, and the end of its grace, ms; they are the same for all accounts of a page."""
    chain = untyped(result.summary).get("chain") or {}
    grace_ms = int(chain.get("grace_ms", 0))
    return [(o["start_ms"], o["end_ms"], o["end_ms"] + grace_ms) for o in chain.get("outages", ())]


def _unmarked(accounts: Sequence[Run]) -> str:
    most = max(len(kind.events(run.outcome)) for run in accounts for kind in KINDS)
    return f"Markers: the first {MARKED:,} of each kind, of up to {most:,}." if most > MARKED else ""
