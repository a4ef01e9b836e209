"""The section "How close was it?": margin ratio, leverage, and the candles that decide."""

from __future__ import annotations

from backtest.report import table_rows
from backtest.report.charts import leverage_chart, margin_chart
from backtest.report.section import Section, Subject, chart, table


def section(subject: Subject) -> Section:
    """Return the section."""
    parts = (
        chart(margin_chart([subject.run])),
        chart(leverage_chart([subject.run])),
        table(table_rows.ambiguous(subject.result)),
    )
    return Section("close", "How close was it?", parts)
