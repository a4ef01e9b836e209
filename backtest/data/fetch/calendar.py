"""Calendar months and days (UTC), and spans put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from backtest.core.times import DAY_MS
from backtest.data.fetch.rows import Span


def month_text(span: Span) -> str:
    """Return ``2024-03`` for a span that begins in March 2024."""
    return f"{_date(span.start_ms):%Y-%m}"


def day_text(span: Span) -> str:
    """Return ``2024-03-07`` for a span that begins on that day."""
    return f"{_date(span.start_ms):%Y-%m-%d}"


def _date(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def months(span: Span) -> Iterator[Span]:
    """Return the calendar months (UTC) that a span touches, whole."""
    start = _date(span.start_ms).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while start.timestamp() * 1000 < span.end_ms:
        end = (start + timedelta(days=32)).replace(day=1)
        yield Span(int(start.timestamp()) * 1000, int(end.timestamp()) * 1000)
        start = end


def days(span: Span) -> Iterator[Span]:
    """Return the days (UTC) that a span touches, whole."""
    start_ms = span.start_ms - span.start_ms % DAY_MS
    while start_ms < span.end_ms:
        yield Span(start_ms, start_ms + DAY_MS)
        start_ms += DAY_MS


def joined(spans: Sequence[Span]) -> list[Span]:
    """Return spans with those that touch put together."""
    out: list[Span] = []
    for span in spans:
        if out and out[-1].end_ms == span.start_ms:
            out[-1] = Span(out[-1].start_ms, span.end_ms)
        else:
            out.append(span)
    return out
