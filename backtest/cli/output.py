"""What a command prints: tables for people on standard output, or JSON and nothing else there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape

from backtest.cli.console import grid, write_json, write_table
from backtest.report import formatting as fmt
from backtest.report import narrative, shared_text
from backtest.report.caveats import fold, in_common, omissions, terms_changes
from backtest.report.header import scope
from backtest.report.outcome import delayed, outcome
from backtest.report.posted_text import posted_words
from backtest.results.metric_definitions import by_name

if TYPE_CHECKING:
    from datetime import datetime

    from rich.table import Table

    from backtest import Comparison, Result, SharedMargin, Subaccounts, Verification
    from backtest.report.outcome import Outcome
    from backtest.results.summary_types import ComparisonSummary, RunSummary
    from backtest.strategy.loader import Listing
    from backtest.venues.profile import Profile
    from backtest.venues.tables_text import Section

HEADLINES = (
    "final_equity", "return", "cagr", "volatility", "sharpe", "sortino", "calmar", "max_drawdown",
    "max_drawdown_inside", "max_drawdown_days",
    "turnover", "hit_rate", "profit_factor", "max_leverage", "price_moves", "funding", "fees", "spread", "impact",
    "latency", "penalties", "insurance", "bad_debt", "gas", "bridge_fees", "adl_loss", "margin_use_peak",
    "min_distance_to_liquidation", "min_distance_inside",
    "pool_liquidations", "liquidation_steps", "backstops", "deleveraged", "ambiguous_candles", "fills",
    "rejected_orders",
)  # fmt: skip
"""Metrics shown in the terminal, in this order; the report and the summary have all of them."""
MOST_UNEQUAL = 5
"""Parts of a report named by `verify` in its line; JSON has all."""
EDITED = "; a replay gives the digest: the report was edited after it was written"
UNEXPLAINED = (
    "; data, strategy and versions are the same: look for randomness outside self.rng, a changed venue file, "
    "or a changed module that the strategy imports"
)
"""What a verification says that fails although nothing that it compares has changed."""
SELDOM = ("insurance", "gas", "bridge_fees", "adl_loss", "backstops", "deleveraged")
"""Left out where they are zero in every account."""
REPORT = "report.html"
MOST_CHANGES = 5
"""Changes of terms that the terminal names one by one."""


def result(shown: Result, as_json: bool, verbose: bool) -> None:
    """One run: what happened in words, the headline metrics, what was assumed, where the report is."""
    if not as_json:
        out, quote = outcome(shown), _quote(shown)
        title([shown], [*narrative.run_words(shown, out, quote), *narrative.layer2_words(shown, out, quote)])
        table = grid("metric", shown.label)
        for name in _headlines([shown]):
            table.add_row(fmt.metric(name, out.delayed).title, fmt.text(name, by_name(shown.metrics)[name]))
        write_table(table)
        changes([shown])
        assumed([shown], verbose)
    end(shown.summary, shown.folder, as_json)


def comparison(shown: Comparison, as_json: bool, verbose: bool) -> None:
    """Several accounts side by side; with two of them, the second against the first."""
    if not as_json:
        outs, left_out = [outcome(r) for r in shown.results], shown.summary.get("left_out")
        if "varied" in shown.summary:
            _varied(shown, outs)
            end(shown.summary, shown.folder, as_json)
            return
        _side_by_side(shown.results, narrative.comparison_words(shown.results, outs, left_out), True, verbose)
    end(shown.summary, shown.folder, as_json)


def _varied(shown: Comparison, outs: Sequence[Outcome]) -> None:
    """Accounts that differ in some settings: a row each."""
    from backtest.report.variants_page import COLUMNS, variant_words

    partings, left_out = shown.summary.get("partings", []), shown.summary.get("left_out")
    title(shown.results, variant_words(shown.results, outs, partings, left_out))
    table = grid("account", *(fmt.metric(name, False).title for name in COLUMNS))
    for one in shown.results:
        table.add_row(one.label, *(fmt.text(name, by_name(one.metrics)[name]) for name in COLUMNS))
    write_table(table)


def subaccounts(shown: Subaccounts, as_json: bool, verbose: bool) -> None:
    """Sub-accounts side by side, without a comparison, below what they made together."""
    if not as_json:
        outs = [outcome(r) for r in shown.results]
        said = narrative.subaccount_words(outcome(shown.combined), shown.results, outs, _quote(shown.combined))
        _side_by_side(shown.results, said, False, verbose)
    end(shown.summary, shown.folder, as_json)


def shared_margin(shown: SharedMargin, as_json: bool, verbose: bool) -> None:
    """The account that strategies have shared, as of one run, and what each of them has of it."""
    if not as_json:
        out, quote = outcome(shown.account), _quote(shown.account)
        netted = shared_text.netting_words(shown.account)
        title([shown.account], [*netted, *narrative.run_words(shown.account, out, quote)])
        made = shared_text.strategies_table(shown.account)
        table = grid(made.head[0].text, *(cell.text for cell in made.head[1:]))
        for row in made.rows:
            table.add_row(*(escape(cell.text) for cell in row))
        write_table(table)
        assumed([shown.account], verbose)
    end(shown.account.summary, shown.folder, as_json)


def _side_by_side(results: Sequence[Result], sentences: Sequence[str], rivals: bool, verbose: bool) -> None:
    """Sentences, a column of metrics per account, what was assumed; ``rivals`` are compared with each other."""
    title(results, sentences)
    pair, late = rivals and len(results) == 2, any(map(delayed, results))
    table = grid("metric", *(r.label for r in results), *["difference"] * pair)
    for name in _headlines(results):
        values = [by_name(r.metrics)[name] for r in results]
        best = fmt.better(name, values) if rivals else [False] * len(values)
        cells = [f"[bold]{fmt.text(name, v)}[/]" if b else fmt.text(name, v) for v, b in zip(values, best, strict=True)]
        gap = [fmt.difference(name, values[1], values[0])] if pair else []
        table.add_row(fmt.metric(name, late).title, *cells, *gap)
    write_table(table)
    changes(results)
    assumed(results, verbose)


def _headlines(results: Sequence[Result]) -> list[str]:
    """The metrics to show: steps only where liquidations had several."""
    idle = {name for name in SELDOM if not any(by_name(r.metrics)[name] for r in results)}
    if all(r.metrics["liquidation_steps"] == r.metrics["pool_liquidations"] for r in results):
        idle.add("liquidation_steps")
    return [name for name in HEADLINES if name not in idle]


def verification(shown: Verification, folder: Path, as_json: bool) -> None:
    """Whether a report shows what its runs give."""
    if as_json:
        answer = {"ok": shown.ok, "expected": shown.expected, "found": shown.found, "unequal": list(shown.unequal)}
        write_json(answer | {"changed": list(shown.differences), "page_compared": shown.page_compared})
    elif shown.ok:
        page = "" if shown.page_compared else "; the page was written by another version and not compared"
        click.echo(f"{folder}: the same; digest {shown.found}{page}{changed(shown)}")


def unequal(shown: Verification) -> str:
    """What a report shows otherwise, and why it may."""
    said = list(shown.unequal[:MOST_UNEQUAL])
    if len(shown.unequal) > MOST_UNEQUAL:
        said.append(f"{len(shown.unequal) - MOST_UNEQUAL:,} more (--json has all)")
    same = shown.expected == shown.found
    digests = "" if same else f"expected {shown.expected}, found {shown.found}; "
    return f"{digests}different: {', '.join(said)}{changed(shown) or (EDITED if same else UNEXPLAINED)}"


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
    table = grid("name", "alias", "quote", "date", "source", numbers=False)
    for profile in shown:
        also = escape(", ".join(profile.aliases))
        table.add_row(profile.name, also, profile.quote, str(profile.date), escape(profile.source))
    return write_table(table)


def venue(shown: Profile, as_json: bool, when: datetime | None = None, symbol: str | None = None) -> None:
    """One venue: how it liquidates, and the dated ladders of every market that it knows, or of one."""
    from backtest.venues import default_leverage

    if as_json:
        return write_json(shown.as_json(when, symbol))
    say(f"[bold]{escape(shown.name)}[/], {escape(shown.quote)}, {shown.date}; source: {escape(shown.source)}")
    if shown.about:
        say(escape(shown.about))
    penalty = shown.terms(symbol, when).penalty if symbol else shown.penalty_of(when)
    on = f", chain {shown.chain}" if shown.chain else ""
    click.echo(f"liquidation penalty {fmt.percent(penalty)}, taker fee {shown.fee_bps(when):g} bps{on}")
    rules = (
        *shown.laws_in_words(when),
        *shown.fees_in_words(when),
        *shown.orders_in_words(when),
        *default_leverage.in_words(shown.default_leverage, when),
    )
    for kind, since, said, standing in rules:
        say(escape(f"{kind}{since}: {said}" + (f" [{standing}]" if standing else "")))
    if symbol is None and (said := shown.file_in_words()):
        say(escape(said))
    sections = shown.sections(when, symbol)
    write_table(_ladders(sections, with_sources=symbol is not None))
    for name, text in sorted(shown.sources.items()):
        say(escape(f"source {name}: {text}"))
    return None


def _ladders(sections: Sequence[Section], with_sources: bool) -> Table:
    """Every tier of every section; a column that would be empty is left out."""
    parts: dict[str, list[Any]] = {
        "from": [part.since for part in sections],
        "deduction": [part.terms.tiers[-1].maintenance_deduction > 0 for part in sections],
        "and": [part.growth for part in sections],
        "status": [part.standing for part in sections],
        "source": [part.source * with_sources for part in sections],
    }
    kept = [name for name, values in parts.items() if any(values)]
    before = [name for name in ("from",) if name in kept]
    after = [name for name in ("deduction", "and", "status", "source") if name in kept]
    table = grid("symbol", *before, "notional up to", "initial", "maintenance", "maximum leverage", *after)
    for column in table.columns:
        if column.header in ("and", "status", "source"):
            column.justify = "left"
    for part in sections:
        for n, tier in enumerate(part.terms.tiers):
            upto = tier.upto_micro if tier.upto_micro is not None else part.terms.limit_micro
            cells = {
                "from": part.since * (n == 0),
                "deduction": fmt.number(tier.maintenance_deduction / 1e6, 2),
                "and": part.growth * (n == 0),
                "status": part.standing * (n == 0),
                "source": part.source * (n == 0),
            }
            table.add_row(
                escape(part.title) * (n == 0),
                *(cells[name] for name in before),
                "no limit" if upto is None else fmt.number(upto / 1e6, 0),
                fmt.percent(tier.initial),
                fmt.percent(tier.maintenance),
                fmt.number(1 / tier.initial, 1) if tier.initial else "no limit",
                *(escape(cells[name]) for name in after),
            )
    return table


def written(files: Iterable[Path]) -> None:
    """Files that a command has made."""
    for file in files:
        click.echo(f"wrote {file}", err=True)


def title(results: Sequence[Result], sentences: Sequence[str]) -> None:
    """What happened in words, under what nobody may miss."""
    above = omissions(results)
    if above:
        leaks = any(result.summary.get("look_ahead", {}).get("passed") is False for result in results)
        say(f"[bold {'red' if leaks else 'yellow'}]{escape(above)}[/]")
    for sentence in (*posted_words(results), *sentences):
        say(escape(sentence))
    for name, value in scope(results):
        say(f"[dim]{name:<8}[/] {escape(value)}")


def changes(results: Sequence[Result]) -> None:
    """What the venue changed of its terms inside the runs; the page has all of them."""
    told = terms_changes(results)
    for change in told[:MOST_CHANGES]:
        say(f"[dim]changed:[/] {escape(change)}")
    if len(told) > MOST_CHANGES:
        say(f"[dim]changed:[/] {len(told) - MOST_CHANGES:,} more terms of markets, listed in the report")


def assumed(results: Sequence[Result], verbose: bool) -> None:
    """How much was assumed, skipped or filled in; ``verbose``: each of it once, with its account where they differ."""
    notes = in_common({r.label: r.summary["notes"] for r in results})
    counts = in_common({r.label: _counted(r.summary["counts"]) for r in results})
    if not verbose and (notes or counts):
        say(f"[dim]{fold(len(notes), len(counts))}; --verbose lists them[/]")
    for line in [*notes, *counts] * verbose:
        say(f"[dim]-[/] {escape(line)}")


def _counted(counts: dict[str, int]) -> list[str]:
    return [f"{name.replace('_', ' ')}: {number:,}" for name, number in counts.items() if number]


def _quote(shown: Result) -> str:
    return str(shown.summary["data"].get("quote") or "")


def end(summary: RunSummary | ComparisonSummary, folder: Path | None, as_json: bool) -> None:
    """The summary if JSON was asked for, and where the report is."""
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


def say(markup: str) -> None:
    """A line on standard output."""
    # Made again: standard output may have been redirected since the last line. Words keep to whole lines in a pipe.
    Console(highlight=False, soft_wrap=True).print(markup)
