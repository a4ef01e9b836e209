"""The plan of a run under a scenario: the shocked stream, the settings of its events, and dated terms and costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backtest.data.scenarios.overlay import MarketShock, Overlay, Thinning
from backtest.data.scenarios.shocked_selection import under
from backtest.data.selection import Selection
from backtest.engine import layout as at
from backtest.engine.pack import MOST_MICRO, Charges
from backtest.research.scenario_effects import Effects, Spell
from backtest.runner.plan import Plan, plan_over
from backtest.runner.shared_data import SharedData
from backtest.venues.chain import Limit
from backtest.venues.risk_weights import widened
from backtest.venues.terms import Contract, Law, Terms

OPEN_LIMIT = Limit(MOST_MICRO, 1)
"""A withdrawal limit that no amount reaches: what is frozen is held at nothing by it."""
STEPS = 60
"""Parts of a window without liquidators."""
MOST_SLIPPAGE = 0.99
"""Of a liquidation's fill, however much the spread widens."""


def planned_under(base: Plan, effects: Effects) -> Plan:
    """The plan of a run with a scenario's effects; UserError where they and the run's own settings exclude each other.

    Effects that change nothing give a plan that replays to the same digest.
    """
    if not effects.changes:
        return base
    asked = replace(
        base.config,
        outages=(*base.config.outages, *effects.outages),
        oracle=_oracle(base.config.oracle, effects.oracle),
        adl=(*base.config.adl, *effects.adl),
    )
    overlay = effects.overlay
    if base.charges.wants_volume and effects.liquidity:
        overlay = _thinned(overlay, effects.liquidity, base.selection.symbols)
    selection = under(base.selection, overlay) if overlay.changes else base.selection
    # Nothing of it is shared with another plan: the candles are those of this scenario alone.
    plan = plan_over(selection, base.strategy, asked, base.profile, base.guards, shared=SharedData())
    chaining = plan.chaining
    if effects.frozen:
        limits = (*chaining.chain.withdrawal_limits, OPEN_LIMIT)
        chaining = replace(chaining, chain=replace(chaining.chain, withdrawal_limits=limits))
    return replace(
        plan,
        chaining=chaining,
        contract=_attended_in(_law_in(_terms_in(plan.contract, effects.terms), effects.liquidity), effects),
        charges=charges_in(plan.charges, selection, effects.liquidity),
        away=effects.away,
        frozen=effects.frozen,
    )


def _oracle(given: Sequence[str], told: Mapping[str, str]) -> tuple[str, ...]:
    """The run's own kinds of `--oracle`, but for those that the scenario sets."""
    own = [text for text in given if text.partition("=")[0].strip() not in told]
    return (*own, *(f"{kind}={value}" for kind, value in told.items()))


def _thinned(overlay: Overlay, spells: Sequence[Spell], symbols: Sequence[str]) -> Overlay:
    """The overlay with less volume in each spell: where costs or fills go by volume, it stands for depth."""
    made = []
    for symbol in symbols:
        own = tuple(Thinning(s.start_ms, s.end_ms or s.start_ms, s.depth) for s in spells if symbol in s.symbols)
        shock = overlay.of(symbol)
        if own or shock != MarketShock(symbol):
            made.append(replace(shock, volume=own))
    return replace(overlay, markets=tuple(made))


def _terms_in(contract: Contract, spells: Sequence[Spell]) -> Contract:
    """The contract with requirements times the factor in each spell, of portfolio margin too."""
    if not spells:
        return contract
    return replace(contract, terms={name: _raised(name, terms, spells) for name, terms in contract.terms.items()})


def _raised(symbol: str, terms: tuple[Terms, ...], spells: Sequence[Spell]) -> tuple[Terms, ...]:
    own = sorted((s for s in spells if symbol in s.symbols), key=lambda s: s.start_ms)
    weights: list[tuple[int, float]] = []
    for spell in own:
        weights.append((spell.start_ms, spell.factor))
        if spell.end_ms is not None:
            weights.append((spell.end_ms, 1.0))
    found = []
    for one in widened(terms, weights):
        factor = next((s.factor for s in own if s.start_ms <= one.from_ms and one.from_ms < (s.end_ms or 2**62)), 1.0)
        found.append(replace(one, beta=one.beta * factor, idio=one.idio * factor))
    return tuple(found)


def _law_in(contract: Contract, spells: Sequence[Spell]) -> Contract:
    """The contract whose liquidations fill at a wider spread in each spell, where the venue's rule has one."""
    if not any(law.slippage for law in contract.law) or not spells:
        return contract
    edges = {s.start_ms for s in spells} | {s.end_ms for s in spells if s.end_ms is not None}
    return replace(contract, law=tuple(_laws(contract.law, sorted(edges), spells)))


def _laws(laws: tuple[Law, ...], edges: Sequence[int], spells: Sequence[Spell]) -> Iterator[Law]:
    for start in sorted({law.from_ms for law in laws} | set(edges)):
        held = [law for law in laws if law.from_ms <= start]
        law = held[-1] if held else laws[0]
        factor = max((s.factor for s in spells if s.start_ms <= start < (s.end_ms or 2**62)), default=1.0)
        yield replace(law, from_ms=start, slippage=min(MOST_SLIPPAGE, law.slippage * factor))


def _attended_in(contract: Contract, effects: Effects) -> Contract:
    """The contract with what others have left of the fund, and without liquidators in each window.

    A liquidation that crosses in a window begins at its end: the delay of each of `STEPS` parts of the window is what
    is left of it at the part's beginning.
    """
    laws = contract.law
    if effects.fund != 1.0:
        left = [None if law.fund_micro is None else round(law.fund_micro * effects.fund) for law in laws]
        laws = tuple(replace(law, fund_micro=fund) for law, fund in zip(laws, left, strict=True))
    for start, end in effects.unattended:
        step = max(1, (end - start) // STEPS)
        made = []
        for edge in sorted({law.from_ms for law in laws} | set(range(start, end, step)) | {end}):
            held = [law for law in laws if law.from_ms <= edge]
            law = held[-1] if held else laws[0]
            late = end - edge if start <= edge < end else 0
            made.append(replace(law, from_ms=edge, delay_ms=law.delay_ms + late))
        laws = tuple(made)
    return replace(contract, law=laws)


def charges_in(charges: Charges, selection: Selection, spells: Sequence[Spell]) -> Charges:
    """The costs of fills with a wider spread and a thinner book in each spell, by whole hours of the run."""
    if not spells:
        return charges
    hours = -(-selection.rows * selection.interval_ms // at.BAR_MS)
    bars = charges.bars.copy()
    if not len(bars):
        bars = np.full((hours, len(selection.symbols), at.BAR_WIDTH), np.nan)
    depth = charges.depth
    for spell in spells:
        first = max(0, (spell.start_ms - selection.start_ms) // at.BAR_MS)
        last = hours if spell.end_ms is None else -(-(spell.end_ms - selection.start_ms) // at.BAR_MS)
        for symbol in spell.symbols:
            rows = bars[first : max(0, last), selection.symbols.index(symbol)]
            half = np.nan_to_num(rows[:, at.HALF_SPREAD])
            rows[:, at.HALF_SPREAD] = spell.factor * (charges.fixed + half) - charges.fixed + spell.cost
            rows[:, at.TURNOVER] *= spell.depth
        depth = _shallow(depth, [selection.symbols.index(symbol) for symbol in spell.symbols], spell)
    return replace(charges, bars=bars, depth=depth)


def _shallow(depth: NDArray[np.float64], symbols: Sequence[int], spell: Spell) -> NDArray[np.float64]:
    """Snapshots of the book, thinner in a spell: one more at its start, and one at its end as it was."""
    if not depth.shape[1]:
        return depth
    edges = [spell.start_ms] + ([] if spell.end_ms is None else [spell.end_ms])
    made = np.empty((depth.shape[0], depth.shape[1] + len(edges), depth.shape[2]))
    for i, snapshots in enumerate(depth):
        held = [snapshots[max(0, int(np.searchsorted(snapshots[:, 0], edge, "right")) - 1)].copy() for edge in edges]
        for row, edge in zip(held, edges, strict=True):
            row[0] = max(row[0], float(edge))
        own = np.concatenate((snapshots, held))
        own = own[np.argsort(own[:, 0], kind="stable")]
        if i in symbols:
            inside = (own[:, 0] >= spell.start_ms) & (own[:, 0] < (spell.end_ms or np.inf))
            own[inside, 2::2] *= spell.depth
        made[i] = own
    return made
