"""`verify`: play what a report says again, and compare everything that the report shows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import polars as pl

from backtest.core.errors import UserError
from backtest.data.remote import is_there, place_of
from backtest.report.latency_page import render_latency
from backtest.report.packing import inflated
from backtest.report.page import render_comparison
from backtest.report.run_page import render
from backtest.report.variants_page import render_variants
from backtest.results import report_files
from backtest.results.digest import digest
from backtest.results.lazy_tables import Tables
from backtest.results.result import Result
from backtest.results.summary import COMPARISON, LATENCY, RUN, SHARED_MARGIN, SUB_ACCOUNTS, versions
from backtest.results.summary_types import RunSummary, untyped
from backtest.runner.combined_account import combine
from backtest.runner.compare import compare
from backtest.runner.document_check import unlike
from backtest.runner.drawn_candles import drawn_again
from backtest.runner.latency_curve import latency, table
from backtest.runner.origins import keyword_errors
from backtest.runner.run import run
from backtest.runner.settings import all_settings, find
from backtest.runner.shared_margin import shared_margin, strategies_of
from backtest.runner.sub_accounts import Asked, play
from backtest.runner.timeout import within
from backtest.runner.validation import checked, value_of
from backtest.runner.variants import Variant, partings, play_variants
from backtest.strategy.source_location import has_source

OF_FEW = ("offline", "override", "positions", "rebalance")
"""Settings that only some commands have: what the others record of them is that there are none."""
WRITERS = ("backtest", "plotly")
"""Versions under which a page has the same bytes."""


@dataclass(frozen=True)
class Verification:
    """Whether a report shows what its runs give."""

    ok: bool
    """Every table, every entry of every summary and the page are as they come out now; `run.toml` asks for the same."""
    expected: str
    """Digests that the report names, by label, joined by commas; ``found``: of the same runs played again."""
    found: str
    differences: tuple[str, ...] = ()
    """What a run depends on and is not as it was: the data's fingerprint, the strategy's source, versions."""
    unequal: tuple[str, ...] = ()
    """What the report shows otherwise: a table's or page's file, or an entry of a summary or of the settings, such as
    ``summary.json: metrics.final_equity`` or ``run.toml: fee_bps``."""
    page_compared: bool = True
    """False: another version wrote the page, and may have written the same things in another form."""


@keyword_errors()
def verify(
    folder: str | Path, data: str | Path | None = None, trust: bool = False, timeout: float | None = None
) -> Verification:
    """Play the runs of the report in ``folder`` again, and compare its tables, summaries, page and settings.

    This runs the strategy that the report names, with your rights. One whose source is not of the SHA-256 that the
    report has is not run unless ``trust`` is true. ``data``: where the dataset lies now, if it was moved.
    ``timeout``: seconds that it may take; None: any.

    UserError if the folder is no report, its strategy or data cannot be found, or the strategy is another; RunError
    when the time is over.
    """
    return within(value_of(find("timeout"), timeout), lambda: _verified(folder, data, trust))


def _verified(folder: str | Path, data: str | Path | None, trust: bool) -> Verification:
    before = report_files.stored(Path(folder))
    asked = [_asked(report, Path(folder)) for report in before.results]
    for report, one in zip(before.results, asked, strict=True):
        if not trust and (one.strategy is not None or "shared_margin" in report.summary):
            _all_unchanged(report, one.strategy or "")
    place = asked[0].data
    if data is None and not is_there(place):
        raise UserError("the report's data are no longer there", str(place), "say where they lie with --data")
    after = _AGAIN[before.kind](before, asked, place_of(data) if data is not None else place)
    pairs = list(zip(before.results, after.results, strict=True))
    changed = dict.fromkeys(name for pair in pairs for name in _changed(*pair))
    if "data" in changed and data is None:
        raise UserError("the data have changed since", str(place), "name the data of the report with --data")
    allowed = replace(after, results=[_allowed(old, new, data) for old, new in pairs])
    own = versions()
    same_writer = all(_part(r, "versions").get(name) == own[name] for r in before.results for name in WRITERS)
    unequal = [*_tables(before, allowed), *_entries(before, allowed), *unlike(before, Path(folder))]
    if before.page is None:
        unequal.append(f"{report_files.REPORT} (missing)")
    elif same_writer and inflated(before.page) != inflated(allowed.page(allowed.results)):
        unequal.append(report_files.REPORT)
    expected, found = (",".join(str(r.digest) for r in results) for results in zip(*pairs, strict=True))
    return Verification(not unequal, expected, found, tuple(changed), tuple(unequal), same_writer)


@dataclass(frozen=True)
class Report:
    """What a run of the report asks for: a strategy, data, margin mode and settings."""

    strategy: str | None
    """None: it held positions."""
    data: Path | str
    margin: str
    own: list[str]
    """Margin modes of single markets, as SYMBOL=mode."""
    settings: dict[str, Any]
    """Keyword arguments of `run`, but for the margin."""


@dataclass(frozen=True)
class Again:
    """What came out now, and how a page is made of it."""

    results: list[Result]
    page: Callable[[list[Result]], str]
    extras: dict[str, Any] = field(default_factory=dict)
    beside: dict[str, pl.DataFrame] = field(default_factory=dict)


def _one(before: report_files.Stored, asked: Sequence[Report], data: Path | str) -> Again:
    (one,) = asked
    told = before.results[0].summary
    cost, check = "mark_cost" in told, "look_ahead" in told
    made = run(one.strategy, data, margin=[one.margin, *one.own], mark_cost=cost, check=check, **one.settings)
    if report_files.CANDLES not in before.beside:
        return Again([made], lambda results: render(results[0]))
    candles = drawn_again(made, data)
    return Again([made], lambda results: render(results[0], candles), beside={report_files.CANDLES: candles})


def _modes(before: report_files.Stored, asked: Sequence[Report], data: Path | str) -> Again:
    """One strategy in the margin modes of the report, those among them that the venue does not have."""
    if _part(before, "varied"):
        return _varied(before, asked, data)
    modes = list(dict.fromkeys([*(one.margin for one in asked), *_part(before, "left_out")]))
    looked = "look_ahead" in before.results[0].summary
    made = compare(asked[0].strategy, data, margin=[*modes, *asked[0].own], check=looked, **asked[0].settings)
    left_out = made.summary["left_out"]
    return Again(made.results, lambda results: render_comparison(results, left_out=left_out), {"left_out": left_out})


def _varied(before: report_files.Stored, asked: Sequence[Report], data: Path | str) -> Again:
    """Accounts that differ in some settings, as each summary has them."""
    varied, left_out = _part(before, "varied"), _part(before, "left_out")
    apart = len({str(one.data) for one in asked}) > 1
    variants = [
        Variant(
            report.label,
            one.strategy,
            one.data if apart else data,
            checked({**one.settings, "margin": [one.margin, *one.own]}),
            varied[report.label],
        )
        for report, one in zip(before.results, asked, strict=True)
    ]
    results, _ = play_variants(variants)
    parted = partings(results)
    return Again(
        results,
        lambda shown: render_variants(shown, varied, parted, left_out),
        {"left_out": left_out, "varied": varied, "partings": parted},
    )


def _delays(_: report_files.Stored, asked: Sequence[Report], data: Path | str) -> Again:
    """One strategy at each delay of the report."""
    delays, first = [one.settings.pop("latency_ms") for one in asked], asked[0]
    made = latency(first.strategy, data, grid=delays, margin=[first.margin, *first.own], **first.settings)
    curve = table(made.results)
    return Again(made.results, render_latency, {"curve": curve.to_dicts()}, {"curve": curve})


def _sub_accounts(before: report_files.Stored, asked: Sequence[Report], data: Path | str) -> Again:
    """Every strategy in its sub-account."""
    accounts = [
        Asked(report.label, str(one.strategy), one.margin, checked({**one.settings, "margin": [one.margin, *one.own]}))
        for report, one in zip(before.results, asked, strict=True)
    ]
    results, records, union = play(accounts, data)
    combined = combine(results, records, union).metrics
    return Again(
        results, lambda shown: render_comparison(shown, combine(shown, records, union)), {"combined": combined}
    )


def _shared(before: report_files.Stored, asked: Sequence[Report], data: Path | str) -> Again:
    """Every strategy over the account that they share."""
    (one,), listed = asked, strategies_of(before.results[0])
    limits, caps = ([str(told[name] or "none") for told in listed] for name in ("margin_limit", "loss_cap"))
    made = shared_margin(
        [str(told["strategy"]) for told in listed], data, margin=[one.margin], **one.settings,
        margin_limit=limits, loss_cap=caps,
    )  # fmt: skip
    return Again([made.account], lambda results: render(results[0]), beside=made.tables)


_AGAIN = {
    RUN: _one, COMPARISON: _modes, LATENCY: _delays, SUB_ACCOUNTS: _sub_accounts, SHARED_MARGIN: _shared,
}  # fmt: skip


def _asked(report: Result, folder: Path) -> Report:
    """Strategy, data and settings of a run, as its summary says."""
    try:
        config = untyped(report.summary)["config"]
        recorded = {told.name: config[told.recorded or told.name] for told in all_settings() if told.recorded != "-"}
        settings = {name: value for name, value in recorded.items() if value or name not in OF_FEW}
        place = place_of(settings.pop("data"))
        if config["venue_from_data"]:
            settings["venue"] = None
        own = [f"{symbol}={mode}" for symbol, mode in config["modes"].items()]
        strategy = None if config["positions"] else str(config["strategy"])
        return Report(strategy, place, str(config["margin"]), own, settings)
    except (KeyError, TypeError) as error:
        raise UserError(f"summary.json has no {error}", str(folder), "run it again") from None


def _all_unchanged(report: Result, strategy: str) -> None:
    """UserError unless the sources of the strategies are those of the report."""
    if "shared_margin" not in report.summary:
        return _unchanged(_part(report, "strategy").get("source"), strategy)
    for told in strategies_of(report):
        _unchanged(told["source"], str(told["strategy"]))
    return None


def _unchanged(recorded: object, strategy: str) -> None:
    """UserError unless the strategy's source is the one that the report was made with; nothing of it is run."""
    if not isinstance(recorded, str):
        thing, source = "the report does not have the SHA-256 of its strategy's source", ""
    elif not has_source(strategy, recorded):
        thing, source = "the strategy is not the one of the report", f" (SHA-256 {recorded})"
    else:
        return
    raise UserError(thing + source, strategy, "read it first: --trust runs it all the same, with your rights")


def _changed(before: Result, after: Result) -> Iterator[str]:
    """Names of the things that a run depends on and that are not as they were."""
    for name, part, key in (
        ("data", "data", "fingerprint"),
        ("strategy", "strategy", "source"),
        ("venue", "config", "venue_sha256"),
        ("depth table", "config", "depth_sha256"),
        ("chain", "config", "chain_sha256"),
        ("outages", "config", "outages_played"),
    ):
        if _part(before, part).get(key) != untyped(after.summary)[part][key]:
            yield name
    was = _part(before, "versions")
    yield from (name for name, version in after.summary["versions"].items() if was.get(name) != version)


def _allowed(before: Result, after: Result, data: str | Path | None) -> Result:
    """``after`` with what may differ in a report that is as it was: versions, and where moved data lie."""
    was, summary = before.summary, dict(untyped(after.summary))
    if all(isinstance(version, str) for version in _part(before, "versions").values()):
        summary["versions"] = dict(_part(before, "versions"))
    if data is not None:
        config, place = _part(before, "config"), dict(summary["data"])
        if (
            place["name"] == Path(data).resolve().name
            and _part(before, "data").get("name") == Path(config["data"]).name
        ):
            place["name"] = was["data"]["name"]
        moved = ("data", "venue") if summary["config"]["venue_from_data"] else ("data",)
        summary |= {"data": place, "config": summary["config"] | {name: config[name] for name in moved}}
    return replace(after, summary=cast("RunSummary", summary))


def _tables(before: report_files.Stored, after: Again) -> Iterator[str]:
    """Files of the tables that hold other values than those that came out now."""
    for old, new in zip(before.results, after.results, strict=True):
        folder = "" if before.kind in report_files.SINGLE else f"{old.label}/"
        yield from _other(old.tables, new.tables, folder)
    yield from _other(Tables(before.beside), Tables(after.beside), "")


def _other(old: Tables, new: Tables, folder: str) -> Iterator[str]:
    for name in new:
        if digest(Tables({name: old.table(name)})) != digest(Tables({name: new.table(name)})):
            yield f"{folder}{name}.parquet"


def _entries(before: report_files.Stored, after: Again) -> Iterator[str]:
    """Entries of the summaries that say something else than those of now."""
    shown = after.results[0] if before.kind in report_files.SINGLE else after.results
    made = report_files.documents(shown, after.extras, before.kind)
    for name, document in made.items():
        for entry in _unlike(before.documents.get(name), document, ""):
            yield f"{name}: {entry}" if entry else name


def _unlike(old: Any, new: Any, name: str) -> Iterator[str]:
    """Names of the entries, joined by dots, in which two JSON values differ; 1 and 1.0 do."""
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        old, new = ({str(i): value for i, value in enumerate(values)} for values in (old, new))
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            entry = f"{name}.{key}" if name else key
            if key in old and key in new:
                yield from _unlike(old[key], new[key], entry)
            else:
                yield entry
    elif json.dumps(old, sort_keys=True) != json.dumps(new, sort_keys=True):
        yield name


def _part(of: Result | report_files.Stored, name: str) -> dict[str, Any]:
    """A part of a summary, empty where it has none."""
    summary = of.summary if isinstance(of, Result) else of.documents[report_files.SUMMARY]
    found = summary.get(name)
    return found if isinstance(found, dict) else {}
