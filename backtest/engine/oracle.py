"""The mark that the venue sees where an oracle makes it from the market's (docs/rules-layer2.md section 4).

Knots are counted in thirds of a candle from the run's start: knot `s` of row `k` is number `3k + s`, so a row's close
and the next one's open, which the price jumps between, have one number. `d` is the candle's interval in ms, which is
also a third of a candle in thirds of a ms: a span of `m` ms is `3m / d` knots, `⌊3m / d⌋` whole ones and a rest.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from backtest.engine.compile import Bundle, called, inlined, kernel
from backtest.engine.layout import Floats, Floats3, Ints
from backtest.engine.path import knot, lows_first

# rule: float64[RULE_WIDTH]
(
    FROM,
    INTO,
    FURTHER,
    SERIES,
    MEDIAN,
    AVERAGE,
    DELAY,
    HEARTBEAT,
    DEVIATION,
    INTERVAL,
    START,
    LOGS,
    AVERAGE_KNOTS,
    AVERAGE_REST,
    DELAY_SHARE,
    LOWEST,
    RULE_WIDTH,
) = range(17)
# FROM, INTO, FURTHER: panel fields of the open of the market's mark, of the oracle's, of the first of SERIES further
# series; AVERAGE, DELAY, HEARTBEAT and START in thirds of a ms; LOGS 1: the times of publications are wanted;
# AVERAGE_KNOTS the average's span in knots, AVERAGE_REST what it has beside whole ones; DELAY_SHARE of the
# way from the knot at which the line that the delay ends on begins, 0: that knot itself; LOWEST the panel's column
# of the first symbol of `state`

# state: float64[symbols, STATE_WIDTH]
(
    BEGAN,
    FIRST,
    SOURCE,
    SUM,
    SUM_REST,
    PUBLISHED,
    PUBLISHED_AT,
    SCALE,
    STATE_WIDTH,
) = range(9)
# BEGAN and PUBLISHED_AT numbers of knots, NaN: none yet; FIRST average at the first knot; SOURCE at the last one; SUM,
# with what was rounded off it in SUM_REST, the area below the sources from the first knot on, price times knots; SCALE
# the power of ten that gives eight digits

# lags: int64[2, 4, 2]: of the average and the delay, for each knot of a row: how many rows back and at which knot the
# line begins that its far end lies on; at that knot itself where it lies on one
ROWS_BACK, KNOT = range(2)
OF_AVERAGE, OF_DELAY = range(2)
# sums: float64[rows, symbols, 12]: SOURCE, SUM and SUM_REST at each knot of the latest rows, row k in k % rows; means:
# float64[rows, symbols, 4]: the averages, likewise
# knots: float64[4]: a row's, at work; ends: int64[2, 5]: of the average and the delay, the ring's rows that the knots
# of the row at work look back to, and its own


class Tape(Bundle):
    """What the oracle's kernels work on; shapes above and in `layout`."""

    ARRAYS: ClassVar[dict[str, tuple[str, int]]] = {
        "panel": ("f8", 3),
        "fresh": ("f8", 2),
        "rule": ("f8", 1),
        "state": ("f8", 2),
        "lags": ("i8", 3),
        "sums": ("f8", 3),
        "means": ("f8", 3),
        "sources": ("f8", 1),
        "knots": ("f8", 1),
        "ends": ("i8", 2),
    }
    panel: Floats3
    fresh: Floats
    rule: Floats
    state: Floats
    lags: Ints
    sums: Floats3
    means: Floats3
    sources: Floats
    knots: Floats
    ends: Ints


@called
def publish(o: Tape, first: int, end: int, base: int) -> None:
    """Write the oracle's knots of panel rows `[first, end)`, row 0 being row `base` of the run."""
    panel, state = o.panel, o.state
    market, lowest = int(o.rule[FROM]), int(o.rule[LOWEST])
    for j in range(first, end):
        lows, k = lows_first(panel, j), base + j
        turn(o, k)
        for i in range(state.shape[0]):
            c = lowest + i
            if np.isnan(panel[market, j, c]):
                silence(o, j, c)
                continue
            if np.isnan(state[i, BEGAN]):
                state[i, BEGAN] = float(3 * k)
            take(o, j, c, lows)
            passed = float(3 * k) - state[i, BEGAN]
            if o.sums.shape[0] > 0:
                average(o, i, passed)
            if o.means.shape[0] > 0:
                delay(o, i, passed)
            publish_row(o, j, 3 * k, i, lows)


@kernel
def turn(o: Tape, k: int) -> None:
    """Say where in the rings row `k` of the run lies and the rows are that its knots look back to."""
    for way, rows in ((OF_AVERAGE, o.sums.shape[0]), (OF_DELAY, o.means.shape[0])):
        if rows > 0:
            for s in range(4):
                o.ends[way, s] = (k - o.lags[way, s, ROWS_BACK]) % rows
            o.ends[way, 4] = k % rows


@inlined
def take(o: Tape, j: int, c: int, lows: bool) -> None:
    """Put the sources of panel column `c` at the four knots of row `j` into `knots`."""
    for s in range(4):
        if o.rule[MEDIAN] != 0.0:
            o.knots[s] = middle(o, j, c, lows, s)
        else:
            o.knots[s] = knot(o.panel, int(o.rule[FROM]), j, c, lows, s)


@inlined
def publish_row(o: Tape, j: int, n: int, i: int, lows: bool) -> None:
    """Write the oracle's four knots of panel row `j`, from knot number `n` on."""
    state, rule, c = o.state, o.rule, int(o.rule[LOWEST]) + i
    d, beat, most = rule[INTERVAL], rule[HEARTBEAT], rule[DEVIATION]
    derived, always = o.sums.shape[0] > 0 or o.means.shape[0] > 0, beat == 0.0 and most == 0.0
    published, stamp, scale = state[i, PUBLISHED], state[i, PUBLISHED_AT], state[i, SCALE]
    for s in range(4):
        price = o.knots[s]
        late = always or np.isnan(published) or (beat > 0.0 and (float(n + s) - stamp) * d >= beat)
        # rounding to eight digits moves a price by half of 1e-7 of it at most: what is nearer than that needs none
        if late or (most > 0.0 and abs(price - published) >= most * published - 1e-7 * price):
            if derived:
                # as derived marks are: the order of float operations is not seen
                if not 1e7 <= price * scale < 1e8:
                    scale = math.pow(10.0, 7.0 - math.floor(math.log10(price)))
                price = np.floor(price * scale * (1.0 + 1e-12) + 0.5) / scale
            if late or abs(price - published) >= most * published:
                published, stamp = price, float(n + s)
        o.panel[int(rule[INTO]) + place(s, lows), j, c] = published
        if s < 3 and o.fresh.shape[0] > 0:
            o.fresh[3 * j + s, c] = rule[START] + stamp * d
    state[i, PUBLISHED], state[i, PUBLISHED_AT], state[i, SCALE] = published, stamp, scale


@inlined
def place(s: int, lows: bool) -> int:
    """The field of a candle that knot `s` is in."""
    if s == 0 or s == 3:
        return s
    return 2 if (s == 1) == lows else 1


@kernel
def silence(o: Tape, j: int, i: int) -> None:
    """There is no market, so there is no oracle."""
    into = int(o.rule[INTO])
    for s in range(4):
        o.panel[into + s, j, i] = np.nan
    for s in range(3 if o.rule[LOGS] != 0.0 else 0):
        o.fresh[3 * j + s, i] = np.nan


@kernel
def middle(o: Tape, j: int, i: int, lows: bool, s: int) -> float:
    """The median at knot `s` of mark, trade and further series, those that are known; of an even number the mean of
    the two in the middle."""
    count = 0
    for n in range(2 + int(o.rule[SERIES])):
        off = int(o.rule[FROM]) if n == 0 else 0 if n == 1 else int(o.rule[FURTHER]) + 4 * (n - 2)
        price = knot(o.panel, off, j, i, lows, s)
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
    state, sums, row = o.state, o.sums, o.ends[OF_AVERAGE, 4]
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
        at, a, area = o.ends[OF_AVERAGE, s], 3 * o.lags[OF_AVERAGE, s, KNOT], 0.0
        if share > 0.0:
            b = a + 3
            area = share * (sums[at, i, b] + (sums[at, i, a] - sums[at, i, b]) * share / 2.0)
            a = b
        area += (state[i, SUM] - sums[at, i, a + 1]) + (state[i, SUM_REST] - sums[at, i, a + 2])
        o.knots[s] = area / o.rule[AVERAGE_KNOTS]


@inlined
def delay(o: Tape, i: int, passed: float) -> None:
    """Turn what is in `knots`, the first of them `passed` knots after the very first, into its path a delay before."""
    means, row, share = o.means, o.ends[OF_DELAY, 4], o.rule[DELAY_SHARE]
    for s in range(4):
        means[row, i, s] = o.knots[s]
    if passed == 0.0:
        o.state[i, FIRST] = o.knots[0]
    for s in range(4):
        at, a = o.ends[OF_DELAY, s], o.lags[OF_DELAY, s, KNOT]
        if (passed + float(s)) * o.rule[INTERVAL] <= o.rule[DELAY]:
            o.knots[s] = o.state[i, FIRST]
        elif share == 0.0:
            o.knots[s] = means[at, i, a]
        else:
            o.knots[s] = means[at, i, a] + (means[at, i, a + 1] - means[at, i, a]) * share


@kernel
def spread_out(o: Tape, j: int, fine: Floats3, fresh: Floats) -> None:
    """Write the oracle's path of panel row `j` into the same fields of a panel of the finer candles inside it."""
    into, lows, rows = int(o.rule[INTO]), lows_first(o.panel, j), fine.shape[1]
    holds = o.rule[HEARTBEAT] > 0.0 or o.rule[DEVIATION] > 0.0
    for m in range(rows):
        fine_lows = lows_first(fine, m)
        for i in range(fine.shape[2]):
            for s in range(4):
                # the fine knot's time, in coarse knots from the row's open, times the number of rows
                time = 3 * m + s
                a = knot(o.panel, into, j, i, lows, time // rows)
                if time % rows != 0 and not holds:
                    b = knot(o.panel, into, j, i, lows, time // rows + 1)
                    a = a + (b - a) * (float(time % rows) / float(rows))
                fine[into + place(s, fine_lows), m, i] = a
                if s < 3 and fresh.shape[0] > 0:
                    fresh[3 * m + s, i] = o.fresh[3 * j + time // rows, i]
