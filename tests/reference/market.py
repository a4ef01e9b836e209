"""What a play is made of: candles, marks, settlements, an account and the messages it sends. The venue: `terms`."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.reference.chain import Beside
from tests.reference.terms import Venue


@dataclass(frozen=True)
class Candle:
    """Prices in quote per base; each double is the exact rational number it is."""

    open: float
    high: float
    low: float
    close: float
    volume: float = 1.0
    """Base units."""


@dataclass(frozen=True)
class Published(Candle):
    """What an oracle says in a row; its high and low are those of all that it may have said there."""

    knots: tuple[tuple[int, float], ...] = ()
    """(thirds from the row's open, price), open and close included; two at one time where it jumps."""
    holds: bool = False
    """Each price until the next knot, as a staircase; else they are straight between the knots."""


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

    ``order``: `lots`, signed, and what follows it, with its `children`. ``oco``: the orders in `children`, of which one
    cancels the others. ``target``: `weight` of the account's equity, signed. ``cancel`` and ``amend``: `order` is the
    number of the order; an amendment has a new size in `lots` (0: as it was), a new `limit`, a new `stop`.
    ``cancel_all``: of `symbol`, or of the account where that is "". All these share one numbering, from 0, in the order
    sent; children come behind their parent; a target takes a number when it becomes an order, and none when there is
    nothing to trade.
    Settings act at once and take no number. ``leverage``: `value`. ``add_margin``: `amount` micro, from the wallet to
    the symbol's own pool. ``mode``: `mode` is cross or isolated.
    ``deposit`` and ``withdraw``: `amount` micro by the `route`; they take a number, whatever becomes of them.
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
    type: str = "market"
    """market, limit, stop_market, stop_limit, take_profit_market, take_profit_limit or trailing_stop"""
    limit: float | None = None
    stop: float | None = None
    by_mark: bool = False
    trail: float | None = None
    trail_share: bool = True
    activation: float | None = None
    tif: str = "gtc"
    """gtc, ioc, fok or gtd"""
    expires_ms: int | None = None
    post_only: bool = False
    children: tuple[Message, ...] = ()
    offset: float | None = None
    """Of a child without a price: the signed share of its parent's fill price by which its price is away from it."""
    route: int = 0
    sender: int = 0
    """Strategy of a shared account."""


@dataclass(frozen=True)
class Impact:
    """What the size of a taker's fill costs."""

    model: str
    """power, volume or depth"""
    factor: float = 0.0
    exponent: float = 0.5


@dataclass(frozen=True)
class Bar:
    """What is known of a symbol at the beginning of an hour; None: not yet."""

    sigma: float | None = None
    """Of a day's log return."""
    turnover: float | None = None
    """Quote units of a day."""
    half: float | None = None
    """Half the spread, a rate."""


@dataclass(frozen=True)
class Snapshot:
    """Depth of a book: (distance from the middle as a rate, quote units within it), both rising."""

    ts: int
    levels: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class FeeTable:
    """Rates from one day on, by the volume in quote units of the whole UTC days before: (volume, maker, taker)."""

    from_ms: int
    window_days: int
    tiers: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Placed:
    """A position at the start: section 2.1."""

    symbol: str
    lots: int
    entry: float | None = None
    """None: it is bought at the first open."""
    posted: int = 0
    """Micro of its isolated account."""


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
    posted: int | None = None
    """Micro that an isolated position is opened with, if the wallet has them; None: its initial requirement."""
    leverage: dict[str, float] = field(default_factory=dict)
    """Per symbol; none: nothing is asked for by leverage."""
    path: str = "coherent"
    latency_ms: int = 0
    slippage: float = 0.0
    """Fixed: beside half the spread."""
    stress: float = 1.0
    """Times spread and impact."""
    impact: Impact | None = None
    drift: float = 0.0
    """Of a day's sigma."""
    band: float | None = None
    """In place of every market's price band."""
    bars: dict[str, list[Bar]] = field(default_factory=dict)
    """By the hour from the run's start; the last holds on."""
    depth: dict[str, list[Snapshot]] = field(default_factory=dict)
    taker_share: float | None = None
    maker_share: float | None = None
    """Of a candle's volume that orders may fill; None: all they want."""
    touch: bool = False
    """A touch fills a limit order, the path need not go through."""
    fee: float = 0.0
    """Maker's and taker's, where there are no tables."""
    fees: tuple[FeeTable, ...] = ()
    discount: float = 0.0
    """Share off positive fees."""
    allow_missing_funding: bool = False
    opening: tuple[Placed, ...] = ()
    """Positions at the start, in the order of their symbols."""
    limits: tuple[float | None, ...] = ()
    """Margin limit of each strategy that shares the account; empty: one has it for itself."""


@dataclass(frozen=True)
class Play:
    symbols: list[Symbol]
    interval_ms: int
    venue: Venue
    config: Config
    messages: list[Message] = field(default_factory=list)
    beside: Beside = field(default_factory=Beside)
