"""One row of the panel, and the loop over rows (docs/rules.md section 4).

Cheap first: a row in which nothing is due and even the worst bound is healthy costs a few additions per
symbol; everything else walks from instant to instant.
"""

from __future__ import annotations

from backtest.engine.close import close_row
from backtest.engine.closing import TAKE_POOL
from backtest.engine.compile import borrowed, kernel
from backtest.engine.deleverage import deleverage
from backtest.engine.glide import glide, quiet_until
from backtest.engine.guard import messages_for, rows_for, watch
from backtest.engine.layout import (
    ARRIVES,
    BASE,
    BETA,
    CALENDAR_AT,
    CALENDAR_DUE,
    CALENDAR_KIND,
    CALENDAR_STAMP,
    CAP,
    CASH,
    DELEVERAGE,
    EVENTS,
    EVERY,
    FLOOR,
    FUNDING_AT,
    GUARDED,
    HOOKS,
    IDIO_MAINTENANCE,
    INTERVAL,
    LOG_FULL,
    LOGGED,
    LOTS,
    MAINTENANCE,
    MAINTENANCE_LESS,
    MARK,
    OK,
    POOL,
    PORTFOLIO,
    PORTION,
    PROCESSES,
    QUEUE_FULL,
    QUEUED,
    SCAN_MAINTENANCE,
    STAMP,
    START,
    STATUS,
    STEP,
    TAKE,
    TARGET_AT,
    TARGET_ROW,
    WALLET,
    Floats,
    Ints,
    World,
)
from backtest.engine.liquidation import check, note_ambiguous
from backtest.engine.margin import adverse, in_pool
from backtest.engine.orders import process_orders
from backtest.engine.path import lows_first
from backtest.engine.requirement import tier_need
from backtest.engine.send import send_targets
from backtest.engine.settle import settle_funding
from backtest.engine.terms import note_calendar, take_terms


@kernel
def surely_healthy(w: World, j: int) -> bool:
    """Whether every pool is healthy with each leg at its worst price of row `j`, by more than rounding.

    A bound in doubles: at most one micro is rounded off a value and two off a requirement, and the
    sums of doubles err by far less than 1e-12 of the gross value.
    """
    off, cross = int(w.run[MARK]), w.spec.shape[0]
    health, slack, crossed = float(w.acct[WALLET]), 4.0, False
    for i in range(cross):
        lots = w.book[i, LOTS]
        if lots == 0:
            continue
        value = adverse(w.panel, off, j, i, lots) * (float(lots) * w.spec[i, STEP])
        notional = abs(value)
        need = tier_need(w.spec, i, notional, MAINTENANCE, MAINTENANCE_LESS)
        if w.book[i, POOL] != cross:
            if not float(w.book[i, CASH]) + value - need > 4.0 + 1e-12 * notional:
                return False
        else:
            crossed = True
            health += value - need
            slack += 4.0 + 1e-12 * notional
    if crossed and w.run[PORTFOLIO] != 0.0:
        return net_surely_covered(w, j)
    return health > slack or not crossed


@kernel
def net_surely_covered(w: World, j: int) -> bool:
    """`surely_healthy` for a cross pool whose requirement goes by the net.

    The net is largest where all legs stand at one end of their candles, whichever that is, and the rest where each
    is at its largest notional; equity is lowest where each is at its worst.
    """
    off, cross = int(w.run[MARK]), w.spec.shape[0]
    equity, own, rest, low, high, slack = float(w.acct[WALLET]), 0.0, 0.0, 0.0, 0.0, 8.0
    for i in range(cross):
        if not in_pool(w.book, cross, i):
            continue
        u = float(w.book[i, LOTS]) * w.spec[i, STEP]
        worst = adverse(w.panel, off, j, i, w.book[i, LOTS]) * u
        best = adverse(w.panel, off, j, i, -w.book[i, LOTS]) * u
        n = max(abs(worst), abs(best))
        equity += worst
        own += tier_need(w.spec, i, n, MAINTENANCE, MAINTENANCE_LESS)
        rest += n * w.spec[i, IDIO_MAINTENANCE]
        low += min(worst * w.spec[i, BETA], best * w.spec[i, BETA])
        high += max(worst * w.spec[i, BETA], best * w.spec[i, BETA])
        slack += 8.0 + 1e-12 * n
    need = max(w.run[FLOOR] * own, w.run[SCAN_MAINTENANCE] * max(abs(low), abs(high)) + rest)
    return equity - need > slack


@kernel
def next_due(w: World, funding: Floats, calendar: Floats, t: int, t_ms: int, d: int) -> int:
    """The next time after `t`, in thirds, at which a settlement, a deleveraging or a message is due in the row; else
    its close."""
    due = 3 * d
    if w.acct[CALENDAR_AT] < calendar.shape[0]:
        stamp = 3 * (int(calendar[w.acct[CALENDAR_AT], CALENDAR_STAMP]) - t_ms)
        # terms that change inside a row hold from the next one on
        if calendar[w.acct[CALENDAR_AT], CALENDAR_KIND] == DELEVERAGE and stamp > t:
            due = min(due, stamp)
    at = w.acct[FUNDING_AT]
    if at < funding.shape[0]:
        due = min(due, 3 * (int(funding[at, STAMP]) - t_ms))
    for m in range(w.acct[QUEUED]):
        arrives = 3 * (int(w.queue[m, ARRIVES]) - t_ms)
        if arrives > t:
            return min(due, arrives)  # messages lie in the order of arrival
    return due


@kernel
def walk_row(w: World, funding: Floats, calendar: Floats, k: int, j: int, t_ms: int) -> bool:
    """Play row `k` from instant to instant; False if a needed settlement is missing."""
    d = int(w.run[INTERVAL])
    lows = lows_first(w.panel, j)
    t = 0
    while t < 3 * d:
        if not settle_funding(w, funding, k, j, lows, t, t_ms):
            return False
        if w.acct[PROCESSES] > 0 or not surely_healthy(w, j):
            check(w, k, j, lows, t, t, t_ms)
        if w.acct[CALENDAR_AT] < calendar.shape[0]:
            deleverage(w, calendar, k, j, lows, t, t_ms)
        if w.acct[QUEUED] > 0:
            process_orders(w, k, j, lows, t, t_ms)
        due = next_due(w, funding, calendar, t, t_ms, d)
        if w.acct[PROCESSES] > 0 or not surely_healthy(w, j):
            note_ambiguous(w, k, j, lows, t, t_ms)
            check(w, k, j, lows, t, due, t_ms)
        t = due
    return True


@kernel
def room_for_row(w: World, funding: Floats, calendar: Floats, guards: Floats, j: int, t_end: int) -> bool:
    """Whether the journal has room for all that row may bring; a row is never played halfway.

    Per symbol at most: a liquidation (fill, row, move), a settlement at the end (fill, shortfall, move), samples and
    a call; per message: fill, move, shortfall and the order's end; one row per settlement; per deleveraging what a
    liquidation has. Steps of liquidations come on top, see `rows_of_steps`.
    """
    settlements, events = 0, 0
    at = w.acct[FUNDING_AT]
    while at + settlements < funding.shape[0] and funding[at + settlements, STAMP] < t_end:
        settlements += 1
    at = w.acct[CALENDAR_AT]
    while at + events < calendar.shape[0] and calendar[at + events, CALENDAR_STAMP] < t_end:
        events += 1
    need = 8 + 16 * w.spec.shape[0] + 8 * w.acct[QUEUED] + 2 * settlements + 4 * events * w.spec.shape[0]
    need += rows_for(guards)
    if int(w.run[TAKE]) != TAKE_POOL and (w.acct[PROCESSES] > 0 or not surely_healthy(w, j)):
        need += rows_of_steps(w, j)
    return w.acct[LOGGED] + need <= w.log.shape[0]


@kernel
def rows_of_steps(w: World, j: int) -> int:
    """More journal rows than the steps of a row can write: fill and row each.

    A position that goes by a share `p` a step is below a millionth of itself after 14 / p steps, by tiers after their
    number, by a cap after the notional over it; where steps take time no more of them fit the row. Several
    liquidations of one pool may fit it.
    """
    held, gross = 0, 0.0
    for i in range(w.spec.shape[0]):
        if w.book[i, LOTS] != 0:
            held += 1
            gross += abs(adverse(w.panel, int(w.run[MARK]), j, i, -1) * float(w.book[i, LOTS]) * w.spec[i, STEP])
    steps = held * (w.spec.shape[1] + 32 + int(14.0 / max(w.run[PORTION], 1e-3))) + int(gross / w.run[CAP])
    if w.run[EVERY] > 0.0:
        steps = min(steps, (held + 1) * (int(w.run[INTERVAL] / w.run[EVERY]) + held + 2))
    return 8 * steps + 64


@kernel
def play_row(
    panel: Floats,
    book: Ints,
    acct: Ints,
    spec: Floats,
    run: Floats,
    funding: Floats,
    queue: Floats,
    log: Floats,
    curve: Floats,
    targets: Floats,
    calendar: Floats,
    guards: Floats,
    k: int,
) -> bool:
    """Play row `k` whole, or not at all: False, and `acct[STATUS]` says what is needed first."""
    w = World(panel, book, acct, spec, run, queue, log)
    d = int(run[INTERVAL])
    j = k - acct[BASE]
    t_ms = int(run[START]) + k * d
    if acct[CALENDAR_AT] < calendar.shape[0]:
        take_terms(w, calendar, t_ms)
    at = acct[FUNDING_AT]
    settles = at < funding.shape[0] and funding[at, STAMP] < t_ms + d
    plain = not settles and run[TAKE] == TAKE_POOL and acct[CALENDAR_DUE] > k and run[GUARDED] == 0.0
    # as `room_for_row`, which costs more than what is left of a plain row
    ample = plain and acct[LOGGED] + 8 + 16 * book.shape[0] + 8 * acct[QUEUED] <= log.shape[0]
    if not ample and not room_for_row(w, funding, calendar, guards, j, t_ms + d):
        acct[STATUS] = LOG_FULL
        return False
    messages = messages_for(acct, guards) if run[GUARDED] != 0.0 else 0
    if acct[QUEUED] + book.shape[0] + messages > queue.shape[0]:
        acct[STATUS] = QUEUE_FULL
        return False
    acct[EVENTS] = 0
    due = acct[QUEUED] > 0 or acct[PROCESSES] > 0 or settles or acct[CALENDAR_DUE] <= k
    if (due or not surely_healthy(w, j)) and not walk_row(w, funding, calendar, k, j, t_ms):
        return False
    if acct[CALENDAR_DUE] <= k:
        note_calendar(w, calendar)
    close_row(w, curve, k, j, t_ms + d)
    if run[GUARDED] != 0.0:
        watch(w, guards, j, t_ms + d)
    at = acct[TARGET_AT]
    if at < targets.shape[0] and int(targets[at, TARGET_ROW]) == k:
        send_targets(w, targets, k, j, t_ms + d)
    return True


@kernel
def advance(
    panel: Floats,
    book: Ints,
    acct: Ints,
    spec: Floats,
    run: Floats,
    funding: Floats,
    queue: Floats,
    log: Floats,
    curve: Floats,
    targets: Floats,
    calendar: Floats,
    guards: Floats,
    first: int,
    end: int,
) -> int:
    """Play rows `[first, end)` and return the next row to play.

    It is less than `end` when something needs Python: `acct[STATUS]` says what (journal or queue full, a
    settlement missing), or `OK` after a row with an event that the strategy has a hook for.
    """
    panel, book, acct, spec, run = borrowed(panel), borrowed(book), borrowed(acct), borrowed(spec), borrowed(run)
    funding, queue, log = borrowed(funding), borrowed(queue), borrowed(log)
    curve, targets, calendar = borrowed(curve), borrowed(targets), borrowed(calendar)
    guards = borrowed(guards)
    acct[STATUS] = OK
    hooks = int(run[HOOKS])
    k = first
    while k < end:
        quiet = quiet_until(book, acct, spec, run, funding, targets, k, end)
        k = glide(panel, book, acct, spec, run, curve, k, quiet)
        if k == end:
            break
        if not play_row(panel, book, acct, spec, run, funding, queue, log, curve, targets, calendar, guards, k):
            break
        k += 1
        if acct[EVENTS] & hooks != 0:
            break
    return k


@kernel
def ahead(
    panel: Floats,
    book: Ints,
    acct: Ints,
    spec: Floats,
    run: Floats,
    funding: Floats,
    curve: Floats,
    targets: Floats,
    first: int,
    end: int,
) -> int:
    """Write the curve of the quiet rows from `first` on and return the first that is not, `end` at most."""
    quiet = quiet_until(book, acct, spec, run, funding, targets, first, end)
    return glide(panel, book, acct, spec, run, curve, first, quiet)
