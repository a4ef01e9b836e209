"""`sweep`: the same strategy on the same candles with many parameters and settings, a row for each run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import polars as pl

from backtest.core.errors import RunError, UserError, nearest
from backtest.data.catalog import Catalog, DataSource
from backtest.data.remote import is_remote
from backtest.data.select import select
from backtest.data.shipped import located
from backtest.report.heatmap import Heatmap, heatmap
from backtest.report.sweep_page import SweepFacts, render_sweep
from backtest.research import sweep_folder as files
from backtest.research.cluster import ClusterPool
from backtest.research.grid import Grid, Job, all_of, columns_of, sampled
from backtest.research.kernels import worker_environment
from backtest.research.run_row import Ground, Row, failed
from backtest.research.workers import WORKER, Died, Pool, Task
from backtest.results.metric_definitions import METRICS
from backtest.results.result import Result
from backtest.runner.axis import SETTING, Axis, Shown, axes_of, variable
from backtest.runner.origins import keyword_errors
from backtest.runner.plan import check_symbols
from backtest.runner.run import run
from backtest.runner.run_document import MEMORY, document_text, named_again
from backtest.runner.run_keywords import SweepKeywords
from backtest.runner.setting import SWEEP, Group
from backtest.runner.settings import RunSettings, settings_of
from backtest.runner.strategy_choice import chosen
from backtest.runner.validation import checked
from backtest.runner.venue_choice import venue_of
from backtest.strategy import base, loader
from backtest.strategy.loader import StrategySource

PLAYER = "backtest.research.run_row:player"
BEST = "sharpe"
"""The metric that a page and a progress bar go by, unless another is asked for."""
TABLE_EVERY = 200
"""Rows after which the table is written again, at least; later less often."""


@dataclass(frozen=True)
class SweepProgress:
    """How far a sweep is."""

    done: int
    """Runs with a row, those of an earlier start too."""
    runs: int
    resumed: int
    """Runs that had a row when it started."""
    failed: int
    best: Mapping[str, Shown] | None
    """The row with the highest Sharpe ratio so far."""


@dataclass(frozen=True, repr=False)
class Sweep:
    """The runs of a sweep as a table."""

    frame: pl.DataFrame
    """A row per run: `run`, what varies, `error`, `digest`, then every metric."""
    axes: tuple[str, ...]
    """Columns of what varies."""
    ground: Ground
    grid: Grid
    folder: Path | None = None
    """Where it was written; None: nowhere."""

    def best(self, metric: str = BEST, *, lowest: bool | None = None) -> dict[str, Shown]:
        """Return the row with the best value of a metric.

        ``lowest``: whether less is better; None: as the metric's definition says. The first of equal ones. UserError
        for an unknown metric, RunError where no run has a value.
        """
        found = ranked(self.frame, metric, lowest)
        if not found.height:
            raise RunError(f"no run has a value of {metric}: {_first_error(self.frame)}")
        return found.row(0, named=True)

    def heatmap(self, x: str, y: str, metric: str = BEST) -> Heatmap:
        """Return the metric over two of the axes, shown in notebooks; the median over the others.

        UserError for a name that is not a column.
        """
        for name in (x, y):
            if name not in self.axes:
                raise UserError(f"nothing that varies is named {name!r}", "heatmap", nearest(name, self.axes))
        _known_metric(metric)
        return heatmap(self.frame, x, y, metric)

    def result(self, number: int, out: str | Path | None = None) -> Result:
        """Run one row again and return its full result; ``out`` is the folder of its report.

        UserError for a number that is not in the table, RunError where the result is no longer that of the row.
        """
        row = self.frame.filter(pl.col("run") == number)
        if not row.height:
            raise UserError(f"no run {number}", str(self.folder or "sweep"), f"it has {len(self.grid)}, from 0")
        job = self.grid.job(number)
        settings: dict[str, Any] = {**self.ground.settings, **job.settings, "params": job.params}
        data = settings.pop("data", self.ground.data)
        made = run(self.ground.strategy, data, out=out, mark_cost=out is not None, check=out is not None, **settings)
        expected = row["digest"][0]
        if expected is not None and made.digest != expected:
            thing = f"run {number} no longer gives the digest of its row: its data, strategy or program have changed"
            raise RunError(f"{thing} ({made.digest[:12]}…, not {expected[:12]}…)")
        return made

    def __repr__(self) -> str:
        """Return one line for a notebook or a prompt."""
        lost = self.frame["error"].drop_nulls().len()
        found = ranked(self.frame, BEST, None)
        best = f", best sharpe {found[BEST][0]:.2f} in run {found['run'][0]}" if found.height else ""
        where = f", in {self.folder}" if self.folder else ""
        return f"<Sweep of {self.frame.height:,} runs over {', '.join(self.axes)}, {lost} failed{best}{where}>"


def ranked(frame: pl.DataFrame, metric: str, lowest: bool | None = None) -> pl.DataFrame:
    """The rows with a value of the metric, the best first; equal ones by number."""
    _known_metric(metric)
    if lowest is None:
        lowest = METRICS[metric].better == "low" or METRICS[metric].cost
    known = frame.filter(pl.col(metric).is_not_null())
    return known.sort(metric, "run", descending=[not lowest, False])


def _known_metric(metric: str) -> None:
    if metric not in METRICS:
        raise UserError(f"no metric {metric!r}", "", nearest(metric, METRICS))


def _first_error(frame: pl.DataFrame) -> str:
    errors = frame["error"].drop_nulls()
    return str(errors[0]) if errors.len() else "it is undefined in all of them"


@keyword_errors(SWEEP)
def sweep(
    strategy: StrategySource | None = None,
    data: DataSource = "",
    *,
    progress: Callable[[SweepProgress], None] | None = None,
    **settings: Unpack[SweepKeywords],
) -> Sweep:
    """Run every combination of parameters and settings, or samples of them, and return a row for each.

    ``params``: values of each parameter, as a list, a text like ``"5:50:5"`` (both ends included), ``"1:100:log7"`` or
    ``"20,50,100"``, or one value. ``vary``: the same for settings, like ``{"margin": ["isolated", "cross"]}``.
    ``where``: an SQL condition over their names. ``samples`` draws that many, also from ``"5:50"`` without a step.
    Other settings hold for all runs. ``out``: the folder; the same sweep goes on there where it was killed.

    A run that fails is a row with its reason. Raises UserError for bad settings, data or axes before anything runs,
    RunError where every run has failed.
    """
    if os.environ.get(WORKER):
        thing = "sweep() was called while a worker imported this file"
        raise UserError(thing, "sweep", 'put the call under `if __name__ == "__main__":`')
    asked = checked(settings, SWEEP)
    planned = _planned(strategy, data, asked, {name: value for name, value in settings.items() if value is not None})
    grid, ground = planned.grid, planned.ground
    folder = None
    if asked.out is not None:
        folder = files.SweepFolder(Path(asked.out).absolute(), planned.about, grid, planned.document)
    try:
        rows = folder.rows if folder else {}
        frame = _run_all(planned, asked, rows, folder, progress)
        if folder:
            folder.write_table()
            if frame["digest"].drop_nulls().len():
                folder.write_page(render_sweep(frame, columns_of(grid.axes), planned.facts))
    finally:
        if folder:
            folder.close()
    if not frame["digest"].drop_nulls().len():
        where = f"; the rows are in {folder.folder}" if folder else ""
        raise RunError(f"all {frame.height:,} runs failed, the first: {_first_error(frame)}{where}")
    return Sweep(frame, columns_of(grid.axes), ground, grid, folder.folder if folder else None)


def grid_of(axes: Sequence[Axis], asked: RunSettings) -> Grid:
    """The combinations of the axes that are asked for."""
    if asked.samples is None:
        return all_of(axes, asked.where)
    return sampled(axes, asked.where, asked.samples, asked.sampler, asked.seed)


@dataclass(frozen=True)
class _Planned:
    """Everything that is known before the first run."""

    grid: Grid
    ground: Ground
    about: dict[str, Any]
    document: str
    facts: SweepFacts
    candles: int
    """Rows times symbols of one run, about."""


def _planned(
    strategy: StrategySource | None, data: DataSource, asked: RunSettings, given: Mapping[str, Any]
) -> _Planned:
    cls, spec = _class_of(chosen(strategy, asked))
    own = {told.name for told in settings_of(SWEEP) if told.group is Group.SWEEP} | {"params", "out"}
    for name in asked.vary:
        if name in given and name not in own:
            raise UserError(f"{name} is given and varied", "--vary", "give it once")
    catalog = data if isinstance(data, Catalog) else Catalog.open(data)
    axes = axes_of(cls._parameters, asked.params, asked.vary, cls.__name__)
    if not axes:
        raise UserError("nothing varies", "-p and --vary", "name values, like -p fast=5:50:5 or --vary leverage=2,5")
    grid = grid_of(axes, asked)
    fixed = {name: getattr(asked, name) for name in given if name not in own}
    symbols, rows, facts = _surveyed(cls, catalog, asked, grid, fixed)
    named = None if strategy is None else cls if spec.startswith(MEMORY) else spec
    ground = Ground(named, catalog.address, fixed)
    about = {
        "strategy": cls.__qualname__,
        "source": loader.source_sha256(cls),
        "fingerprints": _fingerprints(catalog, axes, asked.symbols),
        "settings": {name: _plain(getattr(asked, name)) for name in _shared(asked)},
        "axes": [axis.as_dict() for axis in axes],
        "where": asked.where,
        "samples": asked.samples,
        "sampler": asked.sampler if asked.samples else None,
        "seed": asked.seed,
        "runs": len(grid),
    }
    listed = replace(asked, data=catalog.address, params=_listed(asked.params), vary=_listed(asked.vary))
    specs = [] if strategy is None else [spec]
    document = document_text(SWEEP, listed, specs, Path(asked.out or ".").absolute())
    return _Planned(grid, ground, about, document, facts, symbols * rows)


def _surveyed(
    cls: type[base.Strategy], catalog: Catalog, asked: RunSettings, grid: Grid, fixed: Mapping[str, object]
) -> tuple[int, int, SweepFacts]:
    """What is wrong with data, venue or symbols for all runs comes out here, before any of them; facts for the page."""
    first = grid.job(0)
    probe = replace(asked, **first.settings, params={})  # type: ignore[arg-type]
    if "data" not in first.settings:
        _, profile = venue_of(probe, catalog)
        check_symbols(probe, catalog)
        selection = select(catalog, probe.symbols, probe.start_ms, probe.end_ms, probe.interval_ms)
        symbols, rows = len(selection.symbols), selection.rows
        span = (selection.start_ms, selection.start_ms + rows * selection.interval_ms)
        named = selection.symbols
    else:
        _, profile = venue_of(probe, catalog)
        symbols, rows, span, named = len(catalog.symbols), 0, (0, 0), catalog.symbols
    description = cls.describe()
    facts = SweepFacts(
        strategy=description.name, doc=description.doc, quote=catalog.quote, synthetic=catalog.synthetic,
        data=catalog.name, symbols=tuple(named), span=span, venue=profile.name,
        settings={name: _plain(value) for name, value in sorted(fixed.items())},
        where=asked.where or "",
    )  # fmt: skip
    return symbols, rows, facts


def _class_of(strategy: StrategySource) -> tuple[type[base.Strategy], str]:
    """The strategy's class, and the text that names it in another process; MEMORY before one that has none."""
    if isinstance(strategy, base.Strategy):
        thing = f"{type(strategy).__name__} is already made, with one set of parameters"
        raise UserError(thing, "sweep", "give its class")
    cls = strategy if isinstance(strategy, type) else loader.find(str(strategy))
    if not issubclass(cls, base.Strategy):
        raise UserError(f"{cls.__name__} is not a Strategy", "", "derive it: class Name(Strategy)")
    spec = f"{cls.__module__}:{cls.__qualname__}"
    # Of a script or a notebook that is running: reading it again would run it again.
    return cls, MEMORY + cls.__qualname__ if cls.__module__ == "__main__" else named_again(strategy, spec)


def _shared(asked: RunSettings) -> list[str]:
    """Names of the settings that every run has and its result depends on."""
    return sorted(told.name for told in variable() if told.name not in (*asked.vary, "data", "seed"))


def _fingerprints(catalog: Catalog, axes: Sequence[Axis], symbols: Sequence[str] | None) -> list[str]:
    """Of each dataset that the sweep runs on: its files and their footers."""
    others = [str(value) for axis in axes if axis.of == SETTING and axis.name == "data" for value in axis.values]
    found = [Catalog.open(path) for path in others] or [catalog]
    return [select(one, symbols).fingerprint() for one in found]


def _plain(value: object) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return value if isinstance(value, int | float | str | None) else str(value)


def _listed(values: Mapping[str, object]) -> dict[str, object]:
    """Values as TOML has them: ranges and arrays as lists."""
    plain = int | float | str | bool
    return {
        name: value if isinstance(value, plain) else [one.item() if hasattr(one, "item") else one for one in value]  # type: ignore[attr-defined]
        for name, value in values.items()
    }


def _run_all(
    planned: _Planned,
    asked: RunSettings,
    rows: dict[int, Row],
    folder: files.SweepFolder | None,
    progress: Callable[[SweepProgress], None] | None,
) -> pl.DataFrame:
    """Play the runs that have no row yet, and return the table of all."""
    grid, resumed = planned.grid, len(rows)
    left = [number for number in range(len(grid)) if number not in rows]
    standing = _Standing(len(grid), resumed, rows, grid)
    workers = min(asked.workers or os.cpu_count() or 1, max(1, len(left)))
    threads = asked.threads or not isinstance(planned.ground.strategy, str | None)
    pool: Pool[Job] | ClusterPool[Job]
    if asked.cluster is not None:
        pool = ClusterPool(Task(PLAYER, _anywhere(planned.ground)), asked.cluster)
    else:
        around = {} if threads else worker_environment(planned.candles * len(left), workers)
        pool = Pool(Task(PLAYER, planned.ground), workers, threads, around)
    following = len(rows) + TABLE_EVERY

    def arrived(job: Job, answer: Row | Died) -> None:
        nonlocal following
        row = failed(answer.reason) if isinstance(answer, Died) else answer
        rows[job.run] = row
        if folder:
            folder.add(job.run, row)
            if len(rows) >= following:
                folder.write_table()
                following = max(len(rows) + TABLE_EVERY, len(rows) * 5 // 4)
        standing.add(job.run, row)
        if progress:
            progress(standing.told())

    if progress:
        progress(standing.told())
    try:
        for _ in pool.answers((grid.job(number) for number in left), arrived) if left else ():
            continue
    except BaseException:
        if folder and rows:
            with suppress(UserError):  # the log has them
                folder.write_table()
        raise
    return files.table(grid, rows)


def _anywhere(ground: Ground) -> Ground:
    """The ground as processes in other folders find it; UserError for a strategy that only this process has."""
    data = ground.data if is_remote(ground.data) else str(located(Path(ground.data)).absolute())
    if ground.strategy is None:
        return replace(ground, data=data)
    if not isinstance(ground.strategy, str):
        raise UserError("the strategy exists only in this process", "--cluster", "save its class in a file")
    base_, colon, name = ground.strategy.rpartition(":")
    file = base_ if colon and loader.is_path(base_) else ground.strategy
    if not loader.is_path(file):
        return replace(ground, data=data)
    spec = f"{Path(file).absolute()}{colon}{name}" if file == base_ else str(Path(file).absolute())
    return replace(ground, strategy=spec, data=data)


class _Standing:
    """What is told of a sweep while it runs."""

    def __init__(self, runs: int, resumed: int, rows: Mapping[int, Row], grid: Grid) -> None:
        self._runs, self._resumed, self._grid = runs, resumed, grid
        self._done = self._failed = 0
        self._best: tuple[float, int, Row] | None = None
        for number, row in rows.items():
            self.add(number, row)

    def add(self, number: int, row: Row) -> None:
        """Count a row."""
        self._done += 1
        self._failed += row["error"] is not None
        value = row[BEST]
        if isinstance(value, int | float) and (self._best is None or (-value, number) < self._best[:2]):
            self._best = -value, number, row

    def told(self) -> SweepProgress:
        """How far it is."""
        best = None
        if self._best:
            _, number, row = self._best
            best = {"run": number, **self._grid.frame.row(number, named=True), **row}
        return SweepProgress(self._done, self._runs, self._resumed, self._failed, best)
