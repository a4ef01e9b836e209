"""One HTML file that opens without a network: what all pages share, and the page of a comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from jinja2 import Environment, PackageLoader, StrictUndefined

from backtest.core.errors import Broken
from backtest.report import charts, layer2, liquidation_tables, order_tables, source_charts, table_rows
from backtest.report import formatting as fmt
from backtest.report.caveats import fold, omissions, terms_changes
from backtest.report.header import scope
from backtest.report.narrative import comparison_words, subaccount_words
from backtest.report.outcome import SOURCES, Outcome, outcome, source_title
from backtest.report.packing import packed, script_hash, typed
from backtest.report.posted_text import posted_words
from backtest.report.table_data import table_data
from backtest.report.table_rows import Cell, Table, amount
from backtest.report.unliquidated import unharmed

if TYPE_CHECKING:
    from backtest.results.result import Result
    from backtest.results.summary_types import RunSummary

Facts = list[tuple[str, str]]

NOUN = "account"


def render_comparison(
    results: list[Result], combined: Result | None = None, left_out: Mapping[str, str] | None = None
) -> str:
    """The report of several accounts that lived through the same data; the first is what the others are compared to.

    ``left_out``: why a margin mode that was asked for is not among them, by mode.

    With ``combined``, their sum, they are sub-accounts: nothing is compared, and each may have its own markets. The
    sum is a curve, a card and a column, and no account beside the others.
    """
    if not results:
        raise Broken("a comparison needs at least one result")
    results = [as_stored(result) for result in results]
    outs = [outcome(result) for result in results]
    lead = combined or results[0]
    quote = quote_of(lead)
    accounts = charts.runs(results, outs)
    whole = [] if combined is None else [charts.total(combined, outcome(combined))]
    sections = {
        "equity": charts.equity_chart([*whole, *accounts], quote),
        "margin": charts.margin_chart(accounts),
        "leverage": charts.leverage_chart([*whole, *accounts]),
        "sources": source_charts.sources_side_by_side(accounts, quote),
    }
    if combined is None:
        words = comparison_words(results, outs, left_out)
    else:
        words = subaccount_words(whole[0].outcome, results, outs, quote)
    return document(
        "comparison.html.j2",
        lead,
        results,
        charts=sections,
        words=words,
        cards=[_account_card(account, quote) for account in (*whole, *accounts)],
        tables={
            "metrics": table_rows.metrics(results, combined),
            "sources": sources_table([*(one.outcome for one in whole), *outs]),
            "settings": _differing(results),
        },
        noun=NOUN if combined is None else "sub-account",
        guards=[(result.label, table_rows.guards(result)) for result in results],
        orders=[(result.label, order_tables.by_kind(result), order_tables.by_reason(result)) for result in results],
        chained=[(run.result.label, part) for run in accounts if (part := layer2.section(run, quote))],
        deleveraged=any(out.deleveraged for out in outs),
        liquidations=[
            (out.label, liquidation_tables.listing(out, unharmed(result, quote)))
            for result, out in zip(results, outs, strict=True)
        ],
        health=liquidation_tables.NOTE if any(out.losses or out.deleveraged for out in outs) else "",
        ambiguous=[(result.label, table_rows.ambiguous(result)) for result in results],
        settings=[fact for fact in settings_of(results[0]) if all(fact in settings_of(r) for r in results)],
        # Sub-accounts select what their strategies want: another selection has another fingerprint.
        mixed=combined is None and len({_data(r).get("fingerprint") for r in results}) > 1,
    )


def as_stored(result: Result) -> Result:
    """Return the result with its summary as `summary.json` has it, keys in order: so is it when a page is rebuilt."""
    summary = json.loads(json.dumps(result.summary, sort_keys=True))
    return replace(result, summary=cast("RunSummary", summary))


def document(
    template: str,
    lead: Result,
    results: Sequence[Result],
    *,
    above: bool = True,
    listed: Sequence[Table] = (),
    **context: Any,
) -> str:
    """A page about ``results``; name, period and data are those of ``lead``.

    ``above``: what the results leave out stands in the head of the page. ``listed``: tables whose values are in it.
    """
    about, _, rest = str(lead.summary["strategy"].get("doc") or "").strip().partition("\n\n")
    figures = {name: chart.figure for name, chart in context["charts"].items() if chart.figure is not None}
    return (
        environment()
        .get_template(template)
        .render(
            name=str(lead.summary["strategy"].get("name") or "Strategy"),
            about=about,
            more=rest.strip(),
            omissions=omissions(results) if above else "",
            scope=scope(results),
            folded=fold,
            synthetic=any(_data(result).get("synthetic") for result in results),
            data=_data_facts(lead),
            marks=sorted(_data(lead).get("marks", {}).items()),
            quote=quote_of(lead),
            changes=terms_changes(results),
            assumed=_assumed(results, f"All {context.get('noun', NOUN)}s"),
            reproduction=_reproductions(results, f"All {context.get('noun', NOUN)}s"),
            figures=script_json(typed(figures)),
            rows=script_json(table_data(listed)),
            period=f"{_period(lead)} (UTC)",
            labels=[result.label for result in results],
            posted=posted_words(results),
            margin=str(lead.summary["config"].get("margin", lead.label)),
            **context,
        )
    )


def plotly_js() -> str:
    """Plotly's JavaScript. Imported here: a run without a page goes without Plotly."""
    from plotly.offline import get_plotlyjs

    code: str = get_plotlyjs()
    return code


@cache
def _library() -> tuple[str, str]:
    """Plotly's JavaScript, packed, and its hash for the content security policy."""
    code = plotly_js()
    return packed(code), script_hash(code)


SCRIPTS = ("tables.js", "market.js", "charts.js")
"""Our own scripts, one after another in one element."""


@cache
def environment() -> Environment:
    """Where the templates of all pages come from: escaping is on, and what is undefined is an error."""
    loader = PackageLoader("backtest.report", "templates")
    made = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    script = "\n".join(loader.get_source(made, name)[0] for name in SCRIPTS)
    made.globals["style"] = loader.get_source(made, "style.css")[0]
    made.globals["script"] = script
    made.globals["library"] = lambda: _library()[0]
    made.globals["allowed_scripts"] = lambda: f"{script_hash(script)} {_library()[1]}"
    made.filters["packed"] = packed
    return made


def script_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in, whatever the names say."""
    words = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return words.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _data(result: Result) -> dict[str, Any]:
    return dict(result.summary.get("data", {}))


def quote_of(result: Result) -> str:
    """The currency of the amounts; empty where the data do not say."""
    return str(_data(result).get("quote") or "")


def _period(result: Result) -> str:
    data = _data(result)
    return f"{fmt.moment(data.get('from_ms'))} to {fmt.moment(data.get('to_ms'))}"


def _data_facts(result: Result) -> Facts:
    data = _data(result)
    facts = [
        ("Dataset", _shown(data.get("name"))),
        ("Symbols", ", ".join(map(str, data.get("symbols", [])))),
        ("Candles", fmt.interval(data.get("interval_ms"))),
        ("Rows", fmt.count(data.get("rows"))),
        ("From (UTC)", fmt.moment(data.get("from_ms"))),
        ("To (UTC)", fmt.moment(data.get("to_ms"))),
        ("Where it comes from", _shown(data.get("provenance"))),
    ]
    return [(title, value) for title, value in facts if value]


_ELSEWHERE = {
    "strategy", "data", "symbols", "seed", "params", "start_ms", "end_ms", "venue_sha256", "depth_sha256",
    "chain_sha256", "outages_played", "venue_changes", "isolated",
}  # fmt: skip
"""What the configuration says and another part of the page shows as it came out."""
_SETTINGS = {
    "venue": "Venue", "venue_from_data": "Named by the dataset", "venue_rules": "Its rules",
    "margin": "Margin mode", "leverage": "Leverage",
    "isolated_margin": "Collateral that opens an isolated position", "cash": "Cash at the start",
    "path": "Price path", "interval_ms": "Interval", "drill_ms": "Drill", "latency_ms": "Latency",
    "slippage_bps": "Slippage", "slippage": "Slippage models",
    "volume_share": "Maximum share of a candle's volume", "limit_fill": "Limit orders fill on", "fees": "Fees",
    "fee_bps": "Fee as asked", "maker_fee_bps": "Maker fee setting", "fee_discount": "Fee discount setting",
    "allow": "Allowed missing data", "modes": "Margin modes of single markets",
    "isolate_above": "Positions isolated above this share of maintenance margin",
    "adl": "Deleveraging events", "adl_top": "Maximum positions per ADL event",
    "chain": "Chain", "chain_rules": "Chain rules", "chain_source": "Where they come from", "gas": "Gas is paid",
    "outages": "Outage setting", "reorg_ms": "Reorg depth before an outage",
    "force_inclusion": "Forced inclusion through Layer 1", "reserve": "Reserve at the start",
    "oracle": "Oracle setting", "offline": "Offline", "override": "By hand",
}  # fmt: skip
_UNLESS_SET = {
    "venue_from_data": "venue_from_data", "slippage": "slippage", "volume_share": "volume_share", "fee_bps": "fee_bps",
    "maker_fee_bps": "maker_fee_bps", "fee_discount": "fee_discount",
    "offline": "offline", "override": "override",
    "modes": "modes", "isolate_above": "isolate_above", "adl": "adl", "adl_top": "adl",
    "chain": "chain", "chain_rules": "chain", "chain_source": "chain", "gas": "chain", "outages": "outages",
    "reorg_ms": "reorg_ms", "force_inclusion": "force_inclusion", "reserve": "reserve", "oracle": "oracle",
}  # fmt: skip
"""Settings that are left out unless the one named is set."""


def settings_of(result: Result) -> Facts:
    """The settings in force, in words."""
    config: Mapping[str, Any] = result.summary.get("config", {})
    strategy = result.summary.get("strategy", {})
    idle = {name for name, by in _UNLESS_SET.items() if not config.get(by)}
    known = [name for name in _SETTINGS if name in config]
    names = [name for name in known + sorted(set(config) - set(known) - _ELSEWHERE) if name not in idle]
    facts = [(_SETTINGS.get(n, n.replace("_", " ").capitalize()), _setting(n, config[n])) for n in names]
    if strategy.get("every_ms"):
        facts.append(("The strategy decides every", fmt.interval(strategy["every_ms"])))
    if strategy.get("guards"):
        facts.append(("The strategy's own guards", _shown(strategy["guards"])))
    return facts + [(f"Parameter {name}", _shown(value)) for name, value in strategy.get("params", {}).items()]


def _setting(name: str, value: Any) -> str:
    if name == "leverage" and value is None:
        return "the venue's default in isolated margin, else as its tiers allow"
    if name == "leverage" and value == "max":
        return "as the venue's tiers allow"
    if not isinstance(value, int | float) or isinstance(value, bool):
        return _shown(value)
    if name == "isolate_above":
        return fmt.percent(value)
    if name in ("cash", "reserve", "isolated_margin"):
        return fmt.number(value)
    if name in ("interval_ms", "drill_ms"):
        return fmt.interval(value)
    if name == "leverage":
        return f"{value:g}x"
    return f"{value:,g} bps" if name.endswith("_bps") else f"{value:,g} ms" if name.endswith("_ms") else _shown(value)


def _shown(value: Any) -> str:
    if value is None or value == "" or value == [] or value == {}:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,g}" if abs(value) < 1e6 else f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(value[key])}" for key in sorted(value))
    return str(value)


def _differing(results: Sequence[Result]) -> Table:
    """Settings that are not the same in all runs, side by side."""
    columns = [dict([*settings_of(r), ("Symbols", ", ".join(map(str, _data(r).get("symbols", []))))]) for r in results]
    names = [n for n in dict.fromkeys(n for c in columns for n in c) if len({c.get(n) for c in columns}) > 1]
    head = (Cell("Setting"), *(Cell(result.label) for result in results))
    rows = tuple((Cell(n), *(Cell(c.get(n, "none")) for c in columns)) for n in names)
    return Table("settings", "Settings that differ", head, rows, empty="The runs have the same settings.")


def _account_card(account: charts.Run, quote: str) -> dict[str, str]:
    out = account.outcome
    share = f"{fmt.signed(out.change / out.start * 100)}%" if out.start > 0 else fmt.NA
    lost = fmt.plural(len(out.losses), "liquidation") if out.losses else "no liquidation"
    return {
        "title": f"{account.result.label}: equity at the end{f' ({quote})' if quote else ''}",
        "figure": fmt.number(out.end),
        "more": f"{fmt.signed(out.change)} ({share}), {lost}",
        "colour": account.colour,
    }


def sources_table(outs: Sequence[Outcome]) -> Table:
    """Where the profit of each came from, side by side."""
    head = (Cell("Source"), *(Cell(out.label, True) for out in outs))
    late = any(out.delayed for out in outs)
    rows = [(Cell(source_title(name, late)), *(amount(out.sources[name]) for out in outs)) for name in SOURCES]
    rows.append((Cell("Change of equity"), *(amount(out.change) for out in outs)))
    return Table("sources", "Where the profit came from", head, tuple(rows))


def _assumed(results: Sequence[Result], everybody: str) -> list[tuple[str, Facts, list[str]]]:
    """Counts and notes: what is the same in all runs once, then what each has besides."""
    each = [(result.label, _counts(result), list(result.summary.get("notes", []))) for result in results]
    _, facts, notes = each[0]
    facts = [fact for fact in facts if all(fact in theirs for _, theirs, _ in each)]
    notes = [note for note in notes if all(note in theirs for _, _, theirs in each)]
    own = [
        (label, [fact for fact in counted if fact not in facts], [note for note in said if note not in notes])
        for label, counted, said in each
    ]
    return [(everybody, facts, notes), *(entry for entry in own if entry[1] or entry[2])]


def _counts(result: Result) -> Facts:
    counts: Mapping[str, int] = result.summary.get("counts", {})
    return [(_counted(name), fmt.count(n)) for name, n in counts.items()]


def _counted(name: str) -> str:
    """A guard keeps the name by which it was asked for, like ``guard account-loss=20%``."""
    words = name if name.startswith("guard ") else name.replace("_", " ").replace("-", " ")
    return words[:1].upper() + words[1:]


def _reproductions(results: Sequence[Result], everybody: str) -> list[tuple[str, Facts]]:
    """What is the same in all runs once, then what only some of them have."""
    each = [(result.label, _reproduction(result)) for result in results]
    if len(each) == 1:
        return each
    shared = [fact for fact in each[0][1] if all(fact in facts for _, facts in each)]
    own = [(label, [fact for fact in facts if fact not in shared]) for label, facts in each]
    return [(everybody, shared), *((label, facts) for label, facts in own if facts)]


def _reproduction(result: Result) -> Facts:
    summary = result.summary
    versions = summary.get("versions", {})
    return [
        ("Digest of the tables", str(result.digest)),
        ("Fingerprint of the data", str(_data(result).get("fingerprint", fmt.NA))),
        ("Seed", _shown(summary.get("seed"))),
        ("Schema version", _shown(summary.get("schema_version"))),
        ("Strategy's source", _shown(summary.get("strategy", {}).get("source"))),
        ("Versions", ", ".join(f"{name} {versions[name]}" for name in sorted(versions)) or fmt.NA),
    ]
