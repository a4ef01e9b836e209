"""What a pack of scenarios may say: its tables and keys, checked as they are read (docs/reference/scenarios.md)."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, model_validator

from backtest.core.times import DAY_MS, HOUR_MS
from backtest.data.scenarios.values import (
    Instants,
    Length,
    Markets,
    MarkWay,
    Move,
    Path,
    Recovery,
    Share,
    Table,
    wrong,
)

T = TypeVar("T")
ALL = ("*",)
OTHERS = ("beta", "correlation=1", "independent", "none", "all together")
FRONT_RUNNING_BPS = {"first-come": 0.5, "priority-fee": 5.0, "auction": 2.0, "private": 0.0}
"""Assumed cost of a taker order by how a chain orders messages. Assumptions, not measured figures."""
OneOrMore = BeforeValidator(lambda value: value if isinstance(value, list) else [value])
"""`[scenario.price]` is a list of one."""
Several = Annotated[tuple[T, ...], OneOrMore, Field(strict=False)]
Factor = Annotated[float, Field(strict=False, gt=0, le=1_000)]


class Event(Table):
    """What all events have."""

    after: Length = 0
    """From the scenario's `at`."""


class Price(Event):
    """A move of prices. One of `move`, `sigma` and `path`."""

    symbols: Markets = ALL
    move: Move | None = None
    sigma: Annotated[float, Field(strict=False, ge=-100, le=100)] | None = None
    """In deviations of each market's own returns over `horizon`."""
    path: Path | None = None
    """Points of time and move, in place of `move` and `over`."""
    others: Literal["beta", "correlation=1", "independent", "none", "all together"] = "none"
    over: Length = 0
    recover: Recovery | None = None
    mark: MarkWay = ("follows", 0)
    horizon: Length = DAY_MS
    optional: bool = False
    """Markets that the data lack are passed by."""

    @model_validator(mode="after")
    def _one_move(self) -> Self:
        if sum(one is not None for one in (self.move, self.sigma, self.path)) != 1:
            raise wrong("needs one of move, sigma and path", 'write it like move = "-15%"')
        if self.path is not None and (self.over or self.recover):
            raise wrong("has a path, which says itself how long it takes", "leave over and recover out")
        if not self.horizon:
            raise wrong("has a horizon of 0", 'write it like horizon = "1d"')
        return self


class Funding(Event):
    """Settlements at another rate: `factor` times theirs, or `rate`."""

    symbols: Markets = ALL
    factor: Annotated[float, Field(strict=False, ge=-1_000, le=1_000)] | None = None
    rate: Share | None = None
    length: Length = Field(alias="for")

    @model_validator(mode="after")
    def _one_rate(self) -> Self:
        if (self.factor is None) == (self.rate is None):
            raise wrong("needs one of factor and rate", 'write it like factor = 3, or rate = "0.3%"')
        return self


class Liquidity(Event):
    """A wider spread and a thinner book."""

    symbols: Markets = ALL
    spread: Factor = 1.0
    depth: Factor = 1.0
    length: Length = Field(alias="for")


class Outage(Event):
    """The chain, or the venue, stands still."""

    length: Length = Field(alias="for")


class Oracle(Event):
    """The venue mark: frozen for a while, late, or stale after an outage."""

    symbols: Markets = ALL
    freeze: Length = 0
    delay: Length = 0
    stale: Length = 0
    grace: Length = 0

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.freeze or self.delay or self.stale or self.grace):
            raise wrong("says nothing", 'give freeze, delay, stale or grace, like freeze = "30m"')
        return self


class TermsChange(Event):
    """The venue asks for more margin."""

    symbols: Markets = ALL
    margin: Annotated[float, Field(strict=False, ge=1, le=100)]
    """Times initial and maintenance margin."""
    length: Length | None = Field(default=None, alias="for")


class Adl(Event):
    """The venue closes a share of a profitable position."""

    symbol: str = "*"
    share: Annotated[Share, Field(gt=0, le=1)] = 1.0


class Trader(Event):
    """The trader is away: the strategy decides nothing."""

    offline: Length


class Withdrawal(Event):
    """The venue pays nothing out."""

    frozen: Length


class CascadeEvent(Event):
    """Leveraged positions of others that are liquidated at their levels and move the price."""

    symbols: Markets = ALL
    open_interest: Annotated[float, Field(strict=False, ge=0, le=1e15)] | None = None
    """Quote units of one side; none: a share of the daily turnover."""
    side: Literal["longs", "shorts"] = "longs"
    depth: Factor = 1.0
    """Of the book, as a share of what it is."""
    length: Length = Field(default=6 * HOUR_MS, alias="for")
    decay: Length = 6 * HOUR_MS


class Fund(Event):
    """Other accounts have drawn on the insurance fund."""

    drawn: Annotated[Share, Field(gt=0, le=1)]
    """Share of what it holds at the start of the run."""


class Keepers(Event):
    """Nobody liquidates."""

    absent: Annotated[Length, Field(gt=0)]


class FrontRunning(Event):
    """Others trade ahead of the account's taker orders."""

    symbols: Markets = ALL
    chain: Literal["first-come", "priority-fee", "auction", "private"] | None = None
    cost_bps: Annotated[float, Field(strict=False, ge=0, le=1_000)] | None = None
    length: Length = Field(alias="for")

    @model_validator(mode="after")
    def _one_cost(self) -> Self:
        if (self.chain is None) == (self.cost_bps is None):
            raise wrong("needs one of chain and cost_bps", 'write it like chain = "priority-fee", or cost_bps = 5')
        return self

    @property
    def bps(self) -> float:
        """What a taker order pays beyond its price."""
        return FRONT_RUNNING_BPS[self.chain] if self.chain is not None else self.cost_bps or 0.0


class Scenario(Table):
    """`[[scenario]]`: events on one clock."""

    name: Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9][\w.-]*$")]
    title: str = ""
    source: str = ""
    """Where its figures come from."""
    at: Instants = ("worst",)
    price: Several[Price] = ()
    funding: Several[Funding] = ()
    liquidity: Several[Liquidity] = ()
    outage: Several[Outage] = ()
    oracle: Several[Oracle] = ()
    terms: Several[TermsChange] = ()
    adl: Several[Adl] = ()
    trader: Several[Trader] = ()
    withdrawal: Several[Withdrawal] = ()
    cascade: Several[CascadeEvent] = ()
    fund: Several[Fund] = ()
    keepers: Several[Keepers] = ()
    front_running: Several[FrontRunning] = ()

    @model_validator(mode="after")
    def _worst_alone(self) -> Self:
        if "worst" in self.at and len(self.at) > 1:
            raise wrong("names worst beside other times", "give it alone")
        return self

    @property
    def span_ms(self) -> int:
        """From `at` to the end of the last event that has one; a day where none has."""
        ends = [price_end(event) for event in self.price]
        ends += [event.after + event.length for event in self.funding]
        ends += [event.after + event.length for event in self.liquidity]
        ends += [event.after + event.length for event in self.outage]
        ends += [event.after + (event.length or 0) for event in self.terms]
        ends += [event.after + event.freeze for event in self.oracle]
        ends += [event.after + event.offline for event in self.trader]
        ends += [event.after + event.absent for event in self.keepers]
        ends += [event.after + event.length for event in self.front_running]
        ends += [event.after + event.frozen for event in self.withdrawal]
        ends += [event.after + event.length + event.decay for event in self.cascade]
        return max(ends, default=0) or DAY_MS


class PackFile(Table):
    """The file."""

    title: str = ""
    scenario: tuple[Scenario, ...] = Field(strict=False, min_length=1)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [one.name for one in self.scenario]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise wrong(f"two scenarios are named {twice!r}", "give each its own name")
        return self


def points_of(event: Price, move: float) -> tuple[tuple[int, float], ...]:
    """The points (ms after the event, move) of an event whose own move is ``move``."""
    points: list[tuple[int, float]] = [(event.over, move)]
    if event.recover is not None:
        share, length = event.recover
        points.append((event.over + length, move * (1 - share)))
    return tuple(points)


def price_end(event: Price) -> int:
    """Ms from the scenario's `at` until an event's last move is over."""
    last = event.path[-1][0] if event.path is not None else points_of(event, 0.0)[-1][0]
    return event.after + last + event.mark[1]
