"""What each strategy has of the account that it shares: tables beside the account's own, proved to the micro.

| table | a row is |
|---|---|
| `strategies` | a strategy: its result by kind of change |
| `shares` | what one strategy has of an event of the account |
| `standings` | a strategy at a sample: profit and loss, stand-alone initial margin |
| `netting` | a sample: the sum of the stand-alone margins, the account's, and what netting saves |
| `virtual_positions` | a virtual position at a sample |

Money is in quote units, quantities in base units, as in the tables of the account. None of it is part of the account's
digest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.enums import MICRO, Reason, ShareKind
from backtest.core.errors import Broken
from backtest.core.records import Record
from backtest.results.columns import TIME, lower, money, numbers, quantity, times
from backtest.results.ledger import balance

F, S, I = pl.Float64(), pl.String(), pl.Int64()  # noqa: E741
KINDS = ("trading", "funding", "fees", "gas", "bridge_fees", "relief")
"""Parts of a strategy's profit and loss, in the order of the table. `relief` is what the insurance fund and others paid
for it, less penalties."""
SCHEMAS: Mapping[str, pl.Schema] = {
    "strategies": pl.Schema(
        {"strategy": S, "pnl": F, **dict.fromkeys(KINDS, F), "fills": I, "rejected_by_limit": I, "initial_end": F,
         "initial_highest": F}
    ),
    "shares": pl.Schema(
        {"ts": TIME, "strategy": S, "symbol": S, "kind": S, "order_id": I, "qty": F, "amount": F, "fee": F,
         "realized_pnl": F}
    ),
    "standings": pl.Schema({"ts": TIME, "strategy": S, "pnl": F, "initial": F}),
    "netting": pl.Schema({"ts": TIME, "standalone": F, "account": F, "saved": F}),
    "virtual_positions": pl.Schema(
        {"ts": TIME, "strategy": S, "symbol": S, "qty": F, "entry_price": F, "value": F, "unrealized": F}
    ),
}  # fmt: skip


def tables(record: Record, labels: Sequence[str]) -> dict[str, pl.DataFrame]:
    """Return the tables by name; Broken where the parts are not the whole, to the micro and the lot.

    ``labels``: the strategies, in their order.
    """
    _check(record, len(labels))
    names = np.array([*labels], dtype=object)
    return {
        "strategies": _strategies(record, labels),
        "shares": _shares(record, names),
        "standings": pl.DataFrame(
            {
                "ts": times(record.standings["ts_ms"]),
                "strategy": pl.Series(names[record.standings["strategy"]].tolist(), dtype=S),
                "pnl": money(record.standings["pnl"]),
                "initial": money(record.standings["alone"]),
            },
            schema=SCHEMAS["standings"],
        ),
        "netting": _netting(record.standings, len(labels)),
        "virtual_positions": _positions(record, names),
    }


def final_values(record: Record, count: int) -> NDArray[np.int64]:
    """Value of each strategy's virtual positions at the last mark, micro, [strategy, symbol]: running sums' parts."""
    held = _lots(record, count)
    values = np.zeros(held.shape, np.int64)
    for i, (mark, step) in enumerate(zip(record.final_mark, record.step_micro, strict=True)):
        reached, before = 0, 0
        for s in range(count):
            if held[s, i]:
                reached += int(held[s, i])
                value = round(Fraction(float(mark)) * reached * int(step))
                values[s, i], before = value - before, value
    return values


def profits(record: Record, count: int) -> list[int]:
    """Profit and loss of each strategy, micro."""
    cash = np.zeros(count, np.int64)
    np.add.at(cash, record.shares["strategy"], record.shares["amount"] - record.shares["fee"])
    values = final_values(record, count)
    return [int(cash[s] + values[s].sum()) for s in range(count)]


def _lots(record: Record, count: int) -> NDArray[np.int64]:
    """Lots of each strategy and symbol in the end."""
    held = np.zeros((count, len(record.symbols)), np.int64)
    traded = record.shares[np.isin(record.shares["kind"], _TRADES)]
    np.add.at(held, (traded["strategy"], traded["symbol"]), traded["lots"])
    return held


_TRADES = (ShareKind.FILL, ShareKind.CLOSING, ShareKind.SETTLEMENT)


def _check(record: Record, count: int) -> None:
    """The strategies' parts make the account."""
    lots = _lots(record, count).sum(axis=0)
    wrong = np.flatnonzero(lots != record.final_lots)
    if len(wrong):
        i = int(wrong[0])
        raise Broken(f"{record.symbols[i]}: virtual positions of {lots[i]} lots, the account {record.final_lots[i]}")
    books = balance(record)
    change, parts = books.equity_end - books.equity_start, profits(record, count)
    if sum(parts) != change:
        raise Broken(f"strategies earned {parts} micro, the account {change}")


def _strategies(record: Record, labels: Sequence[str]) -> pl.DataFrame:
    shares, last = record.shares, record.standings[-len(labels) :]
    values, earned = final_values(record, len(labels)), profits(record, len(labels))
    limited = record.orders["strategy"][record.orders["reason"] == Reason.MARGIN_LIMIT]
    rows = []
    for s, label in enumerate(labels):
        own = shares[shares["strategy"] == s]

        def total(*kinds: ShareKind, own: NDArray[np.void] = own) -> int:
            return int(own["amount"][np.isin(own["kind"], kinds)].sum())

        alone = record.standings["alone"][record.standings["strategy"] == s]
        parts = {
            "trading": total(*_TRADES) + int(values[s].sum()),
            "funding": total(ShareKind.FUNDING),
            "fees": int(own["fee"].sum()),
            "gas": -total(ShareKind.GAS),
            "bridge_fees": -total(ShareKind.BRIDGE),
            "relief": total(ShareKind.RELIEF),
        }
        rows.append(
            {
                "strategy": label,
                "pnl": earned[s] / MICRO,
                **{name: amount / MICRO for name, amount in parts.items()},
                "fills": int((own["kind"] == ShareKind.FILL).sum()),
                "rejected_by_limit": int((limited == s).sum()),
                "initial_end": int(last["alone"][s]) / MICRO if len(last) else 0.0,
                "initial_highest": int(alone.max(initial=0)) / MICRO,
            }
        )
    return pl.DataFrame(rows, schema=SCHEMAS["strategies"])


def _symbols(record: Record, rows: NDArray[np.void]) -> pl.Series:
    named = [*record.symbols, None]  # symbol −1: of none
    return pl.Series([named[i] for i in rows["symbol"].tolist()], dtype=S)


def _shares(record: Record, names: NDArray[np.object_]) -> pl.DataFrame:
    rows = record.shares
    steps = np.append(record.step_micro, 0)[rows["symbol"]]
    return pl.DataFrame(
        {
            "ts": times(rows["ts_ms"]),
            "strategy": pl.Series(names[rows["strategy"]].tolist(), dtype=S),
            "symbol": _symbols(record, rows),
            "kind": lower(rows["kind"], ShareKind),
            "order_id": numbers(rows["message"]),
            "qty": rows["lots"] * steps / MICRO,
            "amount": money(rows["amount"]),
            "fee": money(rows["fee"]),
            "realized_pnl": money(rows["realized"]),
        },
        schema=SCHEMAS["shares"],
    )


def _netting(rows: NDArray[np.void], count: int) -> pl.DataFrame:
    """One row per sample: a sample has a row of each strategy, in their order."""
    alone = rows["alone"].reshape(-1, count).sum(axis=1)
    account = rows["account"].reshape(-1, count)[:, 0]
    return pl.DataFrame(
        {
            "ts": times(rows["ts_ms"].reshape(-1, count)[:, 0]),
            "standalone": money(alone),
            "account": money(account),
            "saved": money(alone - account),
        },
        schema=SCHEMAS["netting"],
    )


def _positions(record: Record, names: NDArray[np.object_]) -> pl.DataFrame:
    rows = record.holdings
    qty = quantity(rows["lots"], rows["symbol"], record.step_micro)
    return pl.DataFrame(
        {
            "ts": times(rows["ts_ms"]),
            "strategy": pl.Series(names[rows["strategy"]].tolist(), dtype=S),
            "symbol": _symbols(record, rows),
            "qty": qty,
            "entry_price": rows["cost"] / MICRO / qty,
            "value": money(rows["value"]),
            "unrealized": money(rows["value"] - rows["cost"]),
        },
        schema=SCHEMAS["virtual_positions"],
    )
