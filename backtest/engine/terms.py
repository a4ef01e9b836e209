"""Terms that change by the calendar: what the venue asks from an instant on (docs/reference/rules.md section 9)."""

from __future__ import annotations

from backtest.engine.compile import kernel
from backtest.engine.layout import (
    CALENDAR_AT,
    CALENDAR_DUE,
    CALENDAR_KIND,
    CALENDAR_PAYLOAD,
    CALENDAR_STAMP,
    CALENDAR_SYMBOL,
    DELEVERAGE,
    FUND,
    FUND_START,
    INTERVAL,
    LOTS,
    NEW_TERMS,
    ROWS,
    RUN_LAW,
    SIZED,
    SOUND_AT,
    SPEC_TERMS,
    START,
)
from backtest.engine.requirement import fit_to_size
from backtest.engine.world import World


@kernel
def take_terms(w: World, t_ms: int) -> None:
    """Put what is dated up to an instant into the spec and the law."""
    at = w.acct[CALENDAR_AT]
    while at < w.calendar.shape[0] and w.calendar[at, CALENDAR_STAMP] <= t_ms:
        if w.calendar[at, CALENDAR_KIND] == DELEVERAGE:
            break
        w.acct[SOUND_AT] = -1  # what `bound` found of the row was by the old terms
        if w.calendar[at, CALENDAR_KIND] == NEW_TERMS:
            i = int(w.calendar[at, CALENDAR_SYMBOL])
            width = w.spec.shape[1] - SPEC_TERMS
            w.spec[i, SPEC_TERMS:] = w.calendar[at, CALENDAR_PAYLOAD : CALENDAR_PAYLOAD + width]
            if w.spec[i, SIZED] != 0.0:
                fit_to_size(w.spec, i, w.book[i, LOTS])
        else:
            width = w.run.shape[0] - RUN_LAW
            w.run[RUN_LAW:] = w.calendar[at, CALENDAR_PAYLOAD : CALENDAR_PAYLOAD + width]
            # A fund that stays keeps what it holds; one that is set up or abolished begins or ends with the law.
            if (w.acct[FUND] < 0) != (w.run[FUND_START] < 0.0):
                w.acct[FUND] = int(w.run[FUND_START])
        at += 1
    w.acct[CALENDAR_AT] = at


@kernel
def note_calendar(w: World) -> None:
    """Note the row in which the calendar's next entry is due."""
    at = w.acct[CALENDAR_AT]
    if at >= w.calendar.shape[0]:
        w.acct[CALENDAR_DUE] = int(w.run[ROWS])
    else:
        since = int(w.calendar[at, CALENDAR_STAMP]) - int(w.run[START])
        w.acct[CALENDAR_DUE] = max(0, since // int(w.run[INTERVAL]))
