"""`backtest strategies list` and `new`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from backtest.cli import flags


@click.group(cls=flags.Group)
def strategies() -> None:
    """List strategies, and create a new one."""


@strategies.command("list")
@flags.JSON
def list_(as_json: bool) -> None:
    """List the strategies that can be run by name, with their parameters."""
    from backtest.cli import output
    from backtest.strategy import loader

    output.strategies(loader.available(), as_json)


@strategies.command()
@click.argument("name")
@click.argument("folder", type=flags.FOLDER, default=Path("strategies"))
def new(name: str, folder: Path) -> None:
    """Write a working strategy NAME and its test into FOLDER, by default strategies."""
    from backtest.cli import output
    from backtest.data.shipped import SHIPPED
    from backtest.strategy import scaffold

    strategy, test = scaffold.new(name, folder)
    output.written((strategy, test))
    click.echo(f"next: backtest run {shlex.quote(str(strategy))} --data {SHIPPED}", err=True)
    click.echo(f"test: python {shlex.quote(str(test))}", err=True)
