"""Candles joined from finer ones: open the first, high the highest, low the lowest, volume the sum, others the last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.errors import Broken
from backtest.data.source import Source
from backtest.data.stream import Piece, Stream

_BY_NAME = {"high": np.maximum, "low": np.minimum, "volume": np.add}


def joined(name: str, column: NDArray[np.float64], first: NDArray[np.int64]) -> NDArray[np.float64]:
    """One column of candles joined from those that begin at rows ``first``."""
    made: NDArray[np.float64]
    if name == "open":
        made = column[first]
    elif name in _BY_NAME:
        made = _BY_NAME[name].reduceat(column, first)
    else:  # the close, and what else a file may have
        made = column[np.append(first[1:], len(column)) - 1]
    return made


def closed_candles(
    t: NDArray[np.int64],
    columns: Mapping[str, NDArray[np.float64]],
    interval_ms: int,
    every_ms: int,
    end_ms: int,
) -> pl.DataFrame:
    """Return candles of ``every_ms`` made of those of ``interval_ms`` that open at ``t``: ts (ms UTC) and the columns.

    They open at whole multiples of ``every_ms``. One that ends after ``end_ms`` never closes, and is left out.
    """
    if every_ms != interval_ms and len(t):
        bucket = t // every_ms
        first = np.flatnonzero(np.diff(bucket, prepend=bucket[:1] - 1))
        t, columns = bucket[first] * every_ms, {name: joined(name, one, first) for name, one in columns.items()}
    closed = len(t) - int(len(t) > 0 and int(t[-1]) + every_ms > end_ms)
    frame = pl.DataFrame({"ts": t, **columns}).head(closed)
    return frame.with_columns(pl.col("ts").cast(pl.Datetime("ms", "UTC")))


class Joined:
    """The rows of a stream of finer candles as candles of ``interval_ms``, handed out by time.

    They open at ``phase_ms`` modulo ``interval_ms``. A candle is there if any of its finer ones is.
    """

    interval_ms: int
    names: tuple[str, ...]

    def __init__(self, stream: Stream | Joined, interval_ms: int, phase_ms: int) -> None:
        if interval_ms % stream.interval_ms != 0:
            raise Broken(f"candles of {stream.interval_ms} ms do not make up {interval_ms} ms")
        self.stream, self.interval_ms, self.phase_ms = stream, interval_ms, phase_ms % interval_ms
        self.names = stream.names
        self.short = 0
        """Candles so far that were joined from fewer finer ones than there should be."""

    def take(self, until_ms: int) -> list[Piece]:
        """The candles not yet taken that open before ``until_ms``, which is an open. Finer ones are not kept."""
        return list(self.pieces(until_ms))

    def pieces(self, until_ms: int) -> Iterator[Piece]:
        """The same one after another."""
        if until_ms % self.interval_ms != self.phase_ms:
            raise Broken(f"{until_ms} ms is not the open of a candle of {self.interval_ms} ms")
        begun: Piece | None = None
        for piece in self.stream.pieces(until_ms):
            rows = piece if begun is None else _glued(begun, piece)
            # The last candle may go on in the next piece. It is joined at once from all of its rows, so that no sum
            # depends on how the pieces were cut.
            cut = int(np.searchsorted(rows.t, self._opens(rows.t[-1:])[0]))
            if cut:
                yield self._join(rows.cut(0, cut))
            begun = rows.cut(cut, len(rows.t))
        if begun is not None:
            yield self._join(begun)

    def _opens(self, t: NDArray[np.int64]) -> NDArray[np.int64]:
        """Opens of the candles that hold the times ``t``."""
        opens: NDArray[np.int64] = t - (t - self.phase_ms) % self.interval_ms
        return opens

    def _join(self, rows: Piece) -> Piece:
        opens = self._opens(rows.t)
        first = np.flatnonzero(np.diff(opens, prepend=opens[0] - 1))
        held = np.diff(first, append=len(opens))
        self.short += int(np.count_nonzero(held < self.interval_ms // self.stream.interval_ms))
        t = opens[first]
        columns = tuple(joined(n, c, first) for n, c in zip(self.stream.names, rows.columns, strict=True))
        return Piece(t, columns, bool((np.diff(t) == self.interval_ms).all()))


def _glued(a: Piece, b: Piece) -> Piece:
    columns = tuple(np.concatenate(pair) for pair in zip(a.columns, b.columns, strict=True))
    return Piece(np.concatenate((a.t, b.t)), columns, False)


def candles_of(
    con: duckdb.DuckDBPyConnection,
    source: Source,
    columns: tuple[str, ...],
    intervals_ms: tuple[int, int],
    phase_ms: int,
    span: tuple[int, int],
    batch_rows: int,
) -> Stream | Joined:
    """The rows of a source with lo_ms <= t < hi_ms as candles that open at ``phase_ms`` modulo the interval.

    ``intervals_ms``: on disk, and wanted; joined where what lies on disk is finer, else as they are.
    """
    have_ms, want_ms = intervals_ms
    stream = Stream(con, source, columns, have_ms, phase_ms % have_ms, span, batch_rows)
    return Joined(stream, want_ms, phase_ms) if have_ms < want_ms else stream
