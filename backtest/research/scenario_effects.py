"""A scenario at its instants, on the markets of a run: an overlay of the stream, and changes of settings and terms."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from backtest.core import durations
from backtest.core.errors import UserError, nearest
from backtest.core.times import DAY_MS, stamp
from backtest.data.scenarios.cascade import TURNOVER_SHARE, cascade, path_of
from backtest.data.scenarios.curve import Curve, moved
from backtest.data.scenarios.moves import check_apart, moves
from backtest.data.scenarios.overlay import FundingShock, MarketShock, Overlay
from backtest.data.scenarios.realised import Returns, measured
from backtest.data.scenarios.schema import ALL, Price, Scenario, price_end
from backtest.data.scenarios.shocked_candles import Hold
from backtest.data.selection import Selection
from backtest.venues import symbols as market_names
from backtest.venues.slippage_models import BPS


@dataclass(frozen=True)
class Spell:
    """A window of some markets in which something is ``factor`` times what it is."""

    symbols: tuple[str, ...]
    start_ms: int
    end_ms: int | None
    """None: to the end of the run."""
    factor: float
    depth: float = 1.0
    cost: float = 0.0
    """Rate that takers pay beside the spread."""


@dataclass(frozen=True)
class Effects:
    """What a scenario does to one run."""

    overlay: Overlay = field(default_factory=Overlay)
    outages: tuple[str, ...] = ()
    """As `--outages` writes them."""
    oracle: Mapping[str, str] = field(default_factory=dict)
    """Kinds and values of `--oracle`."""
    adl: tuple[str, ...] = ()
    """As `--adl` writes them."""
    terms: tuple[Spell, ...] = ()
    liquidity: tuple[Spell, ...] = ()
    away: tuple[tuple[int, int], ...] = ()
    """When the trader is away."""
    frozen: tuple[tuple[int, int], ...] = ()
    """When nothing is paid out."""
    fund: float = 1.0
    """Share of the insurance fund that others have left."""
    unattended: tuple[tuple[int, int], ...] = ()
    """When nobody liquidates."""
    notes: tuple[str, ...] = ()
    """What a model made of its assumptions."""

    @property
    def changes(self) -> bool:
        """Whether it does anything."""
        others = (self.outages, self.oracle, self.adl, self.terms, self.liquidity, self.away, self.frozen)
        return self.overlay.changes or any(others) or bool(self.unattended) or self.fund != 1.0


@dataclass(frozen=True)
class Ground:
    """What a scenario is put on."""

    symbols: tuple[str, ...]
    """Markets of the run."""
    known: tuple[str, ...]
    """Markets of the data, which may lead others."""
    returns: Callable[[], Returns]
    """Of all of these; read when it is first asked for."""
    seed: int
    stretch: Callable[[Overlay, int, int], Selection]
    """Rows of the run from a time to another, ms, under an overlay."""
    turnover: Callable[[str, int], float]
    """Mean daily turnover of a market before an instant; NaN: not known."""


def place_of(scenario: Scenario) -> str:
    """Where errors of a scenario are."""
    return f"scenario {scenario.name!r}"


def matched(names: Sequence[str], pool: Sequence[str]) -> list[str]:
    """Markets of ``pool`` that names mean: ``BTC`` is BTCUSDT, ``*`` all of them."""
    if "*" in names:
        return list(pool)
    return [symbol for symbol in pool if any(name in market_names.names(symbol) for name in names)]


def required(names: Sequence[str], pool: Sequence[str], place: str, optional: bool = False) -> list[str]:
    """The same; UserError for a name that no market of ``pool`` has, unless that is ``optional``."""
    for name in names:
        if not optional and name != "*" and not matched([name], pool):
            raise UserError(f"the data have no market {name!r}", place, nearest(name, pool))
    return matched(names, pool)


def effects(scenario: Scenario, instants: Sequence[int], ground: Ground) -> Effects:
    """What a scenario does at these instants; UserError for events that overlap and for unknown markets.

    The same input gives the same effects.
    """
    place = place_of(scenario)
    funding, liquidity, terms, adl, outages, oracle = [], [], [], [], list[str](), dict[str, str]()
    front: list[Spell] = []
    unattended = [(at + one.after, at + one.after + one.absent) for at in instants for one in scenario.keepers]
    away = [(at + one.after, at + one.after + one.offline) for at in instants for one in scenario.trader]
    frozen = [(at + one.after, at + one.after + one.frozen) for at in instants for one in scenario.withdrawal]
    for at in instants:
        for fund in scenario.funding:
            hit = tuple(required(fund.symbols, ground.symbols, place))
            start = at + fund.after
            factor = 1.0 if fund.factor is None else fund.factor
            funding.append(FundingShock(hit, start, start + fund.length, factor, fund.rate))
        for thin in scenario.liquidity:
            hit, start = tuple(required(thin.symbols, ground.symbols, place)), at + thin.after
            liquidity.append(Spell(hit, start, start + thin.length, thin.spread, thin.depth))
        for early in scenario.front_running:
            hit, start = tuple(required(early.symbols, ground.symbols, place)), at + early.after
            front.append(Spell(hit, start, start + early.length, 1.0, 1.0, early.bps / BPS))
        for term in scenario.terms:
            hit, start = tuple(required(term.symbols, ground.symbols, place)), at + term.after
            terms.append(Spell(hit, start, None if term.length is None else start + term.length, term.margin))
        for closed in scenario.adl:
            wanted = required([closed.symbol], ground.symbols, place)
            named = "*" if closed.symbol == "*" else wanted[0]
            adl.append(f"{stamp(at + closed.after)},{named},{closed.share!r}")
        for halt in scenario.outage:
            start = at + halt.after
            outages.append(f"{stamp(start)}/{stamp(start + halt.length)}")
    for told in scenario.oracle:
        for kind in ("delay", "stale", "grace"):
            if length := getattr(told, kind):
                oracle[kind] = durations.text(length)
    for what, spells in (("liquidity", liquidity), ("terms", terms), ("front_running", front)):
        _apart([(s, one.start_ms, one.end_ms) for one in spells for s in one.symbols], what, place)
    _apart([(s, one.start_ms, one.end_ms) for one in funding for s in one.symbols], "funding", place)
    overlay, notes = cascaded(scenario, instants, Overlay(tuple(_markets(scenario, instants, ground))), ground)
    return Effects(
        replace(overlay, funding=tuple(funding)), tuple(outages), oracle, tuple(adl), tuple(terms),
        (*liquidity, *front), tuple(away), tuple(frozen), math.prod(1 - one.drawn for one in scenario.fund),
        tuple(unattended), notes,
    )  # fmt: skip


def cascaded(
    scenario: Scenario, instants: Sequence[int], overlay: Overlay, ground: Ground
) -> tuple[Overlay, tuple[str, ...]]:
    """The overlay with the cascades that its prices set off, and what they did, in words."""
    place, notes = place_of(scenario), []
    curves: dict[str, list[Curve]] = {}
    for at in instants:
        for event in scenario.cascade:
            begin, end = at + event.after, at + event.after + event.length
            for symbol in required(event.symbols, ground.symbols, place):
                turnover = measured(ground.turnover(symbol, begin), f"the turnover of {symbol}", begin, place)
                sigma = float(ground.returns().sigma([symbol], np.array([begin]), DAY_MS)[0])
                sigma = measured(sigma, f"the deviation of {symbol}", begin, place)
                assumed = TURNOVER_SHARE * turnover if event.open_interest is None else event.open_interest
                times, prices = path_of(ground.stretch(overlay, begin, end), symbol, begin)
                if not times:
                    continue
                longs = event.side == "longs"
                made = cascade(times, prices, assumed, sigma, turnover * event.depth, end, event.decay, longs)
                if made.liquidated:
                    curves.setdefault(symbol, []).append(made.curve)
                word = "low" if longs else "high"
                notes.append(
                    f"Cascade of {symbol}: {made.liquidated:,.0f} of {made.open_interest:,.0f} open interest"
                    f" liquidated, {word} {made.extreme:,.6g} instead of {made.without:,.6g}."
                )
    markets = []
    for symbol in ground.symbols:
        shock, own = overlay.of(symbol), tuple(curves.get(symbol, ()))
        if own or shock != MarketShock(symbol):
            markets.append(replace(shock, trade=shock.trade + own, mark=shock.mark + own))
    return replace(overlay, markets=tuple(markets)), tuple(notes)


def _apart(windows: Sequence[tuple[str, int, int | None]], what: str, place: str) -> None:
    """UserError for two windows of one market that overlap."""
    endless = 2**62
    for symbol in sorted({symbol for symbol, _, _ in windows}):
        own = [(start, endless if end is None else end) for name, start, end in windows if name == symbol]
        check_apart(own, what, symbol, place)


def _markets(scenario: Scenario, instants: Sequence[int], ground: Ground) -> Iterator[MarketShock]:
    """What happens to the prices of each market of the run."""
    place = place_of(scenario)
    trades: dict[str, list[Curve]] = {symbol: [] for symbol in ground.symbols}
    marks: dict[str, list[Curve]] = {symbol: [] for symbol in ground.symbols}
    spans: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for event in scenario.price:
        for at in instants:
            begin, end = at + event.after, at + price_end(event)
            for symbol, curve in curves(scenario, event, begin, ground):
                for series, kept in (("trades", trades), ("marks", marks)):
                    if (series, event.mark[0]) in (("trades", "only"), ("marks", "none")):
                        continue
                    late = event.mark[1] if series == "marks" else 0
                    kept[symbol].append(curve.later(late))
                    spans.setdefault((series, symbol), []).append((begin, end))
    for (_, symbol), own in sorted(spans.items()):
        check_apart(own, "price", symbol, place)
    for symbol in ground.symbols:
        holds = tuple(
            Hold(at + told.after, at + told.after + told.freeze)
            for at in instants
            for told in scenario.oracle
            if told.freeze and symbol in required(told.symbols, ground.symbols, place)
        )
        check_apart([(hold.start_ms, hold.end_ms) for hold in holds], "oracle", symbol, place)
        if trades[symbol] or marks[symbol] or holds:
            yield MarketShock(symbol, tuple(trades[symbol]), tuple(marks[symbol]), holds)


def sides(scenario: Scenario, event: Price, ground: Ground) -> tuple[list[str], list[str]]:
    """Markets of the data that an event names, and those of the run that no event of the scenario names."""
    named = required(event.symbols, ground.known, place_of(scenario), event.optional)
    if event.symbols == ALL:
        named = list(ground.symbols)
    taken = {s for one in scenario.price for s in matched(one.symbols, ground.known)}
    return named, [symbol for symbol in ground.symbols if symbol not in taken]


def curves(scenario: Scenario, event: Price, begin: int, ground: Ground) -> Iterator[tuple[str, Curve]]:
    """The curve of each market of the run in one event that begins at an instant."""
    named, others = sides(scenario, event, ground)
    if not named:
        return
    found = moves(event, named, others, ground.returns(), np.array([begin]), ground.seed) if _measures(event) else None
    if found is None:
        returns = Returns((), 1, 0, np.empty((0, 0)))
        found = moves(event, named, others, returns, np.array([begin]), ground.seed)
    for symbol, scales in found.scales.items():
        if symbol in ground.symbols:
            what = f"{'the deviation' if symbol in named else event.others.partition('=')[0]} of {symbol}"
            scale = measured(float(scales[0]), what, begin, place_of(scenario))
            yield symbol, moved(begin, [(after, move * scale) for after, move in found.points])


def _measures(event: Price) -> bool:
    """Whether an event needs to know what markets did before it."""
    return event.sigma is not None or event.others in ("beta", "correlation=1", "independent")
