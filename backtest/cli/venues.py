"""`backtest venues list` and `show`."""

from __future__ import annotations

import click

from backtest.cli import flags


@click.group()
def venues() -> None:
    """What a venue asks: margin, penalty, fee."""


@venues.command("list")
@flags.JSON
def list_(as_json: bool) -> None:
    """List the venues that come with the package."""
    from backtest.cli import show
    from backtest.venue import profile

    show.venues(profile.available(), as_json)


@venues.command("show")
@click.argument("venue")
@flags.JSON
def show_(venue: str, as_json: bool) -> None:
    """Show a venue's tiers, penalty and fee. VENUE is a name, or a FILE.toml."""
    from backtest.cli import show
    from backtest.venue import profile

    show.venue(profile.load(venue), as_json)
