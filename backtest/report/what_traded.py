"""The section "What did it trade?": positions and round trips."""

from __future__ import annotations

from backtest.report import table_rows
from backtest.report.market_chart import market_chart
from backtest.report.position_areas import position_areas
from backtest.report.section import Part, Section, Subject, chart, table


def section(subject: Subject) -> Section:
    """Return the section."""
    parts = (
        Part("market", market_chart(subject)),
        chart(position_areas(subject)),
        table(table_rows.trades(subject.result)),
    )
    return Section("traded", "What did it trade?", parts)
