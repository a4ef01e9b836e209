"""The double-entry books of one account, built from its journal alone and checked to the micro.

Convention: a posting moves `amount_micro` (> 0) *from* the account credited *to* the account debited: the one
debited receives. An account's balance is what it received minus what it gave, so all balances sum to zero.

| account       | what its balance says                                              |
|---------------|--------------------------------------------------------------------|
| `capital`     | −(what the trader had at the start, the reserve included)          |
| `wallet`      | the account's cash; in `cross` also the pool's                     |
| `pool:SYMBOL` | the cash of an isolated pool                                       |
| `trades`      | cash that buying paid away minus cash that selling brought         |
| `fees`        | fees paid, less rebates                                            |
| `funding`     | −(funding received)                                                |
| `insurance`   | penalties paid to the insurance fund, less what it paid            |
| `bad_debt`    | −(losses that others bore)                                         |
| `reserve`     | the account's money outside the venue                              |
| `in_flight`   | money between the two                                              |
| `gas`         | gas paid                                                           |
| `bridge_fees` | fees of transfers paid                                             |

Wallet, pools, reserve and money in flight, with the positions at their mark, are the account's *total*.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from backtest.core.enums import MICRO, NO_ORDER, GasKind, Liquidity, TransferKind, TransferState
from backtest.core.errors import Broken
from backtest.core.records import Record
from backtest.core.rows import Rows
from backtest.results.lazy_tables import LazyTable
from backtest.results.postings import ACCOUNTS, ledger, posted
from backtest.results.reorgs import standing

COSTS = ("fees", "spread", "impact", "latency", "penalties", "gas", "bridge_fees")
GAINS = ("price_moves", "funding", "insurance", "bad_debt")
FLOWS = (
    "price_moves", "funding", "fees", "spread", "impact", "latency", "penalties", "insurance", "bad_debt", "gas",
    "bridge_fees",
)  # fmt: skip
"""Kinds of change of the total, micro: `GAINS`, signed, and `COSTS`, which count against it. `spread`, `impact`,
`penalties`, `gas` and `bridge_fees` are ≥ 0, `fees` is less than 0 where rebates are more, `latency` where prices came
the account's way while its orders were under way. `price_moves` is what is left of trading: what prices would have
given at the prices of the decisions, without a cost. `insurance` is what the fund paid, `bad_debt` what others bore. A
fill that the chain has undone is in none of them: its quote and fee come back, and what it cost in its price is not
counted."""
FROM_FILLS = ("spread", "impact", "latency")
"""What fills paid in their price: part of their cash, and taken apart from the price moves."""


@dataclass(frozen=True)
class Books:
    """Books that balance: they cannot be had otherwise, see :func:`balance`."""

    ledger: LazyTable
    """ts, debit, credit, amount_micro (int64, > 0), code, ref: every posting in the order it was made."""
    balances: dict[str, int]
    """Micro by account."""
    flows: dict[str, int]
    """Micro by kind of change (`FLOWS`): equity_end − equity_start = gains − costs, exactly."""
    by_symbol: dict[str, dict[str, int]]
    """The flows of each symbol, micro. Over symbols they sum to `flows`, except for what belongs to no symbol: a
    shortfall of the whole pool, the gas of all messages but orders, and fees of transfers."""
    equity_start: int
    """The total at the start: cash, reserve, and what positions at the start had gained since their entry."""
    equity_end: int
    """The total at the end."""


def balance(record: Record) -> Books:
    """Build the books of ``record`` and prove them.

    The books use what there was at the start, the fills, funding, moves, liquidations, gas and transfers; what they
    add up to is compared with what the engine says it holds at the end. A difference of one micro, or of one lot, is an
    AssertionError that names both numbers.
    """
    names = (*ACCOUNTS, *(f"pool:{symbol}" for symbol in record.symbols))
    postings = posted(record)
    held = np.zeros(len(names), dtype=np.int64)
    for some in postings.pieces("taker", "giver", "amount"):
        np.add.at(held, some["taker"], some["amount"])
        np.subtract.at(held, some["giver"], some["amount"])
    balances = {name: int(amount) for name, amount in zip(names, held, strict=True)}
    flows, by_symbol = _flows(record)
    books = Books(
        ledger=ledger(postings, names),
        balances=balances,
        flows=flows,
        by_symbol=by_symbol,
        equity_start=record.start_total,
        equity_end=_at_venue(record) + record.final_reserve + record.final_in_flight,
    )
    _check_holdings(record, balances)
    _check_costs(record)
    _check_equity(record, books)
    return books


def _at_venue(record: Record) -> int:
    """What the account is worth at the venue in the end, micro."""
    return record.final_wallet + int(record.final_pool_cash.sum()) + sum(_final_values(record))


def _final_values(record: Record) -> list[int]:
    """What each symbol's open lots are worth at the last mark, micro: the exact value rounded once, ties to even."""
    values = []
    for mark, lots, step in zip(record.final_mark, record.final_lots, record.step_micro, strict=True):
        # A symbol without a position may have no mark at all.
        values.append(round(Fraction(float(mark)) * int(lots) * int(step)) if lots else 0)
    return values


def _flows(record: Record) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """Changes of the total straight from the journal's own fields, apart from the postings."""
    count = len(record.symbols)

    def per_symbol(rows: Rows, name: str) -> list[int]:
        total = np.zeros(count + 1, dtype=np.int64)
        for some in rows.pieces("symbol", name):
            np.add.at(total, some["symbol"], some[name])  # symbol −1, the whole pool's, lands in the extra last place
        return [int(amount) for amount in total]

    quotes = per_symbol(record.fills, "quote")
    stands = standing(record.fills)
    paid_in_price = {name: per_symbol(stands, name) for name in FROM_FILLS}
    closed = Rows.of(record.liquidations)
    penalties, moves = (per_symbol(closed, name) for name in ("penalty", "insurance"))
    begun = [-amount for amount in record.opening_profit.tolist() or [0] * count]
    values = [*map(sum, zip(_final_values(record), begun, strict=True)), 0]
    columns = {
        "price_moves": [sum(parts) for parts in zip(quotes, values, *paid_in_price.values(), strict=True)],
        **paid_in_price,
        "funding": per_symbol(record.funding, "payment"),
        "fees": per_symbol(record.fills, "fee"),
        "penalties": penalties,
        "insurance": [paid - moved for paid, moved in zip(penalties, moves, strict=True)],
        "bad_debt": per_symbol(closed, "bad_debt"),
        "gas": _gas_by_symbol(record),
        "bridge_fees": [0] * count + [int(record.transfers["fee"].sum())],
    }
    by_symbol = {symbol: {name: columns[name][i] for name in FLOWS} for i, symbol in enumerate(record.symbols)}
    return {name: sum(columns[name]) for name in FLOWS}, by_symbol


def _gas_by_symbol(record: Record) -> list[int]:
    """Gas of orders by their symbol; in the last place that of other messages, which the journal does not tell apart
    by symbol."""
    total = np.zeros(len(record.symbols) + 1, dtype=np.int64)
    if not len(record.gas):
        return [int(amount) for amount in total]
    numbers, symbols = record.orders["order_id"], record.orders["symbol"]
    known = np.append(numbers, NO_ORDER)
    for rows in record.gas.pieces("kind", "order_id", "amount"):
        symbol = np.full(len(rows["kind"]), NO_ORDER)
        placed = rows["kind"] == GasKind.ORDER
        at = np.searchsorted(numbers, rows["order_id"][placed])
        unknown = np.flatnonzero(known[at] != rows["order_id"][placed])
        if len(unknown):
            raise Broken(f"gas of order {rows['order_id'][placed][unknown[0]]}, which is not in the journal")
        symbol[placed] = symbols[at]
        np.add.at(total, symbol, rows["amount"])
    return [int(amount) for amount in total]


def _check_holdings(record: Record, balances: dict[str, int]) -> None:
    """Cash and lots that follow from the journal are those that the engine holds."""
    total = sum(balances.values())
    if total != 0:
        raise Broken(f"the books do not sum to zero: {total} micro")
    ends = {"wallet": record.final_wallet, "reserve": record.final_reserve, "in_flight": record.final_in_flight}
    for name, kept in ends.items():
        if balances[name] != kept:
            raise Broken(f"{name}: the books say {balances[name]} micro, the engine {kept}")
    lots = np.zeros(len(record.symbols), dtype=np.int64)
    for some in record.fills.pieces("symbol", "lots"):
        np.add.at(lots, some["symbol"], some["lots"])
    for i, symbol in enumerate(record.symbols):
        derived, held = balances[f"pool:{symbol}"], int(record.final_pool_cash[i])
        if derived != held:
            raise Broken(f"pool:{symbol}: the books say {derived} micro, the engine {held}")
        if lots[i] != record.final_lots[i]:
            raise Broken(f"{symbol}: fills add up to {lots[i]} lots, not {record.final_lots[i]}")


def _check_costs(record: Record) -> None:
    """Half a spread, an impact, a drift and gas are never gains, who makes a price pays none of the first three, and no
    transfer's fee is more than its amount."""
    for fills in record.fills.parts():
        for name in ("spread", "impact", "drift"):
            wrong = (fills[name] < 0) | ((fills[name] != 0) & (fills["liquidity"] == Liquidity.MAKER))
            if wrong.any():
                raise Broken(f"fill {fills.numbers[wrong][0]}: a {name} of {fills[name][wrong][0]} micro")
    gas, moved = record.gas["amount"], record.transfers
    if not (gas >= 0).all():
        raise Broken(f"gas {np.flatnonzero(gas < 0)[0]}: {gas.min()} micro")
    wrong = (moved["fee"] < 0) | (moved["fee"] > moved["amount"])
    if wrong.any():
        raise Broken(f"transfer {np.flatnonzero(wrong)[0]}: a fee of {moved['fee'][wrong][0]} micro")


def _check_equity(record: Record, books: Books) -> None:
    """The change of the total is explained to the micro, and the curve ends where the books do at the venue."""
    flows = books.flows
    explained = sum(flows[name] for name in GAINS) - sum(flows[name] for name in COSTS)
    change = books.equity_end - books.equity_start
    if change != explained:
        raise Broken(f"equity changed by {change} micro, the journal explains {explained}: {flows}")
    if len(record.curve):
        # The curve is in doubles: half a micro of rounding per symbol, and the last digits of the sums behind it.
        closed = _at_venue(record) + _withdrawn_after(record)
        last = record.curve.last()[0]
        size = abs(closed) + float(np.abs(np.array(last.tolist())).sum()) * MICRO
        apart = abs(float(last["equity"]) * MICRO - closed)
        allowed = 1 + len(record.symbols) + 1e-12 * size
        if not apart <= allowed:
            raise Broken(f"the curve ends at {last['equity']}, the books at {closed} micro")


def _withdrawn_after(record: Record) -> int:
    """Micro that left the wallet at the last close after its row was written: withdrawals sent there, and their gas."""
    end_ms = record.start_ms + len(record.curve) * record.interval_ms
    sent = (record.transfers["state"] == TransferState.SENT) & (record.transfers["kind"] == TransferKind.WITHDRAWAL)
    left = record.transfers["amount"][sent & (record.transfers["ts_ms"] >= end_ms)]
    gas = record.gas
    paid = (gas["kind"] == GasKind.WITHDRAWAL) & (gas["ts_ms"] >= end_ms)
    return int(left.sum() + gas["amount"][paid].sum())
