"""The same run in fresh processes: whether they agree tells chance from state that outlives an account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backtest.core.errors import BacktestError
from backtest.research.workers import Died, Pool, Task
from backtest.results.judgement import judged
from backtest.runner.plan import plan_of
from backtest.runner.replays import in_place, replay
from backtest.runner.settings import RunSettings
from backtest.strategy.base import Strategy
from backtest.strategy.loader import StrategySource


@dataclass(frozen=True)
class Repetition:
    """A run that another process can make."""

    strategy: StrategySource
    data: str
    asked: RunSettings
    modes: tuple[str, ...]


def player(given: Repetition) -> Callable[[int], str]:
    """Return what replays the run in this process and gives its digest, or what went wrong."""

    def play(_: int) -> str:
        try:
            planned = in_place(plan_of(given.strategy, given.data, given.asked), given.modes, None, None)
            (record,) = replay(planned, given.modes, None, None)
            return judged(record, planned.chaining.chain)[2]
        except BacktestError as error:
            return str(error)

    return play


def differs_by_process(run: Repetition) -> bool | None:
    """Whether two fresh processes, with other seeds of hashing, give other digests; None: they cannot make the run."""
    if isinstance(run.strategy, Strategy) or (isinstance(run.strategy, type) and run.strategy.__module__ == "__main__"):
        return None
    digests = []
    for seed in ("1", "2"):
        pool: Pool[int] = Pool(
            Task("backtest.research.repetition:player", run), 1, environment={"PYTHONHASHSEED": seed}
        )
        try:
            answers: list[Any] = [answer for _, answer in pool.answers([0])]
        except (BacktestError, AttributeError, TypeError):
            return None
        if not answers or isinstance(answers[0], Died):
            return None
        digests.append(answers[0])
    return len(set(digests)) > 1
