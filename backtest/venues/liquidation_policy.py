"""How a venue liquidates, as its file gives it: the keys are those of `terms.Law`, in quote units and seconds."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from backtest.venues.field_types import WORD, Amount, Dated, Duration, Positive, Rate, in_order, micro, named, wrong
from backtest.venues.terms import Law, Price, Ranking, Shortfall, Take

_NONE = Decimal(0)
_WHOLE = Decimal(1)
_STEPS = ("take", ("position", "share", "tier", "ramp"))
_SHARE, _RAMP = ("take", ("share",)), ("take", ("ramp",))
_BOOK, _AUCTION = ("price", ("book", "fillable")), ("price", ("auction",))
# What closes the whole pool closes it at the mark: it has no steps, no order of them and no other price.
_BELONGS: dict[str, tuple[str, tuple[str | bool, ...]]] = {
    "ranking": _STEPS, "price": _STEPS, "every": _STEPS, "bounded": _STEPS,
    "portion": _SHARE, "above": _SHARE, "minimum": _SHARE, "cap": _SHARE, "then_whole": _SHARE,
    "cooldown": ("then_whole", (True,)),
    "ramp_start": _RAMP, "ramp": _RAMP, "small": _RAMP,
    "slippage": _BOOK, "spread_to_maintenance": ("price", ("fillable",)),
    "bankruptcy_adjustment": ("price", ("fillable",)), "liquidator_fee": ("price", ("oracle",)),
    "discount_start": _AUCTION, "discount_per_s": _AUCTION, "discount_max": _AUCTION,
}  # fmt: skip
"""Keys that only some values of another key use."""


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
    cooldown: Duration | None = None
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

    @model_validator(mode="after")
    def _ramp_ends(self) -> Self:
        # Else each step covers a share of what is left, at one instant or up to the level itself: without an end.
        if self.take is Take.RAMP and not (self.every and self.buffer):
            reason = "a ramp is a share of the shortage that grows with time: give every and buffer above 0"
            raise wrong(reason, "take")
        return self

    def idle(self) -> tuple[str, str] | None:
        """The first key whose value changes nothing, and why; a key at its default says nothing that is not so."""
        said = self.model_dump(mode="json")
        for key, (chosen, words) in _BELONGS.items():
            if getattr(self, key) != type(self).model_fields[key].default and said[chosen] not in words:
                those = " or ".join(json.dumps(word) for word in words)
                return key, f"{key} belongs to {chosen} = {those}; this table has {chosen} = {json.dumps(said[chosen])}"
        return None

    def law(self) -> Law:
        """The same in the engine's units."""
        return Law(
            from_ms=self.from_ms, take=self.take, ranking=self.ranking, price=self.price,
            delay_ms=self.delay, every_ms=self.every, portion=float(self.portion),
            above_micro=micro(self.above), minimum_micro=micro(self.minimum), cap_micro=_maybe(self.cap),
            then_whole=self.then_whole, cooldown_ms=self.cooldown,
            ramp_start=float(self.ramp_start), ramp_ms=max(1, self.ramp),
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
