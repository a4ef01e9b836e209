"""The page of one run: the first screen, then one section per question."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from backtest.report import (
    charts,
    everything_else,
    how_close,
    how_good,
    layer2_section,
    misleading,
    orders_section,
    strategies_section,
    what_happened,
    what_traded,
    where_from,
)
from backtest.report.key_figures import key_figures
from backtest.report.narrative import run_words
from backtest.report.outcome import outcome
from backtest.report.page import as_stored, document, quote_of
from backtest.report.scorecard import scorecard
from backtest.report.section import Build, Section, Subject
from backtest.report.shared_text import netting_words
from backtest.report.verdict import verdict

if TYPE_CHECKING:
    from backtest.results.result import Result

SECTIONS: tuple[Build, ...] = (
    what_happened.section,
    how_close.section,
    where_from.section,
    strategies_section.section,
    what_traded.section,
    how_good.section,
    layer2_section.section,
    orders_section.section,
    everything_else.section,
)
"""The questions of the page, in order. A section is a module with a function `section`; its place is here."""


def render(result: Result, candles: pl.DataFrame | None = None) -> str:
    """Return the report of one run as a complete HTML document.

    ``candles``: the table of that name, of the markets that the run had; None: the page shows no candles.
    """
    result = as_stored(result)
    out, quote = outcome(result), quote_of(result)
    (run,) = charts.runs([result], [out])
    subject = Subject(run, quote, candles)
    sections = [made for build in SECTIONS if (made := build(subject)) is not None]
    above = misleading.sentences(result, out)
    return document(
        "run.html.j2",
        result,
        [result],
        above=False,
        charts=drawn(sections),
        listed=[part.value for one in sections for part in one.parts if part.kind == "table"],
        sections=sections,
        verdict=verdict(result, out),
        misleading=above,
        checks=scorecard(result, out),
        key_figures=key_figures(result, out, quote),
        words=[*netting_words(result), *(said for said in run_words(result, out, quote) if said not in above)],
    )


def drawn(sections: list[Section]) -> dict[str, charts.Chart]:
    """Return the charts of all sections by name."""
    return {part.value.name: part.value for one in sections for part in one.parts if part.kind in ("chart", "market")}
