"""Datasets merged into one: what several have alike is taken once, what they tell differently is an error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from backtest.core.durations import text as interval_name
from backtest.core.errors import UserError
from backtest.core.times import stamp
from backtest.data.catalog import Catalog
from backtest.data.conversion import recorded
from backtest.data.dataset_writer import write_dataset
from backtest.data.manifest import Change, Head, Manifest, MarketFacts, Step
from backtest.data.series_rows import CANDLES, FUNDING, Rows, Series, series_of

MERGE = "backtest data merge"
_WINDOW_ROWS = 65_536
"""Candles of a stretch of time that is merged at once."""


def merge(data: Sequence[str | Path], out: str | Path) -> Path:
    """Write one dataset with the rows of several, and return its folder.

    Rows that are alike are taken once. Raises UserError, with symbol, series and the first instant, where two datasets
    tell one row differently, and where their intervals, quotes or facts about a market differ.
    """
    if len(data) < 2:
        raise UserError("one dataset is nothing to merge", "merge", "name two or more, and the folder to write")
    catalogs = [Catalog.open(one) for one in data]
    target = Path(out)
    for catalog in catalogs:
        if target.exists() and target.resolve() in (catalog.path.resolve(), *catalog.path.resolve().parents):
            raise UserError("is a dataset that is read", str(target), "name a new folder")
        _alike(catalogs[0], catalog)
    found: dict[tuple[str, str], list[Series]] = {}
    for catalog in catalogs:
        for series in series_of(catalog):
            found.setdefault((series.symbol, series.kind), []).append(series)
    with write_dataset(target, MERGE) as writer:
        changes = []
        for (symbol, kind), several in sorted(found.items()):
            shared = 0
            with writer.series(kind, symbol) as made:
                for rows, twice in _merged(several):
                    made.write(rows.t, rows.columns)
                    shared += twice
            if shared:
                changes.append(Change(what="rows that are alike taken once", symbol=symbol, series=kind, rows=shared))
        step = Step(command=MERGE, source=", ".join(c.name for c in catalogs), changes=tuple(changes))
        writer.manifest = recorded(_manifest(catalogs), step)
    return target


def _alike(one: Catalog, other: Catalog) -> None:
    """UserError unless two datasets may be merged."""
    pairs = (
        ("candles", interval_name(one.interval_ms), interval_name(other.interval_ms), "resample one of them"),
        ("quote", one.quote, other.quote, "merge datasets in one currency"),
        ("venue", one.venue, other.venue, "make `venue` in dataset.toml the same"),
    )
    for what, mine, theirs, remedy in pairs:
        if mine != theirs:
            said = f"{what} {theirs or 'not said'}, but {mine or 'not said'} in {one.address}"
            raise UserError(said, other.address, remedy)


def _merged(several: Sequence[Series]) -> Iterator[tuple[Rows, int]]:
    """Rows of one series from several datasets, stretch by stretch, and how many were there more than once."""
    for other in several[1:]:
        _same_shape(several[0], other)
    start, last = min(s.source.first_ms for s in several), max(s.source.last_ms for s in several)
    window = (last + 1 - start) if several[0].kind == FUNDING else several[0].interval_ms * _WINDOW_ROWS
    for begin in range(start, last + 1, window):
        until = min(begin + window, last + 1)
        parts = [(one, _whole(one, begin, until)) for one in several]
        held = [(one, rows) for one, rows in parts if len(rows.t)]
        if held:
            merged, total = held[0][1], len(held[0][1].t)
            for n, (one, rows) in enumerate(held[1:], 1):
                merged = _united(merged, rows, [series for series, _ in held[:n]], one)
                total += len(rows.t)
            yield merged, total - len(merged.t)


def _whole(series: Series, start_ms: int, end_ms: int) -> Rows:
    pieces = list(series.rows(start_ms, end_ms))
    columns = {
        name: np.concatenate([np.empty(0), *(piece.columns[name] for piece in pieces)]) for name in series.columns
    }
    return Rows(np.concatenate([np.empty(0, np.int64), *(piece.t for piece in pieces)]), columns)


def _same_shape(one: Series, other: Series) -> None:
    if one.kind != FUNDING and one.interval_ms != other.interval_ms:
        theirs, mine = interval_name(other.interval_ms), interval_name(one.interval_ms)
        said = f"{other.kind} of {theirs}, but {mine} in {one.catalog.address}"
        raise UserError(said, f"{other.symbol} in {other.catalog.address}", "resample one of the datasets")
    if one.kind == CANDLES and one.columns != other.columns:
        without = one if "volume" not in one.columns else other
        raise UserError("no volume", f"{without.symbol} in {without.catalog.address}", "add it, or leave it out of all")
    if one.kind != FUNDING and (one.source.first_ms - other.source.first_ms) % one.interval_ms:
        said = f"{other.kind} open at other instants than in {one.catalog.address}"
        raise UserError(said, f"{other.symbol} in {other.catalog.address}", "correct the stamps of one of them")


def _united(mine: Rows, theirs: Rows, before: Sequence[Series], other: Series) -> Rows:
    """Both rows by time, once where they are alike; UserError at the first instant where they are not."""
    _, i, j = np.intersect1d(mine.t, theirs.t, assume_unique=True, return_indices=True)
    apart = np.zeros(len(i), bool)
    for name, column in mine.columns.items():
        apart |= column[i] != theirs.columns[name][j]
    if apart.any():
        at = int(np.argmax(apart))
        name = next(n for n, column in mine.columns.items() if column[i[at]] != theirs.columns[n][j[at]])
        paths = ", ".join(series.catalog.address for series in before)
        thing = f"{name} is {theirs.columns[name][j[at]]}, but {mine.columns[name][i[at]]} in {paths}"
        place = f"{other.symbol} {other.kind} at {stamp(int(theirs.t[j[at]]))} in {other.catalog.address}"
        raise UserError(thing, place, "cut the overlap off with `backtest data slice`")
    new = np.setdiff1d(np.arange(len(theirs.t)), j)
    t = np.concatenate((mine.t, theirs.t[new]))
    order = np.argsort(t, kind="stable")
    columns = {n: np.concatenate((c, theirs.columns[n][new]))[order] for n, c in mine.columns.items()}
    return Rows(t[order], columns)


def _manifest(catalogs: Sequence[Catalog]) -> Manifest:
    """What all say, put together; UserError where they tell a market's facts differently."""
    facts: dict[str, MarketFacts] = {}
    for catalog in catalogs:
        for symbol, one in catalog.manifest.symbols.items():
            facts[symbol] = _facts(symbol, facts.get(symbol, MarketFacts()), one, catalog)
    first = catalogs[0]
    said = [c.provenance for c in catalogs if c.provenance]
    intervals = {c.manifest.dataset.funding_interval for c in catalogs}
    head = Head(
        interval=first.interval_ms,
        quote=first.quote,
        venue=first.venue,
        provenance="; ".join(dict.fromkeys(said)),
        synthetic=any(c.synthetic for c in catalogs),
        funding_interval=intervals.pop() if len(intervals) == 1 else None,
    )
    return Manifest(dataset=head, symbols=facts, history=tuple(step for c in catalogs for step in c.manifest.history))


def _facts(symbol: str, mine: MarketFacts, theirs: MarketFacts, catalog: Catalog) -> MarketFacts:
    told = {name: getattr(mine, name) for name in MarketFacts.model_fields}
    for name, held in told.items():
        given = getattr(theirs, name)
        if held is not None and given is not None and held != given:
            thing = f"{name} of {symbol} is {given}, but {held} in another dataset"
            raise UserError(thing, f"{catalog.path / 'dataset.toml'}", "make them the same")
        told[name] = held if given is None else given
    return MarketFacts(**{name: value for name, value in told.items() if value is not None})
