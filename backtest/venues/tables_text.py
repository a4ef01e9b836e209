"""A market's margin tables as `backtest venues show` prints them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backtest.venues import rules_text
from backtest.venues.assumptions import outside
from backtest.venues.field_types import Moment, in_force
from backtest.venues.margin_rules import Table
from backtest.venues.terms import Terms


@dataclass(frozen=True)
class Section:
    """One dated table of a market as it is shown."""

    title: str
    since: str
    """Its date; empty for one that held ever."""
    terms: Terms
    growth: str
    """What a ladder does not show of the rates, in words."""
    standing: str
    """How far its figures are known."""
    source: str
    """Names in `[sources]`, with the commit that the table was read at."""


def sections(title: str, tables: Sequence[Table], when: Moment | None) -> list[Section]:
    """Return a market's tables as they are shown: all of them, or the one that holds at a moment."""
    held = [in_force(tables, when)] if when else tables
    sure = outside(tables, when) if when else ""
    asked = [(table, table.terms(table.from_ms, 0.0, 1.0, 0.0)) for table in held]
    return [
        Section(title, t.since, terms, _beside(t, terms), "; ".join(filter(None, (sure, t.standing))), t.origin)
        for t, terms in asked
    ]


def _beside(table: Table, terms: Terms) -> str:
    """What is asked beside the ladder, in words."""
    own = f"penalty {rules_text.percent(float(table.penalty))}" if table.penalty is not None else ""
    return "; ".join(part for part in (rules_text.growth(terms), own) if part)
