"""One series read forward once, in batches, each checked before anybody sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.durations import text as interval_name
from backtest.core.errors import UserError
from backtest.core.times import stamp
from backtest.data.source import CANDLE_COLUMNS, Source, reading

_CHECK = "look at it with `backtest data check`, and correct the file"


@dataclass(frozen=True)
class Piece:
    """Rows that follow each other in time."""

    t: NDArray[np.int64]
    """Opens, ms, strictly rising."""
    columns: tuple[NDArray[np.float64], ...]
    unbroken: bool
    """No interval is left out between the first row and the last."""

    def cut(self, start: int, stop: int) -> Piece:
        """Rows ``start … stop - 1``, views of the same memory."""
        return Piece(self.t[start:stop], tuple(c[start:stop] for c in self.columns), self.unbroken)


class Stream:
    """The rows of a source with lo_ms <= t < hi_ms, handed out by time.

    Raises UserError, with symbol, time and file, at the first stamp that is unsorted, repeated or off the
    grid (``phase_ms`` modulo ``interval_ms``) and at the first price that is not finite and above zero.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        source: Source,
        columns: tuple[str, ...],
        interval_ms: int,
        phase_ms: int,
        span: tuple[int, int],
        batch_rows: int,
    ) -> None:
        self.con, self.source, self.names = con, source, columns
        self.interval_ms, self.phase_ms = interval_ms, phase_ms
        self.span, self.batch_rows = span, batch_rows
        self.last_ms: int | None = None
        self.left: list[Piece] = []
        self.batches = self._read()

    def take(self, until_ms: int) -> list[Piece]:
        """The rows not yet taken with t < until_ms."""
        return list(self.pieces(until_ms))

    def pieces(self, until_ms: int) -> Iterator[Piece]:
        """The same one after another. DuckDB decodes them meanwhile without the GIL."""
        while True:
            piece = self.left.pop() if self.left else next(self.batches, None)
            if piece is None:
                return
            stop = int(np.searchsorted(piece.t, until_ms))
            if stop < len(piece.t):
                self.left.append(piece.cut(stop, len(piece.t)))
            if stop:
                yield piece.cut(0, stop)
            if stop < len(piece.t):
                return

    def _read(self) -> Iterator[Piece]:
        windows = self.source.windows(*self.span)
        for window in windows:
            with reading(self.source.files):
                found = self.con.sql(self.source.scan(self.names, *window))
                # A relation streams, and holds what it reads from until it has ended; `execute` would hold the whole
                # result in memory. Of several windows the result of one is small, and what it was read from is free.
                alone = len(windows) == 1
                batches = found.to_arrow_reader(self.batch_rows) if alone else found.to_arrow_table().to_batches()
                for batch in batches:
                    if batch.num_rows:
                        yield self._checked(batch)

    def _checked(self, batch: Any) -> Piece:
        if batch.column(0).null_count:
            raise UserError(f"a {self.source.kind} row without a time", self._files(), _CHECK)
        t = numbers(batch.column(0))
        columns = tuple(numbers(batch.column(j + 1)) for j in range(len(self.names)))
        steps = np.diff(t)
        unbroken = bool((steps == self.interval_ms).all())
        self._check_times(t, None if unbroken else steps)
        for name, column in zip(self.names, columns, strict=True):
            self._check_values(name, t, column)
        self._check_extremes(t, dict(zip(self.names, columns, strict=True)))
        self.last_ms = int(t[-1])
        return Piece(t, columns, unbroken)

    def _check_times(self, t: NDArray[np.int64], steps: NDArray[np.int64] | None) -> None:
        """``steps`` are the differences in ``t``, None when all are the interval."""
        if self.last_ms is not None and t[0] <= self.last_ms:
            self._out_of_order(self.last_ms, int(t[0]))
        back = np.flatnonzero(steps <= 0) if steps is not None else np.empty(0, np.int64)
        if len(back):
            self._out_of_order(int(t[back[0]]), int(t[back[0] + 1]))
        off = (t[:1] if steps is None else t) % self.interval_ms != self.phase_ms
        if off.any():
            where = self.source.where(int(t[np.argmax(off)]))
            raise UserError(f"off the grid of {interval_name(self.interval_ms)} candles", where, _CHECK)

    def _out_of_order(self, before: int, after: int) -> None:
        thing = "a stamp that is there twice" if before == after else f"unsorted: it comes after {stamp(before)}"
        raise UserError(thing, self.source.where(after), _CHECK)

    def _check_values(self, name: str, t: NDArray[np.int64], column: NDArray[np.float64]) -> None:
        if name not in (*CANDLE_COLUMNS, "volume"):
            return  # a further column may say anything
        floor_ok = column.min() >= 0 if name == "volume" else column.min() > 0
        if floor_ok and column.max() < np.inf:  # NaN passes neither comparison
            return
        bad = ~np.isfinite(column) | (column < 0 if name == "volume" else column <= 0)
        at = int(np.argmax(bad))
        wanted = "a finite number, zero or more" if name == "volume" else "a finite price above zero"
        raise UserError(f"{name} is {column[at]}, not {wanted}", self.source.where(int(t[at])), _CHECK)

    def _check_extremes(self, t: NDArray[np.int64], columns: dict[str, NDArray[np.float64]]) -> None:
        """A high below the low has no path at all; a close outside of them is played as it is, and `check` finds it."""
        high, low = columns.get("high"), columns.get("low")
        if high is None or low is None or not (high < low).any():
            return
        at = int(np.argmax(high < low))
        raise UserError(f"high {high[at]} is below low {low[at]}", self.source.where(int(t[at])), _CHECK)

    def _files(self) -> str:
        return f"{self.source.symbol} in {self.source.files[0].path}"


def numbers(column: Any) -> NDArray[Any]:
    """A column of Arrow; NaN for null. Its own `to_numpy` would import pandas, where that is installed."""
    if not column.null_count:
        return np.from_dlpack(column)
    filled: NDArray[Any] = pl.Series(column).to_numpy()
    return filled
