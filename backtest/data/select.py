"""Which symbols, rows and settlements a run replays: all that is known before a row of prices is read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backtest.core import forks
from backtest.core.durations import text as interval_name
from backtest.core.errors import UserError, nearest
from backtest.core.times import stamp
from backtest.data.catalog import Catalog
from backtest.data.listing import listed_span
from backtest.data.panel import CLOSE
from backtest.data.scenarios.shocked_selection import under
from backtest.data.selection import Selection
from backtest.data.settlements import due, settlements


def select(
    catalog: Catalog,
    symbols: Sequence[str] | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
    interval_ms: int | None = None,
    kept: bool = True,
) -> Selection:
    """Select symbols (None: all) and candles of ``interval_ms`` that open in ``start_ms <= t < end_ms``.

    None: as far as the data go; the data's own candles. Candles of a whole multiple of the data's interval are
    resampled as they are read: open the first, high the highest, low the lowest, close the last, volume the sum, on
    the clock's grid. ``kept``: rows may come from the panel cache.

    Raises UserError for an unknown symbol, one without candles in the period, one whose candles have another interval
    than the rest, or an interval to which they cannot be resampled.
    """
    forks.check()  # the catalog may have been opened before the fork
    names = _names(catalog, symbols)
    interval = catalog.interval_ms if interval_ms is None else interval_ms
    _joinable(catalog, names, interval)
    spans = {symbol: listed_span(catalog, symbol, start_ms, end_ms, interval) for symbol in names}
    empty = [symbol for symbol, life in spans.items() if life is None]
    lives = {symbol: life for symbol, life in spans.items() if life is not None}
    if not lives or (symbols is not None and empty):
        raise _no_data(catalog, names if not lives else empty, start_ms, end_ms)
    chosen = tuple(lives)
    first, last, rows = (np.array([life[j] for life in lives.values()], np.int64) for j in range(3))
    start, end = int(first.min()), int(last.max())
    _one_grid(catalog, chosen)
    first_row, last_row = (first - start) // interval, (last - start) // interval
    gaps = int((last_row - first_row + 1 - rows).sum())
    marks = {s: _mark_kind(catalog, s, interval, start, end + interval) for s in chosen}
    markets = [catalog.markets[symbol] for symbol in chosen]
    # A joined candle may begin before the symbol does, and end after it; there is no funding then.
    born = np.maximum(first, [m.first_ms for m in markets])
    died = np.minimum(last + interval, [m.last_ms + catalog.interval_ms for m in markets])
    sources = [catalog.sources["funding"].get(s) for s in chosen]
    funding, missing = settlements(catalog.con, sources, born, died, catalog.manifest.funding_interval_ms)
    every = catalog.manifest.funding_interval_ms
    no_funding = tuple(
        symbol
        for symbol, begin, end in zip(chosen, born.tolist(), died.tolist(), strict=True)
        if symbol not in catalog.sources["funding"] and len(due(begin + interval, end, every))
    )
    counts = {
        "gap rows": gaps,
        "derived mark rows": 0,
        "rows with an unchanged mark": 0,
        "joined candles with missing parts": 0,
        "candles without volume": 0,
        "symbols with marks taken from trades": sum(kind == "trades" for kind in marks.values()),
        "symbols with an assumed step": sum(m.step_assumed for m in markets),
        "missing settlements": missing,
        "symbols without funding": len(no_funding),
        "symbols without candles in the period": len(empty),
    }
    only_trades = gaps == 0 and all(kind == "trades" for kind in marks.values())
    steps = np.array([m.step_micro for m in markets], np.int64)
    # A finer candle may be missing where a joined one is not: marks on it stand still, and need a field.
    offset = 0 if only_trades and interval == catalog.interval_ms else CLOSE + 1
    plain = Selection(
        catalog, chosen, interval, start, (end - start) // interval + 1, first_row, last_row, steps,
        offset, marks, funding, no_funding, counts, (start_ms, end_ms), kept,
    )  # fmt: skip
    return plain if catalog.overlay is None else under(plain, catalog.overlay)


def _names(catalog: Catalog, symbols: Sequence[str] | None) -> tuple[str, ...]:
    if symbols is None:
        return catalog.symbols
    for symbol in symbols:
        if symbol not in catalog.sources["candles"]:
            raise UserError(f"no symbol {symbol!r}", catalog.address, nearest(symbol, catalog.symbols))
    if not symbols:
        raise UserError("no symbol was named", catalog.address, nearest("", catalog.symbols))
    return tuple(sorted(set(symbols)))


def _no_data(catalog: Catalog, symbols: Sequence[str], start_ms: int | None, end_ms: int | None) -> UserError:
    markets = [catalog.markets[symbol] for symbol in symbols]
    asked = (
        f"{'the start' if start_ms is None else stamp(start_ms)} to {'the end' if end_ms is None else stamp(end_ms)}"
    )
    held = f"{stamp(min(m.first_ms for m in markets))} to {stamp(max(m.last_ms for m in markets))}"
    who = ", ".join(symbols[:3]) + (", …" if len(symbols) > 3 else "")
    return UserError(f"{who}: no candles from {asked}", catalog.address, f"the data go from {held}")


def _joinable(catalog: Catalog, symbols: tuple[str, ...], interval_ms: int) -> None:
    """UserError unless the data's candles can be joined to candles of the interval, which open on the clock."""
    have_ms = catalog.interval_ms
    have, wanted = interval_name(have_ms), interval_name(interval_ms)
    if interval_ms % have_ms:
        thing = f"{wanted} is not a multiple of the data's {have} candles"
        raise UserError(thing, catalog.address, f"choose {have}, or a whole multiple of it")
    for symbol in symbols if interval_ms != have_ms else ():
        market = catalog.markets[symbol]
        if market.first_ms % have_ms:
            where = catalog.sources["candles"][symbol].where(market.first_ms)
            thing = f"{have} candles that do not open at whole multiples of {have} cannot be joined to {wanted}"
            raise UserError(thing, where, "correct the stamps, or replay the candles as they are")


def _one_grid(catalog: Catalog, symbols: tuple[str, ...]) -> None:
    """UserError unless all candles have one interval and open at the same instants."""
    interval = catalog.interval_ms
    for symbol in symbols:
        market = catalog.markets[symbol]
        if market.interval_ms not in (None, interval):
            thing = (
                f"{symbol} has {interval_name(market.interval_ms or 0)} candles, the dataset {interval_name(interval)}"
            )
            raise UserError(thing, catalog.address, "leave it out with --symbols, or correct interval in dataset.toml")
    phases = [catalog.markets[symbol].first_ms % interval for symbol in symbols]
    usual = max(phases, key=phases.count)
    for symbol, phase in zip(symbols, phases, strict=True):
        if phase != usual:
            where = catalog.sources["candles"][symbol].where(catalog.markets[symbol].first_ms)
            raise UserError(f"off the grid of {interval_name(interval)} candles", where, "correct its stamps")


def _mark_kind(catalog: Catalog, symbol: str, interval_ms: int, start_ms: int, end_ms: int) -> str:
    """``given``: as fine as the run's candles, or finer; ``derived``: coarser; ``trades``: none in the period."""
    mark = catalog.sources["mark"].get(symbol)
    mark_ms = catalog.markets[symbol].mark_interval_ms
    if mark is None or mark_ms is None or mark.last_ms + mark_ms < start_ms or mark.first_ms > end_ms + mark_ms:
        return "trades"
    return "derived" if interval_ms % mark_ms else "given"
