"""A Record as the tables that are written to disk.

Prices and money are in quote units, quantities in base units (signed: long or bought positive), all float64; times
are UTC milliseconds; only the ledger keeps whole micro. What is missing is null. Every column is determined by
the Record alone, but for the names of routes, which are the chain's.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.enums import MICRO, Cause, Liquidity, Stage
from backtest.core.errors import Broken
from backtest.core.records import Record
from backtest.core.rows import Part
from backtest.results import attribution, fifo, postings, symbol_trips, transfers
from backtest.results import equity as worth
from backtest.results import orders as placed
from backtest.results import trades as trips
from backtest.results.columns import TIME, Ints, lower, money, number, numbers, pools, quantity, sides, times, words
from backtest.results.equity import margin_ratio
from backtest.results.lazy_tables import Column, LazyTable, Tables
from backtest.results.ledger import Books, balance
from backtest.results.liquidation_processes import processes
from backtest.venues.chain import Chain

F, S, B, I = pl.Float64(), pl.String(), pl.Boolean(), pl.Int64()  # noqa: E741
SCHEMAS: dict[str, pl.Schema] = {
    "equity": worth.SCHEMA,
    "positions": pl.Schema(
        {"ts": TIME, "symbol": S, "pool": S, "qty": F, "entry_price": F, "mark": F, "notional": F, "unrealized": F,
         "liquidation_price": F}
    ),
    "orders": placed.SCHEMA,
    "fills": pl.Schema(
        {"fill_id": I, "order_id": I, "ts": TIME, "symbol": S, "side": S, "qty": F, "price": F, "decision_price": F,
         "arrival_price": F, "fee": F, "liquidity": S, "realized_pnl": F, "cause": S, "pool": S, "quote": F,
         "slippage": F, "spread": F, "impact": F, "drift": F, "latency": F}
    ),
    "funding": pl.Schema(
        {"ts": TIME, "symbol": S, "qty": F, "price": F, "rate": F, "payment": F, "pool": S, "missing": B}
    ),
    "liquidations": pl.Schema(
        {"ts": TIME, "pool": S, "symbol": S, "stage": S, "qty": F, "price": F, "penalty": F, "insurance": F,
         "bad_debt": F, "equity_before": F, "maintenance_before": F, "equity_after": F, "maintenance_after": F,
         "ambiguous": B, "adl_loss": F, "process": I}
    ),
    "transfers": transfers.SCHEMA,
    "gas": transfers.GAS_SCHEMA,
    "margin": pl.Schema({"ts": TIME, "pool": S, "equity": F, "initial": F, "maintenance": F, "margin_ratio": F}),
    "ledger": postings.SCHEMA,
    "ambiguous": pl.Schema({"ts": TIME, "pool": S}),
    "guards": pl.Schema({"ts": TIME, "guard": S, "symbol": S, "pool": S, "value": F, "order_id": I}),
    "trades": symbol_trips.SCHEMA,
    "trades_fifo": fifo.SCHEMA,
    "attribution": attribution.SCHEMA,
    "marks": pl.Schema({"ts": TIME, "symbol": S, "market": F, "venue": F, "distance": F}),
}  # fmt: skip


def tables(
    record: Record, books: Books | None = None, trades: trips.Trades | None = None, chain: Chain | None = None
) -> Tables:
    """The tables of ``record``, by name, with the columns of `SCHEMAS`; ``books`` and ``trades`` when already at hand,
    ``chain`` to name the routes of transfers.

    `equity`: one row per candle, stamped by its close. `equity` is what there is at the venue, `unrealized` that minus
    wallet; `reserve` and `in_flight` are outside of it; `free_collateral = equity − initial_margin`; `drawdown` of the
    three together, `total / highest total so far − 1`, what there was at the start counting as the first peak.
    `margin_ratio` is defined once, see `results.equity`.
    `positions`, `margin`: at the samples of the Record; `notional` is signed. `fills.quote` is the cash paid (−) or
    received (+) without the fee; `fee` is negative where it is a rebate; `slippage = spread + impact + drift`, what
    they added to the cost; `latency` what the way from the decision to the fill cost, signed, drift included.
    `liquidations.insurance` is what the insurance fund received, less what it paid; `adl_loss` what closing at the
    bankruptcy price cost the other side; `process` the liquidation that the row is a step of, see
    `results.liquidation_processes`, null where the pool was not being liquidated. `marks`: samples of the Record;
    `distance = venue / market − 1`.
    """
    books = books or balance(record)
    tables = {
        "equity": worth.equity(record),
        "ledger": books.ledger,
        "positions": _positions(record),
        "orders": placed.orders(record),
        "fills": _fills(record),
        "funding": _funding(record),
        "liquidations": LazyTable.of(_liquidations(record)),
        "transfers": LazyTable.of(transfers.transfers(record, chain)),
        "gas": transfers.gas(record),
        "margin": _margin(record),
        "ambiguous": LazyTable.of(_ambiguous(record)),
        "guards": LazyTable.of(_guards(record)),
        "trades": (trades or trips.round_trips(record)).table,
        "trades_fifo": fifo.matched(record),
        "attribution": LazyTable.of(attribution.attribution(record, books)),
        "marks": LazyTable.of(_marks(record)),
    }
    for name, table in tables.items():
        if table.schema != SCHEMAS[name]:
            raise Broken(f"table {name}: {table.schema}, should be {SCHEMAS[name]}")
    return Tables(tables)


def _ambiguous(record: Record) -> pl.DataFrame:
    rows = record.ambiguous
    return pl.DataFrame({"ts": times(rows["ts_ms"]), "pool": pools(rows["pool"], record.symbols)})


def _positions(record: Record) -> LazyTable:
    symbols, steps = record.symbols, record.step_micro

    def base(rows: Part) -> Ints:
        size: Ints = rows["lots"] * steps[rows["symbol"]]
        return size

    def value(rows: Part) -> NDArray[np.float64]:
        worth: NDArray[np.float64] = rows["mark"] * (base(rows) / MICRO)
        return worth

    columns: dict[str, Column] = {
        "ts": lambda rows: times(rows["ts_ms"]),
        "symbol": lambda rows: words(rows["symbol"], symbols),
        "pool": lambda rows: pools(rows["pool"], symbols),
        "qty": lambda rows: quantity(rows["lots"], rows["symbol"], steps),
        # micro of quote by micro of base, both signed
        "entry_price": lambda rows: pl.Series(rows["cost"] / base(rows)),
        "mark": lambda rows: number(rows["mark"]),
        "notional": lambda rows: number(value(rows)),
        "unrealized": lambda rows: number(value(rows) - rows["cost"] / MICRO),
        "liquidation_price": lambda rows: number(rows["liquidation_price"]),
    }
    held = record.positions.where(record.positions["lots"] != 0)
    return LazyTable.of_rows(SCHEMAS["positions"], held, columns)


def _fills(record: Record) -> LazyTable:
    symbols, steps = record.symbols, record.step_micro

    def paid(name: str) -> Column:
        return lambda rows: money(rows[name])

    columns: dict[str, Column] = {
        "fill_id": lambda rows: pl.Series(rows.numbers),
        "order_id": lambda rows: numbers(rows["order_id"]),
        "ts": lambda rows: times(rows["ts_ms"]),
        "symbol": lambda rows: words(rows["symbol"], symbols),
        "side": lambda rows: sides(rows["lots"]),
        "qty": lambda rows: quantity(rows["lots"], rows["symbol"], steps),
        "price": lambda rows: number(rows["price"]),
        "decision_price": lambda rows: number(rows["decision_price"]),
        "arrival_price": lambda rows: number(rows["arrival_price"]),
        "fee": paid("fee"),
        "liquidity": lambda rows: lower(rows["liquidity"], Liquidity),
        "realized_pnl": paid("realized"),
        "cause": lambda rows: lower(rows["cause"], Cause),
        "pool": lambda rows: pools(rows["pool"], symbols),
        "quote": paid("quote"),
        "slippage": lambda rows: money(rows["spread"] + rows["impact"] + rows["drift"]),
        **{name: paid(name) for name in ("spread", "impact", "drift", "latency")},
    }
    return LazyTable.of_rows(SCHEMAS["fills"], record.fills, columns)


def _funding(record: Record) -> LazyTable:
    symbols, steps = record.symbols, record.step_micro
    columns: dict[str, Column] = {
        "ts": lambda rows: times(rows["ts_ms"]),
        "symbol": lambda rows: words(rows["symbol"], symbols),
        "qty": lambda rows: quantity(rows["lots"], rows["symbol"], steps),
        "price": lambda rows: number(rows["price"]),
        "rate": lambda rows: number(rows["rate"]),
        "payment": lambda rows: money(rows["payment"]),
        "pool": lambda rows: pools(rows["pool"], symbols),
        "missing": lambda rows: pl.Series(rows["missing"] != 0),
    }
    return LazyTable.of_rows(SCHEMAS["funding"], record.funding, columns)


def _liquidations(record: Record) -> pl.DataFrame:
    rows = record.liquidations
    levels = ("equity_before", "maintenance_before", "equity_after", "maintenance_after")
    return pl.DataFrame(
        {
            "ts": times(rows["ts_ms"]),
            "pool": pools(rows["pool"], record.symbols),
            "symbol": words(rows["symbol"], record.symbols),
            "stage": lower(rows["stage"], Stage),
            "qty": quantity(rows["lots"], rows["symbol"], record.step_micro),
            "price": number(rows["price"]),
            "penalty": money(rows["penalty"]),
            "insurance": money(rows["insurance"]),
            "bad_debt": money(rows["bad_debt"]),
            **{name: money(rows[name]) for name in levels},
            "ambiguous": rows["ambiguous"] != 0,
            "adl_loss": money(rows["adl_loss"]),
            "process": numbers(processes(record)),
        }
    )


def _guards(record: Record) -> pl.DataFrame:
    rows = record.guards
    return pl.DataFrame(
        {
            "ts": times(rows["ts_ms"]),
            "guard": words(rows["guard"], record.guard_names),
            "symbol": words(rows["symbol"], record.symbols),
            "pool": pools(rows["pool"], record.symbols),
            "value": number(rows["value"]),
            "order_id": numbers(rows["order_id"]),
        }
    )


def _marks(record: Record) -> pl.DataFrame:
    rows = record.sight
    return pl.DataFrame(
        {
            "ts": times(rows["ts_ms"]),
            "symbol": words(rows["symbol"], record.symbols),
            "market": number(rows["market"]),
            "venue": number(rows["venue"]),
            "distance": number(rows["venue"] / rows["market"] - 1.0),
        }
    )


def _margin(record: Record) -> LazyTable:
    symbols = record.symbols
    columns: dict[str, Column] = {
        "ts": lambda rows: times(rows["ts_ms"]),
        "pool": lambda rows: pools(rows["pool"], symbols),
        "equity": lambda rows: number(rows["equity"]),
        "initial": lambda rows: number(rows["initial"]),
        "maintenance": lambda rows: number(rows["maintenance"]),
        "margin_ratio": lambda rows: number(margin_ratio(rows["maintenance"], rows["equity"])),
    }
    return LazyTable.of_rows(SCHEMAS["margin"], record.pools, columns)
