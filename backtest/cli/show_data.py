"""What `backtest data` prints."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from backtest.cli import console, show
from backtest.report import format as fmt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backtest.feed.catalog import Catalog
    from backtest.feed.check import Findings
    from backtest.feed.info import SymbolInfo


def info(catalog: Catalog, shown: Sequence[SymbolInfo], as_json: bool) -> None:
    """A row per symbol; the days are those of the first and the last candle."""
    if as_json:
        return console.write_json({**_about(catalog), "symbols": [asdict(row) for row in shown]})
    _title(catalog)
    table = console.grid("symbol", "candles", "from", "to", "rows", "gaps", "marks", "funding", "step", gap=0)
    for row in shown:
        marks = fmt.interval(row.mark_interval_ms) if row.mark_rows else "none"
        settles = " ".join(fmt.interval(ms) for ms in row.funding_intervals_ms) or (
            "once" if row.funding_rows else "none"
        )
        span = (fmt.moment(row.first_ms)[:10], fmt.moment(row.last_ms)[:10])
        sizes = (fmt.count(row.rows), fmt.count(row.gaps), marks, settles)
        step = fmt.quantity(row.step) + "*" * row.step_assumed
        table.add_row(escape(row.symbol), fmt.interval(row.interval_ms), *span, *sizes, step)
    console.write_table(table)
    if any(row.step_assumed for row in shown):
        show.say("[dim]*[/] no step is given; this one is assumed, from the first price")
    return None


def findings(catalog: Catalog, shown: Findings, as_json: bool) -> None:
    """Counts by kind with the first cases, errors first."""
    if as_json:
        every = [asdict(finding) for finding in shown.found]
        counts = {"symbols": shown.symbols, "rows": shown.rows, "errors": shown.errors, "warnings": shown.warnings}
        return console.write_json({**_about(catalog), **counts, "found": every})
    _title(catalog)
    for finding in shown.found:
        show.say(f"[bold]{finding.severity}[/] {escape(finding.kind)}: {finding.count:,}")
        for case in finding.cases:
            show.say(f"  {escape(str(case))}")
        if finding.count > len(finding.cases):
            show.say(f"  [dim]and more, {finding.count:,} in all[/]")
    looked = f"{fmt.plural(shown.rows, 'candle')} of {fmt.plural(shown.symbols, 'symbol')}"
    found = f"{fmt.plural(shown.errors, 'error')}, {fmt.plural(shown.warnings, 'warning')}"
    return click.echo(f"{looked}: {found}")


def _title(catalog: Catalog) -> None:
    """What the dataset is: its name, its quote, where it comes from; that it is synthetic, before all else."""
    if catalog.synthetic:
        show.say("[bold yellow]SYNTHETIC data: no market moved like this.[/]")
    told = (catalog.name, f"in {catalog.quote}", catalog.venue, catalog.provenance)
    show.say(escape(", ".join(text for text in told if text)))


def _about(catalog: Catalog) -> dict[str, Any]:
    told = ("name", "quote", "venue", "provenance", "synthetic")
    return {name: getattr(catalog, name) for name in told}
