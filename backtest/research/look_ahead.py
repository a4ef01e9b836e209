"""`check`: does a strategy know the future, does it repeat, does it keep to itself?

Replays the strategy on data that end at many cuts, on other futures and on candles in a random order, and compares.
The quick form of it comes with every run (`runner.quick_check`).
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, Unpack

import numpy as np

from backtest.core.errors import Broken, RunError, UserError
from backtest.core.records import Record
from backtest.core.times import stamp
from backtest.data.catalog import DataSource
from backtest.data.resampled import JointCandles
from backtest.research.repetition import Repetition, differs_by_process
from backtest.research.source_scan import Passage, scan
from backtest.research.telling import Telling, most_telling
from backtest.runner.origins import keyword_errors
from backtest.runner.plan import Plan, plan_of
from backtest.runner.replays import in_place, replay
from backtest.runner.run import one_mode
from backtest.runner.run_keywords import CheckKeywords
from backtest.runner.setting import CHECK
from backtest.runner.settings import RunSettings
from backtest.runner.timeout import within
from backtest.runner.truncation import (
    Difference,
    differences,
    over,
    truncated,
    warm_row,
)
from backtest.runner.validation import checked
from backtest.strategy import base
from backtest.strategy.loader import StrategySource

FUTURES = (0.35, 0.75)
"""Shares of the history behind which another future is drawn."""
SUSPICIOUS = 6.0
"""|z| of a rank correlation with the next candle's move, on candles in a random order, that chance does not give."""
LEAST_ROWS = 100
"""Rows below which a correlation says nothing."""

Kind: TypeAlias = Literal["look-ahead", "not repeatable", "shared state", "outside"]
CheckProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with the part that begins, how many replays are done, and how many there are in all."""


@dataclass(frozen=True)
class Finding:
    """Something that makes the numbers of a strategy wrong."""

    kind: Kind
    said: str
    place: str
    """`file.py:LINE`; the class where there is no file."""
    feature: str = ""
    symbol: str = ""
    ts_ms: int | None = None
    """Close of the first candle that differs, or the time of the order or fill, ms UTC."""


@dataclass(frozen=True, repr=False)
class Check:
    """What was compared and what was found."""

    findings: tuple[Finding, ...]
    suspicions: tuple[Passage, ...]
    """Places in the source that could use later rows, and that no replay has shown to do so."""
    cuts_ms: tuple[int, ...]
    """Where the data were cut, ms UTC."""
    futures_ms: tuple[int, ...]
    """From when other futures were drawn."""
    telling: Telling | None
    """The feature, target or position that goes best with the next candle of a random order; None: nothing varied."""
    left_out: tuple[str, ...] = field(default=())
    """What could not be compared, and why."""

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def __repr__(self) -> str:
        """Return a line per finding for a notebook or a prompt."""
        said = "passed" if self.passed else f"{len(self.findings)} found"
        head = f"<Check: {said}, {len(self.cuts_ms)} cuts, {len(self.futures_ms)} other futures>"
        return "\n".join([head, *(f"  {one.kind}: {one.place}: {one.said}" for one in self.findings)])


@keyword_errors(CHECK)
def check(
    strategy: StrategySource,
    data: DataSource,
    *,
    progress: CheckProgress | None = None,
    **settings: Unpack[CheckKeywords],
) -> Check:
    """Look for look-ahead, chance without a seed, shared state and outside sources in a strategy.

    ``strategy`` and ``data`` as of `run`. ``settings``: those of `run`, and ``cuts``. Nothing is written. Raises
    UserError and RunError as `run` does.
    """
    asked = checked(settings, CHECK)
    modes = one_mode(asked, "a check replays one; the strategy is the same in others")
    return within(asked.timeout, lambda: _Examination(strategy, data, asked, modes, progress or _silent).made())


class _Examination:
    """One check under way: the run as it is, and what is found beside it."""

    def __init__(
        self,
        strategy: StrategySource,
        data: DataSource,
        asked: RunSettings,
        modes: tuple[str, ...],
        tell: CheckProgress,
    ) -> None:
        self._strategy, self._data, self._asked, self._modes, self._tell = strategy, data, asked, modes, tell
        self._done, self._total = 0, asked.cuts + len(FUTURES) + 3
        self._found: dict[tuple[str, ...], Finding] = {}
        self._left_out: list[str] = []

    def made(self) -> Check:
        """Go through all parts."""
        self._step("the run as it is")
        whole = in_place(plan_of(self._strategy, self._data, self._asked), self._modes, None, None)
        (record,) = replay(whole, self._modes, None, None)
        with _quiet():
            self._step("the same again")
            repeats = self._repeat(whole, record)
            cuts = self._cut(whole, record) if repeats else ()
            joint = self._joint(whole)
            futures = self._other_futures(whole, joint) if joint else ()
            self._step("candles in a random order")
            telling = self._shuffled(whole, joint) if joint and joint.rows >= LEAST_ROWS else None
        passages = scan(whole.strategy)
        self._take(Finding("outside", one.said, one.place) for one in passages if one.certain)
        suspicions = tuple(one for one in passages if not one.certain)
        left_out = tuple(dict.fromkeys(self._left_out))
        return Check(tuple(self._found.values()), suspicions, cuts, futures, telling, left_out)

    def _step(self, part: str) -> None:
        self._tell(part, self._done, self._total)
        self._done += 1

    def _take(self, found: Iterable[Finding]) -> None:
        """Keep the first finding of each kind, place and feature."""
        for one in found:
            self._found.setdefault((one.kind, one.place, one.feature), one)

    def _repeat(self, whole: Plan, record: Record) -> bool:
        """Whether the same run comes out the same; if not, two fresh processes tell chance from state."""
        again = in_place(plan_of(self._strategy, self._data, self._asked), self._modes, None, None)
        (other,) = replay(again, self._modes, None, None)
        end_ms = whole.selection.start_ms + whole.selection.rows * whole.selection.interval_ms
        first = next(differences(whole, record, again, other, end_ms + 1), None)
        if first is None:
            return True
        repetition = Repetition(self._strategy, str(whole.config.data), whole.config, self._modes)
        by_chance = differs_by_process(repetition)
        said = f"{_named(first)} is {first.before}, then {first.after} when the same run is replayed again"
        where: dict[bool | None, tuple[Kind, str]] = {
            True: (
                "not repeatable",
                "chance without a seed, a clock or the order of a set: use self.rng and market.now",
            ),
            False: ("shared state", "something of the class or the module outlives an account: make it in on_start"),
            None: ("not repeatable", "chance without a seed, or something that outlives an account"),
        }
        kind, why = where[by_chance]
        self._take([Finding(kind, f"{said}; {why}", first.place, first.name, first.symbol, first.ts_ms)])
        self._left_out.append("data that end early: the run itself does not repeat")
        return False

    def _cut(self, whole: Plan, record: Record) -> tuple[int, ...]:
        """Replays on data that end at cuts, more of them early, where a replay is short."""
        s, cuts = whole.selection, []
        for row in cut_rows(warm_row(whole), s.rows, self._asked.cuts):
            cut_ms = s.start_ms + row * s.interval_ms
            self._step(f"data that end at {stamp(cut_ms)}")
            try:
                other = truncated(whole, cut_ms)
                (after,) = replay(other, self._modes, None, None)
            except (RunError, UserError) as error:
                self._left_out.append(f"a cut, where the strategy fails on so few candles: {error}")
                continue
            cuts.append(cut_ms)
            self._take(_look_ahead(one, "data that end at") for one in differences(whole, record, other, after, cut_ms))
        return tuple(cuts)

    def _joint(self, whole: Plan) -> JointCandles | None:
        """The candles that all markets have at one time, to make other histories of."""
        try:
            return JointCandles.of(whole.selection, whole.chaining.oracle.median)
        except Broken:
            self._left_out.append("other futures and random orders: the markets never trade at one time")
        return None

    def _other_futures(self, whole: Plan, joint: JointCandles) -> tuple[int, ...]:
        """Features and targets where what follows is another history."""
        starts, rng = [], np.random.default_rng(whole.config.seed)
        mine: Plan | None = None
        for share in FUTURES:
            row = math.ceil(share * joint.rows)
            when = joint.start_ms + row * whole.selection.interval_ms
            self._step(f"another future from {stamp(when)}")
            if not 0 < row < joint.rows:
                continue
            rows = np.arange(joint.rows)
            rows[row:] = rng.integers(0, joint.rows, joint.rows - row)
            try:
                mine = mine or over(whole, joint.history(np.arange(joint.rows)))
                other = over(whole, joint.history(rows))
            except (RunError, UserError) as error:
                self._left_out.append(f"another future, where the strategy fails: {error}")
                continue
            starts.append(when)
            self._take(_look_ahead(one, "another future from") for one in differences(mine, None, other, None, when))
        return tuple(starts)

    def _shuffled(self, whole: Plan, joint: JointCandles) -> Telling | None:
        """What a feature, target or position says of the next candle where candles follow each other by chance."""
        rows = np.random.default_rng(whole.config.seed).integers(0, joint.rows, joint.rows)
        try:
            other = over(whole, joint.history(rows))
            record = None
            if "on_candle" in base.hooks(whole.strategy):
                (record,) = replay(other, self._modes, None, None)
        except (RunError, UserError) as error:
            self._left_out.append(f"candles in a random order, where the strategy fails: {error}")
            return None
        best = most_telling(other, record)
        # Where a leak is known already this would name its consequence.
        if best is not None and abs(best.z) > SUSPICIOUS and not self._found:
            said = f"{best.thing} of {best.symbol} tells the next candle's move where candles are in a random order"
            self._take([Finding("look-ahead", f"{said} (z = {best.z:.1f})", best.place, best.feature, best.symbol)])
        return best


def cut_rows(warm: int, rows: int, cuts: int) -> list[int]:
    """The rows before which data are cut: behind the warm-up, at the cubes of even steps, so that most are early."""
    least = min(warm + 2, rows - 1)
    steps = (np.arange(1, cuts + 1) / (cuts + 1)) ** 3
    found = least + np.floor(steps * (rows - least)).astype(int)
    return [row for row in dict.fromkeys(found.tolist()) if 0 < row < rows]


def _named(one: Difference) -> str:
    thing = f"feature {one.name!r}" if one.kind == "feature" else one.kind
    return f"{thing} of {one.symbol} at {stamp(one.ts_ms)}"


def _look_ahead(one: Difference, on: str) -> Finding:
    said = f"{_named(one)} is {one.before} on the data, {one.after} on {on} {stamp(one.changed_ms)}"
    return Finding("look-ahead", said, one.place, one.name, one.symbol, one.ts_ms)


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing that the strategy prints or warns of is shown: the first replay has."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _silent(part: str, done: int, total: int) -> None:
    """Tell nobody."""
