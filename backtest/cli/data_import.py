"""`backtest data import`."""

from __future__ import annotations

from pathlib import Path

import click

from backtest.cli import flags


@click.command(
    "import",
    cls=flags.Command,
    epilog="""Examples:
  backtest data import BTCUSDT-1m-2024-01.zip
  backtest data import prices.csv --symbol BTC-USD --map ts=Date,volume=Vol --tz America/New_York
  backtest data import user_data/data/binance/futures --out data/binance --dry-run""",
)
@click.argument("source", type=flags.FOLDER, metavar="FILE|DIR")
@click.option("--out", type=flags.FOLDER, metavar="DIR", help="Folder of the dataset.  [default: data/NAME]")
@click.option("--symbol", metavar="NAME", help="Market, where neither column nor name tells it; else the only one.")
@click.option("--interval", metavar="LENGTH", help="Length of a candle, like 5m; of trades, of candles made of them.")
@click.option("--tz", metavar="ZONE", help="Time zone of times without one, like America/New_York.  [default: UTC]")
@click.option(
    "--format",
    "file_format",
    metavar="NAME",
    help="Kind of file (csv, json, parquet, feather, sqlite, duckdb) or layout (binance, freqtrade, …).  "
    "[default: recognized]",
)
@click.option(
    "--map",
    "columns",
    metavar="ROLE=COLUMN,…",
    default="",
    help="Columns by role: ts, open, high, low, close, volume, rate, symbol, price, size. ts=COLUMN:ms names a unit, "
    "ts=COLUMN:%d/%m/%Y a form; volume=0 says that no volume is known.",
)
@click.option("--stamp", metavar="END", help="Which end of a candle its time is: open or close.  [default: recognized]")
@click.option("--dry-run", is_flag=True, help="Show what would be imported; write nothing.")
@flags.JSON
def import_(
    source: Path,
    out: Path | None,
    symbol: str | None,
    interval: str | None,
    tz: str | None,
    file_format: str | None,
    columns: str,
    stamp: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write a dataset from files of candles, marks and funding rates in most formats and layouts."""
    from backtest.cli import show_import
    from backtest.data.importing.importer import default_target, prepared
    from backtest.data.importing.options import mapping, options_of

    options = options_of(symbol, interval, tz, file_format, mapping(columns), stamp)
    with prepared(source, options) as ready:
        target = out or default_target(source)
        ready.check_target(target)
        if not as_json:
            show_import.plan(ready.plan, target, dry_run)
        if dry_run:
            if as_json:
                show_import.plan_json(ready.plan, target)
            return
        show_import.report(ready.write(target), as_json)
