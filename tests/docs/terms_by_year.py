"""How many markets each venue has sourced terms of, by year; `python -m tests.docs.terms_by_year` updates the page.

A market counts in a year in which one of its tables holds that was read in a source or computed from one, of the days
that the table is known to cover. Bounds on leverage alone are counted apart, in brackets.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from backtest.venues import profile
from backtest.venues.field_types import instant_ms
from backtest.venues.profile import Profile

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "venues.md"
BEGIN, END = "<!-- terms by year: python -m tests.docs.terms_by_year -->\n", "<!-- end -->\n"
YEARS = range(2020, 2027)
Row = dict[str, Any]


def tables_of(venue: Profile) -> Iterator[Sequence[Row]]:
    """The tables of every market that the venue names, by date."""
    yield from venue.markets.values()
    for market in venue.symbols.values():
        yield [table.model_dump(by_alias=True) for table in market.margin or ()]


def years(tables: Sequence[Row]) -> tuple[set[int], set[int]]:
    """Years in which a market has sourced rates, and in which it has a sourced bound."""
    rates: set[int] = set()
    bounds: set[int] = set()
    for table, after in pairwise([*tables, None]):
        if table.get("status") not in ("verified", "derived") or table.get("from") is None:
            continue
        bare = "rule" not in table or {"tiers", "initial"} & set(table.get("assumed") or ())
        ends = [instant_ms(one) for one in (after and after["from"], table.get("until")) if one]
        for year in YEARS:
            first, last = instant_ms(dt.date(year, 1, 1)), instant_ms(dt.date(year + 1, 1, 1))
            if instant_ms(table["from"]) < last and all(end > first for end in ends):
                (bounds if bare else rates).add(year)
    return rates, bounds - rates


def text() -> str:
    """The table of the page."""
    out = [f"| venue | {' | '.join(map(str, YEARS))} |", "|---|" + "---|" * len(YEARS)]
    for venue in profile.available():
        known = [years(tables) for tables in tables_of(venue)]
        cells = []
        for year in YEARS:
            rates, bounds = (sum(year in one[n] for one in known) for n in (0, 1))
            cells.append(f"{rates}" + f" (+ {bounds})" * bool(bounds) if rates or bounds else "–")
        out.append(f"| `{venue.name}` | {' | '.join(cells)} |")
    return "\n".join(out) + "\n"


def written(page: str) -> str:
    """The page with the table in its place."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + text() + END + rest.split(END, 1)[1]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
