"""The orders of a run as tables: how each kind ended, why those that were not filled were not, who made, who took."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from backtest.core.enums import Liquidity, OrderType, Status
from backtest.report import formatting as fmt
from backtest.report.table_rows import ROWS, Cell, Column, Table, amount, count, listed, stamp, text

if TYPE_CHECKING:
    from backtest.results.result import Result

ENDS = tuple(status.name.lower() for status in Status)
KINDS = tuple(kind.name.lower() for kind in OrderType)
FILE = "orders.parquet"
PARTLY = "Partly filled"


def _price(price: float | None) -> str:
    """Nothing where the order has none, which is most of them."""
    return "" if price is None else fmt.price(price)


_UNFILLED = (
    stamp("ts_sent", "Sent (UTC)"), stamp("ts_done", "Ended (UTC)"), text("symbol", "Symbol"), text("side", "Side"),
    text("type", "Type"), Column("qty", "Quantity", fmt.quantity), Column("limit_price", "Limit", _price),
    Column("stop_price", "Stop", _price), text("tif", "In force"), Column("filled_qty", "Filled", fmt.quantity),
    text("status", "Ended as"), text("reason", "Reason"),
)  # fmt: skip
_PRICED = ("limit_price", "stop_price")
"""Columns that are left out where no order has them."""
_REASONS = (
    text("status", "Ended as"), text("type", "Type"), text("why", "Reason"), count("orders", "Orders"),
    count("part", PARTLY),
)  # fmt: skip


def by_kind(result: Result) -> Table:
    """How many of each kind were sent, and how they ended; amendments that were refused come last."""
    orders = result.tables.columns("orders", "type", "status", "filled_qty")
    ended = {(kind, end): n for kind, end, n in orders.group_by("type", "status").len().iter_rows()}
    partly = dict(orders.filter(_partly()).group_by("type").len().iter_rows())
    titles = ["Sent", *map(str.capitalize, ENDS), *[PARTLY] * bool(partly)]
    rows = []
    for kind in (kind for kind in KINDS if any((kind, end) in ended for end in ENDS)):
        numbers = [ended.get((kind, end), 0) for end in ENDS]
        numbers = [sum(numbers), *numbers, *[partly.get(kind, 0)] * bool(partly)]
        rows.append((Cell(_kind(kind)), *(Cell(fmt.count(n), True) for n in numbers)))
    head = (Cell("Type"), *(Cell(title, True) for title in titles))
    note = f"{PARTLY}: of orders that did not end as filled." if partly else ""
    return Table("orders", "Orders", head, tuple(rows), empty="No order was sent.", note=note)


def by_reason(result: Result) -> Table:
    """How many orders ended otherwise than filled, by kind and reason, the most first."""
    why = pl.col("reason").str.split(":").list.first()
    groups = (
        result.tables.columns("orders", "status", "type", "reason", "filled_qty")
        .filter(_unfilled())
        .with_columns(why=why, type=_kinds())
        .group_by("status", "type", "why")
        .agg(pl.len().alias("orders"), _partly().sum().alias("part"))
        .sort(["orders", "status", "type", "why"], descending=[True, False, False, False])
    )
    title = "Why orders were not filled"
    columns = _REASONS if (groups["part"] > 0).any() else _REASONS[:-1]
    return listed("reasons", title, groups, columns, _empty(result), FILE)


def unfilled(result: Result) -> Table:
    """The orders that ended otherwise than filled, with the reason of each: first those that nobody wanted so."""
    table = result.tables.table("orders")
    first = {end: table.schema.to_frame() for end in ("rejected", "expired", "cancelled")}
    total, priced = 0, set[str]()
    for some in table.pieces():
        rest = some.filter(_unfilled())
        total += len(rest)
        priced |= {name for name in _PRICED if rest[name].null_count() < len(rest)}
        for end, known in first.items():
            first[end] = pl.concat([known, rest.filter(pl.col("status") == end).head(ROWS - len(known))])
    columns = [column for column in _UNFILLED if column.source not in _PRICED or column.source in priced]
    note = "In the order of sending, the rejected ones first, then the expired ones." if total > 1 else ""
    shown = pl.concat(first.values())
    return listed("unfilled", "Orders that were not filled", shown, columns, _empty(result), FILE, note, total)


def liquidity(result: Result) -> Table:
    """What orders traded as maker and as taker, and what it cost."""
    columns = ("order_id", "liquidity", "quote", "fee", "spread", "impact", "drift")
    fills = result.tables.columns("fills", *columns).filter(pl.col("order_id").is_not_null())
    head = ("Maker or taker", "Fills", "Traded", "Share", "Fees", "Rebates", "Spread", "Impact", "Drift")
    whole = float(fills["quote"].abs().sum())
    rows = []
    for side in (liquidity.name.lower() for liquidity in Liquidity):
        mine = fills.filter(pl.col("liquidity") == side)
        traded, fees = float(mine["quote"].abs().sum()), mine["fee"]
        paid = (float(fees.clip(lower_bound=0.0).sum()), *(float(mine[n].sum()) for n in ("spread", "impact", "drift")))
        costs = [amount(0.0 - cost) for cost in paid]
        rebates = amount(0.0 - float(fees.clip(upper_bound=0.0).sum()))
        share = fmt.percent(traded / whole if whole else None)
        figures = (fmt.count(len(mine)), fmt.number(traded), share)
        rows.append((Cell(side), *(Cell(figure, True) for figure in figures), costs[0], rebates, *costs[1:]))
    titles = tuple(Cell(title, n > 0) for n, title in enumerate(head))
    note = "Fills of orders, without liquidations and settlements. Costs are below zero."
    empty = "No order was filled."
    return Table("liquidity", "Makers and takers", titles, tuple(rows) if len(fills) else (), empty=empty, note=note)


def _unfilled() -> pl.Expr:
    return pl.col("status") != Status.FILLED.name.lower()


def _empty(result: Result) -> str:
    return "Every order was filled." if result.tables.height("orders") else "No order was sent."


def _partly() -> pl.Expr:
    return _unfilled() & (pl.col("filled_qty") != 0)


def _kind(kind: str) -> str:
    return "rejected amendment" if kind == OrderType.AMEND.name.lower() else kind.replace("_", " ")


def _kinds() -> pl.Expr:
    return pl.col("type").replace_strict({kind: _kind(kind) for kind in KINDS})
