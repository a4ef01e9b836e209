"""The accounts of `compare --vary`: every combination of some settings, and what tells the accounts apart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from backtest.core.errors import SettingError, UserError
from backtest.core.records import Record
from backtest.data.catalog import Catalog, DataSource
from backtest.results.report_files import DOCUMENT, REPORT, SUMMARY
from backtest.results.result import Result
from backtest.runner.account_runner import AccountRunner
from backtest.runner.axis import Shown, setting_axis
from backtest.runner.plan import Plan, plan_of
from backtest.runner.replays import placed, seated
from backtest.runner.run import result
from backtest.runner.run_document import document_text, named_again
from backtest.runner.setting import COMPARE
from backtest.runner.settings import RunSettings
from backtest.runner.shared_data import SharedData
from backtest.runner.stream import Progress, stream
from backtest.strategy.loader import StrategySource
from backtest.venues.margin_modes import split

FLAG = "--vary"
STRATEGY, MARGIN = "strategy", "margin"
MOST_ACCOUNTS = 60
"""Played at once, each with its own curve in memory."""
FILES = (STRATEGY, "venue", "chain", "data")
"""Settings whose values may be paths; of these a label has the last part alone."""


@dataclass(frozen=True)
class Variant:
    """One account, before it is planned."""

    label: str
    """Of its run, and the name of its folder."""
    strategy: StrategySource | None
    data: DataSource
    settings: RunSettings
    """As of `run`, with one margin mode."""
    varied: Mapping[str, Shown]
    """What it has of each setting that varies."""

    @property
    def mode(self) -> str:
        """Its margin mode."""
        return self.settings.margin_modes[0]


def variants_of(
    strategy: StrategySource | None, data: DataSource, asked: RunSettings, given: Sequence[str] = ()
) -> list[Variant]:
    """Return an account for every combination of what varies and every margin mode, in the order given.

    ``given``: names of the settings that are also given for all. UserError for what cannot be varied.
    """
    named, values = _axes(strategy, asked.vary, given)
    modes, own = asked.margin_modes, asked.margin[len(asked.margin_modes) :]
    count = len(modes) * int(np.prod([len(each) for each in values]))
    if not 1 < count <= MOST_ACCOUNTS:
        thing = "one account" if count < 2 else f"{count:,} accounts"
        raise UserError(thing, FLAG, f"vary to 2 to {MOST_ACCOUNTS}; `backtest sweep` runs any number")
    found: list[Variant] = []
    for chosen in product(*values):
        settings = {name: value for name, (value, _) in zip(named, chosen, strict=True)}
        shown: dict[str, Shown] = {name: text for name, (_, text) in zip(named, chosen, strict=True)}
        source, place = settings.pop(STRATEGY, strategy), settings.pop("data", data)
        address = place.address if isinstance(place, Catalog) else str(place)
        base = replace(asked, vary={}, data=address, **settings)
        for mode in modes:
            varied = shown | ({MARGIN: mode} if len(modes) > 1 else {})
            label = _label(varied, [one.label for one in found])
            found.append(Variant(label, source, place, replace(base, margin=(mode, *own)), varied))
    return found


def _axes(
    strategy: StrategySource | None, vary: Mapping[str, object], given: Sequence[str]
) -> tuple[list[str], list[list[tuple[Any, Shown]]]]:
    """Names of what varies, and of each its values with what a table shows of them."""
    values: list[list[tuple[Any, Shown]]] = []
    for name, asked in vary.items():
        if name == MARGIN:
            raise SettingError("margin modes are not varied", FLAG, "name them with --margin")
        if name in given or (name == STRATEGY and strategy is not None):
            raise UserError(f"{name} is given and varied", FLAG, "give it once")
        if name == STRATEGY:
            listed = list(asked) if isinstance(asked, list | tuple) else []
            texts = asked.split(",") if isinstance(asked, str) else listed
            if not texts or not all(isinstance(one, type) or str(one).strip() for one in texts):
                raise SettingError(f"no strategies in {asked!r}", FLAG, "write it like strategy=a.py,b.py")
            values.append([_strategy(one) for one in texts])
            continue
        axis = setting_axis(name, asked)
        if axis.open:
            raise SettingError(f"{name}={asked} has no step", FLAG, f"write it like {name}=2,5,10")
        values.append(list(zip(axis.values, axis.shown, strict=True)))
    return list(vary), values


def _strategy(source: object) -> tuple[Any, Shown]:
    one = source.strip() if isinstance(source, str) else source
    return one, str(one) if isinstance(one, str | Path) else getattr(one, "__name__", type(one).__name__)


def _label(varied: Mapping[str, Shown], taken: Sequence[str]) -> str:
    """``dydx_v4-leverage=5-isolated``: words as they are, numbers with their name."""
    parts = []
    for name, value in varied.items():
        text = PurePath(str(value)).stem if name in FILES else str(value)
        word = isinstance(value, str) and not re.fullmatch(r"[\d.]+", value)
        parts.append(text if word else f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}")
    label = re.sub(r"[^\w.=-]", "-", "-".join(parts)).strip(".") or "run"
    number, unique = 1, label
    while unique in (*taken, REPORT, SUMMARY, DOCUMENT):
        number += 1
        unique = f"{label}-{number}"
    return unique


def play_variants(
    variants: Sequence[Variant], progress: Progress | None = None, chunk_rows: int | None = None
) -> tuple[list[Result], dict[str, str]]:
    """Replay the accounts, those over the same stream in one pass; their results, and by label why others cannot be.

    UserError if none can be played.
    """
    catalogs: dict[object, Catalog] = {}
    shared = SharedData()
    plans: dict[str, Plan] = {}
    left_out: dict[str, str] = {}
    for one in variants:
        key = one.data if isinstance(one.data, Catalog) else str(one.data)
        if key not in catalogs:
            catalogs[key] = one.data if isinstance(one.data, Catalog) else Catalog.open(one.data)
        planned = plan_of(one.strategy, catalogs[key], one.settings, shared=shared)
        if missing := planned.profile.lacks(one.mode):
            left_out[one.label] = missing
        else:
            plans[one.label] = planned
    if not plans:
        first = variants[0]
        split(plan_of(first.strategy, first.data, first.settings).profile, [first.mode])
    made: dict[str, Result] = {}
    for group in _streams([one for one in variants if one.label in plans], plans):
        made |= {one.label: done for one, done in _pass(group, plans, progress, chunk_rows)}
    return [made[one.label] for one in variants if one.label in made], left_out


def _streams(variants: Sequence[Variant], plans: Mapping[str, Plan]) -> list[list[Variant]]:
    """The accounts by what they are streamed from."""
    found: dict[object, list[Variant]] = {}
    for one in variants:
        p = plans[one.label]
        s, oracle = p.selection, p.chaining.oracle
        key = (
            s.catalog.address, s.symbols, s.start_ms, s.rows, s.interval_ms, s.mark_offset, p.config.drill_ms,
            p.packed, oracle.plain, oracle.median,
        )  # fmt: skip
        found.setdefault(key, []).append(one)
    return list(found.values())


def _pass(
    variants: Sequence[Variant], plans: Mapping[str, Plan], progress: Progress | None, chunk_rows: int | None
) -> Iterator[tuple[Variant, Result]]:
    """Lead the accounts of one stream through the data together, then give the result of each."""
    selection = plans[variants[0].label].selection
    planned = [replace(plans[one.label], selection=selection) for one in variants]

    def replayed(some: Sequence[tuple[Plan, str]]) -> Iterator[Record]:
        players = [seated(plan, mode, AccountRunner) for plan, mode in some]
        stream(selection, players, progress, chunk_rows)
        return (player.record(dict(selection.counts)) for player in players)

    modes = [one.mode for one in variants]
    whole = list(planned)
    for length in sorted({p.chaining.halts.worst_ms for p in planned if p.chaining.halts.worst_ms}):
        # One halt for all accounts that ask for one of this length: they are compared on one history of the chain.
        at = [n for n, p in enumerate(planned) if p.chaining.halts.worst_ms == length]
        asked = [modes[n] for n in at]

        def first(some: Sequence[Plan], asked: Sequence[str] = asked) -> Iterator[Record]:
            return replayed(list(zip(some, asked, strict=True)))

        for n, p in zip(at, placed([planned[n] for n in at], selection, first), strict=True):
            whole[n] = p
    for one, plan, record in zip(variants, whole, replayed(list(zip(whole, modes, strict=True))), strict=True):
        yield one, result(plan, record, one.label)


def partings(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return where each account parts from the first: ms of the first close with another equity, of the first other
    fill and of the first other liquidation, null where it is missing; `ts_ms` is the earliest, `by` what it is."""
    base, *others = results
    found = []
    for other in others:
        moments = {
            "fill": _first(base, other, "fills", ("ts", "symbol", "qty", "price", "fee")),
            "liquidation": _first(base, other, "liquidations", ("ts", "symbol", "stage", "qty", "price")),
            "equity": _first(base, other, "equity", ("ts", "equity")),
        }
        known = [(ms, name) for name, ms in moments.items() if ms is not None]
        first = min(known, key=lambda one: one[0], default=(None, None))
        named = {f"{name}_ms": ms for name, ms in moments.items()}
        found.append({"label": other.label, "ts_ms": first[0], "by": first[1], **named})
    return found


def _first(base: Result, other: Result, table: str, names: Sequence[str]) -> int | None:
    """Ms of the first row that differs, or that only one of two tables has."""
    one, two = (r.tables[table].select(names) for r in (base, other))
    rows = min(one.height, two.height)
    differs = np.zeros(rows, np.bool_)
    for name in names:
        a, b = one[name].head(rows), two[name].head(rows)
        differs |= ~a.eq_missing(b).to_numpy()
    at = int(np.argmax(differs)) if differs.any() else rows
    stamps = [int(frame["ts"].to_physical()[at]) for frame in (one, two) if at < frame.height]
    return min(stamps, default=None)


def varied_facts(variants: Sequence[Variant], results: Sequence[Result], left_out: Mapping[str, str]) -> dict[str, Any]:
    """Return what a comparison's summary says beside its runs."""
    played = {result.label for result in results}
    return {
        "left_out": dict(left_out),
        "varied": {one.label: dict(one.varied) for one in variants if one.label in played},
        "partings": partings(results),
    }


def varied_document(variants: Sequence[Variant], asked: RunSettings, folder: Path) -> str:
    """Return the `run.toml` of a report in ``folder``: what varies is written as lists."""
    first = variants[0]
    values: dict[str, object] = {n: list(dict.fromkeys(one.varied[n] for one in variants)) for n in asked.vary}
    data = first.data.address if isinstance(first.data, Catalog) else str(first.data)
    named = replace(asked, vary=values, data=data)
    strategies = [] if STRATEGY in values or first.strategy is None else [named_again(first.strategy, _spec(first))]
    return document_text(COMPARE, named, strategies, folder)


def _spec(one: Variant) -> str:
    cls = one.strategy if isinstance(one.strategy, type) else type(one.strategy)
    return f"{cls.__module__}:{cls.__qualname__}"
