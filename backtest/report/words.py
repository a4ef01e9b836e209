"""Plain sentences about a run or a comparison, each computed from the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backtest.report.format import listing, number, percent, plural, spoken
from backtest.report.outcome import Loss, Outcome, held

if TYPE_CHECKING:
    from backtest.results.result import Result

CENT = 0.005
"""Amounts that are equal as shown are called equal."""
NAMED = 3
"""Liquidations named one by one in a sentence; the table has all of them."""


def run_words(out: Outcome, quote: str) -> list[str]:
    """The outcome of one run."""
    unit = f" {quote}" if quote else ""
    words = [
        f"The account started with {number(out.start)}{unit} and ended with {number(out.end)}{unit}{_change(out)}."
    ]
    words.append(f"{_capital(_fate(out, 'it'))}.")
    return words + _warnings([out], several=False)


def comparison_words(results: Sequence[Result], outs: Sequence[Outcome]) -> list[str]:
    """Who was liquidated and who was not, who ended higher, and what is uncertain about it."""
    if len(outs) > 1 and not any(out.losses for out in outs) and all(out.fills for out in outs):
        fates = ["Neither mode was liquidated" if len(outs) == 2 else "No mode was liquidated"]
    else:
        fates = [_fate(out, out.label) + _kept(result, out, outs) for result, out in zip(results, outs, strict=True)]
    return [_capital("; ".join(fates)) + ".", _ranking(outs), *_warnings(outs, several=True)]


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
    if len(out.losses) > NAMED:
        first, last = _event(out.losses[0]), _event(out.losses[-1])
        return f"{who} was liquidated {len(out.losses):,} times: it lost {first} first and {last} last"
    return f"{who} lost {listing([_event(loss) for loss in out.losses])}"


def _event(loss: Loss) -> str:
    lost = listing(loss.symbols) if len(loss.symbols) <= NAMED else f"all {len(loss.symbols)} positions"
    return f"{lost} at {spoken(loss.ts_ms)}"


def _kept(result: Result, out: Outcome, outs: Sequence[Outcome]) -> str:
    """Whether an account without liquidations held on to what another one lost first."""
    others = [o.losses[0] for o in outs if o is not out and o.losses]
    if out.losses or not others:
        return ""
    first = min(others, key=lambda loss: loss.ts_ms)
    now = held(result, first.ts_ms)
    if not set(first.symbols) <= set(now):
        return ""
    legs = "" if len(now) == 1 else "both legs, " if len(now) == 2 else f"all {len(now)} positions, "
    return f" and kept {legs}{listing(now)}" if len(now) <= NAMED else f" and kept {legs.removesuffix(', ')}"


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
    for out in outs:
        where = f"In {out.label}, " if several else ""
        debt = out.sources["Bad debt borne by others"]
        if debt >= CENT:
            words.append(_capital(f"{where}{number(debt)} of the loss was more than the pool held: others bore it."))
        if out.shortfalls:
            closes = plural(out.shortfalls, "ordinary close")
            words.append(_capital(f"{where}{closes} left a pool below zero, without a liquidation."))
        if out.ambiguous:
            candles = plural(out.ambiguous, "candle is", "candles are")
            words.append(
                _capital(f"{where}{candles} ambiguous: the path of prices inside decides whether a pool survives.")
            )
    return words


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
