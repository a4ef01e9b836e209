"""The mark that the venue sees where an oracle makes it from the market's (docs/reference/rules-layer2.md section 4).

First the published path: knots are counted in thirds of a candle from the run's start, knot `s` of row `k` is number
`3k + s`, so a row's close and the next one's open, which the price jumps between, have one number. `d` is the candle's
interval in ms, which is also a third of a candle in thirds of a ms: a span of `m` ms is `3m / d` knots, `⌊3m / d⌋`
whole ones and a rest. Then the path is laid into the panel a delay later: eight fields, a candle's four and the inner
knots that `path` reads.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from backtest.engine.compile import Bundle, called, inlined, kernel
from backtest.engine.layout import CANDLE, Floats, Floats3, Ints
from backtest.engine.path import INNER, knot, knot_at, knot_time, lows_first

# rule: float64[RULE_WIDTH]
(
    FROM,
    INTO,
    FURTHER,
    SERIES,
    MEDIAN,
    AVERAGE,
    HEARTBEAT,
    DEVIATION,
    INTERVAL,
    START,
    LOGS,
    AVERAGE_KNOTS,
    AVERAGE_REST,
    ROWS_LATE,
    LATE,
    LOWEST,
    RULE_WIDTH,
) = range(17)
# FROM, INTO, FURTHER: panel fields of the open of the market mark, of the oracle's, of the first of SERIES further
# series; AVERAGE and HEARTBEAT in thirds of a ms; START of the run and the delay, likewise; LOGS 1: the times of
# publications are wanted; AVERAGE_KNOTS the average's span in knots, AVERAGE_REST what it has beside whole ones; the
# delay in whole rows ROWS_LATE and a rest LATE, in thirds of a ms; LOWEST the panel's column of the first symbol of
# `state`

FIELDS = 8
"""Of the panel, that an oracle's mark takes."""

# state: float64[symbols, STATE_WIDTH]
(
    BEGAN,
    SOURCE,
    SUM,
    SUM_REST,
    PUBLISHED,
    PUBLISHED_AT,
    SCALE,
    STATE_WIDTH,
) = range(8)
# BEGAN and PUBLISHED_AT numbers of knots, NaN: none yet; SOURCE at the last knot; SUM, with what was rounded off it in
# SUM_REST, the area below the sources from the first knot on, price times knots; SCALE the power of ten that gives
# eight digits

# lags: int64[4, 2]: of the average, for each knot of a row: how many rows back and at which knot the line begins that
# its far end lies on; at that knot itself where it lies on one
ROWS_BACK, KNOT = range(2)
# sums: float64[rows, symbols, 12]: SOURCE, SUM and SUM_REST at each knot of the latest rows, row k in k % rows
# said: float64[rows, symbols, 4]: the published path, likewise; stamps: float64[rows, symbols, 4]: PUBLISHED_AT at
# its knots, where LOGS
# knots: float64[4]: a row's, at work; ends: int64[5]: the rows of `sums` that the knots of the row at work look back
# to, and its own


class Tape(Bundle):
    """What the oracle's kernels work on; shapes above and in `layout`."""

    ARRAYS: ClassVar[dict[str, tuple[str, int]]] = {
        "panel": ("f8", 3),
        "fresh": ("f8", 2),
        "rule": ("f8", 1),
        "state": ("f8", 2),
        "lags": ("i8", 2),
        "sums": ("f8", 3),
        "said": ("f8", 3),
        "stamps": ("f8", 3),
        "sources": ("f8", 1),
        "knots": ("f8", 1),
        "ends": ("i8", 1),
    }
    panel: Floats3
    fresh: Floats
    rule: Floats
    state: Floats
    lags: Ints
    sums: Floats3
    said: Floats3
    stamps: Floats3
    sources: Floats
    knots: Floats
    ends: Ints


@called
def publish(o: Tape, first: int, end: int, base: int) -> None:
    """Write the oracle's fields of panel rows `[first, end)`, row 0 being row `base` of the run."""
    panel, state = o.panel, o.state
    market, lowest, rows = int(o.rule[FROM]), int(o.rule[LOWEST]), o.said.shape[0]
    late, back = int(o.rule[LATE]), int(o.rule[ROWS_LATE])
    d, holds = int(o.rule[INTERVAL]), o.rule[HEARTBEAT] > 0.0 or o.rule[DEVIATION] > 0.0
    for j in range(first, end):
        lows, k = lows_first(panel, j), base + j
        turn(o, k)
        now, then, before = k % rows, (k - back) % rows, (k - back - 1) % rows
        for i in range(state.shape[0]):
            c = lowest + i
            if np.isnan(panel[market, j, c]):
                silence(o, j, c)
                continue
            begins = np.isnan(state[i, BEGAN])
            if begins:
                state[i, BEGAN] = float(3 * k)
            take(o, j, c, lows)
            if o.sums.shape[0] > 0:
                average(o, i, float(3 * k) - state[i, BEGAN])
            say(o, now, 3 * k, i)
            if begins:
                begin(o, now, i)
            lay(o.panel, int(o.rule[INTO]), j, c, o.said, before, then, i, late, d, holds)
            if o.fresh.shape[0] > 0:
                stamp(o, j, c, i, before, then)


@kernel
def turn(o: Tape, k: int) -> None:
    """Say where in the ring of sums row `k` of the run lies and the rows are that its knots look back to."""
    rows = o.sums.shape[0]
    if rows > 0:
        for s in range(4):
            o.ends[s] = (k - o.lags[s, ROWS_BACK]) % rows
        o.ends[4] = k % rows


@inlined
def take(o: Tape, j: int, c: int, lows: bool) -> None:
    """Put the sources of panel column `c` at the four knots of row `j` into `knots`."""
    for s in range(4):
        if o.rule[MEDIAN] != 0.0:
            o.knots[s] = middle(o, j, c, lows, s)
        else:
            o.knots[s] = knot(o.panel, int(o.rule[FROM]), j, c, lows, s, CANDLE)


@inlined
def say(o: Tape, row: int, n: int, i: int) -> None:
    """Write what is published at the four knots, number `n` the first, into the ring's `row`."""
    state, rule = o.state, o.rule
    d, beat, most = rule[INTERVAL], rule[HEARTBEAT], rule[DEVIATION]
    averaged, always = o.sums.shape[0] > 0, beat == 0.0 and most == 0.0
    published, since, scale = state[i, PUBLISHED], state[i, PUBLISHED_AT], state[i, SCALE]
    for s in range(4):
        price = o.knots[s]
        due = always or np.isnan(published) or (beat > 0.0 and (float(n + s) - since) * d >= beat)
        # rounding to eight digits moves a price by half of 1e-7 of it at most: what is nearer than that needs none
        if due or (most > 0.0 and abs(price - published) >= most * published - 1e-7 * price):
            if averaged:
                # as derived marks are: the order of float operations is not seen
                if not 1e7 <= price * scale < 1e8:
                    scale = math.pow(10.0, 7.0 - math.floor(math.log10(price)))
                price = np.floor(price * scale * (1.0 + 1e-12) + 0.5) / scale
            if due or abs(price - published) >= most * published:
                published, since = price, float(n + s)
        o.said[row, i, s] = published
        if o.stamps.shape[0] > 0:
            o.stamps[row, i, s] = since
    state[i, PUBLISHED], state[i, PUBLISHED_AT], state[i, SCALE] = published, since, scale


@kernel
def begin(o: Tape, row: int, i: int) -> None:
    """Until the delay is over the venue sees a symbol's first price: put it into the rows before its first, `row`."""
    for back in range(o.said.shape[0]):
        if back != row:
            o.said[back, i, :] = o.said[row, i, 0]
            if o.stamps.shape[0] > 0:
                o.stamps[back, i, :] = o.stamps[row, i, 0]


@inlined
def lay(
    panel: Floats3,
    into: int,
    j: int,
    c: int,
    said: Floats3,
    before: int,
    then: int,
    i: int,
    late: int,
    d: int,
    holds: bool,
) -> None:
    """Write the path of symbol `i` in rows `before` and `then` of `said`, the later one begins `late` in panel row `j`,
    into the eight fields of column `c`."""
    m, rest = late // d, late % d
    low, high = said[then, i, 0], said[then, i, 0]
    for s in range(4):
        price = said[then, i, s]
        low, high = min(low, price), max(high, price)
        if late > 0:
            price = said[before, i, s]
            low, high = min(low, price), max(high, price)
    if late == 0:
        opened, closed = said[then, i, 0], said[then, i, 3]
    elif rest == 0:
        opened, closed = said[before, i, 3 - m], said[then, i, 3 - m]
    else:
        opened, closed = said[before, i, 2 - m], said[then, i, 2 - m]
        if not holds:
            share = float(d - rest) / float(d)
            opened = opened + (said[before, i, 3 - m] - opened) * share
            closed = closed + (said[then, i, 3 - m] - closed) * share
    panel[into, j, c], panel[into + 1, j, c], panel[into + 2, j, c], panel[into + 3, j, c] = opened, high, low, closed
    for n in range(4):
        price = said[before, i, 3 - m + n] if n <= m else said[then, i, n - m - 1]
        panel[into + INNER + 1 + n, j, c] = opened if late == 0 and n == 0 else price


@inlined
def stamp(o: Tape, j: int, c: int, i: int, before: int, then: int) -> None:
    """Write when the prices of panel row `j` were published: at its open, and at the inner knots behind the jump."""
    d, late = int(o.rule[INTERVAL]), int(o.rule[LATE])
    m, rest = late // d, late % d
    opened = o.stamps[then, i, 0]
    if late > 0:
        opened = o.stamps[before, i, 3 - m if rest == 0 else 2 - m]
    o.fresh[4 * j, c] = o.rule[START] + opened * o.rule[INTERVAL]
    for n in range(3):
        since = o.stamps[before, i, 3 - m + n] if n < m else o.stamps[then, i, n - m]
        o.fresh[4 * j + 1 + n, c] = o.rule[START] + since * o.rule[INTERVAL]


@kernel
def silence(o: Tape, j: int, i: int) -> None:
    """There is no market, so there is no oracle."""
    into = int(o.rule[INTO])
    for field in range(FIELDS):
        o.panel[into + field, j, i] = np.nan
    for s in range(4 if o.rule[LOGS] != 0.0 else 0):
        o.fresh[4 * j + s, i] = np.nan


@kernel
def middle(o: Tape, j: int, i: int, lows: bool, s: int) -> float:
    """The median at knot `s` of mark, trade and further series, those that are known; of an even number the mean of
    the two in the middle."""
    count = 0
    for n in range(2 + int(o.rule[SERIES])):
        off = int(o.rule[FROM]) if n == 0 else 0 if n == 1 else int(o.rule[FURTHER]) + 4 * (n - 2)
        price = knot(o.panel, off, j, i, lows, s, CANDLE)
        if np.isnan(price):
            continue
        at = count
        while at > 0 and o.sources[at - 1] > price:
            o.sources[at] = o.sources[at - 1]
            at -= 1
        o.sources[at] = price
        count += 1
    half = count // 2
    if count % 2 == 1:
        return o.sources[half]
    return (o.sources[half - 1] + o.sources[half]) / 2.0


@inlined
def average(o: Tape, i: int, passed: float) -> None:
    """Turn the sources in `knots`, the first of them `passed` knots after the very first, into the means of the path
    of sources up to each.

    The area since the first knot is summed with what each addition rounds off (Knuth's two-sum), so that the difference
    of two sums is as good as its terms, however long the history.
    """
    state, sums, row = o.state, o.sums, o.ends[4]
    share = o.rule[AVERAGE_REST]
    for s in range(4):
        price = o.knots[s]
        if s > 0:
            step = (state[i, SOURCE] + price) / 2.0
            total = state[i, SUM] + step
            shown = total - state[i, SUM]
            state[i, SUM_REST] += (state[i, SUM] - (total - shown)) + (step - shown)
            state[i, SUM] = total
        state[i, SOURCE] = price
        sums[row, i, 3 * s], sums[row, i, 3 * s + 1], sums[row, i, 3 * s + 2] = price, state[i, SUM], state[i, SUM_REST]
        since = passed + float(s)
        if since == 0.0:
            continue
        if since * o.rule[INTERVAL] <= o.rule[AVERAGE]:
            o.knots[s] = (state[i, SUM] + state[i, SUM_REST]) / since
            continue
        at, a, area = o.ends[s], 3 * o.lags[s, KNOT], 0.0
        if share > 0.0:
            b = a + 3
            area = share * (sums[at, i, b] + (sums[at, i, a] - sums[at, i, b]) * share / 2.0)
            a = b
        area += (state[i, SUM] - sums[at, i, a + 1]) + (state[i, SUM_REST] - sums[at, i, a + 2])
        o.knots[s] = area / o.rule[AVERAGE_KNOTS]


class Finer(Bundle):
    """The finer candles of one row, and what the oracle's fields in them are written from.

    `source`: trades and marks of a delay before, in the fields of `panel`; `said`: room for their knots; `first`: each
    symbol's first price.
    """

    ARRAYS: ClassVar[dict[str, tuple[str, int]]] = {
        "panel": ("f8", 3),
        "fresh": ("f8", 2),
        "source": ("f8", 3),
        "said": ("f8", 3),
        "first": ("f8", 1),
    }
    panel: Floats3
    fresh: Floats
    source: Floats3
    said: Floats3
    first: Floats


@called
def lay_fine(o: Tape, f: Finer, late: int, then: int, begin: int) -> None:
    """Write the oracle's fields of a panel of finer candles from the market marks on them, a delay before.

    `late`: LATE of the finer rows; from row `begin` of `source` on they are needed, and `then` is the one that the
    first of the panel's rows ends in.
    """
    source, said, first, panel = f.source, f.said, f.first, f.panel
    market, into, d = int(o.rule[FROM]), int(o.rule[INTO]), int(o.rule[INTERVAL]) // panel.shape[1]
    for j in range(begin, source.shape[1]):
        lows = lows_first(source, j)
        for i in range(source.shape[2]):
            for s in range(4):
                price = knot(source, market, j, i, lows, s, CANDLE)
                said[j, i, s] = first[i] if np.isnan(price) else price
    for m in range(panel.shape[1]):
        for i in range(panel.shape[2]):
            if np.isnan(panel[market, m, i]):
                for field in range(FIELDS):
                    panel[into + field, m, i] = np.nan
            else:
                lay(panel, into, m, i, said, then + m - 1, then + m, i, late, d, False)


@called
def spread_out(o: Tape, f: Finer, j: int, late: int) -> None:
    """Write the oracle's path of panel row `j` into the same fields of a panel of the finer candles inside it; `late`:
    LATE of these. What is known is the path's knots, which are knots of the finer candles as well."""
    fine, fresh = f.panel, f.fresh
    into, rows, whole = int(o.rule[INTO]), fine.shape[1], int(o.rule[LATE])
    d, holds = int(o.rule[INTERVAL]), o.rule[HEARTBEAT] > 0.0 or o.rule[DEVIATION] > 0.0
    step = d // rows
    for m in range(rows):
        begin = 3 * m * step
        for i in range(fine.shape[2]):
            low, high = np.inf, -np.inf
            for n in range(6):
                before = n == 5 or (late > 0 and n == late // step + 1)
                price = along(o.panel, into, j, i, begin + knot_time(n, late, step), d, whole, holds, before)
                fine[into + (0 if n == 0 else 3 if n == 5 else INNER + n), m, i] = price
                low, high = min(low, price), max(high, price)
            fine[into + 1, m, i], fine[into + 2, m, i] = high, low
            for n in range(4 if fresh.shape[0] > 0 else 0):
                t = begin + (0 if n == 0 else late % step + (n - 1) * step)
                slot = 0 if t < whole % d else 1 + (t - whole % d) // d
                fresh[4 * m + n, i] = o.fresh[4 * j + slot, i]


@kernel
def along(panel: Floats3, into: int, j: int, i: int, t: int, d: int, late: int, holds: bool, before: bool) -> float:
    """The price of an oracle's path at `t`, behind or `before` a jump that is there."""
    s = knot_at(t, late, d)
    since = knot_time(s, late, d)
    a = knot(panel, into, j, i, True, s, late)
    if t == since:
        return knot(panel, into, j, i, True, s - 1, late) if before and late > 0 and t == late else a
    if holds:
        return a
    b = knot(panel, into, j, i, True, s + 1, late)
    return a + (b - a) * (float(t - since) / float(knot_time(s + 1, late, d) - since))
