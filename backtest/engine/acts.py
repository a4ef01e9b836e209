"""Which order at the venue acts next on the way of the prices, and its act (rules-orders.md section 5)."""

from __future__ import annotations

import numpy as np

from backtest.engine.compile import inlined, kernel
from backtest.engine.ends import finish
from backtest.engine.execute import execute, make, trigger, wake_children
from backtest.engine.journal import EXPIRED, TIME_UP, TRAILING_STOP
from backtest.engine.layout import (
    ACTED,
    ARMED,
    BEST_PRICE,
    BY_MARK,
    CANDLE,
    EXPIRES,
    EXPIRES_AT,
    FOLLOWED,
    FROZEN,
    HOLDS,
    INTERVAL,
    LATE,
    LIMIT_AT,
    MARK,
    RESTING,
    RISE,
    STALE,
    STATE,
    SYMBOL,
    TOUCH,
    TOUCHED,
    TYPE,
    WORKING,
)
from backtest.engine.levels import beyond, follow, followed, has_limit, level_of, reached, refresh
from backtest.engine.outage import STILL
from backtest.engine.path import knot, knot_at, knot_from, knot_time, last_knot, price_at
from backtest.engine.room import room
from backtest.engine.slots import NEVER_MS, earlier, first_of, next_of
from backtest.engine.world import World

NEVER = 1e300


@kernel
def expire(w: World, now: int) -> None:
    """End the orders at the venue whose time is up, and note the earliest expiry of the rest."""
    if w.acct[EXPIRES_AT] > now:
        return
    for i in range(w.spec.shape[0]):
        at = first_of(w.book, i)
        while at >= 0:
            if w.queue[at, EXPIRES] <= now:
                finish(w, at, now, EXPIRED, TIME_UP, 0, 0)
                at = first_of(w.book, i)
            else:
                at = next_of(w.queue, at)
    note_expiry(w)


@kernel
def note_expiry(w: World) -> None:
    """Note the earliest expiry of the orders at the venue."""
    earliest = float(NEVER_MS)
    for i in range(w.spec.shape[0]):
        at = first_of(w.book, i)
        while at >= 0:
            earliest = min(earliest, w.queue[at, EXPIRES])
            at = next_of(w.queue, at)
    w.acct[EXPIRES_AT] = int(earliest)


@kernel
def next_act(w: World, j: int, lows: bool, passed: float, t_ms: int, short: bool) -> tuple[float, int, float]:
    """`(x, slot, level)` of the first act of an order from `passed` thirds on: slot −1 for none; level NaN where it
    does not act at a price of its own on the trade path. `short`: see `meets`."""
    best_x, best_at, best_level = NEVER, -1, np.nan
    for i in range(w.spec.shape[0] if w.acct[RESTING] > 0 else 0):
        if not reached(w, j, i):
            continue
        at = first_of(w.book, i)
        while at >= 0:
            x, level = meets(w, j, i, lows, at, passed, t_ms, short)
            if x < best_x or (x == best_x and x < NEVER and earlier(w.queue, at, best_at)):
                best_x, best_at, best_level = x, at, level
            at = next_of(w.queue, at)
    if best_at >= 0 and w.queue[best_at, STATE] == ARMED and w.queue[best_at, BY_MARK] != 0.0:
        best_level = np.nan
    return best_x, best_at, best_level


@kernel
def meets(w: World, j: int, i: int, lows: bool, at: int, passed: float, t_ms: int, short: bool) -> tuple[float, float]:
    """When from `passed` thirds on the order at `at` acts, and the level that its path meets on the way; NEVER: not in
    this row; NaN: it is beyond its level already. `short`: the path of an oracle's mark only up to its jump."""
    m = w.queue[at]
    armed = m[STATE] == ARMED
    if not armed and not (m[STATE] == WORKING and has_limit(int(m[TYPE]))):
        return NEVER, np.nan
    by_mark = armed and m[BY_MARK] != 0.0
    off = int(w.run[MARK]) if by_mark else 0
    if by_mark and w.acct[FROZEN] >= STILL:
        return NEVER, np.nan  # what stands still meets nothing
    if np.isnan(w.panel[off, j, i]) or (not armed and room(w, j, i, t_ms, True) == 0):
        return NEVER, np.nan
    d, touch, holds = int(w.run[INTERVAL]), w.run[TOUCH] != 0.0, by_mark and w.run[HOLDS] != 0.0
    late = late_for(w, at)
    trails = armed and m[TYPE] == TRAILING_STOP
    kept = m[BEST_PRICE]
    found, met = NEVER, np.nan
    first, last = segment(passed, late, d), last_knot(late)
    if short and late != CANDLE:
        last = late // d + 1
        first = min(first, last - 1)
    for s in range(first, last):
        level = level_of(w.queue, at)
        a, b = knot(w.panel, off, j, i, lows, s, late), knot(w.panel, off, j, i, lows, s + 1, late)
        if beyond(w.queue, at, b, level, touch):
            found = passed
            if not beyond(w.queue, at, a, level, touch):
                since, until = float(knot_time(s, late, d)), float(knot_time(s + 1, late, d))
                # what holds until the knot has jumped there
                way = until - since if holds else (level - a) / (b - a) * (until - since)
                found, met = max(passed, since + way), level
            break
        if trails:
            follow(w.queue, at, b)  # only to look ahead: what it has followed so far is put back
    m[BEST_PRICE] = kept
    return found, met


@kernel
def segment(passed: float, late: int, d: int) -> int:
    """The segment that holds `passed`; of a knot the last one that ends with it."""
    s, last = 0, last_knot(late) - 1
    while s < last and (knot_time(s + 1, late, d) < passed or knot_time(s + 2, late, d) <= passed):
        s += 1
    return s


@inlined
def late_for(w: World, at: int) -> int:
    """How late the path is that the order at `at` looks at, as `path` has it."""
    return int(w.run[LATE]) if w.queue[at, STATE] == ARMED and w.queue[at, BY_MARK] != 0.0 else CANDLE


@kernel
def perform(w: World, k: int, j: int, lows: bool, t: int, t_ms: int, at: int, level: float) -> None:
    """Let the order at `at` act: one armed is triggered, a resting limit filled, a waiting market order tried again."""
    m = w.queue[at]
    i = int(m[SYMBOL])
    if m[STATE] == ARMED:
        trigger(w, k, j, lows, t, t_ms, at, level)
        wake_children(w, k, j, lows, t, t_ms, i, level)
    elif has_limit(int(m[TYPE])):
        limit = m[LIMIT_AT]
        make(w, k, j, lows, t, t_ms, at)
        wake_children(w, k, j, lows, t, t_ms, i, limit)
    else:
        execute(w, k, j, lows, t, t_ms, at, np.nan, False)
        wake_children(w, k, j, lows, t, t_ms, i, np.nan)


@kernel
def perform_until(w: World, k: int, j: int, lows: bool, passed: float, t: int, t_ms: int, short: bool) -> None:
    """Let all acts happen that are due by instant `t`, in order of the way, and trailing stops follow its knots.
    `short`: as of `meets`, the mark jumps at `t`."""
    while True:
        x, at, level = next_act(w, j, lows, passed, t_ms, short)
        if at < 0 or np.ceil(x) > float(t):
            break
        passed = x
        follow_all(w, j, lows, int(x), t_ms, short)
        perform(w, k, j, lows, t, t_ms, at, level)
    follow_all(w, j, lows, t, t_ms, short)


@kernel
def follow_all(w: World, j: int, lows: bool, t: int, t_ms: int, short: bool) -> None:
    """Let all trailing stops follow the knots up to `t`, or, `short`, up to the jump of an oracle's mark there."""
    for i in range(w.spec.shape[0] if w.acct[RESTING] > 0 else 0):
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
    last = knot_at(t, late, d)
    if short and t == late:
        last -= 1
    for s in range(last + 1):
        if followed(t_ms, s) > m[FOLLOWED]:
            follow(w.queue, at, w.still[0, 0, i] if frozen else knot(w.panel, off, j, i, lows, s, late))
            m[FOLLOWED] = followed(t_ms, s)
            w.book[i, STALE] = 1


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
    while True:
        first = -1
        for i in range(w.spec.shape[0] if w.acct[RESTING] > 0 else 0):
            at = first_of(w.book, i)
            while at >= 0:
                if left_behind(w, j, i, lows, at, t, t_ms) and earlier(w.queue, at, first):
                    first = at
                at = next_of(w.queue, at)
        if first < 0:
            return
        perform(w, k, j, lows, t, t_ms, first, np.nan)


@kernel
def left_behind(w: World, j: int, i: int, lows: bool, at: int, t: int, t_ms: int) -> bool:
    """Whether the order at `at` is beyond its level at `t` and has not acted there."""
    m = w.queue[at]
    armed = m[STATE] == ARMED
    if not armed and not (m[STATE] == WORKING and has_limit(int(m[TYPE]))):
        return False
    by_mark = armed and m[BY_MARK] != 0.0
    off = int(w.run[MARK]) if by_mark else 0
    if (by_mark and w.acct[FROZEN] == STILL) or np.isnan(w.panel[off, j, i]) or m[ACTED] == float(3 * t_ms + t):
        return False
    holds = by_mark and w.run[HOLDS] != 0.0
    price = price_at(w.panel, off, j, i, lows, t, int(w.run[INTERVAL]), late_for(w, at), holds)
    if not beyond(w.queue, at, price, level_of(w.queue, at), w.run[TOUCH] != 0.0):
        return False
    return armed or room(w, j, i, t_ms, True) > 0


@kernel
def awaits_any(w: World, i: int) -> bool:
    """Whether an order of the symbol waits for whatever price comes."""
    if w.book[i, STALE] != 0:
        refresh(w, i)
    return bool(w.spec[i, RISE] == -np.inf)


@kernel
def retry(w: World, k: int, j: int, lows: bool, t_ms: int) -> None:
    """Execute the market orders that wait for a price or for volume, at a row's open, in order of arrival."""
    while True:
        first = -1
        for i in range(w.spec.shape[0] if w.acct[RESTING] > 0 else 0):
            if first_of(w.book, i) < 0 or not awaits_any(w, i) or np.isnan(w.panel[0, j, i]):
                continue
            at = first_of(w.book, i)
            while at >= 0:
                m = w.queue[at]
                waits = m[STATE] == WORKING and not has_limit(int(m[TYPE]))
                if waits and m[ACTED] != float(3 * t_ms) and earlier(w.queue, at, first):
                    first = at
                at = next_of(w.queue, at)
        if first < 0:
            return
        perform(w, k, j, lows, 0, t_ms, first, np.nan)
