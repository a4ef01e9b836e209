"""`subaccounts`: several strategies, each in its own sub-account, on one pass over the data.

A sub-account is an account: it has its own wallet, pools and positions, and nothing in another reaches it.
It lives exactly as its strategy would alone, over its own markets, with its share of the cash: the path of prices
inside a candle is decided over the markets of the sub-account, as it would be then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Unpack

import numpy as np

from backtest.core.enums import MICRO
from backtest.core.errors import UserError, nearest
from backtest.core.records import Record
from backtest.data.catalog import Catalog, DataSource
from backtest.data.panel import Chunk
from backtest.data.select import select
from backtest.data.selection import Selection
from backtest.engine.oracle import FIELDS as ORACLE_FIELDS
from backtest.engine.replay import to_micro
from backtest.report.page import render_comparison
from backtest.results import report_files
from backtest.results.result import Result
from backtest.results.summary import SUB_ACCOUNTS
from backtest.results.summary_types import ComparisonSummary
from backtest.runner.account_runner import AccountRunner
from backtest.runner.combined_account import combine
from backtest.runner.compare import Comparison
from backtest.runner.default_markets import suited
from backtest.runner.origins import keyword_errors
from backtest.runner.plan import Plan, check_symbols, plan_of, wanted
from backtest.runner.replays import placed, seated
from backtest.runner.run import one_mode, result
from backtest.runner.run_document import document_text, named_again
from backtest.runner.run_keywords import SubaccountKeywords
from backtest.runner.setting import SUB_ACCOUNTS as SUBACCOUNTS
from backtest.runner.settings import LEAST_CASH, RunSettings
from backtest.runner.stream import Progress, stream
from backtest.runner.timeout import within
from backtest.runner.validation import checked
from backtest.strategy import base, loader
from backtest.strategy.loader import StrategySource

TAKEN = ("combined", report_files.REPORT, report_files.SUMMARY, report_files.DOCUMENT)
"""What no sub-account may be called: the sum of all, and what lies beside their folders."""
GROWN = (
    "derived mark rows",
    "rows with an unchanged mark",
    "joined candles with missing parts",
    "candles without volume",
)
"""Counts that the feed makes as it reads, over all markets that it reads."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Subaccounts(Comparison):
    """One result per strategy, in the order asked for, and their sum."""

    combined: Result
    """All of them as if they were one: equity is the sum at each close, and so is every amount."""


@dataclass(frozen=True)
class Asked:
    """One sub-account before it is planned."""

    label: str
    strategy: StrategySource
    margin: str
    settings: RunSettings
    """As of `run`, its own cash, parameters and guards among them."""


@keyword_errors(SUBACCOUNTS)
def subaccounts(
    strategies: Sequence[StrategySource],
    data: DataSource,
    *,
    progress: Progress | None = None,
    chunk_rows: int | None = None,
    **settings: Unpack[SubaccountKeywords],
) -> Subaccounts:
    """Replay each strategy in its own sub-account; the data are streamed once.

    ``cash`` is the whole, quote units, and so is ``reserve``; ``split`` says per cent of them for each (``"60,40"``),
    by default equal, in whole micro-units, what is left over to the first. ``loss_cap``: ``"20%"`` of the deposit, its
    cash and its reserve, or ``"5000"`` of quote, for all or for each with commas (``none``: no cap): a sub-account
    that has lost so much closes everything and trades no more. ``params``: ``fast`` goes to every strategy that has
    it, ``2.fast`` to the second alone. Other arguments as of `run`; where a setting names a market it concerns the
    sub-accounts that have it. UserError for what is wrong.
    """
    asked = checked(settings, SUBACCOUNTS)
    modes = one_mode(asked, "sub-accounts have one; run them once for each")
    if isinstance(strategies, str | Path) or not strategies:
        raise UserError("no list of strategies", "strategies", 'give several, like ["a.py", "b.py"]')
    target = report_files.claim(Path(asked.out)) if asked.out is not None else None

    def made() -> tuple[Subaccounts, str, str]:
        accounts = asked_of_each(strategies, asked, modes[0])
        results, records, union = play(accounts, data, progress, chunk_rows)
        combined = combine(results, records, union)
        summary: ComparisonSummary = {
            "kind": SUB_ACCOUNTS,
            "runs": {r.label: r.summary for r in results},
            "combined": combined.metrics,
        }
        done = Subaccounts(results, summary, combined=combined)
        if target is None:
            return done, "", ""
        place = str(results[0].summary["config"]["data"])
        specs = [str(r.summary["config"]["strategy"]) for r in results]
        named = [named_again(strategy, spec) for strategy, spec in zip(strategies, specs, strict=True)]
        written = document_text(SUBACCOUNTS, replace(asked, data=place), named, target)
        return done, render_comparison(results, combined), written

    done, page, document = within(asked.timeout, made)
    if target is None:
        return done
    extras = {"combined": done.combined.metrics}
    folder = report_files.write(target, done.results, page, extras, SUB_ACCOUNTS, document=document)
    return replace(done, folder=folder)


def asked_of_each(strategies: Sequence[StrategySource], asked: RunSettings, margin: str) -> list[Asked]:
    """The sub-accounts of these settings, each with its share of the money and its own parameters."""
    count = len(strategies)
    caps = caps_of(asked.loss_cap, count)
    cashes = shares(asked.cash, asked.split, count)
    reserves = shares(asked.reserve, asked.split, count, "reserve", 0.0)
    given = parameters(strategies, asked.params)
    return [
        Asked(
            label,
            strategy,
            margin,
            replace(guarded(asked, cap), cash=share / MICRO, reserve=kept / MICRO, params=given_to),
        )
        for label, strategy, given_to, share, kept, cap in zip(
            labels(strategies), strategies, given, cashes, reserves, caps, strict=True
        )
    ]


def play(
    accounts: Sequence[Asked], data: DataSource, progress: Progress | None = None, chunk_rows: int | None = None
) -> tuple[list[Result], list[Record], Selection]:
    """Plan the sub-accounts and stream the union of their markets once through all; their results and records."""
    catalog = data if isinstance(data, Catalog) else Catalog.open(data)
    union = union_of(accounts, catalog)

    def replayed(plans: Sequence[Plan]) -> list[Record]:
        players = []
        for one, planned in zip(accounts, plans, strict=True):
            player = seated(planned, one.margin, Tenant)
            player.window = Window.of(planned, union, any(other.packed for other in plans))
            players.append(player)
        stream(union, players, progress, chunk_rows)
        grown = {name: union.counts[name] for name in GROWN}
        return [player.record({**p.selection.counts, **grown}) for p, player in zip(plans, players, strict=True)]

    plans = placed([plan_of(one.strategy, catalog, one.settings, union) for one in accounts], union, replayed)
    records = replayed(plans)
    markets = list(union.symbols)
    results = []
    for one, planned, record in zip(accounts, plans, records, strict=True):
        own = planned.selection
        own.marks.update({symbol: union.marks[symbol] for symbol in own.symbols})
        made = result(planned, record, one.label)
        made.summary["sub_account"] = {"markets_of_all": [*markets]}
        results.append(made)
    return results, records, union


EMPTY = -1


@dataclass(frozen=True)
class Window:
    """Where a sub-account's markets and rows lie in the panel that all share."""

    first: int
    """The shared row that is its row 0."""
    rows: int
    fields: tuple[int, ...]
    """Of the shared panel, in its own order; EMPTY: one that it has for itself."""
    columns: tuple[int, ...]
    whole: bool
    """It is all of the panel."""

    @classmethod
    def of(cls, planned: Plan, union: Selection, packed: bool) -> Window:
        """The window of a plan whose markets are among those of ``union``; ``packed``: the shared panel has volumes."""
        own, oracle = planned.selection, planned.chaining.oracle
        first = (own.start_ms - union.start_ms) // own.interval_ms
        # Known marks are a field of the panel only where one is derived, marks only where they are not the trades.
        fields = [*range(own.volume_field), *[union.volume_field] * planned.packed]
        if not oracle.plain:
            fields += [EMPTY] * ORACLE_FIELDS
        behind = union.volume_field + packed + ORACLE_FIELDS
        for kind in own.further if oracle.median else ():
            at = behind + 4 * union.further.index(kind)
            fields += range(at, at + 4)
        shared = (union.symbols, union.rows, union.volume_field, 0, union.further, packed)
        whole = (own.symbols, own.rows, own.volume_field, first, own.further, planned.packed) == shared
        return cls(first, own.rows, tuple(fields), tuple(union.symbols.index(s) for s in own.symbols), whole)

    def cut(self, chunk: Chunk) -> Chunk | None:
        """The window's part of a chunk; None where it has none."""
        if self.whole:
            return chunk
        begin, end = max(chunk.row0, self.first), min(chunk.row0 + chunk.rows, self.first + self.rows)
        if begin >= end:
            return None
        held = chunk.row0 - chunk.tail  # row of the panel's first
        start = max(held, self.first)
        rows = slice(start - held, end - held)
        panel = np.empty((len(self.fields), end - start, len(self.columns)))
        for place, name in enumerate(self.fields):
            if name != EMPTY:
                panel[place] = chunk.panel[name, rows][:, list(self.columns)]
        volume = None if chunk.volume is None else np.ascontiguousarray(chunk.volume[rows][:, list(self.columns)])
        return Chunk(begin - self.first, begin - start, panel, volume)


class Tenant(AccountRunner):
    """Plays its own window of the chunks that all sub-accounts share."""

    window: Window

    def play(self, chunk: Chunk) -> None:
        """Play the rows of the chunk that are its own, over its own markets."""
        own = self.window.cut(chunk)
        if own is not None:
            super().play(own)


def union_of(accounts: Sequence[Asked], catalog: Catalog) -> Selection:
    """The markets of all, over the period asked for; all that are selected where one strategy wants them all."""
    names: set[str] | None = set()
    for one in accounts:
        check_symbols(one.settings, catalog)
        loaded = suited(loader.load(one.strategy, one.settings.params), one.settings.params, catalog)
        its = wanted(loaded, one.settings.symbols, catalog)
        names = None if its is None or names is None else names | set(its)
    asked = accounts[0].settings
    chosen = None if names is None else sorted(names)
    return select(catalog, chosen, asked.start_ms, asked.end_ms, asked.interval_ms)


def labels(strategies: Sequence[StrategySource]) -> list[str]:
    """A short name for each: ``sma_cross``, and ``sma_cross-2`` for the second of that name."""
    found: list[str] = []
    for strategy in strategies:
        cls = strategy if isinstance(strategy, type) else type(strategy)
        name = stem(str(strategy)) if isinstance(strategy, str | Path) else cls.__name__
        number, label = 1, name
        while label in (*found, *TAKEN):
            number += 1
            label = f"{name}-{number}"
        found.append(label)
    return found


def stem(strategy: str) -> str:
    """A short name: `hedged_pair` of `strategies/hedged_pair.py`, `Pair` of `package.module:Pair`."""
    last = re.split(r"[:/\\]", strategy)[-1].removesuffix(".py")
    return re.sub(r"[^\w.-]", "-", last).strip(".") or "run"


def shares(
    amount: float, split: Sequence[float | str] | None, count: int, name: str = "cash", least: float = LEAST_CASH
) -> list[int]:
    """What each gets of an amount, micro: they sum to it, what rounding down leaves over goes to the first."""
    whole = to_micro(amount)
    remedy = f"give {count} percentages above 0 that make 100, like {','.join(_example(count))}"
    texts = None if split is None else [str(part) for part in split]
    try:
        parts = [Fraction(100, count)] * count if texts is None else [Fraction(text.strip()) for text in texts]
    except (ValueError, ZeroDivisionError):
        raise UserError(f"split {','.join(texts or ())!r}", "--split", remedy) from None
    if len(parts) != count or min(parts) <= 0 or sum(parts) != 100:
        raise UserError(f"split {', '.join(texts or [])} for {count} strategies", "--split", remedy)
    given = [int(whole * part / 100) for part in parts]
    given[0] += whole - sum(given)
    if min(given) < to_micro(least):
        raise UserError(f"{name} {amount:g} is too little for {count} sub-accounts", f"--{name}", "give more")
    return given


def _example(count: int) -> list[str]:
    equal = 100 // count
    return [str(100 - equal * (count - 1)), *[str(equal)] * (count - 1)]


def caps_of(asked: Sequence[float | str] | None, count: int) -> list[str | None]:
    """The loss cap of each as the guard `account-loss` writes it; None: none."""
    if asked is None:
        return [None] * count
    texts = [str(text) for text in asked]
    if len(texts) not in (1, count):
        thing = f"{len(texts)} loss caps for {count} strategies"
        raise UserError(thing, "--loss-cap", "give one for all, or one for each, with commas")
    for text in texts:
        if text != "none" and not re.fullmatch(r"=?(\d+(\.\d*)?|\.\d+)%?", text):
            remedy = "give a share of the deposit, like 20%, an amount of quote, like 5000, or none"
            raise UserError(f"loss cap {text!r}", "--loss-cap", remedy)
    caps = [None if text == "none" else text.removeprefix("=") for text in texts]
    return caps * count if len(caps) == 1 else caps


def guarded(settings: RunSettings, cap: str | None) -> RunSettings:
    """The settings, with the guard that a loss cap is."""
    return settings if cap is None else replace(settings, guards=(*settings.guards, f"account-loss={cap}"))


def parameters(strategies: Sequence[StrategySource], given: Mapping[str, object]) -> list[dict[str, object]]:
    """The parameters of each: ``name`` for all that have it, ``2.name`` for the second, which goes before."""
    known = [_known(strategy) for strategy in strategies]
    chosen: list[dict[str, object]] = [{} for _ in strategies]
    numbered = [(name.partition("."), value) for name, value in given.items() if "." in name]
    for name, value in given.items():
        if "." in name:
            continue
        having = [i for i, names in enumerate(known) if name in names]
        if not having:
            remedy = nearest(name, {one for names in known for one in names})
            raise UserError(f"no strategy has a parameter {name!r}", "-p", remedy)
        for i in having:
            chosen[i][name] = value
    for (position, _, name), value in numbered:
        if not position.isdecimal() or not 1 <= int(position) <= len(strategies):
            thing = f"parameter {position}.{name}"
            raise UserError(thing, "-p", f"number the strategies from 1 to {len(strategies)}, like 1.{name}")
        chosen[int(position) - 1][name] = value
    return chosen


def _known(strategy: StrategySource) -> tuple[str, ...]:
    """Names of a strategy's parameters; none of one that is an instance already."""
    if isinstance(strategy, base.Strategy):
        return ()
    cls: type[base.Strategy] = strategy if isinstance(strategy, type) else loader.find(str(strategy))
    return tuple(parameter.name for parameter in cls.describe().parameters)
