"""Column numbers of the packed arrays that kernels work on.

A compiled call costs by the number of arrays it is given, so the state of an account is a handful of
matrices and these names are their columns. `World` bundles them inside the kernels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# book: int64[symbols, BOOK_WIDTH], one row per symbol
LOTS, COST, CASH, CALLED, FLAGGED, CROSSED, VALUE_A, VALUE_B, VALUE_X, TRADED, HELD, BOOK_WIDTH = range(12)
# LOTS signed; COST micro, what the open lots cost at average (negative: short); CASH micro of the isolated pool;
# CALLED 1 while below initial; FLAGGED last row listed as ambiguous; CROSSED thirds of the crossing or −1;
# VALUE_* scratch of the crossing; TRADED last row with a fill; HELD scratch, the held symbols' numbers in the first
# rows. Pool-wide marks of a cross pool sit in row 0.

# acct: int64[ACCT_WIDTH]
(
    WALLET,
    FUNDING_AT,
    QUEUED,
    WAITING,
    NEXT_ID,
    LOGGED,
    EVENTS,
    STATUS,
    WHERE,
    WHEN,
    BASE,
    MISSING,
    TARGET_AT,
    IDLE_CANCELS,
) = range(14)
ACCT_WIDTH = 14
# FUNDING_AT next settlement; QUEUED messages on their way or waiting; WAITING at least the number of orders that
# wait at the venue, exactly it between instants; LOGGED journal rows; EVENTS bits of Event
# in the current row; STATUS of Stop, with WHERE (symbol) and WHEN (ms); BASE global number of the panel's first row;
# MISSING settlements that were allowed to be missing; TARGET_AT next of the compiled strategy's targets;
# IDLE_CANCELS cancels that found nothing to cancel

# spec: float64[symbols, SPEC_TIERS + TIER_WIDTH × tiers]; whole numbers are exact in doubles below 2^53
STEP, INV_LEVERAGE, FIRST_ROW, LAST_ROW, UNITS, SPEC_TIERS = range(6)
# UNITS scratch: signed micro-units of base of the held symbols, beside HELD
UPTO, INITIAL, INITIAL_LESS, MAINTENANCE, MAINTENANCE_LESS, TIER_WIDTH = range(6)

# run: float64[RUN_WIDTH]
(
    INTERVAL,
    ISOLATED,
    PATH,
    LATENCY,
    SLIPPAGE,
    FEE,
    PENALTY,
    START,
    MARK,
    ROWS,
    ALLOW_MISSING,
    SAMPLE,
    HOOKS,
    TARGET_KIND,
    KNOWN,
    RUN_WIDTH,
) = range(16)
# MARK: panel field of the mark's open; KNOWN: of the mark at the close as far as it was known then
COHERENT, WORST, BEST = range(3)
WEIGHT, TARGET_LOTS, NOTIONAL = range(3)

# funding: float64[settlements, 3]
STAMP, FUNDING_SYMBOL, RATE = range(3)

# targets: float64[targets, 3], sorted by row, then symbol
TARGET_ROW, TARGET_SYMBOL, AMOUNT = range(3)

# queue: float64[capacity, QUEUE_WIDTH], messages in the order sent
KIND, ID, SENT, ARRIVES, SYMBOL, SIZE, REDUCE_ONLY, DECISION, WAITS, QUEUE_WIDTH = range(10)
ORDER, CANCEL, DONE = range(3)
# SIZE: signed lots of an order, or the number of the order to cancel; DECISION price; WAITS 1: open at the venue

# log: float64[capacity, LOG_WIDTH]; column 0 is the kind; whole numbers (below 2^53) first, then doubles
L_FILL, L_FUNDING, L_LIQUIDATION, L_MOVE, L_ORDER, L_AMBIGUOUS, L_CALL, L_POSITION, L_POOL = range(9)
LOG_WIDTH = 14

EV_FILL, EV_FUNDING, EV_LIQUIDATION, EV_CALL = 1, 2, 4, 8
OK, LOG_FULL, QUEUE_FULL, MISSING_SETTLEMENT = range(4)


class World(NamedTuple):
    """What most kernels touch; shapes above. Passing an array costs, so what few need is passed beside it."""

    panel: Floats
    book: Ints
    acct: Ints
    spec: Floats
    run: Floats
    queue: Floats
    log: Floats
