"""Acts of the orders at the venue on the way of the prices (rules-orders.md section 5)."""

from __future__ import annotations

import numpy as np

from backtest.engine.agenda import LEFT_BEHIND, ON_SHORT_WAY, ON_WAY, VOID, WAITING, awaits_any, first
from backtest.engine.compile import kernel
from backtest.engine.ends import finish
from backtest.engine.execute import execute, make, trigger, wake_children
from backtest.engine.heap import count, drop, key_at, put, slot_at
from backtest.engine.journal import EXPIRED, TIME_UP, TRAILING_STOP
from backtest.engine.layout import (
    AGENDA,
    ARMED,
    BEST_PRICE,
    BY_EXPIRY,
    BY_MARK,
    BY_TURN,
    CANDLE,
    CHILDREN,
    EXPIRES_AT,
    FOLLOWED,
    FOLLOWED_TO,
    FROZEN,
    ID,
    INTERVAL,
    LATE,
    LIMIT_AT,
    MARK,
    RESTING,
    STALE,
    STATE,
    SYMBOL,
    TOUCHED,
    TRAILERS,
    TURN,
    TYPE,
)
from backtest.engine.levels import follow, followed, has_limit, reached
from backtest.engine.outage import STILL
from backtest.engine.path import knot, knot_at, knot_from
from backtest.engine.slots import NEVER_MS, first_of, look_again, next_of
from backtest.engine.timing import late_for
from backtest.engine.world import World


@kernel
def expire(w: World, now: int) -> None:
    """End the orders at the venue whose time is up, by symbol and in order of arrival, and note the earliest expiry of
    the rest."""
    if w.acct[EXPIRES_AT] > now:
        return
    while count(w, BY_EXPIRY) > 0 and key_at(w, BY_EXPIRY, 0) <= float(now):
        at = slot_at(w, BY_EXPIRY, 0)
        drop(w, BY_EXPIRY, at)
        put(w, BY_TURN, at, w.queue[at, SYMBOL], 0.0, w.queue[at, TURN])
    while count(w, BY_TURN) > 0:
        finish(w, slot_at(w, BY_TURN, 0), now, EXPIRED, TIME_UP, 0, 0)
    note_expiry(w)


@kernel
def note_expiry(w: World) -> None:
    """Note the earliest expiry of the orders at the venue."""
    w.acct[EXPIRES_AT] = int(key_at(w, BY_EXPIRY, 0)) if count(w, BY_EXPIRY) > 0 else NEVER_MS


@kernel
def perform(w: World, k: int, j: int, lows: bool, t: int, t_ms: int, at: int, level: float) -> None:
    """Let the order at `at` act: one armed is triggered, a resting limit filled, a waiting market order tried again."""
    m = w.queue[at]
    number, others = int(m[ID]), int(m[CHILDREN])
    if m[STATE] == ARMED:
        trigger(w, k, j, lows, t, t_ms, at, level)
        wake_children(w, k, j, lows, t, t_ms, number, others, level)
    elif has_limit(int(m[TYPE])):
        limit = m[LIMIT_AT]
        make(w, k, j, lows, t, t_ms, at)
        wake_children(w, k, j, lows, t, t_ms, number, others, limit)
    else:
        execute(w, k, j, lows, t, t_ms, at, np.nan, False)
        wake_children(w, k, j, lows, t, t_ms, number, others, np.nan)


@kernel
def perform_until(w: World, k: int, j: int, lows: bool, passed: float, t: int, t_ms: int, short: bool) -> None:
    """Let all acts happen that are due by instant `t`, in order of the way, and trailing stops follow its knots.
    `short`: as of `meets`, the mark jumps at `t`."""
    kind = ON_SHORT_WAY if short else ON_WAY
    while True:
        x, at, level = first(w, kind, j, lows, passed, t, t_ms)
        if at < 0 or np.ceil(x) > float(t):
            break
        passed = x
        follow_all(w, j, lows, int(x), t_ms, short)
        perform(w, k, j, lows, t, t_ms, at, level)
    follow_all(w, j, lows, t, t_ms, short)


@kernel
def follow_all(w: World, j: int, lows: bool, t: int, t_ms: int, short: bool) -> None:
    """Let all trailing stops follow the knots up to `t`, or, `short`, up to the jump of an oracle's mark there."""
    if w.acct[TRAILERS] == 0:
        return
    d, late = int(w.run[INTERVAL]), int(w.run[LATE])
    by_mark = knot_at(t, late, d) - (1 if short and t == late else 0)
    until = 64 * t_ms + 8 * knot_at(t, CANDLE, d) + by_mark
    if w.acct[TOUCHED] == 0 and w.acct[FOLLOWED_TO] == until:
        return  # between two knots there is nothing to follow
    w.acct[FOLLOWED_TO] = until
    for i in range(w.spec.shape[0]):
        if w.acct[TOUCHED] == 0 and not reached(w, j, i):
            continue  # levels of a trailing stop reach from its best price to its own: between them nothing moves it
        at = first_of(w.book, i)
        while at >= 0:
            if w.queue[at, STATE] == ARMED and w.queue[at, TYPE] == TRAILING_STOP:
                follow_knots(w, j, i, lows, at, t, t_ms, short)
            at = next_of(w.queue, at)


@kernel
def follow_knots(w: World, j: int, i: int, lows: bool, at: int, t: int, t_ms: int, short: bool) -> None:
    """Let a trailing stop follow the knots up to `t` that it does not know yet; `short` as of `follow_all`."""
    m, d, late = w.queue[at], int(w.run[INTERVAL]), late_for(w, at)
    off = int(w.run[MARK]) if m[BY_MARK] != 0.0 else 0
    frozen = m[BY_MARK] != 0.0 and w.acct[FROZEN] == STILL
    last, kept = knot_at(t, late, d), m[BEST_PRICE]
    if short and t == late:
        last -= 1
    for s in range(last + 1):
        if followed(t_ms, s) > m[FOLLOWED]:
            follow(w.queue, at, w.still[0, 0, i] if frozen else knot(w.panel, off, j, i, lows, s, late))
            m[FOLLOWED] = followed(t_ms, s)
            w.book[i, STALE] = 1
    if m[BEST_PRICE] != kept:
        look_again(w, at)


@kernel
def follow_frozen(w: World, j: int, lows: bool, t: int, t_ms: int) -> None:
    """Let the trailing stops by mark follow the knots before `t` at the mark that stands still, before it moves on."""
    for i in range(w.spec.shape[0] if w.acct[RESTING] > 0 else 0):
        at = first_of(w.book, i)
        while at >= 0:
            m = w.queue[at]
            if m[STATE] == ARMED and m[TYPE] == TRAILING_STOP and m[BY_MARK] != 0.0:
                follow_knots(w, j, i, lows, at, t - 1, t_ms, False)
            at = next_of(w.queue, at)


@kernel
def skip_knots(w: World, t: int, t_ms: int) -> None:
    """Let no trailing stop follow the knots before `t`: nobody has seen them."""
    d = int(w.run[INTERVAL])
    w.acct[AGENDA] = VOID
    for i in range(w.spec.shape[0] if w.acct[RESTING] > 0 else 0):
        at = first_of(w.book, i)
        while at >= 0:
            m = w.queue[at]
            if m[STATE] == ARMED and m[TYPE] == TRAILING_STOP:
                m[FOLLOWED] = max(m[FOLLOWED], followed(t_ms, knot_from(t, late_for(w, at), d) - 1))
            at = next_of(w.queue, at)


@kernel
def catch_up(w: World, k: int, j: int, lows: bool, t: int, t_ms: int) -> None:
    """Let the orders act at `t`, in order of arrival, each once, that the standstill before it has left beyond."""
    w.acct[AGENDA] = VOID
    while True:
        at = first(w, LEFT_BEHIND, j, lows, 0.0, t, t_ms)[1]
        if at < 0:
            return
        perform(w, k, j, lows, t, t_ms, at, np.nan)


@kernel
def retry(w: World, k: int, j: int, lows: bool, t_ms: int) -> None:
    """Execute the market orders that wait for a price or for volume, at a row's open, in order of arrival."""
    any_waits = False
    for i in range(w.spec.shape[0]):
        any_waits = any_waits or awaits_any(w, i)
    w.acct[AGENDA] = VOID
    while any_waits:
        at = first(w, WAITING, j, lows, 0.0, 0, t_ms)[1]
        if at < 0:
            return
        perform(w, k, j, lows, 0, t_ms, at, np.nan)
