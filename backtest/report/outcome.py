"""What became of an account: where its profit came from, and what it lost to liquidation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from backtest.report.series import stamps
from backtest.schema import Stage

if TYPE_CHECKING:
    from backtest.results.result import Result

SOURCES = ("Price moves", "Funding", "Fees", "Liquidation penalties", "Bad debt borne by others")
"""What adds up to the change of equity, in the order in which it is shown."""
SHORTFALL = Stage.SHORTFALL.name.lower()


@dataclass(frozen=True)
class Loss:
    """One liquidation of one pool: every position that went with it."""

    ts_ms: int
    pool: str
    symbols: tuple[str, ...]
    equity: float
    maintenance: float
    """Of the pool, just before; quote units."""
    bad_debt: float
    ambiguous: bool


@dataclass(frozen=True)
class Outcome:
    """The end of a run, in quote units."""

    label: str
    margin: str
    start: float
    end: float
    start_ms: int
    end_ms: int
    sources: dict[str, float]
    losses: tuple[Loss, ...]
    shortfalls: int
    """Ordinary closes that left a pool below zero, without a liquidation."""
    ambiguous: int
    fills: int

    @property
    def change(self) -> float:
        """Of equity, from the deposit to the end."""
        return self.end - self.start


def outcome(result: Result) -> Outcome:
    """Read the outcome from the books' flows; they have balanced to the micro before anything is shown."""
    tables, metrics = result.tables, result.metrics
    clock = stamps(tables["equity"])
    rows = tables["liquidations"]
    flows = (metrics["price_moves"], metrics["funding"], -metrics["fees"], -metrics["penalties"], metrics["bad_debt"])
    return Outcome(
        label=result.label,
        margin=str(result.summary["config"].get("margin", result.label)),
        start=metrics["start_cash"],
        end=metrics["final_equity"],
        start_ms=int(clock[0]) if len(clock) else 0,
        end_ms=int(clock[-1]) if len(clock) else 0,
        # Adding zero turns a negative zero into zero.
        sources={name: amount + 0.0 for name, amount in zip(SOURCES, flows, strict=True)},
        losses=_losses(rows.filter(pl.col("stage") != SHORTFALL)),
        shortfalls=rows.filter(pl.col("stage") == SHORTFALL).select("ts", "pool").n_unique(),
        ambiguous=tables["ambiguous"]["ts"].n_unique(),
        fills=len(tables["fills"]),
    )


def _losses(rows: pl.DataFrame) -> tuple[Loss, ...]:
    """Rows of one pool at one instant are one liquidation, in the order of the journal."""
    groups: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for ts_ms, row in zip(stamps(rows).tolist(), rows.iter_rows(named=True), strict=True):
        groups.setdefault((ts_ms, str(row["pool"])), []).append(row)
    return tuple(
        Loss(
            ts_ms=ts_ms,
            pool=pool,
            symbols=tuple(dict.fromkeys(str(r["symbol"]) for r in group)),
            equity=float(group[0]["equity_before"]),
            maintenance=float(group[0]["maintenance_before"]),
            bad_debt=sum(float(r["bad_debt"] or 0.0) for r in group),
            ambiguous=any(r["ambiguous"] for r in group),
        )
        for (ts_ms, pool), group in groups.items()
    )


def held(result: Result, ts_ms: int) -> list[str]:
    """Symbols with an open position after everything that happened up to ``ts_ms``."""
    fills = result.tables["fills"]
    before = fills.filter(stamps(fills) <= ts_ms)
    sums = before.group_by("symbol").agg(pl.col("qty").sum()).filter(pl.col("qty").abs() > 1e-9)
    return sorted(sums["symbol"].to_list())


def by_symbol(result: Result) -> pl.DataFrame:
    """Per symbol: fills, realised profit of prices, funding, fees and penalties, in quote units, costs negative."""
    tables = result.tables
    fills = (
        tables["fills"]
        .group_by("symbol")
        .agg(
            pl.len().alias("fills"),
            pl.col("realized_pnl").sum().alias("realized"),
            (-pl.col("fee").sum()).alias("fees"),
        )
    )
    paid = tables["funding"].group_by("symbol").agg(pl.col("payment").sum().alias("funding"))
    lost = tables["liquidations"].group_by("symbol").agg((-pl.col("penalty").sum()).alias("penalties"))
    joined = fills.join(paid, on="symbol", how="left").join(lost, on="symbol", how="left").fill_null(0)
    return joined.select("symbol", "fills", "realized", "funding", "fees", "penalties").sort("symbol")
