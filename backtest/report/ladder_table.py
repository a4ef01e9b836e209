"""What a move of all markets would have done to the account, at its worst moment and at the end."""

from __future__ import annotations

import numpy as np
import polars as pl

from backtest.report import formatting as fmt
from backtest.report.section import Subject
from backtest.report.table_rows import Cell, Table

MOVES = (-0.5, -0.3, -0.2, -0.1, -0.05, 0.05, 0.1, 0.2, 0.3, 0.5)
FAR = 10.0
"""A margin ratio above it says no more."""
NOTE = (
    "All markets move together at once; maintenance margin keeps its share of each position's value, and nothing is "
    "traded. `backtest margin` plays such a ladder by the venue's own rules."
)


def ladders(subject: Subject) -> list[Table]:
    """Return one table; none where no position was ever sampled."""
    pools = subject.result.tables["margin"].filter(pl.col("maintenance") > 0)
    held = subject.result.tables["positions"]
    if not len(pools) or not len(held):
        return []
    net = held.group_by("ts", "pool").agg(net=pl.col("notional").sum(), gross=pl.col("notional").abs().sum())
    both = pools.join(net, on=("ts", "pool"), maintain_order="left")
    if not len(both):
        return []
    distance = (pl.col("equity") - pl.col("maintenance")) / pl.col("gross")
    worst = both.sort(distance, "ts").row(0, named=True)["ts"]
    last = both["ts"].max()
    moments = {"worst moment": worst} | ({"last sample": last} if last != worst else {})
    rungs = {name: both.filter(pl.col("ts") == at) for name, at in moments.items()}
    head = [Cell("All markets", True)]
    for name, at in moments.items():
        when = fmt.day(at.timestamp() * 1000)
        head += [Cell(f"Equity, {name} ({when})", True), Cell("Margin ratio", True), Cell("Liquidated", True)]
    cells = {move: [cell for one in rungs.values() for cell in _rung(one, move)] for move in MOVES}
    rows = [(Cell(f"{move:+.0%}", True), *row) for move, row in cells.items()]
    return [Table("ladder", "If all markets had moved", tuple(head), tuple(rows), note=NOTE)]


def _rung(pools: pl.DataFrame, move: float) -> list[Cell]:
    """Equity, the highest margin ratio and how many margin accounts would be liquidated."""
    equity = pools["equity"].to_numpy() + pools["net"].to_numpy() * move
    maintenance = pools["maintenance"].to_numpy() * (1 + move)
    gone = int((equity <= maintenance).sum())
    alive = equity > 0
    ratio = float(np.max(maintenance[alive] / equity[alive])) if alive.all() else None
    total = float(equity.sum())
    shown = "" if not gone else "yes" if len(pools) == 1 else f"{gone} of {len(pools)}"
    return [
        Cell(fmt.number(total), True, "minus" if total < 0 else ""),
        Cell(fmt.percent(ratio, 1) if ratio is None or ratio < FAR else f"over {FAR:,.0%}", True),
        Cell(shown, True, "minus" if gone else ""),
    ]
