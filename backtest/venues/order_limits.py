"""What orders a venue takes: how small one may be, how far from the last price it fills, and how many, dated."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field

from backtest.venues import symbols
from backtest.venues.field_types import Amount, Dated, Number, Part, in_order, micro
from backtest.venues.terms import OrderRules

Count = Annotated[int, Field(gt=0)]
Band = Annotated[Number, Field(gt=0, lt=1)]


class Own(Part):
    """What holds for one market alone; what it does not say is as in every other."""

    min_notional: Amount | None = None
    price_band: Band | None = None


class Orders(Dated):
    """One dated table."""

    most: Count | None = None
    """Orders of the account at the venue, all markets together; None: any number."""
    most_each: Count | None = None
    """In one market."""
    min_notional: Amount = Decimal(0)
    """Least value of an order that is not reduce-only, quote units."""
    price_band: Band | None = None
    """Most that a taker's fill may cost beside the last price, a share of it; None: not known."""
    markets: dict[str, Own] = Field(default_factory=dict)
    """Single markets, by symbol or base asset."""

    def rules(self) -> OrderRules:
        """How many orders there may be, as plain values."""
        return OrderRules(self.from_ms, self.most, self.most_each)

    def least_micro(self, name: str) -> int:
        """Least value of an order in a market, micro."""
        own = self._own(name).min_notional
        return micro(self.min_notional if own is None else own)

    def band(self, name: str) -> float | None:
        """Price band of a market, a share of the price; None: not known."""
        own = self._own(name).price_band
        held = self.price_band if own is None else own
        return None if held is None else float(held)

    def _own(self, name: str) -> Own:
        return next((self.markets[key] for key in symbols.names(name) if key in self.markets), Own())


OrderTables = Annotated[list[Orders], AfterValidator(in_order)]
