"""`backtest venues list`, `show` and `chains`."""

from __future__ import annotations

from datetime import datetime

import click

from backtest.cli import flags


@click.group(cls=flags.Group)
def venues() -> None:
    """List and show venues: margin, liquidation, fees."""


@venues.command("list")
@flags.JSON
def list_(as_json: bool) -> None:
    """List the preset venues."""
    from backtest.cli import output
    from backtest.venues import profile

    output.venues(profile.available(), as_json)


@venues.command("chains")
@flags.JSON
def chains_(as_json: bool) -> None:
    """List the preset chains."""
    from backtest.cli import show_chains
    from backtest.venues import chains

    show_chains.listing(chains.available(), as_json)


@venues.command("show")
@click.argument("venue")
@click.option(
    "--date",
    "when",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]),
    metavar="DAY",
    help="Show only the terms in force on this day or at this time (UTC), such as 2024-10-24 or 2025-05-05T03:00.  "
    "[default: every version by date]",
)
@click.option("--symbol", metavar="NAME", help="Show only this market, such as BTC-USD.")
@flags.JSON
def show_(venue: str, when: datetime | None, symbol: str | None, as_json: bool) -> None:
    """Show a venue's margin tiers, liquidation rules and fees, and their sources.

    VENUE is a name or an alias, like okx, or a FILE.toml.
    """
    from backtest.cli import output
    from backtest.venues import profile

    output.venue(profile.load(venue), as_json, when, symbol)
