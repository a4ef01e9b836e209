"""Replay positions through five crashes on real prices, under every venue, in every margin mode.

`python -m tests.docs.survival` replays them all and rewrites the tables of survival.md. The environment's
BACKTEST_REAL_DATA names the folder that holds the dataset. Only outcomes are written, no prices.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

import backtest
from backtest import Result, Strategy
from backtest.data.catalog import Catalog
from backtest.venues import profile

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "survival.md"
CASH = 100_000.0
SHARE = 0.95
"""Of leverage times equity is bought, so that fees and the next open leave what the initial margin needs."""
BOOKS = {"long": {"BTCUSDT": 1.0}, "hedged": {"BTCUSDT": 0.5, "ETHUSDT": -0.5}}
"""Shares of the gross."""
LEVERAGES = (3, 5, 10, 20)
MODES = ("isolated", "cross", "portfolio")
REFUSED, NONE = "no", "–"


@dataclass(frozen=True)
class Event:
    """Two weeks with the crash in the middle; the positions are opened at the second candle."""

    name: str
    start: str
    end: str


EVENTS = (
    Event("March 2020", "2020-03-05", "2020-03-19"),
    Event("May 2021", "2021-05-12", "2021-05-26"),
    Event("November 2022", "2022-11-02", "2022-11-16"),
    Event("August 2024", "2024-07-29", "2024-08-12"),
    Event("October 2025", "2025-10-03", "2025-10-17"),
)
"""The worst days: 12 March, 19 May, 9 November, 5 August, 10 October."""


@dataclass(frozen=True)
class Row:
    """One line of an event's table."""

    book: str
    leverage: int
    mode: str

    @property
    def title(self) -> str:
        return f"{self.book} {self.leverage}×"


class Hold(Strategy):
    """Open positions at the first close, with a leverage, and never trade again."""

    def __init__(self, book: str, leverage: int) -> None:
        super().__init__()
        self.weights, self.leverage = BOOKS[book], leverage
        self.symbols = tuple(self.weights)
        self.opened = False

    def on_candle(self, market: Any, account: Any) -> None:
        if self.opened:
            return
        self.opened = True
        gross = SHARE * self.leverage * account.equity
        for symbol, weight in self.weights.items():
            account.set_leverage(symbol, self.leverage)
            account.target(symbol, notional=weight * gross)


def data() -> Catalog | None:
    """The dataset; None where the environment names none."""
    named = os.environ.get("BACKTEST_REAL_DATA", "")
    folder = Path(named) / "binance_1h_long"
    return Catalog.open(folder) if named and folder.is_dir() else None


def modes_of(venue: str) -> tuple[str, ...]:
    """The margin modes that the venue has, and has figures for."""
    known = profile.load(venue)
    return tuple(mode for mode in MODES if mode in known.modes and not known.lacks(mode))


def play(catalog: Catalog, event: Event, book: str, leverage: int, venue: str) -> dict[str, Result]:
    """Return the result of the positions in every margin mode of the venue, by mode."""
    span = {"start": event.start, "end": event.end, "cash": CASH}
    played = backtest.compare(Hold(book, leverage), catalog, margin=modes_of(venue), venue=venue, **span)
    return {result.label: result for result in played.results}


def cell(result: Result) -> str:
    """Return the outcome: equity at the end in per cent of that at the start; † and the day of the first liquidation
    where everything was lost to it or closed by it, ‡ where something was left to hold."""
    if "rejected" in result.tables["orders"]["status"]:
        return REFUSED
    left = f"{100 * result.metrics['final_equity'] / CASH:.0f}"
    deaths = result.tables["liquidations"]["ts"]
    if not len(deaths):
        return left
    held = result.tables["fills"].group_by("symbol").agg(pl.col("qty").sum())["qty"]
    sign = "‡" if (held.abs() > 1e-9).any() else "†"
    return f"{sign} {deaths[0].day} {deaths[0]:%b}: {left}"


def outcomes(
    catalog: Catalog, event: Event, books: Sequence[str] = tuple(BOOKS), leverages: Sequence[int] = LEVERAGES
) -> Iterator[tuple[Row, str, str]]:
    """(row, venue, cell) of one event."""
    for book in books:
        for leverage in leverages:
            for venue in profile.names():
                played = play(catalog, event, book, leverage, venue)
                for mode in MODES:
                    yield Row(book, leverage, mode), venue, cell(played[mode]) if mode in played else NONE


def table(found: Sequence[tuple[Row, str, str]]) -> str:
    """The table of one event."""
    venues = profile.names()
    cells = {(row, venue): text for row, venue, text in found}
    head = ["positions", "mode", *(f"`{venue}`" for venue in venues)]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    lines += [
        f"| {row.title} | {row.mode} | " + " | ".join(cells[row, venue] for venue in venues) + " |"
        for row in dict.fromkeys(row for row, _, _ in found)
    ]
    return "\n".join(lines) + "\n"


def written(page: str, event: Event) -> dict[tuple[str, str, str], str]:
    """What the page says of an event: cell by (book and leverage, mode, venue)."""
    lines = [line.strip("| ").split(" | ") for line in _section(page, event)[1].splitlines()]
    venues = [name.strip("`") for name in lines[0][2:]]
    return {
        (title, mode, venue): text
        for title, mode, *texts in lines[2:]
        for venue, text in zip(venues, texts, strict=True)
    }


def _section(page: str, event: Event) -> tuple[str, str, str]:
    """What is before the event's table, the table, and what is after it."""
    found = re.search(rf"(^## {event.name}\n(?:(?!\||## ).*\n)*)((?:\|.*\n)*)", page, re.MULTILINE)
    assert found, f"{PAGE.name} has no section {event.name!r}"
    return page[: found.end(1)], found[2], page[found.end(2) :]


def main() -> None:
    catalog = data()
    if catalog is None:
        sys.exit("BACKTEST_REAL_DATA does not name a folder with binance_1h_long")
    for event in EVENTS:
        found = list(outcomes(catalog, event))
        before, _, after = _section(PAGE.read_text(encoding="utf-8"), event)
        PAGE.write_text(before + table(found) + ("\n" + after.lstrip("\n") if after else ""), encoding="utf-8")
        sys.stderr.write(f"{event.name}: {len(found)} accounts\n")


if __name__ == "__main__":
    main()
