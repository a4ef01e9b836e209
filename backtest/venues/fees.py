"""What a fill costs at a venue: tiers by trailing volume, dated; and discounts by name."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, Field

from backtest.venues.field_types import Amount, Dated, Number, Part, Rate, Sourced, in_order, wrong

Bps = Annotated[Number, Field(gt=-10_000, lt=10_000)]


class FeeTier(Part):
    """Fees from a trailing volume on."""

    volume: Amount = Decimal(0)
    """Quote units, traded within the window."""
    total_share: Rate | None = None
    """Beside the volume: least share of the venue's own."""
    maker_share: Rate | None = None
    """Beside the volume: least share of the venue's maker volume."""
    maker_bps: Bps
    """Basis points of the fill's quote amount; negative: a rebate."""
    taker_bps: Annotated[Bps, Field(ge=0)]

    @property
    def conditions(self) -> tuple[Decimal, Decimal, Decimal]:
        """What has to be reached; a share that is left out is reached by everybody."""
        return self.volume, self.total_share or Decimal(0), self.maker_share or Decimal(0)

    @property
    def by_volume(self) -> bool:
        """Whether volume alone reaches it. A run does not know the venue's own, so other tiers are not reached."""
        return not (self.total_share or self.maker_share)


def _rising(tiers: list[FeeTier]) -> list[FeeTier]:
    if not tiers:
        raise wrong("no tier; give at least one")
    if tiers[0].volume:
        raise wrong("the first tier begins at a volume of 0", 0)
    for n, (low, high) in enumerate(pairwise(tiers), 1):
        if high.volume < low.volume:
            raise wrong(f"tier {n + 1}: volume {high.volume} is below the {low.volume} before it", n)
        if high.conditions in [tier.conditions for tier in tiers[:n]]:
            raise wrong(f"tier {n + 1}: another tier has the same volume {high.volume} and the same shares", n)
    return tiers


class Fees(Dated):
    """One dated table of fees."""

    window_days: Annotated[int, Field(gt=0, le=366)] = 30
    """Whole UTC days before that of a fill whose volume counts."""
    tiers: Annotated[list[FeeTier], AfterValidator(_rising)]


class Discount(Sourced):
    """A share off every positive fee, for those who are entitled to it."""

    share: Annotated[Rate, Field(gt=0)]


Schedule = Annotated[list[Fees], AfterValidator(in_order)]
