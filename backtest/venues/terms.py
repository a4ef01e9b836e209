"""What a venue asks, as plain values: the terms of one market, and the law by which it liquidates.

A profile (`venues.profile`) makes them from TOML, the engine packs them, the calculator prints them. Each holds from
`from_ms` on, until the next; the first of a list holds before its own date as well (a run says so). Money is whole
micro-units of the quote, times ms, rates and prices doubles. The rules are written out in rules.md, sections 6, 7.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum


@dataclass(frozen=True)
class Tier:
    """One step of a market's ladder: ``requirement = notional × rate − deduction`` up to ``upto_micro``."""

    upto_micro: int | None
    """Notional at the tier's upper edge, micro-units of the quote; None: no edge."""
    initial: float
    initial_deduction: int
    """Micro, such that the requirement is continuous at the lower edge; negative: a flat amount on top."""
    maintenance: float
    maintenance_deduction: int


@dataclass(frozen=True)
class BySize:
    """A rate that grows with the position's size ``s`` (base units, unsigned), from the tier's own rate ``r``:

    ``rate(s) = max(r, share·r + linear·s + root·√s + step·⌈max(0, s − baseline) / increment⌉)``
    """

    share: float = 1.0
    linear: float = 0.0
    """Skew-scaled: maximum ratio / skew scale."""
    root: float = 0.0
    """Of the square root of the size."""
    step: float = 0.0
    """Incremental: rate added for each ``increment`` of size, begun or whole, above ``baseline``."""
    baseline: float = 0.0
    increment: float = 1.0


@dataclass(frozen=True)
class CeilRates:
    """Requirements rounded up to the micro, in parts per million: ``initial = ⌈n × initial_ppm / 10⁶⌉`` and
    ``maintenance = ⌈⌈n × base_ppm / 10⁶⌉ × fraction_ppm / 10⁶⌉``. ``initial_ppm`` is ``base_ppm`` scaled by open
    interest; maintenance is never scaled."""

    initial_ppm: int
    base_ppm: int
    fraction_ppm: int


ASSUMED_BAND = 0.1
"""The price band where the venue's profile has none."""


@dataclass(frozen=True)
class Terms:
    """What one market asks from one day on."""

    from_ms: int
    tiers: tuple[Tier, ...]
    """At least one; only one where a rate goes by size or is rounded up. The last has no edge."""
    initial_by_size: BySize | None = None
    maintenance_by_size: BySize | None = None
    ceil: CeilRates | None = None
    penalty: float = 0.0
    """Share of what is liquidated, to the insurance fund."""
    limit_micro: int | None = None
    """Largest notional of a position; a larger one is rejected."""
    limit_units: int | None = None
    """Largest position, micro-units of base."""
    min_notional_micro: int = 0
    """Least value of an order that is not reduce-only."""
    price_band: float | None = None
    """Most that a taker's fill may cost beside the last price, a share of it below 1; None: ASSUMED_BAND."""
    beta: float = 1.0
    """Of the market factor, for `portfolio`; the share of the notional that moves with it."""
    idio: float = 0.0
    """Share of the notional required for what does not move with the factor, for `portfolio`."""


class Take(IntEnum):
    """How much one step of a liquidation closes."""

    POOL = 0
    """Every position of the pool at once."""
    POSITION = 1
    """One whole position."""
    SHARE = 2
    """A share of one position, within caps."""
    TIER = 3
    """What lies above the lower edge of the position's tier."""
    RAMP = 4
    """What covers a share of the shortage; the share grows with time."""


class Ranking(IntEnum):
    """Which position a step closes first."""

    SYMBOL = 0
    LARGEST = 1
    """Notional."""
    LOSS = 2
    """Unrealised loss against average cost."""
    MAINTENANCE = 3


class Price(IntEnum):
    """At what price a step closes."""

    MARK = 0
    BOOK = 1
    """The trade path, less slippage."""
    FILLABLE = 2
    """The trade path less slippage, but not beyond a bound that widens as equity falls below maintenance."""
    BANKRUPTCY = 3
    """The mark; what is better than the bankruptcy price goes to the insurance fund, what is worse comes from it."""
    ORACLE = 4
    """The mark less the liquidator's fee."""
    AUCTION = 5
    """The mark less a discount that grows with time."""


class Shortfall(IntEnum):
    """Who bears what the insurance fund does not."""

    BAD_DEBT = 0
    ADL = 1
    """Traders on the other side, closed at the bankruptcy price."""
    SOCIALISED = 2


@dataclass(frozen=True)
class Law:
    """How a venue liquidates from one day on."""

    from_ms: int = 0
    take: Take = Take.POOL
    ranking: Ranking = Ranking.LARGEST
    price: Price = Price.MARK
    delay_ms: int = 0
    """From the crossing to the first step: the liquidator's own latency."""
    every_ms: int = 0
    """From step to step; 0: one after another at the same instant."""
    portion: float = 1.0
    """SHARE: of the position's notional."""
    above_micro: int = 0
    """SHARE: positions up to this notional go whole."""
    minimum_micro: int = 0
    """SHARE: at least this notional in a step."""
    cap_micro: int | None = None
    """SHARE: at most this notional in a step."""
    then_whole: bool = False
    """SHARE: after the first step whole positions go."""
    cooldown_ms: int | None = None
    """SHARE with `then_whole`: a step within it after the pool's last takes whole positions; None: as `every_ms`."""
    ramp_start: float = 0.0
    ramp_ms: int = 1
    """RAMP: share of the shortage = min(1, ramp_start + time since the crossing / ramp_ms)."""
    small_micro: int = 0
    """RAMP: a shortage below it is covered whole."""
    slippage: float = 0.0
    """BOOK, FILLABLE: share of the value, beside the trade path's price."""
    spread_to_maintenance: float = 0.0
    bankruptcy_adjustment: float = 1.0
    """FILLABLE: widest distance from the mark in maintenance margins, and how fast it is reached."""
    liquidator_fee: float = 0.0
    """ORACLE: share of the value, kept by the liquidator."""
    discount_start: float = 0.0
    discount_per_s: float = 0.0
    discount_max: float = 0.0
    """AUCTION."""
    bounded: bool = False
    """A step's fill is never worse for the pool than its bankruptcy price: the fund pays the difference, or ADL."""
    buffer: float = 0.0
    """The process ends when equity ≥ maintenance × (1 + buffer)."""
    backstop: float = 0.0
    """Below this share of maintenance a backstop takes the pool with all its margin; 0: none."""
    fund_micro: int | None = None
    """The insurance fund at the start of the run; None: none."""
    fund_cap_micro: int | None = None
    """The most it pays in one block."""
    block_ms: int = 1000
    fund_when_bankrupt: bool = True
    """Whether the fund pays for a pool whose equity is below zero."""
    shortfall: Shortfall = Shortfall.BAD_DEBT
    adl_penalty: float = 0.0
    """What a profitable position that is deleveraged gives up, share of the notional beside the mark."""


@dataclass(frozen=True)
class Portfolio:
    """``requirement = max(floor × sum over positions, scan × |Σ βᵢnᵢ| + Σ idioᵢ|nᵢ|)`` over signed notionals."""

    scan_initial: float = 0.0
    scan_maintenance: float = 0.0
    floor: float = 0.0
    idio_maintenance: float = 1.0
    """Maintenance's idiosyncratic share of the initial one's."""


@dataclass(frozen=True)
class OrderRules:
    """How many orders a venue lets an account have, from one day on."""

    from_ms: int = 0
    most: int | None = None
    """Of the account at the venue, all markets together; None: any number."""
    most_each: int | None = None
    """In one market."""


@dataclass(frozen=True)
class Contract:
    """Everything a run needs to know of a venue: dated terms per market, the dated law, portfolio margin."""

    terms: dict[str, tuple[Terms, ...]]
    law: tuple[Law, ...] = field(default=(Law(),))
    portfolio: Portfolio | None = None
    """None: no account can have portfolio margin."""
    orders: tuple[OrderRules, ...] = field(default=(OrderRules(),))
