"""A ladder of margin tiers, and the deductions that make its requirement continuous."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from backtest.core.enums import MICRO
from backtest.venues.field_types import Below, Number, Part, Positive, Rate, wrong
from backtest.venues.terms import Tier


@dataclass(frozen=True)
class Step:
    """A tier in exact numbers."""

    upto: Decimal | None
    initial: Fraction
    maintenance: Fraction


class Rung(Part):
    """A tier as a file gives it: the initial rate, or the largest leverage, which is one over it."""

    upto: Positive | None = None
    """Notional in quote units at the upper edge; on the last tier the largest position."""
    initial: Rate | None = None
    max_leverage: Annotated[Number, Field(ge=1)] | None = None
    maintenance: Below

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if (self.initial is None) == (self.max_leverage is None):
            raise ValueError("give either initial or max_leverage")
        # Else an account could be opened that is liquidated at once.
        if self.maintenance > self.step.initial:
            raise ValueError(f"maintenance {self.maintenance} is above initial {float(self.step.initial):g}")
        return self

    @property
    def step(self) -> Step:
        """The same in exact numbers."""
        initial = 1 / Fraction(self.max_leverage) if self.max_leverage else Fraction(self.initial or 0)
        return Step(self.upto, initial, Fraction(self.maintenance))


class Leverage(Part):
    """A tier of which only the largest leverage is given."""

    upto: Positive | None = None
    max_leverage: Annotated[Number, Field(ge=1)]


def rising(steps: Sequence[Step]) -> None:
    """Edges rise, rates never fall, only the last tier may be open: else the requirement would not be continuous and
    convex in the notional, which the engine's crossing search assumes."""
    if not steps:
        raise wrong("no tier; give at least one")
    for n, step in enumerate(steps):
        if step.upto is None and n < len(steps) - 1:
            raise wrong(f"tier {n + 1} has no upto; only the last tier may be open", n)
        if step.upto is not None and step.upto * MICRO != int(step.upto * MICRO):
            raise wrong(f"tier {n + 1}: upto {step.upto} is finer than a millionth of the quote", n)
    for n, (low, high) in enumerate(pairwise(steps), 1):
        if low.upto is not None and high.upto is not None and high.upto <= low.upto:
            raise wrong(f"tier {n + 1}: upto {high.upto} is not above the {low.upto} before it", n)
        if high.initial < low.initial or high.maintenance < low.maintenance:
            raise wrong(f"tier {n + 1}: its rates are below those of tier {n}; rates must rise", n)


def _rungs(rungs: list[Rung]) -> list[Rung]:
    rising([rung.step for rung in rungs])
    return rungs


def _leverages(rungs: list[Leverage]) -> list[Leverage]:
    # Maintenance is a share of the initial rate: it rises where that does.
    rising([Step(rung.upto, 1 / Fraction(rung.max_leverage), Fraction(0)) for rung in rungs])
    return rungs


Rungs = Annotated[list[Rung], AfterValidator(_rungs)]
Leverages = Annotated[list[Leverage], AfterValidator(_leverages)]


def tiers(steps: Iterable[Step], flat_micro: int = 0) -> tuple[Tier, ...]:
    """Steps with their deductions: ``deduction_j = deduction_{j−1} + round(edge_j × (rate_j − rate_{j−1}))``.

    Rounded once, ties to even. ``flat_micro`` is asked on top of every requirement. The last tier has no edge: what
    the file gives there is the largest position.
    """
    out: list[Tier] = []
    initial = maintenance = -flat_micro
    edge, low = 0, None
    for step in steps:
        initial += round(edge * (step.initial - low.initial)) if low else 0
        maintenance += round(edge * (step.maintenance - low.maintenance)) if low else 0
        upto = None if step.upto is None else int(step.upto * MICRO)
        out.append(Tier(upto, float(step.initial), initial, float(step.maintenance), maintenance))
        edge, low = upto or 0, step
    last = out[-1]
    out[-1] = Tier(None, last.initial, last.initial_deduction, last.maintenance, last.maintenance_deduction)
    return tuple(out)
