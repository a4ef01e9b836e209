"""`backtest chains list` and `show`."""

from __future__ import annotations

from datetime import datetime

import click

from backtest.cli import flags


@click.group(cls=flags.Group)
def chains() -> None:
    """List and show chains: latency, outages, gas, bridges."""


@chains.command("list")
@flags.JSON
def list_(as_json: bool) -> None:
    """List the preset chains."""
    from backtest.cli import show_chains
    from backtest.venues import chains as known

    show_chains.listing(known.available(), as_json)


@chains.command("show")
@click.argument("chain")
@flags.DATE
@flags.JSON
def show_(chain: str, when: datetime | None, as_json: bool) -> None:
    """Show all figures of a chain with their sources and status, and its outages.

    CHAIN is a name, or a FILE.toml.
    """
    from backtest.cli import show_chains
    from backtest.venues import chains as known

    show_chains.chain(known.load(chain), as_json, when and when.date())
