"""`backtest data info`, `check`, `fetch`, `update`, `sample` and `calibrate`."""

from __future__ import annotations

from pathlib import Path

import click

from backtest.cli import data_fetch, flags
from backtest.cli.data_convert import cut, merge, resample
from backtest.cli.data_export import export
from backtest.cli.data_import import import_
from backtest.cli.data_info import info
from backtest.cli.data_repair import repair
from backtest.cli.data_sample import sample


@click.group(cls=flags.Group)
def data() -> None:
    """Show, check, import, repair and create datasets."""


for _command in (import_, info, repair, resample, cut, merge, export, sample):
    data.add_command(_command)


@data.command()
@click.argument("folder", type=flags.DATASET)
@click.option("--all", "every", is_flag=True, help="List all cases of each finding, not only the 5 worst.")
@flags.JSON
def check(folder: Path | str, every: bool, as_json: bool) -> None:
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
@click.argument("file", type=flags.FOLDER)
@click.option("--kind", required=True, help="Content of FILE: trades, or book (order costs, depth tables or spreads).")
@click.option(
    "--candles", type=flags.DATASET, help="Dataset with candles of the same time, required for --slippage impact."
)
@flags.JSON
def calibrate(file: Path, kind: str, candles: Path | str | None, as_json: bool) -> None:
    """Fit spread and market impact to trades or order book data in the Parquet FILE."""
    from backtest.cli import show_calibration
    from backtest.runner.calibrate import calibrate as fit

    show_calibration.calibration(*fit(file, kind, candles), as_json)


data.add_command(data_fetch.fetch)
data.add_command(data_fetch.update)
