"""What became of an account: where its profit came from, and what it lost to liquidation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import polars as pl

from backtest.core.enums import Cause, Stage
from backtest.report import closes
from backtest.report.downsampling import DUST, Times, stamps
from backtest.report.formatting import OPEN_GAP
from backtest.results.ledger import COSTS, FLOWS

if TYPE_CHECKING:
    from backtest.results.result import Result

SOURCES = (
    "Price moves", "Funding", "Fees", "Spread", "Impact", "Latency", "Liquidation penalties",
    "Paid by the insurance fund", "Bad debt borne by others", "Gas", "Bridge fees",
)  # fmt: skip
"""What adds up to the change of equity, in the order in which it is shown: `FLOWS` of the books."""
LATENCY = "Latency"


def source_title(name: str, delayed: bool) -> str:
    """What one of `SOURCES` is called; without a delay there is no latency, only the gap to the next open."""
    return OPEN_GAP.title if name == LATENCY and not delayed else name


def sources_note(delayed: bool) -> str:
    """What price moves and latency are."""
    said = "Price moves: profit of the same trades at their decision prices, without costs; "
    if delayed:
        return f"{said}latency: the price move between decision and fill."
    return f"{said}gap to the next open: orders are decided at a close and filled at the next open."


DEAD = 0.01
"""An account with less than this share of its start is dead."""
SHORTFALL, DELEVERAGED = (stage.name.lower() for stage in (Stage.SHORTFALL, Stage.DELEVERAGED))


STEPS = [Stage.PARTIAL.name.lower(), Stage.POSITION.name.lower()]
FORCED = [Cause.LIQUIDATION.name.lower(), Cause.ADL.name.lower()]


@dataclass(frozen=True)
class Loss:
    """One liquidation of one pool, in one step or in many; or one deleveraging of a good position."""

    rows: pl.DataFrame
    """Of the table `liquidations`, in the order of the journal, with `held`: the position before the row."""
    ts_ms: int
    """Of the first step."""
    end_ms: int
    """Of the last one."""
    pool: str
    symbols: tuple[str, ...]
    closed: tuple[str, ...]
    """Those of `symbols` of which nothing was left after it."""
    left: float
    """Share of the position that was left after it; of several the largest."""
    steps: int
    equity: float
    maintenance: float
    """Of the pool, just before; quote units."""
    equity_after: float
    maintenance_after: float
    insurance: float
    """What the insurance fund received, less what it paid."""
    bad_debt: float
    adl_loss: float
    ambiguous: bool

    @property
    def stage(self) -> str:
        """Of the last row: how it ended."""
        return str(self.rows["stage"][-1])


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
    deleveraged: tuple[Loss, ...]
    """Good positions that auto-deleveraging took: not the account's failure."""
    shortfalls: int
    """Ordinary closes that left a margin account below zero, without a liquidation."""
    ambiguous: int
    fills: int
    guards: pl.DataFrame
    """The table `guards`: what they did, in order."""
    delayed: bool = True
    """Whether orders took time to arrive."""
    reopened: int = 0
    """Positions that the strategy opened again after its first one in that market had been liquidated."""
    dead_ms: int | None = None
    """Close since which less than `DEAD` of the start was left, to the end; None where more was left."""

    @property
    def change(self) -> float:
        """Of equity, from the deposit to the end."""
        return self.end - self.start


def outcome(result: Result) -> Outcome:
    """Read the outcome from the books' flows; they have balanced to the micro before anything is shown."""
    tables, metrics = result.tables, result.metrics
    clock = closes.times(result)
    rows = tables["liquidations"]
    # Only of what was liquidated fills say more: there may be many of them.
    fills = (
        tables.columns("fills", "ts", "symbol", "qty", "cause")
        if len(rows)
        else tables.table("fills").schema.to_frame()
    )
    rows = _with_held(rows, fills)
    known = cast("Mapping[str, float]", metrics)
    flows = (-known[name] if name in COSTS else known[name] for name in FLOWS)
    taken = rows.filter(pl.col("stage") == DELEVERAGED)
    return Outcome(
        label=result.label,
        margin=str(result.summary["config"].get("margin", result.label)),
        start=metrics["start_cash"],
        end=metrics["final_equity"],
        start_ms=int(clock[0]) if len(clock) else 0,
        end_ms=int(clock[-1]) if len(clock) else 0,
        # Adding zero turns a negative zero into zero.
        sources={name: amount + 0.0 for name, amount in zip(SOURCES, flows, strict=True)},
        losses=tuple(_loss(group) for group in rows.drop_nulls("process").partition_by("process")),
        deleveraged=tuple(_loss(row) for row in taken.iter_slices(1)),
        shortfalls=rows.filter(pl.col("stage") == SHORTFALL).select("ts", "pool").n_unique(),
        ambiguous=tables["ambiguous"]["ts"].n_unique(),
        fills=tables.height("fills"),
        guards=tables["guards"],
        delayed=delayed(result),
        reopened=_reopened(rows.drop_nulls("process"), fills),
        dead_ms=_dead_ms(result, clock),
    )


def _reopened(liquidations: pl.DataFrame, fills: pl.DataFrame) -> int:
    """Fills that open a position from nothing in a market after the first liquidation there."""
    first = liquidations.group_by("symbol").agg(pl.col("ts").min().alias("liquidated"))
    opening = (_before().abs() < DUST) & ~pl.col("cause").is_in(FORCED)
    return fills.filter(opening).join(first, on="symbol").filter(pl.col("ts") > pl.col("liquidated")).height


def _before() -> pl.Expr:
    """The quantity of the position before a row of a table in the order of the journal, by symbol."""
    return pl.col("qty").cum_sum().over("symbol") - pl.col("qty")


def delayed(result: Result) -> bool:
    """Whether an order of the account arrived later than it was sent."""
    orders = result.tables.table("orders").pieces("ts_arrived", "ts_sent")
    return any((some["ts_arrived"] > some["ts_sent"]).any() for some in orders)


def _dead_ms(result: Result, clock: Times) -> int | None:
    """The first of the closes at the end of the run at which an account had less than `DEAD` of its start."""
    start = result.metrics["start_cash"]
    alive = closes.worth(result) >= DEAD * start
    if not len(alive) or alive[-1] or start <= 0:
        return None
    last = np.flatnonzero(alive)
    return int(clock[last[-1] + 1 if len(last) else 0])


def _loss(rows: pl.DataFrame) -> Loss:
    """`rows` are those of one process, at least one."""
    clock = stamps(rows)
    first, last = rows.row(0, named=True), rows.row(-1, named=True)
    symbols = tuple(str(symbol) for symbol in rows["symbol"].unique(maintain_order=True))
    left = dict(rows.select("symbol", pl.col("held") + pl.col("qty")).iter_rows())  # of each the last row counts
    begun = dict(rows.reverse().select("symbol", "held").iter_rows())  # and here the first
    return Loss(
        rows=rows,
        ts_ms=int(clock[0]),
        end_ms=int(clock[-1]),
        pool=str(first["pool"]),
        symbols=symbols,
        closed=tuple(symbol for symbol in symbols if abs(left[symbol] or 0.0) < DUST),
        left=max(abs((left[symbol] or 0.0) / (begun[symbol] or 1.0)) for symbol in symbols),
        steps=_steps(rows),
        equity=float(first["equity_before"]),
        maintenance=float(first["maintenance_before"]),
        equity_after=float(last["equity_after"]),
        maintenance_after=float(last["maintenance_after"]),
        insurance=float(rows["insurance"].sum()),
        bad_debt=float(rows["bad_debt"].sum()),
        adl_loss=float(rows["adl_loss"].sum()),
        ambiguous=bool(rows["ambiguous"].any()),
    )


def _steps(rows: pl.DataFrame) -> int:
    """As `results.liquidation_processes.steps`: what went at once is one step."""
    alone = pl.col("stage").is_in(STEPS)
    return len(rows.filter(alone)) + rows.filter(~alone)["ts"].n_unique()


def _with_held(rows: pl.DataFrame, fills: pl.DataFrame) -> pl.DataFrame:
    """The rows with `held`, the quantity of the position before each; null where nothing was traded.

    A row that traded has one fill with its cause, and both tables are in the order of the journal.
    """
    nth = pl.int_range(pl.len()).over("symbol")
    forced = fills.with_columns(_before().alias("held")).filter(pl.col("cause").is_in(FORCED)).with_columns(nth=nth)
    traded = pl.when(pl.col("qty") != 0).then(pl.int_range(pl.len()).over("symbol", pl.col("qty") != 0))
    matched = forced.select("symbol", "nth", "held")
    return rows.with_columns(nth=traded).join(matched, on=("symbol", "nth"), how="left", maintain_order="left")


def held(result: Result, ts_ms: int) -> list[str]:
    """Symbols with an open position after everything that happened up to ``ts_ms``."""
    fills = result.tables.columns("fills", "ts", "symbol", "qty")
    before = fills.filter(stamps(fills) <= ts_ms)
    sums = before.group_by("symbol").agg(pl.col("qty").sum()).filter(pl.col("qty").abs() > 1e-9)
    return sorted(sums["symbol"].to_list())


def by_symbol(result: Result) -> pl.DataFrame:
    """The table `attribution` with its costs below zero and the number of fills; the symbols that did anything.

    Over a row and over the rows it adds up to the change of equity.
    """
    tables = result.tables
    fills = tables.columns("fills", "symbol").group_by("symbol").agg(pl.len().cast(pl.Int64).alias("fills"))
    costs = [(0.0 - pl.col(name)).alias(name) for name in FLOWS if name in COSTS]
    joined = (
        tables["attribution"].join(fills, on="symbol", how="left").with_columns(pl.col("fills").fill_null(0), *costs)
    )
    # A shortfall of the whole pool has no symbol, nor has a transfer's gas: it stands last.
    some = joined.filter((pl.col("fills") > 0) | (pl.sum_horizontal(pl.col(*FLOWS).abs()) > 0))
    return some.select("symbol", "fills", *FLOWS, "change").sort("symbol", nulls_last=True)
