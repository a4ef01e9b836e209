"""Instants in the words that users read and write."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from backtest.core.errors import UserError

HOUR_MS = 3_600_000
DAY_MS = 86_400_000

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Moment = int | str | date | datetime | None
"""A time as users give it: ms since 1970, a date or an ISO time, UTC; None: none."""


def stamp(ms: int) -> str:
    """``2024-08-05T13:00Z``; seconds and milliseconds only where they are not zero."""
    try:
        when = EPOCH + timedelta(milliseconds=ms)
    except OverflowError:  # stamps of a broken file lie anywhere
        return f"{ms} ms"
    spec = "milliseconds" if ms % 1_000 else "seconds" if ms % 60_000 else "minutes"
    return when.replace(tzinfo=None).isoformat(timespec=spec) + "Z"


def moment(value: int | str | date, place: str = "") -> int:
    """Return a date, an ISO time (UTC where it has no zone) or ms as ms since 1970; UserError for another text.

    ``place`` says where the text was found.
    """
    if isinstance(value, int):
        return value
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    except ValueError:
        raise UserError(f"{value!r} is not a time", place, "write 2024-03-12 or 2024-03-12T10:30 (UTC)") from None
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return (aware - EPOCH) // timedelta(milliseconds=1)
