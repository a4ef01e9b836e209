"""When a request may be sent: within a venue's rate limit, and later after a failure.

One `Pace` is shared by all threads that talk to a venue. After HTTP 429 all of them wait for as long as the venue asks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from backtest.data.fetch.failures import StoppedError, TransientError, VenueError

T = TypeVar("T")
_LONGEST_WAIT_S = 300.0
"""A venue that asks for more has banned the address."""


@dataclass(frozen=True)
class Patience:
    """How often a request is repeated, and how long the first wait is; each further one is twice as long."""

    attempts: int = 6
    first_s: float = 1.0
    most_s: float = 60.0

    def wait_s(self, attempt: int) -> float:
        """Return the seconds to wait after the failed ``attempt``, counted from 1."""
        return min(self.most_s, self.first_s * 2.0 ** (attempt - 1))


class Pace:
    """Spaces the requests of all threads, and repeats those that failed for a reason that may pass."""

    def __init__(self, interval_s: float, patience: Patience) -> None:
        self._interval_s, self._patience = interval_s, patience
        self._lock = threading.Lock()
        self._next_s = 0.0
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End every wait of every thread with `StoppedError`."""
        self._stopped.set()

    def wait(self, cost: float = 1.0) -> None:
        """Return when a request of this ``cost`` (in the venue's units) may be sent."""
        if self._stopped.is_set():
            raise StoppedError("the download has ended")
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next_s)
            self._next_s = start + cost * self._interval_s
        self._sleep(start - now)

    def hold(self, seconds: float) -> None:
        """Let no thread send a request for so long."""
        with self._lock:
            self._next_s = max(self._next_s, time.monotonic() + seconds)

    def attempt(self, request: Callable[[], T], place: str) -> T:
        """Return what ``request`` returns, repeated after each `TransientError` as often as patience allows.

        Raises VenueError with the last failure when it does not pass.
        """
        for attempt in range(1, self._patience.attempts + 1):
            try:
                return request()
            except TransientError as error:
                failed = error
            wait_s = self._patience.wait_s(attempt) if failed.wait_s is None else failed.wait_s
            if wait_s > _LONGEST_WAIT_S:
                raise VenueError(f"{failed.said}, to try again in {wait_s:.0f} s", place, "wait that long") from failed
            if attempt < self._patience.attempts:
                if failed.limited:
                    self.hold(wait_s)
                self._sleep(wait_s)
        thing = f"{failed.said}, {self._patience.attempts} times in a row"
        raise VenueError(thing, place, "try again later, or name a mirror with --endpoint") from failed

    def _sleep(self, seconds: float) -> None:
        if (seconds > 0 and self._stopped.wait(seconds)) or self._stopped.is_set():
            raise StoppedError("the download has ended")
