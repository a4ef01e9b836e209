"""The section "What became of its orders?"."""

from __future__ import annotations

from backtest.report import order_tables
from backtest.report.section import Section, Subject, table


def section(subject: Subject) -> Section:
    """Return the section."""
    kinds = order_tables.by_kind(subject.result)
    more = (order_tables.liquidity, order_tables.by_reason, order_tables.unfilled) if kinds.rows else ()
    return Section(
        "orders", "What became of its orders?", (table(kinds), *(table(make(subject.result)) for make in more))
    )
