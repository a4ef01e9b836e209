"""One row of the panel, and the loop over rows (docs/reference/rules.md section 4).

Cheap first: a row in which nothing is due and even the worst bound is healthy costs a few additions per
symbol; everything else walks from instant to instant.
"""

from __future__ import annotations

import numpy as np

from backtest.engine.acts import expire
from backtest.engine.bound import surely_healthy
from backtest.engine.closing import TAKE_POOL
from backtest.engine.compile import called, kernel
from backtest.engine.fine import end_row
from backtest.engine.glide import glide, quiet_until
from backtest.engine.guard import messages_for
from backtest.engine.layout import (
    BASE,
    CALENDAR_AT,
    CALENDAR_DUE,
    CALENDAR_KIND,
    CALENDAR_STAMP,
    CANDLE,
    DELEVERAGE,
    DRILL,
    EVENTS,
    FINE,
    FLIGHTS,
    FUNDING_AT,
    FUNDING_SYMBOL,
    GUARDED,
    HOOKS,
    INTERVAL,
    LATE,
    LOG_FULL,
    LOGGED,
    LOTS,
    MAKER_SHARE,
    OK,
    OPENED,
    PROCESSES,
    QUEUE_FULL,
    RESTING,
    STAMP,
    START,
    STATUS,
    TAKE,
    TAKER_SHARE,
    TOUCHED,
)
from backtest.engine.levels import may_act
from backtest.engine.lowest import note_ahead, note_whole
from backtest.engine.outage import touch_row
from backtest.engine.path import lows_first
from backtest.engine.slots import next_arrival
from backtest.engine.terms import take_terms
from backtest.engine.walk import ROWS_PER_ORDER, open_row, room_for_row, walk_row
from backtest.engine.world import World


@kernel
def play_row(w: World, k: int) -> bool:
    """Play row `k` whole, or not at all: False, and `acct[STATUS]` says what is needed first.

    Only what a drill has to show is played up to the row's open: then STATUS is DRILL, and `play_fine` goes on.
    """
    acct, run = w.acct, w.run
    d = int(run[INTERVAL])
    j = k - acct[BASE]
    t_ms = int(run[START]) + k * d
    if acct[CALENDAR_AT] < w.calendar.shape[0]:
        take_terms(w, t_ms)
    if w.outages.shape[0] > 0:
        touch_row(w, t_ms, t_ms + d)
    at = acct[FUNDING_AT]
    settles = at < w.funding.shape[0] and w.funding[at, STAMP] < t_ms + d
    arrives = acct[FLIGHTS] > 0 and next_arrival(w) < t_ms + d
    plain = not settles and run[TAKE] == TAKE_POOL and acct[CALENDAR_DUE] > k and run[GUARDED] == 0.0
    plain = plain and acct[TOUCHED] == 0 and w.margin_limits.shape[0] == 0
    # as `room_for_row`, which costs more than what is left of a plain row
    live = acct[FLIGHTS] + acct[RESTING]
    ample = plain and acct[LOGGED] + 8 + 16 * w.book.shape[0] + ROWS_PER_ORDER * live <= w.log.shape[0]
    if not ample and not room_for_row(w, j, t_ms + d):
        acct[STATUS] = LOG_FULL
        return False
    messages = messages_for(w.guards) if run[GUARDED] != 0.0 else 0
    if live + w.book.shape[0] + messages > w.queue.shape[0]:
        acct[STATUS] = QUEUE_FULL
        return False
    acct[EVENTS] = 0
    due = arrives or acct[PROCESSES] > 0 or settles or acct[CALENDAR_DUE] <= k or acct[TOUCHED] != 0
    if due or (acct[RESTING] > 0 and may_act(w, j, t_ms + d)) or not surely_healthy(w, j):
        lows = lows_first(w.panel, j)
        if acct[RESTING] > 0:
            expire(w, t_ms)  # what ends at the open opens nothing up
        if run[FINE] > 0.0 and inside(w, j, t_ms):
            acct[STATUS] = DRILL
            return False
        if not open_row(w, k, j, lows, t_ms):
            return False
        if run[FINE] > 0.0 and (may_act(w, j, t_ms + d) or not surely_healthy(w, j) or acct[PROCESSES] > 0):
            acct[STATUS], acct[OPENED] = DRILL, 1
            return False
        if not walk_row(w, k, j, lows, t_ms):
            return False
    else:
        note_whole(w, j, t_ms)
    end_row(w, k, j, t_ms + d)
    return True


@kernel
def inside(w: World, j: int, t_ms: int) -> bool:
    """Whether something may happen behind the open of panel row `j`, or at it in what a finer candle decides: where an
    oracle is late the mark at the open is inside of a candle, too."""
    late = int(w.run[LATE]) != CANDLE
    t_end = t_ms + int(w.run[INTERVAL])
    if w.acct[PROCESSES] > 0 or may_act(w, j, t_end) or not surely_healthy(w, j):
        return True
    capped = w.run[TAKER_SHARE] < np.inf or w.run[MAKER_SHARE] < np.inf
    if w.acct[FLIGHTS] > 0:
        arrives = next_arrival(w)
        if arrives < t_end and (arrives > t_ms or capped or late):
            return True
    at = w.acct[FUNDING_AT]
    while at < w.funding.shape[0] and w.funding[at, STAMP] < t_end:
        if w.funding[at, STAMP] > t_ms or (late and w.book[int(w.funding[at, FUNDING_SYMBOL]), LOTS] != 0):
            return True
        at += 1
    at = w.acct[CALENDAR_AT]
    stamp = w.calendar[at, CALENDAR_STAMP] if at < w.calendar.shape[0] else np.inf
    return stamp < t_end and (t_ms < stamp or (late and w.calendar[at, CALENDAR_KIND] == DELEVERAGE))


@called
def advance(w: World, first: int, end: int) -> int:
    """Play rows `[first, end)` and return the next row to play.

    It is less than `end` when something needs Python: `acct[STATUS]` says what (journal or queue full, a
    settlement missing, finer candles), or `OK` after a row with an event that the strategy has a hook for.
    """
    note_ahead(w, first)
    w.acct[STATUS], w.acct[EVENTS] = OK, 0
    hooks = int(w.run[HOOKS])
    k = first
    while k < end:
        k = glide(w, k, quiet_until(w, k, end), True)
        if k == end:
            break
        if not play_row(w, k):
            break
        k += 1
        if w.acct[EVENTS] & hooks != 0:
            break
    return k


@called
def ahead(w: World, first: int, end: int) -> int:
    """Write the curve of the quiet rows from `first` on and return the first that is not, `end` at most.

    They may be played again, so their lows are noted when the account has gone on from them (`note_ahead`).
    """
    note_ahead(w, first)
    return glide(w, first, quiet_until(w, first, end), False)
