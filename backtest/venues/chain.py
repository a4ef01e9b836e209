"""A chain as plain values: how long messages take, when it stands still, what it costs (rules-layer2.md).

Times in ms, money in micro of quote. The files of `chains/` are read by `venues.chains`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum


class Rule(IntEnum):
    """What happens to a message that meets an outage."""

    WAIT = 0
    DROP = 1
    EXPIRE = 2


@dataclass(frozen=True)
class Latency:
    """A constant where `p99_ms` is `median_ms`, else log-normal through both; or a table of quantiles."""

    median_ms: float = 0.0
    p99_ms: float = 0.0
    quantiles: tuple[float, ...] = ()
    """Evenly spaced from the least to the largest; none: the other two hold."""


@dataclass(frozen=True)
class Route:
    """A way for money between the reserve and the venue."""

    name: str
    delay: Latency
    fee_micro: int = 0
    fee_rate: float = 0.0
    """Share of the amount, beside the fixed fee."""


@dataclass(frozen=True)
class Limit:
    """What may be withdrawn: a capacity that returns to the amount within the period, from below and from above."""

    amount_micro: int
    per_ms: int


@dataclass(frozen=True)
class Gas:
    """What messages cost from a time on."""

    from_ms: int = 0
    order: int = 0
    cancel: int = 0
    """Of an amendment, too."""
    deposit: int = 0
    withdrawal: int = 0


@dataclass(frozen=True)
class Outage:
    """A window in which the chain stands still."""

    start_ms: int
    end_ms: int
    cause: str = ""


@dataclass(frozen=True)
class Congestion:
    """`min(most, 1 + slope × max(0, load − above))`; slope 0: none."""

    slope: float = 0.0
    above: float = 1.0
    most: float = 1.0
    gas_power: float = 1.0


@dataclass(frozen=True)
class Chain:
    """A chain, or none: the default is instant and free."""

    name: str = "instant"
    network: Latency = field(default_factory=Latency)
    queue: Latency = field(default_factory=Latency)
    back: Latency = field(default_factory=Latency)
    block_ms: int = 0
    """0: no blocks."""
    most_per_block: int = 0
    """Messages of one account that a block takes; 0: any number."""
    sorts: bool = False
    """Within a block what cannot take comes first, then cancels."""
    congestion: Congestion = field(default_factory=Congestion)
    rule: Rule = Rule.WAIT
    ttl_ms: int = 0
    """With `Rule.EXPIRE`: how much later than it would have a message may come."""
    backlog: float = 0.0
    """Ms of working off that a ms of halt takes; below 1."""
    grace_ms: int = 0
    """After an outage, without liquidations."""
    stale_ms: int = 0
    """After an outage, with the mark of before."""
    forced_ms: int = 0
    """Delay of inclusion by Layer 1; 0: none, or it is not used."""
    gate_after_ms: int = 0
    gate_ms: int = 0
    """Transfers are closed for so long after an outage of `gate_after_ms` or more."""
    finality_ms: int = 0
    """From a message's inclusion until it cannot be reverted."""
    reorg_ms: int = 0
    """Fills so shortly before an outage are undone; 0: none."""
    deposits: tuple[Route, ...] = ()
    """The first is the usual one."""
    withdrawals: tuple[Route, ...] = ()
    withdrawal_limits: tuple[Limit, ...] = ()
    """A withdrawal has to be within each of them."""
    gas: tuple[Gas, ...] = ()
    """By date."""
    outages: tuple[Outage, ...] = ()
    """Those that the run plays, in order; they do not overlap."""
    freezes: bool = True
    """Whether the mark that the venue sees is frozen in an outage."""

    @property
    def instant(self) -> bool:
        """Whether it changes nothing."""
        return self == Chain(name=self.name)


@dataclass(frozen=True)
class Oracle:
    """What the venue mark is made of, beside the market's; the default changes nothing."""

    median: bool = False
    average_ms: int = 0
    delay_ms: int = 0
    heartbeat_ms: int = 0
    """0: none."""
    deviation: float = 0.0
    """A share; 0: none."""
    limit_ms: int = 0
    """Orders are refused while the last publication is older; 0: never."""

    @property
    def plain(self) -> bool:
        """Whether the venue sees the market mark."""
        return not (self.median or self.average_ms or self.delay_ms or self.holds)

    @property
    def rough(self) -> list[str]:
        """What of it is worked out at the four knots of a candle only; nothing where it is late and nothing else."""
        parts: dict[str, float] = {"median": self.median, "average": self.average_ms}
        parts |= {"heartbeat": self.heartbeat_ms, "deviation": self.deviation}
        return [name for name, asked in parts.items() if asked]

    @property
    def holds(self) -> bool:
        """Whether what has been published holds until something else is; else it is published all the time."""
        return self.heartbeat_ms > 0 or self.deviation > 0
