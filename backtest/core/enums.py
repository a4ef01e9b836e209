"""Enums and constants that every room shares."""

from __future__ import annotations

from enum import IntEnum

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
SYMBOL_MODES = ("cross", "isolated")
"""Modes of a single market beside the run's mode: portfolio margin is that of a whole margin account."""
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
    """A transfer while transfers were paused; with two numbers: what the chain's limits let out, and amount."""
    COLLATERAL = 29
    """A withdrawal of more than is free; the two numbers are what is free, and amount with gas."""
    RESERVE = 30
    """A deposit of more than the reserve holds; the two numbers are the reserve, and amount with gas."""
    PRICE_BAND = 31
    """All of it would have cost more than the price band allows; the two numbers are both, micro."""
    MARGIN_LIMIT = 32
    """Beyond the strategy's share of the equity; the two numbers are that share and its stand-alone initial margin."""


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
    OPENING = 6
    """No trade: a position that the account has at the start."""


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


class ShareKind(IntEnum):
    """What a strategy's share of an event of a shared account is of."""

    FILL = 0
    CLOSING = 1
    """By liquidation or auto-deleveraging."""
    SETTLEMENT = 2
    """At the end of a market's life."""
    FUNDING = 3
    RELIEF = 4
    """Paid to the insurance fund (negative), by it, or left to others as bad debt."""
    GAS = 5
    BRIDGE = 6
    """The fee of a transfer's route."""
