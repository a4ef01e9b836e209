"""How far each market moves in a price event: the named ones as it says, the others by what they did before."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from backtest.core.errors import UserError
from backtest.data.scenarios.curve import Floats
from backtest.data.scenarios.realised import Returns
from backtest.data.scenarios.schema import Price, points_of

_KEY = 0x73747265
"""Sets these draws apart from any others that are made of the run's seed."""


@dataclass(frozen=True)
class Moves:
    """Points of an event, and how many times the event's move each market moves, for some instants."""

    points: tuple[tuple[int, float], ...]
    """Ms after the event begins, and the move by then of a market with the scale 1."""
    scales: Mapping[str, Floats]
    """By symbol, one for each instant; NaN where too little was known."""

    @property
    def extreme(self) -> float:
        """The largest move, signed."""
        return max((move for _, move in self.points), key=abs)


def moves(
    event: Price, named: Sequence[str], others: Sequence[str], returns: Returns, instants: NDArray[np.int64], seed: int
) -> Moves:
    """The moves of an event at each of ``instants``, which are times of the event itself.

    ``named``: markets that it names; ``others``: those that no event of the scenario names.
    """
    ones = np.ones(len(instants))
    if event.sigma is not None:
        # The event's own move is one deviation; each market has its own.
        points, own = (
            points_of(event, 1.0),
            {s: event.sigma * returns.sigma([s], instants, event.horizon) for s in named},
        )
    else:
        points = event.path if event.path is not None else points_of(event, event.move or 0.0)
        own = dict.fromkeys(named, ones)
    lead = sum(own.values()) / len(own) if own else ones
    scales: dict[str, Floats] = dict(own)
    extreme = max((move for _, move in points), key=abs)
    for symbol in others if event.others != "none" else ():
        scales[symbol] = _follows(event, symbol, named, returns, instants, seed, extreme) * (
            1.0 if event.others == "independent" else lead
        )
    return Moves(points, scales)


def _follows(
    event: Price,
    symbol: str,
    named: Sequence[str],
    returns: Returns,
    instants: NDArray[np.int64],
    seed: int,
    extreme: float,
) -> Floats:
    """How many times the named markets' move another one moves."""
    if event.others == "beta":
        return returns.beta(symbol, named, instants)
    if event.others == "correlation=1":
        return returns.sigma([symbol], instants, event.horizon) / returns.sigma(named, instants, event.horizon)
    if event.others == "all together":
        return np.ones(len(instants))
    draw = float(np.random.default_rng([_KEY, seed, zlib.crc32(symbol.encode())]).standard_normal())
    return draw * returns.sigma([symbol], instants, event.horizon) / (abs(extreme) or 1.0)


def check_apart(spans: Sequence[tuple[int, int]], what: str, symbol: str, place: str) -> None:
    """UserError for two events of one kind on one market at one time."""
    ordered = sorted(spans)
    for (start, end), (following, _) in pairwise(ordered):
        if following < max(end, start + 1):
            thing = f"two {what} events of {symbol} overlap"
            raise UserError(thing, place, "let one end before the other begins, or make one of them")
