"""`backtest margin`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from backtest.cli import flags

FORMAT = """FILE is JSON or TOML, - for standard input: venue, margin, collateral, and positions with symbol, qty and
mark; docs/reference/margin-calculator.md has every key."""


class Closing(click.ParamType[dict[str, Any]]):
    """`SYMBOL=QTY` or `SYMBOL=QTY@PRICE`."""

    name = "close"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """The close as a book says it."""
        symbol, _, amount = str(value).rpartition("=")
        qty, at, price = amount.partition("@")
        try:
            numbers = {"qty": float(qty)} | ({"price": float(price)} if at else {})
        except ValueError:
            self.fail(f"{value!r} is not SYMBOL=QTY or SYMBOL=QTY@PRICE", param, ctx)
        return {"symbol": symbol.strip(), **numbers}


@click.command(cls=flags.Command, epilog=FORMAT)
@click.argument("file")
@click.option("--close", type=Closing(), metavar="SYMBOL=QTY[@PRICE]", help="Check a close of this quantity.")
@click.option(
    "--by", default="all", show_default=True, help="Markets that move: all, beta (each by its beta), or one symbol."
)
@click.option(
    "--step", type=flags.Finite(), default=1, show_default=True, help="Per cent between two levels of the table."
)
@click.option("--down", type=flags.Finite(), default=90, show_default=True, help="How far the market falls, per cent.")
@click.option("--up", type=flags.Finite(), default=200, show_default=True, help="How far the market rises, per cent.")
@click.option("--out", type=flags.FOLDER, metavar="FILE.html", help="Write a page with the ladder as a chart.")
@flags.JSON
def margin(file: str, out: Path | None, as_json: bool, **settings: Any) -> None:
    """Compute margin, liquidation prices and a stress ladder of a positions file, without market data."""
    import backtest
    from backtest.cli import show_margin

    answer = backtest.margin(file, out=out, **settings)
    show_margin.calculation(answer, as_json)
    if out is not None:
        click.echo(f"wrote {out}", err=True)
