"""What `backtest data import` prints: what it recognized, what it wrote, and the next command."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from backtest.cli import console, output
from backtest.report import formatting as fmt

if TYPE_CHECKING:
    from backtest.data.importing.feeds import Feed
    from backtest.data.importing.importer import ImportReport
    from backtest.data.importing.plan import Plan

MOST_FILES = 20
"""Files that the terminal lists one by one."""
STRATEGY = "sma_cross"
"""The strategy of the suggested run."""


def plan(shown: Plan, target: Path, dry_run: bool) -> None:
    """A row per file and series: what it is taken for, and which columns are read."""
    table = console.grid("file", "layout", "series", "symbol", "every", "times", "columns", numbers=False)
    for feed in shown.feeds[:MOST_FILES]:
        symbol = feed.symbol or f"from column {feed.symbol_column}"
        every = fmt.interval(feed.interval_ms) if feed.interval_ms else ""
        told = (feed.layout or feed.table.kind, feed.kind, symbol, every, _times(feed), _columns(feed))
        table.add_row(escape(Path(feed.table.place).name), *map(escape, told))
    console.write_table(table)
    if len(shown.feeds) > MOST_FILES:
        output.say(f"… and {len(shown.feeds) - MOST_FILES:,} more")
    for place, reason in shown.skipped:
        output.say(f"not imported: {escape(place)} ({escape(reason)})")
    if any(feed.time.zoneless for feed in shown.feeds):
        output.say("times without a zone are taken as UTC; --tz names another")
    if dry_run:
        output.say(f"nothing is written; without --dry-run this becomes {escape(str(target))}")


def plan_json(shown: Plan, target: Path) -> None:
    """The same as JSON."""
    feeds = [
        {
            "file": feed.table.place, "layout": feed.layout, "series": feed.kind, "symbol": feed.symbol or None,
            "symbol_column": feed.symbol_column or None, "interval_ms": feed.interval_ms, "times": _times(feed),
            "columns": {"ts": feed.time.column, **feed.columns},
        }
        for feed in shown.feeds
    ]  # fmt: skip
    skipped = [{"file": place, "reason": reason} for place, reason in shown.skipped]
    console.write_json({"out": str(target), "interval_ms": shown.interval_ms, "feeds": feeds, "skipped": skipped})


def report(shown: ImportReport, as_json: bool) -> None:
    """A row per series that was written, what was changed, and the command to type next."""
    following = next_command(shown)
    if as_json:
        changes = [change.model_dump(exclude_defaults=True) for change in shown.changes]
        console.write_json(
            {
                "folder": str(shown.folder),
                "interval_ms": shown.interval_ms,
                "next": following,
                "changes": changes,
                "series": [asdict(one) for one in shown.series],
                "missing_funding": list(shown.missing_funding),
                "skipped": [{"file": place, "reason": reason} for place, reason in shown.skipped],
            }
        )
        return
    table = console.grid("symbol", "series", "from", "to", "rows", gap=0)
    for one in shown.series:
        span = (fmt.moment(one.first_ms), fmt.moment(one.last_ms))
        table.add_row(escape(one.symbol), escape(one.series), *span, fmt.count(one.rows))
    console.write_table(table)
    for change in shown.changes:
        output.say(escape(f"{change.symbol} {change.series}: {change.what} ({change.rows:,} rows)"))
    if shown.missing_funding:
        output.say(f"funding is missing or has gaps: {escape(', '.join(shown.missing_funding))}")
    click.echo(f"wrote {shown.folder}; next:", err=True)
    click.echo(following)


def next_command(shown: ImportReport) -> str:
    """The first run of the new dataset."""
    allowed = " --allow missing-funding" if shown.missing_funding else ""
    return f"backtest run {STRATEGY} --data {shlex.quote(str(shown.folder))}{allowed}"


def _times(feed: Feed) -> str:
    end = ", at the close" if feed.closing else ""
    return f"{feed.time.said}{end}"


def _columns(feed: Feed) -> str:
    named = {"ts": feed.time.column, **feed.columns}
    same = [role for role, column in named.items() if role == column]
    other = [f"{role}={column}" for role, column in named.items() if role != column]
    return ", ".join([*other, *same])
