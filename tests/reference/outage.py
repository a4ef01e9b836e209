"""Layer 2, section 3: when the chain stands still, when liquidations wait, and which mark the venue sees."""

from __future__ import annotations

from dataclasses import replace

from tests.reference.chain import Chain, Outage
from tests.reference.market import Candle
from tests.reference.path import Row


class Outages:
    """Times are thirds of a millisecond since 1970, where they are not called ms."""

    def __init__(self, chain: Chain) -> None:
        self.chain, self.all = chain, chain.outages
        self.still: dict[Outage, dict[str, float]] = {}
        """Prices that an outage has frozen."""

    def instants(self) -> set[int]:
        """Ms at which something begins or ends."""
        made: set[int] = set()
        for one in self.all:
            made |= {one.start, one.end, one.end + self.chain.grace_ms, one.end + self.chain.stale_ms}
        return made

    # ---- at a time, and from a time on until the next instant

    def halted(self, time: int) -> bool:
        return any(3 * one.start < time < 3 * one.end for one in self.all)

    def halted_from(self, time: int) -> bool:
        return any(3 * one.start <= time < 3 * one.end for one in self.all)

    def spared(self, time: int) -> bool:
        return any(3 * one.start < time < 3 * (one.end + self.chain.grace_ms) for one in self.all)

    def spared_from(self, time: int) -> bool:
        return any(3 * one.start <= time < 3 * (one.end + self.chain.grace_ms) for one in self.all)

    def frozen(self, time: int) -> bool:
        """Since before that time."""
        first = self.frozen_by(time)
        return first is not None and 3 * first.start < time

    def returns(self, ms: int) -> bool:
        """Whether orders that lie beyond have to be looked for then."""
        return any(ms in (one.end, one.end + self.chain.stale_ms) for one in self.all)

    def touches(self, row: Row) -> bool:
        """Whether a window lies in the row or ends at its edge, grace and staleness included."""
        more = max(self.chain.grace_ms, self.chain.stale_ms)
        return any(one.start <= row.close_ms and row.open_ms <= one.end + more for one in self.all)

    def moved(self, ms: int) -> int:
        """A deleveraging event inside a halt happens at its end."""
        for one in self.all:
            if one.start < ms < one.end:
                return one.end
        return ms

    # ---- gates

    def gate(self, ms: int) -> int | None:
        """When the halt or the gate that `ms` lies in is over; None: transfers pass."""
        for one in self.all:
            if one.start < ms < one.end:
                return one.end
            if one.length >= self.chain.gate_after_ms and one.end <= ms < one.end + self.chain.gate_ms:
                return one.end + self.chain.gate_ms
        return None

    def passes(self, ms: int) -> int:
        """The first time from `ms` on that is neither halted nor gated."""
        while (over := self.gate(ms)) is not None:
            ms = over
        return ms

    # ---- the venue mark

    def view(self, row: Row, at: int) -> Row:
        """The row as the venue sees it `at` thirds after its open: with the mark of its path, or a frozen one."""
        time = 3 * row.open_ms + at
        first = self.frozen_by(time)
        if first is None:
            return row
        still = self.freeze(first, row)
        return replace(row, marks={name: Candle(*[still[name]] * 4) for name in row.marks})

    def frozen_by(self, time: int) -> Outage | None:
        """The outage whose mark is seen: where the windows of several overlap or touch, the first of them."""
        stale = 3 * self.chain.stale_ms
        first: Outage | None = None
        until = -1
        for one in self.all:
            if 3 * one.start > time:
                break
            if first is None or 3 * one.start > until:
                first = one
            until = 3 * one.end + stale
        return first if time < until else None

    def freeze(self, one: Outage, row: Row) -> dict[str, float]:
        """Prices at the outage's beginning, of a symbol that comes to life meanwhile its first."""
        still = self.still.setdefault(one, {})
        for name, mark in row.marks.items():
            if name not in still:
                inside = row.open_ms <= one.start < row.close_ms
                still[name] = row.mark_price(name, row.thirds(one.start)) if inside else mark.open
        return still
