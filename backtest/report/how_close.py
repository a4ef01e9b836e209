"""The section "How close was it?": distance to liquidation, margin, a ladder, and the candles that decide."""

from __future__ import annotations

from backtest.report import table_rows
from backtest.report.charts import leverage_chart, margin_chart
from backtest.report.distance_chart import distance_chart, free_chart
from backtest.report.ladder_table import ladders
from backtest.report.section import Section, Subject, chart, table


def section(subject: Subject) -> Section:
    """Return the section."""
    parts = (
        chart(distance_chart(subject)),
        chart(margin_chart([subject.run])),
        chart(free_chart(subject)),
        chart(leverage_chart([subject.run])),
        *map(table, ladders(subject)),
        table(table_rows.ambiguous(subject.result)),
    )
    return Section("close", "How close was it?", parts)
