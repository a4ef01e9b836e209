"""Where the change of the account's total came from, symbol by symbol."""

from __future__ import annotations

import numpy as np
import polars as pl

from backtest.core.records import Record
from backtest.results.columns import TIME, money, times, words
from backtest.results.ledger import COSTS, FLOWS, Books

CHANGE = "change"
SCHEMA = pl.Schema({"ts": TIME, "symbol": pl.String(), **dict.fromkeys(FLOWS, pl.Float64()), CHANGE: pl.Float64()})


def attribution(record: Record, books: Books) -> pl.DataFrame:
    """One row per symbol, and one without a symbol where something belongs to none; stamped with the end of the run.

    `change = price_moves + funding − fees − spread − impact − latency − penalties + insurance + bad_debt − gas −
    bridge_fees`, quote units; the sum of `change` over all rows is the change of wallet, pools, reserve and money in
    flight, positions at their mark, to the micro; and of every column the flow of the books. Gas of orders is their
    symbol's; that of other messages, and fees of transfers, are no symbol's.
    """
    named = [name for name in record.symbols if name in books.by_symbol]
    rows = [books.by_symbol[name] for name in named]
    nobody = {flow: books.flows[flow] - sum(row[flow] for row in rows) for flow in FLOWS}
    symbol = [record.symbols.index(name) for name in named]
    if any(nobody.values()):
        rows, symbol = [*rows, nobody], [*symbol, -1]
    signs = [-1 if flow in COSTS else 1 for flow in FLOWS]
    amounts = np.array([[row[flow] for flow in FLOWS] for row in rows], dtype=np.int64).reshape(-1, len(FLOWS))
    end_ms = record.start_ms + len(record.curve) * record.interval_ms
    return pl.DataFrame(
        {
            "ts": times(np.full(len(rows), end_ms)),
            "symbol": words(np.array(symbol, dtype=np.int64), record.symbols),
            **{flow: money(amounts[:, n]) for n, flow in enumerate(FLOWS)},
            CHANGE: money(amounts @ np.array(signs)),
        }
    )
