"""A row played on finer candles, and the close that every row has (docs/rules-orders.md section 11)."""

from __future__ import annotations

from backtest.engine.close import close_row
from backtest.engine.compile import borrowed, inlined, kernel
from backtest.engine.guard import watch
from backtest.engine.layout import (
    BASE,
    CALENDAR_DUE,
    GUARDED,
    INTERVAL,
    LOG_FULL,
    OK,
    OPENED,
    START,
    STATUS,
    TARGET_AT,
    TARGET_ROW,
    Costs,
    Floats,
    Floats3,
    Ints,
    World,
)
from backtest.engine.path import lows_first
from backtest.engine.send import send_targets
from backtest.engine.terms import note_calendar
from backtest.engine.walk import busy, open_row, room_for_row, walk_row


@inlined
def end_row(
    w: World, curve: Floats, targets: Floats, calendar: Floats, guards: Floats, k: int, j: int, t_end: int
) -> None:
    """What belongs to the close of row `k`."""
    if w.acct[CALENDAR_DUE] <= k:
        note_calendar(w, calendar)
    close_row(w, curve, k, j, t_end)
    if w.run[GUARDED] != 0.0:
        watch(w, guards, j, t_end)
    at = w.acct[TARGET_AT]
    if at < targets.shape[0] and int(targets[at, TARGET_ROW]) == k:
        send_targets(w, targets, k, j, t_end)


@kernel
def play_fine(
    panel: Floats3,
    book: Ints,
    acct: Ints,
    spec: Floats,
    run: Floats,
    queue: Floats,
    log: Floats,
    bars: Floats3,
    depth: Floats3,
    fees: Floats,
    turnover: Ints,
    funding: Floats,
    calendar: Floats,
    guards: Floats,
    k: int,
    first: int,
    t_ms: int,
) -> int:
    """Play row `k`, which opens at `t_ms`, on the fine candles of `panel` from the `first` on, all but its close.

    `run` is the account's with the interval of the fine candles. Returns the next fine row; less than all of them when
    `acct[STATUS]` says what is needed first.
    """
    panel, book, acct, spec, run = borrowed(panel), borrowed(book), borrowed(acct), borrowed(spec), borrowed(run)
    queue, log, funding, calendar = borrowed(queue), borrowed(log), borrowed(funding), borrowed(calendar)
    guards = borrowed(guards)
    w = World(panel, book, acct, spec, run, queue, log)
    costs = Costs(borrowed(bars), borrowed(depth), borrowed(fees), borrowed(turnover))
    d = int(run[INTERVAL])
    acct[STATUS] = OK
    for j in range(first, panel.shape[1]):
        opens = t_ms + j * d
        if not room_for_row(w, funding, calendar, guards, j, opens + d):
            acct[STATUS] = LOG_FULL
            return j
        opened = acct[OPENED] != 0
        acct[OPENED] = 0
        if not opened and not busy(w, funding, calendar, j, opens + d):
            continue
        lows = lows_first(panel, j)
        if not opened and not open_row(w, costs, funding, calendar, k, j, lows, opens):
            return j
        if not walk_row(w, costs, funding, calendar, k, j, lows, opens):
            return j
    return int(panel.shape[1])


@kernel
def close_fine(
    panel: Floats3,
    book: Ints,
    acct: Ints,
    spec: Floats,
    run: Floats,
    queue: Floats,
    log: Floats,
    curve: Floats,
    targets: Floats,
    calendar: Floats,
    guards: Floats,
    k: int,
) -> None:
    """Close row `k` of the coarse `panel`, which has been played on fine candles."""
    w = World(panel, book, acct, spec, run, queue, log)
    end_row(w, curve, targets, calendar, guards, k, k - acct[BASE], int(run[START]) + (k + 1) * int(run[INTERVAL]))
