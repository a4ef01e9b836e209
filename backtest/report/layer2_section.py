"""The section "What did the chain do?", of runs with a chain or an oracle."""

from __future__ import annotations

from backtest.report import layer2
from backtest.report.section import Section, Subject, chart, facts, table, words


def section(subject: Subject) -> Section | None:
    """Return the section; None: the run has no chain, and the venue saw the market mark."""
    made = layer2.section(subject.run, subject.quote)
    if made is None:
        return None
    parts = [words(made.words), *([facts("", made.facts)] if made.facts else [])]
    parts += [table(one) for one in made.tables]
    parts += [chart(one) for one in made.charts.values()]
    return Section("layer2", "Layer 2: what did the chain do?", tuple(parts))
