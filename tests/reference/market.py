"""What a play is made of: candles, marks, settlements, an account and the messages it sends. The venue: `terms`."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.reference.terms import Venue


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
class Message:
    """One line of the script, sent at the close of the row that ends at `sent_ms`.

    ``order``: `lots`, signed. ``target``: `weight` of the account's equity, signed. ``cancel``: `order` is the
    number of the message to cancel. Orders and cancels share one numbering, from 0, in the order sent; a target
    takes a number when it becomes an order, and none when there is nothing to trade.
    Settings act at once and take no number. ``leverage``: `value`. ``add_margin``: `amount` micro, from the wallet to
    the symbol's own pool. ``mode``: `mode` is cross or isolated.
    """

    sent_ms: int
    kind: str
    symbol: str = ""
    lots: int = 0
    weight: float = 0.0
    value: float = 0.0
    amount: int = 0
    mode: str = ""
    reduce_only: bool = False
    order: int = -1


@dataclass(frozen=True)
class Config:
    cash_micro: int
    margin: str = "cross"
    """cross, isolated or portfolio"""
    modes: dict[str, str] = field(default_factory=dict)
    """cross or isolated, for symbols that differ from `margin`."""
    isolate_above: float | None = None
    """Share of the cross pool's maintenance above which its largest position gets a pool of its own."""
    adl: list[tuple[int, str, float]] = field(default_factory=list)
    """(stamp, symbol or "" for any, share) of each deleveraging event, sorted by stamp."""
    adl_top: int = 1
    leverage: dict[str, float] = field(default_factory=dict)
    """Per symbol; none: nothing is asked for by leverage."""
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
