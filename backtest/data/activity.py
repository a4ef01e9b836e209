"""How lively a market was before a run: how far each row's candles reached, and what was traded in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backtest.data.selection import Selection
from backtest.data.source import reading


def activity(selection: Selection, since_ms: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Opens (ms) of the rows before the run's first, ``since_ms <= t``, and [rows, 2]: reach, and what was traded.

    Rows are those of the run's grid in which one of its symbols has a candle. Reach is the mean over these symbols of
    ``(high − low) / open``, traded the sum of ``close × volume`` in quote. UserError for a file without volume, or that
    cannot be read.
    """
    sources = [selection.catalog.sources["candles"][symbol] for symbol in selection.symbols]
    for source in sources:
        source.require("volume")
    candles = " UNION ALL ".join(_candles(selection, symbol, since_ms) for symbol in selection.symbols)
    # A bad price in the run is an error when its chunk is read; one before it is only left out.
    query = (
        "SELECT t, avg((high - low) / open) AS reach, sum(close * volume) AS traded "
        f"FROM ({candles}) WHERE open > 0 AND isfinite(high - low) AND isfinite(close * volume) GROUP BY t ORDER BY t"
    )
    with reading(file for source in sources for file in source.files):
        found = selection.catalog.con.cursor().execute(query).fetchnumpy()
    return found["t"], np.column_stack((found["reach"], found["traded"]))


def _candles(selection: Selection, symbol: str, since_ms: int) -> str:
    """SQL for the candles of a symbol before the run, on its grid; joined where the data's are finer."""
    source, interval, end = selection.catalog.sources["candles"][symbol], selection.interval_ms, selection.start_ms
    scan = source.scan(("open", "high", "low", "close", "volume"), since_ms, end)
    if selection.finer == 1:
        return scan
    return (
        f"SELECT t - (t - {end % interval}) % {interval} AS t, arg_min(open, t) AS open, max(high) AS high, "
        f"min(low) AS low, arg_max(close, t) AS close, sum(volume) AS volume FROM ({scan}) GROUP BY 1"
    )
