"""`repair`: puts right in a dataset what `check` finds and what can be put right without making anything up.

Rows are sorted, exact duplicates dropped, stamps of settlements rounded to their grid, candles rebuilt from finer ones
that are all there, and times in seconds, micro- or nanoseconds converted to ms. No value is interpolated. What is there
twice with different values is named and left. Everything done is written into `dataset.toml`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from backtest.core import disk, forks
from backtest.core.errors import UserError
from backtest.data.catalog import connect
from backtest.data.dataset_writer import DatasetWriter, write_dataset
from backtest.data.folder import Folder, find
from backtest.data.manifest import FILE, Change, Manifest, Step, manifest_text, read_manifest
from backtest.data.raw_series import RawSeries, read, symbols_in
from backtest.data.remote import is_remote, local
from backtest.data.repaired_series import Repaired, repaired
from backtest.data.row_interval import commonest

COMMAND = "backtest data repair"
RATE_UNITS = {"fraction": 1.0, "percent": 0.01, "bps": 0.0001}
"""What a rate of 1 in the files may be."""


@dataclass(frozen=True)
class Repair:
    """What was done, and what was left."""

    place: Path
    """The dataset as it is now."""
    changes: tuple[Change, ...]
    left: tuple[str, ...]
    """Symbol, series and file with what is wrong there, which cannot be put right without making something up."""
    written: bool
    """Whether anything was written."""


def repair(folder: str | Path, out: str | Path | None = None, *, rates: str = "fraction", write: bool = True) -> Repair:
    """Repair a dataset in place, or into a new one at ``out``; a dataset that needs nothing is left as it is.

    ``rates``: ``percent`` or ``bps`` where the files' funding rates are not fractions of the notional. ``write``: False
    only tells what would be done. In place only a folder of a file or more per symbol can be repaired, and is replaced
    whole or not at all. Raises UserError where nothing can be read or written.
    """
    forks.check()
    if rates not in RATE_UNITS:
        raise UserError(f"unknown unit {rates!r}", "rates", f"name one of {', '.join(RATE_UNITS)}")
    if is_remote(folder):
        if out is None:
            raise UserError("a remote dataset is not repaired in place", str(folder), "name a new folder with --out")
        folder = local(str(folder))
    place = Path(folder)
    if out is None and write and place.parent.is_dir():
        _recover(place)
    found = find(place)
    if found.plain and out is None and write:
        thing = "files with a symbol column are not repaired in place"
        raise UserError(thing, str(place), "name a new folder with --out")
    if not found.plain and out is None and not place.is_dir():
        raise UserError("a single file is not repaired in place", str(place), "name a new folder with --out")
    manifest = read_manifest(found.manifest)
    con = connect()
    interval = manifest.interval_ms or _interval(con, found)
    plan = _Plan(con, found, manifest, interval, RATE_UNITS[rates])
    if out is not None:
        return _into(Path(out), place, plan) if write else _told(place, plan)
    disk.refuse_link(place, "name the folder that it points to")
    told = _told(place, plan)
    return _in_place(place, plan) if told.changes and write else told


def _recover(place: Path) -> None:
    """Put right what a killed repair left beside the dataset, also where there is nothing more to repair."""
    try:
        disk.recover(place)
    except OSError as error:
        raise UserError(
            f"cannot be written ({error.strerror})", str(place), "make it writable, or use --out"
        ) from error


class _Plan:
    """Goes through the series of a dataset, one in memory at a time."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, folder: Folder, manifest: Manifest, interval_ms: int | None, unit: float
    ) -> None:
        self.con, self.folder, self.manifest, self.interval_ms, self.unit = con, folder, manifest, interval_ms, unit

    def series(self, only: set[tuple[str, str]] | None = None) -> Iterator[Repaired]:
        """Every series with rows, repaired; ``only`` those of a kind and a symbol."""
        for kind, symbol, paths in _places(self.con, self.folder):
            if only is not None and (kind, symbol) not in only:
                continue
            raw = read(self.con, kind, paths, symbol, bool(self.folder.plain))
            if len(raw.t):
                yield repaired(raw, self.interval_ms if kind == "candles" else None, self.unit)


def _places(con: duckdb.DuckDBPyConnection, folder: Folder) -> Iterator[tuple[str, str, Sequence[Path]]]:
    for kind, tree in folder.trees.items():
        for symbol, paths in sorted(tree.items()):
            yield kind, symbol, paths
    for kind, paths in folder.plain.items():
        for symbol in symbols_in(con, kind, paths) if paths else ():
            yield kind, symbol, paths


def _interval(con: duckdb.DuckDBPyConnection, folder: Folder) -> int | None:
    """The interval that most symbols' candles have; None where no symbol has two candles."""
    found = []
    for kind, symbol, paths in _places(con, folder):
        if kind == "candles":
            stamps = np.unique(read(con, kind, paths, symbol, bool(folder.plain)).t)
            own = commonest(np.diff(stamps[:100_000]).tolist())
            found += [own] if own else []
    return commonest(found)


def _told(place: Path, plan: _Plan) -> Repair:
    """What would be done."""
    changes: list[Change] = []
    left: list[str] = []
    for one in plan.series():
        said = _refused(one)
        left += said
        changes += () if said and not _writable(one) else one.changes
    return Repair(place, tuple(changes), tuple(left), False)


def _writable(one: Repaired) -> bool:
    return one.readable and not _bad_rows(one.series)


def _refused(one: Repaired) -> list[str]:
    """What is left wrong in a series, each with its place."""
    bad = _bad_rows(one.series) if one.readable and one.changes else ""
    return [f"{one.series.place}: {text}" for text in (*one.left, *((bad,) if bad else ()))]


def _bad_rows(series: RawSeries) -> str:
    """Rows that no dataset may have, whatever their order: these are not written again as if they were sound."""
    for name, column in series.columns.items():
        floor = {"rate": -np.inf, "volume": 0.0}.get(name)
        bad = ~np.isfinite(column) | ((column < floor) if floor is not None else (column <= 0))
        if bad.any():
            return f"{int(bad.sum()):,} rows with a bad {name}, so that the series is left as it is"
    if "high" in series.columns and (series.columns["high"] < series.columns["low"]).any():
        return "rows with a high below the low, so that the series is left as it is"
    return ""


def _in_place(place: Path, plan: _Plan) -> Repair:
    """Replace the folder by one in which the series that change are written again and all else is the same."""
    changes: list[Change] = []
    left: list[str] = []
    try:
        with disk.whole_folder(place) as draft:
            shutil.copytree(place, draft, symlinks=True, dirs_exist_ok=True, copy_function=_linked)
            writer = DatasetWriter(draft)
            for one in plan.series():
                left += _refused(one)
                if not one.changes or not _writable(one):
                    continue
                kind, symbol = one.series.kind, one.series.symbol
                shutil.rmtree(draft / kind / f"symbol={symbol}")
                with writer.series(kind, symbol, str(place)) as made:
                    made.write(one.series.t, one.series.columns)
                changes += one.changes
            _record(draft / FILE, plan.manifest, Step(command=COMMAND, changes=tuple(changes)))
    except OSError as error:
        raise UserError(
            f"cannot be written ({error.strerror})", str(place), "make it writable, or use --out"
        ) from error
    return Repair(place, tuple(changes), tuple(left), True)


def _linked(source: str, target: str) -> str:
    """Give an unchanged file its second name in the draft, or copy it where the file system has no hard links."""
    with suppress(OSError):
        os.link(source, target, follow_symlinks=False)
        return target
    return shutil.copy2(source, target, follow_symlinks=False)


def _record(file: Path, manifest: Manifest, step: Step) -> None:
    """Append the step to `dataset.toml`, so that comments stay; where that is not possible, write the file again."""
    text = file.read_text("utf-8") if file.exists() else ""
    tables = manifest_text(Manifest(history=(step,))).partition("\n\n")[2]
    file.unlink(missing_ok=True)  # it may be the old file by another name
    file.write_text(f"{text.rstrip()}\n\n{tables}".lstrip(), "utf-8")
    with suppress(UserError):
        if len(read_manifest(file).history) == len(manifest.history) + 1:
            return
    file.write_text(manifest_text(manifest.model_copy(update={"history": (*manifest.history, step)})), "utf-8")


def _into(out: Path, place: Path, plan: _Plan) -> Repair:
    """Write every series, repaired, into a new dataset."""
    changes: list[Change] = []
    left: list[str] = []
    if out.exists() and out.resolve() in (place.resolve(), *place.resolve().parents):
        raise UserError("is the dataset that is read", str(out), "name a new folder")
    with write_dataset(out, COMMAND) as writer:
        for one in plan.series():
            if not one.readable:
                raise UserError(one.left[0], one.series.place, "correct one of the rows, or take it out")
            left += _refused(one)
            with writer.series(one.series.kind, one.series.symbol, str(place)) as made:
                made.write(one.series.t, one.series.columns)
            changes += one.changes
        step = Step(command=COMMAND, source=plan.folder.name, changes=tuple(changes))
        writer.manifest = plan.manifest.model_copy(update={"history": (*plan.manifest.history, step)})
    return Repair(out, tuple(changes), tuple(left), True)
