"""Where the candles of a symbol lie on the grid of a run."""

from __future__ import annotations

from typing import NamedTuple

from backtest.data.catalog import Catalog
from backtest.data.resample import candles_of

_BATCH_ROWS = 65_536


class ListedSpan(NamedTuple):
    """Opens (ms) of a symbol's first and last candle in the period, and how many there are: candles of the run."""

    first_ms: int
    last_ms: int
    rows: int


def listed_span(
    catalog: Catalog, symbol: str, start_ms: int | None, end_ms: int | None, interval_ms: int
) -> ListedSpan | None:
    """The life in ``start_ms <= open < end_ms``; None without a candle.

    A period names candles of the run by their open, whatever they are joined from: one that opens in it is whole. A
    joined candle is there if any of its finer ones is, the symbol's last included, though it may be cut short: what
    happened in it did happen, and nothing that it shows is from after its close.
    """
    source, have_ms = catalog.sources["candles"][symbol], catalog.interval_ms
    if interval_ms != have_ms:
        start_ms, end_ms = (None if ms is None else -(-ms // interval_ms) * interval_ms for ms in (start_ms, end_ms))
    lo = source.first_ms if start_ms is None else max(start_ms, source.first_ms)
    hi = source.last_ms + 1 if end_ms is None else min(end_ms, source.last_ms + 1)
    if lo >= hi:
        return None
    if interval_ms == have_ms and (lo, hi) == (source.first_ms, source.last_ms + 1):
        return ListedSpan(source.first_ms, source.last_ms, source.rows)
    if source.last_ms - source.first_ms == (source.rows - 1) * have_ms:  # no gaps: arithmetic will do
        first = source.first_ms + -(-(lo - source.first_ms) // have_ms) * have_ms
        last = source.first_ms + (hi - 1 - source.first_ms) // have_ms * have_ms
        if first > last:
            return None
        if interval_ms != have_ms:  # joined candles open on the clock
            first, last = first - first % interval_ms, last - last % interval_ms
        return ListedSpan(first, last, (last - first) // interval_ms + 1)
    if interval_ms != have_ms:
        stamps = candles_of(catalog.con.cursor(), source, (), (have_ms, interval_ms), 0, (lo, hi), _BATCH_ROWS)
        opens = [piece.t for piece in stamps.take(hi + -hi % interval_ms)]
        return ListedSpan(int(opens[0][0]), int(opens[-1][-1]), sum(map(len, opens))) if opens else None
    query = f"SELECT min(t) AS first, max(t) AS last, count(*) AS rows FROM ({source.scan((), lo, hi)})"
    found = source.fetch(catalog.con, query)
    rows = int(found["rows"][0])
    return ListedSpan(int(found["first"][0]), int(found["last"][0]), rows) if rows else None
