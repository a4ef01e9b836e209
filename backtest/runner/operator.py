"""The person who runs a strategy: offline for a while, or stepping in by hand (`--offline`, `--override`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from backtest.core import durations
from backtest.core.errors import UserError, nearest
from backtest.core.times import moment, stamp
from backtest.data.selection import Selection
from backtest.engine import layout as at

WORST = "worst"
"""In the place of a time: where the positions would lose most while nobody is there."""


class Act(StrEnum):
    """What a person does by hand."""

    CANCEL_ALL = "cancel-all"
    CLOSE_ALL = "close-all"
    """Cancels all, and closes every position at the market."""
    STOP = "stop"
    """Closes all, and lets the strategy decide no more."""


@dataclass(frozen=True)
class Operator:
    """When the strategy decides nothing, and what is done by hand. Times in ms."""

    away: tuple[tuple[int, int], ...] = ()
    """[start, end) of each time offline: closes in it are not decided on."""
    worst_ms: int = 0
    """Length of a time offline that has still to be placed; 0: none."""
    acts: tuple[tuple[int, Act], ...] = ()
    """By time: what is done at the first close at or after it."""

    def placed(self, start_ms: int | None) -> Operator:
        """With the time offline at its place; None: no place would cost anything."""
        found = () if start_ms is None else ((start_ms, start_ms + self.worst_ms),)
        return replace(self, away=(*self.away, *found), worst_ms=0)

    def heard(self, targets: NDArray[np.float64], selection: Selection) -> NDArray[np.float64]:
        """The targets of the closes before somebody stops the strategy."""
        closes = selection.start_ms + (targets[:, at.TARGET_ROW].astype(np.int64) + 1) * selection.interval_ms
        stopped = min((ms for ms, act in self.acts if act is Act.STOP), default=None)
        return targets if stopped is None else targets[closes < stopped]

    def check(self, selection: Selection) -> None:
        """UserError for a time outside of the run."""
        end = selection.start_ms + selection.rows * selection.interval_ms
        times = [(start, "--offline") for start, _ in self.away] + [(ms, "--override") for ms, _ in self.acts]
        for ms, flag in times:
            if not selection.start_ms <= ms < end:
                period = f"the run is from {stamp(selection.start_ms)} to {stamp(end)}"
                raise UserError(f"{stamp(ms)} is outside of the run", flag, period)

    def sentences(self) -> list[str]:
        """What the report says of it."""
        said = [
            f"The strategy was offline from {stamp(start)} to {stamp(end)}: orders at the venue and guards went on."
            for start, end in self.away
        ]
        return said + [f"By hand at {stamp(ms)}: {act}." for ms, act in self.acts]


def operator_of(offline: Sequence[str], override: Sequence[str]) -> Operator:
    """What the settings ask for; UserError for what is not LENGTH@TIME or TIME,ACT."""
    away, worst_ms = [], 0
    for text in offline:
        length, sign, when = text.partition("@")
        if not sign:
            raise UserError(f"offline {text!r}", "--offline", "write LENGTH@TIME, like 2h@2025-10-10T21:00 or 2h@worst")
        ms = durations.parse(length, "--offline")
        if when == WORST and worst_ms:
            raise UserError("the worst time is asked for twice", "--offline", "give it once")
        if when == WORST:
            worst_ms = ms
        else:
            start = moment(when, "--offline")
            away.append((start, start + ms))
    return Operator(tuple(sorted(away)), worst_ms, tuple(sorted(_act(text) for text in override)))


def _act(text: str) -> tuple[int, Act]:
    when, comma, name = text.rpartition(",")
    if not comma or not re.search(r"\d", when):
        raise UserError(f"override {text!r}", "--override", "write TIME,ACT, like 2025-10-10T21:00,close-all")
    if name not in tuple(Act):
        raise UserError(f"unknown act {name!r}", "--override", nearest(name, tuple(Act)))
    return moment(when, "--override"), Act(name)
