"""A row played on finer candles, and the close that every row has (docs/reference/rules-orders.md section 11)."""

from __future__ import annotations

from backtest.engine.agenda import new_row
from backtest.engine.close import close_row
from backtest.engine.compile import called, inlined
from backtest.engine.guard import watch
from backtest.engine.layout import (
    BASE,
    CALENDAR_AT,
    CALENDAR_DUE,
    GUARDED,
    INTERVAL,
    LOG_FULL,
    NOTED,
    OK,
    OPENED,
    SOUND_AT,
    START,
    STATUS,
    TARGET_AT,
    TARGET_ROW,
)
from backtest.engine.lowest import note_whole
from backtest.engine.path import lows_first
from backtest.engine.send import send_targets
from backtest.engine.terms import note_calendar, take_terms
from backtest.engine.walk import busy, open_row, room_for_row, walk_row
from backtest.engine.world import World


@inlined
def end_row(w: World, k: int, j: int, t_end: int) -> None:
    """What belongs to the close of row `k`."""
    if w.acct[CALENDAR_DUE] <= k:
        note_calendar(w)
    close_row(w, k, j, t_end)
    w.acct[NOTED] = k + 1
    if w.run[GUARDED] != 0.0:
        watch(w, j, t_end)
    at = w.acct[TARGET_AT]
    if at < w.targets.shape[0] and int(w.targets[at, TARGET_ROW]) == k:
        send_targets(w, k, j, t_end)


@called
def play_fine(w: World, k: int, first: int, t_ms: int) -> int:
    """Play row `k`, which opens at `t_ms`, on the fine candles of the panel from the `first` on, all but its close.

    `run` is the account's with the interval of the fine candles. Returns the next fine row; less than all of them when
    `acct[STATUS]` says what is needed first.
    """
    acct, d = w.acct, int(w.run[INTERVAL])
    acct[STATUS] = OK
    for j in range(first, w.panel.shape[1]):
        opens = t_ms + j * d
        acct[SOUND_AT] = -1  # rows of another panel have the same numbers
        new_row(w)
        if acct[CALENDAR_AT] < w.calendar.shape[0]:
            take_terms(w, opens)
        if not room_for_row(w, j, opens + d):
            acct[STATUS] = LOG_FULL
            return j
        opened = acct[OPENED] != 0
        acct[OPENED] = 0
        if not opened and not busy(w, j, opens + d):
            note_whole(w, j, opens)
            continue
        lows = lows_first(w.panel, j)
        if not opened and not open_row(w, k, j, lows, opens):
            return j
        if not walk_row(w, k, j, lows, opens):
            return j
    acct[SOUND_AT] = -1
    return int(w.panel.shape[1])


@called
def close_fine(w: World, k: int) -> None:
    """Close row `k` of the coarse panel, which has been played on fine candles."""
    end_row(w, k, k - w.acct[BASE], int(w.run[START]) + (k + 1) * int(w.run[INTERVAL]))
