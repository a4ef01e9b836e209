"""What it cost that the venue went by another mark than the market's: `summary["mark_cost"]`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from backtest.core.records import Record
from backtest.results import ledger, metrics, trades
from backtest.results.ledger import COSTS, FLOWS
from backtest.results.metric_definitions import Metrics

TOLD = ("final_equity", *FLOWS, "fills", "rejected_orders", "margin_calls", "liquidations", "pool_liquidations")
"""Metrics of the account by the market mark that are kept."""


def figures(own: Metrics, other: Record) -> dict[str, float | dict[str, float]]:
    """Plain values by name; ``own``: metrics of the account, ``other``: record of the same one by the market mark.

    Money in quote units. `cost`: by how much more the other's total changed; below 0 the venue mark paid. `flows`:
    what of it each flow of the books is, signed as the cost is, so that they add up to it. `by_market`: the other's
    metrics, `TOLD`. Its books must balance as any other's.
    """
    balanced = ledger.balance(other)
    made = metrics.metrics(other, balanced, trades.round_trips(other))
    mine, theirs = (cast("Mapping[str, float]", found) for found in (own, made))
    flows = {name: round(_sign(name) * (theirs[name] - mine[name]), 6) + 0.0 for name in FLOWS}
    return {
        # Sums of whole micro: what is behind the sixth digit is the rounding of doubles.
        "cost": round(sum(flows.values()), 6) + 0.0,
        "flows": flows,
        "by_market": {name: theirs[name] for name in TOLD},
    }


def _sign(flow: str) -> int:
    return -1 if flow in COSTS else 1
