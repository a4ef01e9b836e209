"""A crash that feeds itself: leveraged positions of others that are liquidated at their levels and move the price.

The model is in docs/reference/scenarios.md, "Cascade".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backtest.core.times import DAY_MS
from backtest.data.catalog import Catalog
from backtest.data.scenarios.curve import LEAST_FACTOR, Curve, Floats
from backtest.data.scenarios.realised import LEAST, WINDOW_MS
from backtest.data.scenarios.shocked_candles import knots, lows_first
from backtest.data.select import select
from backtest.data.selection import Selection

LEVERAGES = ((50.0, 0.05), (20.0, 0.20), (10.0, 0.35), (5.0, 0.40))
"""Assumed leverage of the open interest, and the share that has it. Assumption, not a venue's figure."""
MAINTENANCE = 0.01
"""Assumed maintenance margin of these positions."""
TURNOVER_SHARE = 0.5
"""Open interest where none is given: this share of the daily turnover. Assumption."""
FACTOR = 1.0
"""Y of the power law: liquidations are impatient (docs/reference/costs.md)."""


@dataclass(frozen=True)
class Cascade:
    """What a cascade did to one market."""

    curve: Curve
    open_interest: float
    """Quote units of longs (or shorts) at the start."""
    liquidated: float
    extreme: float
    """Lowest price (highest, of shorts) with it."""
    without: float
    """The same without it."""


def levels(longs: bool) -> list[tuple[float, float]]:
    """Moves at which positions are liquidated, the nearest first, and the share of the open interest at each."""
    sign = -1.0 if longs else 1.0
    return [(sign * (1 / leverage - MAINTENANCE), share) for leverage, share in LEVERAGES]


def cascade(
    times: Sequence[float], prices: Sequence[float], open_interest: float, sigma: float, turnover: float, end: float,
    decay_ms: int, longs: bool = True,
) -> Cascade:  # fmt: skip
    """The factor on a path of prices at ``times``, of which the first is the price at the start.

    ``sigma``: deviation of a day's return; ``turnover``: quote a day. At each point the levels that the price, with
    the impact so far, has reached are liquidated, and what that moves may reach further ones.
    """
    sign = -1.0 if longs else 1.0
    left, sold, factor = levels(longs), 0.0, 1.0
    points = [(float(times[0]), 1.0)]
    most = prices[0]
    for when, price in zip(times, prices, strict=True):
        before = factor
        while left and sign * (price * factor / prices[0] - 1) >= sign * left[0][0]:
            sold += left.pop(0)[1] * open_interest
            factor = max(LEAST_FACTOR, 1 + sign * FACTOR * sigma * (sold / turnover) ** 0.5) if sold else 1.0
        if factor != before:
            points += [(float(when), before), (float(when), factor)]
        most = min(most, price * factor) if longs else max(most, price * factor)
    if factor != 1.0:
        points += [(float(end), factor), (float(end + decay_ms), 1.0)]
    plain = min(prices) if longs else max(prices)
    return Cascade(Curve(tuple(points)), open_interest, sold, float(most), float(plain))


def path_of(selection: Selection, symbol: str, at_ms: int) -> tuple[list[float], list[float]]:
    """Times and prices of the trade path of a market from ``at_ms`` on, at the knots of its candles."""
    i, d = selection.symbols.index(symbol), selection.interval_ms
    times: list[float] = []
    prices: list[float] = []
    for chunk in selection.chunks(selection.default_chunk_rows):
        trades = chunk.panel[:4]
        own = knots(trades[:, :, i], lows_first(trades))
        for row in range(trades.shape[1]):
            opened = selection.start_ms + (chunk.row0 + row) * d
            for n in range(4):
                when = opened + n * d / 3
                # A candle's close is the next one's open, but for a gap: both are on the path.
                if when >= at_ms and not np.isnan(own[n][row]):
                    times.append(when)
                    prices.append(float(own[n][row]))
    return times, prices


def turnover_before(catalog: Catalog, symbol: str, at_ms: int) -> float:
    """Mean turnover a day, quote units, of the 30 days before an instant; NaN: too little is known."""
    d = catalog.interval_ms
    begin = (at_ms - WINDOW_MS) // d * d
    market = catalog.markets[symbol]
    if at_ms - d < market.first_ms:
        return float("nan")
    frame = select(catalog, [symbol], begin, at_ms - d + 1).candles(symbol, d, ("close", "volume"))
    if frame.height < LEAST:
        return float("nan")
    traded: Floats = frame["close"].to_numpy() * frame["volume"].to_numpy()
    return float(traded.mean()) * DAY_MS / d
