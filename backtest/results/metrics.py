"""The metrics of a run. A year has 365 days; a day is a UTC day; undefined is None.

With E(t) the account's total at the closes (equity at the venue, reserve and money in flight: without the last two it
is the equity), E₀ that of the start (the deposit and the reserve), E₁ that of the end, V(t) equity at the venue alone,
Y the years (365 days) from the first candle's open to the last one's close, and rᵢ = E(mᵢ) / E(mᵢ₋₁) − 1 between UTC
midnights m (a deposit at a midnight is the first; a piece of a day at either end has no rᵢ), over n whole days:

- `start_cash` = E₀, `final_equity` = E₁; `final_reserve`, `final_in_flight` are parts of E₁
- `return` = E₁ / E₀ − 1
- `cagr` = (E₁ / E₀)^(1/Y) − 1; −1 when nothing is left; None under two days
- `volatility` = √365 · s, s the sample deviation (n − 1) of r
- `sharpe` = √365 · mean(r) / s, over a riskless rate of 0 (Sharpe 1994, "The Sharpe Ratio")
- `sortino` = √365 · mean(r) / √(Σ min(r, 0)² / n), target 0 (Sortino and Price 1994, "Performance Measurement in a
  Downside Risk Framework")
- `calmar` = cagr / |max_drawdown| (Young 1991, "Calmar Ratio: A Smoother Tool"; over the whole run, not 36 months)
- `max_drawdown` = min over closes of E(t) / max(E₀, E up to t) − 1, ≤ 0
- `max_drawdown_inside`: the least E(T) / max(E₀, E at the closes before T) − 1 at the knots and instants T inside
  candles as well (docs/reference/rules.md, 4.1), ≤ `max_drawdown`; None for a sum of sub-accounts
- `max_drawdown_days`: longest time from a peak to the close that regains it, or to the end
- `turnover` = Σ |cash of a fill| / mean E(t) / Y, all fills that stand: times per year
- `hit_rate`: share of the trades with net > 0; `profit_factor` = Σ net gains / |Σ net losses|
- `mean_leverage`, `max_leverage`: gross notional / V(t) over closes
- `margin_use_peak`, `maintenance_use_peak`: the most of initial, maintenance margin / V(t), all pools
- `min_distance_to_liquidation`: the least (equity − maintenance) / gross notional of a pool: how far prices could go
  against all of it. Over all closes where the account is one cross pool, else over the samples of every pool; 0 where
  one was liquidated in steps, 0 or less where one went at once
- `min_distance_inside`: the same at the knots and instants inside candles as well, for every pool in every candle
- `price_moves` (at the prices of the decisions, without a cost), `funding` (received), `fees` (less rebates), `spread`,
  `impact`, `latency` (signed: what the way from decision to fill cost, drift included), `penalties`, `insurance`
  (received from the insurance fund), `bad_debt` (borne by others), `gas`, `bridge_fees` (of transfers): flows of the
  books, which add up to E₁ − E₀. Beside them: `slippage` = spread + impact + drift, what fills paid beyond the path's
  price; `rebates`: negative fees, which are in `fees`; `adl_loss`: what closing this account's positions at the
  bankruptcy price cost the other side
- `maker_share` = Σ |cash| of the fills of orders as maker / Σ |cash| of all fills of orders, those that stand
- `pool_liquidations`: of a pool, see `liquidation_processes`, in `liquidation_steps` steps; `liquidations`:
  positions that they closed or made smaller; `backstops` of them ended at the backstop; `deleveraged`: good positions
  closed or made smaller by auto-deleveraging
- `ambiguous_candles`, `margin_calls`, `orders`, `rejected_orders`, `cancelled_orders`, `expired_orders`,
  `refused_amendments` (not orders themselves), `fills`, `undone_fills`, `trades`, `open_trades`,
  `missing_settlements`: counts. A fill that the chain has undone does not stand, nor does the one that undoes it; both
  are `fills`, and the former is one of `undone_fills`

Ratios to equity leave out closes where equity is not positive and something is held: they have no meaning there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.enums import CROSS_POOL, MICRO, NO_ORDER, Cause, Liquidity, OrderType, Stage, Status
from backtest.core.records import Record
from backtest.core.rows import Rows
from backtest.results.ledger import FLOWS, Books
from backtest.results.liquidation_processes import NONE, processes, steps
from backtest.results.metric_definitions import Metrics
from backtest.results.reorgs import standing
from backtest.results.reserve import total
from backtest.results.trades import Trades

Floats = NDArray[np.float64]
DAY_MS = 86_400_000
YEAR_DAYS = 365
WHOLE_POOL = (Stage.WHOLE, Stage.BACKSTOP, Stage.SOCIALISED)
LOOK = 65_536
"""Closes that are looked at together."""
STILL = 1e-12
"""A deviation below this is rounding, not risk: a micro of a 1,000,000 account."""


def metrics(record: Record, books: Books, trades: Trades) -> Metrics:
    """Plain numbers by name, money in quote units; None where a formula has no value. See the formulas above."""
    days = len(record.curve) * record.interval_ms / DAY_MS
    start, worth = books.equity_start / MICRO, total(record)
    traded = standing(record.fills)
    drawdown, longest = _drawdown(start, worth, record.interval_ms)
    cagr = _cagr(books.equity_start, books.equity_end, days)
    distance = _distance(record)
    sank, neared = _inside(record)
    found: dict[str, float | None] = {
        "start_cash": start,
        "final_equity": books.equity_end / MICRO,
        "final_reserve": record.final_reserve / MICRO,
        "final_in_flight": record.final_in_flight / MICRO,
        "return": _ratio(books.equity_end - books.equity_start, books.equity_start),
        "cagr": cagr,
        **_daily(_midnights(record, start, worth)),
        "calmar": _ratio(cagr, -drawdown),
        "max_drawdown": drawdown,
        "max_drawdown_inside": None if sank is None else min(sank, drawdown),
        "max_drawdown_days": longest,
        "turnover": _turnover(traded, worth, days / YEAR_DAYS),
        **_per_trade(trades),
        **_leverage(record),
        "margin_use_peak": _most(record, "initial_margin"),
        "maintenance_use_peak": _most(record, "maintenance_margin"),
        "min_distance_to_liquidation": distance,
        "min_distance_inside": min((d for d in (neared, distance) if d is not None), default=None),
        **{name: books.flows[name] / MICRO for name in FLOWS},
        "adl_loss": int(record.liquidations["adl_loss"].sum()) / MICRO,
        **_costs(traded),
        **_liquidated(record),
        **_counts(record),
    }
    return cast("Metrics", found)


def _ratio(over: float | None, under: float | None) -> float | None:
    """`over / under`, None without either or for nothing below the line."""
    return None if over is None or under is None or under <= 0 else over / under


def _most(record: Record, name: str) -> float | None:
    """The most of a column of the curve over equity."""
    return max((float(ratios.max()) for ratios in _over_equity(record, name) if len(ratios)), default=None)


def _leverage(record: Record) -> dict[str, float | None]:
    """The mean and the most of it. Of an array: a sum of doubles depends on how it is cut."""
    whole, found = np.empty(len(record.curve)), 0
    for ratios in _over_equity(record, "gross_notional"):
        whole[found : found + len(ratios)] = ratios
        found += len(ratios)
    known = whole[:found]
    mean, most = (float(known.mean()), float(known.max())) if found else (None, None)
    return {"mean_leverage": mean, "max_leverage": most}


def _over_equity(record: Record, name: str) -> Iterator[Floats]:
    """A column of the curve over equity, at the closes where that means something: 0 where there is no amount."""
    for closes in record.curve.pieces(name, "equity"):
        amount, equity = closes[name], closes["equity"]
        known = equity > 0
        if not known.all():
            idle = amount == 0
            kept = idle | known
            amount, equity = np.where(idle, 0.0, amount)[kept], np.where(known, equity, 1.0)[kept]
        yield amount / equity


def _cagr(start: int, end: int, days: float) -> float | None:
    if start <= 0:
        return None
    if end <= 0:
        return -1.0
    if days < 2:
        return None  # a day's luck raised to the 365th power says nothing
    try:
        return math.pow(end / start, YEAR_DAYS / days) - 1.0
    except OverflowError:
        return None


def _midnights(record: Record, start: float, worth: Floats) -> Floats:
    """The total at each UTC midnight of the run: at the last close at or before it, ``start`` at the start."""
    end_ms = record.start_ms + len(record.curve) * record.interval_ms
    first = -(-record.start_ms // DAY_MS) * DAY_MS
    closed = (np.arange(first, end_ms + 1, DAY_MS, dtype=np.int64) - record.start_ms) // record.interval_ms
    known: Floats = np.full(len(closed), start)
    known[closed > 0] = worth[closed[closed > 0] - 1]
    return known


def _daily(equity: Floats) -> dict[str, float | None]:
    unknown: dict[str, float | None] = {"volatility": None, "sharpe": None, "sortino": None}
    if len(equity) < 3 or (equity[:-1] <= 0).any():
        return unknown
    returns = equity[1:] / equity[:-1] - 1.0
    mean, deviation = float(returns.mean()), float(returns.std(ddof=1))
    downside = float(np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2)))
    yearly = math.sqrt(YEAR_DAYS)
    return {
        "volatility": yearly * deviation,
        "sharpe": yearly * mean / deviation if deviation > STILL else None,
        "sortino": yearly * mean / downside if downside > STILL else None,
    }


def _drawdown(start: float, worth: Floats, interval_ms: int) -> tuple[float, float]:
    """Deepest drawdown (≤ 0), and the longest time under water in days. What there was at the start is the first
    peak."""
    if start <= 0:
        return 0.0, 0.0
    lowest, highest, longest, dry = 1.0, start, 0, 0  # number of closes to the last peak
    for first in range(0, len(worth), LOOK):
        equity = worth[first : first + LOOK]
        peak = np.maximum(np.maximum.accumulate(equity), highest)
        lowest, highest = min(lowest, float((equity / peak).min())), float(peak[-1])
        peaks = first + 1 + np.flatnonzero(equity == peak)
        # Neighbouring peaks are one candle apart with no water between; after the last peak there is water to the end.
        between = np.diff(peaks, prepend=dry)
        longest = max(longest, int(between[between > 1].max(initial=0)))
        dry = int(peaks[-1]) if len(peaks) else dry
    return lowest - 1.0, max(longest, len(worth) - dry) * interval_ms / DAY_MS


def _turnover(fills: Rows, worth: Floats, years: float) -> float | None:
    mean = float(worth.mean()) if len(worth) else 0.0
    traded = int(np.abs(fills["quote"][fills["cause"] != Cause.OPENING]).sum()) / MICRO
    return _ratio(traded, mean * years)


def _per_trade(trades: Trades) -> dict[str, float | int | None]:
    net = trades.table.frame("net")["net"].to_numpy()
    return {
        "hit_rate": _ratio(int((net > 0).sum()), len(net)),
        "profit_factor": _ratio(float(net[net > 0].sum()), -float(net[net < 0].sum())),
        "trades": len(net),
        "open_trades": trades.open,
    }


def _inside(record: Record) -> tuple[float | None, float | None]:
    """The deepest drawdown and the smallest distance to liquidation inside candles; None: not known, or nothing was
    held."""
    if not record.lowest:
        return None, None
    drawdown, _, distance, distance_ms = record.lowest
    return drawdown, distance if distance_ms >= 0 else None


def _distance(record: Record) -> float | None:
    """The least at the closes, and at the liquidations between them, where it is 0 or below."""
    # What a step closes is not all that the pool held: of steps it is only known that nothing was left.
    reached = 0.0 if (processes(record) != NONE).any() else None
    found = (reached, _distance_at_closes(record), _distance_at_liquidations(record))
    return min((d for d in found if d is not None), default=None)


def _distance_at_liquidations(record: Record) -> float | None:
    rows = record.liquidations[np.isin(record.liquidations["stage"], WHOLE_POOL)]
    if not len(rows):
        return None
    # One act of a pool has one stamp; its first row has the pool's equity and requirement before any of it.
    _, first, act = np.unique(rows[["ts_ms", "pool"]], return_index=True, return_inverse=True)
    size = np.abs(rows["price"] * rows["lots"]) * (record.step_micro[rows["symbol"]] / MICRO)
    free = (rows["equity_before"][first] - rows["maintenance_before"][first]) / MICRO
    return float((free / np.bincount(act, size)).min())


def _distance_at_closes(record: Record) -> float | None:
    if (record.positions["pool"] == CROSS_POOL).all() and (record.fills["pool"] == CROSS_POOL).all():
        return _distance_of_all(record)
    # Positions are sampled at the same times as the margin of their pools.
    least, stamps, samples = None, record.positions["ts_ms"], record.pools["ts_ms"]
    first = end = 0
    while first < len(stamps):
        # Some times after another, each of them whole.
        last = stamps[min(first + LOOK, len(stamps)) - 1]
        end = int(np.searchsorted(stamps, last, side="right"))
        margins = slice(*np.searchsorted(samples, (stamps[first], last + 1)))
        found = _least_of(record, record.positions[first:end], record.pools[margins])
        least, first = found if least is None else least if found is None else min(least, found), end
    return least


def _least_of(record: Record, rows: NDArray[np.void], margins: NDArray[np.void]) -> float | None:
    """The least distance at the samples of some times."""
    pools = pl.DataFrame({name: np.ascontiguousarray(margins[name]) for name in margins.dtype.names or ()})
    gross = np.abs(rows["mark"] * rows["lots"] * (record.step_micro[rows["symbol"]] / MICRO))
    held_by = pl.DataFrame({"ts_ms": rows["ts_ms"].copy(), "pool": rows["pool"].copy(), "gross": gross})
    grosses = held_by.filter(pl.col("gross") > 0).group_by("ts_ms", "pool").agg(pl.col("gross").sum())
    both = pools.join(grosses, on=("ts_ms", "pool"))
    least = both.select(((pl.col("equity") - pl.col("maintenance")) / pl.col("gross")).min()).item()
    return None if least is None else float(least)


def _distance_of_all(record: Record) -> float | None:
    """At all closes, where the account is one cross pool."""
    least = None
    for closes in record.curve.pieces("equity", "maintenance_margin", "gross_notional"):
        gross = closes["gross_notional"]
        held = gross > 0
        if held.any():
            free = closes["equity"] - closes["maintenance_margin"]
            free, gross = (free, gross) if held.all() else (free[held], gross[held])
            nearest = float((free / gross).min())
            least = nearest if least is None else min(least, nearest)
    return least


def _liquidated(record: Record) -> dict[str, int]:
    rows, number = record.liquidations, processes(record)
    own = number != NONE
    return {
        "liquidations": len(set(zip(number[own].tolist(), rows["symbol"][own].tolist(), strict=True))),
        "pool_liquidations": int(number.max(initial=NONE)) + 1,
        "liquidation_steps": steps(record, number),
        "backstops": len(np.unique(number[rows["stage"] == Stage.BACKSTOP])),
        "deleveraged": int((rows["stage"] == Stage.DELEVERAGED).sum()),
    }


def _costs(fills: Rows) -> dict[str, float | None]:
    """What fills cost beside the flows of the books, and on which side of the book they were."""
    ordered = fills["order_id"] != NO_ORDER
    cash = np.abs(fills["quote"][ordered])
    made = cash[fills["liquidity"][ordered] == Liquidity.MAKER]
    return {
        "slippage": sum(int(fills[name].sum()) for name in ("spread", "impact", "drift")) / MICRO,
        "rebates": int(-np.minimum(fills["fee"], 0).sum()) / MICRO,
        "maker_share": _ratio(int(made.sum()), int(cash.sum())),
    }


def _counts(record: Record) -> dict[str, int]:
    amendments = record.orders["type"] == OrderType.AMEND
    ends = record.orders["status"][~amendments]
    return {
        "ambiguous_candles": len(np.unique(record.ambiguous["ts_ms"])),
        "margin_calls": int((record.margin_calls["level"] == 0.0).sum()),  # those of guards are in `guards`
        "orders": len(ends),
        "rejected_orders": int((ends == Status.REJECTED).sum()),
        "cancelled_orders": int((ends == Status.CANCELLED).sum()),
        "expired_orders": int((ends == Status.EXPIRED).sum()),
        "refused_amendments": int(amendments.sum()),
        "fills": len(record.fills),
        "undone_fills": int((record.fills["cause"] == Cause.REORG).sum()),
        "missing_settlements": int((record.funding["missing"] != 0).sum()),
    }
