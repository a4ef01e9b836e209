"""Instants in the words that users read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

HOUR_MS = 3_600_000
DAY_MS = 86_400_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def stamp(ms: int) -> str:
    """``2024-08-05T13:00Z``; seconds and milliseconds only where they are not zero."""
    try:
        when = _EPOCH + timedelta(milliseconds=ms)
    except OverflowError:  # stamps of a broken file lie anywhere
        return f"{ms} ms"
    spec = "milliseconds" if ms % 1_000 else "seconds" if ms % 60_000 else "minutes"
    return when.replace(tzinfo=None).isoformat(timespec=spec) + "Z"
