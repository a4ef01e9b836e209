"""The table of orders: what each was, how it ended, and why in words."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.enums import BAD_SIZES, CROSS_POOL, MICRO, Cause, OrderType, Reason, Status, TimeInForce
from backtest.core.records import Record
from backtest.core.rows import Part
from backtest.results.columns import TIME, lower, number, numbers, quantity, sides, times, words
from backtest.results.lazy_tables import Column, LazyTable

F, S, B, I = pl.Float64(), pl.String(), pl.Boolean(), pl.Int64()  # noqa: E741
SCHEMA = pl.Schema(
    {"order_id": I, "ts_sent": TIME, "ts_arrived": TIME, "ts_done": TIME, "symbol": S, "side": S, "type": S,
     "qty": F, "limit_price": F, "stop_price": F, "tif": S, "reduce_only": B, "post_only": B, "status": S,
     "reason": S, "filled_qty": F, "cause": S, "trigger": S, "ts_triggered": TIME, "ts_expires": TIME, "trail": F,
     "trail_unit": S, "activation": F, "parent_id": I, "group_id": I, "target_id": I}
)  # fmt: skip
UNCONDITIONAL = (OrderType.MARKET, OrderType.LIMIT, OrderType.AMEND)
NUMBERED = (
    Reason.MARGIN, Reason.LIMIT, Reason.LIMIT_SIZE, Reason.QUANTITY, Reason.MIN_NOTIONAL, Reason.OPEN_ORDERS,
    Reason.GAS, Reason.PRICE_BAND, Reason.MARGIN_LIMIT,
)  # fmt: skip
"""Reasons that come with numbers."""


def orders(record: Record) -> LazyTable:
    """One row per order, and per amendment that was refused, by number.

    `trigger` last or mark, null where nothing is waited for; `trail_unit` share (of the best price) or quote (an
    absolute distance); `parent_id` the order whose fills it protected; orders with the same `group_id` cancelled each
    other; `target_id` the order that an amendment was about. Prices and sizes are those at its end.
    """
    symbols, steps, own = record.symbols, record.step_micro, _in_own_pool(record)

    def trigger(rows: Part) -> pl.Series:
        conditional = ~np.isin(rows["type"], UNCONDITIONAL)
        return words(np.where(conditional, rows["by_mark"], -1), ("last", "mark"))

    def trail_unit(rows: Part) -> pl.Series:
        return words(np.where(np.isnan(rows["trail"]), -1, rows["trail_share"]), ("quote", "share"))

    columns: dict[str, Column] = {
        "order_id": lambda rows: pl.Series(rows["order_id"]),
        "ts_sent": lambda rows: times(rows["ts_sent_ms"]),
        "ts_arrived": lambda rows: times(rows["ts_arrived_ms"]),
        "ts_done": lambda rows: times(rows["ts_done_ms"]),
        "symbol": lambda rows: words(rows["symbol"], symbols),
        "side": lambda rows: sides(rows["lots"]),
        "type": lambda rows: lower(rows["type"], OrderType),
        "qty": lambda rows: quantity(rows["lots"], rows["symbol"], steps),
        "limit_price": lambda rows: number(rows["limit_price"]),
        "stop_price": lambda rows: number(rows["stop_price"]),
        "tif": lambda rows: lower(rows["tif"], TimeInForce),
        "reduce_only": lambda rows: pl.Series(rows["reduce_only"] != 0),
        "post_only": lambda rows: pl.Series(rows["post_only"] != 0),
        "status": lambda rows: lower(rows["status"], Status),
        "reason": lambda rows: _reasons(rows, own),
        "filled_qty": lambda rows: quantity(rows["filled"], rows["symbol"], steps),
        "cause": lambda rows: lower(rows["cause"], Cause),
        "trigger": trigger,
        "ts_triggered": lambda rows: times(rows["triggered_ms"]),
        "ts_expires": lambda rows: times(rows["expires_ms"]),
        "trail": lambda rows: number(rows["trail"]),
        "trail_unit": trail_unit,
        "activation": lambda rows: number(rows["activation"]),
        "parent_id": lambda rows: numbers(rows["parent"]),
        "group_id": lambda rows: numbers(rows["group"]),
        "target_id": lambda rows: numbers(rows["target"]),
    }
    return LazyTable.of_rows(SCHEMA, record.orders, columns)


def _reasons(rows: Part, own: NDArray[np.bool_]) -> pl.Series:
    """Why each order ended, in words, with the numbers of a refusal; null for one that was simply filled."""
    names = [reason.name.lower() for reason in Reason]
    reasons = words(np.where(rows["reason"] == Reason.NONE, -1, rows["reason"]), names)
    refused = np.flatnonzero(np.isin(rows["reason"], NUMBERED))
    if len(refused):
        pooled = own[rows.first + refused].tolist()
        columns = (rows[name][refused].tolist() for name in ("reason", "have", "need"))
        texts = [_text(*values) for values in zip(*columns, pooled, strict=True)]
        reasons = reasons.scatter(refused, texts)
    return reasons


def _in_own_pool(record: Record) -> NDArray[np.bool_]:
    """Whether the symbol of each order had its own pool: by its last fill before the order, else by the mode."""
    own = np.full(len(record.orders), record.margin == "isolated")
    if not np.isin(record.orders["reason"], NUMBERED).any():
        return own  # nobody asks
    placed = {name: record.orders[name] for name in ("symbol", "seq")}
    fills = {name: record.fills[name] for name in ("symbol", "seq", "pool")}
    for i in range(len(record.symbols)):
        mine, its = placed["symbol"] == i, fills["symbol"] == i
        before = np.searchsorted(fills["seq"][its], placed["seq"][mine]) - 1
        if its.any():
            own[mine] = np.where(before >= 0, fills["pool"][its][before] != CROSS_POOL, own[mine])
    return own


def _text(reason: int, have: int, need: int, own_pool: bool) -> str:
    if reason == Reason.MARGIN:
        return _shortfall(have, need, own_pool)
    if reason == Reason.QUANTITY:
        return f"quantity: {BAD_SIZES[have]}" if have else "quantity"
    if reason == Reason.MIN_NOTIONAL:
        left, right = both(have, need)
        return f"min_notional: worth {left}, the venue takes {right} or more"
    if reason == Reason.GAS:
        left, right = both(have, need)
        return f"gas: equity {left} would not pay {right}"
    if reason == Reason.PRICE_BAND:
        left, right = both(have, need)
        return f"price_band: all of it would cost {left} beside the price, the band allows {right}"
    if reason == Reason.MARGIN_LIMIT:
        left, right = both(have, need)
        return f"margin_limit: alone it would need {right} of initial margin, its limit is {left}"
    if reason == Reason.OPEN_ORDERS:
        return f"open_orders: {have:,} at the venue, which allows {need:,}"
    return _excess(have, need, reason)


def both(have: int, need: int) -> tuple[str, str]:
    """Two amounts in two decimals, unless they would then read the same."""
    for digits in (2, 6):
        left, right = (f"{Decimal(micro).scaleb(-6):,.{digits}f}" for micro in (have, need))
        if left != right:
            break
    return left, right


def _shortfall(have: int, need: int, own_pool: bool) -> str:
    left, right = both(have, need)
    if own_pool:
        # The wallet against what it would have to post, or the pool against its initial margin.
        return f"margin: {left} available, {right} needed"
    return f"margin: equity {left} would not cover initial {right}"


def _excess(size: int, limit: int, reason: int) -> str:
    left, right = both(size, limit) if reason == Reason.LIMIT else (f"{size / MICRO:,.10g}", f"{limit / MICRO:,.10g}")
    kind = "notional" if reason == Reason.LIMIT else "size"
    return f"limit: a position of {kind} {left} would be above the venue's {right}"
