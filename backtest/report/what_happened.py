"""The section "What happened": equity and drawdown, the liquidations on it, and what they did."""

from __future__ import annotations

from backtest.report import liquidation_tables, table_rows
from backtest.report.charts import equity_chart
from backtest.report.section import Part, Section, Subject, chart, table
from backtest.report.unliquidated import unharmed


def section(subject: Subject) -> Section:
    """Return the section."""
    parts = [chart(equity_chart([subject.run], subject.quote)), _liquidations(subject)]
    guards = table_rows.guards(subject.result)
    if guards.rows:
        parts.append(table(guards))
    return Section("happened", "What happened?", tuple(parts))


def _liquidations(subject: Subject) -> Part:
    out = subject.outcome
    listing = liquidation_tables.listing(out, unharmed(subject.result, subject.quote))
    title = "Liquidations and deleveraging" if out.deleveraged else "Liquidations"
    return Part("listing", listing, title, liquidation_tables.NOTE if out.losses or out.deleveraged else "")
