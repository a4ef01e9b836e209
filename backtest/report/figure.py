"""Plotly JSON in small pieces: curves, bars and axes. Colours are names of CSS variables, for light and dark."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from backtest.report import formatting as fmt
from backtest.report.downsampling import Line, Values

Figure = dict[str, Any]

PALETTE = tuple(f"var(--series-{i})" for i in range(1, 9))
"""Okabe and Ito's colours, darkened to be read on white: people with any colour vision can tell them apart."""
INK, FAINT, MUTED, PAPER = "var(--ink)", "var(--faint)", "var(--muted)", "var(--paper)"
GAIN, LOSS, LIMIT = "var(--gain)", "var(--loss)", "var(--limit)"

BANDS = 200
"""Outages that a chart shades."""
SPIKE = 3.0
"""So many times the 99th percentile an axis of ratios shows, where there is more."""

_GRID = {"gridcolor": "var(--grid)", "zerolinecolor": FAINT, "zeroline": False}
_MONEY = {"exponentformat": "B", "separatethousands": True}
"""10k, 2.5M, 1B; small amounts as they are."""


def curve(
    name: str,
    line: Line,
    colour: str,
    hover: str,
    width: float = 1.6,
    dash: str = "",
    shape: str = "",
    yaxis: str = "y",
) -> Figure:
    """A line through the points; ``hover`` is the number's format."""
    ts, values = line.points()
    mode = "lines" if len(ts) > 1 else "markers"  # a run of one candle is a point
    stroke = {"color": colour, "width": width} | ({"dash": dash} if dash else {}) | ({"shape": shape} if shape else {})
    return {
        "type": "scatter", "mode": mode, "name": plain(name), "x": ts, "y": values, "line": stroke, "yaxis": yaxis,
        "hovertemplate": f"%{{y:{hover}}}", "connectgaps": False,
    }  # fmt: skip


def over_time(start_ms: int, end_ms: int) -> Figure:
    """The layout that all charts over time share; zooming one zooms the others."""
    return {
        "xaxis": {"type": "date", "hoverformat": "%Y-%m-%d %H:%M", **_GRID}
        | ({"range": [start_ms, end_ms]} if start_ms < end_ms else {}),
        "hovermode": "x unified",
        "meta": {"linked": True},
    }


def shaded(halts: Sequence[tuple[int, int, int]]) -> list[Figure]:
    """Bands through all panels of a chart over time: each a start, an end, and the end of what came after it, ms.

    Each kind has one entry in the legend, where the chart has one.
    """
    bands = []
    for n, (start, end, over) in enumerate(halts[:BANDS]):
        bands.append(_band(start, end, "Chain halted", "var(--halt)", "var(--halt-edge)", n == 0))
        if over > end:
            first = not any(later > back for _, back, later in halts[:n])
            bands.append(_band(end, over, "Grace after it", "var(--grace)", "rgba(0,0,0,0)", first))
    return bands


def _band(start: int, end: int, name: str, colour: str, edge: str, named: bool) -> Figure:
    # The edge is a pixel wide at any zoom: half an hour in a year would not be seen without it.
    return {
        "type": "rect", "x0": start, "x1": end, "yref": "paper", "y0": 0, "y1": 1, "layer": "below",
        "fillcolor": colour, "line": {"color": edge, "width": 1}, "name": name, "showlegend": named,
    }  # fmt: skip


def axis(**more: Any) -> Figure:
    """A vertical axis."""
    return {"automargin": True, "nticks": 6, **_GRID, **more}


def money_axis(curves: Sequence[Values], **more: Any) -> Figure:
    """An axis of amounts. A curve that never moves stands in the middle, instead of in a range of nothing."""
    low = min(float(np.fmin.reduce(c, initial=np.inf)) for c in curves)
    high = max(float(np.fmax.reduce(c, initial=-np.inf)) for c in curves)
    if low == high != 0:
        more["range"] = [low - abs(low) / 100, high + abs(high) / 100]
    return axis(**_MONEY, **more)


def cut_axis(curves: Sequence[Values], **more: Any) -> tuple[Figure, str]:
    """An axis of ratios from zero, cut where a spike would hide all the rest, and what the reader must know of that."""
    # The 99th percentile of each is one of its values: the spike itself only where there is nothing else.
    usual = [float(np.quantile(values, 0.99, method="lower")) for values in curves if len(values)]
    most = max((float(values.max()) for values in curves if len(values)), default=0.0)
    high = SPIKE * max(usual, default=0.0)
    if most <= high:
        return axis(rangemode="tozero", **more), ""
    return axis(range=[0, high], **more), f"The axis ends at {fmt.number(high)}x; the maximum was {fmt.number(most)}x."


def bars(amounts: Sequence[float], ends: Sequence[float]) -> Figure:
    """Axes of horizontal bars that reach to ``ends``, with a number at each; the script makes room for the numbers."""
    # A gain has its number on the right, a loss on the left, nothing on either side.
    right, left = (max(len(fmt.signed(v)) for v in (0.0, *amounts) if sign * v >= 0) for sign in (1, -1))
    return {
        "xaxis": {"nticks": 5, "fixedrange": True, **_MONEY, **_GRID, "zeroline": True},
        "yaxis": {"autorange": "reversed", "automargin": True, "fixedrange": True},
        "showlegend": False,
        "hovermode": False,
        "meta": {"reach": [min(*ends, 0.0), max(*ends, 0.0), left, right]},
    }


def caption(words: str, y: float, colour: str = MUTED) -> Figure:
    """Words at the left of the plot, standing at the share ``y`` of its height."""
    return {
        "text": words, "xref": "paper", "x": 0, "xanchor": "left", "yref": "paper", "y": y, "yanchor": "bottom",
        "showarrow": False, "font": {"size": 12, "color": colour},
    }  # fmt: skip


def width(i: int, of: int) -> float:
    """Of curve `i` of so many: a later one is thinner, so that one which runs under it still shows."""
    return min(1.2 * (max(of, 2) - i), 3.6)


def folded(name: str) -> str:
    """A long label in two lines, for narrow screens."""
    return {
        "Liquidation penalties": "Liquidation<br>penalties",
        "Paid by the insurance fund": "Paid by the<br>insurance fund",
        "Bad debt borne by others": "Bad debt<br>borne by others",
    }.get(name, name)


def thinned(each: int, what: str) -> str:
    """What the reader of a thinned curve must know."""
    return f"Shown: lowest and highest of each {each:,} {what}." if each > 1 else ""


def plain(words: str) -> str:
    """Plotly reads a few HTML tags in its texts; a name is never one."""
    return html.escape(words, quote=False)
