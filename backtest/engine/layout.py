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

# book: int64[symbols + 1, BOOK_WIDTH]: a row per symbol, which is also its own pool's; the last is the cross pool's
(
    LOTS,
    COST,
    CASH,
    POOL,
    HOME,
    CALLED,
    FLAGGED,
    CROSSED,
    EVENT,
    SINCE,
    NEXT,
    STEPS,
    STEPPED,
    REFUSED,
    OWN,
    VALUE_A,
    VALUE_B,
    VALUE_X,
    TRADED,
    HELD,
    ENTERED,
    BOOK_WIDTH,
) = range(22)
# LOTS signed; COST micro, what the open lots cost at average (negative: short); POOL the number of the pool that the
# symbol belongs to, HOME the one that it goes back to when a rule has isolated it; TRADED last row with a fill; HELD
# scratch, the held symbols' numbers in the first rows; ENTERED ms at which the position was opened or last flipped;
# OWN scratch, the position's own maintenance, also a mark in `deleverage`;
# REFUSED 1: its step was refused in this look; VALUE_* scratch of the crossing.
# Of a pool: CASH micro (the wallet is the cross pool's); CALLED 1 while below initial; FLAGGED last row listed as
# ambiguous; CROSSED thirds of its next act in the walk or −1, EVENT which; SINCE thirds since 1970 of the crossing that
# its liquidation began with, −1: none is on; NEXT of its next look; STEPS taken;
# STEPPED thirds of the last step of all.

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
    CALENDAR_AT,
    CALENDAR_DUE,
    PROCESSES,
    FUND,
    FUND_BLOCK,
    FUND_USED,
    IDLE_EVENTS,
    HALT_MS,
    HALT_BY,
    ACCT_WIDTH,
) = range(24)
# FUNDING_AT next settlement; QUEUED messages on their way or waiting; WAITING at least the number of orders that
# wait at the venue, exactly it between instants; LOGGED journal rows; EVENTS bits of Event
# in the current row; STATUS of Stop, with WHERE (symbol) and WHEN (ms); BASE global number of the panel's first row;
# MISSING settlements that were allowed to be missing; TARGET_AT next of the compiled strategy's targets;
# IDLE_CANCELS cancels that found nothing to cancel; CALENDAR_AT next of the calendar, CALENDAR_DUE the row in which it
# is due; PROCESSES pools being liquidated; FUND the insurance fund's balance, −1: none; FUND_USED what it paid in
# FUND_BLOCK; IDLE_EVENTS deleveraging events that met no candidate

# spec: float64[symbols, SPEC_TIERS + TIER_WIDTH × tiers]; whole numbers are exact in doubles below 2^53.
# From SPEC_TERMS on it is what the venue asks, and changes with it.
(
    STEP,
    INV_LEVERAGE,
    FIRST_ROW,
    LAST_ROW,
    UNITS,
    SPEC_TERMS,
) = range(6)
# UNITS scratch: signed micro-units of base of the held symbols, beside HELD
(
    PENALTY,
    LIMIT,
    LIMIT_UNITS,
    BETA,
    IDIO_INITIAL,
    IDIO_MAINTENANCE,
    CEIL,
    INITIAL_PPM,
    BASE_PPM,
    FRACTION_PPM,
    SIZED,
    BASE_INITIAL,
    BASE_MAINTENANCE,
    BY_SIZE_INITIAL,
) = range(SPEC_TERMS, SPEC_TERMS + 14)
# CEIL 1: rounded up, in parts per million; SIZED 1: the one tier's rates go by the position's size, from BASE_*
SHARE, LINEAR, ROOT, GROWTH, BASELINE, INCREMENT, BY_SIZE_WIDTH = range(7)  # the last two in micro-units of base
BY_SIZE_MAINTENANCE = BY_SIZE_INITIAL + BY_SIZE_WIDTH
SPEC_TIERS = BY_SIZE_MAINTENANCE + BY_SIZE_WIDTH
UPTO, INITIAL, INITIAL_LESS, MAINTENANCE, MAINTENANCE_LESS, TIER_WIDTH = range(6)

# run: float64[RUN_WIDTH]
(
    INTERVAL,
    APART,
    PATH,
    LATENCY,
    SLIPPAGE,
    FEE,
    START,
    MARK,
    ROWS,
    ALLOW_MISSING,
    SAMPLE,
    HOOKS,
    TARGET_KIND,
    KNOWN,
    PORTFOLIO,
    SCAN_INITIAL,
    SCAN_MAINTENANCE,
    FLOOR,
    ISOLATE_ABOVE,
    ADL_TOP,
    PLAIN,
    GUARDED,
    RUN_LAW,
) = range(23)
# APART 1: some symbol may have a pool of its own; MARK: panel field of the mark's open; KNOWN: of the mark at the
# close as far as it was known then; PORTFOLIO 1: the cross pool's requirement goes by the net; PLAIN 1: one pool,
# requirements that add up and no rate that goes by size, so that bounds in doubles hold for orders; from RUN_LAW on the
# venue's law, which changes with it
(
    TAKE,
    RANKING,
    PRICE,
    DELAY,
    EVERY,
    PORTION,
    ABOVE,
    MINIMUM,
    CAP,
    THEN_WHOLE,
    COOLDOWN,
    RAMP_START,
    RAMP_MS,
    SMALL,
    LAW_SLIPPAGE,
    SPREAD,
    ADJUSTMENT,
    LIQUIDATOR_FEE,
    DISCOUNT_START,
    DISCOUNT_PER_S,
    DISCOUNT_MAX,
    BOUNDED,
    BUFFER,
    BACKSTOP,
    FUND_CAP,
    BLOCK,
    FUND_WHEN_BANKRUPT,
    SHORTFALL_RULE,
    GIVE_UP,
    FUND_START,
    RUN_WIDTH,
) = range(RUN_LAW, RUN_LAW + 31)
COHERENT, WORST, BEST = range(3)
WEIGHT, TARGET_LOTS, NOTIONAL = range(3)

# calendar: float64[entries, CALENDAR_PAYLOAD + …], sorted by stamp, then kind: what changes or happens by the calendar
CALENDAR_STAMP, CALENDAR_KIND, CALENDAR_SYMBOL, CALENDAR_PAYLOAD = range(4)
NEW_TERMS, NEW_LAW, DELEVERAGE = range(3)
# payload: the spec's columns from SPEC_TERMS on; the run's from RUN_LAW on; the share of the position

# funding: float64[settlements, 3]
STAMP, FUNDING_SYMBOL, RATE = range(3)

# targets: float64[targets, 3], sorted by row, then symbol
TARGET_ROW, TARGET_SYMBOL, AMOUNT = range(3)

# queue: float64[capacity, QUEUE_WIDTH], messages in the order sent
KIND, ID, SENT, ARRIVES, SYMBOL, SIZE, REDUCE_ONLY, DECISION, WAITS, CAUSE, QUEUE_WIDTH = range(11)
ORDER, CANCEL, DONE = range(3)
# SIZE: signed lots of an order, or the number of the order to cancel; DECISION price; WAITS 1: open at the venue; CAUSE
# what sent it, of schema.Cause

# guards: float64[guards, GUARD_STATE + 2 × (symbols + 1)], one row per guard, in the order in which they look
GUARD_KIND, GUARD_SYMBOL, GUARD_LEVEL, GUARD_GOAL, GUARD_STATE = range(5)
G_CALL, G_REDUCE, G_TOP_UP, G_STOP, G_TRAIL, G_LOSS, G_AGE, G_ACCOUNT_LOSS, G_DRAWDOWN = range(9)
# GUARD_SYMBOL number of the one market that it watches, −1: every one; GUARD_LEVEL when it acts: a share, a margin
# ratio, quote or ms; GUARD_GOAL the ratio to reach, or the deposit in micro. From GUARD_STATE on it is what the guard
# remembers, two columns for each symbol or pool: of a pool 1 while its level is reached; of a position the ENTERED that
# it knows and the best mark since; of the account its highest equity, micro, in the first

# log: float64[capacity, LOG_WIDTH]; column 0 is the kind; whole numbers (below 2^53) first, then doubles
L_FILL, L_FUNDING, L_LIQUIDATION, L_MOVE, L_ORDER, L_AMBIGUOUS, L_CALL, L_POSITION, L_POOL, L_GUARD = range(10)
LOG_WIDTH = 16

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
