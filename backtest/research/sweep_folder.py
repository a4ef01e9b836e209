"""A sweep on disk: what it is, the rows as they arrive, and the table of them.

`sweep.json` says what the sweep runs and is written first. Each row is added to `rows.log` as soon as its run ends, in
whatever order; `sweep.parquet` has all rows by number, and is written again now and then and at the end. A sweep that
was killed goes on where it stood: rows that are there are not run again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import polars as pl

from backtest.core import disk
from backtest.core.append_log import AppendLog, read_lines
from backtest.core.disk import ELSEWHERE
from backtest.core.errors import UserError
from backtest.research.grid import Grid
from backtest.research.run_row import Row
from backtest.results.metric_definitions import METRICS, Metrics
from backtest.results.summary import DISTRIBUTION, plain, versions

TABLE, ROWS, ABOUT, DOCUMENT, REPORT = "sweep.parquet", "rows.log", "sweep.json", "sweep.toml", "report.html"
SHOWN = "run-"
"""Before the number of a run in the name of its report's folder."""
KIND, LAYOUT = "sweep", 1

About = Mapping[str, Any]
"""What a sweep runs, in plain values: strategy, settings, axes, data; see `backtest.research.sweep`."""


def schema(grid: Grid) -> pl.Schema:
    """The columns of the table: `run`, those of the axes, `error`, `digest`, then the metrics."""
    hints = get_type_hints(Metrics)
    numbers = {name: pl.Int64() if hints[name] is int else pl.Float64() for name in METRICS}
    return pl.Schema(
        {"run": pl.Int64(), **dict(grid.frame.schema), "error": pl.String(), "digest": pl.String(), **numbers}
    )


def table(grid: Grid, rows: Mapping[int, Row]) -> pl.DataFrame:
    """The table of the rows that are there, by number."""
    runs = sorted(rows)
    kinds = schema(grid)
    found = pl.DataFrame([rows[run] for run in runs], schema={n: k for n, k in kinds.items() if n in _ROW})
    left = grid.frame[runs] if runs else grid.frame.clear()
    return pl.concat([pl.DataFrame({"run": pl.Series(runs, dtype=pl.Int64)}), left, found], how="horizontal")[
        list(kinds)
    ]


_ROW = ("error", "digest", *METRICS)


class SweepFolder:
    """The folder of one sweep, open for its rows. Close it at the end; what was added is kept whatever happens."""

    def __init__(self, folder: Path, about: About, grid: Grid, document: str) -> None:
        """Begin a sweep, or go on with the same one; UserError where something else lies there."""
        self.folder = _claimed(folder)
        self._grid = grid
        wanted = plain({"kind": KIND, "layout": LAYOUT, "version": versions()["backtest"], **about})
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            before = read_about(self.folder) if (self.folder / ABOUT).exists() else None
            if before is not None:
                _same(before, wanted, self.folder)
            self._log = AppendLog(self.folder / ROWS)
            if before is None:
                with disk.whole_file(self.folder / DOCUMENT, told=False) as draft:
                    draft.write_text(document, encoding="utf-8", newline="\n")
                with disk.whole_file(self.folder / ABOUT, told=False) as draft:
                    draft.write_text(json.dumps(wanted, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as failure:
            raise unwritable(failure, self.folder) from failure
        self.rows: dict[int, Row] = _rows(self.folder, self._log.lines)
        """By number of the run; those of an earlier start too."""

    def add(self, run: int, row: Row) -> None:
        """Keep a row."""
        try:
            self._log.add(json.dumps([run, row], allow_nan=False))
        except OSError as failure:
            raise unwritable(failure, self.folder) from failure
        self.rows[run] = row

    def write_table(self) -> None:
        """Write the table of the rows that are there, whole."""
        try:
            self._log.sync()
            write_table(self.folder / TABLE, table(self._grid, self.rows))
        except OSError as failure:
            raise unwritable(failure, self.folder) from failure

    def write_page(self, html: str) -> None:
        """Write the page."""
        try:
            with disk.whole_file(self.folder / REPORT) as draft:
                draft.write_text(html, encoding="utf-8", newline="\n")
        except OSError as failure:
            raise unwritable(failure, self.folder) from failure

    def close(self) -> None:
        """Give up the folder; the log goes when the table has all rows."""
        if (self.folder / TABLE).exists() and len(self.rows) == len(self._grid):
            (self.folder / ROWS).unlink(missing_ok=True)
        self._log.close()


def write_table(path: Path, frame: pl.DataFrame) -> None:
    """Write a table of a sweep, whole."""
    metadata = {"backtest.table": KIND, "backtest.layout": str(LAYOUT)}
    with disk.whole_file(path, told=False) as draft:
        try:
            frame.write_parquet(draft, compression="zstd", metadata=metadata)
        except pl.exceptions.PolarsError as failure:
            raise OSError(str(failure)) from failure


def unwritable(failure: OSError, folder: Path) -> UserError:
    """The error where the folder takes no more; the rows that are in it stay."""
    why = failure.strerror or str(failure)
    remedy = "make room and give the same command again: it goes on where it stood"
    return UserError(f"the sweep cannot be written ({why})", str(folder), remedy)


def _claimed(folder: Path) -> Path:
    """The folder, if a sweep may be written there: nothing, an empty folder, or a sweep and its reports."""
    disk.refuse_link(folder, "name the folder that it points to")
    if folder.exists() and not folder.is_dir():
        raise UserError("is a file, not a sweep's folder", str(folder), ELSEWHERE)
    if folder.is_dir():
        ours = {TABLE, ROWS, ABOUT, DOCUMENT, REPORT}
        names = sorted(entry.name for entry in folder.iterdir())
        foreign = [name for name in names if name not in ours and not name.startswith((SHOWN, "."))]
        if foreign or (names and ABOUT not in names and ours & set(names) - {DOCUMENT, ROWS}):
            thing = f"holds {(foreign or names)[0]}, which is not part of a sweep, and is left alone"
            raise UserError(thing, str(folder), ELSEWHERE)
    return folder


def read_about(folder: Path) -> dict[str, Any]:
    """What the sweep in a folder runs; UserError where it is missing."""
    try:
        found = json.loads((folder / ABOUT).read_bytes())
    except FileNotFoundError:
        raise UserError("no such sweep", str(folder), "name a folder that `backtest sweep` has written") from None
    except (OSError, ValueError) as failure:
        raise UserError(f"{ABOUT} cannot be read ({failure})", str(folder), "run the sweep again") from None
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise UserError("not a sweep", str(folder), "name a folder that `backtest sweep` has written")
    if found.get("layout") != LAYOUT:
        thing = f"the sweep has layout {found.get('layout')}, this is {LAYOUT}"
        raise UserError(thing, str(folder), "run it again")
    return found


def _same(before: Mapping[str, Any], wanted: Mapping[str, Any], folder: Path) -> None:
    """UserError unless the sweep that lies there is the one that is asked for."""
    unlike = [name for name in wanted if before.get(name) != json.loads(json.dumps(wanted[name]))]
    if unlike:
        names = {"version": f"the version of {DISTRIBUTION}", "fingerprints": "the data"}
        said = ", ".join(names.get(name, name) for name in unlike)
        raise UserError(f"holds another sweep: other {said}", str(folder), f"{ELSEWHERE}, or delete that one")


def _rows(folder: Path, lines: Sequence[str]) -> dict[int, Row]:
    """The rows that are there: those of the table, then those of the log."""
    rows: dict[int, Row] = {}
    if (folder / TABLE).exists():
        kept = read_table(folder)
        rows = {int(row.pop("run")): row for row in kept.select("run", *_ROW).to_dicts()}
    for line in lines:
        run, row = json.loads(line)
        rows[int(run)] = row
    return rows


def read_rows(folder: Path) -> dict[int, Row]:
    """The rows of a sweep that may still be running, or may have been killed."""
    return _rows(folder, read_lines(folder / ROWS))


def read_table(folder: Path) -> pl.DataFrame:
    """The table of a sweep; UserError where it cannot be read."""
    path = folder / TABLE
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as failure:
        remedy = f"delete {TABLE}: what {ROWS} has is kept, the rest is run again"
        raise UserError("the table is damaged", str(path), remedy) from failure
