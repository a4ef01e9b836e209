"""What can go wrong between this program and a venue, as errors of one line."""

from __future__ import annotations

from backtest.core.errors import BacktestError, printable

_SHOWN = 200
"""Characters of a venue's own message that an error repeats."""


class VenueError(BacktestError):
    """A venue cannot be reached, refuses, or answers what makes no sense. The command line exits with 1."""

    def __init__(self, thing: str, place: str, remedy: str) -> None:
        self.thing, self.place, self.remedy = (printable(part) for part in (thing, place, remedy))
        super().__init__(f"{self.place}: {self.thing}; {self.remedy}")


class TooOldError(VenueError):
    """The venue no longer serves so old a part of a series."""


class StoppedError(BacktestError):
    """Another part of the same download has failed, so this one ends."""


class TransientError(Exception):
    """A failure that may pass: a dropped connection, a server's error, a request too many.

    ``wait_s``: what the venue asks to wait (Retry-After), None where it says nothing.
    """

    def __init__(self, said: str, wait_s: float | None = None, limited: bool = False) -> None:
        super().__init__(said)
        self.said, self.wait_s, self.limited = said, wait_s, limited


def shortened(message: str) -> str:
    """Return a venue's message as one line of bounded length."""
    line = " ".join(message.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"
