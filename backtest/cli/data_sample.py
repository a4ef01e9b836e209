"""`backtest data sample`."""

from __future__ import annotations

from pathlib import Path

import click

from backtest.cli import flags

_EXAMPLE = "Example: backtest data sample data/long --market calibrated --years 4 --interval 15m --symbols 3"


@click.command(cls=flags.Command, epilog=_EXAMPLE)
@click.argument("folder", type=flags.FOLDER)
@click.option("--seed", type=flags.Whole(min=0), default=42, show_default=True, help="Random seed.")
@click.option("--days", type=flags.Whole(min=1), help="Length in days.  [default: 120]")
@click.option("--years", type=flags.Whole(min=1, max=20), help="Length in years of 365 days, instead of --days.")
@click.option("--interval", default="5m", show_default=True, help="Candle interval; it must divide 1h.")
@click.option("--symbols", type=flags.Names(), help="Markets, separated by commas, or how many.  [default: all known]")
@click.option(
    "--market",
    default="crash",
    show_default=True,
    metavar="KIND",
    help="crash: one crash after quiet times; calibrated: volatility, correlation, tails and funding as published.",
)
def sample(
    folder: Path,
    seed: int,
    days: int | None,
    years: int | None,
    interval: str,
    symbols: tuple[str, ...] | None,
    market: str,
) -> None:
    """Write a synthetic market into FOLDER; the same seed gives the same bytes."""
    from backtest.core.errors import SettingError
    from backtest.data.sample import write_sample

    if days is not None and years is not None:
        raise SettingError("a second length", "--years", "give --days or --years")
    length = 365 * years if years is not None else 120 if days is None else days
    count = int(symbols[0]) if symbols and len(symbols) == 1 and symbols[0].isdecimal() else None
    names = symbols if count is None else count
    place = write_sample(folder, seed=seed, symbols=names, days=length, interval=interval, market=market)
    click.echo(f"wrote a synthetic dataset into {place}", err=True)
