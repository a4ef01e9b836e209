"""Datasets as files for other programs: CSV, Parquet, Feather, and the layout of freqtrade.

freqtrade's layout is that of its `data/history/datahandlers` and `data/converter`
(github.com/freqtrade/freqtrade): one Feather file for each pair and series, `futures/BASE_QUOTE_QUOTE-TIMEFRAME-TYPE`,
with `date`, `open`, `high`, `low`, `close` and `volume`; a funding rate stands in `open`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from backtest.core import disk, forks
from backtest.core.durations import text as interval_name
from backtest.core.errors import SettingError, UserError, nearest
from backtest.data.catalog import Catalog
from backtest.data.manifest import FILE, manifest_text
from backtest.data.series_rows import CANDLES, FUNDING, VOLUME, Rows, Series, series_of

FORMATS = ("csv", "parquet", "feather", "freqtrade")
_FREQTRADE_TYPES = {CANDLES: "futures", "mark": "mark", FUNDING: "funding_rate"}
_FUNDING_TIMEFRAME = "1h"
"""What freqtrade asks for, whatever the interval between settlements."""


def export(
    data: str | Path | Catalog, out: str | Path, form: str = "csv", symbols: Sequence[str] | None = None
) -> Path:
    """Write every series as its own file into the new folder ``out``, and return it.

    ``form`` is one of `FORMATS`. The files are ``SERIES/symbol=NAME/part.EXTENSION`` with `ts` (UTC) and the columns of
    the series; beside them lies `dataset.toml`. In freqtrade's layout further marks are left out. Numbers are written
    so that they are read back exactly. Raises UserError where ``out`` is not empty, and for rows that a run refuses.
    """
    forks.check()
    if form not in FORMATS:
        raise SettingError(f"unknown value {form!r}", "--format", nearest(form, FORMATS))
    catalog = data if isinstance(data, Catalog) else Catalog.open(data)
    for symbol in symbols or ():
        if symbol not in catalog.symbols:
            raise UserError(f"no symbol {symbol!r}", catalog.address, nearest(symbol, catalog.symbols))
    target = Path(out)
    _refuse_full(target)
    chosen = None if symbols is None else tuple(sorted(set(symbols)))
    try:
        with disk.whole_folder(target) as draft:
            for series in series_of(catalog, chosen):
                _write(draft, series, form)
            if form != "freqtrade":
                held = {s: one for s, one in catalog.manifest.symbols.items() if chosen is None or s in chosen}
                head = catalog.manifest.dataset.model_copy(update={"generator": ""})
                kept = catalog.manifest.model_copy(update={"symbols": held, "dataset": head})
                (draft / FILE).write_text(manifest_text(kept), "utf-8")
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", str(target), "name another folder") from error
    return target


def _refuse_full(target: Path) -> None:
    """Raise UserError unless ``target`` is free or an empty folder: an earlier export may be in use elsewhere."""
    disk.refuse_link(target, "name a new folder")
    if target.parent.is_dir():
        disk.recover(target)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError("is there already, and is not an empty folder", str(target), "name a new folder")


def _write(draft: Path, series: Series, form: str) -> None:
    if form == "freqtrade":
        if series.kind not in _FREQTRADE_TYPES:
            return
        file = draft / "futures" / _freqtrade_name(series)
    else:
        file = draft / series.kind / f"symbol={series.symbol}" / f"part.{form}"
    if file.exists():
        thing = f"{series.symbol} and another symbol have one name in freqtrade, {file.name}"
        raise UserError(thing, series.catalog.address, "choose one of them with --symbols")
    file.parent.mkdir(parents=True, exist_ok=True)
    tables = (_freqtrade_table(series.kind, rows) if form == "freqtrade" else _table(rows) for rows in series.rows())
    first = next(tables, None)
    if first is None:
        return
    with _sink(file, first.schema, "feather" if form == "freqtrade" else form) as sink:
        sink.write_table(first)
        for table in tables:
            sink.write_table(table)


@contextmanager
def _sink(file: Path, schema: pa.Schema, form: str) -> Iterator[Any]:
    """Give what takes tables of one schema, one after another, and ends the file with the block."""
    if form == "csv":
        with pa_csv.CSVWriter(
            file, schema, write_options=pa_csv.WriteOptions(quoting_style="none", quoting_header="none")
        ) as written:
            yield written
    elif form == "parquet":
        with pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=False) as parquet:
            yield parquet
    else:
        with pa.OSFile(str(file), "wb") as stream, _feather(stream, schema) as feather:
            yield feather


def _feather(stream: Any, schema: pa.Schema) -> Any:
    return pa.ipc.new_file(stream, schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))


def _table(rows: Rows) -> pa.Table:
    arrays = {"ts": pa.array(rows.t, pa.int64()).cast(pa.timestamp("ms", "UTC"))}
    return pa.table(arrays | {name: pa.array(column, pa.float64()) for name, column in rows.columns.items()})


def _freqtrade_table(kind: str, rows: Rows) -> pa.Table:
    zeros = pa.array([0.0]).take(pa.array([0] * len(rows.t)))
    arrays = {"date": pa.array(rows.t, pa.int64()).cast(pa.timestamp("ms", "UTC"))}
    for name in ("open", "high", "low", "close", VOLUME):
        column = rows.columns.get("rate" if kind == FUNDING and name == "open" else name)
        arrays[name] = zeros if column is None else pa.array(column, pa.float64())
    return pa.table(arrays)


def _freqtrade_name(series: Series) -> str:
    """``BTC_USDT_USDT-5m-futures.feather``: the pair BTC/USDT:USDT."""
    quote, symbol = series.catalog.quote, series.symbol
    base = symbol.replace("_", "-").replace("/", "-").partition("-")[0]
    if base == symbol and symbol.endswith(quote) and symbol != quote:
        base = symbol.removesuffix(quote)
    every = _FUNDING_TIMEFRAME if series.kind == FUNDING else interval_name(series.interval_ms)
    return f"{base}_{quote}_{quote}-{every}-{_FREQTRADE_TYPES[series.kind]}.feather"
