"""The section "What did each strategy do?", of an account that strategies share."""

from __future__ import annotations

from backtest.report.section import Section, Subject, table
from backtest.report.shared_text import strategies_table


def section(subject: Subject) -> Section | None:
    """Return the section; None where one strategy has the account for itself."""
    made = strategies_table(subject.result)
    return Section("strategies", "What did each strategy do?", (table(made),)) if made.rows else None
