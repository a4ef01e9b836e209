"""What stands above the results, because they would mislead without it; shared by the terminal and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl

from backtest.core.enums import OrderType, Reason, Status
from backtest.report.downsampling import stamps
from backtest.report.formatting import listing, number, plural, spoken
from backtest.results.summary_types import untyped

if TYPE_CHECKING:
    from backtest.report.outcome import Outcome
    from backtest.results.result import Result

NAMED = 2
"""Reasons of rejected orders that a sentence names."""
REASONS = {
    "margin": "not enough margin",
    "reduce_only": "no position to reduce",
    "delisted": "the market's data had ended",
    "step": "smaller than one lot",
    "liquidation": "their margin account was liquidated",
    "strategy": "cancelled by the strategy",
    "end_of_run": "still open when the run ended",
    "limit": "the position would be above the venue's limit",
    "halted": "a guard had stopped trading",
    "quantity": "the quantity is not a number above zero",
    "price": "a price is not a number above zero",
    "bracket": "stop, entry and target are not in order",
    "min_notional": "below the venue's minimum notional",
    "open_orders": "too many open orders",
    "post_only": "post-only, but would have taken liquidity",
    "would_trigger": "the stop price was already passed",
    "ioc": "immediate-or-cancel, with nothing to trade against",
    "fok": "fill-or-kill, but could not be filled completely",
    "gtd": "expired",
    "oco": "the other order of the pair was filled",
    "parent": "the entry was not filled",
    "not_open": "the order had ended",
    "amend": "the order has no such price",
    "outage": "lost in a chain outage",
    "gas": "could not pay the gas",
    "stale": "the oracle's price was too old",
    "gated": "transfers were paused",
    "collateral": "not enough free collateral",
    "reserve": "not enough in the reserve",
    "price_band": "slippage beyond the price band",
    "margin_limit": "beyond the strategy's margin limit",
}
"""Why an order ended as it did, by the word in the table `orders`."""


def omissions(results: Sequence[Result]) -> str:
    """Return one line on what the results leave out, such as fees; empty where they leave out nothing."""
    return _sentence("; ".join(in_common({r.label: r.summary.get("warnings", ()) for r in results})))


def fold(notes: int, counts: int) -> str:
    """Return how much was assumed and counted, the lists being folded away."""
    said = [text for n, text in ((notes, plural(notes, "assumption")), (counts, plural(counts, "count"))) if n]
    return listing(said) or "nothing"


def in_common(said: Mapping[str, Sequence[str]], form: str = "{}: {}") -> list[str]:
    """Return each clause once, in order; ``form`` puts the labels before one that only some accounts have."""
    whose: dict[str, list[str]] = {}
    for label, clauses in said.items():
        for clause in clauses:
            whose.setdefault(clause, []).append(label)
    return [
        clause if len(labels) == len(said) else form.format(listing(labels), clause) for clause, labels in whose.items()
    ]


def beforehand(results: Sequence[Result], outs: Sequence[Outcome], form: str = "In {}, {}") -> list[str]:
    """Return the sentences that come before the outcome: an account that is dead, no trades, most orders rejected."""
    said = {
        result.label: [clause for clause in (_dead(out), _idle(result, out), _unknown(result)) if clause]
        for result, out in zip(results, outs, strict=True)
    }
    return [_sentence(clause) for clause in in_common(said, form)]


def _dead(out: Outcome) -> str:
    if out.dead_ms is None:
        return ""
    left = f"{number(out.end)} of {number(out.start)} was left at the end"
    return f"the account has been wiped out since {spoken(out.dead_ms)}: {left}"


def _idle(result: Result, out: Outcome) -> str:
    """Why nothing was traded, or that most orders were rejected."""
    orders = result.tables.columns("orders", "type", "status", "ts_sent", "reason").filter(
        pl.col("type") != OrderType.AMEND.name.lower()
    )
    rejected = orders.filter(pl.col("status") == Status.REJECTED.name.lower())
    traded = "" if out.fills else "no trades: "
    if traded and not len(orders):
        return f"{traded}the strategy sent no order"
    of, were = f"of {plural(len(orders), 'order')}", "was" if len(orders) == 1 else "were"
    if 2 * len(rejected) > len(orders):
        first = spoken(stamps(rejected, "ts_sent")[0])
        return f"{traded}{len(rejected):,} {of} {were} rejected ({_why(rejected)}), first at {first}"
    return f"{traded}0 {of} {were} filled ({_why(orders)})" if traded else ""


def _why(orders: pl.DataFrame) -> str:
    """The reason of all the orders, or the most frequent ones with their numbers."""
    word, detail = pl.col("reason").str.split(": ").list.get(0), pl.col("reason").str.split(": ").list.last()
    size = word == Reason.QUANTITY.name.lower()
    why = (
        pl.when(size & (word != detail))
        .then(pl.format("quantity is {}", detail))
        .otherwise(word.replace_strict(REASONS))
    )
    counted = orders.select(why=why).group_by("why").len().sort(["len", "why"], descending=[True, False]).rows()
    if len(counted) == 1:
        return str(counted[0][0])
    named = [f"{text}: {n:,}" for text, n in counted[:NAMED]]
    return ", ".join([*named, *["…"] * (len(counted) > NAMED)])


def _unknown(result: Result) -> str:
    """Features that had no value all the time."""
    names = result.summary.get("strategy", {}).get("never_known", ())
    if not names:
        return ""
    named = listing([_quoted(name) for name in names])
    if len(names) == 1:
        return f"feature {named} never had a value: its window is longer than the period, or its input is missing"
    return f"features {named} never had a value: their windows are longer than the period, or their input is missing"


def _quoted(name: str) -> str:
    """``m of X`` as ``'m' of X``."""
    feature, of, symbol = name.partition(" of ")
    return f"'{feature}'{of}{symbol}"


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def terms_changes(results: Sequence[Result]) -> list[str]:
    """What the venue changed of its terms inside the runs; each change once."""
    told = [change for result in results for change in untyped(result.summary)["config"].get("venue_changes", ())]
    return list(dict.fromkeys(told))
