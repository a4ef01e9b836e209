"""The scorecard of a run: may its numbers be trusted? One check per thing that can mislead, green, amber or red."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from backtest.report.formatting import count, percent, plural
from backtest.report.outcome import Outcome
from backtest.results.summary_types import untyped

if TYPE_CHECKING:
    from backtest.results.result import Result

Status = Literal["green", "amber", "red", "open"]
"""`open`: nobody has checked it."""
WORDS: dict[Status, str] = {"green": "OK", "amber": "Note", "red": "Warning", "open": "Not checked"}
"""What stands beside the colour, for readers who do not see it."""
FEW_TRADES = 30
"""Below so many finished trades statistics of trades say little."""
MANY_REJECTED = 0.5
"""Above this share of the orders a run is not the strategy's."""
MICRO = 1e-6
ASSUMED_FEES = re.compile(r"^[^:]+: fees ")
ASSUMED_TERMS = re.compile(r"^[^:]+: (?:liquidation |orders |.*: (?:margin |not in the profile))")
NO_SUCH_MODE = re.compile(r"^Venue \S+ has no (.+) margin, only ")
"""Notes by which `runner.notes` says what was assumed of a venue."""
NO_FEES, NO_SLIPPAGE, NO_MARKS = "no fees charged", "no slippage charged", "no mark prices"
"""How the warnings of a summary begin."""
MANY_TRIALS = 20
"""From so many trials on the best of them is likely to be luck."""


@dataclass(frozen=True)
class Check:
    """One line of the scorecard."""

    name: str
    title: str
    status: Status
    said: str

    @property
    def word(self) -> str:
        """The status as a word."""
        return WORDS[self.status]


def scorecard(result: Result, out: Outcome) -> tuple[Check, ...]:
    """Return every check, in the order in which they are shown."""
    return tuple(Check(name, title, *judge(result, out)) for name, title, judge in CHECKS)


def worst(checks: tuple[Check, ...]) -> Status:
    """Return the worst status; open checks do not count."""
    found = {check.status for check in checks}
    return "red" if "red" in found else "amber" if "amber" in found else "green"


Judged = tuple[Status, str]


def _ledger(result: Result, out: Outcome) -> Judged:
    booked = float(result.tables["attribution"]["change"].sum())
    # Each entry is whole micro, written as a double.
    slack = MICRO * (1 + abs(out.start)) + 1e-9 * abs(booked)
    off = abs(booked - out.change)
    if off > slack:
        return "red", f"The sources of profit and the change of equity differ by {count(off) if off >= 1 else off}."
    return "green", "Every amount has a counterpart; the sources of profit add up to the change of equity."


def _look_ahead(result: Result, _: Outcome) -> Judged:
    looked = result.summary.get("look_ahead")
    if looked is None:
        return "open", "Whether the strategy uses later data was not checked."
    if looked["passed"] is None:
        return "amber", f"Nothing could be compared with a replay on shorter data: {looked['reason']}."
    if not looked["passed"]:
        first = str(looked["found"][0]) if looked["found"] else "an earlier value is another on shorter data"
        return "red", f"The strategy uses later data: {first.rstrip('.')}."
    return "green", "A replay on shorter data gave the same earlier values."


def _trials(result: Result, _: Outcome) -> Judged:
    trials = untyped(result.summary).get("trials") or {}
    if not isinstance(trials.get("count"), int):
        return "open", "How many variants were tried before this one is not known."
    said = f"{plural(trials['count'], 'trial')} of this strategy on these data so far."
    if trials["count"] >= MANY_TRIALS:
        return "red", f"{said} The best of so many may be luck."
    return ("green" if trials["count"] <= 1 else "amber"), said


def _trades(result: Result, out: Outcome) -> Judged:
    done = int(result.metrics["trades"])
    if not out.fills:
        return "red", "No trade was made: the result says nothing about the strategy."
    if done < FEW_TRADES:
        return "amber", f"{plural(done, 'finished trade')}: too few for statistics of trades."
    return "green", f"{done:,} finished trades."


def _orders(result: Result, _: Outcome) -> Judged:
    rejected, sent = int(result.metrics["rejected_orders"]), int(result.metrics["orders"])
    if not rejected:
        return "green", "No order was rejected."
    said = f"{rejected:,} of {plural(sent, 'order')} rejected ({percent(rejected / sent, 1)})."
    return ("red" if rejected / sent > MANY_REJECTED else "amber"), said


def _costs(result: Result, _: Outcome) -> Judged:
    warnings = _warned(result)
    free = next((clause for clause in warnings if clause.startswith(NO_FEES)), "")
    if free:
        return "red", f"{_capital(free)}."
    assumed = [note for note in result.summary["notes"] if ASSUMED_FEES.match(note)]
    said = ["The venue's fees are partly assumed."] if assumed else []
    slippage = next((clause for clause in warnings if clause.startswith(NO_SLIPPAGE)), "")
    said += [f"{_capital(slippage)}."] if slippage else []
    return ("amber", " ".join(said)) if said else ("green", "Fees and slippage were charged.")


def _terms(result: Result, _: Outcome) -> Judged:
    config, notes = result.summary["config"], result.summary["notes"]
    lacking = next((match for note in notes if (match := NO_SUCH_MODE.match(note))), None)
    if lacking:
        return "red", f"{config['venue']} does not offer {lacking[1]} margin: its rules were used with it all the same."
    assumed = [note for note in notes if ASSUMED_TERMS.match(note)]
    if assumed:
        return "amber", f"{plural(len(assumed), 'term')} of {config['venue']} assumed or used outside its dates."
    return "green", f"The terms of {config['venue']} are documented for every day of the run."


def _funding(result: Result, _: Outcome) -> Judged:
    missing = int(result.metrics["missing_settlements"])
    if missing:
        return "red", f"{plural(missing, 'funding payment')} of open positions missing in the data: nothing was paid."
    without = result.summary["counts"].get("symbols without funding", 0)
    absent = result.summary["counts"].get("missing settlements", 0)
    if without or absent:
        parts = [f"{plural(without, 'market')} without funding data"] * bool(without)
        parts += [f"{plural(absent, 'settlement')} missing while no position was open"] * bool(absent)
        return "amber", f"{_capital(', '.join(parts))}."
    return "green", "Every funding payment of open positions is in the data."


def _marks(result: Result, _: Outcome) -> Judged:
    kinds = result.summary["data"]["marks"]
    trades = [symbol for symbol, kind in kinds.items() if kind == "trades"]
    if trades:
        which = "any market" if len(trades) == len(kinds) else plural(len(trades), "market")
        return "red", f"No mark prices for {which}: liquidations were decided on last prices."
    derived = [symbol for symbol, kind in kinds.items() if kind != "given"]
    stretched = len(result.summary["data"].get("stretched_marks", ()))
    if derived:
        far = f", {plural(stretched, 'mark')} moved by more than 50 bps" if stretched else ""
        return "amber", f"Marks of {plural(len(derived), 'market')} partly derived from longer mark candles{far}."
    return "green", "Mark prices are the venue's."


def _ambiguous(_: Result, out: Outcome) -> Judged:
    decided = sum(loss.ambiguous for loss in out.losses)
    if decided:
        said = plural(decided, "liquidation depends", "liquidations depend")
        return "red", f"{said} on the price path assumed inside a candle."
    if out.ambiguous:
        candles = plural(out.ambiguous, "candle")
        return "amber", f"{candles} in which the price path decides about a liquidation."
    return "green", "On every price path inside the candles the same margin accounts survive."


def _data(result: Result, _: Outcome) -> Judged:
    if result.summary["data"]["synthetic"]:
        return "red", "Synthetic data: no market moved like this."
    gaps = result.summary["counts"].get("gap rows", 0)
    if gaps:
        return "amber", f"{plural(gaps, 'candle')} missing in the data."
    return "green", "No candle is missing."


def _warned(result: Result) -> list[str]:
    return list(result.summary.get("warnings", ()))


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


CHECKS: tuple[tuple[str, str, Callable[[Any, Outcome], Judged]], ...] = (
    ("ledger", "Books", _ledger),
    ("data", "Candles", _data),
    ("marks", "Mark prices", _marks),
    ("funding", "Funding data", _funding),
    ("costs", "Costs", _costs),
    ("terms", "Venue terms", _terms),
    ("trades", "Trades", _trades),
    ("orders", "Orders", _orders),
    ("ambiguous", "Price paths", _ambiguous),
    ("look_ahead", "Look-ahead", _look_ahead),
    ("trials", "Trials so far", _trials),
)
"""Name, title and judgement of each check."""
