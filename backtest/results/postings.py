"""The postings of one account, from its journal, in the order in which they were made; and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.enums import Code, GasKind, TransferKind, TransferState
from backtest.core.errors import Broken
from backtest.core.records import Record
from backtest.core.rows import Part, Rows
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
    row: Ints


class Kind:
    """Movements of one kind in the order of the journal, some of them in memory."""

    def __init__(self, code: int, pieces: Iterable[Postings]) -> None:
        self.code, self._pieces = code, iter(pieces)
        self._next = next(self._pieces, None)

    def before(self, seq: int) -> Iterator[Postings]:
        """Give those before a place in the journal which have not been given."""
        while self._next is not None:
            some, cut = self._next, int(np.searchsorted(self._next.seq, seq))
            yield Postings._make(values[:cut] for values in some)
            if cut < len(some.seq):
                self._next = Postings._make(values[cut:] for values in some)
                return
            self._next = next(self._pieces, None)


def posted(record: Record) -> Rows:
    """All postings by `seq` (a trade before its fee), each with a positive amount; what moves nothing is no posting."""
    traded = [*_moves(record), *_fills(record), *_settlements(record), *_liquidations(record)]
    kinds = [_deposits(record), *traded, *_gas(record), *_transfers(record)]
    made, before = Rows(POSTING, record.spool), LONG_AGO
    for some in _in_order(kinds, _last(record)):
        late = np.flatnonzero(np.diff(some["ts_ms"], prepend=before) < 0)
        if len(late):
            was = before if late[0] == 0 else some["ts_ms"][late[0] - 1]
            raise Broken(f"time went back in the journal: {was} then {some['ts_ms'][late[0]]} ms")
        if len(some):
            before = int(some["ts_ms"][-1])
        made.append(some)
    return made


def _last(record: Record) -> int:
    """The last place in the journal of a row that moves money."""
    kinds = (record.moves, record.fills, record.funding, record.liquidations, record.gas, record.transfers)
    return max((int(rows[-1]["seq"]) for rows in kinds if len(rows)), default=0)


def _in_order(kinds: Sequence[Kind], last: int) -> Iterator[NDArray[np.void]]:
    """The postings of some journal rows after another, as `POSTING`."""
    for until in (*range(TOGETHER, last + 1, TOGETHER), last + 1):
        found = [(kind.code, some) for kind in kinds for some in kind.before(until)]
        whole = Postings._make(map(np.concatenate, zip(*(some for _, some in found), strict=True))) if found else None
        if whole is None:
            continue
        code = np.repeat([code for code, _ in found], [len(some.seq) for _, some in found])
        order = np.argsort(whole.seq, kind="stable")
        order = order[whole.amount[order] != 0]
        out = np.empty(len(order), POSTING)
        back = whole.amount[order] < 0
        taker, giver = whole.taker[order], whole.giver[order]
        out["ts_ms"] = whole.ts[order]
        out["taker"], out["giver"] = np.where(back, giver, taker), np.where(back, taker, giver)
        out["amount"] = np.abs(whole.amount[order])
        out["code"], out["row"] = code[order], whole.row[order]
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


def _deposits(record: Record) -> Kind:
    """What there was at the start, before anything else: at the venue, and in the reserve."""
    zero = np.zeros(2, dtype=np.int64)
    first, taker = zero + np.iinfo(np.int64).min, np.array([WALLET, RESERVE])
    amount = np.array([record.cash, record.reserve])
    whole = Postings(first, zero + record.start_ms, taker, zero + CAPITAL, amount, np.arange(2))
    return Kind(Code.DEPOSIT, [whole])


Side = int | Callable[[Part], Ints]
"""The account that takes or gives: one for all, or one for each row."""


def _kind(rows: Rows, code: int, taker: Side, giver: Side, amount: Callable[[Part], Ints]) -> Kind:
    def side(part: Part, which: Side) -> Ints:
        return np.full(len(part), which, np.int64) if isinstance(which, int) else which(part)

    def pieces() -> Iterator[Postings]:
        for part in rows.parts():
            sides = side(part, taker), side(part, giver)
            yield Postings(part["seq"], part["ts_ms"], *sides, amount(part), part.numbers)

    return Kind(code, pieces())


def _moves(record: Record) -> list[Kind]:
    def pool(rows: Part) -> Ints:
        return _cash_account(rows["symbol"])

    return [_kind(record.moves, Code.MARGIN, pool, WALLET, lambda rows: rows["amount"])]


def _cash(rows: Part) -> Ints:
    return _cash_account(rows["pool"])


def _fills(record: Record) -> list[Kind]:
    return [
        _kind(record.fills, Code.TRADE, _cash, TRADES, lambda rows: rows["quote"]),
        _kind(record.fills, Code.FEE, FEES, _cash, lambda rows: rows["fee"]),
    ]


def _settlements(record: Record) -> list[Kind]:
    return [_kind(record.funding, Code.FUNDING, _cash, FUNDING, lambda rows: rows["payment"])]


def _liquidations(record: Record) -> list[Kind]:
    # The closing trade is its own fill; a row here holds only what came on top of it. `insurance` is net to the
    # fund: what it received as a penalty, less what it paid.
    rows = Rows.of(record.liquidations)
    return [
        _kind(rows, Code.PENALTY, INSURANCE, _cash, lambda rows: rows["penalty"]),
        _kind(rows, Code.INSURANCE, _cash, INSURANCE, lambda rows: rows["penalty"] - rows["insurance"]),
        _kind(rows, Code.BAD_DEBT, _cash, BAD_DEBT, lambda rows: rows["bad_debt"]),
    ]


def _gas(record: Record) -> list[Kind]:
    def payer(rows: Part) -> Ints:
        return np.where(rows["kind"] == GasKind.DEPOSIT, RESERVE, WALLET)

    return [_kind(record.gas, Code.GAS, GAS, payer, lambda rows: rows["amount"])]


def _transfers(record: Record) -> list[Kind]:
    """What leaves one side is in flight; what arrives is on the other side, less the fee."""
    moved = Rows.of(record.transfers)

    def origin(rows: Part) -> Ints:
        return np.where(rows["kind"] == TransferKind.DEPOSIT, RESERVE, WALLET)

    def goal(rows: Part) -> Ints:
        return np.where(rows["kind"] == TransferKind.DEPOSIT, WALLET, RESERVE)

    def arrived(rows: Part) -> Ints:
        return np.where(rows["state"] == TransferState.ARRIVED, 1, 0)

    return [
        _kind(moved, Code.TRANSFER, IN_FLIGHT, origin, lambda r: r["amount"] * (r["state"] == TransferState.SENT)),
        _kind(moved, Code.TRANSFER, goal, IN_FLIGHT, lambda r: (r["amount"] - r["fee"]) * arrived(r)),
        _kind(moved, Code.BRIDGE, BRIDGE_FEES, IN_FLIGHT, lambda r: r["fee"] * arrived(r)),
    ]
