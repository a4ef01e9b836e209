"""One row on its way from open to close, from instant to instant (docs/reference/rules.md section 4)."""

from __future__ import annotations

import numpy as np

from backtest.engine.acts import (
    catch_up,
    expire,
    follow_all,
    follow_frozen,
    note_expiry,
    perform_until,
    retry,
    skip_knots,
)
from backtest.engine.agenda import ON_WAY, first, new_row
from backtest.engine.bound import surely_healthy
from backtest.engine.closing import TAKE_POOL
from backtest.engine.compile import kernel
from backtest.engine.deleverage import deleverage
from backtest.engine.guard import rows_for
from backtest.engine.jump import jump
from backtest.engine.layout import (
    CALENDAR_AT,
    CALENDAR_KIND,
    CALENDAR_PAYLOAD,
    CALENDAR_STAMP,
    CAP,
    EVERY,
    EXPIRES_AT,
    FLIGHTS,
    FROZEN,
    FUNDING_AT,
    HALTED_NOW,
    INTERVAL,
    LATE,
    LOGGED,
    LOTS,
    MARK,
    NEW_LAW,
    OUT_END,
    OUT_SPARED,
    PORTION,
    PROCESSES,
    REORG,
    RESTING,
    RUN_LAW,
    SOFT,
    SPARED,
    STAMP,
    STEP,
    TAKE,
    TOUCHED,
)
from backtest.engine.levels import may_act
from backtest.engine.liquidation import check, note_ambiguous
from backtest.engine.lowest import note_way
from backtest.engine.margin import adverse
from backtest.engine.orders import process_messages
from backtest.engine.outage import next_turn, on_after, see_again, turn
from backtest.engine.reorg import undo_soft
from backtest.engine.settle import settle_funding
from backtest.engine.slots import next_arrival
from backtest.engine.terms import take_terms
from backtest.engine.world import World

ROWS_PER_ORDER = 16
"""Most journal rows that an order writes in one row."""


@kernel
def next_due(w: World, t: int, t_ms: int, d: int) -> int:
    """The next time after `t`, in thirds, at which a change of terms, a settlement, a deleveraging, a message or the
    end of an order is due in the row, or an oracle's mark jumps; else its close."""
    due = 3 * d
    if t < int(w.run[LATE]):
        due = int(w.run[LATE])
    if w.acct[CALENDAR_AT] < w.calendar.shape[0]:
        stamp = 3 * (int(w.calendar[w.acct[CALENDAR_AT], CALENDAR_STAMP]) - t_ms)
        if stamp > t:
            due = min(due, stamp)
    at = w.acct[FUNDING_AT]
    if at < w.funding.shape[0]:
        due = min(due, 3 * (int(w.funding[at, STAMP]) - t_ms))
    if w.acct[FLIGHTS] > 0:
        # what has arrived by `t` is in flight no more
        due = min(due, 3 * (int(next_arrival(w)) - t_ms))
    if w.acct[RESTING] > 0 and t_ms + t // 3 < w.acct[EXPIRES_AT] < t_ms + due // 3 + 1:
        note_expiry(w)  # what was noted may be of an order that has ended
        if w.acct[EXPIRES_AT] > t_ms + t // 3:
            due = min(due, 3 * (w.acct[EXPIRES_AT] - t_ms))
    if w.acct[TOUCHED] != 0:
        due = min(due, next_turn(w, t, t_ms))
    return due


@kernel
def busy(w: World, j: int, t_end: int) -> bool:
    """Whether anything happens in the row that closes at `t_end`: something is due, or prices make it."""
    acct = w.acct
    if acct[TOUCHED] != 0:
        return True
    if acct[FLIGHTS] > 0 and next_arrival(w) < t_end:
        return True
    at = acct[FUNDING_AT]
    if acct[PROCESSES] > 0 or (at < w.funding.shape[0] and w.funding[at, STAMP] < t_end):
        return True
    at = acct[CALENDAR_AT]
    if at < w.calendar.shape[0] and w.calendar[at, CALENDAR_STAMP] < t_end:
        return True
    return may_act(w, j, t_end) or not surely_healthy(w, j)


@kernel
def open_row(w: World, k: int, j: int, lows: bool, t_ms: int) -> bool:
    """What happens at the open of row `k`; False if a needed settlement is missing."""
    new_row(w)
    if w.acct[TOUCHED] != 0:
        turn(w, j, lows, 0, t_ms)
        see_again(w)
    if w.acct[RESTING] > 0:
        expire(w, t_ms)
    if not settle_funding(w, k, j, lows, 0, t_ms):
        return False
    if w.acct[HALTED_NOW] != 0:
        if w.acct[FLIGHTS] > 0:
            process_messages(w, k, j, lows, 0, t_ms)
        return True
    if w.acct[RESTING] > 0 or w.acct[PROCESSES] > 0 or not surely_healthy(w, j):
        jump(w, k, j, lows, 0, t_ms)
        follow_all(w, j, lows, 0, t_ms, False)
    if w.acct[CALENDAR_AT] < w.calendar.shape[0]:
        deleverage(w, k, j, lows, 0, t_ms)
    if w.acct[RESTING] > 0:
        retry(w, k, j, lows, t_ms)
        perform_until(w, k, j, lows, 0.0, 0, t_ms, False)
    if w.acct[FLIGHTS] > 0:
        process_messages(w, k, j, lows, 0, t_ms)
    return True


@kernel
def walk_row(w: World, k: int, j: int, lows: bool, t_ms: int) -> bool:
    """Play row `k` from behind its open to its close, instant by instant; False if a needed settlement is missing."""
    d = int(w.run[INTERVAL])
    t = 0
    while t < 3 * d:
        passed = float(t)
        stands, spared = False, False
        if w.acct[TOUCHED] != 0:
            if w.run[REORG] > 0.0:
                undo_soft(w, k, t, t_ms)
            stands, spared = on_after(w, 3 * t_ms + t, OUT_END), on_after(w, 3 * t_ms + t, OUT_SPARED)
        if w.acct[RESTING] > 0:
            expire(w, t_ms + t // 3)  # what arrived too late has left its time behind
        due = next_due(w, t, t_ms, d)
        if w.acct[RESTING] > 0 and not stands:
            x, at, _ = first(w, ON_WAY, j, lows, passed, t, t_ms)
            if at >= 0:
                due = min(due, int(np.ceil(x)))
        since = t
        if not spared and (w.acct[PROCESSES] > 0 or not surely_healthy(w, j)):
            if w.acct[TOUCHED] == 0:
                note_ambiguous(w, k, j, lows, t, t_ms)
            since = check(w, k, j, lows, t, due, t_ms)
        note_way(w, j, lows, since, due, t_ms)
        t = due
        if not instant(w, k, j, lows, t, t_ms, passed, stands):
            return False
    return True


@kernel
def instant(w: World, k: int, j: int, lows: bool, t: int, t_ms: int, passed: float, stood: bool) -> bool:
    """What is due at `t` of row `k`, the walk having come from `passed`; `stood`: the chain has not moved since."""
    closing, jumps = t == 3 * int(w.run[INTERVAL]), t == int(w.run[LATE])
    returns = False
    if jumps and w.acct[RESTING] > 0 and not stood:
        perform_until(w, k, j, lows, passed, t, t_ms, True)  # as at a close, before all series jump
        passed = float(t)
    if not closing:
        if w.acct[CALENDAR_AT] < w.calendar.shape[0]:
            take_terms(w, t_ms + t // 3)
        if w.acct[TOUCHED] != 0:
            if w.acct[FROZEN] != 0 and not stood:
                follow_frozen(w, j, lows, t, t_ms)
            returns = turn(w, j, lows, t, t_ms)
        if w.acct[RESTING] > 0:
            expire(w, t_ms + t // 3)
        if not settle_funding(w, k, j, lows, t, t_ms):
            return False
        check_instant(w, k, j, lows, t, t_ms)
        if w.acct[CALENDAR_AT] < w.calendar.shape[0] and w.acct[HALTED_NOW] == 0:
            deleverage(w, k, j, lows, t, t_ms)
    if w.acct[RESTING] > 0 and not stood:
        perform_until(w, k, j, lows, passed, t, t_ms, False)
    see_again(w)
    if w.acct[RESTING] > 0 and returns:
        if stood:
            skip_knots(w, t, t_ms)
        catch_up(w, k, j, lows, t, t_ms)
    if not closing and w.acct[FLIGHTS] > 0:
        process_messages(w, k, j, lows, t, t_ms)
    return True


@kernel
def check_instant(w: World, k: int, j: int, lows: bool, t: int, t_ms: int) -> None:
    """Check the pools at `t` inside the row; where an oracle's mark jumps there, in the order of the way, with the
    orders that the jump has passed."""
    endangered = w.acct[PROCESSES] > 0 or not surely_healthy(w, j)
    if t == int(w.run[LATE]) and w.acct[HALTED_NOW] == 0:
        if w.acct[RESTING] > 0 or endangered:
            jump(w, k, j, lows, t, t_ms)
    elif w.acct[SPARED] == 0 and endangered:
        check(w, k, j, lows, t, t, t_ms)


@kernel
def room_for_row(w: World, j: int, t_end: int) -> bool:
    """Whether the journal has room for all that row may bring; a row is never played halfway.

    Per symbol at most: a liquidation (fill, row, move), a settlement at the end (fill, shortfall, move), samples and
    a call; per order: its changes of state, two fills with a move and a shortfall each, its details and its end; one
    row per settlement; per deleveraging what a liquidation has. Steps of liquidations come on top, see `rows_of_steps`.
    """
    settlements, events = 0, 0
    at = w.acct[FUNDING_AT]
    while at + settlements < w.funding.shape[0] and w.funding[at + settlements, STAMP] < t_end:
        settlements += 1
    at = w.acct[CALENDAR_AT]
    while at + events < w.calendar.shape[0] and w.calendar[at + events, CALENDAR_STAMP] < t_end:
        events += 1
    need = (
        8
        + 16 * w.spec.shape[0]
        + ROWS_PER_ORDER * (w.acct[FLIGHTS] + w.acct[RESTING])
        + 2 * settlements
        + 4 * events * w.spec.shape[0]
    )
    need += rows_for(w.guards)
    need *= 1 + w.margin_limits.shape[0]  # each strategy's part of everything
    if w.acct[TOUCHED] != 0 and w.run[REORG] > 0.0:
        need += 2 * min(w.acct[SOFT], w.soft.shape[0])
    if w.acct[PROCESSES] > 0 or events > 0 or not surely_healthy(w, j):
        if int(w.run[TAKE]) != TAKE_POOL:
            need += rows_of_steps(w, j, w.run[PORTION], w.run[CAP], w.run[EVERY])
        for n in range(at, at + events):
            law = CALENDAR_PAYLOAD - RUN_LAW
            if int(w.calendar[n, CALENDAR_KIND]) == NEW_LAW and int(w.calendar[n, law + TAKE]) != TAKE_POOL:
                portion, cap, every = w.calendar[n, law + PORTION], w.calendar[n, law + CAP], w.calendar[n, law + EVERY]
                need += rows_of_steps(w, j, portion, cap, every)
    return w.acct[LOGGED] + need <= w.log.shape[0]


@kernel
def rows_of_steps(w: World, j: int, portion: float, cap: float, every: float) -> int:
    """More journal rows than the steps of a row can write under such a law: fill and row each.

    A position that goes by a share `p` a step is below a millionth of itself after 14 / p steps, by tiers after their
    number, by a cap after the notional over it; where steps take time no more of them fit the row. Several
    liquidations of one pool may fit it.
    """
    held, gross = 0, 0.0
    for i in range(w.spec.shape[0]):
        if w.book[i, LOTS] != 0:
            held += 1
            gross += abs(adverse(w.panel, int(w.run[MARK]), j, i, -1) * float(w.book[i, LOTS]) * w.spec[i, STEP])
    steps = held * (w.spec.shape[1] + 32 + int(14.0 / max(portion, 1e-3))) + int(gross / cap)
    if every > 0.0:
        steps = min(steps, (held + 1) * (int(w.run[INTERVAL] / every) + held + 2))
    return 8 * steps + 64
