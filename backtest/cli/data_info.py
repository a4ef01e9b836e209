"""`backtest data info`."""

from __future__ import annotations

from pathlib import Path

import click

from backtest.cli import flags


@click.command(cls=flags.Command)
@click.argument("folder", type=flags.DATASET)
@click.option("--coverage", "picture", is_flag=True, help="Show over time which part of each series is there.")
@click.option("--out", type=flags.FOLDER, metavar="FILE.html", help="Write the coverage and the series as a page.")
@flags.JSON
def info(folder: Path | str, picture: bool, out: Path | None, as_json: bool) -> None:
    """List the series of each symbol of a dataset: spans, intervals, rows, gaps."""
    from backtest.cli import show_coverage, show_data
    from backtest.data.catalog import Catalog
    from backtest.data.coverage import coverage
    from backtest.data.info import info as look
    from backtest.report import coverage_page
    from backtest.report.page_file import write_page

    catalog = Catalog.open(folder)
    shown = look(catalog)
    if out is not None:
        page = coverage(catalog, coverage_page.BUCKETS)
        write_page(out, coverage_page.GENERATOR, lambda: coverage_page.render(catalog, shown, page))
    columns = max(len(symbol) for symbol in catalog.symbols) + max(len(kind) for kind in catalog.sources)
    strips = coverage(catalog, show_coverage.width(columns)) if picture else None
    show_data.info(catalog, shown, strips, as_json)
    if strips is not None and not as_json:
        show_coverage.coverage(strips)
    if out is not None:
        click.echo(f"wrote {out}", err=True)
