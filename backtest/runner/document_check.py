"""Whether the `run.toml` of a report says what its runs were made with."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from backtest.core.errors import UserError
from backtest.results.report_files import DOCUMENT, SUMMARY, Stored
from backtest.results.summary import COMPARISON, LATENCY, RUN, SHARED_MARGIN, SUB_ACCOUNTS, plain
from backtest.results.summary_types import untyped
from backtest.runner import run_document, setting
from backtest.runner.latency_curve import parse_grid
from backtest.runner.run_document import PATHS_IN_TEXTS
from backtest.runner.setting import Kind, Setting
from backtest.runner.settings import DEFAULT_VENUE, RunSettings, all_settings
from backtest.runner.shared_margin import limits_of, strategies_of
from backtest.runner.sub_accounts import asked_of_each, caps_of
from backtest.runner.validation import checked
from backtest.runner.variants import Variant, variants_of
from backtest.strategy.loader import load

COMMANDS = {
    RUN: setting.RUN, COMPARISON: setting.COMPARE, LATENCY: setting.LATENCY, SUB_ACCOUNTS: setting.SUB_ACCOUNTS,
    SHARED_MARGIN: setting.SHARED_MARGIN,
}  # fmt: skip

SWITCHES = ("sub_accounts", "shared_margin")


def unlike(report: Stored, folder: Path) -> Iterator[str]:
    """Give what the file says otherwise than the summaries, such as ``run.toml: fee_bps``, and the file if it is gone.

    Of a path only the last part is compared: a report, and its data, may have been moved.
    """
    if not (folder / DOCUMENT).is_file():
        yield f"{DOCUMENT} (missing)"
        return
    command = COMMANDS[report.kind]
    try:
        said = run_document.read(folder / DOCUMENT)
        asked = checked({name: value for name, value in said.values.items() if name not in SWITCHES}, command)
        strategies = [str(untyped(result.summary)["config"]["strategy"]) for result in report.results]
        if report.kind == SHARED_MARGIN:
            strategies = [str(one["strategy"]) for one in strategies_of(report.results[0])]
        left_out = report.documents[SUMMARY].get("left_out", {})
        variants = _variants(said, asked, left_out) if asked.vary and command == setting.COMPARE else []
        accounts = [one.settings for one in variants] or _accounts(command, asked, strategies, left_out)
    except UserError:
        yield f"{DOCUMENT} (damaged)"
        return
    if variants:
        said = replace(said, strategies=tuple(str(one.strategy) for one in variants))
    each = command in (setting.SUB_ACCOUNTS, setting.SHARED_MARGIN) or bool(variants)
    named = [*said.strategies] if each else [*said.strategies] * len(strategies)
    expected = [] if asked.positions else strategies
    if [PurePath(one).name for one in named] != [PurePath(one).name for one in expected]:
        yield f"{DOCUMENT}: strategy"
    recorded = [untyped(result.summary)["config"] for result in report.results]
    if len(accounts) != len(recorded):
        yield f"{DOCUMENT}: {'grid' if command == setting.LATENCY else 'margin'}"
        return
    if command == setting.COMPARE and not variants:  # in the order of their modes: that of the page is the page's own
        accounts, recorded = sorted(accounts, key=_mode), sorted(recorded, key=lambda was: str(was["margin"]))
    pairs = list(zip(accounts, recorded, strict=True))
    for told in all_settings():
        if told.recorded != "-" and not (told.name == "venue" and recorded[0]["venue_from_data"]):
            key = told.recorded or told.name
            if any(_differ(told, one.as_dict()[key], was[key]) for one, was in pairs):
                yield f"{DOCUMENT}: {told.name}"
    if report.kind == SHARED_MARGIN:
        yield from _shared_terms(report, asked)
    if any(one.margin != (was["margin"],) or asked.modes != was["modes"] for one, was in pairs):
        yield f"{DOCUMENT}: margin"


def _shared_terms(report: Stored, asked: RunSettings) -> Iterator[str]:
    """Give the settings of the strategies' shares that the file says otherwise."""
    listed = strategies_of(report.results[0])
    if limits_of(asked.margin_limit, len(listed)) != [one["margin_limit"] for one in listed]:
        yield f"{DOCUMENT}: margin_limit"
    if caps_of(asked.loss_cap, len(listed)) != [one["loss_cap"] for one in listed]:
        yield f"{DOCUMENT}: loss_cap"


def _variants(said: run_document.Document, asked: RunSettings, left_out: Collection[str]) -> list[Variant]:
    """The accounts of a file in which settings vary."""
    found = variants_of(said.strategies[0] if said.strategies else None, asked.data, asked)
    # The file has the parameters that were given; a summary all that the strategy has.
    return [
        one if one.strategy is None else replace(one, settings=replace(one.settings, params=_parameters(one)))
        for one in found
        if one.label not in left_out
    ]


def _parameters(one: Variant) -> dict[str, object]:
    return dict(load(str(one.strategy), one.settings.params).params)


def _mode(one: RunSettings) -> str:
    return one.margin[0]


def _accounts(
    command: str, asked: RunSettings, strategies: Sequence[str], left_out: Collection[str]
) -> list[RunSettings]:
    """What the file asks for each account, with its margin mode alone."""
    modes = [mode for mode in asked.margin_modes if mode not in left_out]
    if command == setting.SUB_ACCOUNTS:
        each = asked_of_each(strategies, asked, modes[0])
        # The file has the parameters that were given, as they were given; a summary all that the strategy has.
        found = [replace(one.settings, params=load(str(one.strategy), one.settings.params).params) for one in each]
    elif command == setting.LATENCY:
        found = [replace(asked, latency_ms=delay) for delay in parse_grid(asked.grid)]
    else:
        return [replace(asked, margin=(mode,)) for mode in modes]
    return [replace(one, margin=(modes[0],)) for one in found]


def _differ(told: Setting, said: object, was: object) -> bool:
    """Whether the file's value of a setting is another than the recorded one."""
    if told.name == "venue" and said is None:
        said = DEFAULT_VENUE
    return _form(told, said) != _form(told, was)


def _form(told: Setting, value: object) -> str:
    """A value as text, of paths the last part."""
    if told.kind is Kind.FILE and isinstance(value, str):
        value = PurePath(value).name
    if told.name in PATHS_IN_TEXTS and isinstance(value, list | tuple):
        before, ends = PATHS_IN_TEXTS[told.name]
        value = [
            before + PurePath(text.removeprefix(before)).name
            if text.startswith(before) and text.endswith(ends)
            else text
            for text in map(str, value)
        ]
    return json.dumps(plain(value), sort_keys=True)
