"""The rows of one series of an open dataset, piece by piece and checked: what commands that write datasets read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backtest.core.errors import Broken, UserError
from backtest.core.times import stamp
from backtest.data.catalog import Catalog
from backtest.data.resample import candles_of
from backtest.data.row_interval import mark_interval
from backtest.data.source import CANDLE_COLUMNS, FURTHER, Source

FUNDING, CANDLES = "funding", "candles"
VOLUME = "volume"
_BATCH_ROWS = 65_536


@dataclass(frozen=True)
class Rows:
    """Rows that follow each other in time; ``t`` in ms."""

    t: NDArray[np.int64]
    columns: dict[str, NDArray[np.float64]]

    def cut(self, start: int, stop: int) -> Rows:
        """Rows ``start … stop - 1``, views of the same memory."""
        return Rows(self.t[start:stop], {name: column[start:stop] for name, column in self.columns.items()})


@dataclass(frozen=True)
class Series:
    """One series of one symbol."""

    catalog: Catalog
    kind: str
    symbol: str
    source: Source

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns beside the time; candles have a volume where every file has one."""
        if self.kind == FUNDING:
            return ("rate",)
        told = self.kind == CANDLES and all(VOLUME in file.types for file in self.source.files)
        return (*CANDLE_COLUMNS, VOLUME) if told else CANDLE_COLUMNS

    @property
    def interval_ms(self) -> int:
        """Of its candles."""
        if self.kind == FUNDING:
            raise Broken("settlements have no one interval")
        market = self.catalog.market(self.symbol)
        if self.kind == CANDLES:
            return market.interval_ms or self.catalog.interval_ms
        declared = self.catalog.manifest.mark_intervals_ms.get(self.symbol) if self.kind == "mark" else None
        found = mark_interval(self.catalog.con, self.source, declared, market.interval_ms)
        return found or self.catalog.interval_ms

    def rows(
        self, start_ms: int | None = None, end_ms: int | None = None, every_ms: int | None = None
    ) -> Iterator[Rows]:
        """Rows with ``start_ms <= t < end_ms``, joined to candles of ``every_ms`` where that is longer.

        Joined candles open on the clock. Raises UserError, with symbol, time and file, at the first row that a run
        would refuse.
        """
        if self.kind == FUNDING:
            yield from self._settlements(start_ms, end_ms)
            return
        have, last = self.interval_ms, self.source.last_ms
        want = max(have, every_ms or have)
        span = (self.source.first_ms if start_ms is None else start_ms, last + 1 if end_ms is None else end_ms)
        phase = 0 if want > have else self.source.first_ms % have
        con, intervals = self.catalog.con.cursor(), (have, want)
        candles = candles_of(con, self.source, self.columns, intervals, phase, span, _BATCH_ROWS)
        for begin in range(span[0] - span[0] % want, span[1], want * _BATCH_ROWS):
            until = begin + want * _BATCH_ROWS
            for piece in candles.take(until):
                yield Rows(piece.t, dict(zip(self.columns, piece.columns, strict=True)))

    def _settlements(self, start_ms: int | None, end_ms: int | None) -> Iterator[Rows]:
        found = self.source.fetch(self.catalog.con, self.source.scan(("rate",), start_ms, end_ms))
        t = np.ma.getdata(found["t"]).astype(np.int64)
        rate = np.ma.filled(found["rate"].astype(np.float64), np.nan)
        back = np.flatnonzero(np.diff(t) <= 0)
        if len(back):
            same = t[back[0]] == t[back[0] + 1]
            thing = "a settlement that is there twice" if same else f"unsorted: it comes after {stamp(int(t[back[0]]))}"
            raise UserError(thing, self.source.where(int(t[back[0] + 1])), "repair it with `backtest data repair`")
        if len(t):
            yield Rows(t, {"rate": rate})


def series_of(catalog: Catalog, symbols: tuple[str, ...] | None = None) -> list[Series]:
    """Every series of the symbols (None: of all): candles, marks, further marks, funding, by symbol."""
    kinds = (CANDLES, "mark", *sorted(kind for kind in catalog.sources if kind.startswith(FURTHER)), FUNDING)
    return [
        Series(catalog, kind, symbol, source)
        for symbol in (catalog.symbols if symbols is None else symbols)
        for kind in kinds
        if (source := catalog.sources[kind].get(symbol)) is not None
    ]
