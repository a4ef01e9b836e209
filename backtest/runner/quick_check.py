"""The look-ahead check that comes with every run: one replay on data that end soon after the warm-up."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from itertools import islice

from backtest.core.errors import BacktestError
from backtest.core.records import Record
from backtest.results.result import Result
from backtest.results.summary_types import LookAhead
from backtest.runner.plan import Plan
from backtest.runner.replays import replay
from backtest.runner.truncation import differences, truncated, warm_row

SHARE = 25
"""The cut lies this part of the history behind the warm-up, so that the check costs a small part of the run."""
LONGEST = 10
"""Where the rows up to the cut are more than this part of the history, features and targets alone are compared."""
SHOWN = 3
LEAST = 100
"""Candles that a run has at least where it is checked: a cut of fewer says little."""


def quick_check(planned: Plan, record: Record, modes: Sequence[str]) -> LookAhead:
    """Replay the run up to one cut on data that end there; compare features, decisions, orders and fills.

    ``record``: of the account in the first of the margin modes. What the strategy prints meanwhile is not shown.
    """
    s = planned.selection
    warm = warm_row(planned)
    row = min(warm + max(2, s.rows // SHARE), s.rows - 1)
    if s.rows < LEAST:
        return _unknown(f"the run has fewer than {LEAST} candles")
    cut_ms = s.start_ms + row * s.interval_ms
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            cut = truncated(planned, cut_ms)
            other = None
            if row * LONGEST <= s.rows:
                (other,) = replay(cut, modes[:1], None, None)
            found = differences(planned, record, cut, other, cut_ms)
            said = [str(difference) for difference in islice(found, SHOWN)]
        except BacktestError as error:
            return _unknown(f"on candles up to the cut alone the strategy fails: {error}")
    return {"passed": not said, "cut_ms": cut_ms, "found": said, "reason": ""}


def tell(result: Result, looked: LookAhead) -> None:
    """Write what a check found into the summary of a run; what it found stands above the results."""
    result.summary["look_ahead"] = looked
    if looked["found"]:
        result.summary["warnings"].insert(0, f"the strategy uses later data ({looked['found'][0]})")


def _unknown(reason: str) -> LookAhead:
    return {"passed": None, "cut_ms": None, "found": [], "reason": reason}
