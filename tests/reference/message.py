"""Layer 2, section 2: when a message arrives, and whether it still does anything."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from math import floor

from tests.reference import draw
from tests.reference.chain import Beside, Congestion, Latency
from tests.reference.path import Row

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Passage:
    """The way of one message. `fate`: it arrives, is lost at `arrives`, or comes too late."""

    arrives: int
    fate: str = "arrives"
    """arrives, lost or late"""
    gas: int = 0


class Ways:
    """`underway` gives the passages of all messages on their way."""

    def __init__(
        self, beside: Beside, latency_ms: int, names: list[str], underway: Callable[[], list[Passage]], start_ms: int
    ) -> None:
        self.chain, self.seed, self.latency_ms, self.names = beside.chain, beside.seed, latency_ms, names
        self.underway, self.start_ms = underway, start_ms
        self.counts: defaultdict[tuple[int, str], int] = defaultdict(int)
        """Messages that were sent, by close and symbol."""
        self.congested = 1.0
        """At the close at which messages are sent."""

    def at_close(self, row: Row) -> None:
        self.congested = congestion(self.chain.congestion, row, self.start_ms)

    def drawn(self, sent_ms: int, symbol: str, *stages: int, latency: tuple[Latency, ...]) -> list[float]:
        """The next message of the symbol ("": of none) that is sent at that close, stage by stage."""
        n = self.counts[sent_ms, symbol]
        self.counts[sent_ms, symbol] += 1
        number = self.names.index(symbol) if symbol else draw.NONE
        return [
            draw.value(one, draw.uniform(self.seed, sent_ms, number, n, stage))
            for stage, one in zip(stages, latency, strict=True)
        ]

    def send(self, sent_ms: int, symbol: str, gas: int) -> Passage:
        chain = self.chain
        network, queue = self.drawn(sent_ms, symbol, draw.NETWORK, draw.QUEUE, latency=(chain.network, chain.queue))
        x = sent_ms + self.latency_ms + draw.whole(network)
        x += draw.whole(queue * self.congested)
        x, fate = self.through_outages(x)
        return Passage(x if fate == "lost" else self.block(x), fate, gas)

    def through_outages(self, x_in: int) -> tuple[int, str]:
        x, chain = x_in, self.chain
        for outage in chain.outages:
            if x <= outage.start:
                continue
            if chain.rule != "drop":
                x = max(x, outage.end + floor((x - outage.start) * chain.backlog))
            elif x < outage.end:
                return (x_in + chain.forced_ms, "arrives") if chain.forced_ms else (x, "lost")
        if chain.forced_ms:
            return min(x, x_in + chain.forced_ms), "arrives"
        late = chain.rule == "expire" and x - x_in > chain.ttl_ms
        return x, "late" if late else "arrives"

    def block(self, x: int) -> int:
        """The first block from `x` on that takes another message."""
        length, most = self.chain.block_ms, self.chain.most_per_block
        if length == 0:
            return x
        x = -(-x // length) * length
        taken = Counter(one.arrives for one in self.underway() if one.fate != "lost") if most else {}
        while self.halted(x) or (most and taken[x] >= most):
            x += length
        return x

    def halted(self, x: int) -> bool:
        """Whether no block is made at `x`: what Layer 1 brings comes in spite of a halt."""
        return not self.chain.forced_ms and any(one.start < x < one.end for one in self.chain.outages)


def congestion(rule: Congestion, row: Row, start_ms: int) -> float:
    """At the row's close, by the candles of the row."""
    if rule.slope == 0 or not row.trades:
        return 1.0
    hour = row.close_ms // HOUR_MS - start_ms // HOUR_MS
    usual_range, usual_turnover = rule.usual[hour] if hour < len(rule.usual) else (None, None)
    candles = [row.trades[name] for name in sorted(row.trades)]
    mean = sum((c.high - c.low) / c.open for c in candles) / len(candles)
    turnover = sum(c.close * c.volume for c in candles)
    by_range = 0.0 if usual_range is None else mean / usual_range
    by_turnover = 0.0 if usual_turnover is None else turnover / usual_turnover
    return min(rule.most, 1 + rule.slope * max(0.0, max(by_range, by_turnover) - rule.above))
