"""What orders a venue takes: how small one may be, and how many an account may have, dated."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field

from backtest.venue import symbol
from backtest.venue.terms import OrderRules
from backtest.venue.values import Amount, Dated, Part, in_order, micro

Count = Annotated[int, Field(gt=0)]


class Least(Part):
    """What holds for one market alone."""

    min_notional: Amount


class Orders(Dated):
    """One dated table."""

    most: Count | None = None
    """Orders of the account at the venue, all markets together; None: any number."""
    most_each: Count | None = None
    """In one market."""
    min_notional: Amount = Decimal(0)
    """Least value of an order that is not reduce-only, quote units."""
    markets: dict[str, Least] = Field(default_factory=dict)
    """Single markets, by symbol or base asset."""

    def rules(self) -> OrderRules:
        """How many orders there may be, as plain values."""
        return OrderRules(self.from_ms, self.most, self.most_each)

    def least_micro(self, name: str) -> int:
        """Least value of an order in a market, micro."""
        own = next((self.markets[key] for key in symbol.names(name) if key in self.markets), None)
        return micro(self.min_notional if own is None else own.min_notional)


OrderTables = Annotated[list[Orders], AfterValidator(in_order)]
