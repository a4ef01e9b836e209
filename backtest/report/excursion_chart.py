"""The trades of a run as points: how far each was under water at its worst, and what it made in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from backtest.report import formatting as fmt
from backtest.report.charts import Chart
from backtest.report.downsampling import floats, stamps
from backtest.report.figure import FAINT, GAIN, LOSS, Figure, money_axis, plain

if TYPE_CHECKING:
    from backtest.results.result import Result

POINTS = 2_000
NAME, TITLE = "excursions", "Trades: worst open profit against the end"


def excursions_chart(result: Result, quote: str) -> Chart:
    """The adverse excursion of each trade against its net, winners and losers apart."""
    title = f"{TITLE}{f' ({quote})' if quote else ''}"
    columns = ("symbol", "side", "ts_entry", "exit_reason", "mfe", "mae", "net")
    trades = result.tables.columns("trades", *columns)
    known = trades.drop_nulls("mae")
    if not len(known):
        why = "Prices between the fills were not read." if len(trades) else "No round trip was finished."
        return Chart(NAME, title, "", None, 0, why)
    shown = known.top_k(POINTS, by=pl.col("mae").abs() + pl.col("net").abs())
    won = pl.col("net") > 0
    data = [_line(float(shown["mae"].min()))]  # type: ignore[arg-type]
    for name, some, colour, symbol in (("Gained", won, GAIN, "circle"), ("Lost", ~won, LOSS, "x")):
        data += _points(name, shown.filter(some), colour, symbol)
    low, high = floats(shown, "mae"), floats(shown, "net")
    layout: Figure = {
        "xaxis": money_axis([np.append(low, 0.0)], zeroline=True, nticks=5, title=_titled("Worst open profit")),
        "yaxis": money_axis([np.append(high, 0.0)], zeroline=True, title=_titled("Net")),
        "hovermode": "closest",
        "showlegend": True,
    }
    note = "Open profit at trade prices, before fees. On the dotted line a trade was closed at its worst."
    if len(known) > POINTS:
        note += f" Shown: the {POINTS:,} that moved the most, of {len(known):,}."
    return Chart(NAME, title, note, {"data": data, "layout": layout}, 380)


def _titled(words: str) -> Figure:
    return {"text": words, "standoff": 8, "font": {"size": 12}}


def _line(worst: float) -> Figure:
    return {
        "type": "scatter", "mode": "lines", "x": [worst, 0.0], "y": [worst, 0.0], "showlegend": False,
        "line": {"color": FAINT, "width": 1, "dash": "dot"}, "hoverinfo": "skip",
    }  # fmt: skip


def _points(name: str, trades: pl.DataFrame, colour: str, symbol: str) -> list[Figure]:
    when = [fmt.moment(ts) for ts in stamps(trades, "ts_entry").tolist()]
    rows = trades.select("symbol", "side", "exit_reason", "mfe").iter_rows()
    said = [
        plain(f"{of} {side} of {ts}, closed by {(why or 'order').replace('_', ' ')}; at best {fmt.signed(best)}")
        for ts, (of, side, why, best) in zip(when, rows, strict=True)
    ]
    marks: Figure = {
        "type": "scatter", "mode": "markers", "name": name, "x": np.round(floats(trades, "mae"), 6).tolist(),
        "y": np.round(floats(trades, "net"), 6).tolist(), "text": said,
        "hovertemplate": "%{text}<br>at worst %{x:,.2f}, in the end %{y:,.2f}<extra></extra>",
        "marker": {"symbol": symbol, "size": 6, "color": colour, "opacity": 0.75},
    }  # fmt: skip
    return [marks] if said else []
