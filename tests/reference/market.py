"""What a play is made of: candles, marks, settlements, a venue, an account and the messages it sends."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Candle:
    """Prices in quote per base; each double is the exact rational number it is."""

    open: float
    high: float
    low: float
    close: float


@dataclass(frozen=True)
class Symbol:
    """One market. Candles, marks and settlements are stamped in whole milliseconds, candles by their open."""

    name: str
    step_micro: int
    """Millionths of the base in a lot."""
    candles: dict[int, Candle]
    marks: dict[int, Candle] = field(default_factory=dict)
    mark_interval_ms: int | None = None
    funding: list[tuple[int, float | None]] = field(default_factory=list)
    """(stamp, rate), sorted; a rate of None is an expected settlement that the data lack."""

    @property
    def first_ms(self) -> int:
        return min(self.candles)

    @property
    def last_ms(self) -> int:
        """Open of the last candle."""
        return max(self.candles)


@dataclass(frozen=True)
class Tier:
    """Rates for notionals up to `upto` micro (None: without end)."""

    upto: int | None
    initial: float
    maintenance: float


@dataclass(frozen=True)
class Venue:
    tiers: dict[str, list[Tier]]
    penalty: float
    """Share of the notional that a liquidated position pays to the insurance fund."""


@dataclass(frozen=True)
class Message:
    """One line of the script, sent at the close of the row that ends at `sent_ms`.

    ``order``: `lots`, signed. ``target``: `weight` of the account's equity, signed. ``cancel``: `order` is the
    number of the message to cancel. Orders and cancels share one numbering, from 0, in the order sent; a target
    takes a number when it becomes an order, and none when there is nothing to trade.
    """

    sent_ms: int
    kind: str
    symbol: str = ""
    lots: int = 0
    weight: float = 0.0
    reduce_only: bool = False
    order: int = -1


@dataclass(frozen=True)
class Config:
    cash_micro: int
    margin: str = "cross"
    leverage: dict[str, float] = field(default_factory=dict)
    """Per symbol; must name every symbol."""
    path: str = "coherent"
    latency_ms: int = 0
    slippage: float = 0.0
    fee: float = 0.0
    allow_missing_funding: bool = False


@dataclass(frozen=True)
class Play:
    symbols: list[Symbol]
    interval_ms: int
    venue: Venue
    config: Config
    messages: list[Message] = field(default_factory=list)
