"""Every metric of a run, defined once: its name, type, title, unit, meaning, and how two values are compared.

The formulas are in `backtest.results.metrics`. A new metric is an entry here and a value there; the terminal, the
report and `summary.json` show it without further changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, TypedDict, cast, get_type_hints


@dataclass(frozen=True)
class Metric:
    """How a metric is shown.

    ``kind`` is one of ``percent`` (of a fraction), ``money``, ``times``, ``ratio``, ``count`` and ``days``. ``better``
    is ``high``, ``low`` or ``shallow`` only where nobody would argue, else empty. ``help`` says what the number means.
    A ``cost`` is what the account paid: positive in JSON and Parquet, below zero where people read it.
    """

    title: str
    kind: str
    better: str = ""
    help: str = ""
    cost: bool = False


Metrics = TypedDict(
    "Metrics",
    {
        "start_cash": Annotated[float, Metric("Cash at the start", "money")],
        "final_equity": Annotated[float, Metric("Equity at the end", "money", "high")],
        "final_reserve": Annotated[float, Metric("Reserve", "money", "", "Outside the venue")],
        "final_in_flight": Annotated[float, Metric("In flight", "money", "", "Between the venue and the reserve")],
        "return": Annotated[
            float | None, Metric("Return", "percent", "high", "Change of equity over cash at the start")
        ],
        "cagr": Annotated[
            float | None, Metric("Return per year (CAGR)", "percent", "high", "Compounded, years of 365 days")
        ],
        "volatility": Annotated[
            float | None, Metric("Volatility per year", "percent", "", "Of daily returns, years of 365 days")
        ],
        "sharpe": Annotated[
            float | None, Metric("Sharpe", "ratio", "", "Mean of daily returns over their deviation, per year")
        ],
        "sortino": Annotated[
            float | None,
            Metric("Sortino", "ratio", "", "Mean of daily returns over their downside deviation, per year"),
        ],
        "calmar": Annotated[float | None, Metric("Calmar", "ratio", "", "Return per year over the largest drawdown")],
        "max_drawdown": Annotated[
            float, Metric("Largest drawdown at closes", "percent", "shallow", "From the highest close before it")
        ],
        "max_drawdown_inside": Annotated[
            float | None,
            Metric(
                "Largest drawdown inside candles",
                "percent",
                "shallow",
                "From the highest close before it to the lowest moment",
            ),
        ],
        "max_drawdown_days": Annotated[
            float, Metric("Longest drawdown", "days", "", "From a peak until it is regained, or to the end")
        ],
        "turnover": Annotated[
            float | None, Metric("Turnover per year", "times", "", "Traded notional over mean equity")
        ],
        "hit_rate": Annotated[
            float | None, Metric("Winning trades", "percent", "", "Share of the trades with a net profit")
        ],
        "profit_factor": Annotated[
            float | None,
            Metric("Profit factor", "ratio", "", "Net gains of the winning trades over losses of the others"),
        ],
        "trades": Annotated[int, Metric("Trades", "count", "", "Finished round trips")],
        "open_trades": Annotated[
            int, Metric("Positions open at the end", "count", "", "Not counted in the statistics of trades")
        ],
        "mean_leverage": Annotated[float | None, Metric("Mean leverage", "times", "", "Gross notional over equity")],
        "max_leverage": Annotated[
            float | None, Metric("Largest leverage", "times", "", "Gross notional over equity at a close")
        ],
        "margin_use_peak": Annotated[
            float | None, Metric("Initial margin at its peak", "percent", "", "Over equity, at a close")
        ],
        "maintenance_use_peak": Annotated[
            float | None, Metric("Maintenance margin at its peak", "percent", "", "Over equity, at a close")
        ],
        "min_distance_to_liquidation": Annotated[
            float | None,
            Metric(
                "Distance to liquidation at closes",
                "percent",
                "",
                "The smallest (equity − maintenance margin) / gross notional of a margin account",
            ),
        ],
        "min_distance_inside": Annotated[
            float | None,
            Metric(
                "Distance to liquidation inside candles", "percent", "", "The same, moments inside candles included"
            ),
        ],
        "price_moves": Annotated[float, Metric("Price moves", "money", "", "At the decision prices, before all costs")],
        "funding": Annotated[float, Metric("Funding", "money", "", "Positive: received")],
        "fees": Annotated[float, Metric("Fees", "money", "", "Paid for fills, less rebates", cost=True)],
        "spread": Annotated[
            float, Metric("Spread", "money", "", "Half the spread of each taker fill, plus fixed slippage", cost=True)
        ],
        "impact": Annotated[float, Metric("Impact", "money", "", "Price impact of the size of the fills", cost=True)],
        "latency": Annotated[float, Metric("Latency", "money", "", "Price move between decision and fill", cost=True)],
        "penalties": Annotated[
            float, Metric("Liquidation penalties", "money", "", "Paid to the insurance fund", cost=True)
        ],
        "insurance": Annotated[
            float, Metric("Paid by the insurance fund", "money", "", "Losses beyond the equity of the margin account")
        ],
        "bad_debt": Annotated[
            float, Metric("Bad debt borne by others", "money", "low", "Losses beyond the equity of the margin account")
        ],
        "gas": Annotated[float, Metric("Gas", "money", "", "Paid to the chain for messages and transfers", cost=True)],
        "bridge_fees": Annotated[float, Metric("Bridge fees", "money", "", "Paid for transfers", cost=True)],
        "adl_loss": Annotated[
            float, Metric("Cost to ADL counterparties", "money", "low", "Positions closed at their bankruptcy price")
        ],
        "slippage": Annotated[
            float,
            Metric("Slippage", "money", "", "Spread, impact and drift: paid beyond the price of the path", cost=True),
        ],
        "rebates": Annotated[
            float, Metric("Rebates", "money", "", "Received for fills as maker; they are in the fees")
        ],
        "maker_share": Annotated[float | None, Metric("Traded as maker", "percent", "", "Share of the traded value")],
        "liquidations": Annotated[
            int, Metric("Positions liquidated", "count", "low", "Closed or reduced by the venue")
        ],
        "pool_liquidations": Annotated[
            int, Metric("Margin accounts liquidated", "count", "low", "A margin account may hold several positions")
        ],
        "liquidation_steps": Annotated[
            int, Metric("Steps of liquidation", "count", "", "One liquidation may take several")
        ],
        "backstops": Annotated[
            int, Metric("Backstop liquidations", "count", "low", "Margin accounts taken over with all remaining margin")
        ],
        "deleveraged": Annotated[
            int,
            Metric(
                "Positions auto-deleveraged (ADL)",
                "count",
                "low",
                "Closed or reduced because the other side was bankrupt",
            ),
        ],
        "ambiguous_candles": Annotated[
            int, Metric("Ambiguous candles", "count", "", "Liquidation depends on the price path inside the candle")
        ],
        "margin_calls": Annotated[int, Metric("Margin calls", "count", "", "Equity fell below initial margin")],
        "orders": Annotated[int, Metric("Orders", "count")],
        "rejected_orders": Annotated[int, Metric("Orders rejected", "count")],
        "cancelled_orders": Annotated[int, Metric("Orders cancelled", "count")],
        "expired_orders": Annotated[int, Metric("Orders expired", "count")],
        "refused_amendments": Annotated[
            int, Metric("Amendments rejected", "count", "", "Their orders stayed unchanged")
        ],
        "fills": Annotated[int, Metric("Fills", "count")],
        "undone_fills": Annotated[int, Metric("Fills undone by the chain", "count", "low", "In a reorg")],
        "missing_settlements": Annotated[
            int,
            Metric(
                "Missing funding payments",
                "count",
                "",
                "Funding times without a rate while a position was open; nothing was paid",
            ),
        ],
    },
)
"""The metrics of a run by name, in the order in which they are shown; None where a formula has no value."""

METRICS: dict[str, Metric] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(Metrics, include_extras=True).items()
}
"""How each metric is shown, in the order of `Metrics`."""


def by_name(metrics: Metrics) -> Mapping[str, float | None]:
    """Return the metrics as a mapping, to look them up by a name that is not known before."""
    return cast("Mapping[str, float | None]", metrics)
