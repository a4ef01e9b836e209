"""What `backtest latency` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from backtest.cli import output
from backtest.cli.console import grid, write_table
from backtest.report.latency_page import delays_table, named, words_of
from backtest.report.outcome import outcome

if TYPE_CHECKING:
    from backtest import LatencyCurve


def curve(shown: LatencyCurve, as_json: bool, verbose: bool) -> None:
    """The outcome in words, a row per delay, what was assumed, where the report is."""
    if not as_json:
        results, outs = named(shown.results), [outcome(result) for result in shown.results]
        output.title(results, words_of(results, outs))
        found = delays_table(results, outs)
        table = grid(*(cell.text for cell in found.head))
        for row in found.rows:
            table.add_row(*(escape(cell.text) for cell in row))
        write_table(table)
        output.changes(results)
        output.assumed(results, verbose)
    output.end(shown.summary, shown.folder, as_json)
