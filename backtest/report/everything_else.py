"""The last section: every metric and every setting."""

from __future__ import annotations

from backtest.report import formatting as fmt
from backtest.report.page import settings_of
from backtest.report.section import Section, Subject, facts
from backtest.results.metric_definitions import by_name


def section(subject: Subject) -> Section:
    """Return the section."""
    metrics = [(title, text) for _, title, text in fmt.table(by_name(subject.result.metrics), subject.outcome.delayed)]
    note = "`run.toml` beside this page holds these settings: `backtest run --config run.toml` runs them again."
    parts = (facts("All metrics", metrics), facts("Settings", settings_of(subject.result), note))
    return Section("else", "Everything else", parts)
