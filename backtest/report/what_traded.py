"""The section "What did it trade?": positions and round trips."""

from __future__ import annotations

from backtest.report import table_rows
from backtest.report.charts import positions_chart
from backtest.report.excursion_chart import excursions_chart
from backtest.report.section import Section, Subject, chart, table


def section(subject: Subject) -> Section:
    """Return the section."""
    parts = (
        chart(positions_chart(subject.run, subject.quote)),
        table(table_rows.trades(subject.result)),
        chart(excursions_chart(subject.result, subject.quote)),
    )
    return Section("traded", "What did it trade?", parts)
