"""`run`: one account through history. And `replay`, which plays several at once over the same chunks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TypeVar, Unpack

import numpy as np

from backtest.core.errors import SettingError, UserError, nearest
from backtest.core.records import Record
from backtest.core.spool import Spool
from backtest.data.catalog import Catalog, DataSource
from backtest.data.drill_down import Drill
from backtest.data.select import select
from backtest.data.selection import Selection
from backtest.engine.pack import Charges, Setup
from backtest.engine.replay import Replay, to_micro
from backtest.report.page import render
from backtest.results import mark_cost as costs
from backtest.results import report_files, summary
from backtest.results.chain_summary import figures
from backtest.results.judgement import judged
from backtest.results.result import Result
from backtest.runner import adl_events, fee_schedule, outages
from backtest.runner.account_runner import AccountRunner, hook_bits
from backtest.runner.chain_config import ChainConfig, chain_of
from backtest.runner.congestion import Usual
from backtest.runner.counterfactual import Counterfactual
from backtest.runner.fill_costs import charges, depth_sha256
from backtest.runner.notes import STRETCHED, notes
from backtest.runner.origins import keyword_errors
from backtest.runner.posted_margin import default_posted, posted
from backtest.runner.run_document import document_text, named_again
from backtest.runner.run_keywords import RunKeywords
from backtest.runner.setting import RUN
from backtest.runner.settings import RunSettings
from backtest.runner.signals import Decisions, prepare
from backtest.runner.stream import Progress, stream
from backtest.runner.timeout import within
from backtest.runner.validation import checked
from backtest.runner.venue_choice import venue_of
from backtest.runner.volatility_margin import widened
from backtest.runner.warnings import warnings
from backtest.strategy import base, loader
from backtest.strategy.guards import Guard, chosen, pack
from backtest.strategy.loader import StrategySource
from backtest.venues import profile as venues
from backtest.venues.field_types import moment_at
from backtest.venues.margin_modes import require
from backtest.venues.terms import Contract

P = TypeVar("P", bound=AccountRunner)
NO_USUAL = np.empty((0, 2))


@dataclass(frozen=True)
class Plan:
    """Everything that is known before the first candle; shared by the accounts of a comparison."""

    config: RunSettings
    strategy: base.Strategy
    selection: Selection
    profile: venues.Profile
    contract: Contract
    adl: tuple[tuple[int, str, float], ...]
    """Deleveraging events: time ms, symbol ("": any), share."""
    decisions: Decisions
    charges: Charges
    """What fills cost; shared by the accounts too."""
    guards: tuple[Guard, ...] = ()
    drill: Drill | None = None
    """The fine candles that coarse ones are played on where something may happen; shared by the accounts, too."""
    chaining: ChainConfig = field(default_factory=ChainConfig)
    usual: Usual | None = None
    """What congestion is measured against; None: the chain knows none."""

    @property
    def packed(self) -> bool:
        """Whether the candles' volume has to be in the panel."""
        return self.charges.wants_volume or self.usual is not None

    def setup(self, margin: str) -> Setup:
        """The engine's view of one account; UserError where the venue cannot be played in this margin mode."""
        require(self.profile, margin)
        s, c = self.selection, self.config
        modes = {c.modes.get(symbol, margin) for symbol in s.symbols} | ({"isolated"} if c.isolate_above else set())
        return Setup(
            symbols=s.symbols,
            step_micro=s.step_micro,
            first_row=s.first_row,
            last_row=s.last_row,
            interval_ms=s.interval_ms,
            fine_ms=self.drill.fine_ms if self.drill else 0,
            start_ms=s.start_ms,
            rows=s.rows,
            mark_offset=s.mark_offset,
            known_field=s.known_field,
            funding=s.funding,
            contract=self.contract,
            cash=to_micro(c.cash),
            margin=margin,
            modes=c.modes,
            isolate_above=c.isolate_above or 0.0,
            adl=outages.postponed(self.adl, self.chaining.chain.outages),
            adl_top=c.adl_top,
            leverage=c.most_leverage,
            isolated_margin=to_micro(c.posted_amount(len(s.symbols)) or 0.0),
            default_leverage=default_posted(self.profile, c, s.start_ms),
            path=c.path,
            latency_ms=c.latency_ms,
            charges=self.charges,
            touch=c.limit_fill == "touch",
            ticks=tuple(s.catalog.market(symbol).tick for symbol in s.symbols),
            volume_field=s.volume_field if self.packed else -1,
            chain=self.chaining.chain,
            oracle=self.chaining.oracle,
            oracle_field=s.volume_field + self.packed,
            further=len(s.further) if self.chaining.oracle.median else 0,
            reserve=to_micro(c.reserve),
            seed=c.seed,
            usual=self.usual.values if self.usual else NO_USUAL,
            allow_missing_funding="missing-funding" in c.allow,
            guards=pack(self.guards, s.symbols, to_micro(c.cash), modes, to_micro(c.reserve), self.chaining.chain),
            guard_names=tuple(guard.text for guard in self.guards),
            place=c.data,
        )


def plan(strategy: StrategySource, data: DataSource, union: Selection | None = None, **settings: object) -> Plan:
    """Return the plan of these settings; see :func:`plan_of`."""
    return plan_of(strategy, data, checked(settings), union)


def plan_of(strategy: StrategySource, data: DataSource, asked: RunSettings, union: Selection | None = None) -> Plan:
    """Open the data, load the strategy and the venue; UserError for what is wrong with them.

    ``union``: of a sub-account, the markets of all; settings may then name one that is only another's.
    """
    loaded = strategy if isinstance(strategy, base.Strategy) else loader.load(strategy, asked.params)
    base.check(loaded)
    named = isinstance(strategy, str | Path)
    spec = str(strategy) if named else f"{type(loaded).__module__}:{type(loaded).__qualname__}"
    catalog = data if isinstance(data, Catalog) else Catalog.open(data)
    asked = replace(asked, strategy=spec, data=catalog.address, params=loaded.params)
    loaded.bind(asked.seed)
    guards = chosen(loaded.guards, base.place(loaded), asked.guards)
    asked, profile = venue_of(asked, catalog)
    check_symbols(asked, catalog)
    selection = select(catalog, wanted(loaded, asked.symbols, catalog), asked.start_ms, asked.end_ms, asked.interval_ms)
    if selection.no_funding and "missing-funding" not in asked.allow:
        names = ", ".join(selection.no_funding[:3]) + (", …" if len(selection.no_funding) > 3 else "")
        remedy = "add a funding series, or go without it by --allow missing-funding"
        raise UserError(f"no funding data for {names}", catalog.address, remedy)
    _known_symbols(asked, union or selection)
    contract = widened(profile, selection)
    fees, discount = fee_schedule.fee_schedule(profile, asked.fee_bps, asked.maker_fee_bps, asked.fee_discount)
    charged = replace(charges(asked, selection), fees=fees, discount=discount)
    events = _events(asked.adl, selection, union)
    if union is not None:
        guards = tuple(g for g in guards if g.symbol not in union.symbols or g.symbol in selection.symbols)
    chaining = chain_of(asked, profile, selection)
    usual = Usual(selection) if chaining.crowds else None
    packed = charged.wants_volume or usual is not None
    drill = Drill(selection, asked.drill_ms, packed) if asked.drill_ms else None
    decisions = prepare(loaded, selection, Spool.beside(asked.out))
    return Plan(
        asked, loaded, selection, profile, contract, events, decisions, charged, guards, drill,
        chaining, usual,
    )  # fmt: skip


def check_symbols(asked: RunSettings, catalog: Catalog) -> None:
    """UserError for a market that is selected and is not in the data."""
    for symbol in asked.symbols or ():
        if symbol not in catalog.symbols:
            raise SettingError(f"unknown symbol {symbol!r}", "--symbols", nearest(symbol, catalog.symbols))


def _known_symbols(asked: RunSettings, selection: Selection) -> None:
    for symbol in asked.modes:
        if symbol not in selection.symbols:
            raise SettingError(f"unknown symbol {symbol!r}", "--margin", nearest(symbol, selection.symbols))


def _events(texts: Sequence[str], selection: Selection, union: Selection | None) -> tuple[adl_events.Event, ...]:
    """Deleveraging events of the account's own markets and time."""
    end = selection.start_ms + selection.rows * selection.interval_ms
    found = adl_events.events(texts, union or selection)
    return tuple(e for e in found if e[1] in ("", *selection.symbols) and selection.start_ms <= e[0] < end)


def wanted(strategy: base.Strategy, asked: Sequence[str] | None, catalog: Catalog) -> Sequence[str] | None:
    """The markets that the strategy wants, if it says so, within those that the user selected; None: all."""
    if strategy.symbols is None:
        return asked
    pool = asked if asked is not None else catalog.symbols
    for symbol in strategy.symbols:
        if symbol not in pool:
            where = f"{base.place(strategy)}, which wants {', '.join(strategy.symbols)}"
            remedy = f"{nearest(symbol, pool)} (its markets are named by its parameters, -p, and selected by --symbols)"
            thing = f"symbol {symbol!r} is not {'in the data' if asked is None else 'selected'}"
            raise UserError(thing, where, remedy)
    return strategy.symbols


def played(
    planned: Plan, modes: Sequence[str], progress: Progress | None = None, chunk_rows: int | None = None
) -> tuple[Plan, Iterator[Record]]:
    """The plan with every halt in its place, and the record of one account per margin mode."""
    whole = in_place(planned, modes, progress, chunk_rows)
    return whole, replay(whole, modes, progress, chunk_rows)


def in_place(planned: Plan, modes: Sequence[str], progress: Progress | None, chunk_rows: int | None) -> Plan:
    """The plan with every halt in its place, for one account per margin mode."""

    def play(plans: Sequence[Plan]) -> Iterator[Record]:
        return replay(plans[0], modes, progress, chunk_rows)

    return placed([planned], planned.selection, play)[0]


def replay_with_shadow(
    planned: Plan, margin: str, progress: Progress | None, chunk_rows: int | None
) -> tuple[Record, Record | str]:
    """The records of one account, and of the same one by the market mark, or why its strategy failed there."""
    (record,) = replay(planned, [margin], progress, chunk_rows)
    # After it and not beside it: a strategy may keep something that both would see, and the account comes first.
    shadow = seated(replace(planned, chaining=planned.chaining.by_market()), margin, Counterfactual)
    stream(planned.selection, [shadow], None, chunk_rows)
    return record, shadow.failure or shadow.record(dict(planned.selection.counts))


def replay(planned: Plan, modes: Sequence[str], progress: Progress | None, chunk_rows: int | None) -> Iterator[Record]:
    """Stream the data once through one account per margin mode, then give their records: one at a time is in memory."""
    players = [seated(planned, mode, AccountRunner) for mode in modes]
    stream(planned.selection, players, progress, chunk_rows)
    return (player.record(dict(planned.selection.counts)) for player in players)


def seated(planned: Plan, margin: str, kind: type[P]) -> P:
    """A player for a new account, with a strategy of its own."""
    strategy, decisions = _own(planned), planned.decisions
    drill = planned.drill.window if planned.drill else None
    hooks = hook_bits(strategy)
    spool = Spool.beside(planned.config.out)
    account = Replay(planned.setup(margin), hooks, decisions.targets, decisions.target_kind, drill=drill, spool=spool)
    player = kind(strategy, account, decisions)
    player.usual = planned.usual
    return player


def placed(plans: Sequence[Plan], over: Selection, play: Callable[[Sequence[Plan]], Iterable[Record]]) -> list[Plan]:
    """The plans with the halt of `--outages worst:` put where the books of all together would have lost most.

    ``play`` replays the plans over the rows of ``over``: the first replay, without that halt. It is one halt for all:
    accounts are compared on one history of the chain.
    """
    length_ms = plans[0].chaining.halts.worst_ms
    if not length_ms:
        return list(plans)
    found = outages.worst(over, list(play(plans)), length_ms)
    return [replace(planned, chaining=planned.chaining.placed(found)) for planned in plans]


def _own(planned: Plan) -> base.Strategy:
    """A strategy for one account alone: what one remembers the others must not see."""
    try:
        strategy = copy.deepcopy(planned.strategy)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        thing, where = f"it cannot be copied for each account ({base.cause(error)})", base.place(planned.strategy)
        raise UserError(thing, where, "make such things in on_start, not in __init__") from error
    strategy.bind(planned.config.seed)
    return strategy


def result(planned: Plan, record: Record, label: str | None = None) -> Result:
    """The tables, metrics and summary of one account; the books must balance, or it fails. ``label``: else the mode."""
    chaining = planned.chaining
    frames, numbers, hashed = judged(record, chaining.chain)
    s, c = planned.selection, planned.config
    description = type(planned.strategy).describe()
    stretched = (planned.drill if planned.drill and record.counts.get("candles drilled down") else s).stretched
    counted = record.counts | chaining.halts.counts | {STRETCHED: len(stretched)}
    counts = {name: number for name, number in counted.items() if number}
    about = summary.build(
        label=label or record.margin,
        strategy={
            "name": description.name,
            "doc": description.doc,
            "params": planned.strategy.params,
            "source": loader.source_sha256(planned.strategy),
            "every_ms": planned.decisions.every_ms,
            "guards": list(planned.strategy.guards),
            "never_known": planned.decisions.never_known(),
        },
        config={
            **c.as_dict(),
            "margin": record.margin,
            "fees": fee_schedule.in_words(planned.profile, c, s.start_ms, s.start_ms + s.rows * s.interval_ms),
            "venue_rules": planned.profile.in_words(s.symbols, moment_at(s.start_ms)),
            "venue_changes": planned.profile.changes(s.symbols, s.start_ms, s.start_ms + s.rows * s.interval_ms),
            "venue_sha256": planned.profile.sha256(),
            "depth_sha256": depth_sha256(c),
            "isolated": posted(planned.profile, c, record),
            **chaining.as_dict(s.start_ms),
        },
        data={
            "name": s.catalog.name,
            "symbols": list(s.symbols),
            "interval_ms": s.interval_ms,
            "joined_from_ms": s.catalog.interval_ms if s.finer > 1 else None,
            "drill_ms": c.drill_ms,
            "from_ms": s.start_ms,
            "to_ms": s.start_ms + s.rows * s.interval_ms,
            "rows": s.rows,
            "quote": s.catalog.quote,
            "synthetic": s.catalog.synthetic,
            "provenance": s.catalog.provenance,
            "marks": dict(s.marks),
            "stretched_marks": [asdict(stretch) for stretch in stretched],
            "fingerprint": s.fingerprint(c.drill_ms or 0, further=planned.chaining.oracle.median),
        },
        seed=c.seed,
        metrics=numbers,
        counts=counts,
        digest=hashed,
        notes=notes(planned.profile, c, record, planned.charges, chaining, planned.usual, stretched),
        warnings=warnings(planned.profile, c, record, s, planned.chaining.oracle),
        chain=figures(record, chaining.chain, frames["fills"]) if chaining.alive else None,
    )
    return Result(label or record.margin, about, frames)


@keyword_errors(RUN)
def run(
    strategy: StrategySource,
    data: DataSource,
    *,
    progress: Progress | None = None,
    chunk_rows: int | None = None,
    **settings: Unpack[RunKeywords],
) -> Result:
    """Replay one account.

    ``strategy``: a file, ``module:Class``, a name, a class or an instance. ``data``: a folder or an open Catalog.
    ``settings``: as `RunKeywords` lists them; docs/reference/settings.md explains each. ``out`` is the folder of the
    report, without it nothing is written. ``timeout`` covers the planning, every replay and the page.

    Raises UserError for bad settings or data, RunError when the strategy fails or the time is over.
    """
    asked = checked(settings, RUN)
    modes = one_mode(asked, "a run has one; `backtest compare` replays several")
    target = report_files.claim(Path(asked.out)) if asked.out is not None else None

    def made() -> tuple[Result, str, str]:
        planned = in_place(plan_of(strategy, data, asked), modes, progress, chunk_rows)
        done = _with_mark_cost(planned, modes, asked.mark_cost, progress, chunk_rows)
        return (done, "", "") if target is None else (done, render(done), document(RUN, planned, strategy, target))

    done, page, written = within(asked.timeout, made)
    if target is None:
        return done
    return Result(done.label, done.summary, done.tables, report_files.write(target, done, page, document=written))


def document(command: str, planned: Plan, strategy: StrategySource, folder: Path) -> str:
    """The text of the `run.toml` of a report in ``folder``."""
    return document_text(command, planned.config, [named_again(strategy, planned.config.strategy)], folder)


def one_mode(asked: RunSettings, remedy: str) -> tuple[str, ...]:
    """The one margin mode of the account; UserError with the remedy where there are several."""
    if len(asked.margin_modes) > 1:
        raise UserError(f"margin modes {', '.join(asked.margin_modes)}", "--margin", remedy)
    return asked.margin_modes


def _with_mark_cost(
    planned: Plan, modes: Sequence[str], mark_cost: bool, progress: Progress | None, chunk_rows: int | None
) -> Result:
    """The result of one account, with what its venue mark cost where that is asked for and is another."""
    if not (mark_cost and planned.chaining.sees_apart):
        return result(planned, next(replay(planned, modes, progress, chunk_rows)))
    record, other = replay_with_shadow(planned, modes[0], progress, chunk_rows)
    made = result(planned, record)
    known = {"failure": other} if isinstance(other, str) else costs.figures(made.metrics, other)
    made.summary["mark_cost"] = summary.plain({**known, "approximate": bool(planned.chaining.oracle.rough)})
    return made
