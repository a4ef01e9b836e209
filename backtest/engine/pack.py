"""What an account's replay depends on, and the packed arrays that kernels read it from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from backtest.core.enums import MICRO, PATHS
from backtest.core.errors import Broken
from backtest.engine import layout as at
from backtest.engine.opening import Opening
from backtest.engine.passage import pack_chain
from backtest.venues.chain import Chain, Oracle
from backtest.venues.terms import ASSUMED_BAND, BySize, Contract, Law, OrderRules, Portfolio, Terms

HOUR_MS = 3_600_000
PPM = 1_000_000
MOST_MICRO = 2**52
"""What one amount of money can be, `engine.money`."""


@dataclass(frozen=True)
class Charges:
    """What fills cost beside their price (rules-orders.md sections 6 to 8); arrays as in `layout`. Rates."""

    fixed: float = 0.0
    """Beside half the spread."""
    stress: float = 1.0
    """Times spread and impact."""
    impact: int = at.NO_IMPACT
    factor: float = 0.0
    """Y of the power law; the volume model's coefficient."""
    exponent: float = 0.5
    drift: float = 0.0
    """Adverse move over an order's way: a share of one day's σ, already times √(way in days)."""
    taker_share: float = np.inf
    maker_share: float = np.inf
    """Of a candle's volume that orders may fill."""
    band: float | None = None
    """Most that spread, impact and drift of a fill may be together, below 1; None: the venue's, else ASSUMED_BAND."""
    discount: float = 0.0
    """Share off positive fees."""
    bars: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0, at.BAR_WIDTH)))
    """[bars, symbols, BAR_WIDTH]; no bars: none of its columns is used."""
    depth: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0, 1)))
    """[symbols, snapshots, 1 + 2 × levels]"""
    fees: NDArray[np.float64] = field(default_factory=lambda: fee_table(0.0))
    """[tiers, FEE_WIDTH]"""

    @property
    def wants_volume(self) -> bool:
        """Whether the candles' volume has to be in the panel."""
        return self.impact == at.BY_VOLUME or min(self.taker_share, self.maker_share) < np.inf


def fee_table(taker: float, maker: float | None = None) -> NDArray[np.float64]:
    """A schedule with one rate for takers and one for makers (None: the same), whatever the volume."""
    return np.array([[-np.inf, 1.0, 0.0, taker if maker is None else maker, taker]])


@dataclass(frozen=True)
class Setup:
    """All that an account's replay depends on besides prices and orders."""

    symbols: tuple[str, ...]
    step_micro: NDArray[np.int64]
    first_row: NDArray[np.int64]
    last_row: NDArray[np.int64]
    interval_ms: int
    start_ms: int
    rows: int
    mark_offset: int
    known_field: int
    """Panel field of the mark at the close as far as it was known then: what decisions are made on."""
    funding: NDArray[np.float64]
    """[settlements, 3]: stamp ms, symbol number, rate (NaN: missing); sorted by stamp, then symbol."""
    contract: Contract
    cash: int
    margin: str = "cross"
    modes: Mapping[str, str] = field(default_factory=dict)
    """Margin mode of single symbols, cross or isolated, where it is not that of the run."""
    isolate_above: float = 0.0
    """Share of the cross pool's own maintenance above which a position gets a pool of its own; 0: none does."""
    isolated_margin: int = 0
    """Micro that a position in a pool of its own is opened with, if the wallet has them; 0: its initial margin."""
    leverage: float | None = None
    """Of every symbol, set by the run; infinite: as much as the venue allows; None: none was set."""
    default_leverage: float | None = None
    """The venue's, of a symbol with a pool of its own and none set; None: the venue names none."""
    path: str = "coherent"
    latency_ms: int = 0
    charges: Charges = field(default_factory=Charges)
    touch: bool = False
    """A limit order fills where the path touches it, not only where it goes through."""
    ticks: tuple[float | None, ...] = ()
    """Price step per symbol; None, or nothing at all: any price will do."""
    volume_field: int = -1
    """Panel field of the candles' volume, base units; −1: it is not in the panel."""
    chain: Chain = field(default_factory=Chain)
    """How messages and money travel, and when it stands still in the run."""
    oracle: Oracle = field(default_factory=Oracle)
    oracle_field: int = -1
    """First of four panel fields that are left for the oracle's mark."""
    further: int = 0
    """Further series of marks behind them, four fields each, for its median."""
    dated: bool = False
    """Whether a guard or a strategy may ask how old the price of the oracle is."""
    reserve: int = 0
    """Micro outside the venue at the start."""
    seed: int = 0
    """Of what is drawn on the way."""
    usual: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))
    """[hours, 2]: range and turnover of a row as they usually are, from the hour of `start_ms` on; NaN: not known."""
    fine_ms: int = 0
    """Interval of the candles that a row may be played on; 0: there are none."""
    allow_missing_funding: bool = False
    adl: Sequence[tuple[int, str, float]] = ()
    """Deleveraging events: time ms, symbol ("": any), share of the position."""
    adl_top: int = 1
    """Positions taken by the events of one instant, at most."""
    volatility: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    """[hours, symbols]: σ of a day's log return over the day before; NaN: not known. No rows: no guard asks for it."""
    margin_limits: tuple[float, ...] = ()
    """Of an account that strategies share: the share of its equity that each may use as initial margin; infinite: all
    of it. Empty: one strategy has the account for itself."""
    guards: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, at.GUARD_STATE)))
    """[guards, GUARD_STATE + …] of `layout`."""
    guard_names: tuple[str, ...] = ()
    opening: tuple[Opening, ...] = ()
    """Positions that the account begins with, in the order of their symbols."""
    place: str = "data"
    """Where the data lie, for messages."""

    @property
    def end_ms(self) -> int:
        """The close of the last row."""
        return self.start_ms + self.rows * self.interval_ms

    def home(self, i: int) -> int:
        """The pool that symbol `i` belongs to at the start: its own, or the cross pool."""
        mode = self.modes.get(self.symbols[i], self.margin)
        return i if mode == "isolated" else len(self.symbols)

    @property
    def apart(self) -> bool:
        """Whether some symbol has, or may get, a pool of its own."""
        return any(self.home(i) == i for i in range(len(self.symbols))) or self.isolate_above > 0


def in_force(dated: Sequence[Terms] | Sequence[Law] | Sequence[OrderRules], when_ms: int) -> int:
    """Index of what holds at `when_ms`; what is dated first holds before as well."""
    return max(0, sum(one.from_ms <= when_ms for one in dated) - 1)


def pack_spec(setup: Setup) -> NDArray[np.float64]:
    """The per-symbol matrix of `layout`: step, leverage, life, and the terms that hold at the start."""
    dated = [setup.contract.terms[symbol] for symbol in setup.symbols]
    tiers = tier_count(setup)
    spec = np.zeros((len(setup.symbols), at.SPEC_TIERS + at.TIER_WIDTH * tiers))
    spec[:, at.STEP] = setup.step_micro
    spec[:, at.TICK] = [tick or 0.0 for tick in setup.ticks or (None,) * len(setup.symbols)]
    spec[:, at.FIRST_ROW] = setup.first_row
    spec[:, at.LAST_ROW] = setup.last_row
    if setup.leverage is not None:
        spec[:, at.INV_LEVERAGE] = 1.0 / setup.leverage
    elif setup.default_leverage is not None:
        spec[:, at.INV_DEFAULT] = 1.0 / setup.default_leverage
    for i, one in enumerate(dated):
        spec[i, at.INV_LEVERAGE] += spec[i, at.INV_DEFAULT] * (setup.home(i) == i)
        terms = one[in_force(one, setup.start_ms)]
        spec[i, at.SPEC_TERMS :] = pack_terms(terms, tiers, idio_maintenance(setup), setup.charges.band)
    return spec


def idio_maintenance(setup: Setup) -> float:
    """Maintenance's idiosyncratic share of the initial one's; without a portfolio rule it is not used."""
    return (setup.contract.portfolio or Portfolio()).idio_maintenance


def tier_count(setup: Setup) -> int:
    """The longest ladder's tiers, of all that holds in the run."""
    dated = (setup.contract.terms[symbol] for symbol in setup.symbols)
    held = (terms for one in dated for terms in one[in_force(one, setup.start_ms) :] if terms.from_ms < setup.end_ms)
    return max((len(terms.tiers) for terms in held), default=1)


def pack_terms(terms: Terms, tiers: int, idio_maintenance: float, band: float | None) -> list[float]:
    """The columns of the spec from SPEC_TERMS on; a shorter ladder is padded by repeating its last tier.

    `band`: the run's own price band, which takes the place of the venue's.
    """
    held = terms.price_band if band is None else band
    ceil, first = terms.ceil, terms.tiers[0]
    if ceil is not None:  # the same rates unrounded, for bounds and curves
        least = ceil.base_ppm * ceil.fraction_ppm / PPM / PPM
        first = replace(first, initial=ceil.initial_ppm / PPM, maintenance=least)
        terms = replace(terms, tiers=(first,))
    sized = terms.initial_by_size is not None or terms.maintenance_by_size is not None
    if len(terms.tiers) != 1 and (sized or ceil):
        raise Broken("rates by size, and rounded up, have one tier")
    out = [
        terms.penalty,
        np.inf if terms.limit_micro is None else float(terms.limit_micro),
        np.inf if terms.limit_units is None else float(terms.limit_units),
        float(terms.min_notional_micro),
        ASSUMED_BAND if held is None else held,
        terms.beta,
        terms.idio,
        terms.idio * idio_maintenance,
        0.0 if ceil is None else 1.0,
        0.0 if ceil is None else float(ceil.initial_ppm),
        0.0 if ceil is None else float(ceil.base_ppm),
        0.0 if ceil is None else float(ceil.fraction_ppm),
        float(sized),
        first.initial,
        first.maintenance,
    ]
    for rule in (terms.initial_by_size or BySize(), terms.maintenance_by_size or BySize()):
        out += [rule.share, rule.linear, rule.root, rule.step]
        out += [float(round(rule.baseline * MICRO)), float(max(1, round(rule.increment * MICRO)))]
    for n in range(tiers):
        tier = terms.tiers[min(n, len(terms.tiers) - 1)]
        last = n >= len(terms.tiers) - 1 or tier.upto_micro is None
        out += [
            np.inf if last else float(tier.upto_micro or 0),
            tier.initial,
            float(tier.initial_deduction),
            tier.maintenance,
            float(tier.maintenance_deduction),
        ]
    return out


def pack_law(law: Law, orders: OrderRules) -> list[float]:
    """The columns of the run from RUN_LAW on."""
    return [
        float(law.take),
        float(law.ranking),
        float(law.price),
        float(law.delay_ms),
        float(law.every_ms),
        law.portion,
        float(law.above_micro),
        float(law.minimum_micro),
        np.inf if law.cap_micro is None else float(law.cap_micro),
        float(law.then_whole),
        float(law.every_ms if law.cooldown_ms is None else law.cooldown_ms),
        law.ramp_start,
        float(law.ramp_ms),
        float(law.small_micro),
        law.slippage,
        law.spread_to_maintenance,
        law.bankruptcy_adjustment,
        law.liquidator_fee,
        law.discount_start,
        law.discount_per_s,
        law.discount_max,
        float(law.bounded),
        law.buffer,
        law.backstop,
        float(MOST_MICRO if law.fund_cap_micro is None else law.fund_cap_micro),
        float(law.block_ms),
        float(law.fund_when_bankrupt),
        float(law.shortfall),
        law.adl_penalty,
        -1.0 if law.fund_micro is None else float(law.fund_micro),
        np.inf if orders.most is None else float(orders.most),
        np.inf if orders.most_each is None else float(orders.most_each),
    ]


def law_at(setup: Setup, when_ms: int) -> list[float]:
    """`pack_law` of what is in force."""
    law, orders = setup.contract.law, setup.contract.orders
    return pack_law(law[in_force(law, when_ms)], orders[in_force(orders, when_ms)])


def pack_run(setup: Setup) -> NDArray[np.float64]:
    """The run's scalars as one row, with the law that holds at the start."""
    run = np.zeros(at.RUN_WIDTH)
    by_net = setup.margin == "portfolio"
    if by_net and setup.contract.portfolio is None:
        raise Broken("portfolio margin needs the venue's figures")
    portfolio = setup.contract.portfolio or Portfolio()
    dated = [terms for symbol in setup.symbols for terms in setup.contract.terms[symbol]]
    sized = any(terms.initial_by_size or terms.maintenance_by_size for terms in dated)
    run[at.INTERVAL] = setup.interval_ms
    run[at.APART] = setup.apart
    run[at.PATH] = float(PATHS.index(setup.path))
    run[at.LATENCY] = setup.latency_ms
    charges = setup.charges
    run[at.SLIPPAGE], run[at.STRESS], run[at.DRIFT] = charges.fixed, charges.stress, charges.drift
    run[at.IMPACT], run[at.IMPACT_FACTOR], run[at.IMPACT_EXPONENT] = charges.impact, charges.factor, charges.exponent
    run[at.TAKER_SHARE], run[at.MAKER_SHARE] = charges.taker_share, charges.maker_share
    run[at.FINE] = setup.fine_ms
    run[at.DISCOUNT], run[at.TOUCH], run[at.VOLUME] = charges.discount, setup.touch, setup.volume_field
    run[at.START], run[at.MARKET], run[at.ROWS] = setup.start_ms, setup.mark_offset, setup.rows
    run[at.MARK] = setup.mark_offset if setup.oracle.plain else setup.oracle_field
    run[at.LATE] = late_of(setup, setup.interval_ms)
    run[at.ALLOW_MISSING] = float(setup.allow_missing_funding)
    run[at.SAMPLE] = sample_ms(setup)
    run[at.KNOWN] = setup.known_field
    run[at.GUARDED] = float(len(setup.guards) > 0)
    run[at.PORTFOLIO] = by_net
    run[at.SCAN_INITIAL], run[at.SCAN_MAINTENANCE] = portfolio.scan_initial, portfolio.scan_maintenance
    run[at.FLOOR] = portfolio.floor
    run[at.ISOLATE_ABOVE], run[at.ADL_TOP] = setup.isolate_above, setup.adl_top
    run[at.ISOLATED_MARGIN] = setup.isolated_margin
    run[at.PLAIN] = not (setup.apart or sized or by_net)
    pack_chain(setup.chain, setup.seed, run)
    run[at.ORACLE_LIMIT], run[at.HOLDS] = setup.oracle.limit_ms, setup.oracle.holds
    run[at.TRANSFERS] = setup.reserve > 0
    run[at.RUN_LAW :] = law_at(setup, setup.start_ms)
    return run


def late_of(setup: Setup, interval_ms: int) -> int:
    """`run[LATE]` of the oracle in rows of that length."""
    return at.CANDLE if setup.oracle.plain else 3 * (setup.oracle.delay_ms % interval_ms)


def pack_calendar(setup: Setup) -> NDArray[np.float64]:
    """What changes or happens by the calendar, in order: terms, law, deleveraging events."""
    entries = sorted(_entries(setup), key=lambda entry: entry[:3])
    width = max([at.CALENDAR_PAYLOAD + 1, *(len(entry) for entry in entries)])
    calendar = np.zeros((len(entries), width))
    for n, entry in enumerate(entries):
        calendar[n, : len(entry)] = entry
    return calendar


def _entries(setup: Setup) -> Iterator[list[float]]:
    tiers, idio = tier_count(setup), idio_maintenance(setup)
    for i, symbol in enumerate(setup.symbols):
        for terms in setup.contract.terms[symbol][1:]:
            if setup.start_ms < terms.from_ms < setup.end_ms:
                yield [terms.from_ms, at.NEW_TERMS, i, *pack_terms(terms, tiers, idio, setup.charges.band)]
    changes = {law.from_ms for law in setup.contract.law[1:]} | {rule.from_ms for rule in setup.contract.orders[1:]}
    for from_ms in sorted(changes):
        if setup.start_ms < from_ms < setup.end_ms:
            yield [from_ms, at.NEW_LAW, -1, *law_at(setup, from_ms)]
    for stamp, name, portion in setup.adl:
        if stamp >= setup.start_ms:
            yield [stamp, at.DELEVERAGE, setup.symbols.index(name) if name else -1, portion]


def sample_ms(setup: Setup) -> int:
    """How often positions and pools are sampled: the shortest of 1 h, 4 h, 8 h and 1 d that gives at most 3,000
    samples, and never more often than there are candles."""
    span = setup.rows * setup.interval_ms
    chosen = next((h * HOUR_MS for h in (1, 4, 8) if span <= 3000 * h * HOUR_MS), 24 * HOUR_MS)
    return max(chosen, setup.interval_ms)
