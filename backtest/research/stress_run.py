"""One run of a stress in a worker: a scenario, or none, on one variant of the settings, in every margin mode of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backtest.core.errors import BacktestError, CacheWarning, UserError
from backtest.data.catalog import Catalog
from backtest.research.scenario_effects import Effects
from backtest.research.scenario_plan import planned_under
from backtest.research.worst_instant import Lots, book_of
from backtest.results.judgement import judged
from backtest.results.lazy_tables import Tables
from backtest.results.metric_definitions import Metrics
from backtest.results.summary import plain
from backtest.runner.plan import Plan, plan_of
from backtest.runner.replays import in_place, replay
from backtest.runner.setting import RUN
from backtest.runner.shared_data import SharedData
from backtest.runner.timeout import within
from backtest.runner.validation import checked
from backtest.strategy.loader import StrategySource

Floats = NDArray[np.float64]
NOT_LIQUIDATED = ("deleveraged", "shortfall")
"""Stages that are no liquidation of the account itself."""
MOST_POINTS = 240
"""Of a curve that a page draws."""


@dataclass(frozen=True)
class StressGround:
    """What all runs of a stress have in common."""

    strategy: StrategySource | None
    data: str
    settings: Mapping[str, object]
    """Keyword arguments of `run`, checked; without the margin mode."""
    own_modes: tuple[str, ...] = ()
    """Margin modes of single markets, as SYMBOL=mode."""


@dataclass(frozen=True)
class StressJob:
    """One replay of all margin modes."""

    variant: int
    settings: Mapping[str, object]
    """Of the variant, over those of all runs."""
    modes: tuple[str, ...]
    effects: Effects = field(default_factory=Effects)
    scenario: int = -1
    """Its number; −1: none."""
    window: tuple[int, int] | None = None
    """Start and end, ms, of the curve that is wanted; None: all of it."""


@dataclass(frozen=True)
class Account:
    """What came of one margin mode."""

    margin: str
    digest: str
    final_equity: float
    profit: float | None
    min_distance: float | None
    bad_debt: float
    liquidations: int
    first_liquidation: int | None
    """Ms since 1970."""
    first_symbol: str = ""
    first_price: float | None = None
    adl: bool = False
    fees: float = 0.0
    funding: float = 0.0
    curve: tuple[NDArray[np.int64], Floats] = field(default_factory=lambda: (np.empty(0, np.int64), np.empty(0)))


@dataclass(frozen=True)
class Answer:
    """What came of a job: an account for each margin mode, or why it has no account."""

    accounts: tuple[Account, ...] = ()
    book: Mapping[str, Lots] = field(default_factory=dict)
    """What all accounts together held; of runs without a scenario."""
    error: str = ""
    usage: bool = False
    """Whether the error is the user's, who then gets no table."""


def player(ground: StressGround) -> Callable[[StressJob], Answer]:
    """Return what plays jobs in this process; each variant is planned once."""
    plans: dict[int, Plan] = {}
    catalogs: dict[str, Catalog] = {}

    def play(job: StressJob) -> Answer:
        def answer() -> Answer:
            if job.variant not in plans:
                plans[job.variant] = plan_variant(ground, job, catalogs)
            return _answer(plans[job.variant], job)

        limit = ground.settings.get("timeout")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CacheWarning)  # the coordinator has said it
            try:
                return within(float(limit) if isinstance(limit, int | float) else None, answer)
            except BacktestError as error:
                return Answer(error=str(error), usage=isinstance(error, UserError))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001  a fault of one run is no reason to lose the others
                return Answer(error=f"{type(error).__name__}: {error}")

    return play


def plan_variant(ground: StressGround, job: StressJob, catalogs: dict[str, Catalog]) -> Plan:
    """The plan of a variant without a scenario; each dataset is opened once."""
    settings = {**ground.settings, **job.settings}
    data = str(settings.pop("data", ground.data))
    if data not in catalogs:
        catalogs[data] = Catalog.open(data)
    margin = (*job.modes[:1], *ground.own_modes)
    asked = checked({**settings, "margin": margin}, RUN)
    return plan_of(ground.strategy, catalogs[data], asked, shared=SharedData())


def _answer(base: Plan, job: StressJob) -> Answer:
    """Play a job."""
    planned = in_place(planned_under(base, job.effects), job.modes, None, None)
    accounts, records = [], []
    for record in replay(planned, job.modes, None, None):
        frames, metrics, digest = judged(record, planned.chaining.chain)
        accounts.append(_account(record.margin, frames, metrics, digest, job.window))
        if job.scenario < 0:
            records.append(record)
    return Answer(tuple(accounts), book_of(records))


def _account(margin: str, frames: Tables, metrics: Metrics, digest: str, window: tuple[int, int] | None) -> Account:
    deaths = frames["liquidations"]
    stages = deaths["stage"].to_list() if deaths.height else []
    closed = [n for n, stage in enumerate(stages) if stage not in NOT_LIQUIDATED]
    first = deaths.row(closed[0], named=True) if closed else None
    numbers = plain(metrics)
    return Account(
        margin, digest, float(numbers["final_equity"]), numbers["return"], numbers["min_distance_inside"],
        float(numbers["bad_debt"]), int(numbers["liquidations"]),
        int(first["ts"].timestamp() * 1000) if first else None,
        str(first["symbol"] or first["pool"]) if first else "", first["price"] if first else None,
        "deleveraged" in stages,
        float(numbers["fees"]), float(numbers["funding"]), _curve(frames, window),
    )  # fmt: skip


def _curve(frames: Tables, window: tuple[int, int] | None) -> tuple[NDArray[np.int64], Floats]:
    """Equity at closes, in a window thinned to what a chart shows."""
    equity = frames.table("equity").frame()
    times = equity["ts"].to_physical().to_numpy()
    values = equity["equity"].to_numpy()
    if window is None:
        return times, values
    inside = np.flatnonzero((times >= window[0]) & (times <= window[1]))
    return thinned(times[inside], values[inside])


def thinned(times: NDArray[np.int64], values: Floats) -> tuple[NDArray[np.int64], Floats]:
    """At most `MOST_POINTS` points: of each stretch its lowest, which is what a stress is about."""
    size = -(-len(times) // MOST_POINTS) or 1
    if size == 1:
        return times, values
    kept = [start + int(np.argmin(values[start : start + size])) for start in range(0, len(times), size)]
    return times[kept], values[kept]
