"""Which rows attain the high and the low of a mark candle around them, and how far that stretches their marks.

The rule is rules.md, 3.1. Rows are chosen from trades alone, before any is read into a panel: the choice depends
neither on chunks nor on where a period begins and ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import numpy as np
from numpy.typing import NDArray

from backtest.data.chunk_reader import Grid
from backtest.data.derived_marks import Basis, Floats, Side, Stretch, Times, derive
from backtest.data.source import CANDLE_COLUMNS, Source

LISTED_BPS = 50.0
"""Stretches beyond it are listed."""


@dataclass(frozen=True)
class Nearest:
    """Per mark candle the row whose trades come nearest to its high and the one nearest to its low."""

    high_rows: Times
    low_rows: Times
    high_candles: Floats
    """[4, n]: trade candles of those rows. In a gap the last one before it; NaN: none."""
    low_candles: Floats
    gaps: NDArray[np.bool_]
    """The row stands still at the close of that last candle."""
    last_rows: Times
    """Open of the last candle before the end of the mark candle; −1: none."""


def nearest(
    con: duckdb.DuckDBPyConnection, source: Source, candles: str, grid: Grid, times: Times, interval_ms: int
) -> Nearest:
    """The rows for mark candles of ``interval_ms`` that open at ``times``.

    ``candles``: SQL for t and the prices of the run's candles, also outside the period.
    """
    phase = int(times[0]) % interval_ms if len(times) else 0
    fields = ", ".join(f"{pick}.{name} AS {pick}_{name}" for pick in _PICKS for name in ("t", *CANDLE_COLUMNS))
    picks = ", ".join(f"{how} AS {pick}" for pick, how in _PICKS.items())
    found = source.fetch(
        con,
        f"SELECT cover, {fields} FROM (SELECT c.t - (c.t - {phase}) % {interval_ms} AS cover, {picks} "
        f"FROM ({candles}) c WHERE {_SOUND} GROUP BY 1) ORDER BY 1",
    )
    covers = np.ma.filled(found["cover"], -1)
    at = np.searchsorted(covers, times, side="right") - 1
    there = (at >= 0) & (covers[at] == times) if len(covers) else np.zeros(len(times), bool)
    # Without its own rows a mark candle stretches the one in which it opens, which may still be one with trades.
    opens = times - (times - grid.start_ms) % grid.interval_ms

    def column(pick: str, name: str) -> NDArray[np.float64]:
        values = np.append(np.ma.filled(found[f"{pick}_{name}"], 0), np.nan if name != "t" else -1)
        taken: NDArray[np.float64] = values[at]  # −1, before any candle, is what was appended
        return taken

    def rows(pick: str) -> Times:
        return np.where(there, column(pick, "t"), opens).astype(np.int64)

    def prices(pick: str) -> Floats:
        return np.stack([np.where(there, column(pick, n), column("last", n)) for n in CANDLE_COLUMNS])

    last = column("last", "t").astype(np.int64)
    return Nearest(rows("top"), rows("bottom"), prices("top"), prices("bottom"), ~there & (last != opens), last)


_PICKS = {
    "top": "arg_max(c, (c.high, -c.t))",
    "bottom": "arg_min(c, (c.low, c.t))",
    "last": "arg_max(c, c.t)",
}
"""By time among equals, so that nothing depends on the order in which DuckDB comes to them."""
_SOUND = "least(open, high, low, close) > 0 AND isfinite(open + high + low + close)"
"""The reader refuses other prices where it comes to them, which need not be in the period."""


def stretches(symbol: str, basis: Basis, rows: Nearest, grid: Grid, life: tuple[int, int]) -> Iterator[Stretch]:
    """The stretches beyond `LISTED_BPS` of the rows from ``life[0]`` to ``life[1]`` (opens, ms)."""
    cover = basis.cover
    sides: tuple[tuple[Side, Times, Floats, Floats, int], ...] = (
        ("high", rows.high_rows, rows.high_candles, cover.high, 1),
        ("low", rows.low_rows, rows.low_candles, cover.low, -1),
    )
    for side, opens, candles, extreme, sign in sides:
        here = np.flatnonzero((opens >= life[0]) & (opens <= life[1]) & (rows.last_rows >= 0))
        still = rows.gaps[here]
        made = derive(candles[:, here], np.where(still, rows.last_rows[here], opens[here]), grid.interval_ms, basis)
        own = np.where(still, made[3], made[1 if sign > 0 else 2])
        bps = 1e4 * sign * (extreme[here] - own) / own
        for i in np.flatnonzero(bps > LISTED_BPS):
            k = here[i]
            yield Stretch(
                int(opens[k]), symbol, side, grid.interval_ms, int(cover.times[k]),
                float(own[i]), float(extreme[k]), float(bps[i]),
            )  # fmt: skip
