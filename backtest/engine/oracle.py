"""The mark that the venue sees where an oracle makes it from the market's (docs/rules-layer2.md section 4).

Knots are counted in thirds of a candle from the run's start: knot `s` of row `k` is number `3k + s`, so a row's close
and the next one's open, which the price jumps between, have one number. `d` is the candle's interval in ms, which is
also a third of a candle in thirds of a ms: a span of `m` ms is `3m / d` knots, `⌊3m / d⌋` whole ones and a rest.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from backtest.engine.compile import INTERPRETED, Bundle, inlined, kernel
from backtest.engine.layout import Floats, Floats3, Ints
from backtest.engine.path import knot, lows_first
from backtest.venue.chain import Oracle

LANES, WORTH = 2, 1 << 16
"""Parts of the symbols that are worked on at a time, where there are so many candles."""

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
    RULE_WIDTH,
) = range(16)
# FROM, INTO, FURTHER: panel fields of the open of the market's mark, of the oracle's, of the first of SERIES further
# series; AVERAGE, DELAY, HEARTBEAT and START in thirds of a ms; LOGS 1: the times of publications are wanted;
# AVERAGE_KNOTS the average's span in knots, AVERAGE_REST what it has beside whole ones; DELAY_SHARE of the
# way from the knot at which the line that the delay ends on begins, 0: that knot itself

# state: float64[symbols, STATE_WIDTH]
(
    BEGAN,
    FIRST,
    SOURCE,
    SUM,
    SUM_REST,
    PUBLISHED,
    PUBLISHED_AT,
    CLOSES,
    APART,
    MOST_APART,
    PUBLICATIONS,
    SCALE,
    STATE_WIDTH,
) = range(13)
# BEGAN and PUBLISHED_AT numbers of knots, NaN: none yet; FIRST average at the first knot; SOURCE at the last one; SUM,
# with what was rounded off it in SUM_REST, the area below the sources from the first knot on, price times knots; APART
# and MOST_APART sum and maximum over CLOSES of |oracle / market − 1|; SCALE the power of ten that gives eight digits

# lags: int64[2, 4, 2]: of the average and the delay, for each knot of a row: how many rows back and at which knot the
# line begins that its far end lies on; at that knot itself where it lies on one
ROWS_BACK, KNOT = range(2)
OF_AVERAGE, OF_DELAY = range(2)
# sums: float64[rows, symbols, 12]: SOURCE, SUM and SUM_REST at each knot of the latest rows, row k in k % rows; means:
# float64[rows, symbols, 4]: the averages, likewise


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
    }
    panel: Floats3
    fresh: Floats
    rule: Floats
    state: Floats
    lags: Ints
    sums: Floats3
    means: Floats3
    sources: Floats


@kernel
def publish(o: Tape, first: int, end: int, base: int, lane: int, lanes: int) -> None:
    """Write the oracle's knots of panel rows `[first, end)`, row 0 being row `base` of the run: those of part `lane`
    of `lanes` of the symbols. No symbol asks for another's."""
    panel, state = o.panel, o.state
    market, symbols = int(o.rule[FROM]), panel.shape[2]
    for j in range(first, end):
        lows, k = lows_first(panel, j), base + j
        for i in range(lane * symbols // lanes, (lane + 1) * symbols // lanes):
            if np.isnan(panel[market, j, i]):
                silence(o, j, i)
                continue
            if np.isnan(state[i, BEGAN]):
                state[i, BEGAN] = float(3 * k)
            published = publish_row(o, j, k, i, lows)
            apart = abs(published / panel[market + 3, j, i] - 1.0)
            state[i, CLOSES] += 1.0
            state[i, APART] += apart
            state[i, MOST_APART] = max(state[i, MOST_APART], apart)


@inlined
def publish_row(o: Tape, j: int, k: int, i: int, lows: bool) -> float:
    """Write the oracle's four knots of panel row `j`, row `k` of the run, for symbol `i`; returns the last of them."""
    panel, state, rule = o.panel, o.state, o.rule
    market, into, d = int(rule[FROM]), int(rule[INTO]), rule[INTERVAL]
    beat, most = rule[HEARTBEAT], rule[DEVIATION]
    averages, delays = o.sums.shape[0] > 0, o.means.shape[0] > 0
    sum_row, mean_row = k % o.sums.shape[0] if averages else 0, k % o.means.shape[0] if delays else 0
    published, stamp, scale = state[i, PUBLISHED], state[i, PUBLISHED_AT], state[i, SCALE]
    for s in range(4):
        n = float(3 * k + s)
        price = middle(o, j, i, lows, s) if rule[MEDIAN] != 0.0 else knot(panel, market, j, i, lows, s)
        if averages:
            price = average(o, price, i, sum_row, s, n - state[i, BEGAN])
        if delays:
            price = delayed(o, price, i, mean_row, s, n - state[i, BEGAN])
        if averages or delays:
            # to eight significant digits, as derived marks are: the order of float operations is not seen
            if not 1e7 <= price * scale < 1e8:
                scale = math.pow(10.0, 7.0 - math.floor(math.log10(price)))
            price = np.floor(price * scale * (1.0 + 1e-12) + 0.5) / scale
        late = beat > 0.0 and (n - stamp) * d >= beat
        off = most > 0.0 and abs(price - published) >= most * published
        if late or off or np.isnan(published) or (beat == 0.0 and most == 0.0):
            published, stamp = price, n
            state[i, PUBLICATIONS] += 1.0
        panel[into + place(s, lows), j, i] = published
        if s < 3 and o.fresh.shape[0] > 0:
            o.fresh[3 * j + s, i] = rule[START] + stamp * d
    state[i, PUBLISHED], state[i, PUBLISHED_AT], state[i, SCALE] = published, stamp, scale
    return published


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


@kernel
def average(o: Tape, price: float, i: int, row: int, s: int, passed: float) -> float:
    """The mean of the path of sources up to knot `s` of ring row `row`, `passed` knots after the first; `price` there.

    The area since the first knot is summed with what each addition rounds off (Knuth's two-sum), so that the difference
    of two sums is as good as its terms, however long the history.
    """
    state, sums = o.state, o.sums
    if s > 0:
        step = (state[i, SOURCE] + price) / 2.0
        total = state[i, SUM] + step
        shown = total - state[i, SUM]
        state[i, SUM_REST] += (state[i, SUM] - (total - shown)) + (step - shown)
        state[i, SUM] = total
    state[i, SOURCE] = price
    sums[row, i, 3 * s], sums[row, i, 3 * s + 1], sums[row, i, 3 * s + 2] = price, state[i, SUM], state[i, SUM_REST]
    if passed == 0.0:
        return price
    if passed * o.rule[INTERVAL] <= o.rule[AVERAGE]:
        return (state[i, SUM] + state[i, SUM_REST]) / passed
    at, a = row - o.lags[OF_AVERAGE, s, ROWS_BACK], 3 * o.lags[OF_AVERAGE, s, KNOT]
    if at < 0:
        at += sums.shape[0]
    share, area = o.rule[AVERAGE_REST], 0.0
    if share > 0.0:
        b = a + 3
        area = share * (sums[at, i, b] + (sums[at, i, a] - sums[at, i, b]) * share / 2.0)
        a = b
    area += (state[i, SUM] - sums[at, i, a + 1]) + (state[i, SUM_REST] - sums[at, i, a + 2])
    return area / o.rule[AVERAGE_KNOTS]


@kernel
def delayed(o: Tape, price: float, i: int, row: int, s: int, passed: float) -> float:
    """The path of averages a delay before knot `s` of ring row `row`, `passed` knots after the first; `price` there."""
    means = o.means
    means[row, i, s] = price
    if passed == 0.0:
        o.state[i, FIRST] = price
    if passed * o.rule[INTERVAL] <= o.rule[DELAY]:
        return o.state[i, FIRST]
    at, a = row - o.lags[OF_DELAY, s, ROWS_BACK], o.lags[OF_DELAY, s, KNOT]
    if at < 0:
        at += means.shape[0]
    share = o.rule[DELAY_SHARE]
    if share == 0.0:
        return means[at, i, a]
    return means[at, i, a] + (means[at, i, a + 1] - means[at, i, a]) * share


@kernel
def spread_out(o: Tape, j: int, fine: Floats3, fresh: Floats) -> None:
    """Write the oracle's path of panel row `j` into the same fields of a panel of the finer candles inside it."""
    into, lows, rows = int(o.rule[INTO]), lows_first(o.panel, j), fine.shape[1]
    for m in range(rows):
        fine_lows = lows_first(fine, m)
        for i in range(fine.shape[2]):
            for s in range(4):
                # the fine knot's time, in coarse knots from the row's open, times the number of rows
                time = 3 * m + s
                a = knot(o.panel, into, j, i, lows, time // rows)
                if time % rows != 0:
                    b = knot(o.panel, into, j, i, lows, time // rows + 1)
                    a = a + (b - a) * (float(time % rows) / float(rows))
                fine[into + place(s, fine_lows), m, i] = a
                if s < 3 and fresh.shape[0] > 0:
                    fresh[3 * m + s, i] = o.fresh[3 * j + time // rows, i]


class Publisher:
    """Makes the oracle's mark of each panel, in order; what it needs of the past it keeps.

    The four fields from `field` on are its own, whatever they hold: the market's are left as they are. Panels may begin
    with rows that have been seen.
    """

    def __init__(
        self,
        oracle: Oracle,
        symbols: int,
        interval_ms: int,
        start_ms: int,
        mark_offset: int,
        field: int,
        further: int = 0,
    ) -> None:
        """`further`: how many further series of marks there are, four fields each, behind the oracle's own."""
        rule = np.zeros(RULE_WIDTH)
        rule[FROM], rule[INTO], rule[FURTHER], rule[SERIES] = mark_offset, field, field + 4, further
        rule[MEDIAN], rule[DEVIATION] = oracle.median, oracle.deviation
        rule[AVERAGE], rule[DELAY], rule[HEARTBEAT], rule[START] = (
            3 * ms for ms in (oracle.average_ms, oracle.delay_ms, oracle.heartbeat_ms, start_ms)
        )
        rule[INTERVAL], rule[AVERAGE_KNOTS] = interval_ms, 3 * oracle.average_ms / interval_ms
        rule[AVERAGE_REST] = 3 * oracle.average_ms % interval_ms / interval_ms
        rule[DELAY_SHARE] = -3 * oracle.delay_ms % interval_ms / interval_ms
        # one that always publishes is never stale
        rule[LOGS] = oracle.limit_ms > 0 and (oracle.heartbeat_ms > 0 or oracle.deviation > 0)
        state = np.zeros((symbols, STATE_WIDTH))
        state[:, [BEGAN, PUBLISHED, PUBLISHED_AT]] = np.nan
        lags = np.stack([_lag(3 * ms, interval_ms) for ms in (oracle.average_ms, oracle.delay_ms)])
        most = lags[:, :, ROWS_BACK].max(axis=1) + 1
        self._tape = Tape(
            rule=rule,
            state=state,
            lags=lags,
            sums=np.full((most[OF_AVERAGE] if oracle.average_ms else 0, symbols, 12), np.nan),
            means=np.full((most[OF_DELAY] if oracle.delay_ms else 0, symbols, 4), np.nan),
            sources=np.empty(2 + further),
            fresh=np.empty((0, symbols)),
            panel=np.empty((field, 0, symbols)),
        )
        self._field, self._next = field, 0

    def see(self, panel: NDArray[np.float64], first_row: int) -> None:
        """Write the oracle's fields of a panel whose first row is row `first_row` of the run."""
        tape, field = self._tape, self._field
        rows, back = panel.shape[1], self._next - first_row
        assert 0 <= back <= tape.panel.shape[1], "panels come in order"
        again, first = min(back, rows), tape.panel.shape[1] - back
        logs = tape.rule[LOGS] != 0.0
        fresh = np.empty((3 * rows if logs else 0, panel.shape[2]))
        if again:
            panel[field : field + 4, :again] = tape.panel[field : field + 4, first : first + again].copy()
            fresh[: 3 * again] = tape.fresh[3 * first : 3 * (first + again)]
        tape.put(panel=panel, fresh=fresh)
        if again < rows:
            self._publish(again, rows, first_row)
            self._next = first_row + rows

    def _publish(self, first: int, end: int, base: int) -> None:
        symbols = len(self._tape.state)
        if INTERPRETED or symbols < LANES or (end - first) * symbols < WORTH:
            publish(self._tape, first, end, base, 0, 1)
            return
        with ThreadPoolExecutor(LANES, "oracle") as lanes:
            list(lanes.map(lambda lane: publish(self._tape, first, end, base, lane, LANES), range(LANES)))

    def inside(self, fine: NDArray[np.float64], j: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """`(panel, fresh)` of row `j` of the panel seen last, played on the candles of `fine`, which lacks the oracle's
        fields: its path there is that of the row."""
        tape, (_, rows, symbols) = self._tape, fine.shape
        whole = np.concatenate([fine[: self._field], np.empty((4, rows, symbols))])
        fresh = np.empty((3 * rows if len(tape.fresh) else 0, symbols))
        spread_out(tape, j, whole, fresh)
        return whole, fresh

    @property
    def fresh(self) -> NDArray[np.float64]:
        """[3 × rows of the panel, symbols]: of knots 0 to 2 of each row the last publication at or before, in thirds of
        a ms since 1970; no rows where nobody asks for it."""
        return self._tape.fresh

    @property
    def apart(self) -> NDArray[np.float64]:
        """[symbols, 4]: closes seen, mean and maximum over them of `|oracle / market − 1|`, publications."""
        state = self._tape.state
        with np.errstate(invalid="ignore"):
            mean = state[:, APART] / state[:, CLOSES]
        return np.column_stack([state[:, CLOSES], mean, state[:, MOST_APART], state[:, PUBLICATIONS]])


def _lag(span: int, d: int) -> NDArray[np.int64]:
    """`lags` of a span in thirds of a ms.

    Where its far end is an instant at which the price jumps, a close looks before the jump and every other knot behind.
    """
    whole, rest = divmod(span, d)
    table = np.empty((4, 2), np.int64)
    for s in range(4):
        far = s - whole - (1 if rest else 0)
        row, at = divmod(far, 3)
        if at == 0 and s == 3 and rest == 0:
            row, at = row - 1, 3
        table[s] = -row, at
    return table
