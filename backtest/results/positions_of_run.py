"""The positions of a run at one of its closes, as a positions file says them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl

from backtest.core.errors import UserError
from backtest.core.times import EPOCH, moment, stamp
from backtest.results import report_files
from backtest.results.result import Result
from backtest.results.summary import RUN
from backtest.results.summary_types import untyped

WORST = "worst"
LEAST_POSTED = 1e-6
"""What an isolated position that has lost all its margin is said to have posted, quote units."""


def positions_of_run(folder: Path, at: int | str | dt.date | None) -> dict[str, Any]:
    """Return the account and its positions at a close of the run in ``folder``, as the margin calculator takes them.

    ``at``: a time, for the last close up to it at which positions were sampled, or ``worst`` (also None): the sampled
    close with the highest margin ratio. UserError for a folder that is no run, and where nothing was held.
    """
    result = _run(folder)
    closes = _closes(result)
    if not closes.height:
        raise UserError("the run held no position at any close", str(folder), "name another run")
    if at is None or at == WORST:
        close = closes.sort("ratio", "ts", descending=[True, False]).row(0, named=True)
    else:
        until = EPOCH + dt.timedelta(milliseconds=moment(at, "--at"))
        before = closes.filter(pl.col("ts") <= until)
        if not before.height:
            thing = f"the run held no position up to {stamp(moment(at))}"
            first = stamp(int(closes["ts"].to_physical()[0]))
            raise UserError(thing, "--at", f"its first close with positions is {first}")
        close = before.row(-1, named=True)
    return _book(result, close["ts"], float(close["equity"]))


def _run(folder: Path) -> Result:
    stored = report_files.stored(folder)
    if stored.kind != RUN:
        labels = [result.label for result in stored.results]
        raise UserError(f"has {len(labels)} runs", str(folder), f"name one, like {folder / labels[0]}")
    return stored.results[0]


def _closes(result: Result) -> pl.DataFrame:
    """Closes at which every position was sampled: ts, equity and margin ratio, infinite where equity is not positive.

    A row of a close at which one of several accounts traded has not all of them.
    """
    sampled = result.tables["positions"].group_by("ts").agg(gross=pl.col("notional").abs().sum())
    equity = result.tables["equity"].select("ts", "equity", "gross_notional", "margin_ratio")
    near = (pl.col("gross") - pl.col("gross_notional")).abs() <= 1e-9 * pl.col("gross_notional") + 1e-6
    both = equity.join(sampled, on="ts").filter(near & (pl.col("gross") > 0))
    return both.with_columns(ratio=pl.col("margin_ratio").fill_null(float("inf"))).sort("ts")


def _book(result: Result, ts: dt.datetime, equity: float) -> dict[str, Any]:
    held = result.tables["positions"].filter(pl.col("ts") == ts).sort("symbol")
    pools = result.tables["margin"].filter(pl.col("ts") == ts)
    own = dict(zip(pools["pool"], pools["equity"], strict=True))
    config = untyped(result.summary)["config"]
    leverage = config["leverage"] if isinstance(config["leverage"], int | float) else None
    given = {str(row["symbol"]): row.get("leverage") for row in config.get("positions") or ()}
    rows = []
    for row in held.iter_rows(named=True):
        asked = given.get(row["symbol"]) or leverage
        one = {"symbol": row["symbol"], "qty": row["qty"], "entry": row["entry_price"], "mark": row["mark"]}
        if row["pool"] == row["symbol"]:
            one |= {"mode": "isolated", "posted": max(own[row["pool"]] - row["unrealized"], LEAST_POSTED)}
        rows.append(one | ({"leverage": asked} if asked is not None else {}))
    return {
        "venue": config["venue"],
        "date": ts.date(),
        "margin": config["margin"],
        "collateral": max(0.0, equity - float(held["unrealized"].sum())),
        "positions": rows,
    }
