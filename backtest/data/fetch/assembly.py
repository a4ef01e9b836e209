"""From the pieces of a download to a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq

from backtest.core.enums import MICRO
from backtest.core.errors import Broken
from backtest.data.dataset_writer import GROUP_ROWS, PART, DatasetWriter, Values, write_dataset
from backtest.data.fetch.coverage import Held, Unserved
from backtest.data.fetch.market import Market
from backtest.data.fetch.plan import Part, Plan
from backtest.data.fetch.rows import COLUMNS
from backtest.data.fetch.staging import Staging
from backtest.data.manifest import FILE, Change, Head, Manifest, MarketFacts, Step, read_manifest

if TYPE_CHECKING:
    from backtest.data.fetch.exchange import Exchange

GENERATOR = "backtest data fetch"
UPDATER = "backtest data update"


def held(plan: Plan, venue: Exchange, staging: Staging) -> dict[Part, Held]:
    """Return what came of each part of a plan."""
    return {part: _held([found["ts"] for found in _pieces(plan, part, venue, staging)]) for part in plan.parts}


def _held(stamps: Sequence[pl.Series]) -> Held:
    full = [one for one in stamps if len(one)]
    if not full:
        return Held()
    rows = sum(len(one) for one in full)
    every = pl.concat([full[0].head(2), *(one.head(2) for one in full[1:2])])
    last = pl.concat([*(one.tail(2) for one in full[-2:-1]), full[-1].tail(2)])
    head = int(every[1] - every[0]) if rows > 1 else 0
    tail = int(last[-1] - last[-2]) if rows > 1 else 0
    return Held(rows, int(every[0]), int(last[-1]), head, tail)


def write(
    target: Path, plan: Plan, venue: Exchange, staging: Staging, missing: Sequence[Unserved], base: Path | None
) -> int:
    """Write the dataset, and return how many rows of candles it has.

    ``base``: the dataset that is continued, whose rows come first; it may be at ``target``.
    """
    with write_dataset(target, GENERATOR) as writer:
        rows = 0
        for part in plan.parts:
            with writer.series(part.series, part.market, f"an answer of {venue.title}") as series:
                for found in _earlier(base, part):
                    series.write(found["ts"].to_numpy(), _columns(part, found))
                for found in _pieces(plan, part, venue, staging):
                    series.write(found["ts"].to_numpy(), _columns(part, found))
                rows += series.rows if part.series == "candles" else 0
        if base is not None:
            _keep_others(base, {(part.series, part.market) for part in plan.parts}, writer)
        writer.manifest = _manifest(plan, venue, missing, base)
    return rows


def _pieces(plan: Plan, part: Part, venue: Exchange, staging: Staging) -> Iterator[pl.DataFrame]:
    """The pieces of a part in the order of time; none of a series that the venue does not serve."""
    if part.series in venue.unserved:
        return
    for piece in reversed(plan.pieces(part, venue.monthly_funding)):
        found = staging.load(piece)
        if len(found):
            yield found


def _columns(part: Part, found: pl.DataFrame) -> Mapping[str, Values]:
    return {name: found[name].to_numpy() for name in COLUMNS[part.series]}


def _earlier(base: Path | None, part: Part) -> Iterator[pl.DataFrame]:
    """The rows of the dataset that is continued, those before the part."""
    if base is None:
        return
    for found in stored(base, part.series, part.market):
        yield found.filter(pl.col("ts") < part.start_ms)


def stored(base: Path, series: str, symbol: str) -> Iterator[pl.DataFrame]:
    """Return the rows of a series of a dataset, in the order of time, with `ts` in ms."""
    file = base / series / f"symbol={symbol}" / PART
    if file.is_file():
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(GROUP_ROWS):
                found = pl.from_arrow(batch)
                if not isinstance(found, pl.DataFrame):
                    raise Broken("a batch is no frame")
                if len(found):
                    yield found.with_columns(pl.col("ts").dt.epoch("ms"))


def _keep_others(base: Path, written: set[tuple[str, str]], writer: DatasetWriter) -> None:
    """Copy the series that nothing is appended to."""
    for folder in sorted(base.glob("*/symbol=*")):
        series, symbol = folder.parent.name, folder.name.removeprefix("symbol=")
        if (series, symbol) not in written:
            names = COLUMNS.get(series, COLUMNS["mark"])
            with writer.series(series, symbol, str(folder)) as target:
                for found in stored(base, series, symbol):
                    target.write(found["ts"].to_numpy(), {name: found[name].to_numpy() for name in names})


def _manifest(plan: Plan, venue: Exchange, missing: Sequence[Unserved], base: Path | None) -> Manifest:
    before = read_manifest(base / FILE) if base is not None else Manifest()
    changes = tuple(
        Change(what=f"not served: {n.reason}", symbol=n.symbol, series=n.series, first=n.start_ms, last=n.end_ms)
        for n in missing
    )
    step = Step(command=GENERATOR if base is None else UPDATER, source=venue.name, changes=changes)
    head = Head(
        interval=plan.interval_ms,
        quote=plan.markets[0].quote,
        venue=venue.preset,
        funding_interval=venue.funding_interval_ms,
        provenance=f"fetched from {venue.title}",
    )
    facts = {market.name: _facts(market) for market in plan.markets}
    return Manifest(dataset=head, symbols=before.symbols | facts, history=(*before.history, step))


def _facts(market: Market) -> MarketFacts:
    """What is known, and nothing else; a step finer than a millionth cannot be traded in a run."""
    step = Decimal(market.step or 0) * MICRO
    known: dict[str, object] = {
        "step": Decimal(market.step) if step and step == step.to_integral_value() else None,
        "tick": Decimal(market.tick) if market.tick else None,
        "min_notional": Decimal(market.min_notional) if market.min_notional else None,
        "listed": market.listed_ms or None,
    }
    return MarketFacts.model_validate({key: value for key, value in known.items() if value is not None})
