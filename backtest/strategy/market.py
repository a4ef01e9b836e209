"""`market`: all that a strategy may know now, and nothing after."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtest.core.errors import UserError, nearest
from backtest.core.times import EPOCH
from backtest.strategy.literal_types import CandleField
from backtest.strategy.session import Key, Session, replay_of, session_of
from backtest.strategy.window import FEATURES, FIELDS, MARK
from backtest.venues.chain import Outage


class Column:
    """One number per symbol at the current candle: `market.close["BTC-USD"]`; NaN where it is missing."""

    __slots__ = ("_places", "_shown")

    def __init__(self, shown: memoryview[float], places: dict[str, int]) -> None:
        self._shown, self._places = shown, places

    def __getitem__(self, symbol: str) -> float:
        try:
            return self._shown[self._places[symbol]]
        except KeyError:
            raise unknown(symbol, self._places) from None


class BySymbol:
    """Something that the engine tells of a symbol when it is asked for; UserError for a name that was not selected."""

    __slots__ = ("_index", "_key")

    def __init__(self, key: Key, index: dict[str, int]) -> None:
        self._key, self._index = key, index

    def _asked(self, symbol: str) -> tuple[Session, int]:
        """The account's session, and the symbol's number."""
        if symbol not in self._index:
            raise unknown(symbol, self._index)
        return session_of(self._key), self._index[symbol]


class FundingRates(BySymbol):
    """The rate of each symbol's last settlement, NaN before the first: `market.funding_rate["BTC-USD"]`."""

    __slots__ = ()

    def __getitem__(self, symbol: str) -> float:
        session, i = self._asked(symbol)
        return session.window.rate(i, session.replay.now_ms)


class Settlement(NamedTuple):
    """A funding settlement that has happened."""

    ts_ms: int
    rate: float


class VenueMarks(BySymbol):
    """The mark by which the venue liquidates, as far as it is known at the close: ``market.venue_mark["BTC-USD"]``.

    Without an oracle and outside of outages it is ``market.mark``.
    """

    __slots__ = ()

    def __getitem__(self, symbol: str) -> float:
        session, i = self._asked(symbol)
        return session.replay.venue_mark(session.columns[i])


class OracleAges(BySymbol):
    """How old the oracle's price is that the venue sees, ms: ``market.oracle_age_ms["BTC-USD"]``; 0 without one."""

    __slots__ = ()

    def __getitem__(self, symbol: str) -> int:
        session, i = self._asked(symbol)
        return session.replay.mark_age_ms(session.columns[i])


class Market:
    """What may be known at the close of a candle.

    ``open``, ``high``, ``low``, ``close``, ``volume`` and ``mark`` give a float by symbol for the candle that has just
    closed; ``history(symbol, "close", n)`` the last n candles of it; ``feature(name, symbol)`` a value of `features`.
    ``funding_rate`` is the last settled rate, ``venue_mark`` the mark that the venue goes by and ``oracle_age_ms`` its
    age. Names that were not selected raise UserError.
    """

    def __init__(self, session: Session, lookback: int) -> None:
        window = session.window
        self._key, self._lookback, self._shown = session.key, lookback, window.shown
        self._index = {symbol: i for i, symbol in enumerate(window.symbols)}
        self.symbols: tuple[str, ...] = ()
        """The markets that closed a candle now and whose features are all known, in sorted order."""
        self.open, self.high, self.low, self.close, self.volume, self.mark = (
            Column(window.shown, window.places(column)) for column in (*range(FEATURES), MARK)
        )
        self._features = {name: window.places(n) for n, name in enumerate(window.features, FEATURES)}
        self.funding_rate = FundingRates(session.key, self._index)
        self.venue_mark = VenueMarks(session.key, self._index)
        self.oracle_age_ms = OracleAges(session.key, self._index)

    @property
    def now(self) -> dt.datetime:
        """The close of the candle, UTC."""
        return EPOCH + dt.timedelta(milliseconds=self.now_ms)

    @property
    def now_ms(self) -> int:
        """The close of the candle, ms since 1970 UTC."""
        return replay_of(self._key).now_ms

    @property
    def sequencer_up(self) -> bool:
        """Whether the chain runs: False between the beginning and the end of an outage."""
        replay = replay_of(self._key)
        return runs(replay.setup.chain.outages, replay.now_ms)

    def funding_history(self, symbol: str, n: int) -> tuple[Settlement, ...]:
        """Return the last ``n`` funding settlements before now, oldest first; fewer near the beginning.

        One at this very instant is settled after the strategy has decided. UserError for an ``n`` below 1.
        """
        if not isinstance(n, int) or n < 1:
            raise UserError(f"funding history of {n!r} settlements", "market.funding_history", "ask for 1 or more")
        found = session_of(self._key).window.settlements(self._at(symbol), self.now_ms, n).tolist()
        return tuple(Settlement(int(ts), rate) for ts, rate in found)

    def next_funding_ms(self, symbol: str) -> int | None:
        """Return when the next settlement is due, ms since 1970, at or after now; None before two have been seen.

        It is told from the past: the last settlement, and the interval between it and the one before.
        """
        past = session_of(self._key).window.settlements(self._at(symbol), self.now_ms, 2)[:, 0].astype(np.int64)
        if len(past) < 2:
            return None
        before, last = past.tolist()
        every = last - before
        return int(last + -(-(self.now_ms - last) // every) * every)

    def _at(self, symbol: str) -> int:
        try:
            return self._index[symbol]
        except KeyError:
            raise unknown(symbol, self._index) from None

    def feature(self, name: str, symbol: str) -> float:
        """Value of a feature at this candle."""
        try:
            return self._shown[self._features[name][symbol]]
        except KeyError:
            if symbol not in self._index:
                raise unknown(symbol, self._index) from None
            raise UserError(f"no feature {name!r}", "market.feature", nearest(name, self._features)) from None

    def history(self, symbol: str, field: CandleField, n: int) -> NDArray[np.float64]:
        """The last ``n`` values of a field ("open", "high", "low", "close", "volume"), oldest first, this candle last.

        A copy that is read-only; NaN in gaps; shorter than n near the beginning. UserError if n is more than
        `lookback`.
        """
        if not 0 < n <= self._lookback:
            remedy = f"ask for 1 to {self._lookback}, or set lookback = {n} in the strategy"
            raise UserError(f"history of {n} candles", "market.history", remedy)
        if symbol not in self._index:
            raise unknown(symbol, self._index)
        if field not in FIELDS:
            raise UserError(f"no field {field!r}", "market.history", nearest(field, FIELDS))
        return session_of(self._key).window.history(self._index[symbol], field, n)


def runs(outages: Sequence[Outage], now_ms: int) -> bool:
    """Whether a chain with these outages, in order, runs at a time: what begins at it, or ends, has not stopped it."""
    begun = bisect_left(outages, now_ms, key=lambda outage: outage.start_ms)
    return begun == 0 or outages[begun - 1].end_ms <= now_ms


def unknown(symbol: str, index: Mapping[str, int]) -> UserError:
    """The error for a symbol that is not part of the run."""
    return UserError(f"unknown symbol {symbol!r}", "market", nearest(str(symbol), index))
