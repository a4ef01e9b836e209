"""Outages: when the chain stands still, who is spared after it, what mark is seen (rules-layer2.md section 3)."""

from __future__ import annotations

import numpy as np

from backtest.engine.compile import inlined, kernel
from backtest.engine.layout import (
    AGENDA,
    CANDLE,
    FROZEN,
    GATE,
    GATE_AFTER,
    HALTED_NOW,
    HOLDS,
    INTERVAL,
    LATE,
    MARK,
    OUT_END,
    OUT_FROZEN,
    OUT_OVER,
    OUT_SPARED,
    OUT_START,
    OUTAGE_AT,
    SPARED,
    TOUCHED,
    Floats3,
)
from backtest.engine.path import price_at
from backtest.engine.world import World

FAR = 1 << 60
BEGINS, STILL, ENDS = 1, 2, 3
"""Of FROZEN: the mark stands still from this instant on; it has stood still before it, too; or only before it."""

MARK_STAMP = 4
"""Of `still`: thirds of a ms since 1970 of the publication of the mark that stands still."""


@inlined
def seen(w: World, j: int) -> tuple[Floats3, int, int, int, bool]:
    """`(panel, field, row)` in which the venue mark of panel row `j` lies, a row of its own while it is frozen; how
    late its path is, and whether it holds from knot to knot."""
    panel, off, row, late, holds = w.panel, int(w.run[MARK]), j, int(w.run[LATE]), w.run[HOLDS] != 0.0
    if 0 < w.acct[FROZEN] < ENDS:
        panel, off, row, late = w.still, 0, 0, CANDLE
    return panel, off, row, late, holds


@inlined
def publication(w: World, j: int, i: int, t: int) -> float:
    """Thirds of a ms since 1970 of the oracle's last publication at or before `t` of panel row `j`."""
    d, late = int(w.run[INTERVAL]), int(w.run[LATE])
    rest = late % d
    return w.fresh[4 * j + (0 if t < rest else 1 + (t - rest) // d), i]


@inlined
def passed_at(w: World, n: int) -> float:
    """When outage `n` is over for positions, ms: its grace and its staleness follow its end, and may be nothing."""
    return max(w.outages[n, OUT_SPARED], w.outages[n, OUT_FROZEN])


@kernel
def touch_row(w: World, t_ms: int, t_end: int) -> None:
    """Note whether an outage, its grace or its staleness touches the row `[t_ms, t_end]`."""
    while w.acct[OUTAGE_AT] < w.outages.shape[0] and w.outages[w.acct[OUTAGE_AT], OUT_OVER] < float(t_ms):
        w.acct[OUTAGE_AT] += 1
    w.acct[TOUCHED] = 0
    for n in range(w.acct[OUTAGE_AT], w.outages.shape[0]):
        if w.outages[n, OUT_START] > float(t_end):
            break
        if passed_at(w, n) >= float(t_ms):
            w.acct[TOUCHED] = 1
    if w.acct[TOUCHED] == 0:
        w.acct[HALTED_NOW], w.acct[SPARED], w.acct[FROZEN] = 0, 0, 0


@kernel
def quiet_before(w: World, t_ms: int) -> int:
    """The start, ms, of the first outage that is not over at `t_ms`; a time long ago while one is on."""
    for n in range(w.acct[OUTAGE_AT], w.outages.shape[0]):
        if passed_at(w, n) >= float(t_ms):
            return int(w.outages[n, OUT_START])
    return FAR


@kernel
def lasts(w: World, began: int, t_abs: int, until: int) -> bool:
    """Whether an outage that had begun at `began` lasts, up to its column `until`, beyond `t_abs`; both in thirds."""
    for n in range(w.acct[OUTAGE_AT], w.outages.shape[0]):
        if 3.0 * w.outages[n, OUT_START] > float(began):
            break
        if 3.0 * w.outages[n, until] > float(t_abs):
            return True
    return False


@inlined
def within(w: World, t_abs: int, until: int) -> bool:
    """Whether `t_abs` lies inside an outage, up to its column `until`; its ends do not."""
    return lasts(w, t_abs - 1, t_abs, until)


@inlined
def on_after(w: World, t_abs: int, until: int) -> bool:
    """Whether what is right behind `t_abs` lies inside an outage, up to its column `until`."""
    return lasts(w, t_abs, t_abs, until)


@kernel
def next_turn(w: World, t: int, t_ms: int) -> int:
    """The next time after `t`, in thirds of the row, at which an outage, its grace or its staleness begins or ends."""
    now, found = 3 * t_ms + t, FAR
    for n in range(w.acct[OUTAGE_AT], w.outages.shape[0]):
        if 3.0 * w.outages[n, OUT_START] > float(now):
            found = min(found, 3 * int(w.outages[n, OUT_START]))
            break
        for column in (OUT_END, OUT_SPARED, OUT_FROZEN):
            if 3.0 * w.outages[n, column] > float(now):
                found = min(found, 3 * int(w.outages[n, column]))
    return found - 3 * t_ms if found < FAR else FAR


@kernel
def turn(w: World, j: int, lows: bool, t: int, t_ms: int) -> bool:
    """Take the state of the chain at `t` of panel row `j`; whether trades, or the mark, go on after a halt."""
    now = 3 * t_ms + t
    returns = False
    for n in range(w.acct[OUTAGE_AT], w.outages.shape[0]):
        if 3.0 * w.outages[n, OUT_START] >= float(now):
            break
        returns = returns or 3.0 * w.outages[n, OUT_END] == float(now) or 3.0 * w.outages[n, OUT_FROZEN] == float(now)
    w.acct[HALTED_NOW] = 1 if within(w, now, OUT_END) else 0
    w.acct[SPARED] = 1 if within(w, now, OUT_SPARED) else 0
    frozen = w.acct[FROZEN]
    if not on_after(w, now, OUT_FROZEN):
        w.acct[FROZEN] = ENDS if w.acct[FROZEN] != 0 else 0
    else:
        freeze(w, j, lows, t, now)
        w.acct[FROZEN] = STILL if within(w, now, OUT_FROZEN) else BEGINS
    if frozen != w.acct[FROZEN]:
        w.acct[AGENDA] = 0  # what orders wait for stands still, or moves again
    return returns and w.acct[HALTED_NOW] == 0


@inlined
def see_again(w: World) -> None:
    """What was due before a mark that stood still is seen again has happened."""
    if w.acct[FROZEN] == ENDS:
        w.acct[FROZEN] = w.acct[AGENDA] = 0


@kernel
def freeze(w: World, j: int, lows: bool, t: int, now: int) -> None:
    """Keep the marks at `t`, which is `now`, as what the venue sees; of a symbol that it had not seen yet, if it goes
    on."""
    off, d, late, holds = int(w.run[MARK]), int(w.run[INTERVAL]), int(w.run[LATE]), w.run[HOLDS] != 0.0
    for i in range(w.spec.shape[0]):
        if w.acct[FROZEN] in (0, ENDS) or np.isnan(w.still[0, 0, i]):
            w.still[:MARK_STAMP, 0, i] = price_at(w.panel, off, j, i, lows, t, d, late, holds)
            w.still[MARK_STAMP, 0, i] = float(now) if w.fresh.shape[0] == 0 else publication(w, j, i, t)


@kernel
def transfers_from(w: World, y: int) -> int:
    """The first time from `y`, ms, at which transfers are let through: neither halted nor gated."""
    for n in range(w.acct[OUTAGE_AT], w.outages.shape[0]):
        a, b = int(w.outages[n, OUT_START]), int(w.outages[n, OUT_END])
        if a < y < b:
            y = b
        if a < y and b - a >= int(w.run[GATE_AFTER]) and w.run[GATE] > 0.0:
            y = max(y, b + int(w.run[GATE]))
    return y
