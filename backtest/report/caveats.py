"""What stands above the results, because they would mislead without it; shared by the terminal and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from backtest.report.format import listing

if TYPE_CHECKING:
    from backtest.results.result import Result


def omissions(results: Sequence[Result]) -> str:
    """Return one line on what the results leave out, such as fees; empty where they leave out nothing."""
    return _sentence("; ".join(in_common({r.label: r.summary.get("warnings", ()) for r in results})))


def in_common(said: Mapping[str, Sequence[str]]) -> list[str]:
    """Return each clause once, in order; those that only some accounts have begin with the labels of these."""
    whose: dict[str, list[str]] = {}
    for label, clauses in said.items():
        for clause in clauses:
            whose.setdefault(clause, []).append(label)
    return [clause if len(labels) == len(said) else f"{listing(labels)}: {clause}" for clause, labels in whose.items()]


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}." if words else ""
