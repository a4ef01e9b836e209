"""A section of a run's page: a question, and the charts, tables and facts that answer it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from backtest.report.charts import Chart, Run
from backtest.report.outcome import Outcome
from backtest.report.table_rows import Table

if TYPE_CHECKING:
    from backtest.results.result import Result


@dataclass(frozen=True)
class Subject:
    """What a section is made of: one account, as its summary and tables have it."""

    run: Run
    quote: str
    """The currency of the amounts; empty where the data do not say."""
    candles: pl.DataFrame | None = None
    """The table `candles`; None: the report has none."""

    @property
    def result(self) -> Result:
        """Summary and tables."""
        return self.run.result

    @property
    def outcome(self) -> Outcome:
        """What became of the account."""
        return self.run.outcome

    def titled(self, title: str) -> str:
        """``title`` with the currency."""
        return f"{title} ({self.quote})" if self.quote else title


@dataclass(frozen=True)
class Part:
    """A piece of a section; ``kind`` says how the template shows ``value``."""

    kind: Literal["chart", "table", "facts", "words", "listing", "market", "folded"]
    value: Any
    title: str = ""
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A question and its answer, in parts."""

    name: str
    title: str
    parts: tuple[Part, ...]


Build = Callable[[Subject], Section | None]
"""Make a section; None: it does not concern this account."""


def chart(made: Chart) -> Part:
    """A chart, or the sentence in its place."""
    return Part("chart", made)


def table(made: Table) -> Part:
    """A table under its own title."""
    return Part("table", made)


def facts(title: str, pairs: Sequence[tuple[str, str]], note: str = "") -> Part:
    """Names and values."""
    return Part("facts", list(pairs), title, note)


def words(sentences: Sequence[str]) -> Part:
    """Paragraphs."""
    return Part("words", list(sentences))
