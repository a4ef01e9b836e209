"""One row of the panel, and the loop over rows (docs/rules.md section 4).

Cheap first: a row in which nothing is due and even the worst bound is healthy costs a few additions per
symbol; everything else walks from instant to instant.
"""

from __future__ import annotations

from backtest.engine.close import close_row
from backtest.engine.compile import borrowed, kernel
from backtest.engine.glide import glide, quiet_until
from backtest.engine.layout import (
    ARRIVES,
    BASE,
    CASH,
    EVENTS,
    FUNDING_AT,
    HOOKS,
    INTERVAL,
    ISOLATED,
    LOG_FULL,
    LOGGED,
    LOTS,
    MAINTENANCE,
    MAINTENANCE_LESS,
    MARK,
    OK,
    QUEUE_FULL,
    QUEUED,
    SPEC_TIERS,
    STAMP,
    START,
    STATUS,
    STEP,
    TIER_WIDTH,
    WALLET,
    Floats,
    Ints,
    World,
)
from backtest.engine.liquidation import check, note_ambiguous
from backtest.engine.margin import adverse
from backtest.engine.orders import process_orders
from backtest.engine.path import lows_first
from backtest.engine.settle import settle_funding


@kernel
def surely_healthy(w: World, j: int) -> bool:
    """Whether every pool is healthy with each leg at its worst price of row `j`, by more than rounding.

    A bound in doubles: at most one micro is rounded off a value and one off a requirement, and the
    sums of doubles err by far less than 1e-12 of the gross value.
    """
    off = int(w.run[MARK])
    isolated = w.run[ISOLATED] != 0.0
    health = 0.0 if isolated else float(w.acct[WALLET])
    slack = 4.0
    for i in range(w.book.shape[0]):
        lots = w.book[i, LOTS]
        if lots == 0:
            continue
        value = adverse(w.panel, off, j, i, lots) * (float(lots) * w.spec[i, STEP])
        notional = abs(value)
        need = 0.0
        for at in range(SPEC_TIERS, w.spec.shape[1], TIER_WIDTH):
            need = max(need, notional * w.spec[i, at + MAINTENANCE] - w.spec[i, at + MAINTENANCE_LESS])
        if isolated:
            if not float(w.book[i, CASH]) + value - need > 4.0 + 1e-12 * notional:
                return False
        else:
            health += value - need
            slack += 4.0 + 1e-12 * notional
    return isolated or health > slack


@kernel
def next_due(w: World, funding: Floats, t: int, t_ms: int, d: int) -> int:
    """The next time after `t`, in thirds, at which a settlement or a message is due in the row; else its close."""
    due = 3 * d
    at = w.acct[FUNDING_AT]
    if at < funding.shape[0]:
        due = min(due, 3 * (int(funding[at, STAMP]) - t_ms))
    for m in range(w.acct[QUEUED]):
        arrives = 3 * (int(w.queue[m, ARRIVES]) - t_ms)
        if arrives > t:
            return min(due, arrives)  # messages lie in the order of arrival
    return due


@kernel
def walk_row(w: World, funding: Floats, k: int, j: int, t_ms: int) -> bool:
    """Play row `k` from instant to instant; False if a needed settlement is missing."""
    d = int(w.run[INTERVAL])
    lows = lows_first(w.panel, j)
    t = 0
    while t < 3 * d:
        if not settle_funding(w, funding, k, j, lows, t, t_ms):
            return False
        if not surely_healthy(w, j):
            check(w, k, j, lows, t, t, t_ms)
        if w.acct[QUEUED] > 0:
            process_orders(w, k, j, lows, t, t_ms)
        due = next_due(w, funding, t, t_ms, d)
        if not surely_healthy(w, j):
            note_ambiguous(w, k, j, lows, t, t_ms)
            check(w, k, j, lows, t, due, t_ms)
        t = due
    return True


@kernel
def room_for_row(w: World, funding: Floats, t_end: int) -> bool:
    """Whether the journal has room for all that row may bring; a row is never played halfway.

    Per symbol at most: a liquidation (fill, row, move), a settlement at the end (fill, shortfall, move), samples and
    a call; per message: fill, move, shortfall and the order's end; one row per settlement.
    """
    settlements = 0
    at = w.acct[FUNDING_AT]
    while at + settlements < funding.shape[0] and funding[at + settlements, STAMP] < t_end:
        settlements += 1
    need = 8 + 16 * w.book.shape[0] + 8 * w.acct[QUEUED] + 2 * settlements
    return w.acct[LOGGED] + need <= w.log.shape[0]


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
    k: int,
) -> bool:
    """Play row `k` whole, or not at all: False, and `acct[STATUS]` says what is needed first."""
    w = World(panel, book, acct, spec, run, queue, log)
    d = int(run[INTERVAL])
    j = k - acct[BASE]
    t_ms = int(run[START]) + k * d
    if not room_for_row(w, funding, t_ms + d):
        acct[STATUS] = LOG_FULL
        return False
    if acct[QUEUED] + book.shape[0] > queue.shape[0]:
        acct[STATUS] = QUEUE_FULL
        return False
    acct[EVENTS] = 0
    at = acct[FUNDING_AT]
    due = acct[QUEUED] > 0 or (at < funding.shape[0] and funding[at, STAMP] < t_ms + d)
    if (due or not surely_healthy(w, j)) and not walk_row(w, funding, k, j, t_ms):
        return False
    close_row(w, curve, targets, k, j, t_ms + d)
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
    first: int,
    end: int,
) -> int:
    """Play rows `[first, end)` and return the next row to play.

    It is less than `end` when something needs Python: `acct[STATUS]` says what (journal or queue full, a
    settlement missing), or `OK` after a row with an event that the strategy has a hook for.
    """
    panel, book, acct, spec, run = borrowed(panel), borrowed(book), borrowed(acct), borrowed(spec), borrowed(run)
    funding, queue, log = borrowed(funding), borrowed(queue), borrowed(log)
    curve, targets = borrowed(curve), borrowed(targets)
    acct[STATUS] = OK
    hooks = int(run[HOOKS])
    k = first
    while k < end:
        quiet = quiet_until(book, acct, spec, run, funding, targets, k, end)
        k = glide(panel, book, acct, spec, run, curve, k, quiet)
        if k == end:
            break
        if not play_row(panel, book, acct, spec, run, funding, queue, log, curve, targets, k):
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
