"""Charts of daily returns: by month and year, their distribution, and what they were over a moving window."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import polars as pl

from backtest.report import formatting as fmt
from backtest.report.benchmarks import benchmarks
from backtest.report.charts import Chart
from backtest.report.charts import over as over_time_of
from backtest.report.daily_returns import TAIL, Daily, at, value_at_risk
from backtest.report.downsampling import Values, envelope
from backtest.report.figure import GAIN, LIMIT, LOSS, PALETTE, Figure, axis, curve
from backtest.report.heatmap import LOW_TO_HIGH
from backtest.report.section import Subject

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WINDOW, SHORTEST = 90, 20
"""Days of the moving window, and the shortest that says anything."""
YEAR = 365
STILL = 1e-12
"""A deviation below it is rounding."""
LITTLE = "The run is too short, or its equity did not move: it has {}."


def months_chart(days: Daily) -> Chart:
    """Return the return of each month as a map of years and months; a month that is not whole counts what it has."""
    title = "Return by month"
    by_month = _compounded(days, lambda when: (when.year, when.month))
    if not by_month:
        return Chart("months", title, "", None, 0, "The run has no whole day.")
    years = sorted({year for year, _ in by_month})
    grid = [[by_month.get((year, month + 1)) for month in range(12)] for year in years]
    values = [[None if v is None else round(v * 100, 4) for v in row] for row in grid]
    most = max(abs(v) for v in by_month.values()) * 100 or 1.0
    text = [["" if v is None else f"{v:+.1f}" for v in row] for row in values]
    trace: Figure = {
        "type": "heatmap", "x": list(MONTHS), "y": [str(year) for year in years], "z": values, "text": text,
        "texttemplate": "%{text}", "textfont": {"size": 11}, "colorscale": LOW_TO_HIGH,
        "zmid": 0, "zmin": -most, "zmax": most, "xgap": 2,
        "ygap": 2, "hoverongaps": False, "showscale": False, "hovertemplate": "%{x} %{y}: %{z:.2f}%<extra></extra>",
    }  # fmt: skip
    layout: Figure = {
        "xaxis": {"type": "category", "showgrid": False, "fixedrange": True, "tickangle": 0, "nticks": 12},
        "yaxis": {
            "type": "category", "autorange": "reversed", "automargin": True, "showgrid": False, "fixedrange": True,
        },
        "showlegend": False,
    }  # fmt: skip
    height = 70 + 34 * len(years)
    return Chart("months", title, "%. Days compounded; UTC.", {"data": [trace], "layout": layout}, height)


def years_chart(days: Daily) -> Chart | None:
    """Return the return of each year as bars; None where there is one year only."""
    by_year = _compounded(days, lambda when: (when.year, 0))
    if len(by_year) < 2:
        return None
    values = [round(v * 100, 4) for v in by_year.values()]
    trace: Figure = {
        "type": "bar", "x": [str(year) for year, _ in by_year], "y": values,
        "text": [f"{v:+.1f}%" for v in values], "textposition": "outside", "cliponaxis": False,
        "marker": {"color": [GAIN if v >= 0 else LOSS for v in values]},
        "hovertemplate": "%{x}: %{y:.2f}%<extra></extra>",
    }  # fmt: skip
    layout: Figure = {
        "xaxis": {"type": "category", "fixedrange": True},
        "yaxis": axis(ticksuffix="%", zeroline=True),
        "showlegend": False,
    }
    note = "Years that are not whole count what they have."
    return Chart("years", "Return by year", note, {"data": [trace], "layout": layout}, 260)


def _compounded(days: Daily, group: Callable[[datetime], tuple[int, int]]) -> dict[tuple[int, int], float]:
    """Growth of each group of days, less 1."""
    grown: dict[tuple[int, int], float] = {}
    for ms, value in zip(days.days.tolist(), days.returns.tolist(), strict=True):
        if np.isfinite(value):
            key = group(datetime.fromtimestamp(ms / 1000, UTC))
            grown[key] = grown.get(key, 1.0) * (1.0 + value)
    return {key: value - 1.0 for key, value in grown.items()}


def distribution_chart(days: Daily) -> Chart:
    """Return how often days returned how much, with value at risk."""
    title, returns = "Distribution of daily returns", days.returns[np.isfinite(days.returns)]
    risk = value_at_risk(returns)
    if risk is None:
        return Chart("distribution", title, "", None, 0, LITTLE.format(fmt.plural(len(returns), "whole day")))
    low, high = float(np.quantile(returns, 0.001)), float(np.quantile(returns, 0.999))
    edges = np.linspace(min(low, -1e-6), max(high, 1e-6), 42)
    counts, _ = np.histogram(np.clip(returns, edges[0], edges[-1]), edges)
    middles = (edges[:-1] + edges[1:]) / 2
    trace: Figure = {
        "type": "bar", "x": np.round(middles, 8).tolist(), "y": counts.tolist(),
        "marker": {"color": [LOSS if m < 0 else GAIN for m in middles]},
        "hovertemplate": "about %{x:.2%}: %{y} days<extra></extra>",
    }  # fmt: skip
    lines = [(risk[0], f"VaR {fmt.percent(risk[0])}"), (risk[1], f"CVaR {fmt.percent(risk[1])}")]
    layout: Figure = {
        "xaxis": {"tickformat": ".1~%", "gridcolor": "var(--grid)"},
        "yaxis": axis(title={"text": "Days", "font": {"size": 12}}), "bargap": 0.05, "showlegend": False,
        "shapes": [
            {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1,
             "line": {"color": LIMIT, "width": 1.5, "dash": dash}}
            for (x, _), dash in zip(lines, ("solid", "dot"), strict=True)
        ],
        "annotations": [
            {"x": x, "yref": "paper", "y": y, "text": text, "showarrow": False, "xanchor": "right", "xshift": -4,
             "font": {"size": 12, "color": LIMIT}}
            for (x, text), y in zip(lines, (1.0, 0.88), strict=True)
        ],
    }  # fmt: skip
    note = (
        f"Value at risk (VaR): {fmt.percent(TAIL, 0)} of the days lost more. CVaR: the mean of those days. "
        "The outermost bars hold all days beyond them."
    )
    return Chart("distribution", title, note, {"data": [trace], "layout": layout}, 300)


def rolling_chart(subject: Subject, days: Daily) -> Chart:
    """Return Sharpe and beta to the markets over a moving window."""
    returns, ends = days.returns, days.midnights[1:]
    window = min(WINDOW, len(returns) // 3)
    if window < SHORTEST or not np.isfinite(returns).all() or np.ptp(returns) <= STILL:
        return Chart(
            "rolling", "Rolling Sharpe and beta", "", None, 0, LITTLE.format(fmt.plural(len(returns), "whole day"))
        )
    mean, deviation = _moving(returns, window)
    with np.errstate(divide="ignore", invalid="ignore"):
        sharpe = np.where(deviation > STILL, np.sqrt(YEAR) * mean / deviation, np.nan)
    data = [curve("Sharpe", envelope(ends[window - 1 :], sharpe), PALETTE[0], ".2f")]
    compared = benchmarks(subject)
    note = f"Over {window} days."
    if compared:
        market = compared[-1]
        totals = at(days.midnights, market.clock, market.values, float(market.values[0]))
        beta = _beta(returns, totals[1:] / totals[:-1] - 1.0, window)
        name = f"Beta to {market.name[:1].lower()}{market.name[1:]}"
        data.append(curve(name, envelope(ends[window - 1 :], beta), PALETTE[1], ".2f"))
        note += " Beta: how much the account moves when the markets move by 1."
    layout = over_time_of([subject.run]) | {"yaxis": axis(zeroline=True), "showlegend": True}
    return Chart("rolling", "Rolling Sharpe and beta", note, {"data": data, "layout": layout}, 300)


def _moving(values: Values, window: int) -> tuple[Values, Values]:
    """Mean and sample deviation of each window."""
    views = np.lib.stride_tricks.sliding_window_view(values, window)
    return views.mean(axis=1), views.std(axis=1, ddof=1)


def _beta(returns: Values, market: Values, window: int) -> Values:
    frame = pl.DataFrame({"a": returns, "b": market})
    both = frame.select(
        cov=pl.rolling_cov("a", "b", window_size=window), var=pl.col("b").rolling_var(window)
    ).slice(window - 1)  # fmt: skip
    cov, var = both["cov"].to_numpy(), both["var"].to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(var > STILL, cov / var, np.nan)
