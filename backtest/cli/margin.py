"""`backtest margin`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from backtest.cli import flags
from backtest.core.enums import MARGIN_MODES

FORMAT = """FILE is CSV, JSON or TOML, - for standard input: positions with symbol, qty and mark, and in JSON and TOML
venue, margin and collateral; docs/reference/margin-calculator.md has every key.

Examples:
  backtest margin positions.toml --by BTC-USD
  backtest margin positions.csv --venue binance_usdm --margin cross --cash 50000 --data binance-2025 --at 2025-10-10
  backtest margin --from-run reports/mine --at worst
"""


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


@click.command(cls=flags.Command, short_help="Compute margin and liquidation prices of positions.", epilog=FORMAT)
@click.argument("file", required=False)
@click.option("--venue", metavar="NAME|FILE", help="Venue, instead of the file's.")
@click.option("--margin", "mode", type=click.Choice(MARGIN_MODES), help="Margin mode, instead of the file's.")
@click.option("--cash", type=flags.Finite(), metavar="AMOUNT", help="Collateral, instead of the file's.")
@click.option("--data", type=flags.DATASET, metavar="PATH", help="Dataset with the marks of positions without one.")
@click.option("--at", metavar="TIME", help="Time of the marks, or of the positions of --from-run; there also worst.")
@click.option("--from-run", type=flags.FOLDER, metavar="FOLDER", help="Take the positions of a report's run.")
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
def margin(
    file: str | None,
    mode: str | None,
    cash: float | None,
    data: Path | str | None,
    out: Path | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Compute margin, liquidation prices and a stress ladder of positions, from a file or from a run."""
    import backtest
    from backtest.cli import show_margin

    answer = backtest.margin(file, margin=mode, collateral=cash, data=data or "", out=out, **settings)
    show_margin.calculation(answer, as_json)
    if out is not None:
        click.echo(f"wrote {out}", err=True)
