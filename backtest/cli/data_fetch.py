"""`backtest data fetch` and `backtest data update`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from backtest.cli import flags

if TYPE_CHECKING:
    from backtest.data.fetch.fetching import Fetched

ENDPOINT = click.option(
    "--endpoint", metavar="URL", help="Address to use in place of the venue's: a proxy, a mirror, a test server."
)
EXAMPLES = """\
Examples:
  backtest data fetch binance BTC,ETH --from 2024-01-01 --interval 5m --out data/binance
  backtest data fetch bybit top20 --from 2025-01-01 --to 2025-07-01 --interval 1h
  backtest data fetch hyperliquid 'k*' --from 2025-06-01 --interval 1h
"""


@click.command(cls=flags.Command, epilog=EXAMPLES)
@click.argument("exchange")
@click.argument("symbols")
@click.option("--from", "start", required=True, metavar="TIME", help="First candle (UTC), like 2024-01-01.")
@click.option("--to", "end", metavar="TIME", help="Candles open before this time (UTC).  [default: now]")
@click.option("--interval", default="1m", show_default=True, metavar="LENGTH", help="Length of a candle.")
@click.option("--out", type=flags.FOLDER, metavar="DIR", help="Folder of the dataset.  [default: data/EXCHANGE]")
@ENDPOINT
def fetch(
    exchange: str, symbols: str, start: str, end: str | None, interval: str, out: Path | None, endpoint: str | None
) -> None:
    """Fetch candles, marks, funding and market facts of SYMBOLS from EXCHANGE into a dataset.

    EXCHANGE: binance, bybit, okx, hyperliquid, dydx, gate or bitget. SYMBOLS: names with commas between them, in any
    spelling (BTC, BTC-USD, BTCUSDT), wildcards (*USDC), or top20 by volume. Run again after an interruption, the fetch
    goes on where it stood. Exit 1 if the venue does not serve all that was asked for.
    """
    from backtest.cli.fetch_progress import FetchProgress
    from backtest.data.fetch.fetching import fetch_data

    with FetchProgress() as progress:
        fetched = fetch_data(
            exchange, symbols, start=start, end=end, interval=interval, out=out, endpoint=endpoint, progress=progress
        )
    _show(fetched)


@click.command(cls=flags.Command)
@click.argument("folder", type=flags.FOLDER)
@click.option("--to", "end", metavar="TIME", help="Candles open before this time (UTC).  [default: now]")
@ENDPOINT
def update(folder: Path, end: str | None, endpoint: str | None) -> None:
    """Append what is new to a dataset that `data fetch` wrote. Exit 1 if the venue does not serve all of it."""
    from backtest.cli.fetch_progress import FetchProgress
    from backtest.data.fetch.fetching import update_data

    with FetchProgress() as progress:
        fetched = update_data(folder, end=end, endpoint=endpoint, progress=progress)
    _show(fetched)


def _show(fetched: Fetched) -> None:
    """What was written and what is missing, then the check of the dataset."""
    from backtest.cli import show_data
    from backtest.core.errors import RunError, UserError, printable
    from backtest.data.catalog import Catalog
    from backtest.data.check import check
    from backtest.report import formatting as fmt

    for note in fetched.notes:
        click.echo(f"note: {printable(note)}", err=True)
    if fetched.candles:
        symbols = fmt.plural(len(fetched.symbols), "symbol")
        click.echo(f"wrote {fmt.plural(fetched.candles, 'candle')} of {symbols} into {fetched.folder}", err=True)
    if fetched.venue_file:
        click.echo(f"wrote today's leverage tiers into {fetched.venue_file}, for --venue", err=True)
    for missing in fetched.unserved:
        click.echo(f"not served: {printable(str(missing))}", err=True)
    catalog = Catalog.open(fetched.folder)
    findings = check(catalog)
    show_data.findings(catalog, findings, as_json=False)
    if findings.errors:
        raise UserError(f"{findings.errors:,} wrong in the data", str(fetched.folder), "correct it before a run")
    if fetched.unserved:
        first, more = fetched.unserved[0], len(fetched.unserved) - 1
        others = f" and {more} more" if more else ""
        raise RunError(f"{fetched.folder} is whole but for what the venue does not serve: {first}{others}")
