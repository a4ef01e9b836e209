"""Sub-accounts added up: one account's result, as far as several can be one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.enums import MICRO
from backtest.core.json_types import JsonValue
from backtest.core.records import CLOSE, CURVE, Record
from backtest.core.rows import Rows
from backtest.data.selection import Selection
from backtest.report.formatting import metric
from backtest.results import digest, metrics, tables
from backtest.results.equity import equity
from backtest.results.lazy_tables import LazyTable, Tables
from backtest.results.ledger import FLOWS, Books
from backtest.results.metric_definitions import by_name
from backtest.results.result import Result
from backtest.results.summary import plain
from backtest.results.summary_types import RunSummary, untyped
from backtest.results.trades import Trades
from backtest.runner.notes import STRETCHED

LABEL = "combined"
NAMED = ("symbol", "pool", "debit", "credit")
"""Columns that name a market, a pool or an account of the books: in the sum they get the sub-account's label before."""
STAMPS = ("ts", "ts_sent", "ts_exit")
"""The time that a table's rows are in the order of: the first of these that it has."""


def combine(results: Sequence[Result], records: Sequence[Record], union: Selection) -> Result:
    """The sum of sub-accounts.

    `equity` holds the sums at each close of all their markets' grid; before its first candle a sub-account counts with
    its deposit, after its last with what it ended with. The other tables hold the rows of all by time, with markets,
    pools and accounts of the books as ``label/name``; orders and fills keep the numbers that they have in their
    sub-account. Of the metrics amounts and counts are sums; the rest follows from the summed curve (formulas in
    `results.metrics`), but for the distances to liquidation: the least that a sub-account had.
    """
    record, books, trades = _added(records, union), _books(results, records), _trades(results)
    numbers = {
        **metrics.metrics(record, books, trades),
        **{name: _total(results, name) for name, value in results[0].metrics.items() if _adds_up(name, value)},
        **{name: _least(results, name) for name in ("min_distance_to_liquidation", "min_distance_inside")},
    }
    joined = {name: _joined(name, results) for name in results[0].tables if name != "equity"}
    frames = Tables({**joined, "equity": equity(record)})
    return Result(LABEL, _summary(results, union, numbers, digest.digest(frames)), frames)


def _adds_up(name: str, value: object) -> bool:
    return isinstance(value, int) or metric(name).kind == "money"


def _total(results: Sequence[Result], name: str) -> float | int:
    """The sum of an amount or a count. Amounts are whole micro, as doubles of quote: their sum is exact."""
    values = [cast("float | int", by_name(r.metrics)[name]) for r in results]
    return sum(values) if isinstance(values[0], int) else sum(round(value * MICRO) for value in values) / MICRO


def _least(results: Sequence[Result], name: str) -> float | None:
    """The least of a metric, of those that have a value."""
    return min((value for r in results if (value := by_name(r.metrics)[name]) is not None), default=None)


def _added(records: Sequence[Record], union: Selection) -> Record:
    """A record with the sum of the curves, the fills, gas and transfers of all, and nothing else that happened."""
    return replace(
        _quiet(records[0]),
        symbols=union.symbols,
        step_micro=union.step_micro,
        start_ms=union.start_ms,
        cash=sum(r.cash for r in records),
        reserve=sum(r.reserve for r in records),
        final_reserve=sum(r.final_reserve for r in records),
        final_in_flight=sum(r.final_in_flight for r in records),
        curve=Rows.of(np.sum([_laid(r, union) for r in records], axis=0).view(CLOSE)[:, 0]),
        fills=Rows.joined([r.fills for r in records]),
        gas=Rows.joined([r.gas for r in records]),
        transfers=np.concatenate([r.transfers for r in records]),
        counts={},
        lowest=(),
    )


def _quiet(record: Record) -> Record:
    """The record without rows of what happened, and without samples."""
    values = {f.name: getattr(record, f.name) for f in fields(Record)}
    rows = {name: v for name, v in values.items() if isinstance(v, np.ndarray) and v.dtype.names}
    none: dict[str, Any] = {name: value[:0] for name, value in rows.items()}
    none |= {name: Rows(value.dtype) for name, value in values.items() if isinstance(value, Rows)}
    return replace(record, **none)


def _laid(record: Record, union: Selection) -> NDArray[np.float64]:
    """The curve on the union's rows."""
    first = (record.start_ms - union.start_ms) // union.interval_ms
    last = first + len(record.curve)
    curve = np.zeros((union.rows, len(CURVE)))
    curve[:first, [CURVE.index("equity"), CURVE.index("wallet")]] = record.cash / MICRO
    for n, name in enumerate(CURVE):
        column = record.curve[name]
        curve[first:last, n], curve[last:, n] = column, column[-1]
    return curve


def _books(results: Sequence[Result], records: Sequence[Record]) -> Books:
    """The sums of the books, each of which has balanced."""
    own = [cast("Mapping[str, float]", r.metrics) for r in results]
    flows = {name: sum(round(known.get(name, 0.0) * MICRO) for known in own) for name in FLOWS}
    return Books(
        ledger=LazyTable.of(tables.SCHEMAS["ledger"].to_frame()),
        balances={},
        flows=flows,
        by_symbol={},
        equity_start=sum(r.cash + r.reserve for r in records),
        equity_end=sum(round(r.metrics["final_equity"] * MICRO) for r in results),
    )


def _trades(results: Sequence[Result]) -> Trades:
    return Trades(LazyTable.of(_joined("trades", results)), sum(r.metrics["open_trades"] for r in results))


def _joined(name: str, results: Sequence[Result]) -> pl.DataFrame:
    """The rows of all by time; of equal times those of the first sub-account first."""
    frames, processes = [], 0
    for made in results:
        frame = made.tables[name]
        named = [column for column in NAMED if column in frame.columns]
        frame = frame.with_columns(pl.format("{}/{}", pl.lit(made.label), column).alias(column) for column in named)
        if "process" in frame.columns:  # its own number for each liquidation
            frame = frame.with_columns(pl.col("process") + processes)
            processes += 1 + max(made.tables[name]["process"].drop_nulls().to_list(), default=-1)
        frames.append(frame)
    joined = pl.concat(frames)
    return joined.sort(next(column for column in STAMPS if column in joined.columns), maintain_order=True)


def _stretched(results: Sequence[Result]) -> list[dict[str, JsonValue]]:
    """The stretched marks of all markets by time, each once."""
    listed = {tuple(stretch.items()) for r in results for stretch in r.summary["data"]["stretched_marks"]}
    return [dict(items) for items in sorted(listed)]


def _summary(results: Sequence[Result], union: Selection, numbers: dict[str, object], tables_digest: str) -> RunSummary:
    """A summary in the form of a run's, for the report."""
    first = untyped(results[0].summary)
    # What the feed counted is of the data, whoever holds them; what accounts met adds up.
    met = sorted({name for r in results for name in r.summary["counts"]} - set(union.counts))
    counts = {name: n for name, n in union.counts.items() if n}
    counts |= {name: sum(r.summary["counts"].get(name, 0) for r in results) for name in met}
    stretched = _stretched(results)
    counts |= {STRETCHED: len(stretched)} if stretched else {}
    reserve = sum(round(untyped(r.summary)["config"]["reserve"] * MICRO) for r in results) / MICRO
    names = ", ".join(r.label for r in results)
    doc = f"Sub-accounts of {names}: each with its own wallet and positions."
    cash = sum(round(untyped(r.summary)["config"]["cash"] * MICRO) for r in results) / MICRO
    data = {
        "symbols": list(union.symbols),
        "from_ms": union.start_ms,
        "to_ms": union.start_ms + union.rows * union.interval_ms,
        "rows": union.rows,
        "marks": dict(union.marks),
        "stretched_marks": stretched,
        "fingerprint": union.fingerprint(
            first["data"]["drill_ms"] or 0, further="median" in first["config"].get("oracle", ())
        ),
    }
    changed = {
        "label": LABEL,
        "strategy": {"name": names, "doc": doc, "params": {}, "source": None, "every_ms": None},
        "config": {**first["config"], "strategy": names, "cash": cash, "reserve": reserve, "params": {}},
        "data": {**first["data"], **data},
        "metrics": numbers,
        "counts": counts,
        "digest": tables_digest,
        "notes": [],
    }
    # What the chain did is told of each account.
    made = {name: plain(value) for name, value in {**first, **changed}.items() if name != "chain"}
    return cast("RunSummary", made)
