"""`backtest data export`."""

from __future__ import annotations

from pathlib import Path

import click

from backtest.cli import flags

_EXAMPLE = "Example: backtest data export data/binance out --format freqtrade --symbols BTCUSDT"


@click.command(cls=flags.Command, epilog=_EXAMPLE)
@click.argument("folder", type=flags.DATASET)
@click.argument("out", type=flags.FOLDER)
@click.option("--format", "form", default="csv", show_default=True, help="csv, parquet, feather or freqtrade.")
@click.option("--symbols", type=flags.Names(), metavar="SYMBOL,...", help="Markets to write.  [default: all]")
def export(folder: Path | str, out: Path, form: str, symbols: tuple[str, ...] | None) -> None:
    """Write the series of FOLDER as files for other programs into the new folder OUT."""
    from backtest.data.export import export as write

    click.echo(f"wrote {write(folder, out, form, symbols)}", err=True)
