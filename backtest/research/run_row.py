"""One run of a sweep as a row of its table: every metric of a report, without the report."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from backtest.core.errors import BacktestError, CacheWarning
from backtest.data.catalog import Catalog
from backtest.research.grid import Job
from backtest.results.judgement import judged
from backtest.results.metric_definitions import METRICS, by_name
from backtest.results.summary import plain
from backtest.runner.plan import plan_of
from backtest.runner.replays import in_place, replay
from backtest.runner.run import one_mode
from backtest.runner.setting import RUN
from backtest.runner.shared_data import SharedData
from backtest.runner.timeout import within
from backtest.runner.validation import checked
from backtest.strategy.loader import StrategySource

Row: TypeAlias = dict[str, float | int | str | None]
"""Digest and metrics, or the reason why there are none in `error`."""


@dataclass(frozen=True)
class Ground:
    """What all runs of a sweep have in common."""

    strategy: StrategySource | None
    """None: positions are held. Not an instance: each run makes one with its own parameters."""
    data: str
    settings: Mapping[str, object]
    """Keyword arguments of `run`, checked; without the parameters."""


def player(ground: Ground) -> Callable[[Job], Row]:
    """Return what plays the runs of a sweep in this process; each dataset is opened and prepared once."""
    catalogs: dict[str, Catalog] = {}
    shared: dict[str, SharedData] = {}

    def play(job: Job) -> Row:
        settings = {**ground.settings, **job.settings, "params": job.params}
        data = str(settings.pop("data", ground.data))

        def row() -> Row:
            if data not in catalogs:
                catalogs[data], shared[data] = Catalog.open(data), SharedData()
            return _row(ground.strategy, catalogs[data], settings, shared[data])

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CacheWarning)  # the coordinator has said it
            return _or_reason(row, settings.get("timeout"))

    return play


def _row(strategy: StrategySource | None, catalog: Catalog, settings: Mapping[str, object], shared: SharedData) -> Row:
    asked = checked(settings, RUN)
    modes = one_mode(asked, "a run has one; vary it with --vary margin=isolated,cross")
    planned = in_place(plan_of(strategy, catalog, asked, shared=shared), modes, None, None)
    (record,) = replay(planned, modes, None, None)
    _, metrics, digest = judged(record, planned.chaining.chain)
    numbers = plain(by_name(metrics))
    return {"digest": digest, "error": None, **{name: numbers[name] for name in METRICS}}


def _or_reason(row: Callable[[], Row], timeout: object) -> Row:
    """The row, or one with the reason why the run failed."""
    try:
        return within(float(timeout) if isinstance(timeout, int | float) else None, row)
    except BacktestError as error:
        return failed(str(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  a fault of one run is no reason to lose the others
        return failed(f"{type(error).__name__}: {error}")


def failed(reason: str) -> Row:
    """Return the row of a run that failed."""
    return {"digest": None, "error": reason, **dict.fromkeys(METRICS)}
