"""`Plan`: everything about a run that is known before its first candle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from backtest.core.errors import SettingError, UserError, nearest
from backtest.core.spool import Spool
from backtest.data.catalog import Catalog, DataSource
from backtest.data.drill_down import Drill
from backtest.data.select import select
from backtest.data.selection import Selection
from backtest.engine.pack import Charges, Setup
from backtest.engine.replay import to_micro
from backtest.runner import adl_events, fee_schedule, outages
from backtest.runner.beginning import Beginning, beginning, check_held
from backtest.runner.chain_config import ChainConfig, chain_of
from backtest.runner.congestion import Usual
from backtest.runner.cost_inputs import volatility
from backtest.runner.default_markets import suited
from backtest.runner.fill_costs import charges
from backtest.runner.operator import Operator, operator_of
from backtest.runner.posted_margin import default_posted
from backtest.runner.settings import RunSettings
from backtest.runner.shared_data import JOURNAL_BYTES, SharedData
from backtest.runner.signals import Decisions, prepare
from backtest.runner.strategy_choice import spec_of, strategy_of
from backtest.runner.validation import checked
from backtest.runner.venue_choice import venue_of
from backtest.runner.volatility_margin import widened
from backtest.strategy import base
from backtest.strategy.guards import Guard, chosen, pack
from backtest.strategy.loader import StrategySource
from backtest.venues import profile as venues
from backtest.venues.margin_modes import require
from backtest.venues.terms import Contract

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
    begins: Beginning | None = None
    """The positions that the accounts begin with; None: they begin with cash alone."""
    held: int = 0
    """Bytes of an account's curve and journal that stay in memory; more goes to disk."""
    away: tuple[tuple[int, int], ...] = ()
    """Windows, ms, in which the strategy decides nothing."""
    frozen: tuple[tuple[int, int], ...] = ()
    """Windows, ms, in which the venue pays nothing out; the chain's last withdrawal limit is there for it."""
    operator: Operator = field(default_factory=Operator)
    """When the strategy is offline by settings, and what is done by hand."""
    volatility: NDArray[np.float64] = field(default_factory=lambda: NO_USUAL)
    """[hours, symbols], as of `cost_inputs.volatility`; no rows: no guard asks for it."""

    @property
    def packed(self) -> bool:
        """Whether the candles' volume has to be in the panel."""
        return self.charges.wants_volume or self.usual is not None

    @property
    def dated(self) -> bool:
        """Whether the strategy or a guard may ask how old the oracle's price is."""
        return "on_candle" in base.hooks(self.strategy) or any(guard.kind == "oracle-age" for guard in self.guards)

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
            dated=self.dated,
            reserve=to_micro(c.reserve),
            seed=c.seed,
            usual=self.usual.values if self.usual else NO_USUAL,
            allow_missing_funding="missing-funding" in c.allow,
            volatility=self.volatility,
            guards=pack(self.guards, s.symbols, to_micro(c.cash), modes, to_micro(c.reserve), self.chaining.chain),
            guard_names=tuple(guard.text for guard in self.guards),
            opening=self.begins.openings(margin) if self.begins else (),
            place=c.data,
        )


def plan(strategy: StrategySource | None, data: DataSource, union: Selection | None = None, **settings: object) -> Plan:
    """Return the plan of these settings; see :func:`plan_of`."""
    return plan_of(strategy, data, checked(settings), union)


def plan_of(
    strategy: StrategySource | None,
    data: DataSource,
    asked: RunSettings,
    union: Selection | None = None,
    shared: SharedData | None = None,
) -> Plan:
    """Open the data, load the strategy and the venue; UserError for what is wrong with them.

    ``union``: of a sub-account, the markets of all; settings may then name one that is only another's. ``shared``: what
    earlier runs over the same data have prepared.
    """
    loaded = strategy_of(strategy, asked)
    if isinstance(data, str) and not data:
        raise UserError("no data are given", "data", "name a folder, like binance-2025")
    catalog = data if isinstance(data, Catalog) else Catalog.open(data)
    if not isinstance(strategy, base.Strategy):
        loaded = suited(loaded, asked.params, catalog)
    asked = replace(asked, strategy=spec_of(strategy, loaded), data=catalog.address, params=loaded.params)
    loaded.bind(asked.seed)
    guards = chosen(loaded.guards, base.place(loaded), asked.guards)
    asked, profile = venue_of(asked, catalog, shared.venue) if shared else venue_of(asked, catalog)
    check_symbols(asked, catalog)
    if asked.positions:
        check_held(asked.positions, asked.symbols or catalog.symbols, "selected" if asked.symbols else "in the data")
    period = asked.start_ms, asked.end_ms, asked.interval_ms
    selection = (shared.select if shared else select)(catalog, wanted(loaded, asked.symbols, catalog), *period)
    if selection.no_funding and "missing-funding" not in asked.allow:
        names = ", ".join(selection.no_funding[:3]) + (", …" if len(selection.no_funding) > 3 else "")
        remedy = "add a funding series, or go without it by --allow missing-funding"
        raise UserError(f"no funding data for {names}", catalog.address, remedy)
    _known_symbols(asked, union or selection)
    if union is not None:
        guards = tuple(g for g in guards if g.symbol not in union.symbols or g.symbol in selection.symbols)
    return plan_over(selection, loaded, asked, profile, guards, union, shared)


def plan_over(
    selection: Selection,
    loaded: base.Strategy,
    asked: RunSettings,
    profile: venues.Profile,
    guards: tuple[Guard, ...],
    union: Selection | None = None,
    shared: SharedData | None = None,
) -> Plan:
    """The plan of a loaded strategy over a selection: what fills cost, the chain, and what the strategy sees."""
    begins = beginning(asked, selection, profile)
    contract = widened(profile, selection)
    contract = begins.contract(contract) if begins else contract
    fees, discount = fee_schedule.fee_schedule(profile, asked.fee_bps, asked.maker_fee_bps, asked.fee_discount)
    charged = replace(charges(asked, selection), fees=fees, discount=discount)
    events = _events(asked.adl, selection, union)
    chaining = chain_of(asked, profile, selection)
    usual = Usual(selection) if chaining.crowds else None
    packed = charged.wants_volume or usual is not None
    drill = Drill(selection, asked.drill_ms, packed) if asked.drill_ms else None
    held = JOURNAL_BYTES if shared else 0
    decisions = prepare(loaded, selection, Spool.beside(asked.out, held), shared)
    return Plan(
        asked, loaded, selection, profile, contract, events, decisions, charged, guards, drill,
        chaining, usual, begins, held, operator=operator_of(asked.offline, asked.override),
        volatility=volatility_for(guards, selection),
    )  # fmt: skip


def volatility_for(guards: Sequence[Guard], selection: Selection) -> NDArray[np.float64]:
    """What guards on volatility look at; no rows where there are none."""
    return volatility(selection) if any(guard.kind == "volatility" for guard in guards) else NO_USUAL


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
