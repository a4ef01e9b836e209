"""`market`: all that a strategy may know now, and nothing after."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from backtest.core.errors import UserError, nearest
from backtest.strategy.literal_types import CandleField
from backtest.venues.chain import Outage

FIELDS = ("open", "high", "low", "close")
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Column:
    """One number per symbol at the current candle: `market.close["BTC-USD"]`; NaN where there is none."""

    __slots__ = ("_index", "_row", "view")

    def __init__(self, index: dict[str, int], row: list[int]) -> None:
        self._index = index
        self._row = row  # one shared cell: the owner moves every column at once
        self.view = np.full((1, max(1, len(index))), np.nan).data  # nothing is known before the first candle

    def load(self, values: NDArray[np.float64]) -> None:
        """Take the [row, symbol] matrix that `row` counts in."""
        self.view = np.ascontiguousarray(values).data

    def __getitem__(self, symbol: str) -> float:
        try:
            value: float = self.view[self._row[0], self._index[symbol]]
        except KeyError:
            raise unknown(symbol, self._index) from None
        return value


class FundingRates:
    """The rate of each symbol's last settlement, NaN before the first: `market.funding_rate["BTC-USD"]`."""

    def __init__(self, index: dict[str, int], funding: NDArray[np.float64], now_ms: Callable[[], int]) -> None:
        self._index, self._now_ms = index, now_ms
        paid = funding[~np.isnan(funding[:, 2])] if len(funding) else np.empty((0, 3))
        self._stamps = [paid[paid[:, 1] == i, 0] for i in range(len(index))]
        self._rates = [paid[paid[:, 1] == i, 2] for i in range(len(index))]

    def __getitem__(self, symbol: str) -> float:
        if symbol not in self._index:
            raise unknown(symbol, self._index)
        i = self._index[symbol]
        # A settlement at this very instant happens after the strategy has decided (docs/reference/rules.md section 4).
        at = int(np.searchsorted(self._stamps[i], self._now_ms(), side="left"))
        return float(self._rates[i][at - 1]) if at else float("nan")


class Market:
    """What may be known at the close of a candle.

    ``open``, ``high``, ``low``, ``close``, ``volume`` and ``mark`` give a float by symbol for the candle that has just
    closed; ``history(symbol, "close", n)`` the last n candles of it; ``feature(name, symbol)`` a value of `features`.
    ``funding_rate`` is the last settled rate. Names that were not selected raise UserError.
    """

    def __init__(
        self,
        symbols: tuple[str, ...],
        funding: NDArray[np.float64],
        feature_names: tuple[str, ...],
        lookback: int,
        outages: Sequence[Outage] = (),
    ) -> None:
        self._outages = outages
        self._all = symbols
        self._index = {name: i for i, name in enumerate(symbols)}
        self.cell = [0]
        self._first_ms = self._interval_ms = 0
        self._first = 0
        self._lookback = lookback
        self._panel = np.empty((4, 0, len(symbols)))
        self._volume = np.empty((0, len(symbols)))
        self.listed: list[tuple[str, ...]] = [()]
        """By row what `symbols` is there. For the engine's side."""
        self.symbols: tuple[str, ...] = ()
        """The markets that closed a candle now and whose features are all known, in sorted order."""
        self.open, self.high, self.low, self.close, self.volume, self.mark = (
            Column(self._index, self.cell) for _ in range(6)
        )
        nothing = np.full(1, np.nan).data
        self._values = {name: dict.fromkeys(symbols, nothing) for name in feature_names}
        self.funding_rate = FundingRates(self._index, funding, lambda: self.now_ms)

    def load(
        self,
        panel: NDArray[np.float64],
        volume: NDArray[np.float64],
        mark: NDArray[np.float64],
        features: dict[str, NDArray[np.float64]],
        first: int = 0,
    ) -> None:
        """Take the candles to come: [field, row, symbol], and [row, symbol] of the others. For the engine's side.

        Rows before ``first`` stand for no candle at all: history does not reach them.
        """
        self._panel, self._volume, self._first = panel, volume, first
        for field, name in enumerate(FIELDS):
            getattr(self, name).load(panel[field])
        self.volume.load(volume)
        self.mark.load(mark)
        ready = ~np.isnan(panel[3])
        for name in self._values:
            columns = np.ascontiguousarray(features[name].T)
            self._values[name] = {symbol: column.data for symbol, column in zip(self._all, columns, strict=True)}
            ready &= ~np.isnan(features[name])
        self.listed = self._names(ready)

    def _names(self, ready: NDArray[np.bool_]) -> list[tuple[str, ...]]:
        """The symbols that are ready, by row; rows with the same ones share them."""
        names = [self._all] * len(ready)
        known: dict[bytes, tuple[str, ...]] = {}
        for row in np.flatnonzero(~ready.all(axis=1)).tolist():
            key = ready[row].tobytes()
            if key not in known:
                known[key] = tuple(name for name, is_ready in zip(self._all, ready[row], strict=True) if is_ready)
            names[row] = known[key]
        return names

    def clock(self, first_ms: int, interval_ms: int) -> None:
        """Rows close at `first_ms + row × interval_ms` from now on. For the engine's side."""
        self._first_ms, self._interval_ms = first_ms, interval_ms

    def move(self, row: int, now_ms: int) -> bool:
        """Stand at row `row` of what was loaded, at `now_ms`; False if no symbol is ready. For the engine's side."""
        self.cell[0] = row
        self._first_ms, self._interval_ms = now_ms, 0
        self.symbols = self.listed[row]
        return bool(self.symbols)

    @property
    def now(self) -> dt.datetime:
        """The close of the candle, UTC."""
        return EPOCH + dt.timedelta(milliseconds=self.now_ms)

    @property
    def now_ms(self) -> int:
        """The close of the candle, ms since 1970 UTC."""
        return self._first_ms + self.cell[0] * self._interval_ms

    @property
    def sequencer_up(self) -> bool:
        """Whether the chain runs: False between the beginning and the end of an outage."""
        return runs(self._outages, self.now_ms)

    def feature(self, name: str, symbol: str) -> float:
        """Value of a feature at this candle."""
        try:
            return self._values[name][symbol][self.cell[0]]
        except KeyError:
            if symbol not in self._index:
                raise unknown(symbol, self._index) from None
            raise UserError(f"no feature {name!r}", "market.feature", nearest(name, self._values)) from None

    def history(self, symbol: str, field: CandleField, n: int) -> NDArray[np.float64]:
        """The last ``n`` values of a field ("open", "high", "low", "close", "volume"), oldest first, this candle last.

        Read-only; NaN in gaps; shorter than n near the beginning. UserError if n is more than `lookback`.
        """
        if not 0 < n <= self._lookback:
            remedy = f"ask for 1 to {self._lookback}, or set lookback = {n} in the strategy"
            raise UserError(f"history of {n} candles", "market.history", remedy)
        if symbol not in self._index:
            raise unknown(symbol, self._index)
        i, row = self._index[symbol], self.cell[0]
        first = max(self._first, row + 1 - n)
        if field == "volume":
            view = self._volume[first : row + 1, i]
        elif field in FIELDS:
            view = self._panel[FIELDS.index(field), first : row + 1, i]
        else:
            raise UserError(f"no field {field!r}", "market.history", nearest(field, (*FIELDS, "volume")))
        view.flags.writeable = False
        return view


def runs(outages: Sequence[Outage], now_ms: int) -> bool:
    """Whether a chain with these outages, in order, runs at a time: what begins at it, or ends, has not stopped it."""
    begun = bisect_left(outages, now_ms, key=lambda outage: outage.start_ms)
    return begun == 0 or outages[begun - 1].end_ms <= now_ms


def unknown(symbol: str, index: Mapping[str, int]) -> UserError:
    """The error for a symbol that is not part of the run."""
    return UserError(f"unknown symbol {symbol!r}", "market", nearest(str(symbol), index))


NOTHING: MappingProxyType[str, NDArray[np.float64]] = MappingProxyType({})
"""No features."""
