"""Rows of a series while they are downloaded: a frame with `ts` in ms and the series' columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from backtest.core.times import HOUR_MS, stamp
from backtest.data.fetch.failures import VenueError

SERIES = ("candles", "mark", "funding")
COLUMNS = {
    "candles": ("open", "high", "low", "close", "volume"),
    "mark": ("open", "high", "low", "close"),
    "funding": ("rate",),
}
LATE_CANDLE_MS = 1_000
LATE_FUNDING_MS = 60_000
"""So much later than its instant a stamp may come and still mean it: clocks of venues, blocks of chains."""
_EARLY_FUNDING_MS = 1_000
_MICROSECONDS = 10**14
"""No stamp in ms is as large before the year 5138, and every one in microseconds is since 1973."""


@dataclass(frozen=True)
class Span:
    """Opens of candles, or settlements, from ``start_ms`` on and before ``end_ms``."""

    start_ms: int
    end_ms: int

    def __str__(self) -> str:
        return f"{stamp(self.start_ms)} to {stamp(self.end_ms)}"

    @property
    def empty(self) -> bool:
        """Whether nothing lies in it."""
        return self.start_ms >= self.end_ms


def frame(series: str, rows: Iterable[Sequence[object]], place: str = "") -> pl.DataFrame:
    """Return rows of ``ts`` and the columns of a series, given as numbers or text, sorted by time.

    Stamps in microseconds become ms. Raises VenueError where something is not a number; ``place`` names it.
    """
    try:
        values = [(int(str(row[0])), *(float(str(value)) for value in row[1:])) for row in rows]
        found = pl.DataFrame(values, schema=schema(series), orient="row")
    except (ValueError, IndexError, pl.exceptions.PolarsError) as error:
        raise unreadable(series, error, place) from error
    return in_ms(found)


def schema(series: str) -> dict[str, type[pl.DataType]]:
    """Return the columns of a series with their types."""
    return {"ts": pl.Int64} | dict.fromkeys(COLUMNS[series], pl.Float64)


def in_ms(found: pl.DataFrame) -> pl.DataFrame:
    """Return rows sorted by time, with stamps in microseconds turned into ms."""
    ts = pl.col("ts")
    ms = pl.when(ts >= _MICROSECONDS).then(ts // 1000).otherwise(ts)
    return found.with_columns(ms).sort("ts", maintain_order=True)


def unreadable(series: str, error: Exception, place: str) -> VenueError:
    """Return the error of rows that are no numbers, or too short."""
    said = str(error).partition("\n")[0]
    return VenueError(f"a row of {series} that cannot be read ({said})", place, "see whether the venue has changed it")


def nothing(series: str) -> pl.DataFrame:
    """Return a frame without rows."""
    return frame(series, ())


def inside(found: pl.DataFrame, span: Span) -> pl.DataFrame:
    """Return the rows of a span."""
    return found.filter((pl.col("ts") >= span.start_ms) & (pl.col("ts") < span.end_ms))


def candles(found: pl.DataFrame, interval_ms: int, span: Span, now_ms: int, place: str) -> pl.DataFrame:
    """Return the candles of a span on the grid, each once, without the one that is not over at ``now_ms``.

    A stamp up to a second late is put on the grid. Raises VenueError for two different candles of one time.
    """
    ts = pl.col("ts")
    late = ts % interval_ms
    on_grid = found.with_columns(pl.when(late <= min(LATE_CANDLE_MS, interval_ms // 2)).then(ts - late).otherwise(ts))
    return _once(inside(on_grid, span).filter(ts + interval_ms <= now_ms), place)


def settlements(found: pl.DataFrame, span: Span, now_ms: int, place: str) -> pl.DataFrame:
    """Return the settlements of a span, each once, none of the future.

    A stamp up to a minute after the full hour, or a second before it, is put on the hour. Raises VenueError for two
    different settlements of one time.
    """
    ts = pl.col("ts")
    late = ts % HOUR_MS
    hour = pl.when(late <= LATE_FUNDING_MS).then(ts - late)
    on_hour = found.with_columns(hour.when(late >= HOUR_MS - _EARLY_FUNDING_MS).then(ts - late + HOUR_MS).otherwise(ts))
    return _once(inside(on_hour, span).filter(ts <= now_ms), place)


def _once(found: pl.DataFrame, place: str) -> pl.DataFrame:
    """Drop rows that are there twice: pages overlap."""
    once = found.unique(maintain_order=True).sort("ts")
    twice = once.filter(pl.col("ts").is_duplicated())
    if len(twice):
        remedy = "report it to the venue; nothing was written"
        raise VenueError(f"two different rows of {stamp(int(twice['ts'][0]))}", place, remedy)
    return once
