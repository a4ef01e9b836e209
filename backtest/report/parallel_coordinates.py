"""Every run of a sweep as a line through its values and metrics.

Drawn as plain lines: Plotly's own kind needs WebGL, which a printed page and many remote desktops do not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.report import formatting as fmt
from backtest.report.charts import Chart
from backtest.report.figure import FAINT, INK, Figure, plain
from backtest.report.heatmap import LOW_TO_HIGH
from backtest.results.metric_definitions import METRICS

LINES, SHADES = 1_000, 9
"""Most lines, and their colours."""
WORDS = 12
"""Values of an axis of text that are written."""


@dataclass(frozen=True)
class _Scale:
    """One of the vertical axes."""

    title: str
    heights: NDArray[np.float64]
    """Of each run, from 0 to 1."""
    ticks: tuple[tuple[float, str], ...]


def parallel(frame: pl.DataFrame, axes: Sequence[str], metrics: Sequence[str], judged: str) -> Chart:
    """The chart of a sweep's table; lines are coloured by the metric ``judged``."""
    title = "All runs"
    known = frame.filter(pl.col(judged).is_not_null())
    if known.height < 2:
        return Chart("parallel", title, "", None, 0, f"Fewer than two runs have a value of {judged}.")
    ranked = known.sort(judged, "run")
    shown = ranked[np.unique(np.linspace(0, ranked.height - 1, min(ranked.height, LINES)).astype(np.int64))]
    note = f"A line per run, from brown for the lowest {METRICS[judged].title} to purple for the highest."
    if shown.height < known.height:
        note += f" {shown.height:,} of {known.height:,} are drawn."
    scales = [_scale(shown, name) for name in axes]
    scales += [_scale(shown, name) for name in metrics if shown[name].drop_nulls().n_unique() > 1]
    return Chart("parallel", title, note, _figure(shown, scales, judged), 440)


def _scale(frame: pl.DataFrame, name: str) -> _Scale:
    column, title = frame[name], METRICS[name].title if name in METRICS else name
    if column.dtype in (pl.String, pl.Boolean):
        words = column.cast(pl.String)
        names = words.unique().sort().to_list()
        place = {word: n / max(1, len(names) - 1) for n, word in enumerate(names)}
        ticks = tuple((place[word], word) for word in names[:: -(-len(names) // WORDS)])
        return _Scale(title, np.array([place[word] for word in words]), ticks)
    values = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    low, high = float(np.nanmin(values)), float(np.nanmax(values))

    def shown(value: float) -> str:
        return fmt.text(name, value) if name in METRICS else fmt.quantity(value)

    if low == high:
        return _Scale(title, np.where(np.isnan(values), np.nan, 0.5), ((0.5, shown(low)),))
    cost = name in METRICS and METRICS[name].cost  # a cost is shown below zero, so the axis turns round
    heights = (values - low) / (high - low)
    ends = (
        ((0.0, high), (0.5, (low + high) / 2), (1.0, low))
        if cost
        else ((0.0, low), (0.5, (low + high) / 2), (1.0, high))
    )
    return _Scale(title, 1.0 - heights if cost else heights, tuple((at, shown(value)) for at, value in ends))


def _figure(frame: pl.DataFrame, scales: Sequence[_Scale], judged: str) -> Figure:
    heights = np.stack([scale.heights for scale in scales])
    shades = np.minimum(np.arange(frame.height) * SHADES // frame.height, SHADES - 1)
    colours = _colours()
    runs = frame["run"].to_list()
    values = frame[judged].to_list()
    data = []
    for shade in range(SHADES):
        x: list[float | None] = []
        y: list[float | None] = []
        told: list[str] = []
        for n in np.flatnonzero(shades == shade):
            x += [*range(len(scales)), None]
            y += [None if np.isnan(height) else round(float(height), 4) for height in heights[:, n]] + [None]
            told += [f"run {runs[n]}: {METRICS[judged].title} {fmt.text(judged, values[n])}"] * (len(scales) + 1)
        if x:
            data.append(
                {"type": "scatter", "mode": "lines", "x": x, "y": y, "text": told, "opacity": 0.75,
                 "line": {"color": colours[shade], "width": 1.4}, "hovertemplate": "%{text}<extra></extra>"}
            )  # fmt: skip
    layout = {
        "xaxis": {"visible": False, "range": [-0.35, len(scales) - 0.5], "fixedrange": True},
        "yaxis": {"visible": False, "range": [-0.04, 1.04], "fixedrange": True},
        "showlegend": False, "hovermode": "closest", "margin": {"l": 8, "r": 8, "t": 58, "b": 8},
        "shapes": [
            {"type": "line", "x0": n, "x1": n, "y0": 0, "y1": 1, "line": {"color": FAINT, "width": 1}}
            for n in range(len(scales))
        ],
        "annotations": [note for n, scale in enumerate(scales) for note in _labels(n, scale)],
    }  # fmt: skip
    return {"data": data, "layout": layout}


def _labels(n: int, scale: _Scale) -> list[Figure]:
    head = {
        "text": plain(_folded(scale.title)).replace("\n", "<br>"), "x": n, "yref": "paper", "y": 1, "xanchor": "center",
        "yanchor": "bottom", "showarrow": False, "font": {"size": 12, "color": INK},
    }  # fmt: skip
    ticks = [
        {"text": plain(text), "x": n, "y": at, "xanchor": "right", "xshift": -4, "showarrow": False,
         "font": {"size": 11, "color": INK}, "bgcolor": "var(--paper)", "opacity": 0.85}
        for at, text in scale.ticks
    ]  # fmt: skip
    return [head, *ticks]


def _folded(title: str) -> str:
    """A title in lines of about a dozen letters."""
    lines: list[str] = []
    for word in title.split():
        if lines and len(lines[-1]) + len(word) < 14:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)


def _colours() -> list[str]:
    """The shades, from the lowest to the highest, of the same scale as the heat maps."""
    stops = [(float(str(at)), [int(str(colour)[i : i + 2], 16) for i in (1, 3, 5)]) for at, colour in LOW_TO_HIGH]
    # The middle of the scale is nearly white: lines there are grey.
    stops = [(at, [170, 170, 175] if at == 0.5 else parts) for at, parts in stops]
    shares = np.linspace(0, 1, SHADES)
    parts = [np.interp(shares, [at for at, _ in stops], [rgb[i] for _, rgb in stops]) for i in range(3)]
    return [f"rgb({','.join(str(round(float(part[n]))) for part in parts)})" for n in range(SHADES)]
