"""Candles under a scenario: the path of each candle times the factor, and a candle that covers it again.

The rule is in docs/reference/scenarios.md, "Shocked candles".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backtest.data.panel import CLOSE, HIGH, LOW, OPEN
from backtest.data.scenarios.curve import Curve, Floats, instants, product

SAME = 1.0 - 1e-12
"""rules.md section 3: a product of close / open this near to 1 counts as 1."""


@dataclass(frozen=True)
class Rows:
    """Where candles lie in time, and the order of their extremes."""

    opens_ms: Floats
    interval_ms: int
    lows: NDArray[np.bool_]
    """Whether lows come before highs in each row, for all series alike."""


@dataclass(frozen=True)
class Hold:
    """A window ``start_ms <= t < end_ms`` in which a mark keeps the value that it has at its start."""

    start_ms: int
    end_ms: int


def lows_first(trades: Floats) -> NDArray[np.bool_]:
    """Whether the lows of each row come first: of trade candles [4, rows, symbols], NaN where it is missing."""
    with np.errstate(invalid="ignore", divide="ignore"):
        moves = trades[CLOSE] / trades[OPEN]
    moves = np.where(np.isnan(moves), 1.0, moves)
    # One symbol after another, as the engine multiplies: another order could round to another side of 1.
    total = np.ones(moves.shape[0])
    for i in range(moves.shape[1]):
        total = total * moves[:, i]
    return np.asarray(total >= SAME)


def shocked(candles: Floats, rows: Rows, curves: Sequence[Curve]) -> Floats:
    """Candles [4, rows] of one series under curves; NaN stays NaN."""
    opens, d = rows.opens_ms, rows.interval_ms
    points = knots(candles, rows.lows)
    times = (opens, opens + d / 3, opens + 2 * d / 3, opens + d)
    moved = [knot * product(curves, when, n < 3) for n, (knot, when) in enumerate(zip(points, times, strict=True))]
    high, low = np.maximum.reduce(moved), np.minimum.reduce(moved)
    for when in instants(curves):
        row = int(np.searchsorted(opens, when, side="right")) - 1
        if row < 0 or not opens[row] < when < opens[row] + d:
            continue
        price = _on_path([float(knot[row]) for knot in points], (when - opens[row]) / d)
        for jumped in (False, True):
            value = price * float(product(curves, np.array([when]), jumped)[0])
            high[row], low[row] = max(high[row], value), min(low[row], value)
    return np.stack((moved[0], high, low, moved[3]))


def stands_at(candles: Floats, rows: Rows, curves: Sequence[Curve], start_ms: int) -> float | None:
    """What a mark, unshocked in ``candles``, is worth at an instant before a jump there; None: not in these rows."""
    row = int(np.searchsorted(rows.opens_ms, start_ms, side="right")) - 1
    if row < 0 or start_ms >= rows.opens_ms[row] + rows.interval_ms or np.isnan(candles[OPEN, row]):
        return None
    own = [float(knot[row]) for knot in knots(candles, rows.lows)]
    price = _on_path(own, (start_ms - rows.opens_ms[row]) / rows.interval_ms)
    return price * float(product(curves, np.array([float(start_ms)]), False)[0])


def held(candles: Floats, rows: Rows, hold: Hold, value: float) -> Floats:
    """Candles [4, rows] of a mark that stands still at ``value`` in a window."""
    opens, d = rows.opens_ms, rows.interval_ms
    out = candles.copy()
    path = knots(candles, rows.lows)
    for row in np.flatnonzero((opens < hold.end_ms) & (opens + d > hold.start_ms)):
        own = [float(knot[row]) for knot in path]
        if np.isnan(own[0]):
            continue
        before, after = (hold.start_ms - float(opens[row])) / d, (hold.end_ms - float(opens[row])) / d
        first = own[0] if before > 0 else value
        last = own[3] if after < 1 else value
        points = [value, first, last]
        points += [own[n] for n in range(4) if n / 3 < before or n / 3 > after]
        points += [_on_path(own, after)] if after < 1 else []
        out[:, row] = first, max(points), min(points), last
    return out


def knots(candles: Floats, lows: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats, Floats]:
    """Open, first extreme, second extreme and close of each row."""
    first = np.where(lows, candles[LOW], candles[HIGH])
    second = np.where(lows, candles[HIGH], candles[LOW])
    return candles[OPEN], first, second, candles[CLOSE]


def _on_path(path: Sequence[float], share: float) -> float:
    """The price of a path at a share of its candle."""
    place = min(max(share, 0.0), 1.0) * 3
    n = min(int(place), 2)
    return path[n] + (path[n + 1] - path[n]) * (place - n)
