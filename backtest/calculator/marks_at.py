"""Mark prices of a dataset at one instant, for positions that name none."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backtest.core.errors import UserError, nearest
from backtest.core.times import EPOCH, Moment, moment, stamp
from backtest.data.catalog import Catalog, DataSource
from backtest.data.first_marks import first_marks
from backtest.data.select import select


@dataclass(frozen=True)
class MarksAt:
    """The marks at the open of the first candle from an instant on: where a run that starts there begins."""

    catalog: Catalog
    at_ms: int | None

    @classmethod
    def of(cls, data: DataSource, at: Moment) -> MarksAt:
        """Open the data; UserError for what is not there or is no time."""
        catalog = data if isinstance(data, Catalog) else Catalog.open(data)
        return cls(catalog, None if at is None else moment(at))

    @property
    def day(self) -> dt.date:
        """Whose terms hold."""
        start = select(self.catalog, None, self.at_ms).start_ms
        return (EPOCH + dt.timedelta(milliseconds=start)).date()

    def marks(self, symbols: Sequence[str], place: str) -> Mapping[str, float]:
        """Return the mark of each market; UserError for one that the data lack, or that has no candle there."""
        if not symbols:
            return {}
        for symbol in symbols:
            if symbol not in self.catalog.symbols:
                raise UserError(f"{symbol} is not in the data", place, nearest(symbol, self.catalog.symbols))
        selection = select(self.catalog, sorted(set(symbols)), self.at_ms)
        found = first_marks(selection)
        for symbol in symbols:
            if symbol not in found:
                thing = f"{symbol} has no price at {stamp(selection.start_ms)}"
                raise UserError(thing, place, "give its mark, or a later --at")
        return found
