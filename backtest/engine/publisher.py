"""Who makes the venue mark of each panel as it comes, by the kernels of `oracle`, on two cores where it pays."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from backtest.core.errors import Broken
from backtest.engine.layout import Floats
from backtest.engine.oracle import (
    AVERAGE,
    AVERAGE_KNOTS,
    AVERAGE_REST,
    BEGAN,
    DEVIATION,
    FIELDS,
    FROM,
    FURTHER,
    HEARTBEAT,
    INTERVAL,
    INTO,
    LATE,
    LOGS,
    LOWEST,
    MEDIAN,
    PUBLISHED,
    PUBLISHED_AT,
    ROWS_BACK,
    ROWS_LATE,
    RULE_WIDTH,
    SERIES,
    START,
    STATE_WIDTH,
    Finer,
    Tape,
    lay_fine,
    publish,
    spread_out,
)
from backtest.engine.tier import Tier
from backtest.venues.chain import Oracle

LANES, WORTH = 2, 1 << 16
"""Parts of the symbols that are worked on at a time, where there are so many candles."""
BLOCK = 1 << 17
"""Candles after which those who wait may go on."""


class Publisher:
    """Makes the oracle's mark of each panel, in order; what it needs of the past it keeps.

    The eight fields from `field` on are its own, whatever they hold: the market's are left as they are. Panels may
    begin with rows that have been seen.
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
        tier: Tier | None = None,
        dated: bool = False,
    ) -> None:
        """`further`: how many further series of marks there are, four fields each, behind the oracle's own.

        `dated`: the times of publications are kept, though no order can be refused by them.
        """
        rule = np.zeros(RULE_WIDTH)
        rule[FROM], rule[INTO], rule[FURTHER], rule[SERIES] = mark_offset, field, field + FIELDS, further
        rule[MEDIAN], rule[DEVIATION] = oracle.median, oracle.deviation
        rule[AVERAGE], rule[HEARTBEAT], rule[START] = (
            3 * ms for ms in (oracle.average_ms, oracle.heartbeat_ms, start_ms + oracle.delay_ms)
        )
        rule[ROWS_LATE], rule[LATE] = oracle.delay_ms // interval_ms, 3 * (oracle.delay_ms % interval_ms)
        rule[INTERVAL], rule[AVERAGE_KNOTS] = interval_ms, 3 * oracle.average_ms / interval_ms
        rule[AVERAGE_REST] = 3 * oracle.average_ms % interval_ms / interval_ms
        # one that always publishes is never stale
        rule[LOGS] = oracle.holds and (dated or oracle.limit_ms > 0)
        lags = _lag(3 * oracle.average_ms, interval_ms)
        depths = (int(lags[:, ROWS_BACK].max()) + 1 if oracle.average_ms else 0, int(rule[ROWS_LATE]) + 2)
        parts, self._tier = min(LANES, symbols), tier or Tier()
        self._tapes = [
            _tape(rule, lags, depths, part * symbols // parts, (part + 1) * symbols // parts) for part in range(parts)
        ]
        """One for each part of the symbols: they share nothing that is written but the panel and the publications."""
        self._panel = np.empty((field, 0, symbols))
        self._fresh = np.empty((0, symbols))
        self._field, self._next = field, 0
        self._fields = field + FIELDS + 4 * further
        self._interval_ms, self._delay_ms, self._exact = interval_ms, oracle.delay_ms, not oracle.rough
        self._known = 0
        self._blocks: deque[tuple[int, list[Future[None]]]] = deque()
        """What is under way: the row that each block ends before, and the work of its parts."""

    def see(self, panel: NDArray[np.float64], first_row: int) -> None:
        """Begin to write the oracle's fields of a panel whose first row is row `first_row` of the run; `known` waits.

        Until the last row is known the panel must be left where it is.
        """
        self.known(self._next - 1)
        seen, field = self._panel, self._field
        rows, back = panel.shape[1], self._next - first_row
        if not 0 <= back <= seen.shape[1]:
            raise Broken("panels come in order")
        if len(panel) < self._fields:
            raise Broken(f"a panel of {len(panel)} fields, where the oracle needs {self._fields}")
        again, first = min(back, rows), seen.shape[1] - back
        logs = self._tapes[0].rule[LOGS] != 0.0
        fresh = np.empty((4 * rows if logs else 0, panel.shape[2]))
        if again:
            panel[field : field + FIELDS, :again] = seen[field : field + FIELDS, first : first + again].copy()
            fresh[: 4 * again] = self._fresh[4 * first : 4 * (first + again)]
        self._panel, self._fresh = panel, fresh
        for tape in self._tapes:
            tape.put(panel=panel, fresh=fresh)
        if again < rows:
            self._publish(again, rows, first_row)
            self._next = first_row + rows

    def _publish(self, first: int, end: int, base: int) -> None:
        """Begin with rows `[first, end)` of the panel; few are done at once."""
        symbols, write = self._panel.shape[2], self._tier.code(publish)
        if not self._tier.compiled or (end - first) * symbols < WORTH:
            for tape in self._tapes:
                write(tape, first, end, base)
            self._known = base + end
            return
        lanes = [ThreadPoolExecutor(1, "oracle") for _ in self._tapes]
        step = max(1, BLOCK // symbols)
        for row in range(first, end, step):
            until = min(row + step, end)
            work = [lane.submit(write, tape, row, until, base) for lane, tape in zip(lanes, self._tapes, strict=True)]
            self._blocks.append((base + until, work))
        for lane in lanes:
            lane.shutdown(wait=False)  # it ends with its last block

    def known(self, row: int) -> int:
        """Wait until the oracle of row `row` of the run is written; returns the row up to which it is."""
        while self._known <= row:
            until, work = self._blocks.popleft()
            for part in work:
                part.result()
            self._known = until
        return self._known

    def inside(
        self, drill: Callable[[int], NDArray[np.float64]], k: int, j: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """`(panel, fresh, last)` of row `k` of the run, row `j` of the panel seen last, played on the finer candles.

        `drill` has these for each row of the run, without the oracle's fields. `last`: each symbol's mark before the
        row's open, NaN where it is the close of the row before."""
        fine = drill(k)[: self._field]
        _, rows, symbols = fine.shape
        whole = np.concatenate([fine, np.empty((FIELDS, rows, symbols))])
        step = self._interval_ms // rows
        late = 3 * (self._delay_ms % step)
        fresh = np.empty((4 * rows if len(self._fresh) else 0, symbols))
        if not self._exact:
            self._tier.code(spread_out)(self._tapes[0], Finer(panel=whole, fresh=fresh), j, late)
            return whole, fresh, np.full(symbols, np.nan)
        then = k * rows - self._delay_ms // step
        begin = then - 1
        held = range(begin // rows, (then + rows - 1) // rows + 1)
        pieces = [drill(row)[: self._field] if row >= 0 else np.full(fine.shape, np.nan) for row in held]
        source = np.ascontiguousarray(np.concatenate(pieces, axis=1))
        begin, then = begin - held[0] * rows, then - held[0] * rows
        market = int(self._tapes[0].rule[FROM])
        unborn = np.isnan(source[market, begin : then + rows]).any(axis=0) & ~np.isnan(fine[market]).all(axis=0)
        first = np.full(symbols, np.nan)
        for i in np.flatnonzero(unborn).tolist():
            first[i] = drill(self._first_row(i))[market, 0, i]
        said = np.empty((source.shape[1], symbols, 4))
        finer = Finer(panel=whole, source=source, said=said, first=first)
        self._tier.code(lay_fine)(self._tapes[0], finer, late, then, begin)
        return whole, fresh, whole[self._field, 0] if late else said[begin, :, 3]

    def _first_row(self, symbol: int) -> int:
        """The row of the run in which the symbol's life begins."""
        tape = next(tape for tape in reversed(self._tapes) if tape.rule[LOWEST] <= symbol)
        return int(tape.state[symbol - int(tape.rule[LOWEST]), BEGAN]) // 3

    @property
    def fresh(self) -> NDArray[np.float64]:
        """[4 × rows of the panel, symbols]: of each row's open and inner knots the last publication at or before, in
        thirds of a ms since 1970; no rows where nobody asks for it."""
        return self._fresh


def _tape(rule: Floats, lags: NDArray[np.int64], depths: tuple[int, int], lowest: int, end: int) -> Tape:
    """What is needed for columns `[lowest, end)` of the panels; `depths`: rows of the rings of sums and of `said`."""
    state = np.zeros((end - lowest, STATE_WIDTH))
    state[:, [BEGAN, PUBLISHED, PUBLISHED_AT]] = np.nan
    own = rule.copy()
    own[LOWEST] = lowest
    summed, kept = depths
    return Tape(
        rule=own,
        state=state,
        lags=lags,
        sums=np.full((summed, len(state), 12), np.nan),
        said=np.full((kept, len(state), 4), np.nan),
        stamps=np.full((kept if rule[LOGS] else 0, len(state), 4), np.nan),
        sources=np.empty(2 + int(rule[SERIES])),
        knots=np.empty(4),
        ends=np.zeros(5, np.int64),
    )


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
