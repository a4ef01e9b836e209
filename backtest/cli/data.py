"""`backtest data info`, `check`, `fetch`, `update`, `sample` and `calibrate`."""

from __future__ import annotations

from pathlib import Path

import click

from backtest.cli import data_fetch, flags
from backtest.cli.data_convert import cut, merge, resample
from backtest.cli.data_import import import_
from backtest.cli.data_info import info
from backtest.cli.data_repair import repair


@click.group(cls=flags.Group)
def data() -> None:
    """Show, check, import, repair and create datasets."""


for _command in (import_, info, repair, resample, cut, merge):
    data.add_command(_command)


@data.command()
@click.argument("folder", type=flags.FOLDER)
@click.option("--all", "every", is_flag=True, help="List all cases of each finding, not only the 5 worst.")
@flags.JSON
def check(folder: Path, every: bool, as_json: bool) -> None:
    """Check a dataset. Exit code 2 if there are errors; warnings can be real market moves.

    The worst cases of each finding come first.
    """
    from backtest.cli import show_data
    from backtest.core.errors import UserError
    from backtest.data.catalog import Catalog
    from backtest.data.check import CASES
    from backtest.data.check import check as look

    catalog = Catalog.open(folder)
    findings = look(catalog, most=None if every else CASES)
    show_data.findings(catalog, findings, as_json)
    if findings.errors:
        raise UserError(f"{findings.errors:,} errors in the data", str(folder), "correct it before a run")


@data.command()
@click.argument("folder", type=flags.FOLDER)
@click.option("--seed", type=flags.Whole(min=0), default=42, show_default=True, help="Random seed.")
@click.option("--days", type=flags.Whole(min=1), default=120, show_default=True, help="Length.")
@click.option("--interval", default="5m", show_default=True, help="Candle interval; it must divide 1h.")
@click.option("--symbols", type=flags.Names(), help="Markets, separated by commas.  [default: six perps]")
def sample(folder: Path, seed: int, days: int, interval: str, symbols: tuple[str, ...] | None) -> None:
    """Write a synthetic market into FOLDER; the same seed gives the same bytes."""
    from backtest.data.sample import SYMBOLS, write_sample

    place = write_sample(folder, seed=seed, symbols=symbols or SYMBOLS, days=days, interval=interval)
    click.echo(f"wrote a synthetic dataset into {place}", err=True)


@data.command()
@click.argument("file", type=flags.FOLDER)
@click.option("--kind", required=True, help="Content of FILE: trades, or book (order costs, depth tables or spreads).")
@click.option(
    "--candles", type=flags.FOLDER, help="Dataset with candles of the same time, required for --slippage impact."
)
@flags.JSON
def calibrate(file: Path, kind: str, candles: Path | None, as_json: bool) -> None:
    """Fit spread and market impact to trades or order book data in the Parquet FILE."""
    from backtest.cli import show_calibration
    from backtest.runner.calibrate import calibrate as fit

    show_calibration.calibration(*fit(file, kind, candles), as_json)


data.add_command(data_fetch.fetch)
data.add_command(data_fetch.update)
