"""What `backtest data` prints."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from backtest.cli import console, output
from backtest.data.catalog import SMALL_LOT
from backtest.report import formatting as fmt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backtest.data.catalog import Catalog
    from backtest.data.check import Findings
    from backtest.data.coverage import Coverage
    from backtest.data.info import SeriesInfo, SymbolInfo

RARE = 0.01
"""Of all intervals between settlements; how often one came that is rarer is told."""


def info(catalog: Catalog, shown: Sequence[SymbolInfo], picture: Coverage | None, as_json: bool) -> None:
    """A row per series of each symbol; times are those of the first and the last row. ``picture``: and its strips."""
    if as_json:
        more = {} if picture is None else {"coverage": asdict(picture)}
        return console.write_json({**_about(catalog), "symbols": [asdict(row) for row in shown], **more})
    _title(catalog)
    table = console.grid("symbol", "series", "every", "from", "to", "rows", "gaps", "step", gap=0)
    table.columns[1].justify = "left"
    for row in shown:
        step = fmt.quantity(row.step) + "*" * row.step_assumed
        span = (fmt.moment(row.first_ms), fmt.moment(row.last_ms))
        sizes = (fmt.count(row.rows), fmt.count(row.gaps))
        table.add_row(escape(row.symbol), "candles", fmt.interval(row.interval_ms), *span, *sizes, step)
        for series in row.series:
            span = (fmt.moment(series.first_ms), fmt.moment(series.last_ms))
            gaps = "" if series.kind == "funding" else fmt.count(series.gaps)
            table.add_row("", escape(series.kind), _every(series), *span, fmt.count(series.rows), gaps, "")
    console.write_table(table)
    for row in shown:
        for series in row.series:
            if len(series.periods) > 1:
                told = "; ".join(
                    f"{fmt.interval(period.interval_ms)} {fmt.moment(period.first_ms)} to {fmt.moment(period.last_ms)}"
                    for period in series.periods
                )
                output.say(f"{escape(row.symbol)} funding: {told}")
    for missing in ("mark", "funding"):
        without = [row.symbol for row in shown if missing not in {series.kind for series in row.series}]
        if without:
            output.say(f"no {missing}: {escape(', '.join(without))}")
    if any(row.step_assumed for row in shown):
        most = fmt.quantity(float(SMALL_LOT))
        output.say(
            f"[dim]*[/] no step is given; this one is assumed: a lot cost at most {most} {catalog.quote} at first"
        )
        for row in shown:
            if row.step_assumed and row.lot_cost and row.lot_cost > SMALL_LOT:
                cost = f"{fmt.number(row.lot_cost, 6)} {catalog.quote}"
                output.say(
                    f"  {escape(row.symbol)}: a lot cost {cost}, as no step is smaller than {fmt.quantity(1e-6)}"
                )
    return None


def _every(series: SeriesInfo) -> str:
    """The interval of marks; of funding all intervals, the rare ones with their number: ``8h, 4h, 16h (2x)``."""
    if not series.intervals_ms:
        return "once"
    if not series.interval_counts:
        return fmt.interval(series.intervals_ms[0])
    rare = sum(series.interval_counts) * RARE
    return ", ".join(
        fmt.interval(ms) + (f" ({count}x)" if count == 1 or count < rare else "")
        for ms, count in zip(series.intervals_ms, series.interval_counts, strict=True)
    )


def findings(catalog: Catalog, shown: Findings, as_json: bool) -> None:
    """Counts by kind with the worst cases, errors first."""
    if as_json:
        every = [asdict(finding) for finding in shown.found]
        counts = {"symbols": shown.symbols, "rows": shown.rows, "errors": shown.errors, "warnings": shown.warnings}
        return console.write_json({**_about(catalog), **counts, "found": every})
    _title(catalog)
    for finding in shown.found:
        output.say(f"[bold]{finding.severity}[/] {escape(finding.kind)}: {finding.count:,}")
        for case in finding.cases:
            output.say(f"  {escape(str(case))}")
        if finding.places > len(finding.cases):
            output.say(f"  [dim]and {finding.places - len(finding.cases):,} more; --all lists them[/]")
    looked = f"{fmt.plural(shown.rows, 'candle')} of {fmt.plural(shown.symbols, 'symbol')}"
    found = f"{fmt.plural(shown.errors, 'error')}, {fmt.plural(shown.warnings, 'warning')}"
    return click.echo(f"{looked}: {found}")


def _title(catalog: Catalog) -> None:
    """What the dataset is: its name, its quote, where it comes from; that it is synthetic, before all else."""
    if catalog.synthetic:
        output.say("[bold yellow]SYNTHETIC data: no market moved like this.[/]")
    told = (catalog.name, f"in {catalog.quote}", catalog.venue, catalog.provenance)
    output.say(escape(", ".join(text for text in told if text)))


def _about(catalog: Catalog) -> dict[str, Any]:
    told = ("name", "quote", "venue", "provenance", "synthetic")
    return {name: getattr(catalog, name) for name in told}
