"""Plain sentences about a run or a comparison, each computed from the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from backtest.core.enums import TransferState
from backtest.report import closes
from backtest.report.caveats import beforehand
from backtest.report.downsampling import stamps
from backtest.report.formatting import delay, duration, interval, listing, number, percent, plural, spoken
from backtest.report.outcome import Loss, Outcome
from backtest.report.survivor import kept
from backtest.report.unliquidated import spared
from backtest.results.summary_types import untyped

if TYPE_CHECKING:
    from backtest.results.result import Result

CENT = 0.005
"""Amounts that are equal as shown are called equal."""
NEARLY = 0.01
"""Where less than this share of every position is left, nearly all of it is gone."""
UNSURE = "the price path inside decides about a liquidation"
NAMELESS = "instant"
"""The chain of a run without one: outages may be asked for without a chain."""
HOUR_MS = 3_600_000
"""A liquidation so soon after a halt is told with it."""
NAMED = 3
"""Liquidations named one by one in a sentence; the table has all of them."""


def run_words(result: Result, out: Outcome, quote: str) -> list[str]:
    """The outcome of one run."""
    fate = [f"{_capital(_fate(out, 'it'))}."] if out.fills else []
    return [*beforehand([result], [out]), course("The account", out, quote), *fate, *_warnings([out], several=False)]


def course(who: str, out: Outcome, quote: str) -> str:
    """What there was at the start, and what at the end."""
    unit = f" {quote}" if quote else ""
    return f"{who} started with {number(out.start)}{unit} and ended with {number(out.end)}{unit}{_change(out)}."


def comparison_words(
    results: Sequence[Result], outs: Sequence[Outcome], left_out: Mapping[str, str] | None = None
) -> list[str]:
    """Which modes were left out, who was liquidated and who not, who ended higher, and what is uncertain about it."""
    missing = [f"{_capital(mode)} margin was left out: {why}." for mode, why in (left_out or {}).items()]
    if len(outs) > 1 and not any(out.losses for out in outs) and all(out.fills for out in outs):
        fates = ["Neither mode was liquidated" if len(outs) == 2 else "No mode was liquidated"]
    else:
        fates = [_fate(out, out.label) + kept(result, out, outs) for result, out in zip(results, outs, strict=True)]
    said = [_capital("; ".join(fates)) + "."] if any(out.fills for out in outs) else []
    return [*missing, *beforehand(results, outs), *said, _ranking(outs), *_warnings(outs, several=True)]


def subaccount_words(whole: Outcome, results: Sequence[Result], outs: Sequence[Outcome], quote: str) -> list[str]:
    """What all of them made together, what became of each, what each made of its deposit, and what is uncertain."""
    if len(outs) > 1 and not any(out.losses for out in outs) and all(out.fills for out in outs):
        fates = ["No sub-account was liquidated"]
    else:
        fates = [_fate(out, out.label) for out in outs]
    gains = [_gain(out) for out in sorted(outs, key=lambda out: -out.change)]
    words = [f"{_capital('; '.join(said))}." for said in (fates, gains)]
    together = course("All sub-accounts together", whole, quote)
    return [*beforehand(results, outs), together, *words, *_warnings(outs, several=True)]


def latency_words(outs: Sequence[Outcome], delays: Sequence[int], candle_ms: int, quote: str) -> list[str]:
    """What being slower cost, where the profit is gone, and how far the curve can be believed; the fastest first."""
    if not any(out.fills for out in outs):
        return ["The account held no position at any delay."]
    named = [delay(ms) for ms in delays]
    words = [_slower(outs, named, f" {quote}" if quote else "")]
    gone = [n for n in range(1, len(outs)) if outs[n - 1].change > 0 >= outs[n].change]
    if gone and outs[0].change > 0:
        words.append(f"The profit is gone between {named[gone[0] - 1]} and {named[gone[0]]}.")
    rises = [(later.change - sooner.change, n) for n, (sooner, later) in enumerate(pairwise(outs))]
    most, n = max(rises)
    if most >= CENT:
        words.append(f"Slower is not always worse: {named[n + 1]} ended {number(most)} higher than {named[n]}.")
    words.append(_liquidated(outs, named))
    unsure = max(out.ambiguous for out in outs)
    if unsure:
        candles = plural(unsure, "candle is", "candles are")
        words.append(f"At one of the delays {candles} ambiguous: {UNSURE}.")
    if min(ms for ms in delays if ms) < candle_ms:
        words.append(
            f"Price moves within a candle ({interval(candle_ms)}) follow the assumed path inside it; "
            "finer candles are more exact."
        )
    return words


def _slower(outs: Sequence[Outcome], named: Sequence[str], unit: str) -> str:
    """The fastest against the slowest."""
    fast, slow = outs[0].change, outs[-1].change
    made = f"At {named[0]} the account {_made(fast, unit)}, at {named[-1]} it {_made(slow, unit)}"
    if abs(fast - slow) < CENT:
        return f"{made}: being slower cost nothing."
    return f"{made}: being slower {'cost' if fast > slow else 'gained'} {number(abs(fast - slow))}."


def _made(change: float, unit: str) -> str:
    return f"{'made' if change >= 0 else 'lost'} {number(abs(change))}{unit}"


def _liquidated(outs: Sequence[Outcome], named: Sequence[str]) -> str:
    """At which delays it was liquidated."""
    lost = [name for name, out in zip(named, outs, strict=True) if out.losses]
    if not lost:
        return "It was not liquidated at any delay."
    if len(lost) == len(outs):
        return "It was liquidated at every delay."
    return f"It was liquidated at {listing(lost)}, and at no other delay."


def layer2_words(result: Result, out: Outcome, quote: str) -> list[str]:
    """What the chain did: its halts and what they did to the account, messages lost, rescues that came too late."""
    chain, unit = untyped(result.summary).get("chain") or {}, f" {quote}" if quote else ""
    outages = chain.get("outages", [])
    words = [_stood_still(chain, outages)] if chain else []
    if outages:
        words += _in_halts(result, out, outages)
    words += spared(result, quote)
    ends = chain.get("orders", {})
    said = [f"{ends[name]:,} {deed}" for name, deed in _DEEDS.items() if ends.get(name)]
    if said:
        words.append(f"Of the order messages (orders sent together are one), {listing(said)}.")
    more = (_undone(chain, unit), _rejected(result), _rescues(result, out), _off(result), _mark_cost(result, unit))
    words += [said for said in more if said]
    risk = chain.get("finality", {})
    if risk.get("most_at_risk_ms") is not None:
        most = f"{number(risk['most_at_risk'])}{unit}"
        words.append(f"At most {most} of fills could still be reverted, first at {spoken(risk['most_at_risk_ms'])}.")
    return words


_DEEDS = {
    "lost": "got lost in an outage", "late": "came too late after one", "unpaid": "could not pay the gas",
    "stale": "met a stale oracle",
}  # fmt: skip


def _undone(chain: Mapping[str, Any], unit: str) -> str:
    """What the chain took back."""
    undone = chain.get("undone", {})
    if not undone.get("fills"):
        return ""
    were = "was" if undone["fills"] == 1 else "were"
    return f"{plural(undone['fills'], 'fill')} worth {number(undone['value'])}{unit} {were} undone in a reorg."


def _rejected(result: Result) -> str:
    """Transfers that came to nothing, and the reason of most of them."""
    refused = result.tables["transfers"].filter(pl.col("state") == TransferState.REJECTED.name.lower())
    if not len(refused):
        return ""
    whys = refused.group_by(why=pl.col("reason").str.split(":").list.first()).len().sort("len", "why", descending=True)
    why, most = whys.row(0)
    share = "" if most == len(refused) else f"{most:,} of them "
    many = "transfer was" if len(refused) == 1 else "transfers were"
    return f"{len(refused):,} {many} rejected, {share}for the reason {why}."


def _stood_still(chain: Mapping[str, Any], outages: Sequence[Mapping[str, Any]]) -> str:
    who = "The chain" if chain["name"] == NAMELESS else f"The chain ({chain['name']})"
    if not outages:
        return f"{who} had no outage."
    long = duration(sum(halt["end_ms"] - halt["start_ms"] for halt in outages))
    if len(outages) == 1:
        return f"{who} was down for {long} from {spoken(outages[0]['start_ms'])}."
    first = spoken(outages[0]["start_ms"])
    return f"{who} was down {len(outages):,} times, for {long} in total, first at {first}."


def _in_halts(result: Result, out: Outcome, outages: Sequence[Mapping[str, Any]]) -> list[str]:
    """The halt in which the account lost most, and the first liquidation that followed one within an hour."""
    clock, equity = closes.times(result), np.concatenate([[out.start], closes.worth(result)])
    falls = []
    for halt in outages:
        before = int(np.searchsorted(clock, halt["start_ms"], side="right"))
        after = min(int(np.searchsorted(clock, halt["end_ms"])) + 1, len(clock))
        falls.append((equity[after] - equity[before], equity[before], equity[after], halt))
    change, before_it, after_it, halt = min(falls, key=lambda fall: fall[0])
    words = []
    if change <= -CENT:
        which = "Over it" if len(outages) == 1 else f"During the outage at {spoken(halt['start_ms'])}"
        words.append(f"{which} the account's equity went from {number(before_it)} to {number(after_it)}.")
    for halt in outages:
        late = [loss.ts_ms - halt["end_ms"] for loss in out.losses if 0 <= loss.ts_ms - halt["end_ms"] <= HOUR_MS]
        if late:
            when = "the moment" if late[0] == 0 else f"{duration(late[0])} after"
            words.append(f"It was liquidated {when} the chain came back at {spoken(halt['end_ms'])}.")
            break
    return words


def _off(result: Result) -> str:
    """Largest distance between venue mark and market mark."""
    marks = result.tables["marks"].filter(pl.col("distance") != 0)
    if not len(marks):
        return ""
    row = int(marks["distance"].abs().arg_max() or 0)
    far, symbol = float(marks["distance"][row]), marks["symbol"][row]
    side = "above" if far > 0 else "below"
    when = spoken(stamps(marks)[row])
    return f"The venue mark of {symbol} was up to {percent(abs(far))} {side} the market mark, at {when}."


ROUGH_ORACLE = "The oracle is computed at four points of a candle only, so the difference is approximate."


def _mark_cost(result: Result, unit: str) -> str:
    """What the venue mark cost, and how the account would have fared on the market mark."""
    known = untyped(result.summary).get("mark_cost") or {}
    if "failure" in known:
        return f"The effect of the venue mark is not known: on the market mark {known['failure']}."
    if not known:
        return ""
    if abs(known["cost"]) < CENT:
        return "The venue mark had no effect: on the market mark the account ends with the same equity."
    deed = "cost" if known["cost"] > 0 else "brought"
    own, other = result.metrics["pool_liquidations"], known["by_market"]["pool_liquidations"]
    fate = "" if own == other else f", and be liquidated {plural(other, 'time')} instead of {own:,}"
    fate = ", and not be liquidated" if own and not other else fate
    much, ends = number(abs(known["cost"])), number(known["by_market"]["final_equity"])
    told = f"The venue mark {deed} {much}{unit}: on the market mark the account would end with {ends}{fate}."
    return told + f" {ROUGH_ORACLE}" * bool(known.get("approximate"))


def _rescues(result: Result, out: Outcome) -> str:
    """The first deposit that was still on its way when a pool was liquidated."""
    moved = result.tables["transfers"].filter(pl.col("kind") == "deposit")
    sent, there = (moved.filter(pl.col("state") == state) for state in ("sent", "arrived"))
    arrived = dict(zip(there["transfer_id"].to_list(), stamps(there).tolist(), strict=True))
    for loss in out.losses:
        for transfer, ts_ms, amount in zip(sent["transfer_id"], stamps(sent), sent["amount"], strict=True):
            if ts_ms <= loss.ts_ms < arrived.get(transfer, loss.ts_ms + 1):
                return f"{number(amount)} was still on its way when it was liquidated at {spoken(loss.ts_ms)}."
    return ""


def _gain(out: Outcome) -> str:
    if abs(out.change) < CENT:
        return f"{out.label} has what it started with"
    share = f" ({percent(abs(out.change) / out.start)} of its deposit)" if out.start > 0 else ""
    return f"{out.label} {'gained' if out.change > 0 else 'lost'} {number(abs(out.change))}{share}"


def _change(out: Outcome) -> str:
    if abs(out.change) < CENT:
        return ", no change"
    share = f", {percent(abs(out.change) / out.start)}" if out.start > 0 else ""
    return f" ({number(abs(out.change))} {'more' if out.change > 0 else 'less'}{share})"


def _fate(out: Outcome, who: str) -> str:
    if not out.fills:
        return f"{who} never held a position"
    if not out.losses:
        return f"{who} was never liquidated"
    if len(out.losses) <= NAMED:
        return f"{who} {listing(_deeds(out.losses))}"
    if out.reopened:
        again = f"{plural(out.reopened, 'position was', 'positions were')} opened again after that"
        return f"{who} {_deeds(out.losses[:1])[0]}; {again}, and {len(out.losses):,} liquidated in all"
    steps = sum(loss.steps for loss in out.losses)
    often = f"{len(out.losses):,} times" + (f", in {steps:,} steps" if steps > len(out.losses) else "")
    first, last = _deeds((out.losses[0], out.losses[-1]))
    return f"{who} was liquidated {often}: it {first} first and {last} last"


def _deeds(losses: Sequence[Loss]) -> list[str]:
    """What each liquidation did; the verb only where it is not that of the one before."""
    verbs = ["lost" if loss.closed == loss.symbols else f"had to give up {_much(loss)} of" for loss in losses]
    events = [_event(loss) for loss in losses]
    return [
        event if verb == before else f"{verb} {event}"
        for before, verb, event in zip(("", *verbs), verbs, events, strict=False)
    ]


def _much(loss: Loss) -> str:
    return "nearly all" if loss.left < NEARLY else "a part"


def _event(loss: Loss) -> str:
    every = "all " if loss.closed == loss.symbols else ""
    lost = listing(loss.symbols) if len(loss.symbols) <= NAMED else f"{every}{len(loss.symbols)} positions"
    return f"{lost}{f' in {loss.steps:,} steps' if loss.steps > 1 else ''} at {spoken(loss.ts_ms)}"


def _ranking(outs: Sequence[Outcome]) -> str:
    order = sorted(outs, key=lambda out: -out.end)
    best, worst = order[0], order[-1]
    if len(outs) == 1:
        return f"{_capital(best.label)} ended with {number(best.end)}{_change(best)}."
    if best.end - worst.end < CENT:
        return f"{'Both' if len(outs) == 2 else 'All'} ended with the same equity, {number(best.end)}."
    if len(outs) == 2:
        gap = number(best.end - worst.end)
        return f"{_capital(best.label)} ended {gap} higher: {number(best.end)} against {number(worst.end)}."
    rest = "; ".join(
        f"{out.label} {number(best.end - out.end)} lower" if best.end - out.end >= CENT else f"{out.label} the same"
        for out in order[1:]
    )
    return f"{_capital(best.label)} ended highest, with {number(best.end)}; {rest}."


def _warnings(outs: Sequence[Outcome], several: bool) -> list[str]:
    words = []
    unsure = [out for out in outs if out.ambiguous]
    for out in outs:
        where = f"In {out.label}, " if several else ""
        if out.deleveraged:
            words.append(_capital(f"{where}{_taken(out)}."))
        if len(out.guards):
            words.append(_capital(f"{where}{_guarded(out)}."))
        debt = out.sources["Bad debt borne by others"]
        if debt >= CENT:
            words.append(
                _capital(
                    f"{where}{number(debt)} of the loss exceeded the margin account's equity and was borne by others."
                )
            )
        if out.shortfalls:
            closes = plural(out.shortfalls, "ordinary close")
            words.append(_capital(f"{where}{closes} left a margin account below zero, without a liquidation."))
        if out.ambiguous and len(unsure) <= 2:
            candles = plural(out.ambiguous, "candle is", "candles are")
            words.append(_capital(f"{where}{candles} ambiguous: {UNSURE}."))
    if len(unsure) > 2:
        candles = listing([f"{out.ambiguous:,} in {out.label}" for out in unsure])
        words.append(f"Some candles are ambiguous, {candles}: {UNSURE}.")
    return words


def _taken(out: Outcome) -> str:
    """What auto-deleveraging took of good positions."""
    first = out.deleveraged[0]
    if len(out.deleveraged) == 1:
        much = "the position" if first.closed else "a part of the position"
        taken = f"auto-deleveraging closed {much} in {first.symbols[0]} at {spoken(first.ts_ms)}"
    else:
        taken = f"auto-deleveraging reduced profitable positions {len(out.deleveraged):,} times, first from "
        taken += f"{first.symbols[0]} at {spoken(first.ts_ms)}"
    return f"{taken}: the position it hedged was left unhedged"


def _guarded(out: Outcome) -> str:
    """How often guards acted, and which of them ended the account's trading."""
    acts = out.guards.unique(["ts", "guard"], maintain_order=True)
    halts = out.guards.filter(pl.col("pool").is_null())
    halted = f"{halts['guard'][0]} stopped all trading at {spoken(stamps(halts)[0])}" if len(halts) else ""
    if halted and len(acts) == 1:
        return halted
    first = f"{acts['guard'][0]} at {spoken(stamps(acts)[0])}"
    said = f"guards acted {len(acts):,} times, first {first}" if len(acts) > 1 else f"a guard acted once, {first}"
    return f"{said}; {halted}" if halted else said


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
