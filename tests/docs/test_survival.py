"""Long and hedged books through crashes on real prices: nothing fails, books balance, and the page says what is found.

The whole table takes minutes (`python -m tests.docs.survival`); here a part of it is played again. A run whose
books do not balance fails.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from backtest.data.scenarios.pack import load
from backtest.venues import profile
from tests.docs import stressed
from tests.docs.survival import (
    BOOKS,
    EVENTS,
    LEVERAGES,
    MODES,
    NONE,
    PAGE,
    REFUSED,
    Event,
    data,
    modes_of,
    outcomes,
    written,
)

LEVERAGES_HERE = (5, 20)
DATA = data()
needs_data = pytest.mark.skipif(DATA is None, reason="no real data: BACKTEST_REAL_DATA names no folder with it")


@needs_data
@pytest.mark.parametrize("event", [EVENTS[0], EVENTS[4]], ids=lambda event: event.name)
def test_the_page_says_what_is_found(event: Event) -> None:
    assert DATA is not None
    said = written(PAGE.read_text(encoding="utf-8"), event)
    found = {(row.title, row.mode, venue): cell for row, venue, cell in outcomes(DATA, event, leverages=LEVERAGES_HERE)}
    assert len(found) == 2 * len(LEVERAGES_HERE) * len(MODES) * len(profile.names())
    assert {key: said[key] for key in found} == found


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_the_page_has_a_cell_for_every_account(event: Event) -> None:
    said = written(PAGE.read_text(encoding="utf-8"), event)
    titles = [f"{book} {leverage}×" for book in BOOKS for leverage in LEVERAGES]
    assert set(said) == {(title, mode, venue) for title in titles for mode in MODES for venue in profile.names()}
    assert REFUSED in said.values()
    dashes = {(mode, venue) for (_, mode, venue), cell in said.items() if cell == NONE}
    assert dashes == {(mode, venue) for venue in profile.names() for mode in MODES if mode not in modes_of(venue)}


def struck(event: Event, book: str, leverages: tuple[int, ...], *modes: str) -> set[bool]:
    """Whether the accounts that were admitted were liquidated, by the page."""
    said = written(PAGE.read_text(encoding="utf-8"), event)
    titles = {f"{book} {leverage}×" for leverage in leverages}
    cells = [
        cell
        for (title, mode, _), cell in said.items()
        if title in titles and mode in modes and cell not in (REFUSED, NONE)
    ]
    return {cell[0] in "†‡" for cell in cells}


def test_what_the_page_concludes() -> None:
    netting = ("cross", "portfolio")
    assert [struck(event, "long", (10, 20), *MODES) for event in EVENTS] == [{True}] * 5
    assert [struck(event, "long", (3,), *MODES) for event in EVENTS] == [{True}] * 2 + [{False}] * 3
    assert [struck(event, "hedged", (3, 5, 10), *netting) for event in EVENTS] == [{False}] * 5
    assert [struck(event, "hedged", (10,), "isolated") for event in EVENTS] == [{True}] * 5
    assert [struck(event, "hedged", (3,), "isolated") for event in EVENTS] == [{True}] * 2 + [{False}] * 3
    both, never = {True, False}, {False}
    assert [struck(event, "hedged", (20,), "cross") for event in EVENTS] == [both, {True}, never, both, never]
    assert [struck(event, "hedged", (20,), "portfolio") for event in EVENTS] == [never, {True}, never, never, never]


@pytest.mark.parametrize("book", stressed.BOOKS)
def test_the_page_has_a_row_for_every_shipped_scenario(book: str) -> None:
    said = stressed.written(PAGE.read_text(encoding="utf-8"), book)
    assert list(said) == ["baseline", *(one.name for one in load("crashes").scenarios)]
    assert {len(cells) for cells in said.values()} == {len(stressed.VENUES) * len(stressed.MODES)}


@needs_data
def test_the_page_says_what_the_shipped_scenarios_do(tmp_path: Path) -> None:
    assert DATA is not None
    tables = load("crashes").text.split("[[scenario]]\n")
    pack = tmp_path / "some.toml"
    pack.write_text("[[scenario]]\n" + "[[scenario]]\n".join(t for t in tables if '"btc-alone"' in t or '"adl"' in t))
    made = stressed.play(DATA, "hedged", ("hyperliquid",), pack)
    said = stressed.written(PAGE.read_text(encoding="utf-8"), "hedged")
    place = 2 * stressed.VENUES.index("hyperliquid")
    found: dict[str, list[str]] = {name: [] for name in made.frame["scenario"]}
    for row in made.frame.iter_rows(named=True):
        found[row["scenario"]].append(stressed.cell(row))
    assert found == {name: said[name][place : place + 2] for name in found}
