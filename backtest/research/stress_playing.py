"""The runs of a stress: those without a scenario first, then each scenario at its instants, on worker processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.durations import parse as length_of
from backtest.core.errors import UserError
from backtest.core.times import DAY_MS, stamp
from backtest.data.scenarios.cascade import turnover_before
from backtest.data.scenarios.overlay import Overlay
from backtest.data.scenarios.pack import Pack
from backtest.data.scenarios.realised import Returns, read
from backtest.data.scenarios.schema import ALL, Scenario
from backtest.data.scenarios.values import START, WORST
from backtest.data.select import select
from backtest.data.selection import Selection
from backtest.report.stress_page import Curve, ScenarioCurves
from backtest.research import survival
from backtest.research.kernels import worker_environment
from backtest.research.scenario_effects import Effects, Ground, effects, matched, place_of
from backtest.research.stress_run import Account, Answer, StressGround, StressJob, thinned
from backtest.research.workers import Died, Pool, Task
from backtest.research.worst_instant import closing_marks, worst_instant
from backtest.runner.plan import Plan
from backtest.runner.settings import RunSettings

PLAYER = "backtest.research.stress_run:player"
BEFORE_MS, AFTER_MS = DAY_MS, 2 * DAY_MS
"""What a chart shows before a scenario begins and after it is over."""
MOST_SHOWN = 30 * DAY_MS
"""Of a scenario that lasts longer, its beginning."""
Progress = Callable[[int, int], None]
"""Called with runs done and runs in all."""


@dataclass(frozen=True)
class Variant:
    """One combination of what varies, and its plan without a scenario."""

    number: int
    settings: dict[str, object]
    shown: dict[str, Any]
    """What varies, but for the venue."""
    plan: Plan
    modes: tuple[str, ...]
    left_out: Mapping[str, str]
    """Margin modes that the venue does not have, and why."""

    @property
    def venue(self) -> str:
        """Name of its venue."""
        return self.plan.profile.name

    @property
    def span(self) -> tuple[int, int]:
        """Start and end of the run, ms."""
        s = self.plan.selection
        return s.start_ms, s.start_ms + s.rows * s.interval_ms


@dataclass
class History:
    """What scenarios on one variant are measured by, read when it is first asked for."""

    variant: Variant
    pack: Pack

    @cached_property
    def known(self) -> tuple[str, ...]:
        """Markets of the run, and those of the data that a scenario names."""
        s = self.variant.plan.selection
        start, end = self.variant.span
        lives = {n: m for n, m in s.catalog.markets.items() if m.first_ms < end and m.last_ms >= start}
        events = [event for scenario in self.pack.scenarios for event in scenario.price if event.symbols != ALL]
        named = {symbol for event in events for symbol in matched(event.symbols, list(lives))}
        return tuple(sorted({*s.symbols, *named}))

    @cached_property
    def returns(self) -> Returns:
        """Returns of all of these."""
        return read(self.variant.plan.selection.catalog, self.known, *self.variant.span)

    @cached_property
    def marks(self) -> NDArray[np.float64]:
        """Marks at closes."""
        return closing_marks(self.variant.plan.selection)

    @property
    def ground(self) -> Ground:
        """What scenarios are put on."""
        p = self.variant.plan
        s = p.selection

        def stretch(overlay: Overlay, start: int, end: int) -> Selection:
            first = s.start_ms + (start - s.start_ms) // s.interval_ms * s.interval_ms
            last = min(end, self.variant.span[1])
            return select(replace(s.catalog, overlay=overlay), s.symbols, first, last, s.interval_ms)

        def turnover(symbol: str, at: int) -> float:
            return turnover_before(s.catalog, symbol, at)

        return Ground(s.symbols, self.known, lambda: self.returns, p.config.seed, stretch, turnover)


@dataclass
class Playing:
    """One stress while it runs."""

    ground: StressGround
    variants: Sequence[Variant]
    pack: Pack
    asked: RunSettings
    progress: Progress
    _answers: dict[tuple[int, int], Answer] = field(default_factory=dict)
    """By scenario and variant."""
    _placed: dict[tuple[int, int], tuple[tuple[int, ...], Effects | None]] = field(default_factory=dict)
    """Instants and effects likewise; None: placed nowhere, as nothing is held."""

    def rows(self) -> tuple[pl.DataFrame, list[ScenarioCurves]]:
        """Play everything, and return the survival table and a chart's curves for each scenario."""
        playable = [one for one in self.variants if one.modes]
        runs = len(playable) * (1 + len(self.pack.scenarios))
        self.progress(0, runs)
        in_process = not isinstance(self.ground.strategy, str | None)
        workers = min(self.asked.workers or os.cpu_count() or 1, max(1, runs))
        plan = playable[0].plan.selection
        cells = sum(plan.rows * len(plan.symbols) * len(one.modes) for one in playable) * (1 + len(self.pack.scenarios))
        around = {} if in_process else worker_environment(cells, workers)
        pool: Pool[StressJob] = Pool(Task(PLAYER, self.ground), workers, in_process, around)

        def arrived(job: StressJob, answer: Answer | Died) -> None:
            found = Answer(error=answer.reason) if isinstance(answer, Died) else answer
            if found.usage:
                raise UserError(found.error)
            self._answers[job.scenario, job.variant] = found
            self.progress(len(self._answers), runs)

        for _ in pool.answers(self._jobs(playable), arrived):
            continue
        varied = {name: pl.Series([one.shown[name] for one in self.variants]).dtype for name in self.variants[0].shown}
        frame = pl.DataFrame(list(self._table()), schema=survival.schema(varied), orient="row")
        return frame, list(self._curves())

    def _jobs(self, variants: Sequence[Variant]) -> Iterator[StressJob | None]:
        for one in variants:
            yield StressJob(one.number, one.settings, one.modes)
        histories = {one.number: History(one, self.pack) for one in variants}
        for n, scenario in enumerate(self.pack.scenarios):
            for one in variants:
                while not all((-1, other.number) in self._answers for other in variants):
                    yield None
                base = self._answers[-1, one.number]
                if base.error:
                    continue
                instants, done = self._place(scenario, one, histories[one.number], base)
                self._placed[n, one.number] = instants, done
                if done is None or not done.changes:
                    # The same run as without the scenario: it need not be played to be known.
                    self._answers[n, one.number] = base
                    continue
                yield StressJob(one.number, one.settings, one.modes, done, n, _window(scenario, instants))

    def _place(
        self, scenario: Scenario, one: Variant, history: History, base: Answer
    ) -> tuple[tuple[int, ...], Effects | None]:
        """The instants of a scenario on a variant, and what it does at them."""
        ground = history.ground
        if scenario.at != (WORST,):
            instants = tuple(_instant(text, one.span, place_of(scenario)) for text in scenario.at)
            return instants, effects(scenario, instants, ground)
        found = worst_instant(scenario, one.plan.selection, history.marks, base.book, ground)
        if found is None:
            return (), None
        return (found.at_ms,), effects(scenario, (found.at_ms,), ground)

    def _table(self) -> Iterator[dict[str, Any]]:
        for n, scenario in [(-1, None), *enumerate(self.pack.scenarios)]:
            for one in self.variants:
                instants, done = self._placed.get((n, one.number), ((), None))
                answer, base = self._answers.get((n, one.number)), self._answers.get((-1, one.number))
                plain = {account.margin: account for account in base.accounts} if base else {}
                for mode in self.asked.margin_modes:
                    account = next((a for a in answer.accounts if a.margin == mode), None) if answer else None
                    if account is None:
                        why = one.left_out.get(mode) or (answer.error if answer else base.error if base else "")
                        yield survival.lost(scenario, one.shown, one.venue, mode, why)
                        continue
                    at = instants[0] if instants else None
                    beside = None if scenario is None else plain[mode]
                    yield survival.row(scenario, one.shown, one.venue, at, account, beside, done)

    def _curves(self) -> Iterator[ScenarioCurves]:
        """The equity around each scenario, and without it."""
        several = len(self.variants) > 1
        for n, scenario in enumerate(self.pack.scenarios):
            drawn, spans = [], []
            for one in self.variants:
                instants, _ = self._placed.get((n, one.number), ((), None))
                answer, base = self._answers.get((n, one.number)), self._answers.get((-1, one.number))
                if not instants or answer is None or base is None:
                    continue
                window = _window(scenario, instants)
                spans.append(window)
                label = ", ".join([one.venue, *map(str, one.shown.values())]) if several else ""
                drawn += [Curve(a.margin, label, *_cut(a, window)) for a in answer.accounts]
                drawn += [Curve(a.margin, label, *_cut(a, window), plain=True) for a in base.accounts if not several]
            begin = min((window[0] for window in spans), default=0)
            end = max((window[1] for window in spans), default=0)
            yield ScenarioCurves(scenario.name, scenario.title, begin, end, tuple(drawn))


def _instant(text: str | int, span: tuple[int, int], place: str) -> int:
    """A time of a scenario, ms; UserError for one outside of the run."""
    at = text if isinstance(text, int) else span[0]
    if isinstance(text, str) and (plus := text.removeprefix(START).strip().removeprefix("+").strip()):
        at = span[0] + length_of(plus, place)
    if not span[0] <= at < span[1]:
        thing = f"at = {stamp(at)} lies outside of the run, {stamp(span[0])} to {stamp(span[1])}"
        raise UserError(thing, place, 'give a time inside it, or "worst"')
    return at


def _window(scenario: Scenario, instants: Sequence[int]) -> tuple[int, int]:
    """What a chart of the scenario shows."""
    return instants[0] - BEFORE_MS, instants[0] + min(scenario.span_ms, MOST_SHOWN) + AFTER_MS


def _cut(account: Account, window: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The account's equity in a window."""
    times, values = account.curve
    inside = (times >= window[0]) & (times <= window[1])
    return thinned(times[inside], values[inside])
