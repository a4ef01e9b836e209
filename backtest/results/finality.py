"""What the chain could still take back: a fill is *soft* from when it is made until the chain's time to finality is
over, or until the chain has undone it.

``fills`` is the table of fills, so that a report that is read from disk has these numbers too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.enums import MICRO, NO_ORDER, Cause
from backtest.results.columns import TIME, Ints
from backtest.results.reorgs import NONE, undone

Floats = NDArray[np.float64]
ORDERS = pl.Schema(
    {"symbol": pl.String(), "order_id": pl.Int64(), "ts_from": TIME, "ts_until": TIME, "at_risk_ms": pl.Int64(),
     "value": pl.Float64()}
)  # fmt: skip

READS = ("ts", "order_id", "symbol", "quote", "fee", "qty", "cause")
"""The columns of fills that are read."""
KNOWN = np.dtype([(name, "i8") for name in ("ts_ms", "order_id", "symbol", "quote", "fee", "lots", "cause")])


class AtRisk(NamedTuple):
    """A step function: ``value[n]``, quote units, from ``ts[n]`` ms until ``ts[n + 1]``; nothing before the first."""

    ts: Ints
    value: Floats


def at_risk(fills: pl.DataFrame, finality_ms: int) -> AtRisk:
    """The value at risk over time: the sum of |quote| of the fills that are soft just then."""
    soft = _soft(fills, finality_ms)
    since, until, micro = (soft[name].to_numpy() for name in ("since", "until", "micro"))
    times, place = np.unique(np.concatenate([since, until]), return_inverse=True)
    change = np.zeros(len(times), dtype=np.int64)
    np.add.at(change, place, np.concatenate([micro, -micro]))
    return AtRisk(times, np.cumsum(change) / MICRO)


def orders_at_risk(fills: pl.DataFrame, finality_ms: int) -> pl.DataFrame:
    """One row per order with fills, by number (columns of `ORDERS`): when the first of them was made, when none was
    soft any more, for how long at least one was (`at_risk_ms`), and the sum of their |quote|."""
    order = ("order_id", "symbol")
    own = _soft(fills, finality_ms).filter(pl.col("order_id") != NO_ORDER).sort(*order, "since", "until")
    # Of a fill made while an earlier one was still soft, only what is after that one counts.
    before = pl.col("until").cum_max().shift(1).over(order)
    fresh = pl.max_horizontal(pl.col("until") - pl.max_horizontal("since", before), 0)
    grouped = own.with_columns(fresh=fresh).group_by(order, maintain_order=True)
    summed = grouped.agg(
        ts_from=pl.col("since").min().cast(TIME),
        ts_until=pl.col("until").max().cast(TIME),
        at_risk_ms=pl.col("fresh").sum(),
        value=pl.col("micro").sum() / MICRO,
    )
    return summed.select(pl.col(name).cast(kind) for name, kind in ORDERS.items())


def figures(fills: pl.DataFrame, finality_ms: int, start_ms: int, end_ms: int) -> dict[str, Any]:
    """Of the run from ``start_ms`` to ``end_ms``: the most at risk at any time and when that was first (ms; None:
    never), the mean over time, and of the orders' times at risk the median and the longest, ms."""
    risk = at_risk(fills, finality_ms)
    lasting = np.diff(np.minimum(np.append(risk.ts, end_ms), end_ms))
    times = orders_at_risk(fills, finality_ms)["at_risk_ms"]
    most = int(np.argmax(risk.value)) if len(risk.ts) and risk.value.max() > 0 else None
    return {
        "finality_ms": finality_ms,
        "most_at_risk": 0.0 if most is None else float(risk.value[most]),
        "most_at_risk_ms": None if most is None else int(risk.ts[most]),
        "mean_at_risk": float((risk.value * lasting).sum()) / (end_ms - start_ms) if end_ms > start_ms else None,
        "order_median_ms": times.median(),
        "order_longest_ms": times.max(),
    }


def _soft(fills: pl.DataFrame, finality_ms: int) -> pl.DataFrame:
    """symbol, order_id (NO_ORDER: none), since, until (ms) and micro of every fill but those that undo another."""
    rows = np.zeros(len(fills), KNOWN)
    rows["ts_ms"] = fills["ts"].dt.epoch("ms").to_numpy()
    rows["order_id"] = fills["order_id"].fill_null(NO_ORDER).to_numpy()
    rows["symbol"] = fills["symbol"].rank("dense").to_numpy()
    for name in ("quote", "fee"):
        rows[name] = np.rint(fills[name].to_numpy() * MICRO)
    rows["lots"] = np.sign(fills["qty"].to_numpy())  # whose sizes are doubles; quotes are whole
    rows["cause"] = np.where(fills["cause"].to_numpy() == Cause.REORG.name.lower(), Cause.REORG, Cause.STRATEGY)
    undoes = undone(rows)
    back = np.flatnonzero(undoes != NONE)
    until = rows["ts_ms"] + finality_ms
    until[undoes[back]] = np.minimum(until[undoes[back]], rows["ts_ms"][back])
    soft = pl.DataFrame(
        {
            "symbol": fills["symbol"],
            "order_id": rows["order_id"].copy(),
            "since": rows["ts_ms"].copy(),
            "until": until,
            "micro": np.abs(rows["quote"]),
        }
    )
    return soft.filter(pl.Series(undoes == NONE, dtype=pl.Boolean))
