"""What a chain file is written with: figures with their origin, each from a day on (`venues.chain_schema`)."""

from __future__ import annotations

import datetime as dt
from abc import abstractmethod
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Generic, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from backtest.core.errors import nearest
from backtest.venues.chain import Congestion, Gas, Latency, Limit, Route, Rule
from backtest.venues.field_types import Amount, Duration, Number, Part, Rate, day_ms, micro, wrong

Standing = Literal["verified", "press", "derived", "memory", "assumed"]
"""Read in the chain's own source or documents, or in a report that names the contract; as news pages say; computed from
such; remembered, with no page found; chosen."""
POINTS = 1_001
"""Quantiles that are kept of a measured table with more values."""
Text = Annotated[str, Field(min_length=1)]
_T = TypeVar("_T")


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Origin(Part):
    """Where a table's figures come from."""

    source: Annotated[list[str], BeforeValidator(_several)] = Field(default_factory=list)
    """Names in `[sources]`; none: the file's own source."""
    date: dt.date | None = None
    """When the source said so; None: the file's own date."""
    status: Standing | None = None
    """Of all figures of the table but those that are named next; None: the file does not say."""
    press: list[str] = Field(default_factory=list)
    derived: list[str] = Field(default_factory=list)
    memory: list[str] = Field(default_factory=list)
    assumed: list[str] = Field(default_factory=list)
    note: str = ""

    @model_validator(mode="after")
    def _names(self) -> Self:
        known = {info.alias or name for name, info in type(self).model_fields.items()}
        for key, names in self._apart():
            for name in names:
                if name not in known:
                    raise wrong(f"{name!r} is not a key of the table; {nearest(name, known)}", key)
        return self

    def _apart(self) -> tuple[tuple[str, list[str]], ...]:
        """Figures with their own standing."""
        return ("press", self.press), ("derived", self.derived), ("memory", self.memory), ("assumed", self.assumed)

    @property
    def standing(self) -> str:
        """``verified; assumed: p99``; empty where the file does not say."""
        apart = (f"{key}: {', '.join(names)}" for key, names in self._apart() if names)
        return "; ".join([*([self.status] if self.status else []), *apart])

    @property
    def trusted(self) -> str:
        """What of it no page was found for: ``assumed``, ``from memory: p99``; empty for nothing."""
        said = {"assumed": "assumed", "memory": "from memory"}
        whole = [said[self.status]] if self.status in said else []
        parts = (f"{said[key]}: {', '.join(names)}" for key, names in self._apart() if names and key in said)
        return "; ".join([*whole, *parts])


class Fact(Origin):
    """One fact of a chain from a day (UTC) on, until the next one of its list."""

    from_: Annotated[dt.date | None, Field(alias="from")] = None
    """None: since ever."""

    @property
    def from_ms(self) -> int:
        """The first instant at which it holds; 0: since ever."""
        return 0 if self.from_ is None else day_ms(self.from_)

    @property
    @abstractmethod
    def said(self) -> str:
        """The figures in words, with their units."""


class Value(Fact, Generic[_T]):
    """One figure."""

    value: _T

    @property
    def said(self) -> str:
        """The figure; a `Span` says its unit."""
        if isinstance(self.value, bool):
            return "yes" if self.value else "no"
        return self.value.name.lower() if isinstance(self.value, Rule) else f"{self.value:,}"


class Span(Value[Duration]):
    """A length of time, ms."""

    @property
    def said(self) -> str:
        """``6d 8h 43m 36s``."""
        return span(self.value)


@dataclass(frozen=True)
class Measured:
    """Delays of a file, ms, evenly spaced from the least to the largest."""

    file: str
    values: tuple[float, ...]


def _measured(value: object) -> object:
    """The delays of a Parquet file with a column `latency_ms`."""
    if isinstance(value, Measured):
        return value
    if not isinstance(value, str):
        raise wrong(f"{value!r} is not a file; write the name of a Parquet file, like 'delays.parquet'")
    import numpy as np
    import polars as pl

    name = Path(value).name
    if not Path(value).is_file():
        raise ValueError(f"{name}: no such file")
    try:
        column = pl.read_parquet(value, columns=["latency_ms"])["latency_ms"].cast(pl.Float64)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ValueError(f"{name} is not a Parquet file with numbers in a column latency_ms") from error
    delays = np.sort(column.drop_nulls().to_numpy())
    if len(delays) < 2 or len(delays) != len(column) or not np.isfinite(delays).all():
        raise ValueError(f"{name} needs two or more delays, none of them empty")
    if delays[0] < 0:
        raise ValueError(f"{name} has a negative delay, {delays[0]:g} ms")
    if len(delays) > POINTS:
        delays = np.quantile(delays, np.linspace(0.0, 1.0, POINTS))
    return Measured(name, tuple(float(delay) for delay in delays))


Table = Annotated[
    Measured, BeforeValidator(_measured), PlainSerializer(lambda t: {"file": t.file, "values": list(t.values)})
]


class Delay(Fact):
    """A delay: constant (`value`), log-normal (`median`, `p99`), by `quantiles`, or measured (`table`)."""

    value: Duration | None = None
    median: Duration | None = None
    p99: Duration | None = None
    quantiles: list[Duration] | None = None
    table: Table | None = None
    """A Parquet file beside this one with a column `latency_ms`."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        ways = [key for key in ("value", "median", "quantiles", "table") if getattr(self, key) is not None]
        if len(ways) != 1:
            raise wrong("give one of value, median with p99, quantiles and table", *ways[1:2])
        if (self.median is None) != (self.p99 is None):
            raise wrong("median and p99 belong together", "p99" if self.median is None else "median")
        if self.median is not None and self.p99 is not None:
            if self.p99 < self.median:
                raise wrong(f"p99 {span(self.p99)} is below the median {span(self.median)}", "p99")
            if self.p99 > self.median == 0:
                raise wrong("a median of 0 has no p99 above it: no log-normal has both", "median")
        if self.quantiles is not None:
            if len(self.quantiles) < 2:
                raise wrong("give two or more", "quantiles")
            if any(low > high for low, high in pairwise(self.quantiles)):
                raise wrong("they do not rise", "quantiles")
        return self

    def latency(self) -> Latency:
        """The same as plain values."""
        if self.table is not None:
            return Latency(quantiles=self.table.values)
        if self.quantiles is not None:
            return Latency(quantiles=tuple(map(float, self.quantiles)))
        if self.median is not None and self.p99 is not None:
            return Latency(float(self.median), float(self.p99))
        constant = float(self.value or 0)
        return Latency(constant, constant)

    @property
    def said(self) -> str:
        """``median 60ms, p99 400ms``."""
        if self.value is not None:
            return span(self.value)
        if self.median is not None and self.p99 is not None:
            return f"median {span(self.median)}, p99 {span(self.p99)}"
        values = self.latency().quantiles
        named_as = f"{self.table.file}: " if self.table else ""
        return f"{named_as}{len(values):,} quantiles from {values[0]:g}ms to {values[-1]:g}ms"


class Way(Delay):
    """A route of money. Several of one name differ by date."""

    name: Text
    fee: Amount = Decimal(0)
    """Quote units."""
    rate: Rate = Decimal(0)
    """Share of the amount, beside the fixed fee."""

    def route(self) -> Route:
        """The same as plain values."""
        return Route(self.name, self.latency(), micro(self.fee), float(self.rate))

    @property
    def said(self) -> str:
        """``median 20s, p99 2m; fee 1 + 0.01 %``."""
        parts = [f"{self.fee:,f}"] * bool(self.fee) + [f"{float(self.rate) * 100:g} %"] * bool(self.rate)
        return super().said + (f"; fee {' + '.join(parts)}" if parts else "")


class Cap(Fact):
    """What may be withdrawn in a length of time. Several of one length differ by date."""

    amount: Annotated[Number, Field(ge=Decimal("0.000001"), le=10**12)]
    """Quote units, from a millionth on."""
    per: Annotated[Duration, Field(gt=0)]

    @property
    def name(self) -> str:
        """``1h``."""
        return span(self.per)

    def limit(self) -> Limit:
        """The same as plain values."""
        return Limit(micro(self.amount), self.per)

    @property
    def said(self) -> str:
        """``at most 1,000,000``."""
        return f"at most {self.amount:,f}"


class Crowding(Fact):
    """``min(most, 1 + slope × max(0, load − above))``, of the queue; of gas its power."""

    slope: Annotated[Number, Field(ge=0, le=1000)]
    above: Annotated[Number, Field(ge=0, le=1000)] = Decimal(1)
    most: Annotated[Number, Field(ge=1, le=10_000)]
    gas_power: Annotated[Number, Field(ge=0, le=10)] = Decimal(1)

    def congestion(self) -> Congestion:
        """The same as plain values."""
        return Congestion(float(self.slope), float(self.above), float(self.most), float(self.gas_power))

    @property
    def said(self) -> str:
        """The formula with its figures."""
        power = f", gas its power of {self.gas_power:f}" if self.gas_power != 1 else ""
        return f"min({self.most:f}, 1 + {self.slope:f} x (load above {self.above:f})){power}"


class Toll(Fact):
    """What messages cost, quote units."""

    order: Amount = Decimal(0)
    cancel: Amount = Decimal(0)
    deposit: Amount = Decimal(0)
    withdrawal: Amount = Decimal(0)

    def gas(self, from_ms: int) -> Gas:
        """The same as plain values."""
        return Gas(from_ms, *map(micro, (self.order, self.cancel, self.deposit, self.withdrawal)))

    @property
    def said(self) -> str:
        """``order 0.5, cancel 0.5, …``, in quote units."""
        kinds = ("order", "cancel", "deposit", "withdrawal")
        return ", ".join(f"{kind} {getattr(self, kind):,f}" for kind in kinds)


def span(ms: int) -> str:
    """A length of time in all its units: ``6d 8h 43m 36s``."""
    parts, rest = [], ms
    for unit, length in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)):
        count, rest = divmod(rest, length)
        parts += [f"{count}{unit}"] if count else []
    return " ".join(parts) or "0"
