"""The venue of a run: the one that the user names, else the dataset's, else `generic`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from backtest.core.errors import UserError
from backtest.data.catalog import Catalog
from backtest.runner.settings import DEFAULT_VENUE, RunSettings
from backtest.venues import profile as venues
from backtest.venues.profile import Profile

Load = Callable[..., Profile]


def venue_of(asked: RunSettings, catalog: Catalog, load: Load = venues.load) -> tuple[RunSettings, Profile]:
    """Return the settings with the venue that is in force, and its profile.

    A file that the dataset names lies beside the dataset's own. ``load`` may know profiles that have been read.
    UserError for a venue that is unknown or wrong.
    """
    if asked.venue is not None or not catalog.venue:
        venue = asked.venue or DEFAULT_VENUE
        return replace(asked, venue=venue), load(venue)
    name, place = venues.canonical(catalog.venue), f"venue in {catalog.path / 'dataset.toml'}"
    named = str(catalog.path / name) if name.endswith(".toml") else name
    try:
        return replace(asked, venue=named, venue_from_data=True), load(named, place)
    except UserError as error:
        raise UserError(error.thing, error.place, f"{error.remedy}; or pass --venue") from error
