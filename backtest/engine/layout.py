"""Column numbers of the packed arrays that kernels work on.

The state of an account is a handful of matrices, and these names are their columns. `World` has them together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Floats3 = NDArray[np.float64]
"""With three dimensions."""
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
    FIRST_ORDER,
    LAST_ORDER,
    BUYS,
    SELLS,
    USED_ROW,
    USED_TAKER,
    USED_MAKER,
    STALE,
    WATCHED,
    SENT_AT,
    SENT_COUNT,
    STANDING,
    EXITS,
    COMING,
    BOOK_WIDTH,
) = range(36)
# LOTS signed; COST micro, what the open lots cost at average (negative: short); POOL the number of the pool that the
# symbol belongs to, HOME the one that it goes back to when a rule has isolated it; TRADED last row with a fill; HELD
# scratch, the held symbols' numbers in the first rows; ENTERED ms at which the position was opened or last flipped; OWN
# scratch, the position's own maintenance, also a mark in `deleverage`; REFUSED 1: its step was refused in this look;
# VALUE_* scratch of the crossing. Of a pool: CASH micro (the wallet is the cross pool's); CALLED 1 while below initial;
# FLAGGED last row listed as ambiguous; CROSSED thirds of its next act in the walk or −1, EVENT which; SINCE thirds
# since 1970 of the crossing that its liquidation began with, −1: none is on; NEXT of its next look; STEPS taken;
# STEPPED thirds of the last step of all. Of orders: FIRST_ORDER and LAST_ORDER slots of the symbol's list at the venue,
# −1: empty; BUYS and SELLS unfilled lots of orders that reserve;
# USED_TAKER and USED_MAKER lots that orders have filled in row USED_ROW; STALE 1: RISE and FALL of the spec are older
# than the list; WATCHED scratch, numbers of the symbols with orders in the first rows. Of a symbol's messages, of those
# of none in the last row: SENT_COUNT how many were sent at SENT_AT, ms; STANDING how many orders are at the venue,
# EXITS how many of them are reduce-only and do not sleep; COMING lots that targets count of its orders in flight.

BY_ARRIVAL, BY_ACT, BY_EXPIRY, BY_TURN, HEAPS = range(5)
# acct: int64[ACCT_WIDTH]
(
    WALLET,
    FUNDING_AT,
    FLIGHTS,
    RESTING,
    RESERVING,
    FREE_SLOT,
    SLOTS_USED,
    EXPIRES_AT,
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
    OPENED,
    DRILLED,
    RESERVE,
    IN_FLIGHT,
    OUTAGE_AT,
    HALTED_NOW,
    SPARED,
    FROZEN,
    TOUCHED,
    LOST,
    SOFT,
    SOUND,
    SOUND_AT,
    SOUND_SINCE,
    WOKEN,
    NOTED,
    TURNS,
    AGENDA,
    TRAILERS,
    FOLLOWED_TO,
    BLOCKS_USED,
    SENDER,
    HEAPED,
) = range(50)
ACCT_WIDTH = HEAPED + HEAPS
# FUNDING_AT next settlement; FLIGHTS messages on their way; RESTING orders at the venue, RESERVING those of them that
# reserve margin; FREE_SLOT first of the list of free slots, −1: none; SLOTS_USED slots that have ever been used;
# EXPIRES_AT at most the earliest expiry of an order at the venue, ms; LOGGED journal rows; EVENTS bits of Event
# in the current row; STATUS of Stop, with WHERE (symbol) and WHEN (ms); BASE global number of the panel's first row;
# MISSING settlements that were allowed to be missing; TARGET_AT next of the compiled strategy's targets;
# IDLE_CANCELS cancels that found nothing to cancel; CALENDAR_AT next of the calendar, CALENDAR_DUE the row in which it
# is due; PROCESSES pools being liquidated; FUND the insurance fund's balance, −1: none; FUND_USED what it paid in
# FUND_BLOCK; IDLE_EVENTS deleveraging events that met no candidate; OPENED 1: the open of the
# row under way has been played; DRILLED rows that were played on finer candles; RESERVE outside the venue and
# IN_FLIGHT between, micro; OUTAGE_AT first of the outages that may still be felt; HALTED_NOW, SPARED and FROZEN 1 at
# the instant that is played (FROZEN: see `outage`); TOUCHED 1: an outage touches the row; LOST cancels that an outage
# or the lack of gas has undone; SOFT fills in `soft`; SOUND what `bound` found for row SOUND_AT when the journal had
# SOUND_SINCE rows; WOKEN orders at the venue that are DUE; NOTED the next row that `lowest`
# has to look at; TURNS of messages so far; AGENDA what the heap BY_ACT is of, see `agenda`; TRAILERS trailing stops at
# the venue; FOLLOWED_TO the instant up to which they have followed, see `acts`; BLOCKS_USED rows of `blocks`; SENDER
# the strategy that sends now (`virtual`), 0 where there is one; from HEAPED on how many entries the heaps have

# spec: float64[symbols, SPEC_TIERS + TIER_WIDTH × tiers]; whole numbers are exact in doubles below 2^53.
# From SPEC_TERMS on it is what the venue asks, and changes with it.
(
    STEP,
    INV_LEVERAGE,
    INV_DEFAULT,
    FIRST_ROW,
    LAST_ROW,
    UNITS,
    RISE,
    FALL,
    MARK_RISE,
    MARK_FALL,
    LAST_TRADE,
    LAST_MARK,
    TICK,
    SPEC_TERMS,
) = range(14)
# INV_LEVERAGE 1/leverage, INV_DEFAULT 1/the venue's (see `settle.belong`); UNITS scratch: micro-units held, signed;
# RISE, FALL: a trade there or beyond may make an order act, MARK_*: a mark; LAST_TRADE, LAST_MARK: before the panel;
# TICK price step, 0: any price will do
(
    PENALTY,
    LIMIT,
    LIMIT_UNITS,
    MIN_NOTIONAL,
    PRICE_BAND,
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
) = range(SPEC_TERMS, SPEC_TERMS + 16)
# MIN_NOTIONAL least value of an order, micro; PRICE_BAND most that a taker's fill may cost beside the path's price, a
# share of it below 1; CEIL 1: rounded up, in parts per million; SIZED 1: the one tier's rates go by the
# position's size, from BASE_*
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
    START,
    MARK,
    MARKET,
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
    ISOLATED_MARGIN,
    ADL_TOP,
    PLAIN,
    GUARDED,
    TOUCH,
    VOLUME,
    TAKER_SHARE,
    MAKER_SHARE,
    STRESS,
    IMPACT,
    IMPACT_FACTOR,
    IMPACT_EXPONENT,
    DRIFT,
    DISCOUNT,
    FINE,
    CHAINED,
    SEED_LOW,
    SEED_HIGH,
    BLOCK_MS,
    MOST_A_BLOCK,
    SORTS,
    SLOPE,
    CONGESTED_ABOVE,
    MOST_CONGESTED,
    GAS_POWER,
    OUTAGE_RULE,
    TTL,
    BACKLOG,
    FORCED,
    GATE_AFTER,
    GATE,
    REORG,
    ORACLE_LIMIT,
    HOLDS,
    LATE,
    TRANSFERS,
    RUN_LAW,
) = range(56)
# APART 1: some symbol may have a pool of its own; ISOLATED_MARGIN micro that a position in one is opened with, 0: its
# initial margin; MARK: panel field of the mark's open; MARKET: of the market's own,
# where MARK is an oracle's; HOLDS 1: that holds from knot to knot; LATE: see `path`; KNOWN: field of the mark at the
# close as far as it was known then; PORTFOLIO 1: the cross pool's requirement goes by the net; PLAIN 1: one pool,
# requirements that add up and no rate that goes by size, so that bounds in doubles hold for orders; TOUCH 1: a touch
# fills a limit; VOLUME panel field of the candles' volume, −1: there is none; *_SHARE of it that orders may fill, inf:
# all; SLIPPAGE fixed, a rate; STRESS times spread and impact; IMPACT the model, with its numbers; DRIFT per √day and σ;
# DISCOUNT share off fees; FINE ms of the candles that a row may be played on, 0: none; CHAINED 1: messages take the
# way of a chain (rules-layer2.md), whose numbers follow; TRANSFERS 1: there is a reserve; from RUN_LAW on the law
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
    MOST_ORDERS,
    MOST_ORDERS_EACH,
    RUN_WIDTH,
) = range(RUN_LAW, RUN_LAW + 33)
# MOST_ORDERS at the venue of the account, MOST_ORDERS_EACH of a symbol; inf: any number
NO_IMPACT, BY_POWER, BY_VOLUME, BY_DEPTH = range(4)
COHERENT, WORST, BEST = range(3)
CANDLE = -1  # LATE of a mark that no oracle has made
WEIGHT, TARGET_LOTS, NOTIONAL = range(3)

# calendar: float64[entries, CALENDAR_PAYLOAD + …], sorted by stamp, then kind: what changes or happens by the calendar
CALENDAR_STAMP, CALENDAR_KIND, CALENDAR_SYMBOL, CALENDAR_PAYLOAD = range(4)
NEW_TERMS, NEW_LAW, DELEVERAGE = range(3)
# payload: the spec's columns from SPEC_TERMS on; the run's from RUN_LAW on; the share of the position

# funding: float64[settlements, 3]
STAMP, FUNDING_SYMBOL, RATE = range(3)
# targets: float64[targets, 3], sorted by row, then symbol
TARGET_ROW, TARGET_SYMBOL, AMOUNT = range(3)

# queue: float64[capacity, QUEUE_WIDTH]: slots of messages. Each is in flight (heap BY_ARRIVAL, or in the list of those
# that travel with one of it), or in a list: of a symbol's orders at the venue, in order of arrival, or of free slots.
(
    KIND, ID, SENT, ARRIVES, SYMBOL, SIZE, REDUCE_ONLY, DECISION, CAUSE, TYPE, TIF, LIMIT_AT, STOP_AT, BY_MARK, TRAIL,
    TRAIL_SHARE, ACTIVATION, POST_ONLY, EXPIRES, PARENT, GROUP, CHILDREN, LAST_NUMBER, TARGET, STATE, LEFT, DONE_LOTS,
    TRIGGERED, BEST_PRICE, DUE, ACTED, FOLLOWED, NEXT_SLOT, PREV_SLOT, FATE, COSTS_GAS, RANK, BEHIND, SAME_PLACE,
    AT_VENUE, TURN, OWNER, OFFSET, PLACES,
) = range(44)  # fmt: skip
QUEUE_WIDTH = PLACES + HEAPS
ORDER, CANCEL, CANCEL_ALL, AMENDMENT, DEPOSIT, WITHDRAWAL = range(6)
ON_ITS_WAY, IS_LOST, TOO_LATE = range(3)
FLYING, DORMANT, ARMED, WORKING = range(4)
# SIZE signed lots as sent (of an amendment the new size, 0: as it was); DECISION price; CAUSE what sent it, of
# enums.Cause; LIMIT_AT, STOP_AT, TRAIL, ACTIVATION prices, NaN: none; EXPIRES ms, inf: never; PARENT and GROUP
# numbers, −1: none; CHILDREN how many of the messages behind it in flight are its; LAST_NUMBER of those that were sent
# with it; TARGET the order that a cancel or an amendment is about; LEFT and DONE_LOTS signed lots, unfilled and filled;
# TRIGGERED ms, −1: not; BEST price that a trailing stop follows, NaN: none yet; DUE 1: to be executed before anything
# else; ACTED thirds since 1970 of the instant at which it acted last; FOLLOWED the last knot that a trailing stop
# knows, as `levels.followed` has it; FATE what an outage has made of it; COSTS_GAS micro; RANK order among those that
# arrive at one instant; BEHIND 1: it travels with the one before it; SAME_PLACE the next slot of the chain that begins
# in `numbered`, −1: none; AT_VENUE 1: an order that has arrived; TURN of an order at the venue, rises in order of
# arrival; OWNER the strategy that sent it; OFFSET signed share of its parent's fill price that its price is away from
# it, NaN: it has a price; from PLACES on its places in the heaps, from 1, 0: it is not there. Of a transfer: SIZE
# micro, TARGET its route's row of `ways` numbered: int64[capacity]: by number modulo capacity, the first slot of a
# chain of live orders, −1: none heaps: float64[HEAPS, capacity, HEAP_WIDTH], see `heap`: BY_ARRIVAL messages in flight,
# BY_ACT orders at the venue by when they act (`agenda`), BY_EXPIRY those whose time ends, BY_TURN scratch
# blocks: int64[capacity, BLOCK_WIDTH], see `blocks`; no rows: a block takes any number of messages

# bars: float64[bars, symbols, BAR_WIDTH]: what costs are made from, as known at the bar's start; bar b from START + b ×
# BAR_MS
BAR_MS = 3_600_000
SIGMA, TURNOVER, HALF_SPREAD, BAR_WIDTH = range(4)
# SIGMA of a day's log return, NaN: not known yet; TURNOVER quote of a day, likewise; HALF_SPREAD a rate

# depth: float64[symbols, snapshots, 1 + 2 × levels]: stamp ms (inf: no more), then distance (a rate) and quote within
# it

# fees: float64[tiers, FEE_WIDTH]: by table, then volume
FEE_FROM, FEE_WINDOW, FEE_VOLUME, FEE_MAKER, FEE_TAKER, FEE_WIDTH = range(6)
# FEE_FROM ms; FEE_WINDOW days; FEE_VOLUME quote units; rates

# turnover: int64[TURNOVER_DAYS + days]: what orders filled, micro of quote per UTC day, in a ring
TURNOVER_DAY, TURNOVER_DAYS = range(2)
# TURNOVER_DAY the last day that is in the ring, days since 1970
# ways: float64[stages, WAY_TABLE + values]: a latency by its stage; then the routes, deposits first
NETWORK, QUEUE_STAGE, WAY_BACK, TRANSFER_STAGE = range(4)
WAY_MEDIAN, WAY_SIGMA, WAY_COUNT, ROUTE_FEE, ROUTE_RATE, WAY_TABLE = range(6)
# WAY_SIGMA 0: constant; WAY_COUNT values of a table of quantiles, 0: there is none. Rows from TRANSFER_STAGE on are
# routes, with ROUTE_FEE micro and ROUTE_RATE of the amount
# outages: float64[outages, OUTAGE_WIDTH], in order; ms
OUT_START, OUT_END, OUT_SPARED, OUT_FROZEN, OUT_OVER, OUTAGE_WIDTH = range(6)
# OUT_SPARED and OUT_FROZEN ends of grace and staleness; OUT_OVER when nothing of it is left to be felt
# gas: float64[dates, GAS_WIDTH]: from ms, then micro by kind
GAS_FROM, GAS_ORDER, GAS_CANCEL, GAS_DEPOSIT, GAS_WITHDRAWAL, GAS_WIDTH = range(6)

# usual: float64[hours, 2]: range and turnover of a row as they usually are, from START's own hour on; NaN: not known
# still: float64[5, 1, symbols]: the mark that an outage has frozen, four times, as a row of a panel, and its stamp
# fresh: float64[4 × rows of the panel, symbols]: thirds of a ms since 1970 of the oracle's last publication at or
# before each row's open, and its inner knots, behind the jump; no rows: it is never stale
# soft: float64[capacity, SOFT_WIDTH]: the latest fills of orders, in a ring, for a reorg
SOFT_TS, SOFT_SYMBOL, SOFT_LOTS, SOFT_QUOTE, SOFT_FEE, SOFT_PRICE, SOFT_ID, SOFT_OWNER, SOFT_WIDTH = range(9)
# guards: float64[guards, GUARD_STATE + 3 × (symbols + 1)], one row per guard, in the order in which they look
GUARD_KIND, GUARD_SYMBOL, GUARD_LEVEL, GUARD_GOAL, GUARD_OWNER, GUARD_STATE, GUARD_EACH = *range(6), 3
(
    G_CALL, G_REDUCE, G_TOP_UP, G_STOP, G_TRAIL, G_LOSS, G_AGE, G_FUNDING, G_BASIS, G_ORACLE_AGE, G_VOLATILITY,
    G_ACCOUNT_LOSS, G_DRAWDOWN,
) = range(13)  # fmt: skip
# GUARD_SYMBOL number of the one market that it watches, −1: every one; GUARD_LEVEL when it acts: a share, a margin
# ratio, a rate, quote or ms; GUARD_GOAL the ratio to reach, the share of a position to have closed, or the deposit in
# micro; GUARD_OWNER the strategy whose it is. From GUARD_STATE on it is what the guard remembers, GUARD_EACH columns
# for each symbol or pool: of a pool 1 while its level is reached; of a position the ENTERED that it knows, the best
# mark and the largest size since; of the account its highest total, micro, in the first
# volatility: float64[hours, symbols]: σ of a day's log return over the day before each hour, NaN: not known

# log: float64[capacity, LOG_WIDTH]; column 0 is the kind; whole numbers (below 2^53) first, then doubles
(
    L_FILL, L_FUNDING, L_LIQUIDATION, L_MOVE, L_ORDER, L_AMBIGUOUS, L_CALL, L_POSITION, L_POOL, L_GUARD, L_DETAIL,
    L_STATE, L_GAS, L_TRANSFER, L_SHARE, L_STANDING, L_HOLDING,
) = range(17)  # fmt: skip
LOG_WIDTH = 18

EV_FILL, EV_FUNDING, EV_LIQUIDATION, EV_CALL, EV_ORDER, EV_TRANSFER = 1, 2, 4, 8, 16, 32
OK, LOG_FULL, QUEUE_FULL, MISSING_SETTLEMENT, DRILL = range(5)
