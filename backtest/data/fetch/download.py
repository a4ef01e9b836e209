"""Fetches the pieces of a plan, several at a time, each kept as soon as it is whole."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

import polars as pl

from backtest.data.fetch.failures import StoppedError
from backtest.data.fetch.pieces import Piece
from backtest.data.fetch.plan import Plan
from backtest.data.fetch.rows import candles, nothing, settlements
from backtest.data.fetch.staging import Staging

if TYPE_CHECKING:
    from backtest.data.fetch.exchange import Exchange

_AT_ONCE = 8
"""Pieces on their way; the venue's rate limit holds for all of them together."""

Progress = Callable[[int, int, str], None]
"""Called with the rows that are there, the rows expected in all, and what came last."""


def download(plan: Plan, pieces: Sequence[Piece], venue: Exchange, staging: Staging, progress: Progress) -> None:
    """Fetch every piece that `staging` does not have.

    Raises the error of the first piece that fails; what is whole by then stays. Ctrl-C ends it as soon as the requests
    on their way are over.
    """
    tally = _Tally(pieces, progress)
    missing = []
    for piece in pieces:
        if staging.has(piece):
            tally.add(piece)
        else:
            missing.append(piece)

    def one(piece: Piece) -> None:
        staging.save(piece, _read(plan, piece, venue))
        tally.add(piece)

    pool = ThreadPoolExecutor(_AT_ONCE)
    futures: list[Future[None]] = [pool.submit(one, piece) for piece in missing]
    whole = False
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
        whole = all(future.done() and future.exception() is None for future in futures)
    finally:
        if not whole:  # a failure, or Ctrl-C: let nobody wait any more
            venue.stop()
        pool.shutdown(wait=True, cancel_futures=True)
    failed = [error for future in futures if not future.cancelled() and (error := future.exception()) is not None]
    if failed:
        raise min(failed, key=lambda error: isinstance(error, StoppedError))


def _read(plan: Plan, piece: Piece, venue: Exchange) -> pl.DataFrame:
    """Return the rows of a piece, cleaned."""
    place = f"{piece.market.name} {piece.series} at {venue.name}"
    if piece.series == "funding":
        found = venue.funding(piece.market, piece.span)
        return settlements(_together("funding", found), piece.span, plan.now_ms, place)
    read = venue.candles if piece.series == "candles" else venue.marks
    found = read(piece.market, plan.interval, piece.span)
    return candles(_together(piece.series, found), plan.interval_ms, piece.span, plan.now_ms, place)


def _together(series: str, found: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(found) if found else nothing(series)


class _Tally:
    """Counts what is there, from any thread."""

    def __init__(self, pieces: Sequence[Piece], progress: Progress) -> None:
        self._all, self._done = sum(piece.rows for piece in pieces), 0
        self._progress = progress
        self._lock = threading.Lock()
        progress(0, self._all, "")

    def add(self, piece: Piece) -> None:
        """Count a piece."""
        with self._lock:
            self._done += piece.rows
            self._progress(self._done, self._all, f"{piece.market.name} {piece.series}")
