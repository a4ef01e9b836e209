"""A report's folder: written whole or not at all, and read back."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import polars as pl

from backtest.core import disk, forks
from backtest.core.disk import ELSEWHERE
from backtest.core.enums import SCHEMA_VERSION
from backtest.core.errors import Broken, UserError
from backtest.results import strategy_shares
from backtest.results.digest import digest
from backtest.results.lazy_tables import Tables
from backtest.results.result import Result
from backtest.results.summary import COMPARISON, LATENCY, RUN, SHARED_MARGIN, SUB_ACCOUNTS, plain
from backtest.results.summary_types import RunSummary
from backtest.results.table_file import read_table
from backtest.results.tables import SCHEMAS

REPORT, SUMMARY, DOCUMENT = "report.html", "summary.json", "run.toml"
AGAIN = "run it again"
CURVE, CANDLES = "curve", "candles"
BESIDE = (CURVE, CANDLES, *strategy_shares.SCHEMAS)
"""Tables that a report may have beside its runs' own."""
SINGLE = (RUN, SHARED_MARGIN)
"""Kinds of a report about one account, whose tables lie in its folder."""
ROW_GROUP = 100_000
"""Rows that lie together: so many candles let a reader skip by time."""
CODEC: Final = "lz4"
"""A year of minutes in 50 ms; zstd would save a fifth of the space for twice the time."""


def write(
    folder: str | Path,
    results: Result | Sequence[Result],
    html: str,
    extras: Mapping[str, Any] | None = None,
    kind: str = COMPARISON,
    beside: Mapping[str, pl.DataFrame] | None = None,
    document: str = "",
) -> Path:
    """Write a report to ``folder`` and return its absolute path.

    One Result: `report.html`, `summary.json` and a Parquet file per table. A sequence is a comparison, or what ``kind``
    says: `report.html`, a `summary.json` with the runs' summaries by label, and a folder per label with that run's
    tables and summary.
    ``extras`` are further entries of the top `summary.json`, ``beside`` tables of the whole, by names of `BESIDE`,
    ``document`` the text of `run.toml`; empty: none. The same input gives the same bytes.

    An earlier report there is replaced, in one step: at every moment the old or the new one lies there (`disk`).
    Anything else there is a UserError, see :func:`claim`.
    """
    target = claim(folder)
    try:
        with disk.whole_folder(target) as draft:
            _fill(draft, results, html, extras or {}, kind)
            for name, table in (beside or {}).items():
                _write_table(draft, name, table)
            if document:
                (draft / DOCUMENT).write_text(document, encoding="utf-8", newline="\n")
    except (OSError, pl.exceptions.PolarsError) as failure:
        why = getattr(failure, "strerror", None) or str(failure)
        raise UserError(f"the report cannot be written ({why})", str(target), ELSEWHERE) from failure
    return target


def replace_page(folder: str | Path, html: str) -> Path:
    """Write another page into a report, whole or not at all, and return its path; UserError where it cannot be."""
    file = Path(folder) / REPORT
    try:
        disk.refuse_link(file, "name the folder that holds the file")
        with disk.whole_file(file) as draft:
            draft.write_text(html, encoding="utf-8", newline="\n")
    except OSError as failure:
        raise UserError(f"the page cannot be written ({failure.strerror})", str(file), ELSEWHERE) from failure
    return file


def claim(folder: str | Path) -> Path:
    """The absolute path of ``folder`` if a report may be written there: nothing, an empty folder or an earlier report.

    Else UserError. Worth asking before a long run, not only after it. What a killed write had set aside from there is
    put back first.
    """
    target = _absolute(Path(folder))
    _writable(next(place for place in target.parents if place.exists()), target)
    try:
        if target.parent.is_dir():
            disk.recover(target)
        if not target.exists() or (target.is_dir() and not any(target.iterdir())):
            return target
        return _only_a_report(target)
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", str(target), ELSEWHERE) from error


def _absolute(folder: Path) -> Path:
    """``folder`` as an absolute path, with the links above it followed; UserError where it is a link itself."""
    try:
        place = Path(os.path.abspath(folder))  # noqa: PTH100  Path.resolve would follow the last link as well
        disk.refuse_link(place, "name the folder that it points to")
        target = place.parent.resolve() / place.name
        target.exists()
        str(target).encode()
    except UnicodeEncodeError as error:
        raise UserError("its path is not text in this locale", repr(str(folder)), "set LC_ALL=C.UTF-8") from error
    except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError
        why = getattr(error, "strerror", None) or str(error)
        raise UserError(f"cannot be written ({why})", str(folder), ELSEWHERE) from error
    if not target.name:
        raise UserError("is the root folder", str(folder), ELSEWHERE)
    return target


def _only_a_report(target: Path) -> Path:
    """``target`` if it is an earlier report with nothing else in it, at the top or in the folders of its accounts."""
    remedy = f"{ELSEWHERE}, or move what is there"
    if not target.is_dir():
        raise UserError("is a file, not a report's folder", str(target), remedy)
    summary = _recognised(target)
    if summary is None:
        raise UserError("holds something that is not a report, and is left alone", str(target), remedy)
    runs = summary.get("runs", ())
    files = {SUMMARY, *(f"{name}.parquet" for name in SCHEMAS)}
    foreign = _others(target, {*files, REPORT, DOCUMENT, *(f"{name}.parquet" for name in BESIDE), *runs})
    for label in runs:
        foreign += [f"{label}/{name}" for name in _others(target / label, files)]
    if foreign:
        raise UserError(f"holds {foreign[0]}, which is not part of the report there", str(target), remedy)
    return target


def _others(folder: Path, ours: Collection[str]) -> list[str]:
    """Names in ``folder`` that are not ``ours``."""
    return sorted(entry.name for entry in folder.iterdir() if entry.name not in ours) if folder.is_dir() else []


def _writable(above: Path, target: Path) -> None:
    """UserError unless a folder can be made in ``above``, the nearest place above ``target`` that is there."""
    if not above.is_dir():
        raise UserError(f"cannot be written, {above} is a file", str(target), ELSEWHERE)
    if not os.access(above, os.W_OK | os.X_OK):
        raise UserError(f"cannot be written, {above} may not be written", str(target), ELSEWHERE)


def read(folder: str | Path) -> Result | dict[str, Result]:
    """The Result in ``folder``, or the Results of a comparison by label; UserError if it is not a whole report."""
    found = stored(folder)
    for result in found.results:
        if digest(result.tables) != result.summary.get("digest"):
            place = Path(folder) if found.kind in SINGLE else Path(folder, result.label)
            raise UserError("the tables are not those that the summary's digest was made of", str(place), AGAIN)
    return found.results[0] if found.kind in SINGLE else {result.label: result for result in found.results}


@dataclass(frozen=True)
class Stored:
    """A report as it lies in a folder, whatever was changed in it since it was written."""

    kind: str
    results: tuple[Result, ...]
    """Their tables need not be those of their digests."""
    documents: dict[str, dict[str, Any]]
    """Every `summary.json`, by its path in the folder."""
    beside: dict[str, pl.DataFrame]
    """Tables of the whole, by names of `BESIDE`."""
    page: str | None
    """None: it has no page."""


def stored(folder: str | Path) -> Stored:
    """Read all that lies in a report's folder; UserError where a summary or table is missing or cannot be read."""
    forks.check()
    place = Path(folder)
    if not place.is_dir():
        raise UserError("no such report", str(place), "name the folder that holds its summary.json")
    summary = _recognised(place)
    if summary is None:
        raise UserError("not a report: no readable summary.json", str(place), "name a folder that a run has written")
    if summary["schema_version"] != SCHEMA_VERSION:
        thing = f"the report has schema version {summary['schema_version']}, this is {SCHEMA_VERSION}"
        raise UserError(thing, str(place), AGAIN)
    if summary["kind"] in SINGLE:
        several = strategy_shares.SCHEMAS if summary["kind"] != RUN else ()
        drawn = (CANDLES,) if (place / f"{CANDLES}.parquet").is_file() else ()  # an earlier version wrote none
        shared = {name: read_table(place / f"{name}.parquet", AGAIN).frame() for name in (*several, *drawn)}
        return Stored(summary["kind"], (_read_run(place, summary),), {SUMMARY: summary}, shared, _page(place))
    results, read = [], {SUMMARY: summary}
    for label in _order(summary):
        inner = _recognised(place / label)
        if inner is None or inner["kind"] != RUN:
            raise UserError(f"the run {label!r} is missing or damaged", str(place), "run the comparison again")
        results.append(_read_run(place / label, inner))
        read[f"{label}/{SUMMARY}"] = inner
    named = (CURVE,) if summary["kind"] == LATENCY else ()
    beside = {name: read_table(place / f"{name}.parquet", AGAIN).frame() for name in named}
    return Stored(summary["kind"], tuple(results), read, beside, _page(place))


def _order(summary: Mapping[str, Any]) -> list[str]:
    """Labels in the order of the page."""
    labels, order = sorted(summary["runs"]), summary.get("order")
    whole = isinstance(order, list) and all(isinstance(label, str) for label in order) and sorted(order) == labels
    return list(order) if whole and order else labels


def _page(folder: Path) -> str | None:
    try:
        return (folder / REPORT).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as failure:
        raise UserError("the page cannot be read", str(folder / REPORT), AGAIN) from failure


def _recognised(folder: Path) -> dict[str, Any] | None:
    """The summary of a folder that this module has written, None for any other."""
    try:
        summary = json.loads((folder / SUMMARY).read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(summary, dict) or not isinstance(summary.get("schema_version"), int):
        return None
    several = summary.get("kind") in (COMPARISON, SUB_ACCOUNTS, LATENCY) and isinstance(summary.get("runs"), dict)
    known = summary.get("kind") in SINGLE or several
    return summary if known else None


def _fill(folder: Path, results: Result | Sequence[Result], html: str, extras: Mapping[str, Any], kind: str) -> None:
    several = () if isinstance(results, Result) else results
    labels = [result.label for result in several]
    if len({*labels, REPORT, SUMMARY, DOCUMENT}) != len(labels) + 3:
        raise Broken(f"labels must differ, to name folders: {labels}")
    for label in labels:
        if Path(label).name != label:
            raise Broken(f"a label names a folder: {label!r}")
        (folder / label).mkdir()
    for result in [results] if isinstance(results, Result) else results:
        _write_tables(folder / result.label if several else folder, result)
    for name, document in documents(results, extras, kind).items():
        _write_json(folder / name, document)
    (folder / REPORT).write_text(html, encoding="utf-8", newline="\n")


def documents(
    results: Result | Sequence[Result], extras: Mapping[str, Any] | None = None, kind: str = COMPARISON
) -> dict[str, dict[str, Any]]:
    """Return every `summary.json` of a report in plain values, by its path in the folder; arguments as of `write`."""
    if isinstance(results, Result):
        return {SUMMARY: _plain(_head(results) | results.summary, extras or {})}
    summary = {
        "kind": kind,
        "schema_version": SCHEMA_VERSION,
        "order": [result.label for result in results],
        "runs": {result.label: result.summary for result in results},
    }
    inner = {f"{result.label}/{SUMMARY}": _plain(_head(result) | result.summary, {}) for result in results}
    return {SUMMARY: _plain(summary, extras or {}), **inner}


def _head(result: Result) -> dict[str, Any]:
    return {"kind": RUN, "schema_version": SCHEMA_VERSION, "label": result.label}


def _plain(summary: Mapping[str, Any], extras: Mapping[str, Any]) -> dict[str, Any]:
    twice = sorted(summary.keys() & extras.keys())
    if twice:
        raise Broken(f"extras would overwrite the summary's {twice}")
    document: dict[str, Any] = plain({**summary, **extras})
    return document


def _write_tables(folder: Path, result: Result) -> None:
    for name in result.tables:
        table = result.tables.table(name)
        # A table that is made in pieces is written in pieces: the bytes are the same.
        _write_table(folder, name, table.lazy() if table.height > ROW_GROUP else table.frame())


def _write_table(folder: Path, name: str, table: pl.DataFrame | pl.LazyFrame) -> None:
    metadata = {"backtest.schema_version": str(SCHEMA_VERSION), "backtest.table": name}
    path = folder / f"{name}.parquet"
    if isinstance(table, pl.DataFrame):
        table.write_parquet(path, compression=CODEC, row_group_size=ROW_GROUP, metadata=metadata)
    else:
        table.sink_parquet(path, compression=CODEC, row_group_size=ROW_GROUP, metadata=metadata)


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    text = json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def _read_run(folder: Path, summary: dict[str, Any]) -> Result:
    tables = Tables({name: read_table(folder / f"{name}.parquet", AGAIN) for name in SCHEMAS})
    return Result(str(summary.get("label", folder.name)), cast("RunSummary", summary), tables)
