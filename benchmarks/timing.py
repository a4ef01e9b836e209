"""Timing in alternation, so that a machine that slows down for a while slows both sides down."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

Seconds = list[float]


def alternate(sides: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Seconds]:
    """Seconds of each side in each round, after one call of each that is not counted: it compiles and warms caches."""
    for call in sides.values():
        call()
    taken: dict[str, Seconds] = {name: [] for name in sides}
    for number in range(rounds):
        # Every other round backwards: whoever comes second does not always inherit the other's heat.
        for name in list(sides) if number % 2 == 0 else reversed(sides):
            taken[name].append(once(sides[name]))
    return taken


def once(call: Callable[[], object]) -> float:
    """Seconds that one call takes, without the garbage of the one before."""
    gc.collect()
    gc.freeze()  # what the peers of other cases have loaded is no garbage: the collector need not look through it
    begun = time.perf_counter()
    made = call()
    ended = time.perf_counter()
    del made
    return ended - begun


@dataclass(frozen=True)
class Measure:
    """One line of the table."""

    case: str
    what: str
    ours_s: float
    peer: str
    peer_s: float
    """What `ours_s` is held against: a peer's median, or a limit in seconds."""
    ratio: float
    target: float | None
    """None: for information."""
    most: bool = False
    """The target is the largest ratio that is good, not the smallest."""
    note: str = ""
    kept: bool = True
    """What else the target asks for, beside the ratio."""

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.kept and (self.ratio <= self.target if self.most else self.ratio >= self.target)


def faster(case: str, what: str, ours: Seconds, peer: str, theirs: Seconds, target: float | None, note: str) -> Measure:
    """How many times faster than a peer: the median of the rounds' ratios."""
    ratio = median(t / o for o, t in zip(ours, theirs, strict=True))
    return Measure(case, what, median(ours), peer, median(theirs), ratio, target, note=note)
