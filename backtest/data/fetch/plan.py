"""What one download is to fetch, settled before it begins, so that a resumed one ends with the same bytes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from backtest.data.fetch.market import MarginTable, Market
from backtest.data.fetch.pieces import Piece, cut
from backtest.data.fetch.rows import Span


@dataclass(frozen=True)
class Part:
    """A series of a market, and the span of it that is wanted."""

    series: str
    market: str
    start_ms: int
    end_ms: int

    @property
    def span(self) -> Span:
        """From the first instant on, before the last."""
        return Span(self.start_ms, self.end_ms)


@dataclass(frozen=True)
class Plan:
    """One download."""

    exchange: str
    interval: str
    interval_ms: int
    now_ms: int
    """The venue's time when it was made: no candle that ends later is kept."""
    markets: tuple[Market, ...]
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()
    """What was decided that the user may not expect."""

    def market(self, name: str) -> Market:
        """Return a market of the plan."""
        return next(market for market in self.markets if market.name == name)

    def pieces(self, part: Part, funding_by_month: bool) -> list[Piece]:
        """Return the pieces of a part, the latest first."""
        by_month = funding_by_month or part.series != "funding"
        return list(cut(part.series, self.market(part.market), part.span, self.interval_ms, by_month))

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Plan:
        """Return the plan of such values."""
        markets = tuple(_market(one) for one in told["markets"])
        parts = tuple(Part(**one) for one in told["parts"])
        return cls(**told | {"markets": markets, "parts": parts, "notes": tuple(told["notes"])})


def _market(told: dict[str, Any]) -> Market:
    margin = told["margin"]
    if margin is None:
        return Market(**told)
    rates = tuple((key, value) for key, value in margin["rates"])
    tiers = tuple(tuple((key, value) for key, value in row) for row in margin["tiers"])
    return replace(Market(**told), margin=MarginTable(margin["rule"], rates, tiers))
