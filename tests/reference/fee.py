"""Rules of orders, section 8: the fee of a fill."""

from __future__ import annotations

from collections import defaultdict

from tests.reference.market import Config, FeeTable
from tests.reference.numbers import share

DAY_MS = 86_400_000


class Fees:
    def __init__(self, config: Config) -> None:
        self.tables = config.fees or (FeeTable(0, 1, ((0.0, config.fee, config.fee),)),)
        self.discount = config.discount
        self.days: defaultdict[int, int] = defaultdict(int)
        """Micro of quote that orders have filled, by UTC day."""

    def of(self, quote: int, side: str, ts_ms: int) -> int:
        return share(abs(quote), self.rate(side, ts_ms))

    def rate(self, side: str, ts_ms: int) -> float:
        table = [table for table in self.tables if table.from_ms <= ts_ms][-1]
        today = ts_ms // DAY_MS
        volume = sum(self.days[day] for day in range(today - table.window_days, today))
        _, maker, taker = [tier for tier in table.tiers if tier[0] * 1_000_000 <= volume][-1]
        rate = maker if side == "maker" else taker
        return rate * (1 - self.discount) if rate > 0 else rate

    def note(self, quote: int, ts_ms: int) -> None:
        self.days[ts_ms // DAY_MS] += abs(quote)
