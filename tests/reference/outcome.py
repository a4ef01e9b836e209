"""What a play leaves behind: one plain record per event, money in micro-units, in the order in which they happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from tests.reference.sharing import Share

NO_ORDER = -1
CROSS = "cross"
"""Name of the one cross pool; an isolated pool has its symbol's name."""


@dataclass(frozen=True)
class Fill:
    order: int
    ts: int
    symbol: str
    lots: int
    quote: int
    """Cash, signed, without the fee: negative for a purchase."""
    fee: int
    realized: int
    cause: str
    """strategy, liquidation, delisting, adl, reorg or opening"""
    liquidity: str = "taker"
    spread: int = 0
    impact: int = 0
    drift: int = 0
    """What a taker paid beside the path's price."""
    latency: int = 0
    """What the way from decision to fill cost, drift included."""

    @property
    def slip(self) -> int:
        return self.spread + self.impact + self.drift


@dataclass(frozen=True)
class Payment:
    """A funding settlement of an open position; positive is received."""

    ts: int
    symbol: str
    lots: int
    payment: int


@dataclass(frozen=True)
class Liquidation:
    """One row of a liquidation: a step, one of several positions closed at once, or a shortfall without any."""

    ts: int
    pool: str
    symbol: str
    stage: str
    """whole, partial, position, backstop, adl, socialised, deleveraged or shortfall"""
    lots: int
    """What was traded: the position's opposite."""
    insurance: int
    """What the fund received, or paid (negative)."""
    bad_debt: int
    adl_loss: int
    """What filling at the bankruptcy price cost the other side."""
    equity_before: int
    maintenance_before: int
    equity_after: int
    maintenance_after: int

    @property
    def penalty(self) -> int:
        return max(0, self.insurance)


@dataclass(frozen=True)
class Move:
    """Money between the wallet and a symbol's isolated pool; positive: into the pool."""

    ts: int
    symbol: str
    amount: int


@dataclass(frozen=True)
class OrderEnd:
    number: int
    ts_sent: int
    ts_arrived: int
    """-1: never arrived."""
    ts_done: int
    symbol: str
    lots: int
    """As sent or amended, before any clipping to the position."""
    status: str
    """filled, cancelled, expired or rejected"""
    reason: str
    have: int
    need: int
    """The two numbers of a rejection for margin or a limit; else 0."""
    filled: int
    type: str = "market"
    """Of the order; an amendment that was refused is of type amend."""
    limit: float | None = None
    stop: float | None = None
    """As they were when it ended."""
    triggered: int = -1
    """When; -1: it was not."""
    parent: int = NO_ORDER
    target: int = NO_ORDER
    """Of an amendment: the order that it was about."""


@dataclass(frozen=True)
class GasPaid:
    """For a message's inclusion; `kind` is order, cancel, amendment, deposit or withdrawal."""

    ts: int
    number: int
    kind: str
    amount: int


@dataclass(frozen=True)
class TransferRow:
    """A change of a transfer's state: sent, arrived or rejected."""

    ts: int
    number: int
    kind: str
    """deposit or withdrawal"""
    state: str
    route: int
    amount: int
    fee: int = 0
    reason: str = "none"
    have: int = 0
    need: int = 0


@dataclass(frozen=True)
class CancelEnd:
    number: int
    order: int
    ts_sent: int
    ts_arrived: int
    """-1: never arrived."""
    hit: bool


@dataclass
class Outcome:
    fills: list[Fill] = field(default_factory=list)
    funding: list[Payment] = field(default_factory=list)
    liquidations: list[Liquidation] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    orders: list[OrderEnd] = field(default_factory=list)
    """In order of number."""
    cancels: list[CancelEnd] = field(default_factory=list)
    gas: list[GasPaid] = field(default_factory=list)
    transfers: list[TransferRow] = field(default_factory=list)
    lost: int = 0
    """Cancels and amendments that did nothing because of an outage or of gas."""
    ambiguous: list[tuple[int, str]] = field(default_factory=list)
    """(row's open, pool)"""
    equity: list[tuple[int, int]] = field(default_factory=list)
    """(row's close, the account's equity in micro), one per row."""
    shares: list[Share] = field(default_factory=list)
    """Of strategies that share the account."""
    idle_events: int = 0
    """Deleveraging events that met no candidate."""
    fund: int | None = None
    """What the insurance fund holds at the end; None where the venue has none."""
    missing_funding: int = 0
    error: tuple[str, int] | None = None
    """(symbol, stamp) of the missing settlement that stopped the run; the lists hold what happened before."""
    wallet: int = 0
    reserve: int = 0
    in_flight: int = 0
    pools: dict[str, int] = field(default_factory=dict)
    """Cash of each symbol's isolated pool; all zero in cross."""
    lots: dict[str, int] = field(default_factory=dict)
    drawdown: Fraction = Fraction(0)
    """The deepest inside rows, and the smallest distance to liquidation; None: nothing was held."""
    distance: Fraction | None = None
    least_gross: int | None = None
    """Of a pool that a distance was taken of, micro."""
    opening_profit: int = 0
    """Micro that positions at the start had gained at the first instant."""
    final_equity: int | None = None
    """None when the run was stopped by an error."""
