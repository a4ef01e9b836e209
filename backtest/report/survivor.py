"""What an account without liquidations still held when another one lost its first position, and what was amiss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from backtest.core.enums import Cause
from backtest.report.downsampling import DUST, stamps
from backtest.report.formatting import listing, plural, spoken
from backtest.report.outcome import Outcome, held

if TYPE_CHECKING:
    from backtest.results.result import Result

NAMED = 3
"""Positions named one by one in a sentence."""
CLOSED = {
    Cause.STRATEGY: "closed by the strategy",
    Cause.LIQUIDATION: "liquidated",
    Cause.DELISTING: "settled as its data ended",
    Cause.ADL: "closed by auto-deleveraging",
    Cause.GUARD: "closed by a guard",
    Cause.REORG: "undone by the chain",
    Cause.OPENING: "replaced by a position at the start",
}
"""How a position came to its end, by the cause of its last fill."""


def kept(result: Result, out: Outcome, outs: Sequence[Outcome]) -> str:
    """Return the end of a sentence on ``out``; empty where it was liquidated, or nobody else was, or it held less."""
    others = [o.losses[0] for o in outs if o is not out and o.losses]
    if out.losses or not others:
        return ""
    first = min(others, key=lambda loss: loss.ts_ms)
    now = held(result, first.ts_ms)
    if not set(first.symbols) <= set(now):
        return ""
    count = "" if len(now) == 1 else "both positions, " if len(now) == 2 else f"all {len(now)} positions, "
    said = f" and kept {count}{listing(now)}" if len(now) <= NAMED else f" and kept {count.removesuffix(', ')}"
    amiss = [text for text in (_hedge(result, first.ts_ms), _rejected(result)) if text]
    return f"{said}, but {listing(amiss)}" if amiss else said


def _rejected(result: Result) -> str:
    rejected, orders = result.metrics["rejected_orders"], result.metrics["orders"]
    return (
        f"{rejected:,} of {plural(orders, 'order')} {'was' if rejected == 1 else 'were'} rejected" if rejected else ""
    )


def _hedge(result: Result, ts_ms: int) -> str:
    """The position on the other side that was closed while those that are left, all on one side, were held."""
    fills = result.tables.columns("fills", "ts", "symbol", "qty", "cause").with_columns(
        after=pl.col("qty").cum_sum().over("symbol")
    )
    fills = fills.with_columns(pl.Series("ms", stamps(fills)), before=pl.col("after") - pl.col("qty"))
    fills = fills.filter(pl.col("ms") <= ts_ms)
    ends = fills.group_by("symbol", maintain_order=True).last()
    left, gone = ends.filter(pl.col("after").abs() >= DUST), ends.filter(pl.col("after").abs() < DUST)
    sides = left["after"].sign().unique().to_list()
    if len(sides) != 1:
        return ""
    opened = fills.filter((pl.col("before").abs() < DUST) & pl.col("symbol").is_in(left["symbol"].to_list()))
    since = opened.group_by("symbol").agg(pl.col("ms").last())["ms"].min()
    hedges = gone.filter((pl.col("before").sign() == -sides[0]) & (pl.col("ms") >= since)).sort("ms")
    if not len(hedges):
        return ""
    last = hedges.row(-1, named=True)
    how = CLOSED[Cause[str(last["cause"]).upper()]]
    return f"its hedge {last['symbol']} was gone ({how} at {spoken(last['ms'])})"
