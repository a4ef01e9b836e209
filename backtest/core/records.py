"""Record types of the journal, and the `Record` of one account that the engine hands to `results`.

Units: time `*_ms` is whole milliseconds UTC; money is micro-units of the quote (int64) unless a field
says float; `lots` are signed whole lots of the market's step (int64); prices and rates are doubles.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backtest.core.rows import Rows
from backtest.core.spool import Spool

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
        ("cause", "i8"),
        ("strategy", "i8"),        # number of the one that sent it, 0 where there is one
        ("seq", "i8"),
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
        ("strategy", "i8"),        # number of the one whose order it is, 0 where there is one
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
        ("strategy", "i8"),        # number of the one that sent it, 0 where there is one
    ]
)  # fmt: skip
"""A change of a transfer's state: one row when it is sent, one when it arrives; or one, rejected."""
SIGHT = np.dtype([("ts_ms", "i8"), ("symbol", "i8"), ("market", "f8"), ("venue", "f8")])
"""A sample of the market mark at a close and of the mark that the venue went by there."""
SHARE = np.dtype(
    [
        ("seq", "i8"), ("ts_ms", "i8"),
        ("strategy", "i8"),        # number, in the order given
        ("symbol", "i8"),          # −1: of none
        ("kind", "i8"),            # ShareKind
        ("message", "i8"),         # number of the order or message; −1: none
        ("lots", "i8"),
        ("amount", "i8"),          # micro, cash received (+) or paid (−), without the fee
        ("fee", "i8"), ("realized", "i8"),  # micro; realized against the virtual position's average cost
    ]
)  # fmt: skip
"""What one strategy has of an event of the account that it shares."""
STANDING = np.dtype([(name, "i8") for name in ("ts_ms", "strategy", "pnl", "alone", "account")])
"""A sample at a close, micro: profit and loss and stand-alone initial margin of a strategy; the account's margin."""
HOLDING = np.dtype([(name, "i8") for name in ("ts_ms", "strategy", "symbol", "lots", "cost", "value")])
"""A virtual position at such a sample; `value` at the market mark."""
AMBIGUOUS = np.dtype([("ts_ms", "i8"), ("pool", "i8"), ("seq", "i8")])
MARGIN_CALL = np.dtype(
    [(name, "i8") for name in ("ts_ms", "pool", "equity", "initial", "strategy", "seq")] + [("level", "f8")]
)
"""`level`: the margin ratio of the guard that called; 0: equity fell below the initial requirement. `strategy`: whose
guard it is; −1: the venue calls."""
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

OPENING_POOL = np.dtype([("pool", "i8"), ("equity", "i8"), ("initial", "i8"), ("maintenance", "i8")])
"""A margin account at the first instant of a run that begins with positions, micro."""

EXTREME = np.dtype([("high", "f8"), ("low", "f8")])
"""Of the trade path between a fill and the symbol's next one; NaN: nothing was held then, or nothing traded."""

CURVE = ("equity", "wallet", "unrealized", "initial_margin", "maintenance_margin", "gross_notional", "net_notional")
"""Columns of `Record.curve`, quote units, one row per candle at its close."""
CLOSE = np.dtype([(name, "f8") for name in CURVE])


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
    curve: Rows
    """Of `CLOSE`, one per candle."""
    fills: Rows
    funding: Rows
    liquidations: NDArray[np.void]
    moves: Rows
    orders: Rows
    """By number."""
    ambiguous: NDArray[np.void]
    margin_calls: NDArray[np.void]
    positions: Rows
    """Samples: every position each 1 h, 4 h, 8 h or 1 d (at most 3,000 times) and at the end; and where it traded."""
    pools: Rows
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
    extremes: Rows = field(default_factory=lambda: Rows(EXTREME))
    """One row per fill; none at all: prices between fills were not looked at."""
    gas: Rows = field(default_factory=lambda: Rows(GAS))
    transfers: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, TRANSFER))
    reserve: int = 0
    """Micro outside the venue at the start."""
    final_reserve: int = 0
    final_in_flight: int = 0
    lowest: tuple[float, ...] = ()
    """Inside candles: the deepest drawdown, its ms, the smallest distance, its ms, −1: nothing held; (): not known."""
    spool: Spool | None = None
    """Where tables may go that are made of it; None: they stay in memory."""
    opening_profit: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Micro per symbol, unrealized at the first instant, of the positions at the start; none at all: there are none."""
    opening_pools: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, OPENING_POOL))
    """Margin accounts at the first instant, where there are positions."""
    sight: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, SIGHT))
    """By time, then symbol; none at all: the venue always saw the market mark."""
    shares: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, SHARE))
    """Of a shared account: what each strategy has of every event."""
    standings: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, STANDING))
    holdings: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, HOLDING))

    @property
    def start_total(self) -> int:
        """Micro that the account is worth at the first instant, reserve and positions at the start included."""
        return self.cash + self.reserve + int(self.opening_profit.sum())
