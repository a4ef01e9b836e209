"""The page of a latency curve: profit against delay, and what happens to the account at each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from backtest.report import charts, liquidation_tables
from backtest.report import formatting as fmt
from backtest.report.caveats import beforehand
from backtest.report.charts import SHOWN, Chart, Run
from backtest.report.downsampling import envelope
from backtest.report.figure import (
    FAINT,
    LIMIT,
    PALETTE,
    PAPER,
    Figure,
    axis,
    caption,
    curve,
    money_axis,
    plain,
    thinned,
)
from backtest.report.narrative import latency_words
from backtest.report.outcome import LATENCY, Outcome, outcome
from backtest.report.page import as_stored, document, quote_of, settings_of, sources_table
from backtest.report.table_rows import Cell, Table, amount
from backtest.results.metric_definitions import by_name
from backtest.results.summary_types import untyped

if TYPE_CHECKING:
    from backtest.results.result import Result

NARROW, LETTER, BETWEEN = 285, 7.0, 6.0
"""Pixels, of width: the plot on a phone, a letter, and the space between two labels."""


def render_latency(results: Sequence[Result]) -> str:
    """The report of the same account at several delays, the fastest first, as a complete HTML document."""
    results = [as_stored(result) for result in named(results)]
    outs, delays = [outcome(result) for result in results], [delay_of(result) for result in results]
    quote = quote_of(results[0])
    shown = _some(len(results))
    accounts = charts.runs([results[i] for i in shown], [outs[i] for i in shown])
    drawn = {
        "curve": curve_chart(results, outs, quote),
        "behind": behind_chart(accounts, quote),
        "equity": charts.equity_chart(accounts, quote),
    }
    return document(
        "latency.html.j2",
        results[0],
        results,
        charts=drawn,
        words=words_of(results, outs),
        cards=_cards(outs, delays, quote),
        tables={"delays": delays_table(results, outs), "sources": sources_table(outs)},
        noun="delay",
        left_out="" if len(shown) == len(results) else f"{len(shown)} of the {len(results)} delays are drawn.",
        deleveraged=any(out.deleveraged for out in outs),
        liquidations=[(out.label, liquidation_tables.listing(out)) for out in outs if out.losses or out.deleveraged],
        health=liquidation_tables.NOTE if any(out.losses or out.deleveraged for out in outs) else "",
        settings=[fact for fact in settings_of(results[0]) if all(fact in settings_of(r) for r in results)],
    )


def words_of(results: Sequence[Result], outs: Sequence[Outcome]) -> list[str]:
    """The outcome in sentences, for the page and the terminal."""
    data = results[0].summary["data"]
    # What prices do inside the finest candles that were played is not known.
    candle_ms = int(data.get("drill_ms") or data["interval_ms"])
    words = latency_words(outs, [delay_of(result) for result in results], candle_ms, quote_of(results[0]))
    return [*beforehand(named(results), outs, "At {}, {}"), *words]


def named(results: Sequence[Result]) -> list[Result]:
    """The results with their delays as labels."""
    return [replace(result, label=fmt.delay(delay_of(result))) for result in results]


def delay_of(result: Result) -> int:
    """The run's own delay, ms."""
    return int(untyped(result.summary)["config"]["latency_ms"])


def _some(count: int) -> list[int]:
    """Of so many curves those that are drawn: the first, the last, and others at even steps between."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, SHOWN))})


def curve_chart(results: Sequence[Result], outs: Sequence[Outcome], quote: str) -> Chart:
    """Profit at each delay, and below it the price move between decision and fill."""
    delays = [delay_of(result) for result in results]
    places, names = _places(delays), [fmt.delay(delay) for delay in delays]
    profits, drifts = [out.change for out in outs], [out.sources[LATENCY] for out in outs]
    told = [
        f"{name}: profit {fmt.signed(profit)}, latency {_latency(out)}, {fmt.plural(out.fills, 'fill')}"
        for name, profit, out in zip(names, profits, outs, strict=True)
    ]
    # Without a delay there is no latency that could cost or gain.
    first = next((n for n, out in enumerate(outs) if out.delayed), len(outs))
    data = [
        _points("Profit", places, profits, told, PALETTE[0], 2.4, "y"),
        _points("Latency", places[first:], drifts[first:], told[first:], PALETTE[1], 1.8, "y2"),
    ]
    lost = [i for i, out in enumerate(outs) if out.losses]
    if lost:
        data.append(_crosses([places[i] for i in lost], [profits[i] for i in lost], [told[i] for i in lost]))
    kept = _labelled(places, names)
    words = {"text": "Delay from decision to message", "standoff": 6, "font": {"size": 12.5}}
    room = (places[-1] - places[0]) * 0.04
    layout = {
        "xaxis": axis(
            title=words, tickvals=[places[i] for i in kept], ticktext=[names[i] for i in kept],
            range=[places[0] - room, places[-1] + room], anchor="y2", tickangle=0,
        ),
        "yaxis": money_axis([np.array(profits)], domain=[0.42, 1.0], zeroline=True),
        "yaxis2": money_axis([np.array(drifts)], domain=[0.0, 0.29], zeroline=True, anchor="x"),
        "annotations": [caption("Latency: the price move between decision and fill", 0.30)],
        "hovermode": "closest", "showlegend": bool(lost), "margin": {"l": 56, "r": 16, "t": 8, "b": 8},
    }  # fmt: skip
    title = f"Profit against latency{f' ({quote})' if quote else ''}"
    return Chart("curve", title, _NOTE, {"data": data, "layout": layout}, 460)


_NOTE = (
    "Delays are on a logarithmic scale that starts at 0. Below zero, latency is a cost. The rest of the "
    "difference has other causes: orders that did not fill, other funding, fees and liquidations."
)


def _latency(out: Outcome) -> str:
    return fmt.signed(out.sources[LATENCY]) if out.delayed else "none"


def _latency_cell(out: Outcome) -> Cell:
    return amount(out.sources[LATENCY]) if out.delayed else Cell(_latency(out), True)


def _places(delays: Sequence[int]) -> list[float]:
    """Where the delays stand: ln(1 + delay / the smallest above 0), so that none and an hour are on one axis."""
    unit = next(delay for delay in delays if delay > 0)
    return [float(place) for place in np.round(np.log1p(np.array(delays) / unit), 6)]


def _labelled(places: Sequence[float], names: Sequence[str]) -> list[int]:
    """The first, the last, and those between whose label has room on a narrow screen."""
    pixel = (places[-1] - places[0]) / NARROW

    def apart(i: int, j: int) -> bool:
        wide = LETTER * (len(names[i]) + len(names[j])) / 2 + BETWEEN
        return abs(places[i] - places[j]) >= wide * pixel

    kept, last = [0], len(places) - 1
    for i in range(1, last):
        if apart(i, kept[-1]) and apart(i, last):
            kept.append(i)
    return [*kept, last]


def _points(
    name: str, x: Sequence[float], y: Sequence[float], told: Sequence[str], colour: str, width: float, yaxis: str
) -> Figure:
    return {
        "type": "scatter", "mode": "lines+markers", "name": name, "x": list(x), "y": np.round(y, 6).tolist(),
        "text": [plain(words) for words in told], "hovertemplate": "%{text}<extra></extra>", "yaxis": yaxis,
        "line": {"color": colour, "width": width}, "marker": {"color": colour, "size": 7},
    }  # fmt: skip


def _crosses(x: Sequence[float], y: Sequence[float], told: Sequence[str]) -> Figure:
    return {
        "type": "scatter", "mode": "markers", "name": "Liquidated", "x": list(x), "y": np.round(y, 6).tolist(),
        "text": [plain(words) for words in told], "hovertemplate": "%{text}<extra></extra>",
        "marker": {"symbol": "x", "size": 11, "color": LIMIT, "line": {"width": 1, "color": PAPER}},
    }  # fmt: skip


def behind_chart(accounts: Sequence[Run], quote: str) -> Chart:
    """How far each account is from the fastest at each close."""
    title = f"Against the fastest, over time{f' ({quote})' if quote else ''}"
    fast = accounts[0].worth
    lines = [envelope(run.ts, run.worth - fast) for run in accounts]  # which has every extreme of the whole curve
    if not any(line.values.any() for line in lines):
        return Chart("behind", title, "", None, 0, "The delay made no difference at any close.")
    data = [
        curve(run.result.label, line, run.colour, ",.2f", width=1.8)
        for run, line in zip(accounts[1:], lines[1:], strict=True)
    ]
    heights = money_axis([line.values for line in lines], zeroline=True)
    layout = charts.over(accounts) | {"yaxis": heights, "showlegend": True}
    note = f"Equity less that at {accounts[0].result.label}. {thinned(lines[0].each, 'candles')}".strip()
    return Chart("behind", title, note, {"data": data, "layout": layout}, 300)


def _cards(outs: Sequence[Outcome], delays: Sequence[int], quote: str) -> list[dict[str, str]]:
    """What the fastest and the slowest made, what lies between them, and what prices took of it."""
    fast, slow, unit = outs[0], outs[-1], f" ({quote})" if quote else ""
    cost = fast.change - slow.change
    share = f"{fmt.percent(abs(cost) / abs(fast.change))} of the profit of the fastest" if fast.change > 0 else ""
    return [
        _card(f"Profit at {fmt.delay(delays[0])}{unit}", fmt.signed(fast.change), _fills(fast), PALETTE[0]),
        _card(f"Profit at {fmt.delay(delays[-1])}{unit}", fmt.signed(slow.change), _fills(slow), PALETTE[0]),
        _card(f"{'Cost of' if cost >= 0 else 'Gained by'} being slower{unit}", fmt.number(abs(cost)), share, FAINT),
        _card(
            f"Latency at {fmt.delay(delays[-1])}{unit}",
            fmt.signed(slow.sources[LATENCY]),
            "Price move between decision and fill; below zero: a cost",
            PALETTE[1],
        ),
    ]


def _card(title: str, figure: str, more: str, colour: str) -> dict[str, str]:
    return {"title": title, "figure": figure, "more": more, "colour": colour}


def _fills(out: Outcome) -> str:
    lost = fmt.plural(len(out.losses), "liquidation") if out.losses else "no liquidation"
    return f"{fmt.plural(out.fills, 'fill')}, {lost}"


def delays_table(results: Sequence[Result], outs: Sequence[Outcome]) -> Table:
    """A row per delay; counts that are zero at each of them are left out, but for the liquidations."""
    fast = outs[0].change
    idle = {name for name in _SELDOM if not any(by_name(r.metrics)[name] for r in results)}
    kept = [(title, name) for title, name in _COUNTS if name not in idle]
    rows = []
    for result, out in zip(results, outs, strict=True):
        amounts = (amount(out.change), amount(out.change - fast), _latency_cell(out))
        counts = (Cell(fmt.text(name, by_name(result.metrics)[name]), True) for _, name in kept)
        rows.append((Cell(fmt.delay(delay_of(result)), True), *amounts, *counts))
    titles = ("Delay", "Profit", "Against the fastest", "Latency", *(title for title, _ in kept))
    head = tuple(Cell(title, True) for title in titles)
    return Table("delays", "Delay by delay", head, tuple(rows))


_COUNTS = (
    ("Gas", "gas"), ("Return", "return"), ("Largest drawdown", "max_drawdown"), ("Sharpe", "sharpe"),
    ("Orders", "orders"), ("Fills", "fills"), ("Rejected", "rejected_orders"), ("Expired", "expired_orders"),
    ("Cancelled", "cancelled_orders"), ("Margin accounts liquidated", "pool_liquidations"),
)  # fmt: skip
_SELDOM = ("gas", "expired_orders", "cancelled_orders")
