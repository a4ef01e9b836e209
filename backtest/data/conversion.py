"""Datasets made of datasets: resampled, sliced and merged. Rows are taken as they are, joined or refused; none is
made up."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from backtest.core.durations import text as interval_name
from backtest.core.errors import UserError, nearest
from backtest.core.times import stamp
from backtest.data.catalog import Catalog
from backtest.data.dataset_writer import DatasetWriter, write_dataset
from backtest.data.manifest import Change, Manifest, MarketFacts, Step
from backtest.data.series_rows import CANDLES, FUNDING, Series, series_of

if TYPE_CHECKING:
    from collections.abc import Iterator

RESAMPLE, SLICE = "backtest data resample", "backtest data slice"


def resample(data: str | Path | Catalog, out: str | Path, interval_ms: int) -> Path:
    """Write a dataset of candles of ``interval_ms``, joined from finer ones, and return its folder.

    Open is the first, high the highest, low the lowest, close the last, volume the sum; candles open on the clock. A
    candle is there if any of its finer ones is. Marks are joined likewise where they are finer, and kept where they
    are not; settlements are kept. Raises UserError where the interval is not a multiple of the dataset's.
    """
    catalog = data if isinstance(data, Catalog) else Catalog.open(data)
    _check_multiple(catalog, interval_ms)
    target = Path(out)
    with _writing(target, RESAMPLE, [catalog]) as writer:
        changes = []
        for series in series_of(catalog):
            joined = series.kind != FUNDING and series.interval_ms < interval_ms
            if joined and interval_ms % series.interval_ms:
                have, want = interval_name(series.interval_ms), interval_name(interval_ms)
                thing = f"{series.kind} of {have} cannot be joined to {want}"
                raise UserError(thing, f"{series.symbol} in {catalog.address}", "choose a multiple of both")
            rows = copy(writer, series, every_ms=interval_ms if joined else None)
            if joined and rows:
                what = f"{interval_name(series.interval_ms)} rows joined to {interval_name(interval_ms)}"
                changes.append(Change(what=what, symbol=series.symbol, series=series.kind, rows=rows))
        facts = {s: _coarser(one, interval_ms) for s, one in catalog.manifest.symbols.items()}
        head = catalog.manifest.dataset.model_copy(update={"interval": interval_ms})
        kept = catalog.manifest.model_copy(update={"dataset": head, "symbols": facts})
        writer.manifest = recorded(kept, Step(command=RESAMPLE, source=catalog.name, changes=tuple(changes)))
    return target


def cut(
    data: str | Path | Catalog,
    out: str | Path,
    symbols: Sequence[str] | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> Path:
    """Write the part of a dataset with ``start_ms <= t < end_ms`` and these symbols, and return its folder.

    A mark candle that is longer than the candles is kept where it overlaps the period. A symbol without candles in the
    period is left out. Raises UserError for a symbol that is not there, and where nothing is left.
    """
    catalog = data if isinstance(data, Catalog) else Catalog.open(data)
    names = _chosen(catalog, symbols)
    lives = {s: (catalog.market(s).first_ms, catalog.market(s).last_ms) for s in names}
    held = tuple(
        s for s in names if (end_ms is None or lives[s][0] < end_ms) and (start_ms is None or lives[s][1] >= start_ms)
    )
    period = (
        f"{'the start' if start_ms is None else stamp(start_ms)} to {'the end' if end_ms is None else stamp(end_ms)}"
    )
    target = Path(out)
    with _writing(target, SLICE, [catalog]) as writer:
        left = []
        for symbol in held:
            written = 0
            for series in series_of(catalog, (symbol,)):
                begin = start_ms
                if series.kind not in (CANDLES, FUNDING) and begin is not None:
                    begin -= series.interval_ms - 1
                rows = copy(writer, series, begin, end_ms) if series.kind == CANDLES or written else 0
                written = rows if series.kind == CANDLES else written
            left += [symbol] if written else []
        if not left:
            raise UserError(f"no candles from {period}", catalog.address, "choose another period")
        facts = {s: one for s, one in catalog.manifest.symbols.items() if s in left}
        what = f"kept {period}" + ("" if len(left) == len(catalog.symbols) else f", {', '.join(left)}")
        step = Step(command=SLICE, source=catalog.name, changes=(Change(what=what),))
        writer.manifest = recorded(catalog.manifest.model_copy(update={"symbols": facts}), step)
    return target


def copy(
    writer: DatasetWriter,
    series: Series,
    start_ms: int | None = None,
    end_ms: int | None = None,
    every_ms: int | None = None,
) -> int:
    """Write the rows of a series with ``start_ms <= t < end_ms``, joined to ``every_ms``; return how many."""
    with writer.series(series.kind, series.symbol, series.catalog.address) as made:
        for rows in series.rows(start_ms, end_ms, every_ms):
            made.write(rows.t, rows.columns)
    return made.rows


def recorded(manifest: Manifest, step: Step) -> Manifest:
    """Return a manifest with one more step in its history."""
    return manifest.model_copy(update={"history": (*manifest.history, step)})


@contextmanager
def _writing(target: Path, command: str, read: Sequence[Catalog]) -> Iterator[DatasetWriter]:
    """Give the writer of a dataset; UserError where it would replace one that is read."""
    for catalog in read:
        if target.exists() and target.resolve() in (catalog.path.resolve(), *catalog.path.resolve().parents):
            raise UserError("is the dataset that is read", str(target), "name a new folder")
    with write_dataset(target, command) as writer:
        yield writer


def _coarser(facts: MarketFacts, interval_ms: int) -> MarketFacts:
    """Facts of a market after its marks were joined to ``interval_ms``."""
    if facts.mark_interval is None or facts.mark_interval >= interval_ms:
        return facts
    return facts.model_copy(update={"mark_interval": interval_ms})


def _check_multiple(catalog: Catalog, interval_ms: int) -> None:
    have = catalog.interval_ms
    if interval_ms <= have or interval_ms % have:
        thing = f"{interval_name(interval_ms)} is no multiple of the dataset's {interval_name(have)} candles"
        raise UserError(thing, catalog.address, f"choose a longer interval that {interval_name(have)} divides")
    for market in catalog.markets.values():
        if market.interval_ms not in (None, have):
            own = interval_name(market.interval_ms or 0)
            thing = f"{market.symbol} has {own} candles, the dataset {interval_name(have)}"
            raise UserError(thing, catalog.address, "repair it with `backtest data repair`")


def _chosen(catalog: Catalog, symbols: Sequence[str] | None) -> tuple[str, ...]:
    if symbols is None:
        return catalog.symbols
    for symbol in symbols:
        if symbol not in catalog.symbols:
            raise UserError(f"no symbol {symbol!r}", catalog.address, nearest(symbol, catalog.symbols))
    return tuple(sorted(set(symbols)))
