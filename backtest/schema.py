"""Words and record types that every room shares.

Units: time `*_ms` is whole milliseconds UTC; money is micro-units of the quote (int64) unless a field
says float; `lots` are signed whole lots of the market's step (int64); prices and rates are doubles.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

SCHEMA_VERSION = 4
MICRO = 1_000_000
NO_ORDER = -1
CROSS_POOL = -1
"""Pool number of the account's one cross pool; an isolated pool has its symbol's number."""
ACCOUNT_POOL = -2
"""In place of a pool's number: the whole account."""
MARGIN_MODES = ("cross", "isolated", "portfolio")
PATHS = ("coherent", "worst", "best")
ALLOWANCES = ("missing-funding",)
BAD_SIZES = ("", "0 or less", "NaN", "infinite")


class Status(IntEnum):
    """How an order ended."""

    FILLED = 0
    CANCELLED = 1
    EXPIRED = 2
    REJECTED = 3


class Reason(IntEnum):
    """Why an order ended as it did."""

    NONE = 0
    MARGIN = 1
    """Equity would not cover the initial requirement; the record's two numbers are have and need."""
    REDUCE_ONLY = 2
    DELISTED = 3
    STEP = 4
    """Smaller than one lot of the market."""
    LIQUIDATION = 5
    STRATEGY = 6
    """Cancelled by the strategy."""
    END_OF_RUN = 7
    LIMIT = 8
    """The position would be larger than the venue's limit of its notional; the record's two numbers are both, micro."""
    HALTED = 9
    """A guard has stopped the account's trading."""
    LIMIT_SIZE = 10
    """As LIMIT, in micro-units of base."""
    QUANTITY = 11
    """Not a finite number above zero; the record's first number is an index of BAD_SIZES."""
    PRICE = 12
    """Not a finite price above zero once it is on the market's tick, or one that the order's type lacks."""
    BRACKET = 13
    """Stop, entry and target are not in order; or, of an entry, a child filled before it was complete."""
    MIN_NOTIONAL = 14
    """Worth less than the venue takes; the record's two numbers are its value and the least."""
    OPEN_ORDERS = 15
    """As many orders at the venue as it allows; the two numbers are how many there are and how many it allows."""
    POST_ONLY = 16
    """It would have taken."""
    WOULD_TRIGGER = 17
    """The stop price is on the wrong side: its condition holds already."""
    IOC = 18
    """What could not be filled at once was cancelled."""
    FOK = 19
    """It could not be filled whole at once."""
    GTD = 20
    """Its time was up."""
    OCO = 21
    """Another order of its group was filled."""
    PARENT = 22
    """The order that it was to protect ended without a fill."""
    NOT_OPEN = 23
    """An amendment of an order that is not at the venue."""
    AMEND = 24
    """An amendment that does not fit its order."""
    OUTAGE = 25
    """Lost in an outage of the chain, or too late after it."""
    GAS = 26
    """The account could not pay for its inclusion; the two numbers are equity and gas."""
    STALE = 27
    """The oracle's last price was too old."""
    GATED = 28
    """A transfer while the venue's gates were closed; with two numbers: what the chain's limits let out, and amount."""
    COLLATERAL = 29
    """A withdrawal of more than is free; the two numbers are what is free, and amount with gas."""
    RESERVE = 30
    """A deposit of more than the reserve holds; the two numbers are the reserve, and amount with gas."""
    PRICE_BAND = 31
    """All of it would have cost more than the price band allows; the two numbers are both, micro."""


class OrderType(IntEnum):
    """What kind of order it is. The conditional ones wait for their trigger."""

    MARKET = 0
    LIMIT = 1
    STOP_MARKET = 2
    STOP_LIMIT = 3
    TAKE_PROFIT_MARKET = 4
    TAKE_PROFIT_LIMIT = 5
    TRAILING_STOP = 6
    AMEND = 7
    """In the table of orders only: an amendment that was refused."""


class TimeInForce(IntEnum):
    """How long what is not filled lives."""

    GTC = 0
    IOC = 1
    FOK = 2
    GTD = 3


class Liquidity(IntEnum):
    """Which side of the book a fill was on."""

    TAKER = 0
    MAKER = 1


class OrderState(IntEnum):
    """What `on_order` is told; the last four are how an order ends, in the order of Status."""

    DORMANT = 0
    """At the venue, asleep until its parent fills."""
    ARMED = 1
    """At the venue, waiting for its trigger."""
    WORKING = 2
    """At the venue, resting at its limit; or a market order that waits for a price, or for volume."""
    TRIGGERED = 3
    PARTLY_FILLED = 4
    AMENDED = 5
    FILLED = 6
    CANCELLED = 7
    EXPIRED = 8
    REJECTED = 9


class Cause(IntEnum):
    """What made a fill."""

    STRATEGY = 0
    LIQUIDATION = 1
    DELISTING = 2
    ADL = 3
    """Auto-deleveraging: the other side's failure closed it."""
    GUARD = 4
    REORG = 5
    """A fill that the chain has undone."""


class Stage(IntEnum):
    """Kind of a row in `liquidations`."""

    WHOLE = 0
    """The whole pool, at its crossing or at a jump."""
    SHORTFALL = 1
    """No liquidation: an ordinary close left the pool below zero with nothing to carry it."""
    PARTIAL = 2
    """A step that closed a part of a position."""
    POSITION = 3
    """A step that closed the whole of one."""
    BACKSTOP = 4
    """The pool and all its margin went to the backstop."""
    ADL = 5
    """Closed at the bankruptcy price against traders on the other side."""
    SOCIALISED = 6
    """The whole pool; what was below zero was shared out."""
    DELEVERAGED = 7
    """Not this pool's failure: a profitable position was closed by auto-deleveraging."""


class Code(IntEnum):
    """Why a posting was made in the books."""

    DEPOSIT = 0
    TRADE = 1
    FEE = 2
    FUNDING = 3
    MARGIN = 4
    """Between wallet and an isolated pool."""
    PENALTY = 5
    BAD_DEBT = 6
    INSURANCE = 7
    """Paid by the insurance fund."""
    GAS = 8
    TRANSFER = 9
    """Between reserve or venue and the money in flight."""
    BRIDGE = 10
    """The fee of a transfer's route."""


class GasKind(IntEnum):
    """What gas was paid for."""

    ORDER = 0
    CANCEL = 1
    AMENDMENT = 2
    DEPOSIT = 3
    WITHDRAWAL = 4


class TransferKind(IntEnum):
    """Which way money goes."""

    DEPOSIT = 0
    """From the reserve to the venue."""
    WITHDRAWAL = 1


class TransferState(IntEnum):
    """What has become of a transfer."""

    SENT = 0
    ARRIVED = 1
    REJECTED = 2


FILL = np.dtype(
    [
        ("seq", "i8"), ("order_id", "i8"), ("ts_ms", "i8"), ("symbol", "i8"), ("pool", "i8"),
        ("lots", "i8"),        # signed, bought positive
        ("quote", "i8"),       # cash paid (−) or received (+), micro, without the fee
        ("fee", "i8"),         # micro, negative: a rebate
        ("spread", "i8"),      # micro, ≥ 0: what half the spread (fixed slippage with it) added to the cost
        ("impact", "i8"),      # micro, ≥ 0: what its size added
        ("drift", "i8"),       # micro, ≥ 0: what an adverse move in the time of its way added
        ("latency", "i8"),     # micro, signed, > 0 a cost: what the way from decision to fill cost, drift included
        ("realized", "i8"),    # micro, against average cost, without fees; a report value
        ("cause", "i8"),       # Cause
        ("liquidity", "i8"),   # Liquidity
        ("price", "f8"),       # with slippage
        ("decision_price", "f8"), ("arrival_price", "f8"),
    ]
)  # fmt: skip
FUNDING = np.dtype(
    [
        ("seq", "i8"), ("ts_ms", "i8"), ("symbol", "i8"), ("pool", "i8"), ("lots", "i8"),
        ("payment", "i8"),     # micro, positive: received
        ("price", "f8"), ("rate", "f8"),
        ("missing", "i8"),     # 1: the data lack this settlement, nothing was paid
    ]
)  # fmt: skip
LIQUIDATION = np.dtype(
    [
        ("seq", "i8"), ("ts_ms", "i8"), ("pool", "i8"), ("symbol", "i8"), ("stage", "i8"),
        ("lots", "i8"),        # signed, what was traded: the position's opposite
        ("penalty", "i8"),     # micro, ≥ 0, to the insurance fund
        ("insurance", "i8"),   # micro, what the fund received (+) or paid (−)
        ("bad_debt", "i8"),    # micro, ≥ 0, what others bore
        ("adl_loss", "i8"),    # micro, ≥ 0: what the fill at the bankruptcy price cost the other side; no posting
        ("equity_before", "i8"), ("maintenance_before", "i8"),
        ("equity_after", "i8"), ("maintenance_after", "i8"),
        ("ambiguous", "i8"), ("price", "f8"),
    ]
)  # fmt: skip
MOVE = np.dtype([("seq", "i8"), ("ts_ms", "i8"), ("symbol", "i8"), ("amount", "i8")])
"""Money between the wallet and a symbol's isolated pool; positive: into the pool."""
ORDER = np.dtype(
    [
        ("order_id", "i8"), ("ts_sent_ms", "i8"),
        ("ts_arrived_ms", "i8"),   # −1: never arrived
        ("ts_done_ms", "i8"), ("symbol", "i8"), ("lots", "i8"), ("reduce_only", "i8"),
        ("status", "i8"), ("reason", "i8"), ("have", "i8"), ("need", "i8"), ("filled", "i8"),
        ("cause", "i8"), ("seq", "i8"),
        ("type", "i8"), ("tif", "i8"), ("by_mark", "i8"), ("post_only", "i8"),
        ("expires_ms", "i8"),      # −1: never
        ("triggered_ms", "i8"),    # −1: it was not
        ("parent", "i8"), ("group", "i8"),  # numbers, NO_ORDER: none
        ("target", "i8"),          # of an amendment: the order it was about; else NO_ORDER
        ("limit_price", "f8"), ("stop_price", "f8"),  # NaN: none; as they were when it ended
        ("trail", "f8"),           # NaN: none
        ("trail_share", "i8"),     # 1: `trail` is a share of the best price, 0: an absolute distance
        ("activation", "f8"),
    ]
)  # fmt: skip
ORDER_EVENT = np.dtype(
    [
        ("seq", "i8"), ("ts_ms", "i8"), ("order_id", "i8"), ("symbol", "i8"),
        ("state", "i8"),           # OrderState
        ("reason", "i8"), ("left", "i8"), ("filled", "i8"),  # lots, signed
    ]
)  # fmt: skip
"""A change of an order's state, for `on_order`; in the journal only where that hook is written."""
GAS = np.dtype(
    [
        ("seq", "i8"), ("ts_ms", "i8"),
        ("order_id", "i8"),        # number of the message, a transfer's too
        ("kind", "i8"),            # GasKind
        ("amount", "i8"),          # micro, ≥ 0, out of the wallet; a deposit's out of the reserve
    ]
)  # fmt: skip
TRANSFER = np.dtype(
    [
        ("seq", "i8"), ("ts_ms", "i8"), ("order_id", "i8"),
        ("kind", "i8"),            # TransferKind
        ("state", "i8"),           # TransferState
        ("route", "i8"),           # number of the chain's route
        ("amount", "i8"),          # micro, what left; of one rejected what was asked
        ("fee", "i8"),             # micro of the route, paid on arrival; 0 in other states
        ("arrives_ms", "i8"),      # when it arrives, if the venue is open then; −1: never
        ("reason", "i8"), ("have", "i8"), ("need", "i8"),
    ]
)  # fmt: skip
"""A change of a transfer's state: one row when it is sent, one when it arrives; or one, rejected."""
SIGHT = np.dtype([("ts_ms", "i8"), ("symbol", "i8"), ("market", "f8"), ("venue", "f8")])
"""A sample of the market's mark at a close and of the mark that the venue went by there."""
AMBIGUOUS = np.dtype([("ts_ms", "i8"), ("pool", "i8"), ("seq", "i8")])
MARGIN_CALL = np.dtype(
    [("ts_ms", "i8"), ("pool", "i8"), ("equity", "i8"), ("initial", "i8"), ("seq", "i8"), ("level", "f8")]
)
"""`level`: the margin ratio of the guard that called; 0: equity fell below the initial requirement."""
GUARD = np.dtype(
    [
        ("seq", "i8"), ("ts_ms", "i8"),
        ("guard", "i8"),       # number, in the order in which they look
        ("symbol", "i8"),      # −1: not about one
        ("pool", "i8"),        # ACCOUNT_POOL: about the whole account
        ("order_id", "i8"),    # NO_ORDER: none was sent
        ("value", "f8"),       # what made it act, in the unit of its level; NaN: a ratio to equity that is not positive
    ]
)  # fmt: skip
POSITION = np.dtype(
    [
        ("ts_ms", "i8"), ("symbol", "i8"), ("pool", "i8"), ("lots", "i8"),
        ("cost", "i8"),        # micro, signed: what the open lots were bought for, at average cost
        ("mark", "f8"), ("liquidation_price", "f8"),  # NaN: none
    ]
)  # fmt: skip
POOL = np.dtype([("ts_ms", "i8"), ("pool", "i8"), ("equity", "f8"), ("initial", "f8"), ("maintenance", "f8")])
"""A pool's margin at a candle's close, in quote units."""

EXTREME = np.dtype([("high", "f8"), ("low", "f8")])
"""Of the trade path between a fill and the symbol's next one; NaN: nothing was held then, or nothing traded."""

CURVE = ("equity", "wallet", "unrealized", "initial_margin", "maintenance_margin", "gross_notional", "net_notional")
"""Columns of `Record.curve`, quote units, one row per candle at its close."""


@dataclass(frozen=True)
class Record:
    """Everything one account lived through: what the engine hands to `results`."""

    symbols: tuple[str, ...]
    step_micro: NDArray[np.int64]  # per symbol, millionths of the base in a lot
    margin: str
    interval_ms: int
    start_ms: int
    cash: int
    """Micro, deposited at the start."""
    curve: NDArray[np.float64]
    """[rows, len(CURVE)]"""
    fills: NDArray[np.void]
    funding: NDArray[np.void]
    liquidations: NDArray[np.void]
    moves: NDArray[np.void]
    orders: NDArray[np.void]
    ambiguous: NDArray[np.void]
    margin_calls: NDArray[np.void]
    positions: NDArray[np.void]
    """Samples: every position each 1 h, 4 h, 8 h or 1 d (at most 3,000 times) and at the end; and where it traded."""
    pools: NDArray[np.void]
    """Samples at the same times, of every pool that holds something."""
    final_wallet: int
    final_pool_cash: NDArray[np.int64]
    """Micro per symbol; zeros in cross."""
    final_lots: NDArray[np.int64]
    final_mark: NDArray[np.float64]
    final_fund: int = -1
    """Micro in the venue's insurance fund as far as this account moved it; −1: it has none."""
    counts: dict[str, int] = field(default_factory=dict)
    """What was skipped, assumed or filled in, by name: shown in every report."""
    guards: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, GUARD))
    """What guards did, in order."""
    guard_names: tuple[str, ...] = ()
    """Their texts, by number."""
    leverage_set: tuple[str, ...] = ()
    """Symbols of which the strategy set the leverage."""
    extremes: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, EXTREME))
    """One row per fill; none at all: prices between fills were not looked at."""
    gas: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, GAS))
    transfers: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, TRANSFER))
    reserve: int = 0
    """Micro outside the venue at the start."""
    final_reserve: int = 0
    final_in_flight: int = 0
    lowest: tuple[float, ...] = ()
    """Inside candles: the deepest drawdown, its ms, the smallest distance, its ms, −1: nothing held; (): not known."""
    sight: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, SIGHT))
    """By time, then symbol; none at all: the venue always saw the market's mark."""
