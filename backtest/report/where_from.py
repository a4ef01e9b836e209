"""The section "Where did the money come from?": sources of profit, over time, by market, long and short."""

from __future__ import annotations

import polars as pl

from backtest.report import formatting as fmt
from backtest.report import table_rows
from backtest.report.charts import Chart
from backtest.report.figure import GAIN, INK, LOSS, Figure, bars, plain
from backtest.report.flows_chart import flows_chart
from backtest.report.outcome import by_symbol
from backtest.report.section import Section, Subject, chart, table
from backtest.report.source_charts import sources_chart
from backtest.report.table_rows import Cell, Table, amount

MARKETS = 20
"""Markets that are shown apart."""


def section(subject: Subject) -> Section:
    """Return the section."""
    parts = (
        chart(sources_chart(subject.run, subject.quote)),
        chart(flows_chart(subject.run, subject.quote)),
        chart(_markets(subject)),
        table(table_rows.symbols(subject.result)),
        table(_sides(subject)),
    )
    return Section("money", "Where did the money come from?", parts)


def _markets(subject: Subject) -> Chart:
    """What each market added to the account, the largest first."""
    title = subject.titled("Profit by market")
    found = by_symbol(subject.result).select("symbol", "change").iter_rows()
    rows = [(name or "of no market", float(change)) for name, change in found]
    if not rows:
        return Chart("markets", title, "", None, 0, "No market was traded.")
    ranked = sorted(rows, key=lambda row: (-abs(row[1]), row[0]))
    shown, rest = ranked[:MARKETS], ranked[MARKETS:]
    if rest:
        shown.append((f"{len(rest)} others", sum(change for _, change in rest)))
    shown.sort(key=lambda row: -row[1])
    amounts = [change for _, change in shown]
    bar: Figure = {
        "type": "bar", "orientation": "h", "y": [plain(name) for name, _ in shown], "x": amounts,
        "text": [fmt.signed(v) for v in amounts], "textposition": "outside", "cliponaxis": False,
        "marker": {"color": [GAIN if v >= 0 else LOSS for v in amounts]}, "hoverinfo": "none",
        "textfont": {"color": INK},
    }  # fmt: skip
    layout = bars(amounts, [0.0, *amounts])
    note = "Price moves, funding and all costs of each market."
    return Chart("markets", title, note, {"data": [bar], "layout": layout}, 80 + 26 * len(shown))


def _sides(subject: Subject) -> Table:
    """Finished trades, long and short."""
    trades = subject.result.tables["trades"]
    head = tuple(Cell(t, n > 0) for n, t in enumerate(("Side", "Trades", "Won", "Realised", "Fees", "Funding", "Net")))
    rows = []
    for side in ("long", "short"):
        mine = trades.filter(pl.col("side") == side)
        if len(mine):
            won = fmt.percent(int((mine["net"] > 0).sum()) / len(mine))
            sums = [float(mine[name].sum()) for name in ("realized", "fees", "funding", "net")]
            cells = [amount(v) for v in (sums[0], 0.0 - sums[1], sums[2], sums[3])]
            rows.append((Cell(side), Cell(fmt.count(len(mine)), True), Cell(won, True), *cells))
    return Table("sides", "Long and short", head, tuple(rows), empty="No round trip was finished.")
