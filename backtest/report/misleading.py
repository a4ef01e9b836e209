"""What a reader of a run must know before the first number: costs left out, no trades, a dead account, a mode that the
venue does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backtest.report.caveats import beforehand
from backtest.report.outcome import Outcome
from backtest.report.scorecard import NO_SUCH_MODE

if TYPE_CHECKING:
    from backtest.results.result import Result


def sentences(result: Result, out: Outcome) -> list[str]:
    """Return the sentences that stand above the numbers, the gravest first."""
    lacking = [note for note in result.summary["notes"] if NO_SUCH_MODE.match(note)]
    warned = [f"{clause[:1].upper()}{clause[1:]}." for clause in result.summary.get("warnings", ())]
    return list(dict.fromkeys([*beforehand([result], [out]), *lacking, *warned]))
