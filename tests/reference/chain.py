"""A chain and an oracle in plain words: what `rules-layer2.md` speaks of. Times in ms, money in micro of quote."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Latency:
    """A constant where `p99` is `median`, else log-normal through both; or a table of quantiles."""

    median: float = 0.0
    p99: float = 0.0
    quantiles: tuple[float, ...] = ()


@dataclass(frozen=True)
class Route:
    """A way for money between the reserve and the venue."""

    delay: Latency = Latency()
    fee: int = 0
    rate: float = 0.0


@dataclass(frozen=True)
class Limit:
    """What may be withdrawn: at most `amount` at once, and as much again in each `per` ms."""

    amount: int
    per: int


@dataclass(frozen=True)
class Gas:
    """What messages cost from a time on; the first holds before its date as well."""

    from_ms: int = 0
    order: int = 0
    cancel: int = 0
    """Of an amendment, too."""
    deposit: int = 0
    withdrawal: int = 0


@dataclass(frozen=True)
class Congestion:
    """`usual` are (range, turnover) of an hour from that of the run's start on; None: not known."""

    slope: float = 0.0
    above: float = 1.0
    most: float = 1.0
    gas_power: float = 1.0
    usual: tuple[tuple[float | None, float | None], ...] = ()


@dataclass(frozen=True)
class Outage:
    """The chain stands still between the two."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Chain:
    """The default is instant and free."""

    network: Latency = Latency()
    queue: Latency = Latency()
    block_ms: int = 0
    most_per_block: int = 0
    sorts: bool = False
    congestion: Congestion = Congestion()
    rule: str = "wait"
    """wait, drop or expire"""
    ttl_ms: int = 0
    backlog: float = 0.0
    grace_ms: int = 0
    stale_ms: int = 0
    forced_ms: int = 0
    """0: there is no inclusion by force."""
    gate_after_ms: int = 0
    gate_ms: int = 0
    reorg_ms: int = 0
    deposits: tuple[Route, ...] = (Route(),)
    withdrawals: tuple[Route, ...] = (Route(),)
    withdrawal_limits: tuple[Limit, ...] = ()
    gas: tuple[Gas, ...] = ()
    outages: tuple[Outage, ...] = ()
    """Of the run, in order, without overlap."""


@dataclass(frozen=True)
class Oracle:
    """What the venue mark is made of; the default publishes the market mark at every knot."""

    median: bool = False
    average_ms: int = 0
    delay_ms: int = 0
    heartbeat_ms: int = 0
    deviation: float = 0.0
    limit_ms: int = 0
    """Orders are refused while the last publication is older; 0: never."""

    @property
    def holds(self) -> bool:
        """It speaks only now and then, and what it has said holds until it is asked again; else it always speaks."""
        return self.heartbeat_ms > 0 or self.deviation > 0


@dataclass(frozen=True)
class TopUp:
    """A guard: at a margin ratio of `level` of a pool it moves money to it, to a ratio of `goal`."""

    level: float
    goal: float


@dataclass(frozen=True)
class Beside:
    """What a play has beside its market and its venue; the default changes nothing."""

    chain: Chain = field(default_factory=Chain)
    oracle: Oracle | None = None
    reserve: int = 0
    """Micro outside the venue."""
    seed: int = 0
    guards: tuple[TopUp, ...] = ()
