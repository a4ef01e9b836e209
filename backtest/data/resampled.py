"""Other histories made of the candles of one: blocks of joint rows put one behind the other, prices joined.

All markets of a row stay together, with their marks, volume and funding, so that what moves together still does. A row
keeps its candle's shape: all of its prices are multiplied by one factor per market, which makes the first of a block
follow the last close before it by the gap that it had in its own history:

    factor[k] = factor[k − 1] × close[row[k − 1]] / close[row[k] − 1]

where close is the last known one. Rows that follow each other as they did keep the factor to the bit. Settlements stay
on the clock; each pays the rate that was due next in the history of its row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field, fields

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.errors import Broken
from backtest.data.panel import CLOSE, Chunk
from backtest.data.resample import closed_candles
from backtest.data.selection import Selection
from backtest.data.source import CANDLE_COLUMNS

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class JointCandles:
    """The rows of a selection in which all of its markets trade, in memory: what other histories are drawn from."""

    base: Selection
    start_ms: int
    prices: Floats
    """[fields, rows, symbols]."""
    volume: Floats | None
    """[rows, symbols]; None: the data have none."""
    further: Floats
    """[4 × further marks, rows, symbols]."""
    closes: Floats
    """[rows + 1, symbols]: the last close known before each row; of row 0 its open."""
    rates: Floats
    """[rows, symbols]: the funding rate that is due next at the open of each row; NaN: none known."""
    others: dict[tuple[str, int], Floats] = field(default_factory=dict)
    """Further columns of the files by name and symbol, [rows], read when they are first asked for."""

    @classmethod
    def of(cls, s: Selection, further: bool = False) -> JointCandles:
        """Read a selection whole. ``further``: with its further marks. Broken where no row has all markets."""
        first, last = int(s.first_row.max()), int(s.last_row.min())
        if first > last:
            raise Broken("markets that never trade at one time")
        volume = all("volume" in file.types for name in s.symbols for file in s.catalog.sources["candles"][name].files)
        with closing(s.chunks(s.default_chunk_rows, packed=volume, further=further)) as chunks:
            whole = np.concatenate([chunk.panel for chunk in chunks], axis=1)[:, first : last + 1]
        prices = whole[: s.volume_field]
        closes = _known(prices[CLOSE])
        start_ms = s.start_ms + first * s.interval_ms
        return cls(
            s, start_ms, prices, whole[s.volume_field] if volume else None, whole[s.volume_field + volume :],
            np.concatenate((prices[:1, 0], closes)), _rates(s, start_ms, prices.shape[1]),
        )  # fmt: skip

    @property
    def rows(self) -> int:
        """How many there are."""
        return int(self.prices.shape[1])

    def other(self, name: str, i: int) -> Floats:
        """A further column of a symbol's files, NaN where it has no value; UserError where no file has it."""
        if (name, i) not in self.others:
            frame = self.base.candles(self.base.symbols[i], self.base.interval_ms, (name,))
            at = (frame["ts"].to_physical().to_numpy() - self.start_ms) // self.base.interval_ms
            inside = (at >= 0) & (at < self.rows)
            found = np.full(self.rows, np.nan)
            found[at[inside]] = frame[name].to_numpy()[inside]
            self.others[name, i] = found
        return self.others[name, i]

    def history(self, rows: Rows) -> ResampledSelection:
        """The history of these rows, to be replayed; it opens when and where the data's first joint row does."""
        s = self.base
        factors = np.ones((len(rows), len(s.symbols)))
        factors[0] = self.closes[0] / self.closes[rows[0]]
        steps = self.closes[rows[:-1] + 1] / self.closes[rows[1:]]
        steps[np.diff(rows) == 1] = 1.0
        factors[1:] = factors[0] * np.cumprod(steps, axis=0)
        own = {one.name: getattr(s, one.name) for one in fields(Selection)}
        traded = ~np.isnan(self.prices[CLOSE][rows])
        own |= {
            "start_ms": self.start_ms,
            "rows": len(rows),
            "first_row": np.argmax(traded, axis=0),
            "last_row": len(rows) - 1 - np.argmax(traded[::-1], axis=0),
            "funding": self._settled(rows),
            "period": (self.start_ms, self.start_ms + len(rows) * s.interval_ms),
            "kept": False,
        }
        return ResampledSelection(**own, joint=self, source=rows, factors=factors)

    def _settled(self, rows: Rows) -> Floats:
        """The settlements of a history of these rows: at the times of the data, with the rates of the rows' history."""
        s = self.base
        ts = s.funding[:, 0]
        end_ms = self.start_ms + len(rows) * s.interval_ms
        found = s.funding[(ts >= self.start_ms) & (ts < end_ms)].copy()
        at = ((found[:, 0] - self.start_ms) // s.interval_ms).astype(np.int64)
        symbol = found[:, 1].astype(np.int64)
        found[:, 2] = self.rates[rows[at], symbol]
        return found


@dataclass(frozen=True, kw_only=True)
class ResampledSelection(Selection):
    """A history made of rows of another."""

    joint: JointCandles
    source: Rows
    """The row that each row is taken from."""
    factors: Floats
    """[rows, symbols], on all prices of a row."""

    @property
    def known_field(self) -> int:
        """Panel field of the mark at the close as far as it was known then."""
        return self.joint.base.known_field

    @property
    def panel(self) -> None:
        """None: it lies in memory."""
        return

    def chunks(
        self,
        rows_per_chunk: int,
        tail: int = 0,
        volume: bool = False,
        packed: bool = False,
        spare: int = 0,
        further: bool = False,
    ) -> Generator[Chunk, None, None]:
        """The rows in order; see :meth:`Selection.chunks`."""
        joint = self.joint
        if (volume or packed) and joint.volume is None:
            for symbol in self.symbols:
                self.catalog.sources["candles"][symbol].require("volume")
        for start in range(0, self.rows, rows_per_chunk):
            back = min(tail, start)
            rows = slice(start - back, min(start + rows_per_chunk, self.rows))
            source, factors = self.source[rows], self.factors[rows]
            amounts = None if joint.volume is None else joint.volume[source]
            empty = np.empty((spare, *factors.shape))
            parts = [
                joint.prices[:, source] * factors,
                *([amounts[None]] if packed and amounts is not None else []),
                empty,
            ]
            parts += [joint.further[:, source] * factors] * further
            panel = np.ascontiguousarray(np.concatenate(parts))
            yield Chunk(start, back, panel, amounts if volume or packed else None)

    def candles(
        self, symbol: str, every_ms: int, columns: tuple[str, ...] = (*CANDLE_COLUMNS, "volume")
    ) -> pl.DataFrame:
        """Candles of ``symbol``; see :meth:`Selection.candles`."""
        i = self.symbols.index(symbol)
        there = np.flatnonzero(~np.isnan(self.joint.prices[CLOSE, self.source, i]))
        values = {name: self._column(name, i)[there] for name in columns}
        t = self.start_ms + there * self.interval_ms
        end_ms = int(t[-1]) + self.interval_ms if len(t) else 0
        return closed_candles(t, values, self.interval_ms, every_ms, end_ms)

    def _column(self, name: str, i: int) -> Floats:
        """One column of a symbol, by row: prices times their factors, anything else as it is in its row."""
        joint, source = self.joint, self.source
        column: Floats
        if name in CANDLE_COLUMNS:
            column = joint.prices[CANDLE_COLUMNS.index(name), source, i] * self.factors[:, i]
        elif name == "volume" and joint.volume is not None:
            column = joint.volume[source, i]
        else:
            column = joint.other(name, i)[source]
        return column

    def fingerprint(self, drill_ms: int = 0, further: bool = False) -> str:
        """Of the data and of the rows that were taken."""
        digest = hashlib.sha256(self.joint.base.fingerprint(drill_ms, further).encode())
        digest.update(np.ascontiguousarray(self.source).tobytes())
        return digest.hexdigest()


def _known(closes: Floats) -> Floats:
    """Closes with each gap filled by the last one before it."""
    frame = pl.DataFrame({str(i): closes[:, i] for i in range(closes.shape[1])})
    return frame.fill_nan(None).fill_null(strategy="forward").fill_null(strategy="backward").to_numpy()


def _rates(s: Selection, start_ms: int, rows: int) -> Floats:
    """The rate due at or after the open of each row; of the last rows the last one."""
    found = np.full((rows, len(s.symbols)), np.nan)
    opens = start_ms + np.arange(rows) * s.interval_ms
    for i in range(len(s.symbols)):
        mine = s.funding[s.funding[:, 1] == i]
        if len(mine):
            at = np.minimum(np.searchsorted(mine[:, 0], opens // s.interval_ms * s.interval_ms), len(mine) - 1)
            found[:, i] = mine[at, 2]
    return found
