"""What a venue must be able to tell: its markets, and the rows of a series in a span."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import polars as pl

from backtest.core.times import DAY_MS
from backtest.data.fetch.client import Client
from backtest.data.fetch.connection import Connection
from backtest.data.fetch.market import MarginTable, Market
from backtest.data.fetch.pages import Page, windows
from backtest.data.fetch.rows import LATE_FUNDING_MS, Span, inside

_EARLIEST_MS = 1_483_228_800_000
"""2017-01-01: no venue had linear perpetuals before."""
_DAYS = 90
"""Daily candles that every venue gives in one page."""


class Exchange(ABC):
    """One venue. Rows come as the venue gives them: `rows` puts them on the grid and drops what is there twice."""

    name: ClassVar[str]
    """What the user calls it."""
    title: ClassVar[str]
    ccxt_id: ClassVar[str]
    preset: ClassVar[str] = ""
    """The venue preset whose rules a run on the dataset follows; empty: none is known."""
    quotes: ClassVar[tuple[str, ...]]
    """The quotes of its linear perpetuals, that of most of them first."""
    spellings: ClassVar[dict[str, str]]
    """What it calls each interval that it serves."""
    unserved: ClassVar[dict[str, str]] = {}
    """Series that it does not serve at all, with the reason."""
    limits: ClassVar[dict[str, str]] = {}
    """Why the beginning of a series may be missing, where the venue documents it."""
    funding_interval_ms: ClassVar[int | None] = None
    """Where it is the same for all markets and times; None: it is told from the settlements."""
    monthly_funding: ClassVar[bool] = True
    """Whether funding can be asked for by time, so that months are read side by side."""
    tiers_reason: ClassVar[str] = ""
    """Why it has no public leverage tiers; empty: it has."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.client = Client(self.ccxt_id, connection)
        self.now_ms = 0
        """The venue's time at the beginning of the download: a candle that ends later is not over."""

    def stop(self) -> None:
        """End the requests that still wait, with `StoppedError`."""
        self.client.pace.stop()

    @abstractmethod
    def markets(self) -> list[Market]:
        """Return its linear perpetuals."""

    @abstractmethod
    def volumes(self) -> dict[str, float]:
        """Return the quote volume of the last 24 hours by market."""

    @abstractmethod
    def candles(self, market: Market, interval: str, span: Span) -> list[pl.DataFrame]:
        """Return candles of trades, volume in base units."""

    @abstractmethod
    def marks(self, market: Market, interval: str, span: Span) -> list[pl.DataFrame]:
        """Return candles of the mark price."""

    @abstractmethod
    def funding(self, market: Market, span: Span) -> list[pl.DataFrame]:
        """Return settlements: the rate per settlement, positive where longs pay."""

    def margin(self, market: Market) -> MarginTable | None:
        """Return the leverage tiers of today; None where the venue does not tell them without an account."""
        return market.margin

    def listed_ms(self, market: Market) -> int:
        """Return when trading began, where the list of markets does not say it; 0: not known."""
        return market.listed_ms


def around(span: Span) -> Span:
    """Return a span widened by what a settlement's stamp may be off."""
    return Span(span.start_ms - LATE_FUNDING_MS, span.end_ms + LATE_FUNDING_MS)


def first_day(page: Page, now_ms: int) -> int:
    """Return the open of the first daily candle (ms), read back from now until there are no more; 0: none."""
    first_ms = 0
    for window in windows(Span(_EARLIEST_MS, now_ms - now_ms % DAY_MS + DAY_MS), _DAYS * DAY_MS):
        found = inside(page(window), window)
        if not len(found):
            break
        first_ms = int(found["ts"][0])
    return first_ms
