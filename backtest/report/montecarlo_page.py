"""The page of a Monte Carlo: who survived, the spread of equity along the paths, and how they ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import polars as pl

from backtest.report import figure
from backtest.report import formatting as fmt
from backtest.report.charts import Chart
from backtest.report.figure import Figure
from backtest.report.page import environment, script_json
from backtest.report.table_rows import Cell, Table

BINS = 60
SPREAD = (("q05", "q95", "5% to 95%", 0.15), ("q25", "q75", "25% to 75%", 0.3))
DRAWN = {"candles": "blocks of joint candles", "starts": "start dates", "trades": "the order of the run's trades"}
WEAKER = {
    "starts": "Only prices that were there are replayed: a crash that did not happen is in no path.",
    "trades": "Nothing is replayed: no path has a liquidation, a margin call or another size of a trade. "
    "Resample candles to see whether the account survives.",
}


class Share(Protocol):
    """A share with its interval."""

    @property
    def share(self) -> float:
        """The share."""
        ...

    @property
    def low(self) -> float:
        """The interval's lower end."""
        ...

    @property
    def high(self) -> float:
        """The interval's upper end."""
        ...


def render_montecarlo(
    frame: pl.DataFrame,
    fan: pl.DataFrame,
    plain: Mapping[str, float],
    survival: Mapping[str, Share],
    facts: Mapping[str, Any],
    quote: str,
) -> str:
    """The page as a complete HTML document. ``plain``: final equity on the history as it is, by margin mode."""
    charts = [chart for mode in survival for chart in (_fan(fan, mode, quote), _ends(frame, mode, plain[mode], quote))]
    return (
        environment()
        .get_template("montecarlo.html.j2")
        .render(
            name=facts["strategy"],
            about=facts["doc"],
            more="",
            synthetic=facts["synthetic"],
            scope=(),
            omissions="",
            period=f"{fmt.moment(facts['start_ms'])} to {fmt.moment(facts['end_ms'])} (UTC)",
            quote=quote,
            words=_words(frame, survival, facts),
            cards=_cards(frame, survival, quote),
            charts=charts,
            table=_table(frame, plain, survival),
            settings=_settings(facts),
            figures=script_json({chart.name: chart.figure for chart in charts if chart.figure}),
        )
    )


def _words(frame: pl.DataFrame, survival: Mapping[str, Share], facts: Mapping[str, Any]) -> list[str]:
    lost = frame.filter(pl.col("error").is_not_null())["path"].n_unique()
    drawn, block = DRAWN[facts["resample"]], facts["block"]
    of = f" of {block} on average" if block and block != "all" else ""
    said = [
        f"{fmt.plural(facts['paths'], 'path')}, for which {drawn}{of} were drawn at random: "
        + "; ".join(f"{mode} survived {_shown(one)}" for mode, one in survival.items())
        + "."
    ]
    said += [WEAKER[name] for name in (facts["resample"],) if name in WEAKER]
    said += [f"{fmt.plural(lost, 'path')} failed and {'is' if lost == 1 else 'are'} left out."] * bool(lost)
    said += [f"{mode} is left out: {why}." for mode, why in facts["left_out"].items()]
    return said


def _shown(one: Share) -> str:
    return f"{fmt.percent(one.share, 1)} (95% interval {fmt.percent(one.low, 1)} to {fmt.percent(one.high, 1)})"


def _cards(frame: pl.DataFrame, survival: Mapping[str, Share], quote: str) -> list[dict[str, str]]:
    cards = []
    for mode, one in survival.items():
        middle = frame.filter(pl.col("margin") == mode)["final_equity"].median()
        more = f"95% interval {fmt.percent(one.low, 1)} to {fmt.percent(one.high, 1)}"
        more += f"; median final equity {fmt.number(float(str(middle)))} {quote}" if middle is not None else ""
        cards.append({"title": f"Survived, {mode}", "figure": fmt.percent(one.share, 1), "more": more, "colour": ""})
    return cards


def _fan(fan: pl.DataFrame, mode: str, quote: str) -> Chart:
    own = fan.filter(pl.col("margin") == mode)
    at = (100 * own["at"]).to_list()
    traces: list[Figure] = []
    for low, high, name, alpha in SPREAD:
        band = {"type": "scatter", "mode": "lines", "line": {"width": 0}, "x": at, "hoverinfo": "skip"}
        traces.append({**band, "y": own[low].to_list(), "showlegend": False})
        fill = f"rgba(0, 114, 178, {alpha})"
        traces.append({**band, "y": own[high].to_list(), "fill": "tonexty", "fillcolor": fill, "name": name})
    middle = {"color": figure.PALETTE[0], "width": 2}
    traces.append({"type": "scatter", "mode": "lines", "x": at, "y": own["q50"].to_list(), "name": "Median",
                   "line": middle, "hovertemplate": "%{y:,.0f}"})  # fmt: skip
    axes = {"xaxis": {"ticksuffix": "%", "title": {"text": "of the path"}},
            "yaxis": figure.axis(rangemode="tozero", exponentformat="B", separatethousands=True)}  # fmt: skip
    return Chart(f"fan-{mode}", f"Equity along the paths, {mode} ({quote})", "", {"data": traces, "layout": axes}, 360)


def _ends(frame: pl.DataFrame, mode: str, plain: float, quote: str) -> Chart:
    ends = frame.filter((pl.col("margin") == mode) & pl.col("final_equity").is_not_null())["final_equity"].to_numpy()
    counts, edges = np.histogram(ends, bins=BINS) if len(ends) else (np.zeros(1, int), np.array([0.0, 1.0]))
    bars = {"type": "bar", "x": ((edges[1:] + edges[:-1]) / 2).tolist(), "y": counts.tolist(),
            "width": np.diff(edges).tolist(), "marker": {"color": figure.PALETTE[0]}, "name": "Paths",
            "hovertemplate": "%{x:,.0f}: %{y} paths<extra></extra>"}  # fmt: skip
    line = {"type": "line", "x0": plain, "x1": plain, "yref": "paper", "y0": 0, "y1": 1,
            "line": {"color": figure.INK, "dash": "dash", "width": 1.5}}  # fmt: skip
    layout = {"xaxis": {"exponentformat": "B", "separatethousands": True}, "yaxis": figure.axis(), "showlegend": False,
              "shapes": [line]}  # fmt: skip
    note = f"The dashed line is the history as it was: {fmt.number(plain)} {quote}."
    return Chart(
        f"ends-{mode}", f"Final equity of the paths, {mode} ({quote})", note, {"data": [bars], "layout": layout}, 300
    )


def _table(frame: pl.DataFrame, plain: Mapping[str, float], survival: Mapping[str, Share]) -> Table:
    head = ("Margin", "Survived", "History as it was", "5%", "Median", "95%", "Median drawdown", "Worst drawdown",
            "Median time to liquidation")  # fmt: skip
    rows = []
    for mode, one in survival.items():
        own = frame.filter(pl.col("margin") == mode)
        ends = [own["final_equity"].quantile(share, "linear") for share in (0.05, 0.5, 0.95)]
        falls = own["max_drawdown"]
        when = own["liquidated_after_ms"].drop_nulls().median()
        cells = [
            fmt.percent(one.share, 1), fmt.number(plain[mode]), *(_amount(end) for end in ends),
            *(fmt.percent(float(str(v)), 1) if v is not None else fmt.NA for v in (falls.median(), falls.min())),
            fmt.duration(int(float(str(when)))) if when is not None else "none",
        ]  # fmt: skip
        rows.append((Cell(mode), *(Cell(text, True) for text in cells)))
    titles = (Cell(head[0]), *(Cell(text, True) for text in head[1:]))
    return Table("outcomes", "Outcomes by margin mode", titles, tuple(rows))


def _amount(value: float | None) -> str:
    return fmt.NA if value is None else fmt.number(value)


def _settings(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = [("Dataset", facts["data"]), ("Symbols", ", ".join(facts["symbols"])), ("Venue", facts["venue"])]
    found += [(name, str(value)) for name, value in facts["params"].items()]
    return [
        *found,
        ("Resampled", facts["resample"]),
        ("Mean block", facts["block"] or "none"),
        ("Seed", str(facts["seed"])),
    ]
