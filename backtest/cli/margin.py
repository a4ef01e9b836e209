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
@click.option("--close", type=Closing(), metavar="SYMBOL=QTY[@PRICE]", help="Judge a close of so much of a position.")
@click.option(
    "--by", default="all", show_default=True, help="What moves: all together, each by its beta, or a symbol alone."
)
@click.option("--step", type=flags.Finite(), default=1, show_default=True, help="Per cent from rung to rung.")
@click.option("--down", type=flags.Finite(), default=90, show_default=True, help="How far the market falls, per cent.")
@click.option("--up", type=flags.Finite(), default=200, show_default=True, help="How far the market rises, per cent.")
@click.option("--out", type=flags.FOLDER, metavar="FILE.html", help="Write the picture of the ladder there.")
@flags.JSON
def margin(file: str, out: Path | None, as_json: bool, **settings: Any) -> None:
    """What a book of positions needs, holds and risks, and its ladder of liquidations; no history needed."""
    import backtest
    from backtest.cli import show_margin

    answer = backtest.margin(file, out=out, **settings)
    show_margin.calculation(answer, as_json)
    if out is not None:
        click.echo(f"wrote {out}", err=True)
