"""The outages that a chain has had, as its file tells them."""

from __future__ import annotations

import datetime as dt
from typing import Literal, Self

from pydantic import model_validator

from backtest.core.errors import Broken
from backtest.venues.chain import Outage
from backtest.venues.chain_facts import Origin, Text
from backtest.venues.field_types import Duration, wrong

Kind = Literal["halt", "access", "finality", "slow"]
WENT_ON = {
    "access": "trading continued, only the interface was down",
    "finality": "trading continued, only finality was late",
    "slow": "trading continued, slower",
}


class Halt(Origin):
    """One outage that there was."""

    start: dt.datetime | dt.date
    """A day alone: its time is not known."""
    end: dt.datetime | None = None
    length: Duration | None = None
    cause: Text
    kind: Kind = "halt"
    """What was halted; only a `halt` is played."""
    reverted: Duration | None = None
    """How much of what had been accepted before was undone."""

    @model_validator(mode="after")
    def _times(self) -> Self:
        for key in ("start", "end"):
            at = getattr(self, key)
            if isinstance(at, dt.datetime) and at.tzinfo is None:
                raise wrong("say in which zone, like 2025-10-10T21:35:00Z", key)
        if self.end is not None and self.length is not None:
            raise wrong("give one of end and length", "length")
        if self.length == 0 or (self.end is not None and self.start_ms is not None and _ms(self.end) <= self.start_ms):
            raise wrong("ends before it has begun", "length" if self.length == 0 else "end")
        return self

    @property
    def start_ms(self) -> int | None:
        """Its first instant; None: only the day is known."""
        return _ms(self.start) if isinstance(self.start, dt.datetime) else None

    @property
    def day(self) -> dt.date:
        """The day (UTC) on which it began."""
        return self.start.astimezone(dt.UTC).date() if isinstance(self.start, dt.datetime) else self.start

    @property
    def length_ms(self) -> int | None:
        """How long it took; None: not known."""
        if self.length is not None or self.end is None or self.start_ms is None:
            return self.length
        return _ms(self.end) - self.start_ms

    @property
    def unplayed(self) -> str:
        """Why it cannot be played; empty for one that can."""
        if self.kind != "halt":
            return WENT_ON[self.kind]
        if self.start_ms is None:
            return "its time of day is not known"
        return "" if self.length_ms is not None else "its length is not known"

    def outage(self) -> Outage:
        """The same as plain values; only of one that can be played."""
        if self.start_ms is None or self.length_ms is None:
            raise Broken("an outage without its times")
        return Outage(self.start_ms, self.start_ms + self.length_ms, self.cause)


def _ms(at: dt.datetime) -> int:
    return int(at.timestamp() * 1000)
