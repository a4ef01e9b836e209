"""Closes at which a pool was below its maintenance margin, and yet nobody liquidated it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from backtest.report.downsampling import CROSS
from backtest.report.formatting import number, plural, spoken
from backtest.results.summary_types import untyped

if TYPE_CHECKING:
    from backtest.results.result import Result

HALTED = "there are no liquidations during a chain outage or its grace period"
UNSEEN = "on the venue mark it was not"


def spared(result: Result, quote: str) -> list[str]:
    """A sentence on the closes while the chain was halted or in the grace after it; and, where nobody was ever
    liquidated, one on all others: a pool whose liquidation takes time is below it at closes without being spared."""
    pooled = bool((result.tables.columns("fills", "pool")["pool"] != CROSS).any())
    below = _below(result, pooled)
    within = pl.lit(False)
    chain = untyped(result.summary).get("chain") or {}
    for halt in chain.get("outages", ()):
        within |= pl.col("ms").is_between(halt["start_ms"], halt["end_ms"] + chain.get("grace_ms", 0))
    halted, other = below.filter(within), below.filter(~within)
    said = [_sentence(halted, pooled, quote, HALTED)]
    if not result.tables["liquidations"]["process"].is_not_null().any():
        said.append(_sentence(other, pooled, quote, UNSEEN if _apart(result) else ""))
    return [sentence for sentence in said if sentence]


def unharmed(result: Result, quote: str) -> str:
    """What the page says where there was no liquidation."""
    said = spared(result, quote)
    if said:
        return " ".join(("No liquidation.", *said))
    if (untyped(result.summary).get("chain") or {}).get("outages") or _apart(result):
        # What was below it between two closes, while nobody looked or by a mark that nobody saw, is in no table.
        return "No liquidation: no margin account was below its maintenance margin at a close."
    return "No liquidation: no margin account fell below its maintenance margin."


def _apart(result: Result) -> bool:
    """Whether the venue mark was ever seen to be another than the market's."""
    return bool((result.tables["marks"]["distance"] != 0).any())


def _below(result: Result, pooled: bool) -> pl.DataFrame:
    """`ms` and `short`, what was missing, of each close; of several pools of each sample, its worst."""
    if pooled:
        table, maintenance = result.tables.table("margin"), "maintenance"
    else:
        table, maintenance = result.tables.table("equity"), "maintenance_margin"
    missing = pl.col(maintenance) - pl.col("equity")
    parts = [
        part.filter((pl.col(maintenance) > 0) & (missing > 0)).select(ms=pl.col("ts").dt.epoch("ms"), short=missing)
        for part in table.pieces("ts", "equity", maintenance)
    ]
    found = pl.concat([pl.DataFrame(schema={"ms": pl.Int64, "short": pl.Float64}), *parts])
    return found.group_by("ms").agg(pl.col("short").max()).sort("ms")


def _sentence(below: pl.DataFrame, pooled: bool, quote: str, why: str) -> str:
    if not len(below):
        return ""
    often = plural(len(below), "sample" if pooled else "close")
    first = f", {'first ' if len(below) > 1 else ''}at {spoken(below['ms'][0])},"
    whose = "the equity of a margin account was below its" if pooled else "its equity was below its"
    most = number(float(max(below["short"].to_list()))) + (f" {quote}" if quote else "")
    much = f"by {'up to ' if len(below) > 1 else ''}{most}"
    return f"At {often}{first} {whose} maintenance margin, {much}{f': {why}' if why else ''}."
