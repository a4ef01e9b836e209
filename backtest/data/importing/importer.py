"""Import tables into a dataset: find them, plan, and write, whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from backtest.core import forks
from backtest.core.errors import UserError, nearest, printable
from backtest.data.catalog import Catalog
from backtest.data.dataset_writer import DatasetWriter, refuse_foreign, write_dataset
from backtest.data.importing import layouts
from backtest.data.importing.feeds import Feed
from backtest.data.importing.file_names import clean
from backtest.data.importing.options import Options
from backtest.data.importing.packing import SUFFIXES
from backtest.data.importing.plan import Plan, plan_of
from backtest.data.importing.series_rows import Kept, write_series
from backtest.data.importing.tables import Table, tables_of
from backtest.data.manifest import Change, Head, Manifest, MarketFacts, Step
from backtest.data.settlements import due, missing_settlements

GENERATOR = "backtest data import"
_WHAT = "dataset of `backtest data import`"
_SCRATCH = ".scratch"
"""Folder inside the draft for unpacked copies, and for what a sort does not hold in memory."""
_MEMORY = "256MB"
_THREADS = 2
_OTHER_SUFFIXES = (".db",)


@dataclass(frozen=True)
class SeriesReport:
    """One series that was written."""

    symbol: str
    series: str
    rows: int
    first_ms: int
    last_ms: int


@dataclass(frozen=True)
class ImportReport:
    """What an import did."""

    folder: Path
    interval_ms: int
    series: tuple[SeriesReport, ...]
    changes: tuple[Change, ...]
    skipped: tuple[tuple[str, str], ...]
    missing_funding: tuple[str, ...]
    """Symbols without funding, or with settlements that are missing: a run needs ``--allow missing-funding``."""


@dataclass(frozen=True)
class Prepared:
    """A planned import: what `--dry-run` shows, and what `write` writes."""

    plan: Plan
    source: str
    """Name of the file or folder, for the record."""

    def check_target(self, target: Path) -> None:
        """Raise UserError where the dataset may not be written: before anything is read for it."""
        above = next((folder for folder in target.absolute().parents if os.path.lexists(folder)), Path("/"))
        if not above.is_dir():
            raise UserError(f"cannot be written ({above.name} is not a folder)", str(target), "name another folder")
        try:
            refuse_foreign(target, GENERATOR, _WHAT)
        except OSError as error:
            raise UserError(f"cannot be written ({error.strerror})", str(target), "name another folder") from error

    def write(self, target: Path) -> ImportReport:
        """Write the dataset, and return what was written. UserError where a row, or the disk, does not allow it."""
        with write_dataset(target, GENERATOR, _WHAT) as writer:
            scratch = writer.folder / _SCRATCH
            scratch.mkdir()
            with connected(scratch) as con:
                kept = _write_all(writer, self.plan, con, scratch)
            shutil.rmtree(scratch)
            changes = tuple(_changes(self.plan, kept))
            writer.manifest = _manifest(self.plan, kept, changes, self.source)
        return _report(target, self.plan, kept, changes)


@contextmanager
def prepared(path: Path, options: Options) -> Iterator[Prepared]:
    """Find the tables at ``path`` and plan their import. UserError names the file that cannot be used, and why."""
    forks.check()
    with tempfile.TemporaryDirectory(prefix="backtest-import-") as scratch, connected(Path(scratch)) as con:
        files = files_of(path)
        below = path.resolve() if path.is_dir() else None
        tables = [
            table for file in files for table in tables_of(file, con, Path(scratch), options.format, below)
        ]  # fmt: skip
        yield Prepared(plan_of(tables, options, str(path)), path.name)


def default_target(source: Path) -> Path:
    """Folder of the dataset where none is named: in `data/`, called as the file or folder without its endings."""
    name = source.resolve().name
    while Path(name).suffix.lower() in {*SUFFIXES, *_OTHER_SUFFIXES}:
        name = Path(name).stem
    return Path("data") / (re.sub(r"[^\w.-]+", "_", name).strip("._") or "imported")


def files_of(path: Path) -> list[Path]:
    """The files to import: the file itself, or all below a folder that may be tables, sorted."""
    if path.is_file():
        return [path.resolve()]
    if not path.is_dir():
        beside = [p.name for p in path.parent.iterdir() if p.name != path.name] if path.parent.is_dir() else []
        near = nearest(path.name, beside)
        remedy = near if near.startswith("did you mean") else "check the name"
        raise UserError("no such file or folder", str(path), remedy)
    known = {*SUFFIXES, *_OTHER_SUFFIXES}
    found = [
        file
        for file in sorted(path.resolve().rglob("*"))
        if file.is_file()
        and file.suffix.lower() in known
        and not any(part.startswith(".") for part in file.relative_to(path.resolve()).parts)
    ]
    if not found:
        raise UserError("no file in it that can be imported", str(path), f"known: {', '.join(sorted(known))}")
    return found


@contextmanager
def connected(scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB that keeps little in memory, and puts the rest of a sort into ``scratch``."""
    with duckdb.connect() as con:
        for setting in (
            "SET timezone = 'UTC'",
            f"SET threads = {_THREADS}",
            f"SET memory_limit = '{_MEMORY}'",
            "SET streaming_buffer_size = '16MB'",
            "SET enable_external_file_cache = false",
            "SET autoinstall_known_extensions = false",
            "SET autoload_known_extensions = false",
            "SET enable_progress_bar = false",
        ):
            con.execute(setting)
        con.execute("SET temp_directory = $1", [str(scratch / "sort")])
        yield con


def _write_all(writer: DatasetWriter, plan: Plan, con: duckdb.DuckDBPyConnection, scratch: Path) -> list[Kept]:
    feeds = _resolved(plan, con, scratch)
    kept: list[Kept] = []
    for kind in sorted({feed.kind for feed in feeds}):
        kept += write_series(writer, con, scratch, kind, [feed for feed in feeds if feed.kind == kind], plan.options)
    if not any(one.kind == "candles" and one.rows for one in kept):
        raise UserError("no candles are left to write", plan.feeds[0].table.place, "check --symbol")
    return kept


def _resolved(plan: Plan, con: duckdb.DuckDBPyConnection, scratch: Path) -> list[Feed]:
    """The feeds with the market of those that hold only one, so that they need no sort."""
    wanted = plan.options.symbol
    found: list[Feed] = []
    held: set[str] = set()
    known: dict[str, list[str]] = {}
    for feed in plan.feeds:
        if feed.by_symbol and feed.table.place not in known:
            known[feed.table.place] = feed.symbols(con, scratch)
        symbols = known[feed.table.place] if feed.by_symbol else [feed.symbol]
        held |= set(symbols)
        if feed.by_symbol and len(symbols) == 1 and wanted in ("", *symbols):
            feed = replace(feed, symbol=symbols[0])
        elif feed.by_symbol and len(symbols) == 1 and clean(wanted) == symbols[0]:
            feed = replace(feed, symbol=clean(wanted))
        if not wanted or clean(wanted) in symbols:
            found.append(feed)
    if not found:
        raise UserError(f"no rows of {wanted} in it", plan.feeds[0].table.place, nearest(wanted, held))
    return found


def _changes(plan: Plan, kept: Sequence[Kept]) -> Iterator[Change]:
    """What was done to rows, for the record."""
    closing = {feed.kind for feed in plan.feeds if feed.closing}
    zero = {feed.kind for feed in plan.feeds if "0" in feed.columns.values()}
    made = {feed.kind for feed in plan.feeds if feed.sampled or feed.settled}

    def change(one: Kept, what: str, rows: int = 0, first: int | None = None, last: int | None = None) -> Change:
        return Change(what=what, symbol=one.symbol, series=one.kind, rows=rows, first=first, last=last)

    for one in kept:
        span = (one.rows, one.first_ms, one.last_ms)
        if one.kind in closing:
            yield change(one, "stamps moved from the close of a candle to its open", *span)
        if one.kind in zero:
            yield change(one, "volume is not known, and written as 0", *span)
        if one.kind in made:
            of_rates = one.kind == "funding"
            what = "settlements told from the rates before them" if of_rates else "candles made of prices"
            yield change(one, what, *span)
        if one.left is not None:
            left = (one.left.rows, one.left.first_ms, one.left.last_ms)
            yield change(one, "rows that were there twice, written once", *left)
        if one.folded:
            yield change(one, "times in an hour that the clock repeats, told by their order", one.folded)


def _manifest(plan: Plan, kept: Sequence[Kept], changes: Sequence[Change], source: str) -> Manifest:
    venues = {layouts.VENUES.get(feed.layout, "") for feed in plan.feeds}
    quotes = {_quote(one.symbol) for one in kept}
    marks = {one.symbol: one.interval_ms for one in kept if one.kind == "mark" and one.interval_ms != plan.interval_ms}
    head = Head(
        interval=plan.interval_ms,
        quote=quotes.pop() if len(quotes) == 1 else "",
        venue=venues.pop() if len(venues) == 1 else "",
        provenance=printable(f"imported from {source}"),
    )
    facts = {symbol: MarketFacts(mark_interval=ms) for symbol, ms in marks.items() if ms}
    step = Step(command=GENERATOR, source=printable(source), changes=tuple(changes))
    return Manifest(dataset=head, symbols=facts, history=(step,))


def _quote(symbol: str) -> str:
    return next((quote for quote in ("USDT", "USDC", "FDUSD", "BUSD") if quote in symbol.upper()), "")


def _report(target: Path, plan: Plan, kept: Sequence[Kept], changes: tuple[Change, ...]) -> ImportReport:
    catalog = Catalog.open(target)
    missing = []
    for symbol, market in catalog.markets.items():
        source, every = catalog.sources["funding"].get(symbol), catalog.manifest.funding_interval_ms
        end = market.last_ms + catalog.interval_ms
        if source is None:
            missing += [symbol] if len(due(market.first_ms + catalog.interval_ms, end, every)) else []
            continue
        stamps = source.fetch(catalog.con, source.scan(()))["t"]
        lacking = missing_settlements(stamps, market.first_ms, end, every)
        # Inside the first candle nobody can hold anything yet.
        if (lacking >= market.first_ms + catalog.interval_ms).any():
            missing.append(symbol)
    series = tuple(SeriesReport(k.symbol, k.kind, k.rows, k.first_ms, k.last_ms) for k in kept if k.rows)
    return ImportReport(target, plan.interval_ms, series, changes, plan.skipped, tuple(missing))


def prepared_tables(tables: Mapping[str, Table] | Sequence[Table], options: Options, source: str) -> Prepared:
    """Plan the import of tables that are in memory."""
    held = list(tables.values()) if isinstance(tables, Mapping) else list(tables)
    return Prepared(plan_of(held, options, source), source)
