"""A chain file as it is written: facts by date, routes of money, gas, and the outages there were."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Annotated, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from backtest.core.errors import nearest
from backtest.venues.chain import Rule
from backtest.venues.chain_facts import Cap, Crowding, Delay, Fact, Origin, Span, Text, Toll, Value, Way
from backtest.venues.chain_outages import Halt
from backtest.venues.field_types import WORD, Below, Part, named, wrong


def _listed(value: object) -> object:
    """A fact may be written as a list by date, as one table, or as its value alone."""
    if isinstance(value, list):
        return value
    return [value if isinstance(value, dict) else {"value": value}]


def _tabled(kind: type[Fact]) -> Callable[[object], object]:
    """As `_listed`, for a fact of several figures: one value alone says nothing."""
    keys = ", ".join(kind.__annotations__)

    def read(value: object) -> object:
        # In a file that extends another a value alone has become a table, assumed, by now.
        alone = value.get("value") if isinstance(value, dict) else value
        if alone is not None and not isinstance(value, list):
            raise ValueError(f"{alone!r} is not a table; write one with keys of {keys}")
        return _listed(value)

    return read


_F = TypeVar("_F", bound=Fact)


def _by_date(facts: list[_F]) -> list[_F]:
    if not facts:
        raise wrong("no table; give at least one")
    places = sorted(range(len(facts)), key=lambda n: facts[n].from_ms)
    for low, high in pairwise(places):
        if facts[low].from_ms == facts[high].from_ms:
            raise wrong(f"two {_since(facts[high])}", max(low, high))
    return [facts[n] for n in places]


def _since(fact: Fact) -> str:
    return f"hold from {fact.from_} on" if fact.from_ else "say no date; give the later one a from"


_N = TypeVar("_N", Way, Cap)


def _apart(kind: str) -> Callable[[list[_N]], list[_N]]:
    """Facts that have names, each with its own dates."""

    def checked(facts: list[_N]) -> list[_N]:
        seen: set[tuple[str, int]] = set()
        for n, fact in enumerate(facts):
            if (fact.name, fact.from_ms) in seen:
                raise wrong(f"two {kind} {fact.name!r} {_since(fact)}", n)
            seen.add((fact.name, fact.from_ms))
        return facts

    return checked


def _history(halts: list[Halt]) -> list[Halt]:
    """By time. Those that are played must not overlap."""
    played = sorted((n for n, halt in enumerate(halts) if not halt.unplayed), key=lambda n: halts[n].outage().start_ms)
    for low, high in pairwise(played):
        if halts[low].outage().end_ms > halts[high].outage().start_ms:
            raise wrong(f"overlaps the one that begins at {halts[low].start}", high)
    return sorted(halts, key=lambda halt: (halt.day, halt.start_ms or 0))


Facts = Annotated[list[_F], BeforeValidator(_listed), AfterValidator(_by_date)]
Ways = Annotated[list[Way], AfterValidator(_apart("routes"))]
Caps = Annotated[list[Cap], AfterValidator(_apart("limits per"))]
Word = Annotated[Rule, BeforeValidator(named(Rule)), WORD]
SPANS = ("block", "ttl", "grace", "stale", "forced", "gate_after", "gate", "finality", "reorg")
FACTS = (
    "network", "queue", "back", "block", "most_per_block", "sorts", "congestion", "rule", "ttl", "backlog", "grace",
    "stale", "forced", "gate_after", "gate", "finality", "reorg", "gas",
)  # fmt: skip
"""In the order in which they are shown; routes, limits of withdrawals and outages follow."""


class ChainSheet(Part):
    """A chain. What is left out is zero, or missing."""

    name: Text
    about: str = ""
    source: str
    """Where what names no source comes from."""
    date: dt.date
    """When what names no date was known to hold."""
    sources: dict[str, str] = Field(default_factory=dict)
    network: Facts[Delay] = Field(default_factory=list)
    queue: Facts[Delay] = Field(default_factory=list)
    back: Facts[Delay] = Field(default_factory=list)
    block: Facts[Span] = Field(default_factory=list)
    most_per_block: Facts[Value[Annotated[int, Field(gt=0)]]] = Field(default_factory=list)
    sorts: Facts[Value[bool]] = Field(default_factory=list)
    congestion: Annotated[Facts[Crowding], BeforeValidator(_tabled(Crowding))] = Field(default_factory=list)
    rule: Facts[Value[Word]] = Field(default_factory=list)
    ttl: Facts[Span] = Field(default_factory=list)
    backlog: Facts[Value[Below]] = Field(default_factory=list)
    grace: Facts[Span] = Field(default_factory=list)
    stale: Facts[Span] = Field(default_factory=list)
    forced: Facts[Span] = Field(default_factory=list)
    gate_after: Facts[Span] = Field(default_factory=list)
    gate: Facts[Span] = Field(default_factory=list)
    finality: Facts[Span] = Field(default_factory=list)
    reorg: Facts[Span] = Field(default_factory=list)
    gas: Annotated[Facts[Toll], BeforeValidator(_tabled(Toll))] = Field(default_factory=list)
    deposits: Ways = Field(default_factory=list)
    withdrawals: Ways = Field(default_factory=list)
    withdrawal_limits: Caps = Field(default_factory=list)
    outages: Annotated[list[Halt], AfterValidator(_history)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for table, place in self.tables():
            for name in table.source:
                if name not in self.sources:
                    raise wrong(f"unknown source {name!r}; {nearest(name, self.sources)}", *place, "source")
        if self.gate and not self.gate_after:
            raise wrong("needs gate_after: how long an outage closes transfers", "gate")
        if any(fact.value is Rule.EXPIRE for fact in self.rule) and not self.ttl:
            raise wrong("expire needs ttl: how much later than it would have a message may come", "rule")
        return self

    def tables(self) -> Iterator[tuple[Origin, tuple[str | int, ...]]]:
        """Every table that may name its source, with its place in the lists of the sheet."""
        for key in (*FACTS, "deposits", "withdrawals", "withdrawal_limits", "outages"):
            yield from ((table, (key, n)) for n, table in enumerate(getattr(self, key)))
