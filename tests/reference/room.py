"""Rules of orders, section 6: how much of a candle's volume orders may still fill."""

from __future__ import annotations

from collections import defaultdict
from math import floor

from tests.reference.market import Config
from tests.reference.path import Row


class Room:
    def __init__(self, config: Config, steps: dict[str, int]) -> None:
        self.shares, self.steps = {"taker": config.taker_share, "maker": config.maker_share}, steps
        self.used: defaultdict[tuple[int, str, str], int] = defaultdict(int)
        """Lots by (row's open, symbol, side)."""

    def clipped(self, row: Row, symbol: str, side: str, lots: int) -> int:
        """`lots` (unsigned), or what there is room for."""
        share = self.shares[side]
        if share is None:
            return lots
        volume = row.trades[symbol].volume
        most = floor(volume * share * 1e6 / self.steps[symbol] * (1 + 1e-12))
        return min(lots, max(0, most - self.used[row.open_ms, symbol, side]))

    def use(self, row: Row, symbol: str, side: str, lots: int) -> None:
        self.used[row.open_ms, symbol, side] += lots
