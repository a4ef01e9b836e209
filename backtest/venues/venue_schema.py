"""A venue file as it is written: what tables there are, and what must hold between them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from backtest.core.errors import nearest
from backtest.venues.default_leverage import DefaultLeverages
from backtest.venues.fees import Discount, Schedule
from backtest.venues.field_types import Amount, Below, Number, Part, Positive, Rate, Sourced, Status, several, wrong
from backtest.venues.liquidation_policy import Laws
from backtest.venues.margin_rules import Margin, RuleName
from backtest.venues.margin_tiers import Rungs
from backtest.venues.order_limits import OrderTables
from backtest.venues.risk_weights import Widening
from backtest.venues.terms import Portfolio

Mode = Literal["cross", "isolated", "portfolio"]
Text = Annotated[str, Field(min_length=1)]


class Defaults(Part):
    """What holds for every symbol that says nothing else."""

    initial: Rate = Decimal("0.05")
    maintenance: Below = Decimal("0.03")
    penalty: Rate = Decimal("0.01")
    taker_fee_bps: Annotated[Number, Field(ge=0, lt=10_000)] = Decimal(0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        # Else an account could be opened that is liquidated at once.
        if self.maintenance > self.initial:
            raise ValueError(f"maintenance {self.maintenance} is above initial {self.initial}")
        return self


class Market(Part):
    """A symbol's own margin: one ladder for all time, or dated tables."""

    tiers: Rungs | None = None
    margin: Margin | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.tiers is None) == (self.margin is None):
            raise ValueError("give either tiers or margin")
        return self


class Class(Market):
    """The margin of several base assets."""

    assets: list[Text] = Field(default_factory=list)


class TermsFile(Part):
    """Margin tables of many markets in a Parquet file (`venues.market_tables`), and what holds for each of them that
    says nothing else."""

    file: Text
    """Relative to the file that names it."""
    rule: RuleName = "tiers"
    source: Annotated[list[str], BeforeValidator(several)] = Field(default_factory=list)
    status: Status | None = None
    assumed: list[str] = Field(default_factory=list)
    note: str = ""
    about: str = ""
    """What the tables are, and what their dates mean."""


class Factor(Part):
    """How one market enters portfolio margin."""

    beta: Annotated[Number, Field(ge=-100, le=100)] = Decimal(1)
    idio: Rate | None = None
    """None: that of the table."""


class Portfolios(Sourced):
    """Portfolio margin: ``max(floor × sum over positions, scan × |Σ βᵢnᵢ| + Σ idioᵢ|nᵢ|)``."""

    scan_initial: Rate
    scan_maintenance: Rate
    idio: Rate = Decimal(0)
    idio_maintenance: Rate = Decimal(1)
    floor: Rate = Decimal(0)
    markets: dict[str, Factor] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.scan_maintenance > self.scan_initial:
            raise ValueError(f"scan_maintenance {self.scan_maintenance} is above scan_initial {self.scan_initial}")
        return self

    def portfolio(self) -> Portfolio:
        """The same as plain values."""
        scans = float(self.scan_initial), float(self.scan_maintenance)
        return Portfolio(*scans, float(self.floor), float(self.idio_maintenance))


class Volatility(Sourced):
    """Risk weights that widen with realised volatility (`venues.risk_weights`)."""

    window_days: Annotated[int, Field(ge=2, le=3650)]
    reference: Positive
    most: Annotated[Amount, Field(ge=1)]

    def widening(self) -> Widening:
        """The same as plain values."""
        return Widening(self.window_days, float(self.reference), float(self.most))


class VenueSchema(Part):
    """A venue. Rates are fractions of notional, taken on the mark price."""

    name: Text
    aliases: list[Text] = Field(default_factory=list)
    """Other names that it may be asked for by, if it comes with the package."""
    about: str = ""
    source: str
    """Where the numbers come from."""
    date: dt.date
    """When they held, or were read."""
    quote: Text
    modes: Annotated[tuple[Mode, ...], Field(strict=False)] = ("cross", "isolated")
    """Margin modes that the venue has; a run may use others."""
    chain: Text | None = None
    """What it runs on: a name of `venues.chains`, or a FILE.toml; None: its own servers, or not told."""
    sources: dict[str, str] = Field(default_factory=dict)
    """What the tables' sources stand for."""
    defaults: Defaults = Defaults()
    ladder: Annotated[Rungs | None, Field(alias="tiers")] = None
    margin: Margin | None = None
    classes: dict[str, Class] = Field(default_factory=dict)
    default_class: str | None = None
    symbols: dict[str, Market] = Field(default_factory=dict)
    terms_file: Annotated[TermsFile | None, Field(alias="terms")] = None
    liquidation: Laws | None = None
    schedule: Annotated[Schedule | None, Field(alias="fees")] = None
    discounts: dict[Text, Discount] = Field(default_factory=dict)
    """Off fees, by the name that `--fee-discount` takes."""
    orders: OrderTables | None = None
    default_leverage: DefaultLeverages | None = None
    """Of isolated positions without their own leverage; None: they post what the venue asks at least."""
    portfolio: Portfolios | None = None
    volatility: Volatility | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._one_default()
        self._one_class_each()
        named = [(table.source, place) for table, place in self.tables()]
        for source, place in [*named, (self.terms_file.source if self.terms_file else [], ("terms",))]:
            for known in source:
                if known not in self.sources:
                    raise wrong(f"unknown source {known!r}; {nearest(known, self.sources)}", *place, "source")
        return self

    def _one_default(self) -> None:
        given = [
            key
            for key, value in (("tiers", self.ladder), ("margin", self.margin), ("default_class", self.default_class))
            if value is not None
        ]
        if len(given) > 1:
            raise wrong(f"give one of {' and '.join(given)}: what holds for a symbol that is not named", given[-1])
        if self.default_class is not None and self.default_class not in self.classes:
            near = nearest(self.default_class, self.classes)
            raise wrong(f"unknown class {self.default_class!r}; {near}", "default_class")

    def _one_class_each(self) -> None:
        seen: dict[str, str] = {}
        for name, group in self.classes.items():
            for asset in group.assets:
                if asset in seen:
                    raise wrong(f"{asset} is in class {seen[asset]} already", "classes", name, "assets")
                seen[asset] = name

    def tables(self) -> Iterator[tuple[Sourced, tuple[str | int, ...]]]:
        """Every table that names its source, with its place."""
        lists = {
            "margin": self.margin,
            "liquidation": self.liquidation,
            "fees": self.schedule,
            "orders": self.orders,
            "default_leverage": self.default_leverage,
        }
        for key, tables in lists.items():
            yield from ((table, (key, n)) for n, table in enumerate(tables or ()))
        yield from ((table, ("discounts", name)) for name, table in self.discounts.items())
        for kind in ("classes", "symbols"):
            for name, market in getattr(self, kind).items():
                yield from ((table, (kind, name, "margin", n)) for n, table in enumerate(market.margin or ()))
        for key in ("portfolio", "volatility"):
            if table := getattr(self, key):
                yield table, (key,)
