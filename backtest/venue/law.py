"""How a venue liquidates, as its file gives it: the keys are those of `terms.Law`, in quote units and seconds."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from backtest.venue.terms import Law, Price, Ranking, Shortfall, Take
from backtest.venue.values import WORD, Amount, Dated, Duration, Positive, Rate, in_order, micro, named

_NONE = Decimal(0)
_WHOLE = Decimal(1)


class Liquidation(Dated):
    """One dated table; what each key means stands at the field of the same name in `terms.Law`."""

    penalty: Rate | None = None
    """Share of what is liquidated, to the insurance fund; None: that of `[defaults]`."""
    take: Annotated[Take, BeforeValidator(named(Take)), WORD] = Take.POOL
    ranking: Annotated[Ranking, BeforeValidator(named(Ranking)), WORD] = Ranking.LARGEST
    price: Annotated[Price, BeforeValidator(named(Price)), WORD] = Price.MARK
    delay: Duration = 0
    every: Duration = 0
    portion: Annotated[Rate, Field(gt=0)] = _WHOLE
    above: Amount = _NONE
    minimum: Amount = _NONE
    cap: Positive | None = None
    then_whole: bool = False
    ramp_start: Rate = _NONE
    ramp: Duration = 1
    small: Amount = _NONE
    slippage: Rate = _NONE
    spread_to_maintenance: Amount = _NONE
    bankruptcy_adjustment: Amount = _WHOLE
    liquidator_fee: Rate = _NONE
    discount_start: Rate = _NONE
    discount_per_s: Rate = _NONE
    discount_max: Rate = _NONE
    bounded: bool = False
    buffer: Rate = _NONE
    backstop: Rate = _NONE
    fund: Amount | None = None
    fund_cap: Amount | None = None
    block: Duration = 1000
    fund_when_bankrupt: bool = True
    shortfall: Annotated[Shortfall, BeforeValidator(named(Shortfall)), WORD] = Shortfall.BAD_DEBT
    adl_penalty: Rate = _NONE

    def law(self) -> Law:
        """The same in the engine's units."""
        return Law(
            from_ms=self.from_ms, take=self.take, ranking=self.ranking, price=self.price,
            delay_ms=self.delay, every_ms=self.every, portion=float(self.portion),
            above_micro=micro(self.above), minimum_micro=micro(self.minimum), cap_micro=_maybe(self.cap),
            then_whole=self.then_whole, ramp_start=float(self.ramp_start), ramp_ms=max(1, self.ramp),
            small_micro=micro(self.small), slippage=float(self.slippage),
            spread_to_maintenance=float(self.spread_to_maintenance),
            bankruptcy_adjustment=float(self.bankruptcy_adjustment), liquidator_fee=float(self.liquidator_fee),
            discount_start=float(self.discount_start), discount_per_s=float(self.discount_per_s),
            discount_max=float(self.discount_max), bounded=self.bounded, buffer=float(self.buffer),
            backstop=float(self.backstop), fund_micro=_maybe(self.fund), fund_cap_micro=_maybe(self.fund_cap),
            block_ms=max(1, self.block), fund_when_bankrupt=self.fund_when_bankrupt, shortfall=self.shortfall,
            adl_penalty=float(self.adl_penalty),
        )  # fmt: skip


def _maybe(amount: Decimal | None) -> int | None:
    return None if amount is None else micro(amount)


Laws = Annotated[list[Liquidation], AfterValidator(in_order)]
