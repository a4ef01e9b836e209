"""A Record as the tables that are written to disk.

Prices and money are in quote units, quantities in base units (signed: long or bought positive), all float64; times
are UTC milliseconds; only the ledger keeps whole micro. What there is none of is null. Every column is determined by
the Record alone.
"""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.results import trades as trips
from backtest.results.books import Books, balance
from backtest.results.columns import TIME, money, number, pools, quantity, sides, times, words
from backtest.results.processes import NONE, processes
from backtest.schema import CROSS_POOL, CURVE, MICRO, NO_ORDER, Cause, Reason, Record, Stage, Status

F, S, B, I = pl.Float64(), pl.String(), pl.Boolean(), pl.Int64()  # noqa: E741
SCHEMAS: dict[str, pl.Schema] = {
    "equity": pl.Schema(
        {"ts": TIME, "equity": F, "wallet": F, "reserve": F, "in_flight": F, "unrealized": F, "initial_margin": F,
         "maintenance_margin": F, "margin_ratio": F, "free_collateral": F, "gross_notional": F, "net_notional": F,
         "drawdown": F}
    ),
    "positions": pl.Schema(
        {"ts": TIME, "symbol": S, "pool": S, "qty": F, "entry_price": F, "mark": F, "notional": F, "unrealized": F,
         "liquidation_price": F}
    ),
    "orders": pl.Schema(
        {"order_id": I, "ts_sent": TIME, "ts_arrived": TIME, "ts_done": TIME, "symbol": S, "side": S, "type": S,
         "qty": F, "limit_price": F, "stop_price": F, "tif": S, "reduce_only": B, "post_only": B, "status": S,
         "reason": S, "filled_qty": F, "cause": S}
    ),
    "fills": pl.Schema(
        {"fill_id": I, "order_id": I, "ts": TIME, "symbol": S, "side": S, "qty": F, "price": F, "decision_price": F,
         "arrival_price": F, "fee": F, "liquidity": S, "realized_pnl": F, "cause": S, "pool": S, "quote": F,
         "slippage": F}
    ),
    "funding": pl.Schema(
        {"ts": TIME, "symbol": S, "qty": F, "price": F, "rate": F, "payment": F, "pool": S, "missing": B}
    ),
    "liquidations": pl.Schema(
        {"ts": TIME, "pool": S, "symbol": S, "stage": S, "qty": F, "price": F, "penalty": F, "insurance": F,
         "bad_debt": F, "equity_before": F, "maintenance_before": F, "equity_after": F, "maintenance_after": F,
         "ambiguous": B, "adl_loss": F, "process": I}
    ),
    "transfers": pl.Schema({"ts_sent": TIME, "ts_arrived": TIME, "kind": S, "amount": F, "fee": F}),
    "margin": pl.Schema({"ts": TIME, "pool": S, "equity": F, "initial": F, "maintenance": F, "margin_ratio": F}),
    "ledger": pl.Schema({"ts": TIME, "debit": S, "credit": S, "amount_micro": I, "code": S, "ref": S}),
    "ambiguous": pl.Schema({"ts": TIME, "pool": S}),
    "guards": pl.Schema({"ts": TIME, "guard": S, "symbol": S, "pool": S, "value": F, "order_id": I}),
    "trades": trips.SCHEMA,
}  # fmt: skip


def tables(record: Record, books: Books | None = None, trades: trips.Trades | None = None) -> dict[str, pl.DataFrame]:
    """The tables of ``record``, by name, with the columns of `SCHEMAS`; ``books`` and ``trades`` when already at hand.

    `equity`: one row per candle, stamped by its close. `unrealized` is equity minus wallet; `reserve` and `in_flight`
    (money outside the venue) are 0; `free_collateral = equity − initial_margin`; `drawdown = equity / highest equity so
    far − 1`, the deposit counting as the first peak. `margin_ratio` is defined once, see :func:`margin_ratio`.
    `positions`, `margin`: at the samples of the Record; `notional` is signed. `fills.quote` is the cash paid (−) or
    received (+) without the fee; `slippage` is a cost. `liquidations.insurance` is what the insurance fund received,
    less what it paid; `adl_loss` what closing at the bankruptcy price cost the other side; `process` the liquidation
    that the row is a step of, see `results.processes`, null where the pool was not being liquidated.
    """
    frames = {
        "equity": _equity(record),
        "positions": _positions(record),
        "orders": _orders(record),
        "fills": _fills(record),
        "funding": _funding(record),
        "liquidations": _liquidations(record),
        "transfers": SCHEMAS["transfers"].to_frame(),
        "margin": _margin(record),
        "ledger": (books or balance(record)).ledger,
        "ambiguous": pl.DataFrame(
            {"ts": times(record.ambiguous["ts_ms"]), "pool": pools(record.ambiguous["pool"], record.symbols)}
        ),
        "guards": _guards(record),
        "trades": (trades or trips.round_trips(record)).table,
    }
    for name, frame in frames.items():
        assert frame.schema == SCHEMAS[name], f"table {name}: {frame.schema}, should be {SCHEMAS[name]}"
    return frames


def margin_ratio(maintenance: NDArray[np.float64], equity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Maintenance margin over equity: 0 without a position, 1 where liquidation begins.

    NaN (null in the tables) where equity is not positive although margin is required: the ratio has no meaning there.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(equity > 0, maintenance / equity, np.nan)
    return np.where(maintenance == 0, 0.0, ratio)


def _equity(record: Record) -> pl.DataFrame:
    curve = {name: np.ascontiguousarray(record.curve[:, i]) for i, name in enumerate(CURVE)}
    rows = len(record.curve)
    equity = curve["equity"]
    peak = np.maximum(np.maximum.accumulate(equity), record.cash / MICRO)
    columns = {
        **{name: number(values) for name, values in curve.items()},
        "ts": times(record.start_ms + np.arange(1, rows + 1, dtype=np.int64) * record.interval_ms),
        "reserve": np.zeros(rows),
        "in_flight": np.zeros(rows),
        "margin_ratio": number(margin_ratio(curve["maintenance_margin"], equity)),
        "free_collateral": equity - curve["initial_margin"],
        "drawdown": equity / peak - 1.0,
    }
    return pl.DataFrame({name: columns[name] for name in SCHEMAS["equity"]})


def _positions(record: Record) -> pl.DataFrame:
    rows = record.positions[record.positions["lots"] != 0]
    base = rows["lots"] * record.step_micro[rows["symbol"]]
    value = rows["mark"] * (base / MICRO)
    return pl.DataFrame(
        {
            "ts": times(rows["ts_ms"]),
            "symbol": words(rows["symbol"], record.symbols),
            "pool": pools(rows["pool"], record.symbols),
            "qty": quantity(rows["lots"], rows["symbol"], record.step_micro),
            "entry_price": rows["cost"] / base,  # micro of quote by micro of base, both signed
            "mark": number(rows["mark"]),
            "notional": number(value),
            "unrealized": number(value - rows["cost"] / MICRO),
            "liquidation_price": number(rows["liquidation_price"]),
        }
    )


def _orders(record: Record) -> pl.DataFrame:
    rows = record.orders
    none = pl.lit(None, dtype=F)
    return pl.DataFrame(
        {
            "order_id": np.ascontiguousarray(rows["order_id"]),
            "ts_sent": times(rows["ts_sent_ms"]),
            "ts_arrived": times(rows["ts_arrived_ms"]),
            "ts_done": times(rows["ts_done_ms"]),
            "symbol": words(rows["symbol"], record.symbols),
            "side": sides(rows["lots"]),
            "qty": quantity(rows["lots"], rows["symbol"], record.step_micro),
            "reduce_only": rows["reduce_only"] != 0,
            "status": _lower(rows["status"], Status),
            "reason": _reasons(record),
            "filled_qty": quantity(rows["filled"], rows["symbol"], record.step_micro),
            "cause": _lower(rows["cause"], Cause),
        }
    ).with_columns(
        # This venue knows market orders only, filled at once or (in a gap of the data) at the next candle.
        type=pl.lit("market"), tif=pl.lit("IOC"), limit_price=none, stop_price=none, post_only=pl.lit(False),
    ).select(SCHEMAS["orders"].names())  # fmt: skip


def _reasons(record: Record) -> pl.Series:
    """Why each order ended, in words, with the numbers of a refusal; null for one that was simply filled."""
    rows = record.orders
    names = [reason.name.lower() for reason in Reason]
    reasons = words(np.where(rows["reason"] == Reason.NONE, -1, rows["reason"]), names)
    refused = np.flatnonzero(np.isin(rows["reason"], (Reason.MARGIN, Reason.LIMIT, Reason.LIMIT_SIZE)))
    if len(refused):
        own = _in_own_pool(record)
        texts = [
            _shortfall(int(have), int(need), alone)
            if reason == Reason.MARGIN
            else _excess(int(have), int(need), reason)
            for have, need, reason, alone in zip(
                *(rows[name][refused] for name in ("have", "need", "reason")), own[refused], strict=True
            )
        ]
        reasons = reasons.scatter(refused, texts)
    return reasons


def _in_own_pool(record: Record) -> NDArray[np.bool_]:
    """Whether the symbol of each order had a pool of its own: by its last fill before the order, else by the mode."""
    orders, fills = record.orders, record.fills
    own = np.full(len(orders), record.margin == "isolated")
    for i in range(len(record.symbols)):
        mine, its = orders["symbol"] == i, fills[fills["symbol"] == i]
        before = np.searchsorted(its["seq"], orders["seq"][mine]) - 1
        if len(its):
            own[mine] = np.where(before >= 0, its["pool"][before] != CROSS_POOL, own[mine])
    return own


def _both(have: int, need: int) -> tuple[str, str]:
    """Two amounts in two decimals, unless they would then read the same."""
    for digits in (2, 6):
        left, right = (f"{Decimal(micro).scaleb(-6):,.{digits}f}" for micro in (have, need))
        if left != right:
            break
    return left, right


def _shortfall(have: int, need: int, own_pool: bool) -> str:
    left, right = _both(have, need)
    if own_pool:
        # The wallet against what it would have to post, or the pool against its initial margin.
        return f"margin: {left} available, {right} needed"
    return f"margin: equity {left} would not cover initial {right}"


def _excess(size: int, limit: int, reason: int) -> str:
    left, right = _both(size, limit) if reason == Reason.LIMIT else (f"{size / MICRO:,.10g}", f"{limit / MICRO:,.10g}")
    kind = "notional" if reason == Reason.LIMIT else "size"
    return f"limit: a position of {kind} {left} would be above the venue's {right}"


def _lower(codes: NDArray[Any], kind: type[IntEnum]) -> pl.Series:
    return words(codes, [member.name.lower() for member in kind])


def _fills(record: Record) -> pl.DataFrame:
    rows = record.fills
    orders = pl.Series(np.ascontiguousarray(rows["order_id"]))
    return pl.DataFrame(
        {
            "fill_id": np.arange(len(rows)),
            "order_id": orders.set(orders == NO_ORDER, None),
            "ts": times(rows["ts_ms"]),
            "symbol": words(rows["symbol"], record.symbols),
            "side": sides(rows["lots"]),
            "qty": quantity(rows["lots"], rows["symbol"], record.step_micro),
            "price": number(rows["price"]),
            "decision_price": number(rows["decision_price"]),
            "arrival_price": number(rows["arrival_price"]),
            "fee": money(rows["fee"]),
            "liquidity": words(np.zeros(len(rows), dtype=np.int64), ("taker",)),
            "realized_pnl": money(rows["realized"]),
            "cause": _lower(rows["cause"], Cause),
            "pool": pools(rows["pool"], record.symbols),
            "quote": money(rows["quote"]),
            "slippage": money(rows["slip"]),
        }
    )


def _funding(record: Record) -> pl.DataFrame:
    rows = record.funding
    return pl.DataFrame(
        {
            "ts": times(rows["ts_ms"]),
            "symbol": words(rows["symbol"], record.symbols),
            "qty": quantity(rows["lots"], rows["symbol"], record.step_micro),
            "price": number(rows["price"]),
            "rate": number(rows["rate"]),
            "payment": money(rows["payment"]),
            "pool": pools(rows["pool"], record.symbols),
            "missing": rows["missing"] != 0,
        }
    )


def _liquidations(record: Record) -> pl.DataFrame:
    rows = record.liquidations
    levels = ("equity_before", "maintenance_before", "equity_after", "maintenance_after")
    numbers = pl.Series(processes(record))
    return pl.DataFrame(
        {
            "ts": times(rows["ts_ms"]),
            "pool": pools(rows["pool"], record.symbols),
            "symbol": words(rows["symbol"], record.symbols),
            "stage": _lower(rows["stage"], Stage),
            "qty": quantity(rows["lots"], rows["symbol"], record.step_micro),
            "price": number(rows["price"]),
            "penalty": money(rows["penalty"]),
            "insurance": money(rows["insurance"]),
            "bad_debt": money(rows["bad_debt"]),
            **{name: money(rows[name]) for name in levels},
            "ambiguous": rows["ambiguous"] != 0,
            "adl_loss": money(rows["adl_loss"]),
            "process": numbers.set(numbers == NONE, None),
        }
    )


def _guards(record: Record) -> pl.DataFrame:
    rows = record.guards
    orders = pl.Series(np.ascontiguousarray(rows["order_id"]))
    return pl.DataFrame(
        {
            "ts": times(rows["ts_ms"]),
            "guard": words(rows["guard"], record.guard_names),
            "symbol": words(rows["symbol"], record.symbols),
            "pool": pools(rows["pool"], record.symbols),
            "value": number(rows["value"]),
            "order_id": orders.set(orders == NO_ORDER, None),
        }
    )


def _margin(record: Record) -> pl.DataFrame:
    rows = record.pools
    return pl.DataFrame(
        {
            "ts": times(rows["ts_ms"]),
            "pool": pools(rows["pool"], record.symbols),
            "equity": number(rows["equity"]),
            "initial": number(rows["initial"]),
            "maintenance": number(rows["maintenance"]),
            "margin_ratio": number(margin_ratio(rows["maintenance"], rows["equity"])),
        }
    )
