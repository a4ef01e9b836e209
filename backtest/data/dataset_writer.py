"""The one writer of datasets: rows of series, batch by batch, into the layout that `data/` reads.

A dataset is written whole or not at all (`core.disk`). The same rows give the same bytes however they are cut into
batches: types, row groups, compression and order are fixed. Memory does not grow with the rows.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from backtest.core import disk, forks
from backtest.core.errors import Broken, UserError, printable
from backtest.core.times import stamp
from backtest.data.manifest import FILE, Manifest, manifest_text, read_manifest
from backtest.data.source import CANDLE_COLUMNS, FURTHER, KINDS

PART = "part.parquet"
"""The file of a series."""
GROUP_ROWS = 65_536
"""Rows of a row group: what a reader decodes at a time."""
FUNDING_COLUMNS = ("rate",)
VOLUME = "volume"

Times = NDArray[np.int64]
Values = NDArray[np.float64]


@contextmanager
def write_dataset(target: Path, generator: str, what: str = "dataset") -> Iterator[DatasetWriter]:
    """Give a writer of a new dataset, and put it at ``target`` when the block ends without an exception.

    ``generator``: the command that writes it, such as ``backtest data import``. An existing folder is replaced only if
    it is empty, or if ``generator`` wrote it and it holds nothing else. Set `DatasetWriter.manifest` in the block.
    ``what`` names such a dataset in errors. Raises UserError when the folder may not be replaced or cannot be written.
    """
    forks.check()
    try:
        refuse_foreign(target, generator, what)
        with disk.whole_folder(target) as draft:
            writer = DatasetWriter(draft)
            yield writer
            writer.finish(generator)
    except OSError as error:
        said = error.strerror or str(error).partition("\n")[0]
        raise UserError(f"cannot be written ({said})", str(target), "name another folder") from error


def refuse_foreign(target: Path, generator: str, what: str = "dataset") -> None:
    """Raise UserError unless ``target`` is free, empty, or a dataset of ``generator`` with nothing else in it."""
    remedy = "name a new folder"
    disk.refuse_link(target, remedy)
    if target.parent.is_dir():
        disk.recover(target)
    if not target.exists():
        return
    if not target.is_dir():
        raise UserError("is a file", str(target), remedy)
    if target.samefile(target / ".."):
        raise UserError("is the root folder", str(target), remedy)
    held = sorted(path.relative_to(target) for path in target.rglob("*") if path.is_symlink() or not path.is_dir())
    if held and read_manifest(target / FILE).generator != generator:
        raise UserError(f"holds files that are not a {what}", str(target), remedy)
    foreign = [path for path in held if path != Path(FILE) and not _is_part(path)]
    if foreign:
        raise UserError(f"holds {foreign[0]}, which is not part of the {what} there", str(target), remedy)


def _is_part(path: Path) -> bool:
    """Whether a path inside a dataset is one of the files that a writer makes."""
    match path.parts:
        case (series, symbol, name):
            return is_series(series) and symbol.startswith("symbol=") and name == PART
        case _:
            return False


def is_series(name: str) -> bool:
    """Whether a dataset may have a series of this name: ``candles``, ``mark``, ``mark_NAME`` or ``funding``."""
    return name in KINDS or (name.startswith(FURTHER) and name != FURTHER)


class DatasetWriter:
    """Writes one dataset into an empty folder. Several series may be open at once, each of about 6 MB."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = Manifest()
        """Written at the end."""
        self.written: set[tuple[str, str]] = set()
        """Series and symbol of what was written so far, each once."""

    @contextmanager
    def series(self, kind: str, symbol: str, place: str = "") -> Iterator[SeriesWriter]:
        """Give the writer of one series of one symbol, and end its file with the block.

        ``place`` says where the rows come from, for errors. A series without rows has no file. Raises UserError for a
        symbol that no folder can be named after.
        """
        if not is_series(kind):
            raise Broken(f"{kind!r} is no series of a dataset")
        if (kind, symbol) in self.written:
            raise Broken(f"the {kind} of {symbol} are written twice")
        check_symbol(symbol, place)
        self.written.add((kind, symbol))
        writer = SeriesWriter(self.folder / kind / f"symbol={symbol}" / PART, kind, symbol, place)
        try:
            yield writer
            writer.end()
        finally:
            with suppress(OSError, pa.ArrowException):  # after a failure that is already on its way up
                writer.close()

    def take_back(self, kind: str, symbol: str) -> None:
        """Remove what was written of a series, so that it can be written again."""
        self.written.discard((kind, symbol))
        shutil.rmtree(self.folder / kind / f"symbol={symbol}", ignore_errors=True)

    def finish(self, generator: str) -> None:
        """Write `dataset.toml`."""
        head = self.manifest.dataset.model_copy(update={"generator": generator})
        manifest = self.manifest.model_copy(update={"dataset": head})
        (self.folder / FILE).write_text(manifest_text(manifest), "utf-8")


def check_symbol(symbol: str, place: str = "") -> None:
    """Raise UserError for a symbol that cannot name a folder."""
    if not symbol.strip() or "/" in symbol or "\\" in symbol or "\0" in symbol or printable(symbol) != symbol:
        raise UserError(f"{symbol!r} cannot be a symbol", place, "use letters, digits, - and _, as in BTC-USD")


class SeriesWriter:
    """Writes one Parquet file of strictly rising times, in row groups of `GROUP_ROWS`."""

    def __init__(self, file: Path, kind: str, symbol: str, place: str) -> None:
        self.file, self.kind, self.symbol, self.place = file, kind, symbol, place
        self.rows = 0
        self.first_ms: int | None = None
        self.last_ms: int | None = None
        self._names: tuple[str, ...] = ()
        self._held: list[tuple[Times, tuple[Values, ...]]] = []
        self._waiting = 0
        self._parquet: pq.ParquetWriter | None = None

    def write(self, t: Times, columns: Mapping[str, Values]) -> None:
        """Append rows: ``t`` in ms, and open, high, low, close (candles volume too, where it is known) or rate.

        Raises UserError with the symbol and time of the first row that is unsorted, repeated, not finite, no price
        (zero or less), of negative volume, or has a high below its low.
        """
        self._check_columns(columns)
        if not len(t):
            return
        self._check_times(t)
        for name in self._names:
            self._check_values(name, t, columns[name])
        if self.kind != "funding":
            self._check_extremes(t, columns["high"], columns["low"])
        self.first_ms = int(t[0]) if self.first_ms is None else self.first_ms
        self.last_ms = int(t[-1])
        self.rows += len(t)
        self._hold(t, tuple(columns[name] for name in self._names))

    def end(self) -> None:
        """Write what is still held, and the footer."""
        if self._waiting:
            self._flush(self._waiting)
        self.close()

    def close(self) -> None:
        """Close the file; without `end` it is not whole."""
        parquet, self._parquet = self._parquet, None
        if parquet is not None:
            parquet.close()

    def _check_columns(self, columns: Mapping[str, Values]) -> None:
        known = FUNDING_COLUMNS if self.kind == "funding" else CANDLE_COLUMNS
        wanted = (*known, VOLUME) if self.kind == "candles" and VOLUME in columns else known
        if set(columns) != set(wanted) or (self._names and self._names != wanted):
            raise Broken(f"the {self.kind} of {self.symbol} are given {', '.join(columns)}, not {', '.join(wanted)}")
        self._names = wanted

    def _check_times(self, t: Times) -> None:
        before = t[0] - 1 if self.last_ms is None else self.last_ms
        steps = np.diff(t, prepend=before)
        if (steps > 0).all():
            return
        at = int(np.argmax(steps <= 0))
        earlier = int(t[at - 1]) if at else int(before)
        thing = "a stamp that is there twice" if steps[at] == 0 else f"unsorted: it comes after {stamp(earlier)}"
        raise self.wrong(thing, int(t[at]), "sort the rows by time, and give each time once")

    def _check_values(self, name: str, t: Times, column: Values) -> None:
        if name == "rate":
            bad, wanted = ~np.isfinite(column), "a finite number"
        elif name == VOLUME:
            bad, wanted = ~(np.isfinite(column) & (column >= 0)), "a finite number, zero or more"
        else:
            bad, wanted = ~(np.isfinite(column) & (column > 0)), "a finite price above zero"
        if bad.any():
            at = int(np.argmax(bad))
            raise self.wrong(f"{name} is {column[at]}, not {wanted}", int(t[at]), "correct the row, or leave it out")

    def _check_extremes(self, t: Times, high: Values, low: Values) -> None:
        if (high < low).any():
            at = int(np.argmax(high < low))
            remedy = "correct the row, or leave it out"
            raise self.wrong(f"high {high[at]} is below low {low[at]}", int(t[at]), remedy)

    def wrong(self, thing: str, ms: int, remedy: str) -> UserError:
        """Return the error of one row, placed by symbol, series, time and where the rows come from."""
        origin = f" in {self.place}" if self.place else ""
        return UserError(thing, f"{self.symbol} {self.kind} at {stamp(ms)}{origin}", remedy)

    def _hold(self, t: Times, columns: tuple[Values, ...]) -> None:
        """Keep rows, copied, until they fill a row group."""
        start = 0
        while start < len(t):
            stop = min(len(t), start + GROUP_ROWS - self._waiting)
            cut = slice(start, stop)
            self._held.append((t[cut].copy(), tuple(column[cut].copy() for column in columns)))
            self._waiting += stop - start
            start = stop
            if self._waiting == GROUP_ROWS:
                self._flush(GROUP_ROWS)

    def _flush(self, rows: int) -> None:
        times = np.concatenate([t for t, _ in self._held])
        columns = [np.concatenate([held[n] for _, held in self._held]) for n in range(len(self._names))]
        self._held, self._waiting = [], 0
        if len(times) != rows:
            raise Broken(f"{len(times)} rows are held, not {rows}")
        if self._parquet is None:
            self.file.parent.mkdir(parents=True)
            self._parquet = _parquet_writer(self.file, self._names)
        self._parquet.write_table(_table(times, dict(zip(self._names, columns, strict=True))), row_group_size=rows)


def _parquet_writer(file: Path, names: Sequence[str]) -> pq.ParquetWriter:
    schema = pa.schema([("ts", pa.timestamp("ms", "UTC")), *((name, pa.float64()) for name in names)])
    # With the bytes of doubles side by side by their place, LZ4 packs prices in a third of the time that zstd takes for
    # doubles as they are, and unpacks them in half of it; the files are a fifth larger.
    encoding = {"ts": "DELTA_BINARY_PACKED", **dict.fromkeys(names, "BYTE_STREAM_SPLIT")}
    return pq.ParquetWriter(
        file, schema, compression="lz4", column_encoding=encoding, use_dictionary=False, write_statistics=True
    )


def _table(t: Times, columns: Mapping[str, Values]) -> pa.Table:
    arrays = {"ts": pa.array(t, pa.int64()).cast(pa.timestamp("ms", "UTC"))}
    arrays |= {name: pa.array(values, pa.float64()) for name, values in columns.items()}
    return pa.table(arrays)
