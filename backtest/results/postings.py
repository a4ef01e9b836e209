"""The postings of one account, from its journal, in the order in which they were made; and the table of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.enums import Code, GasKind, TransferKind, TransferState
from backtest.core.errors import Broken
from backtest.core.records import Record
from backtest.core.rows import Rows
from backtest.results.columns import TIME, Ints, times, words
from backtest.results.lazy_tables import LazyTable

CAPITAL, WALLET, TRADES, FEES, FUNDING, INSURANCE, BAD_DEBT, RESERVE, IN_FLIGHT, GAS, BRIDGE_FEES = range(11)
ACCOUNTS = (
    "capital", "wallet", "trades", "fees", "funding", "insurance", "bad_debt", "reserve", "in_flight", "gas",
    "bridge_fees",
)  # fmt: skip
POSTING = np.dtype([(name, "i8") for name in ("ts_ms", "taker", "giver", "amount", "code", "row")])
"""`amount` > 0 micro from `giver` to `taker`; `row` of the journal's records that it comes from."""
SCHEMA = pl.Schema(
    {"ts": TIME, "debit": pl.String(), "credit": pl.String(), "amount_micro": pl.Int64(), "code": pl.String(),
     "ref": pl.String()}
)  # fmt: skip
SOURCES = {
    Code.DEPOSIT: "deposit", Code.TRADE: "fill", Code.FEE: "fill", Code.FUNDING: "funding",
    Code.MARGIN: "move", Code.PENALTY: "liquidation", Code.BAD_DEBT: "liquidation",
    Code.INSURANCE: "liquidation", Code.GAS: "gas", Code.TRANSFER: "transfer", Code.BRIDGE: "transfer",
}  # fmt: skip
LONG_AGO = -(1 << 62)
"""Ms, before all journals."""
TOGETHER = 1 << 18
"""Journal rows whose postings are put in order together."""


class Postings(NamedTuple):
    """Signed movements of one kind: `amount` from `giver` to `taker` (negative: the other way)."""

    seq: Ints
    ts: Ints
    taker: Ints
    giver: Ints
    amount: Ints
    code: int
    row: Ints


def posted(record: Record) -> Rows:
    """All postings by `seq` (a trade before its fee), each with a positive amount; what moves nothing is no posting."""
    traded = [*_moves(record), *_fills(record), *_settlements(record), *_liquidations(record)]
    kinds = [_deposits(record), *traded, *_gas(record), *_transfers(record)]
    made, before = Rows(POSTING, record.spool), LONG_AGO
    for some in _in_order(kinds):
        late = np.flatnonzero(np.diff(some["ts_ms"], prepend=before) < 0)
        if len(late):
            was = before if late[0] == 0 else some["ts_ms"][late[0] - 1]
            raise Broken(f"time went back in the journal: {was} then {some['ts_ms'][late[0]]} ms")
        if len(some):
            before = int(some["ts_ms"][-1])
        made.append(some)
    return made


def _in_order(kinds: Sequence[Postings]) -> Iterator[NDArray[np.void]]:
    """The postings of some journal rows after another, as `POSTING`."""
    last = max((int(kind.seq[-1]) for kind in kinds if len(kind.seq)), default=0)
    bounds = np.append(np.arange(TOGETHER, last + 1, TOGETHER), last + 1)
    cuts = [np.concatenate([[0], np.searchsorted(kind.seq, bounds)]) for kind in kinds]
    for n in range(len(bounds)):
        parts = [(kind, slice(cut[n], cut[n + 1])) for kind, cut in zip(kinds, cuts, strict=True)]
        order = np.argsort(np.concatenate([kind.seq[some] for kind, some in parts]), kind="stable")
        amount = np.concatenate([kind.amount[some] for kind, some in parts])[order]
        order = order[amount != 0]
        out = np.empty(len(order), POSTING)
        back = amount[amount != 0] < 0
        taker, giver = (
            np.concatenate([getattr(kind, name)[some] for kind, some in parts])[order] for name in ("taker", "giver")
        )
        out["ts_ms"] = np.concatenate([kind.ts[some] for kind, some in parts])[order]
        out["taker"], out["giver"] = np.where(back, giver, taker), np.where(back, taker, giver)
        out["amount"] = np.abs(amount[amount != 0])
        out["code"] = np.concatenate([np.full(some.stop - some.start, kind.code) for kind, some in parts])[order]
        out["row"] = np.concatenate([kind.row[some] for kind, some in parts])[order]
        yield out


def ledger(postings: Rows, names: Sequence[str]) -> LazyTable:
    """The table of postings; ``names``: of the accounts by number. `ref` is the row of the journal that a posting comes
    from: `fill 3` is `fill_id` 3."""
    codes = [code.name.lower() for code in Code]
    sources = [SOURCES[code] for code in Code]

    def make(columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        for some in postings.pieces():
            made = {
                "ts": lambda some=some: times(some["ts_ms"]),
                "debit": lambda some=some: words(some["taker"], names),
                "credit": lambda some=some: words(some["giver"], names),
                "amount_micro": lambda some=some: pl.Series(some["amount"]),
                "code": lambda some=some: words(some["code"], codes),
                "ref": lambda some=some: _refs(words(some["code"], sources), some["row"]),
            }
            yield pl.DataFrame({name: made[name]() for name in columns})

    return LazyTable(SCHEMA, len(postings), make)


def _refs(source: pl.Series, row: Ints) -> pl.Series:
    return pl.DataFrame({"source": source, "row": row}).select(ref=pl.format("{} {}", "source", "row")).to_series()


def _cash_account(pool: Ints) -> Ints:
    """Account number of a pool's cash: the wallet in cross, else the isolated pool of that symbol."""
    return np.where(pool < 0, WALLET, len(ACCOUNTS) + pool)


def _deposits(record: Record) -> Postings:
    """What there was at the start, before anything else: at the venue, and in the reserve."""
    zero = np.zeros(2, dtype=np.int64)
    first, taker = zero + np.iinfo(np.int64).min, np.array([WALLET, RESERVE])
    amount = np.array([record.cash, record.reserve])
    return Postings(first, zero + record.start_ms, taker, zero + CAPITAL, amount, Code.DEPOSIT, np.arange(2))


def _postings(rows: np.ndarray, taker: Ints | int, giver: Ints | int, amount: Ints, code: int) -> Postings:
    count = len(rows)
    row = np.arange(count)
    taker, giver = np.broadcast_to(taker, count), np.broadcast_to(giver, count)
    return Postings(rows["seq"], rows["ts_ms"], taker, giver, amount, code, row)


def _moves(record: Record) -> list[Postings]:
    rows = record.moves
    return [_postings(rows, _cash_account(rows["symbol"]), WALLET, rows["amount"], Code.MARGIN)]


def _fills(record: Record) -> list[Postings]:
    rows = record.fills
    cash = _cash_account(rows["pool"])
    return [
        _postings(rows, cash, TRADES, rows["quote"], Code.TRADE),
        _postings(rows, FEES, cash, rows["fee"], Code.FEE),
    ]


def _settlements(record: Record) -> list[Postings]:
    rows = record.funding
    return [_postings(rows, _cash_account(rows["pool"]), FUNDING, rows["payment"], Code.FUNDING)]


def _liquidations(record: Record) -> list[Postings]:
    # The closing trade is its own fill; a row here holds only what came on top of it. `insurance` is net to the
    # fund: what it received as a penalty, less what it paid.
    rows = record.liquidations
    cash = _cash_account(rows["pool"])
    return [
        _postings(rows, INSURANCE, cash, rows["penalty"], Code.PENALTY),
        _postings(rows, cash, INSURANCE, rows["penalty"] - rows["insurance"], Code.INSURANCE),
        _postings(rows, cash, BAD_DEBT, rows["bad_debt"], Code.BAD_DEBT),
    ]


def _gas(record: Record) -> list[Postings]:
    rows = record.gas
    payer = np.where(rows["kind"] == GasKind.DEPOSIT, RESERVE, WALLET)
    return [_postings(rows, GAS, payer, rows["amount"], Code.GAS)]


def _transfers(record: Record) -> list[Postings]:
    """What leaves one side is in flight; what arrives is on the other side, less the fee."""
    rows = record.transfers
    sent, arrived = rows["state"] == TransferState.SENT, rows["state"] == TransferState.ARRIVED
    deposit = rows["kind"] == TransferKind.DEPOSIT
    origin, goal = np.where(deposit, RESERVE, WALLET), np.where(deposit, WALLET, RESERVE)
    return [
        _postings(rows, IN_FLIGHT, origin, rows["amount"] * sent, Code.TRANSFER),
        _postings(rows, goal, IN_FLIGHT, (rows["amount"] - rows["fee"]) * arrived, Code.TRANSFER),
        _postings(rows, BRIDGE_FEES, IN_FLIGHT, rows["fee"] * arrived, Code.BRIDGE),
    ]
