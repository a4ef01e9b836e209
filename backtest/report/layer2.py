"""What the chain did to an account: a part of the report where there was one, or money outside the venue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl

from backtest.core.enums import OrderType, Reason, TransferKind, TransferState
from backtest.report import formatting as fmt
from backtest.report.charts import SHOWN, Chart, Run, over
from backtest.report.downsampling import envelope, floats, stamps
from backtest.report.figure import INK, PALETTE, axis, caption, curve, money_axis, thinned
from backtest.report.narrative import layer2_words
from backtest.report.outcome import delayed
from backtest.report.table_rows import ROWS, Cell, Column, Table, amount, listed, stamp, text
from backtest.results.finality import READS, at_risk
from backtest.results.ledger import COSTS, FLOWS
from backtest.results.mark_cost import TOLD
from backtest.results.summary_types import untyped

if TYPE_CHECKING:
    from backtest.results.result import Result

Facts = list[tuple[str, str]]

KINDS = {"order": "Orders", "deposit": "Deposits", "withdrawal": "Withdrawals"}
"""What travels, as `summary["chain"]["latency"]` names it."""
SENT, ARRIVED, REJECTED = (state.name.lower() for state in TransferState)
PER_DECADE = 8
"""Bins of the chart of latencies in a factor of ten."""


@dataclass(frozen=True)
class Section:
    """What the page shows of one account."""

    words: list[str]
    facts: Facts
    charts: dict[str, Chart]
    tables: list[Table]


def section(run: Run, quote: str) -> Section | None:
    """The section of one account; None where there was no chain and no money outside the venue."""
    result = run.result
    told = any(name in result.summary for name in ("chain", "mark_cost"))
    if not told and not run.outside and not any(result.tables.height(name) for name in _BESIDE):
        return None
    drawn = [_marks_chart(run), _latency_chart(result), _risk_chart(run, quote), _money_chart(run, quote)]
    listed = [_ways(result), _outages(run), _transfers(result), _distances(result), _mark_cost(result)]
    return Section(
        layer2_words(result, run.outcome, quote),
        _facts(result, quote),
        {chart.name: chart for chart in drawn if chart is not None},
        [table for table in listed if table is not None],
    )


_BESIDE = ("transfers", "marks")
"""Tables that have rows only where there is something to show, be it without a chain."""


def _chain(result: Result) -> dict[str, Any]:
    return dict(result.summary.get("chain") or {})


def _facts(result: Result, quote: str) -> Facts:
    """The chain's figures that are not zero."""
    chain, unit = _chain(result), f" {quote}" if quote else ""
    if not chain:
        return []
    ends, finality, undone = chain["orders"], chain["finality"], chain["undone"]
    facts = [("Chain", chain["name"])]
    facts += [(title, fmt.count(ends[name])) for name, title in _ENDS.items() if ends[name]]
    facts += [
        (f"Gas of {kind.replace('_', ' ')}s", fmt.text("gas", paid) + unit)
        for kind, paid in chain["gas"].items()
        if paid and kind != "total"
    ]
    if finality["finality_ms"]:
        facts.append(("Time to finality", fmt.delay(finality["finality_ms"])))
        facts.append(("Largest value at risk", fmt.number(finality["most_at_risk"]) + unit))
        facts.append(("Average value at risk over time", fmt.number(finality["mean_at_risk"]) + unit))
        if finality["order_median_ms"] is not None:
            times = (finality["order_median_ms"], finality["order_longest_ms"])
            facts.append(("An order's fills at risk for", " (median), ".join(map(fmt.duration, times)) + " (longest)"))
    if undone["fills"]:
        facts.append(("Fills undone in a reorg", f"{fmt.count(undone['fills'])}, {fmt.number(undone['value'])}{unit}"))
    return facts


_ENDS = {
    "lost": "Order messages lost in an outage", "late": "Order messages too late after an outage",
    "unpaid": "Order messages that could not pay their gas",
    "stale": "Order messages rejected on a stale oracle price",
}  # fmt: skip


_SENT = ("order_id", "type", "parent_id", "group_id", "ts_sent", "ts_arrived")
"""The columns of orders that are read of messages."""
MESSAGES = "Orders sent together, such as a bracket, are one message."


def _messages(orders: pl.DataFrame) -> pl.DataFrame:
    """Of orders that travel together one, as `results.chain_summary.messages`."""
    own = orders.filter((pl.col("type") != OrderType.AMEND.name.lower()) & pl.col("parent_id").is_null())
    return own.unique(pl.coalesce("group_id", "order_id"), keep="first", maintain_order=True)


def _latency_chart(result: Result) -> Chart | None:
    """How many orders took how long, on a logarithmic scale."""
    if not _chain(result):
        return None
    title = "Time from sending to arrival"
    orders = _messages(result.tables.columns("orders", *_SENT).filter(pl.col("ts_arrived").is_not_null()))
    if not len(orders):
        return Chart("latency", title, "", None, 0, "No order arrived.")
    took = stamps(orders, "ts_arrived") - stamps(orders, "ts_sent")
    # Nothing is shorter than a millisecond to a clock of milliseconds: what took none stands in the first bin.
    place = np.floor(np.log10(np.maximum(took, 1)) * PER_DECADE).astype(np.int64)
    # A factor of ten at least: few bins would be wide bars that say no more.
    high = max(int(place.max()), PER_DECADE - 1)
    low = min(int(place.min()), high - PER_DECADE + 1)
    counts = np.bincount(place - low, minlength=high - low + 1)
    edges = 10.0 ** (np.arange(low, high + 2) / PER_DECADE)
    told = [
        f"{_span(edges[n], edges[n + 1])}: {fmt.plural(int(count), 'message')}"
        for n, count in enumerate(counts.tolist())
    ]
    middles = np.sqrt(edges[:-1] * edges[1:])
    bars = {
        "type": "bar", "x": np.round(middles, 4).tolist(), "y": counts.tolist(), "width": np.diff(edges).tolist(),
        "marker": {"color": PALETTE[0]}, "text": told, "hovertemplate": "%{text}<extra></extra>",
        "textposition": "none",
    }  # fmt: skip
    steps = (1, 2, 5) if high - low < 2 * PER_DECADE else (1,)
    ticks = [ms for ms in (n * base for base in _TICKS for n in steps) if edges[0] <= ms <= edges[-1]]
    layout = {
        "xaxis": axis(
            type="log", range=[float(np.log10(edges[0])), float(np.log10(edges[-1]))],
            tickvals=ticks, ticktext=[fmt.delay(ms) for ms in ticks], tickangle=0,
        ),
        "yaxis": axis(rangemode="tozero", tickformat=",d"),
        "hovermode": "closest", "showlegend": False, "bargap": 0, "margin": {"l": 52, "r": 16, "t": 8, "b": 8},
    }  # fmt: skip
    note = f"From sending to arrival: the run's own delay, network, queue, outages and blocks. {MESSAGES} "
    note += "Logarithmic scale."
    return Chart("latency", title, note, {"data": [bars], "layout": layout}, 240)


_TICKS = (1, 10, 100, 1_000, 10_000, 60_000, 600_000, 3_600_000, 36_000_000, 360_000_000)
"""Whole units where the decades of ms would be 100 s and 1,000 s."""


def _span(low: float, high: float) -> str:
    """The whole ms in a bin."""
    first, last = int(np.ceil(low)), int(np.ceil(high)) - 1
    if low <= 1:
        return f"up to {last:,} ms"
    return f"{first:,} ms" if first >= last else f"{first:,} to {last:,} ms"


def _marks_chart(run: Run) -> Chart | None:
    """Prices against the first ones, and how far the venue mark was from the market's."""
    table = run.result.tables["marks"]
    if not len(table):
        return None
    farthest = table.group_by("symbol").agg(pl.col("distance").abs().max())
    ranked = farthest.sort("distance", "symbol", descending=[True, False])["symbol"].to_list()
    apart = bool((table["distance"] != 0).any())
    data, each = [], 1
    for i, symbol in enumerate(sorted(ranked[:SHOWN])):
        mine = table.filter(pl.col("symbol") == symbol)
        ts, market = stamps(mine), floats(mine, "market")
        line, off = envelope(ts, market / market[0] * 100), envelope(ts, floats(mine, "distance"))
        each = max(each, line.each)
        data.append(curve(symbol, line, PALETTE[i], ".2f"))
        if apart:
            data.append(curve(symbol, off, PALETTE[i], ".2%", yaxis="y2") | {"showlegend": False})
    layout = over([run]) | {"yaxis": axis(domain=[0.45, 1.0] if apart else [0.0, 1.0]), "showlegend": True}
    if apart:
        layout["yaxis2"] = axis(domain=[0.0, 0.34], tickformat=".2~%", anchor="x", nticks=4, zeroline=True)
        layout["xaxis"]["anchor"] = "y2"
        layout["annotations"] = [caption("Venue mark over market mark", 0.35)]
    title = "Prices, and distance of the venue mark from the market mark" if apart else "Prices"
    note = "Market marks, the first of each is 100. Of each sampling period, the close with the largest distance. "
    note += f"The {SHOWN} markets with the largest distance. " if len(ranked) > SHOWN else ""
    note = f"{note}{thinned(each, 'samples')}".strip()
    return Chart("marks", title, note, {"data": data, "layout": layout}, 400 if apart else 260)


def _risk_chart(run: Run, quote: str) -> Chart | None:
    """The sum of the fills that the chain could still take back, over time."""
    finality_ms = _chain(run.result).get("finality", {}).get("finality_ms")
    if not finality_ms:
        return None
    title = f"Value at risk until it was final{f' ({quote})' if quote else ''}"
    risk = at_risk(run.result.tables.columns("fills", *READS), finality_ms)
    if not len(risk.ts):
        return Chart("risk", title, "", None, 0, "Nothing was traded, so nothing was at risk.")
    out = run.outcome
    inside = risk.ts < out.end_ms
    ts = np.concatenate([[out.start_ms], risk.ts[inside], [out.end_ms]]).astype(np.int64)
    values = np.concatenate([[0.0], risk.value[inside], risk.value[inside][-1:]])
    line = envelope(ts, values)
    layout = over([run]) | {"yaxis": money_axis([line.values], rangemode="tozero"), "showlegend": False}
    note = f"Value of the fills of the last {fmt.delay(finality_ms)}, which the chain could still revert."
    data = [curve("At risk", line, PALETTE[3], ",.2f", shape="hv")]
    note = f"{note} {thinned(line.each, 'changes')}".strip()
    return Chart("risk", title, note, {"data": data, "layout": layout}, 220)


def _money_chart(run: Run, quote: str) -> Chart | None:
    """Where the money was: at the venue, on its way, outside."""
    if not run.outside:
        return None
    parts = (
        ("At the venue", "equity", PALETTE[0]),
        ("In flight", "in_flight", PALETTE[4]),
        ("Reserve", "reserve", INK),
    )
    lines = [(name, envelope(run.ts, run.column(column)), colour) for name, column, colour in parts]
    data = [curve(name, line, colour, ",.2f", shape="hv") for name, line, colour in lines]
    layout = over([run]) | {"yaxis": money_axis([line.values for _, line, _ in lines], rangemode="tozero")}
    layout["showlegend"] = True
    title = f"Where the money was{f' ({quote})' if quote else ''}"
    note = f"At each close. {thinned(lines[0][1].each, 'candles')}".strip()
    return Chart("money", title, note, {"data": data, "layout": layout}, 260)


def _distances(result: Result) -> Table | None:
    """Of each market when the venue mark was farthest from the market's."""
    marks = result.tables["marks"].filter(pl.col("distance") != 0)
    if not len(marks):
        return None
    size = pl.col("distance").abs()
    farthest = marks.sort(size, descending=True, maintain_order=True).unique("symbol", keep="first").sort("symbol")
    title = "Largest distance between venue mark and market mark"
    note = "At closes. Below zero, the venue mark was lower."
    return listed("distances", title, farthest, _DISTANCES, "", "marks.parquet", note)


_DISTANCES = (
    text("symbol", "Symbol"), stamp("ts", "Close (UTC)"), Column("market", "Market", fmt.price),
    Column("venue", "Venue", fmt.price), Column("distance", "Venue over market", fmt.percent, signed=True),
)  # fmt: skip


def _mark_cost(result: Result) -> Table | None:
    """The account beside itself by the market mark, flow by flow."""
    known = untyped(result.summary).get("mark_cost") or {}
    if "cost" not in known:
        return None
    own, other = cast("Mapping[str, float]", result.metrics), known["by_market"]
    costs = {**known["flows"], "final_equity": known["cost"]}
    shown = [name for name in TOLD if name not in FLOWS or own[name] or other[name]]
    rows = [
        (
            Cell(fmt.metric(name, delayed(result)).title),
            _side(name, own[name]),
            _side(name, other[name]),
            amount(0.0 - costs[name]) if name in costs else Cell("", True),
        )
        for name in shown
    ]
    titles = (("", False), ("On the venue mark", True), ("On the market mark", True), ("Difference", True))
    note = "Two replays of the same account, which diverge where a liquidation or a rejection differs. Costs are below "
    note += "zero. Difference: the effect of the venue mark; below zero, a cost."
    return Table("mark_cost", "What the venue mark cost", tuple(Cell(*t) for t in titles), tuple(rows), note=note)


def _side(name: str, value: float) -> Cell:
    """A flow with its sign, like the page's other charts and tables; all else as it is."""
    if name in FLOWS:
        return amount((0.0 - value) if name in COSTS else value)
    return Cell(fmt.text(name, value), True)


def _ways(result: Result) -> Table | None:
    """Median, 99th percentile and most of the time between sending and arrival, by kind of message."""
    ways = _chain(result).get("latency", {})
    shown = [(title, ways[kind]) for kind, title in KINDS.items() if kind in ways and ways[kind]["messages"]]
    if not shown:
        return None
    head = (Cell("Messages"), *(Cell(title, True) for title in ("Arrived", "Median", "p99", "Longest")))
    rows = tuple(
        (
            Cell(title),
            Cell(fmt.count(way["messages"]), True),
            *(Cell(_took(way[name]), True) for name in ("median", "p99", "most")),
        )
        for title, way in shown
    )
    return Table("ways", "Message and transfer times", head, rows, note=f"From sending to arrival. {MESSAGES}")


def _took(ms: float) -> str:
    """To the hundredth of a second, where whole seconds would say too little."""
    return f"{ms / 1000:.2f} s" if 1_000 <= ms < 60_000 else fmt.duration(ms)


def _outages(run: Run) -> Table | None:
    """Each halt with what it did to the account."""
    known = _chain(run.result).get("outages", [])
    if not known:
        return None
    worth, placed = run.worth, run.result.tables.columns("orders", *_SENT, "ts_done", "reason")
    outage = pl.col("reason") == Reason.OUTAGE.name.lower()
    # What is lost is lost in the last halt that began before: it may have been sent while its queue was worked off.
    fates = _messages(placed.filter(outage))
    lost_in = np.searchsorted([halt["start_ms"] for halt in known], stamps(fates, "ts_done"), side="left") - 1
    orders = _messages(placed.filter(outage.not_().fill_null(True)))
    sent = stamps(orders, "ts_sent")
    arrived = orders["ts_arrived"].dt.epoch("ms").fill_null(-1).to_numpy()
    rows = []
    for n, halt in enumerate(known[:ROWS]):
        a, b = halt["start_ms"], halt["end_ms"]
        waited = int(((sent < b) & (arrived >= b)).sum())
        gone = int((lost_in == n).sum())
        # The last close before it, and the first at which the chain runs again.
        before, after = np.searchsorted(run.ts, a, side="right") - 1, np.searchsorted(run.ts, b)
        ends = (worth[before] if before >= 0 else run.outcome.start, worth[min(after, len(worth) - 1)])
        figures = (fmt.duration(b - a), fmt.count(waited), fmt.count(gone), fmt.number(ends[0]), fmt.number(ends[1]))
        rows.append(
            (
                Cell(fmt.moment(a)), Cell(fmt.moment(b)), *(Cell(text, True) for text in figures),
                amount(ends[1] - ends[0]), Cell(str(halt["cause"]) or "not given"),
            )
        )  # fmt: skip
    titles = (("From (UTC)", False), ("To (UTC)", False), ("Lasted", True), ("Messages that waited", True),
              ("Lost or late", True), ("Equity before", True), ("Equity after", True), ("Change", True),
              ("Cause", False))  # fmt: skip
    cut = f"First {ROWS:,} of {len(known):,}." if len(known) > ROWS else ""
    note = "Equity at the last close before it and at the first after it. Messages are those with orders; what waited "
    note += f"was sent before its end and arrived after it. {MESSAGES}"
    return Table("outages", "Outages", tuple(Cell(*title) for title in titles), tuple(rows), cut, note=note)


def _transfers(result: Result) -> Table | None:
    """A row per transfer, in the order of sending, with what became of it."""
    moved = result.tables["transfers"].with_columns(pl.col("ts", "arrives").dt.epoch("ms"))
    if not len(moved):
        return None
    first = moved.unique("transfer_id", keep="first", maintain_order=True)
    ends = {row["transfer_id"]: row for row in moved.filter(pl.col("state") == ARRIVED).iter_rows(named=True)}
    rows = []
    for row in first.head(ROWS).iter_rows(named=True):
        cells = (
            Cell(fmt.moment(row["ts"])), Cell(_WAYS[row["kind"]]), Cell(str(row["route"])),
            Cell(fmt.number(row["amount"]), True),
        )  # fmt: skip
        rows.append((*cells, *_became(row, ends.get(row["transfer_id"])), Cell(row["reason"] or "")))
    titles = (("Sent (UTC)", False), ("What", False), ("Route", False), ("Amount", True), ("Fee", True),
              ("State", False), ("Arrived (UTC)", False), ("Took", True), ("Reason", False))  # fmt: skip
    cut = f"First {ROWS:,} of {len(first):,}; all are in transfers.parquet." if len(first) > ROWS else ""
    note = "Withdrawals leave the venue at once; deposits arrive later, minus the fee."
    return Table("transfers", "Transfers", tuple(Cell(*title) for title in titles), tuple(rows), cut, note=note)


_WAYS = {TransferKind.DEPOSIT.name.lower(): "to the venue", TransferKind.WITHDRAWAL.name.lower(): "to the reserve"}


def _became(row: dict[str, Any], end: dict[str, Any] | None) -> tuple[Cell, ...]:
    """Fee, state, arrival and time under way of a transfer that was sent by ``row``; ``end``: its arrival, if any."""
    if end is not None:
        took = fmt.duration(end["ts"] - row["ts"]) if end["ts"] > row["ts"] else "at once"
        return amount(0.0 - end["fee"]), Cell(ARRIVED), Cell(fmt.moment(end["ts"])), Cell(took, True)
    if row["state"] == REJECTED:
        return Cell("", True), Cell(REJECTED), Cell(""), Cell("", True)
    return Cell("", True), Cell("in flight at the end"), Cell(f"due {fmt.moment(row['arrives'])}"), Cell("", True)
