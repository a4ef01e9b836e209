"""A Record as the tables that are written to disk.

Prices and money are in quote units, quantities in base units (signed: long or bought positive), all float64; times
are UTC milliseconds; only the ledger keeps whole micro. What is missing is null. Every column is determined by
the Record alone, but for the names of routes, which are the chain's.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from backtest.core.enums import MICRO, Cause, Liquidity, Stage
from backtest.core.errors import Broken
from backtest.core.records import Record
from backtest.results import attribution, fifo, postings, transfers
from backtest.results import equity as worth
from backtest.results import orders as placed
from backtest.results import trades as trips
from backtest.results.columns import TIME, lower, money, number, numbers, pools, quantity, sides, times, words
from backtest.results.equity import margin_ratio
from backtest.results.lazy_tables import LazyTable, Tables
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
    "trades": trips.SCHEMA,
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
    made: dict[str, Callable[[], pl.DataFrame]] = {
        "positions": lambda: _positions(record),
        "orders": lambda: placed.orders(record),
        "fills": lambda: _fills(record),
        "funding": lambda: _funding(record),
        "liquidations": lambda: _liquidations(record),
        "transfers": lambda: transfers.transfers(record, chain),
        "gas": lambda: transfers.gas(record),
        "margin": lambda: _margin(record),
        "ambiguous": lambda: _ambiguous(record),
        "guards": lambda: _guards(record),
        "trades": lambda: (trades or trips.round_trips(record)).table,
        "trades_fifo": lambda: fifo.matched(record),
        "attribution": lambda: attribution.attribution(record, books),
        "marks": lambda: _marks(record),
    }
    tables = {"equity": worth.equity(record), "ledger": books.ledger}
    for name, make in made.items():
        tables[name] = LazyTable.kept(make(), record.spool)  # one at a time is in memory
    for name, table in tables.items():
        if table.schema != SCHEMAS[name]:
            raise Broken(f"table {name}: {table.schema}, should be {SCHEMAS[name]}")
    return Tables(tables)


def _ambiguous(record: Record) -> pl.DataFrame:
    rows = record.ambiguous
    return pl.DataFrame({"ts": times(rows["ts_ms"]), "pool": pools(rows["pool"], record.symbols)})


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


def _fills(record: Record) -> pl.DataFrame:
    rows = record.fills
    return pl.DataFrame(
        {
            "fill_id": np.arange(len(rows)),
            "order_id": numbers(rows["order_id"]),
            "ts": times(rows["ts_ms"]),
            "symbol": words(rows["symbol"], record.symbols),
            "side": sides(rows["lots"]),
            "qty": quantity(rows["lots"], rows["symbol"], record.step_micro),
            "price": number(rows["price"]),
            "decision_price": number(rows["decision_price"]),
            "arrival_price": number(rows["arrival_price"]),
            "fee": money(rows["fee"]),
            "liquidity": lower(rows["liquidity"], Liquidity),
            "realized_pnl": money(rows["realized"]),
            "cause": lower(rows["cause"], Cause),
            "pool": pools(rows["pool"], record.symbols),
            "quote": money(rows["quote"]),
            "slippage": money(rows["spread"] + rows["impact"] + rows["drift"]),
            **{name: money(rows[name]) for name in ("spread", "impact", "drift", "latency")},
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
