"""What a venue did not serve of what was asked for, by symbol, series and span."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backtest.core.times import DAY_MS, HOUR_MS
from backtest.data.fetch.plan import Part, Plan
from backtest.data.fetch.rows import Span
from backtest.data.settlements import due

if TYPE_CHECKING:
    from backtest.data.fetch.exchange import Exchange

_FUNDING_MS = 8 * HOUR_MS
"""How often funding is settled where the venue does not tell."""
_LISTED_BEFORE_TRADING_MS = 7 * DAY_MS
"""Venues name the day of listing before the first trade; so much later it may come."""
_LAG_MS = 10 * 60_000
"""So long after its end a candle, or after it is due a settlement, may not be served yet."""


@dataclass(frozen=True)
class Unserved:
    """A part of a series that the venue does not serve. Times in ms."""

    symbol: str
    series: str
    start_ms: int
    end_ms: int
    reason: str

    def __str__(self) -> str:
        return f"{self.symbol} {self.series}, {Span(self.start_ms, self.end_ms)} ({self.reason})"


@dataclass(frozen=True)
class Held:
    """What came of a part: stamps of its first and last row, how many rows, and how far the last two are apart."""

    rows: int = 0
    first_ms: int = 0
    last_ms: int = 0
    head_gap_ms: int = 0
    """Between the first two rows; 0: there are fewer."""
    tail_gap_ms: int = 0


def unserved(plan: Plan, venue: Exchange, held: dict[Part, Held], begun: bool) -> list[Unserved]:
    """Return what is missing at the ends of the plan's series, by symbol.

    ``begun``: the rows continue a dataset that is there, so that even the first may not be missing.
    """
    out: list[Unserved] = []
    funding_ms = venue.funding_interval_ms or _FUNDING_MS
    for part in sorted(held, key=lambda one: (one.market, ("candles", "mark", "funding").index(one.series))):
        if part.series in venue.unserved:
            out.append(Unserved(part.market, part.series, part.start_ms, part.end_ms, venue.unserved[part.series]))
            continue
        reason = venue.limits.get(part.series, f"{venue.title} gives no rows there")
        wanted = _wanted(plan, part, held, begun)
        out += (
            Unserved(part.market, part.series, span.start_ms, span.end_ms, reason)
            for span in _missing(plan, part, held[part], wanted, funding_ms, begun)
        )
    return out


def _wanted(plan: Plan, part: Part, held: dict[Part, Held], begun: bool) -> Span:
    """The span that should have rows: marks and funding are needed where there are candles."""
    trades = next((h for p, h in held.items() if p.market == part.market and p.series == "candles"), Held())
    if part.series != "candles":
        if not trades.rows:
            return part.span if begun else Span(part.start_ms, part.end_ms)
        start_ms = part.start_ms if begun else max(part.start_ms, trades.first_ms)
        return Span(start_ms, min(part.end_ms, trades.last_ms + plan.interval_ms))
    market = plan.market(part.market)
    late = trades.rows and market.listed_ms and trades.first_ms - market.listed_ms < _LISTED_BEFORE_TRADING_MS
    start_ms = trades.first_ms if late and not begun and market.listed_ms >= part.start_ms else part.start_ms
    end_ms = part.end_ms if market.active or not trades.rows else trades.last_ms + plan.interval_ms
    return Span(start_ms, end_ms)


def _missing(plan: Plan, part: Part, held: Held, wanted: Span, funding_ms: int, begun: bool) -> Iterator[Span]:
    """The parts of ``wanted`` before the first and after the last row."""
    if wanted.empty:
        return
    step = plan.interval_ms
    end_ms = min(wanted.end_ms, plan.now_ms)
    if part.series == "funding":
        head, tail = held.head_gap_ms or funding_ms, held.tail_gap_ms or funding_ms
        if not held.rows:
            first_ms = wanted.start_ms if begun else wanted.start_ms + step
            if len(due(first_ms, min(end_ms, plan.now_ms - _LAG_MS), funding_ms)):
                yield wanted
            return
        if held.first_ms - wanted.start_ms > head + head // 2:
            yield Span(wanted.start_ms, held.first_ms)
        if end_ms - held.last_ms > tail + tail // 2:
            yield Span(held.last_ms + tail, wanted.end_ms)
        return
    first_ms = -(-wanted.start_ms // step) * step
    # A candle opens before the end, and is over by now.
    last_ms = min(-(-wanted.end_ms // step) * step - step, plan.now_ms // step * step - step)
    if last_ms < first_ms:
        return
    if not held.rows:
        yield Span(first_ms, last_ms + step)
        return
    if held.first_ms > first_ms:
        yield Span(first_ms, held.first_ms)
    lag_ms = max(_LAG_MS, 2 * step) if wanted.end_ms > plan.now_ms - HOUR_MS else 0
    if held.last_ms < last_ms - lag_ms:
        yield Span(held.last_ms + step, last_ms + step)
