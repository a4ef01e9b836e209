"""The section "Where did the money come from?": sources of profit, over time and by market."""

from __future__ import annotations

from backtest.report import table_rows
from backtest.report.charts import sources_chart
from backtest.report.flows_chart import flows_chart
from backtest.report.section import Section, Subject, chart, table


def section(subject: Subject) -> Section:
    """Return the section."""
    parts = (
        chart(sources_chart(subject.run, subject.quote)),
        chart(flows_chart(subject.run, subject.quote)),
        table(table_rows.symbols(subject.result)),
    )
    return Section("money", "Where did the money come from?", parts)
