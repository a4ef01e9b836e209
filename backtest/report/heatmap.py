"""A metric of a sweep over two of the things that vary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import polars as pl

from backtest.core.json_types import JsonValue
from backtest.report import formatting as fmt
from backtest.report.figure import Figure, plain
from backtest.results.metric_definitions import METRICS

LOW_TO_HIGH = [[0.0, "#7f3b08"], [0.25, "#e08214"], [0.5, "#f7f7f7"], [0.75, "#8073ac"], [1.0, "#2d004b"]]
"""Brewer's PuOr: people with any colour vision can tell the ends apart, on light and on dark."""
CELLS = 2_500
"""Cells that show their number at most."""
SCALED = {"percent": 100.0}
FORMATS = {"percent": ".2f", "count": ",.0f", "money": ",.0f", "ratio": ".2f", "times": ".2f", "days": ".1f"}


@dataclass(frozen=True, repr=False)
class Heatmap:
    """A table of the metric, and how a notebook shows it."""

    x: str
    y: str
    metric: str
    frame: pl.DataFrame
    """A row per value of ``y`` (first column), a column per value of ``x``: the median of the metric over the rest."""
    figure: dict[str, JsonValue]
    """In Plotly's JSON."""

    def _repr_mimebundle_(self, **_: object) -> dict[str, object]:
        return {"application/vnd.plotly.v1+json": self.figure, "text/plain": repr(self)}

    def __repr__(self) -> str:
        """Return one line for a prompt."""
        return f"<Heatmap of {self.metric}: {self.y} ({self.frame.height}) by {self.x} ({self.frame.width - 1})>"


def heatmap(frame: pl.DataFrame, x: str, y: str, metric: str) -> Heatmap:
    """The metric over two columns of a sweep's table, the median where other things vary."""
    cells = (
        frame.filter(pl.col(metric).is_not_null())
        .group_by(y, x)
        .agg(pl.col(metric).cast(pl.Float64).median())
        .sort(y, x)
    )
    across, down = frame[x].unique().sort(), frame[y].unique().sort()
    grid = down.to_frame().join(
        cells.with_columns(pl.col(x).cast(pl.String)).pivot(on=x, index=y, values=metric), on=y, how="left"
    )
    names = across.cast(pl.String).to_list()
    missing = [name for name in names if name not in grid.columns]
    grid = grid.with_columns(pl.lit(None, pl.Float64).alias(name) for name in missing).select(y, *names).sort(y)
    return Heatmap(x, y, metric, grid, cast("dict[str, JsonValue]", _figure(x, y, metric, grid, names)))


def _figure(x: str, y: str, metric: str, grid: pl.DataFrame, names: list[str]) -> Figure:
    kind = METRICS[metric].kind
    factor, unit = SCALED.get(kind, 1.0), "%" if kind == "percent" else ""
    values = [[None if v is None else v * factor for v in grid[name]] for name in names]
    rows = [list(row) for row in zip(*values, strict=True)]
    form = FORMATS.get(kind, ".2f")
    known = [v for row in rows for v in row if v is not None]
    # Gains and losses have their own colours only where there are both.
    middle = {"zmid": 0} if known and min(known) < 0 < max(known) else {}
    told = {"texttemplate": f"%{{z:{form}}}"} if len(names) * len(rows) <= CELLS else {}
    labels = [plain(_label(value)) for value in grid[y]]
    trace = {
        "type": "heatmap", "x": [plain(_label(n)) for n in names], "y": labels, "z": rows, "colorscale": LOW_TO_HIGH,
        "xgap": 1, "ygap": 1, "hoverongaps": False,
        "hovertemplate": f"{plain(x)} %{{x}}, {plain(y)} %{{y}}: %{{z:{form}}}{unit}<extra></extra>",
        "colorbar": {"thickness": 10, "outlinewidth": 0, "ticksuffix": unit, "tickformat": form}, **middle,
    }  # fmt: skip
    if len(names) <= 12 and len(rows) <= 30:
        trace |= told
    if METRICS[metric].better == "low" or METRICS[metric].cost:
        trace["reversescale"] = True  # the same colour is good on every map
    layout = {
        "xaxis": {
            "type": "category",
            "title": {"text": plain(x)},
            "automargin": True,
            "tickangle": 0,
            "nticks": 12,
            "showgrid": False,
        },
        "yaxis": {"type": "category", "title": {"text": plain(y)}, "automargin": True, "showgrid": False},
        "showlegend": False,
    }
    return {"data": [trace], "layout": layout}


def _label(value: object) -> str:
    """A value of an axis as a person writes it."""
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    except ValueError:
        number = None
    return str(value) if number is None else fmt.quantity(number) if abs(number) < 1e9 else f"{number:g}"
