"""One path of a Monte Carlo: another history of the same markets, replayed through the engine in each margin mode."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from backtest.core.errors import BacktestError
from backtest.core.records import Record
from backtest.data.catalog import Catalog
from backtest.data.resampled import JointCandles
from backtest.data.select import select
from backtest.research.statistics import stationary_rows
from backtest.results import ledger
from backtest.results.metrics import metrics as measured
from backtest.results.trades import round_trips
from backtest.runner.plan import Plan, plan_of
from backtest.runner.replays import in_place, replay
from backtest.runner.settings import RunSettings
from backtest.runner.truncation import over
from backtest.strategy.loader import StrategySource

CANDLES, STARTS, TRADES = "candles", "starts", "trades"
POINTS = 200
"""Of a path's equity that its page draws."""
LATEST = 0.5
"""Starts are drawn from this first part of the history."""

Floats = NDArray[np.float64]
Row: TypeAlias = dict[str, float | int | str | bool | None]


@dataclass(frozen=True)
class PathGround:
    """What all paths have in common."""

    strategy: StrategySource | None
    data: str
    asked: RunSettings
    modes: tuple[str, ...]
    block_rows: float | None
    """Mean length of a block; None: the history as it is."""


@dataclass(frozen=True)
class PathRun:
    """What came of one path, by margin mode."""

    rows: dict[str, Row]
    curves: dict[str, Floats]
    """Equity at `POINTS` times that are evenly apart, the first one the deposit."""
    error: str | None = None


def player(ground: PathGround) -> Callable[[int], PathRun]:
    """Return what replays paths by number in this process; the candles are read once."""
    catalog = Catalog.open(ground.data)
    with _quiet():
        whole = in_place(plan_of(ground.strategy, catalog, ground.asked), ground.modes, None, None)
    joint = None if ground.asked.resample == STARTS else JointCandles.of(whole.selection, whole.chaining.oracle.median)

    def play(number: int) -> PathRun:
        rng = np.random.default_rng([ground.asked.seed, number])
        try:
            with _quiet():
                return path_run(_path(whole, joint, ground.block_rows, rng), ground.modes)
        except BacktestError as error:
            return PathRun({}, {}, str(error))

    return play


def _path(whole: Plan, joint: JointCandles | None, block: float | None, rng: np.random.Generator) -> Plan:
    """The run on a history that is drawn."""
    if joint is None:
        return _started(whole, rng)
    rows = np.arange(joint.rows) if block is None else stationary_rows(joint.rows, block, rng)
    return over(whole, joint.history(rows))


def _started(whole: Plan, rng: np.random.Generator) -> Plan:
    """The run on the data from a random start on."""
    s = whole.selection
    start_ms = s.start_ms + int(rng.integers(0, max(1, int(s.rows * LATEST)))) * s.interval_ms
    end_ms = s.start_ms + s.rows * s.interval_ms
    return over(whole, select(s.catalog, s.symbols, start_ms, end_ms, s.interval_ms, kept=False))


def path_run(planned: Plan, modes: tuple[str, ...]) -> PathRun:
    """Replay a plan in these modes; what came of each."""
    rows: dict[str, Row] = {}
    curves: dict[str, Floats] = {}
    for mode, record in zip(modes, replay(planned, modes, None, None), strict=True):
        # The books balance, or it fails; tables and a digest, which nobody reads, are not made of thousands of paths.
        metrics = measured(record, ledger.balance(record), round_trips(record))
        first = int(record.liquidations["ts_ms"][0]) - record.start_ms if len(record.liquidations) else None
        rows[mode] = {
            "final_equity": metrics["final_equity"],
            "return": metrics["return"],
            "max_drawdown": metrics["max_drawdown_inside"],
            "sharpe": metrics["sharpe"],
            "liquidations": metrics["liquidations"],
            "liquidated_after_ms": first,
            "survived": not metrics["liquidations"] and metrics["final_equity"] > 0,
        }
        curves[mode] = thinned(record)
    return PathRun(rows, curves)


def thinned(record: Record) -> Floats:
    """The deposit, and the equity at the closes of even parts of the run."""
    equity = np.concatenate(([record.cash / 1e6], record.curve["equity"]))
    at = np.linspace(0, len(equity) - 1, POINTS).round().astype(int)
    found: Floats = equity[at]
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """What a strategy prints is shown by the plain run alone."""
    with redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
