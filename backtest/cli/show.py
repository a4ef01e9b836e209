"""What a command prints: tables for people on standard output, or JSON and nothing else there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from backtest.report import format as fmt
from backtest.report import words
from backtest.report.outcome import outcome

if TYPE_CHECKING:
    from backtest import Comparison, Result, Verification
    from backtest.strategy.loader import Listing
    from backtest.venue.profile import Profile

HEADLINES = (
    "final_equity", "return", "cagr", "volatility", "sharpe", "sortino", "calmar", "max_drawdown", "max_drawdown_days",
    "turnover", "hit_rate", "profit_factor", "max_leverage", "price_moves", "funding", "fees", "slippage", "penalties",
    "bad_debt", "margin_use_peak", "min_distance_to_liquidation", "pool_liquidations", "ambiguous_candles", "fills",
    "rejected_orders",
)  # fmt: skip
"""Metrics shown in the terminal, in this order; the report and the summary have all of them."""
REPORT = "report.html"
WIDE = 1_000
"""Columns of a line that nobody has to see at once."""


def result(shown: Result, as_json: bool) -> None:
    """One run: what happened in words, the headline metrics, what was assumed, where the report is."""
    if not as_json:
        _title([shown], words.run_words(outcome(shown), _quote(shown)))
        table = grid("metric", shown.label)
        for name in HEADLINES:
            table.add_row(fmt.metric(name).title, fmt.text(name, shown.metrics[name]))
        write_table(table)
        _assumed([shown])
    _end(shown.summary, shown.folder, as_json)


def comparison(shown: Comparison, as_json: bool) -> None:
    """Several accounts side by side; with two of them, the second against the first."""
    if not as_json:
        results = shown.results
        _title(results, words.comparison_words(results, [outcome(r) for r in results]))
        pair = len(results) == 2
        table = grid("metric", *(r.label for r in results), *["difference"] * pair)
        for name in HEADLINES:
            values = [r.metrics[name] for r in results]
            best = fmt.better(name, values)
            cells = [
                f"[bold]{fmt.text(name, v)}[/]" if b else fmt.text(name, v) for v, b in zip(values, best, strict=True)
            ]
            gap = [fmt.difference(name, values[1], values[0])] if pair else []
            table.add_row(fmt.metric(name).title, *cells, *gap)
        write_table(table)
        _assumed(results)
    _end(shown.summary, shown.folder, as_json)


def verification(shown: Verification, folder: Path, as_json: bool) -> None:
    """Whether a run gave the same tables again."""
    if as_json:
        answer = {"ok": shown.ok, "expected": shown.expected, "found": shown.found}
        write_json(answer | {"changed": list(shown.differences)})
    elif shown.ok:
        click.echo(f"{folder}: the same; digest {shown.found}{changed(shown)}")


def changed(shown: Verification) -> str:
    """What is not as it was when the report was made; empty when nothing is."""
    return f"; changed since: {', '.join(shown.differences)}" if shown.differences else ""


def strategies(shown: Sequence[Listing], as_json: bool) -> None:
    """What can be run by name."""
    if as_json:
        return write_json([_listing(entry) for entry in shown])
    table = grid("name", "what it does", "parameters", numbers=False)
    for entry in shown:
        chosen = ", ".join(f"{p.name}={p.default}" for p in entry.parameters)
        said = f"[red]cannot be loaded:[/] {escape(entry.error)}" if entry.error else escape(entry.doc)
        table.add_row(escape(entry.name), said, escape(chosen))
    return write_table(table)


def venues(shown: Sequence[Profile], as_json: bool) -> None:
    """The venues that come with the package."""
    if as_json:
        return write_json([profile.model_dump(mode="json", by_alias=True) for profile in shown])
    table = grid("name", "quote", "date", "source", numbers=False)
    for profile in shown:
        table.add_row(profile.name, profile.quote, str(profile.date), escape(profile.source))
    return write_table(table)


def venue(shown: Profile, as_json: bool) -> None:
    """One venue: its rates, and the ladder of every symbol that has its own."""
    if as_json:
        return write_json(shown.model_dump(mode="json", by_alias=True))
    say(f"[bold]{escape(shown.name)}[/], {escape(shown.quote)}, {shown.date}; source: {escape(shown.source)}")
    click.echo(f"liquidation penalty {fmt.percent(shown.penalty)}, taker fee {shown.taker_fee_bps:g} bps")
    table = grid("symbol", "notional up to", "initial", "maintenance", "maximum leverage")
    for symbol in ("", *sorted(shown.symbols)):
        for tier in shown.tiers(symbol):
            upto = "no limit" if tier.upto_micro is None else fmt.number(tier.upto_micro / 1e6, 0)
            most = fmt.number(1 / tier.initial, 1) if tier.initial else "no limit"
            rates = (fmt.percent(tier.initial), fmt.percent(tier.maintenance))
            table.add_row(escape(symbol) or "every other" * bool(shown.symbols) or "every", upto, *rates, most)
    return write_table(table)


def written(files: Iterable[Path]) -> None:
    """Files that a command has made."""
    for file in files:
        click.echo(f"wrote {file}", err=True)


def _title(results: Sequence[Result], sentences: Sequence[str]) -> None:
    if any(r.summary["data"].get("synthetic") for r in results):
        say("[bold yellow]SYNTHETIC data: no market moved like this.[/]")
    for sentence in sentences:
        say(escape(sentence))


def _assumed(results: Sequence[Result]) -> None:
    """Notes and counts of what was skipped or filled in; each once, with its account where they differ."""
    seen: dict[str, list[str]] = {}
    for r in results:
        counted = [f"{name.replace('_', ' ')}: {number:,}" for name, number in r.summary["counts"].items() if number]
        for line in (*r.summary["notes"], *counted):
            seen.setdefault(line, []).append(r.label)
    for line, labels in seen.items():
        whose = "" if len(labels) == len(results) else f"{fmt.listing(labels)}: "
        say(f"[dim]-[/] {escape(whose + line)}")


def _quote(shown: Result) -> str:
    return str(shown.summary["data"].get("quote") or "")


def _end(summary: dict[str, Any], folder: Path | None, as_json: bool) -> None:
    if as_json:
        write_json(summary)
    if folder:
        click.echo(f"report: {folder / REPORT}", err=as_json)


def _listing(entry: Listing) -> dict[str, Any]:
    parameters = [
        {"name": p.name, "kind": p.kind, "default": p.default, "wanted": p.wanted, "doc": p.doc}
        for p in entry.parameters
    ]
    return {
        "name": entry.name,
        "doc": entry.doc,
        "origin": entry.origin,
        "parameters": parameters,
        "error": entry.error,
    }


def grid(first: str, *others: str, numbers: bool = True, gap: int = 1) -> Table:
    """An empty table with these columns; all but the first are numbers, to the right, unless said otherwise.

    ``gap`` is the space between columns beside the one that is always there.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, gap, 0, 0))
    table.add_column(first)
    for name in others:
        table.add_column(escape(name), justify="right" if numbers else "left")
    return table


def say(markup: str) -> None:
    """A line on standard output."""
    # Made anew: standard output may have been redirected since the last line. Words keep to whole lines in a pipe.
    Console(highlight=False, soft_wrap=True).print(markup)


def write_table(table: Table) -> None:
    """A table on standard output: as wide as the terminal, and in a file or a pipe as wide as it needs to be."""
    shown = Console(highlight=False)
    (shown if shown.is_terminal else Console(highlight=False, width=WIDE)).print(table)


def write_json(value: Any) -> None:
    """The machine-readable answer, all that standard output gets."""
    click.echo(json.dumps(value, indent=2, sort_keys=True, allow_nan=False))
