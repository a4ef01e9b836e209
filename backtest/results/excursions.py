"""How far prices went while positions were held: the trade path's extremes between the fills of each symbol.

A *stretch* reaches from a fill to the symbol's next one. Candles inside it count with their high and low; the candle of
a fill counts with the part of its path before or after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtest.core.enums import Cause
from backtest.core.records import EXTREME, FILL
from backtest.core.rows import Rows
from backtest.core.spool import Spool
from backtest.data.panel import CLOSE, HIGH, LOW, OPEN, Chunk
from backtest.results.columns import Ints
from backtest.results.price_path import BEFORE, Floats, knots, price_at, reach

NO_FINE: Mapping[int, Floats] = {}
ENDED = np.dtype([("number", "i8"), ("reached", EXTREME)])
"""A fill, and what came after it."""


class Places(NamedTuple):
    """Fills of a chunk, by symbol and then in the order of the journal."""

    number: Ints
    """In the journal."""
    symbol: Ints
    row: Ints
    """In the chunk."""
    time: Ints
    """Milliseconds from the row's open, or BEFORE."""
    price: Floats
    """Without what spread, impact and drift cost."""
    held: Ints
    """Lots after it."""
    ends: Ints
    """The slot of the stretch that ends with it."""
    begins: Ints
    """The slot of the stretch that begins with it."""


class Observer:
    """Keeps the highest and the lowest trade price of every stretch in which a position is held.

    It is fed each chunk after it was played, in order, with the fills of that chunk. What it finds does not depend on
    how the rows are cut into chunks.
    """

    def __init__(self, step_micro: Ints, start_ms: int, interval_ms: int, spool: Spool | None = None) -> None:
        """``spool``: where extremes are kept when they are many."""
        symbols = len(step_micro)
        self._step, self._start_ms, self._interval = step_micro, start_ms, interval_ms
        # Of the stretch that each symbol is in: lots held, the number of the fill that began it, its extremes so far.
        self._lots, self._since = np.zeros(symbols, dtype=np.int64), np.full(symbols, -1)
        self._high, self._low = np.full(symbols, np.nan), np.full(symbols, np.nan)
        self._closed = np.full(symbols, np.nan)
        self._late = np.zeros(0, FILL)
        self._count = 0
        self._known = Rows(EXTREME, spool)
        self._ended: list[NDArray[np.void]] = []
        """Of stretches that began in an earlier chunk than they ended in: `ENDED`."""

    def take(self, chunk: Chunk, fills: NDArray[np.void], fine: Mapping[int, Floats] = NO_FINE) -> None:
        """Look at the rows of ``chunk``; ``fills`` (records.FILL) are those made while it was played, in order.

        ``fine``: of rows that were played on finer candles, by their number in the grid, the panel [fields, candles,
        symbols] of those; only rows with fills are looked up. A row that is not in it has the path of its candle.
        """
        panel = chunk.panel[:, chunk.tail :]
        known = np.concatenate([self._late, fills])
        end_ms = self._start_ms + (chunk.row0 + chunk.rows) * self._interval
        # What is stamped with the chunk's end may belong before or after the jump to a row that is not here yet.
        now = int(np.searchsorted(known["ts_ms"], end_ms))
        self._late = known[now:].copy()
        places = self._places(panel, chunk.row0, known[:now])
        high = np.concatenate([self._high, np.full(now, np.nan)])
        low = np.concatenate([self._low, np.full(now, np.nan)])
        held = np.concatenate([self._lots, places.held])
        begun = np.concatenate([self._since, places.number])
        self._whole_rows(panel, places, held, high, low)
        finer = np.isin(places.row + chunk.row0, list(fine))
        for some, source in ((~finer, None), (finer, fine)):
            chosen = Places._make(values[some] for values in places)
            if len(chosen.row):
                rows = np.unique(chosen.row)
                self._parts_of_rows(chosen, rows, _paths(panel, rows, chunk.row0, source), high, low)
        over = places.ends[held[places.ends] != 0]
        self._keep(now, begun[over], high[over], low[over])
        last = np.arange(len(self._step))
        last[places.symbol] = places.begins  # of a symbol's fills the last one stays
        self._lots, self._since, self._high, self._low = held[last], begun[last], high[last], low[last]
        self._closed = panel[CLOSE, -1].copy()
        self._count += now

    def extremes(self) -> Rows:
        """One row of records.EXTREME per fill, in the order of the journal; to be asked once, after the last chunk."""
        still = self._lots != 0
        self._keep(len(self._late), self._since[still], self._high[still], self._low[still])
        ended = np.concatenate(self._ended)
        ended = ended[np.argsort(ended["number"], kind="stable")]
        self._known.change(ended["number"], ended["reached"])
        return self._known

    def _keep(self, fills: int, number: Ints, high: Floats, low: Floats) -> None:
        """Keep the extremes of stretches that have ended, and take the place of so many fills more."""
        made, first = np.full(fills, np.nan, EXTREME), len(self._known)
        here = number >= first
        made["high"][number[here] - first], made["low"][number[here] - first] = high[here], low[here]
        self._known.append(made)
        earlier = np.zeros(int((~here).sum()), ENDED)
        earlier["number"] = number[~here]
        earlier["reached"]["high"], earlier["reached"]["low"] = high[~here], low[~here]
        self._ended.append(earlier)

    def _places(self, panel: Floats, row0: int, fills: NDArray[np.void]) -> Places:
        order = np.argsort(fills["symbol"], kind="stable")
        mine, symbols = fills[order], len(self._step)
        symbol = mine["symbol"]
        row, time = np.divmod(mine["ts_ms"] - self._start_ms, self._interval)
        row -= row0
        value = np.abs(mine["quote"]) - np.sign(mine["lots"]) * (mine["spread"] + mine["impact"] + mine["drift"])
        units = np.abs(mine["lots"]) * self._step[symbol].astype(np.float64)
        # A crossing in the last third of a millisecond has the stamp of the next open. Its price tells the two apart:
        # it is the close's, but for the rounding of money, and not the open's.
        closed = np.where(row > 0, panel[CLOSE, row - 1, symbol], self._closed[symbol])
        allowed = 1.0 + 1e-9 * value
        at_close = (time == 0) & (np.abs(value - closed * units) <= allowed)
        at_close &= ~(np.abs(value - panel[OPEN, row, symbol] * units) <= allowed)
        # A fill that undoes another has that one's price, which says nothing about its own instant.
        at_close &= mine["cause"] != Cause.REORG
        total, first = np.cumsum(mine["lots"]), np.diff(symbol, prepend=-1) != 0
        held = self._lots[symbol] + total - (total - mine["lots"])[first][np.cumsum(first) - 1]
        begins = symbols + np.arange(len(mine))
        return Places(
            number=order + self._count,
            symbol=symbol,
            row=row,
            time=np.where(at_close, BEFORE, time),
            price=value / units,
            held=held,
            ends=np.where(first, symbol, begins - 1),
            begins=begins,
        )

    def _whole_rows(self, panel: Floats, places: Places, held: Ints, high: Floats, low: Floats) -> None:
        """Rows without a fill of the symbol."""
        symbols, rows = len(self._step), panel.shape[1]
        cuts = np.searchsorted(places.symbol, np.arange(symbols + 1))
        for i in range(symbols):
            mine = slice(cuts[i], cuts[i + 1])
            slots = np.append(i, places.begins[mine])
            begin, end = np.append(0, places.row[mine] + 1), np.append(places.row[mine], rows)
            used = (end > begin) & (held[slots] != 0)
            if used.any():
                slots = slots[used]
                # NumPy reduces from each index to the next: every other result is one of the stretches.
                edges = np.column_stack([begin[used], end[used]]).ravel()
                edges = edges[:-1] if edges[-1] == rows else edges
                highs, lows = np.ascontiguousarray(panel[HIGH, :, i]), np.ascontiguousarray(panel[LOW, :, i])
                # Of numbers alone the same, and several times faster: fmax is no single instruction.
                gaps = np.isnan(np.add.reduce(highs))
                most, least = (np.fmax, np.fmin) if gaps else (np.maximum, np.minimum)
                high[slots] = np.fmax(high[slots], most.reduceat(highs, edges)[::2])
                low[slots] = np.fmin(low[slots], least.reduceat(lows, edges)[::2])

    def _parts_of_rows(self, places: Places, rows: Ints, paths: Floats, high: Floats, low: Floats) -> None:
        """Rows with fills of the symbol: of each fill the part that ends with it, and what is left after the last."""
        path = paths[np.searchsorted(rows, places.row), :, :, places.symbol]
        time, ends, begins = places.time, places.ends, places.begins
        at = price_at(path, time, places.price, self._interval)
        again = (np.diff(places.symbol, prepend=-1) == 0) & (np.diff(places.row, prepend=-1) == 0)
        since = np.where(again, np.roll(time, 1), BEFORE)
        came = np.where(again, np.roll(at, 1), np.nan)
        most, least = reach(path, since, time, came, at, self._interval)
        high[ends], low[ends] = np.fmax(high[ends], most), np.fmin(low[ends], least)
        last = ~np.append(again[1:], False)
        begins, nowhere = begins[last], np.full(int(last.sum()), np.nan)
        until = np.full(len(begins), self._interval)
        most, least = reach(path[last], time[last], until, at[last], nowhere, self._interval)
        high[begins], low[begins] = np.fmax(high[begins], most), np.fmin(low[begins], least)


def _paths(panel: Floats, rows: Ints, row0: int, fine: Mapping[int, Floats] | None) -> Floats:
    """[rows, candles, 4, symbols]: the knots of each row's own candle, or of its finer ones."""
    if fine is None:
        return knots(panel[:4, rows])[:, None]
    return np.stack([knots(fine[int(row) + row0][:4]) for row in rows])
