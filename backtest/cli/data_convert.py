"""`backtest data resample`, `slice` and `merge`: datasets made of datasets."""

from __future__ import annotations

from pathlib import Path

import click

from backtest.cli import flags

_RESAMPLED = "Example: backtest data resample data/binance data/hourly --interval 1h"
_SLICED = "Example: backtest data slice data/binance data/crash --start 2020-03-01 --end 2020-04-01"
_MERGED = "Example: backtest data merge data/2023 data/2024 data/both"


@click.command(cls=flags.Command, epilog=_RESAMPLED)
@click.argument("folder", type=flags.DATASET)
@click.argument("out", type=flags.FOLDER)
@click.option("--interval", required=True, metavar="LENGTH", help="Length of the candles, like 15m, 1h or 1d.")
def resample(folder: Path | str, out: Path, interval: str) -> None:
    """Join the candles and marks of FOLDER to longer ones, and write them into the new dataset OUT."""
    from backtest.core import durations
    from backtest.data import conversion

    _written(conversion.resample(folder, out, durations.parse(interval, "--interval")))


@click.command("slice", cls=flags.Command, epilog=_SLICED)
@click.argument("folder", type=flags.DATASET)
@click.argument("out", type=flags.FOLDER)
@click.option("--symbols", type=flags.Names(), metavar="SYMBOL,...", help="Markets to keep.  [default: all]")
@click.option("--start", metavar="TIME", help="Start of the period, inclusive.  [default: the start of the data]")
@click.option("--end", metavar="TIME", help="End of the period, exclusive.  [default: the end of the data]")
def cut(folder: Path | str, out: Path, symbols: tuple[str, ...] | None, start: str | None, end: str | None) -> None:
    """Write a period, or some symbols, of FOLDER into the new dataset OUT."""
    from backtest.core.times import moment
    from backtest.data import conversion

    bounds = [None if text is None else moment(text, flag) for text, flag in ((start, "--start"), (end, "--end"))]
    _written(conversion.cut(folder, out, symbols, *bounds))


@click.command(cls=flags.Command, epilog=_MERGED)
@click.argument("folders", nargs=-1, required=True, type=flags.DATASET, metavar="FOLDER FOLDER... OUT")
def merge(folders: tuple[Path | str, ...]) -> None:
    """Write the rows of several datasets into the new dataset OUT; rows that disagree are an error."""
    from backtest.data.merge import merge as put_together

    _written(put_together(folders[:-1], folders[-1]))


def _written(place: Path) -> None:
    click.echo(f"wrote {place}", err=True)
