"""`shared_margin`: several strategies over one account, whose collateral they share.

The venue sees one account and its net positions. Each strategy has virtual positions, and its part of everything that
happens to the account (docs/reference/rules-shared-margin.md).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Unpack

import numpy as np
import polars as pl

from backtest.core.errors import UserError
from backtest.core.records import Record
from backtest.core.spool import Spool
from backtest.data.catalog import Catalog, DataSource
from backtest.data.selection import Selection
from backtest.engine import layout as at
from backtest.engine.replay import Replay
from backtest.report.run_page import render
from backtest.results import report_files, strategy_shares
from backtest.results.result import Result
from backtest.results.summary import SHARED_MARGIN as KIND
from backtest.results.summary import plain
from backtest.runner.account_runner import hook_bits
from backtest.runner.origins import keyword_errors
from backtest.runner.plan import Plan, plan_of, plan_over, volatility_for
from backtest.runner.replays import own_strategy, placed
from backtest.runner.run import one_mode, result
from backtest.runner.run_document import document_text, named_again
from backtest.runner.run_keywords import SharedMarginKeywords
from backtest.runner.setting import SHARED_MARGIN
from backtest.runner.settings import RunSettings
from backtest.runner.shared_runner import SharedRunner
from backtest.runner.stream import Progress, stream
from backtest.runner.sub_accounts import Asked, caps_of, guarded, labels, parameters, union_of
from backtest.runner.timeout import within
from backtest.runner.validation import checked
from backtest.strategy import base, loader
from backtest.strategy.guards import pack
from backtest.strategy.loader import StrategySource

LABEL = "shared margin"


@dataclass(frozen=True, repr=False)
class SharedMargin:
    """The account that strategies have shared, and what each of them has of it."""

    account: Result
    """As of one run: what the venue sees."""
    tables: dict[str, pl.DataFrame]
    """`strategies`, `shares`, `standings`, `netting` and `virtual_positions`; outside of the account's digest."""
    folder: Path | None = None

    @property
    def strategies(self) -> pl.DataFrame:
        """A row per strategy: profit and loss by kind, fills, margin. Quote units."""
        return self.tables["strategies"]

    def __repr__(self) -> str:
        """Return a line per strategy for a notebook or a prompt."""
        where = "" if self.folder is None else f", report in {self.folder}"
        lines = [f"  {row['strategy']}: {row['pnl']:+,.2f}" for row in self.strategies.iter_rows(named=True)]
        return "\n".join([f"<SharedMargin: {self.account.headline}{where}", *lines]) + ">"


class SharedAccount(base.Strategy):
    """Strategies that share the margin of one account."""

    def on_candle(self, market: object, account: object) -> None:
        """Decide nothing: the strategies do."""


@keyword_errors(SHARED_MARGIN)
def shared_margin(
    strategies: Sequence[StrategySource],
    data: DataSource,
    *,
    progress: Progress | None = None,
    chunk_rows: int | None = None,
    **settings: Unpack[SharedMarginKeywords],
) -> SharedMargin:
    """Replay one account that several strategies trade, each with its own virtual positions.

    ``margin_limit``: ``"30%,40%"`` of the account's equity that each strategy may use as initial margin if it stood
    alone, checked with every order. ``loss_cap``: ``"20%"`` of the deposit, or ``"5000"`` of quote; a strategy that
    has lost so much closes its positions and trades no more. One for all or one for each; ``none``: without.
    ``params``: ``fast`` goes to every strategy that has it, ``2.fast`` to the second alone. Other arguments as of
    `run`. UserError for what is wrong.
    """
    asked = checked(settings, SHARED_MARGIN)
    if isinstance(strategies, str | Path) or not strategies:
        raise UserError("no list of strategies", "strategies", 'give several, like ["a.py", "b.py"]')
    target = report_files.claim(Path(asked.out)) if asked.out is not None else None

    def made() -> tuple[SharedMargin, str, str]:
        done = play_shared(strategies, data, asked, progress, chunk_rows)
        if target is None:
            return done, "", ""
        place = str(done.account.summary["config"]["data"])
        specs = [str(one["strategy"]) for one in strategies_of(done.account)]
        named = [named_again(strategy, spec) for strategy, spec in zip(strategies, specs, strict=True)]
        return done, render(done.account), document_text(SHARED_MARGIN, replace(asked, data=place), named, target)

    done, page, document = within(asked.timeout, made)
    if target is None:
        return done
    folder = report_files.write(target, done.account, page, beside=done.tables, document=document)
    return replace(done, folder=folder, account=replace(done.account, folder=folder))


def play_shared(
    strategies: Sequence[StrategySource],
    data: DataSource,
    asked: RunSettings,
    progress: Progress | None = None,
    chunk_rows: int | None = None,
) -> SharedMargin:
    """Plan the account and its strategies, and stream their markets once through it."""
    plan = plan_shared(strategies, data, asked)
    union = plan.account.selection

    def replayed(planned: Sequence[Plan]) -> list[Record]:
        player = _seated(replace(plan, account=planned[0]))
        stream(union, [player], progress, chunk_rows)
        return [player.record(dict(union.counts))]

    account = placed([plan.account], union, replayed)[0]
    (record,) = replayed([account])
    made = result(account, record, LABEL)
    tables = strategy_shares.tables(record, [one.label for one in plan.tenants])
    _describe(made, plan, tables)
    return SharedMargin(made, tables)


@dataclass(frozen=True)
class SharedPlan:
    """The account, and the strategies that trade it."""

    account: Plan
    mode: str
    tenants: list[Asked]
    plans: list[Plan]
    """One per strategy: what it sees and decides on."""
    limits: list[str | None]
    """Margin limit of each as it was given; None: none."""
    caps: list[str | None]
    """Loss cap of each as it was given; None: none."""


def plan_shared(strategies: Sequence[StrategySource], data: DataSource, asked: RunSettings) -> SharedPlan:
    """Open the data, load the strategies and the venue; UserError for what is wrong with them."""
    (mode,) = one_mode(asked, "the account has one; run it once for each")
    _check_one_account(asked, mode)
    tenants = asked_of_all(strategies, asked, mode)
    limits = limits_of(asked.margin_limit, len(tenants))
    catalog = data if isinstance(data, Catalog) else Catalog.open(data)
    union = union_of(tenants, catalog)
    plans = [plan_of(one.strategy, catalog, one.settings, union) for one in tenants]
    caps = caps_of(asked.loss_cap, len(tenants))
    return SharedPlan(_account_plan(plans, union, asked), mode, tenants, plans, limits, caps)


def strategies_of(account: Result) -> list[dict[str, object]]:
    """What a summary says of each strategy."""
    listed = account.summary["shared_margin"]["strategies"]
    if not isinstance(listed, list):
        raise UserError("summary.json names no strategies", account.label, "run it again")
    return [dict(one) for one in listed if isinstance(one, dict)]


def asked_of_all(strategies: Sequence[StrategySource], asked: RunSettings, margin: str) -> list[Asked]:
    """The strategies of these settings, each with its own parameters and guards."""
    caps = caps_of(asked.loss_cap, len(strategies))
    given = parameters(strategies, asked.params)
    return [
        Asked(label, strategy, margin, replace(guarded(asked, cap), params=own))
        for label, strategy, own, cap in zip(labels(strategies), strategies, given, caps, strict=True)
    ]


def limits_of(asked: Sequence[str] | None, count: int) -> list[str | None]:
    """The margin limit of each strategy, like ``40%``; None: none. UserError for what is no limit."""
    texts = ["none"] if asked is None else [str(text) for text in asked]
    if len(texts) not in (1, count):
        thing = f"{len(texts)} margin limits for {count} strategies"
        raise UserError(thing, "--margin-limit", "give one for all, or one for each, with commas")
    for text in texts:
        if text != "none" and (not re.fullmatch(r"(\d+(\.\d*)?|\.\d+)%", text) or not 0 < Fraction(text[:-1]) <= 100):
            remedy = "give a share of the equity above 0% and at most 100%, like 40%, or none"
            raise UserError(f"margin limit {text!r}", "--margin-limit", remedy)
    limits = [None if text == "none" else text for text in texts]
    return limits * count if len(limits) == 1 else limits


def share_of(limit: str | None) -> float:
    """A margin limit as a share of the equity; infinite: none."""
    return math.inf if limit is None else float(Fraction(limit[:-1]) / 100)


def _check_one_account(asked: RunSettings, mode: str) -> None:
    """UserError for settings that give a market its own margin account."""
    remedy = "use --margin cross or portfolio"
    if mode == "isolated":
        raise UserError("isolated margin shares no collateral between markets", "--margin with --shared-margin", remedy)
    if asked.modes:
        named = ", ".join(f"{symbol}={own}" for symbol, own in asked.modes.items())
        raise UserError(f"{named} with shared margin", "--margin", remedy)
    if asked.isolate_above:
        raise UserError("isolates positions, which shared margin cannot", "--isolate-above", "leave it out")


def _account_plan(plans: Sequence[Plan], union: Selection, asked: RunSettings) -> Plan:
    """The plan of the account: the markets of all, and no decisions."""
    first = plans[0]
    specs = ", ".join(one.config.strategy for one in plans)
    config = replace(first.config, strategy=specs, params=dict(asked.params), guards=asked.guards)
    bystander = SharedAccount()
    bystander.bind(asked.seed)
    return plan_over(union, bystander, config, first.profile, ())


def _seated(plan: SharedPlan) -> SharedRunner:
    """The runner of a new account, with its own strategies."""
    account, plans = plan.account, plan.plans
    setup = account.setup(plan.mode)
    tables, texts = [], []
    for s, (one, tenant) in enumerate(zip(plans, plan.tenants, strict=True)):
        own = pack(one.guards, setup.symbols, setup.cash, {plan.mode}, setup.reserve, setup.chain)
        own[:, at.GUARD_OWNER] = s
        tables.append(own)
        texts += [guard.text if len(plans) == 1 else f"{guard.text} ({tenant.label})" for guard in one.guards]
    every_guard = [guard for one in plans for guard in one.guards]
    setup = replace(
        setup,
        dated=any(one.dated for one in plans),
        volatility=volatility_for(every_guard, account.selection),
        margin_limits=tuple(map(share_of, plan.limits)),
        guards=np.concatenate(tables),
        guard_names=tuple(texts),
    )
    strategies = [own_strategy(one) for one in plans]
    hooks = 0
    for strategy in strategies:
        hooks |= hook_bits(strategy)
    drill = account.drill.window if account.drill else None
    replay = Replay(setup, hooks, drill=drill, spool=Spool.beside(account.config.out))
    player = SharedRunner(account.strategy, replay, account.decisions)
    player.seat([(strategy, one.decisions) for strategy, one in zip(strategies, plans, strict=True)])
    player.usual = account.usual
    return player


def _describe(made: Result, plan: SharedPlan, tables: dict[str, pl.DataFrame]) -> None:
    """Write into the summary of the account whose it is, and what each strategy has of it."""
    rows = tables["strategies"].iter_rows(named=True)
    listed = [
        {
            "label": one.label,
            "strategy": planned.config.strategy,
            "source": loader.source_sha256(planned.strategy),
            "params": planned.strategy.params,
            "symbols": list(planned.selection.symbols),
            "every_ms": planned.decisions.every_ms,
            "margin_limit": limit,
            "loss_cap": cap,
            "guards": [guard.text for guard in planned.guards],
            **{name: value for name, value in row.items() if name != "strategy"},
        }
        for one, planned, limit, cap, row in zip(plan.tenants, plan.plans, plan.limits, plan.caps, rows, strict=True)
    ]
    netting = tables["netting"]
    saved = netting.filter(pl.col("saved") == netting["saved"].max()).head(1)
    most = {name: saved[name].item() for name in ("standalone", "account", "saved")} if saved.height else None
    made.summary["kind"] = KIND
    sources = [str(one["source"]) for one in listed]
    made.summary["strategy"]["source"] = hashlib.sha256(" ".join(sources).encode()).hexdigest()
    made.summary["strategy"]["name"] = " + ".join(one.label for one in plan.tenants)
    made.summary["shared_margin"] = plain({"strategies": listed, "most_netting": most})
