"""What a venue asks and how it liquidates: the dated terms of each market, the dated law, portfolio margin.

The same words as the contract between venue and engine, written again: nothing here comes from `backtest`. Money is
micro, rates are doubles, a list of dated things is sorted by `from_ms`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar


@dataclass(frozen=True)
class Tier:
    """Rates for notionals up to `upto` micro (None: without end); the deductions follow from the edges."""

    upto: int | None
    initial: float
    maintenance: float


@dataclass(frozen=True)
class BySize:
    """A rate that grows with the position's size in base units, from the tier's own rate."""

    share: float = 1.0
    linear: float = 0.0
    root: float = 0.0
    step: float = 0.0
    baseline: float = 0.0
    increment: float = 1.0


@dataclass(frozen=True)
class CeilRates:
    """Requirements rounded up, in parts per million."""

    initial_ppm: int
    base_ppm: int
    fraction_ppm: int


@dataclass(frozen=True)
class Terms:
    """What one market asks from one day on."""

    tiers: list[Tier]
    from_ms: int = 0
    flat_initial: int = 0
    """Micro on top of the initial requirement: a negative deduction."""
    flat_maintenance: int = 0
    initial_by_size: BySize | None = None
    maintenance_by_size: BySize | None = None
    ceil: CeilRates | None = None
    penalty: float = 0.0
    limit_micro: int | None = None
    limit_units: int | None = None
    """Micro-units of the base."""
    min_notional: int = 0
    """Micro: least value of an order that is not reduce-only."""
    price_band: float | None = None
    """Share of the price, below 1; None: the assumed one."""
    beta: float = 1.0
    idio: float = 0.0


@dataclass(frozen=True)
class Law:
    """How a venue liquidates from one day on. The choices are the words of the page."""

    from_ms: int = 0
    take: str = "pool"
    """pool, position, share, tier or ramp"""
    ranking: str = "largest"
    """symbol, largest, loss or maintenance"""
    price: str = "mark"
    """mark, book, fillable, bankruptcy, oracle or auction"""
    delay_ms: int = 0
    every_ms: int = 0
    portion: float = 1.0
    above_micro: int = 0
    minimum_micro: int = 0
    cap_micro: int | None = None
    then_whole: bool = False
    cooldown_ms: int | None = None
    ramp_start: float = 0.0
    ramp_ms: int = 1
    small_micro: int = 0
    slippage: float = 0.0
    spread_to_maintenance: float = 0.0
    bankruptcy_adjustment: float = 1.0
    liquidator_fee: float = 0.0
    discount_start: float = 0.0
    discount_per_s: float = 0.0
    discount_max: float = 0.0
    bounded: bool = False
    buffer: float = 0.0
    backstop: float = 0.0
    fund_micro: int | None = None
    fund_cap_micro: int | None = None
    block_ms: int = 1000
    fund_when_bankrupt: bool = True
    shortfall: str = "bad_debt"
    """bad_debt, adl or socialised"""
    adl_penalty: float = 0.0


@dataclass(frozen=True)
class Portfolio:
    scan_initial: float = 0.0
    scan_maintenance: float = 0.0
    floor: float = 0.0
    idio_maintenance: float = 1.0


@dataclass(frozen=True)
class OrderRules:
    """How many orders may be at the venue, of the account and of one market; None: any number."""

    from_ms: int = 0
    most: int | None = None
    most_each: int | None = None


@dataclass(frozen=True)
class Venue:
    terms: dict[str, list[Terms]]
    law: list[Law] = field(default_factory=lambda: [Law()])
    portfolio: Portfolio = Portfolio()
    orders: list[OrderRules] = field(default_factory=lambda: [OrderRules()])
    default_leverage: float | None = None
    """Of a symbol with a pool of its own and no leverage set."""


Dated = TypeVar("Dated", Terms, Law, OrderRules)


def in_force(dated: list[Dated], ts_ms: int) -> Dated:
    """The last that is dated at or before an instant; the first of all holds before its own date as well."""
    begun = [entry for entry in dated if entry.from_ms <= ts_ms]
    return begun[-1] if begun else dated[0]
