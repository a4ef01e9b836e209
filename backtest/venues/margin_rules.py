"""What a market's margin tables ask, one rule each: named parameters in, `Terms` out.

| rule | initial and maintenance rate of a notional `n` and a size `s` in base units |
|---|---|
| `tiers` | of the tier that holds `n` |
| `max_leverage` | of the tier that holds `n`: one over its largest leverage, and a share of that |
| `ceil` | `initial` scaled by open interest, and `initial × maintenance_share`; amounts rounded up to the micro |
| `incremental` | `initial + step · ⌈(s − baseline) / increment⌉`, and `maintenance` |
| `skew_scaled` | `initial + s · ratio / skew_scale`, and a share of it; both plus a flat amount |
| `size_root` | `max(r, share · r + root · √s)` for either rate `r` |
| `open_interest` | `max(initial, open_interest × multiplier)`, and `maintenance` |
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from backtest.venues.field_types import Amount, Below, Dated, Number, Positive, Rate, in_order, micro, ppm, wrong
from backtest.venues.margin_tiers import Leverages, Rungs, Step, tiers
from backtest.venues.terms import BySize, CeilRates, Terms


class Table(Dated, ABC):
    """What every rule's table may say beside its own parameters."""

    penalty: Rate | None = None
    """Share of what is liquidated; None: the venue's."""
    limit: Positive | None = None
    """Largest position, quote units."""
    limit_size: Positive | None = None
    """Largest position, base units."""
    most_leverage: Annotated[Number, Field(ge=1)] | None = None
    """Largest leverage at any notional: initial rates are at least one over it."""
    commit: str = ""
    """State of the source's repository in which the table was read."""

    @abstractmethod
    def _asks(self) -> dict[str, Any]:
        """The fields of `Terms` that the rule decides."""

    def terms(self, from_ms: int, penalty: float, beta: float, idio: float) -> Terms:
        """The terms from ``from_ms`` on; ``penalty`` is the venue's, ``beta`` and ``idio`` are for portfolio margin."""
        own = penalty if self.penalty is None else float(self.penalty)
        limits = {"limit_micro": self.limit, "limit_units": self.limit_size}
        asked = {key: micro(limit) for key, limit in limits.items() if limit is not None} | self._asks()
        return Terms(from_ms=from_ms, penalty=own, beta=beta, idio=idio, **asked)

    @property
    def origin(self) -> str:
        """``brackets at 068bdad05``; empty where the file's own source holds."""
        named = ", ".join(self.source)
        return f"{named} at {self.commit[:9]}" if self.commit else named

    @property
    def _least(self) -> Fraction:
        """The lowest initial rate that the largest leverage allows."""
        return Fraction(0) if self.most_leverage is None else 1 / Fraction(self.most_leverage)

    def _laddered(self, steps: list[Step], flat: Decimal = Decimal(0)) -> dict[str, Any]:
        steps = [replace(step, initial=max(step.initial, self._least)) for step in steps]
        last = steps[-1].upto
        limit = {} if last is None else {"limit_micro": micro(last)}
        return {"tiers": tiers(steps, micro(flat)), **limit}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        rates = (getattr(self, "initial", None), getattr(self, "maintenance", None))
        if rates[0] is not None and rates[1] is not None and rates[1] > rates[0]:
            raise ValueError(f"maintenance {rates[1]} is above initial {rates[0]}")
        ladder = getattr(self, "tiers", None)
        if self.limit is not None and ladder and ladder[-1].upto is not None:
            raise wrong("the last tier's upto is the limit already; leave one of them out", "limit")
        return self


class Tiers(Table):
    """The rates of the tier that holds the notional."""

    rule: Literal["tiers"] = "tiers"
    tiers: Rungs

    def _asks(self) -> dict[str, Any]:
        return self._laddered([rung.step for rung in self.tiers])


class MaxLeverage(Table):
    """One over the largest leverage of the tier that holds the notional, and a share of that."""

    rule: Literal["max_leverage"]
    tiers: Leverages
    maintenance_share: Rate = Decimal("0.5")

    def _asks(self) -> dict[str, Any]:
        rates = [1 / Fraction(rung.max_leverage) for rung in self.tiers]
        share = Fraction(self.maintenance_share)
        return self._laddered([Step(t.upto, r, r * share) for t, r in zip(self.tiers, rates, strict=True)])


class Ceil(Table):
    """One rate, scaled by open interest; amounts rounded up to the micro."""

    rule: Literal["ceil"]
    initial: Rate
    maintenance_share: Rate
    open_interest: Amount = Decimal(0)
    """Of the market, quote units; it is no input of a run, so the file assumes it."""
    open_interest_lower: Amount = Decimal(0)
    open_interest_upper: Amount = Decimal(0)
    """0: initial margin is not scaled."""

    def _asks(self) -> dict[str, Any]:
        base, share = ppm(self.initial), ppm(self.maintenance_share)
        initial = max(ppm(self.scaled), math.ceil(self._least * 10**6))
        maintenance = Fraction(base * share, 10**12)
        one = Step(None, Fraction(initial, 10**6), maintenance)
        return self._laddered([one]) | {"ceil": CeilRates(initial, base, share)}

    @property
    def scaled(self) -> Decimal:
        """``initial`` up to the lower cap, 1 from the upper cap on, and between them on the straight line."""
        held, low, high = self.open_interest, self.open_interest_lower, self.open_interest_upper
        if high == 0 or held <= low:
            return self.initial
        if held >= high:
            return Decimal(1)
        return self.initial + (1 - self.initial) * (held - low) / (high - low)

    @model_validator(mode="after")
    def _exact(self) -> Self:
        for key in ("initial", "maintenance_share"):
            if getattr(self, key) * 10**6 % 1:
                raise wrong(f"{getattr(self, key)} is finer than a millionth", key)
        if self.open_interest_upper and self.open_interest_upper <= self.open_interest_lower:
            raise wrong("is not above open_interest_lower", "open_interest_upper")
        return self


class Incremental(Table):
    """An initial rate that rises by a step for each increment of size."""

    rule: Literal["incremental"]
    initial: Rate
    maintenance: Below
    step: Rate
    baseline: Amount
    increment: Positive

    def _asks(self) -> dict[str, Any]:
        one = Step(None, Fraction(self.initial), Fraction(self.maintenance))
        size = BySize(step=float(self.step), baseline=float(self.baseline), increment=float(self.increment))
        return self._laddered([one]) | {"initial_by_size": size}


class SkewScaled(Table):
    """Rates that rise with the size in proportion."""

    rule: Literal["skew_scaled"]
    initial: Rate
    ratio: Number
    skew_scale: Annotated[Number, Field(gt=0, le=10**18)]
    """Base units; of a coin of small value more than any position."""
    maintenance_share: Rate
    flat: Amount = Decimal(0)
    """Quote units, on top of either requirement."""

    def _asks(self) -> dict[str, Any]:
        slope, share = Fraction(self.ratio) / Fraction(self.skew_scale), Fraction(self.maintenance_share)
        initial = Fraction(self.initial)
        return self._laddered([Step(None, initial, initial * share)], self.flat) | {
            "initial_by_size": BySize(linear=float(slope)),
            "maintenance_by_size": BySize(linear=float(slope * share)),
        }

    @model_validator(mode="after")
    def _not_negative(self) -> Self:
        if self.ratio < 0:
            raise wrong("is below 0", "ratio")
        return self


class SizeRoot(Table):
    """Rates that rise with the root of the size."""

    rule: Literal["size_root"]
    initial: Rate
    maintenance: Below
    root: Rate
    share: Rate = Decimal("0.8")

    def _asks(self) -> dict[str, Any]:
        size = BySize(share=float(self.share), root=float(self.root))
        one = Step(None, Fraction(self.initial), Fraction(self.maintenance))
        return self._laddered([one]) | {"initial_by_size": size, "maintenance_by_size": size}


class OpenInterest(Table):
    """An initial rate that rises with open interest."""

    rule: Literal["open_interest"]
    initial: Rate
    maintenance: Below
    multiplier: Rate
    """Rate added for each quote unit of open interest."""
    open_interest: Amount
    """Of the market, quote units; it is no input of a run, so the file assumes it."""

    def _asks(self) -> dict[str, Any]:
        grown = min(Fraction(1), Fraction(self.open_interest) * Fraction(self.multiplier))
        return self._laddered([Step(None, max(Fraction(self.initial), grown), Fraction(self.maintenance))])


def _rule(table: object) -> object:
    """A table that names no rule lists tiers."""
    return table.get("rule", "tiers") if isinstance(table, dict) else getattr(table, "rule", None)


Rule = Annotated[
    Annotated[Tiers, Tag("tiers")]
    | Annotated[MaxLeverage, Tag("max_leverage")]
    | Annotated[Ceil, Tag("ceil")]
    | Annotated[Incremental, Tag("incremental")]
    | Annotated[SkewScaled, Tag("skew_scaled")]
    | Annotated[SizeRoot, Tag("size_root")]
    | Annotated[OpenInterest, Tag("open_interest")],
    Discriminator(_rule),
]
RuleName = Literal["tiers", "max_leverage", "ceil", "incremental", "skew_scaled", "size_root", "open_interest"]
RULES: tuple[str, ...] = get_args(RuleName)
Margin = Annotated[list[Rule], AfterValidator(in_order)]
"""A market's tables by date."""
