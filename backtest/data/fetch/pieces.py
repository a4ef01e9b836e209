"""What is downloaded at a time: one series of one market in one calendar month."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from backtest.core.times import HOUR_MS
from backtest.data.fetch.calendar import months
from backtest.data.fetch.market import Market
from backtest.data.fetch.rows import Span

_FUNDING_MS = 8 * HOUR_MS


@dataclass(frozen=True)
class Piece:
    """A part of a series that is fetched, and kept, on its own."""

    series: str
    market: Market
    span: Span
    rows: int
    """How many rows are expected, for the progress alone."""

    @property
    def name(self) -> tuple[str, str, str]:
        """Series, market and span: where it is kept."""
        return self.series, self.market.name, f"{self.span.start_ms}-{self.span.end_ms}"


def cut(series: str, market: Market, span: Span, interval_ms: int, by_month: bool) -> Iterator[Piece]:
    """Return the pieces of a series, the latest first: a venue that keeps only the latest rows refuses the rest."""
    row_ms = _FUNDING_MS if series == "funding" else interval_ms
    whole = [Span(max(one.start_ms, span.start_ms), min(one.end_ms, span.end_ms)) for one in months(span)]
    for part in reversed(whole if by_month else [span]):
        yield Piece(series, market, part, max(1, (part.end_ms - part.start_ms) // row_ms))
