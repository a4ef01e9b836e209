"""Attribution: exact, symbol by symbol, whatever the account lived through."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.core import records
from backtest.core.enums import CROSS_POOL, Liquidity
from backtest.core.records import Record
from backtest.results.ledger import COSTS, FLOWS, balance
from backtest.results.metrics import metrics
from backtest.results.tables import tables
from backtest.results.trades import round_trips
from tests.examples import examples
from tests.unit.results_records import START, cross, idle, isolated, replace, rows, shortfall

NAMES = ("BTC-USD", "ETH-USD", "SOL-USD")


def shares(record: Record) -> list[dict[str, Any]]:
    return tables(record)["attribution"].rows(named=True)


def test_by_symbol() -> None:
    btc, eth = shares(cross())
    assert (btc["symbol"], btc["price_moves"], btc["spread"], btc["impact"], btc["latency"]) == (
        "BTC-USD", 510, 50, 10, 13.25,
    )  # fmt: skip
    # 510 − 5.10 − 63.243375 − 50 − 10 − 13.25
    assert btc["change"] == 368.406625
    # ETH: 29,985 − 28,014 + 29 of spread = 2,000; 2,000 + 2.90 − 28.9995 − 29
    assert (eth["price_moves"], eth["change"]) == (2000, 1944.9005)
    assert btc["change"] + eth["change"] == 2313.307125
    assert btc["ts"] == tables(cross())["equity"]["ts"][-1]
    assert [(row["symbol"], row["penalties"], row["bad_debt"], row["change"]) for row in shares(isolated())] == [
        ("BTC-USD", 0, 1025, -5000), ("ETH-USD", 320, 0, -2335),
    ]  # fmt: skip


def test_what_is_no_symbols_has_a_row_of_its_own() -> None:
    assert [(r["symbol"], r["bad_debt"], r["change"]) for r in shares(shortfall())] == [
        ("BTC-USD", 0, -115),
        (None, 15, 15),
    ]


money = st.integers(0, 10**12)


@st.composite
def lives(draw: st.DrawFn) -> tuple[Record, list[int]]:
    """A record, and per symbol what its fills would have given at the prices of the decisions, with what is left."""
    fills, funding, lost, wallet = [], [], [], draw(money)
    cash, lots, ideal = wallet, [0, 0, 0], [0, 0, 0]
    for n in range(draw(st.integers(0, 12))):
        i, at = draw(st.integers(0, 2)), {"seq": n, "ts_ms": START + n, "pool": CROSS_POOL}
        kind = draw(st.sampled_from(("take", "take", "make", "fund", "lose")))
        if kind in ("take", "make"):
            side, decided, path = draw(st.sampled_from((-1, 1))), draw(money), draw(money)
            spread, impact, drift = (draw(st.integers(0, 10**6)) if kind == "take" else 0 for _ in range(3))
            # A maker's price is its own, so nothing on its way cost it anything.
            decided = path if kind == "make" else decided
            quote = -side * path - spread - impact - drift
            fee, size = draw(st.integers(-(10**6), 10**6)), draw(st.integers(1, 5))
            fills.append(
                {"symbol": i, "order_id": n, "lots": side * size, "quote": quote, "fee": fee, "spread": spread,
                 "impact": impact, "drift": drift, "latency": side * (path - decided) + drift,
                 "liquidity": Liquidity.MAKER if kind == "make" else Liquidity.TAKER, **at}
            )  # fmt: skip
            wallet += quote - fee
            lots[i] += side * size
            ideal[i] -= side * decided
        elif kind == "fund":
            # Funding needs a position, so the symbol has traded.
            payment = draw(st.integers(-(10**9), 10**9)) if lots[i] else 0
            funding += [{"symbol": i, "payment": payment, **at}] if lots[i] else []
            wallet += payment
        else:
            penalty, paid, debt = draw(money), draw(money), draw(money)
            whose = i if lots[i] and draw(st.booleans()) else -1
            lost.append({"symbol": whose, "penalty": penalty, "insurance": penalty - paid, "bad_debt": debt, **at})
            wallet += paid + debt - penalty
    marks = [draw(st.floats(0.01, 1e5)) for _ in lots]
    values = [round(Fraction(mark) * size * 1000) if size else 0 for mark, size in zip(marks, lots, strict=True)]
    ideal = [made + value for made, value in zip(ideal, values, strict=True)]
    record = idle(
        symbols=NAMES, step_micro=np.array([1000] * 3), fills=rows(records.FILL, *fills),
        funding=rows(records.FUNDING, *funding), liquidations=rows(records.LIQUIDATION, *lost),
        final_wallet=wallet, final_pool_cash=np.zeros(3, dtype=np.int64), final_lots=np.array(lots),
        final_mark=np.array(marks),
    )  # fmt: skip
    return replace(record, cash=cash), ideal


def whole(amount: float) -> int:
    return round(amount * 1e6)


@settings(max_examples=examples(300), deadline=None)
@given(lives())
def test_it_adds_up_to_the_micro(life: tuple[Record, list[int]]) -> None:
    record, ideal = life
    books = balance(record)
    rows_of, numbers = shares(record), metrics(record, books, round_trips(record))
    assert sum(whole(row["change"]) for row in rows_of) == books.equity_end - books.equity_start
    for row in rows_of:
        signed = sum((-1 if name in COSTS else 1) * whole(row[name]) for name in FLOWS)
        assert signed == whole(row["change"])
    for name in FLOWS:
        assert sum(whole(row[name]) for row in rows_of) == books.flows[name] == whole(numbers[name])
    # Price moves are what the same trades would have given at the prices of the decisions, and nothing else.
    assert [whole(row["price_moves"]) for row in rows_of[:3]] == ideal
    assert whole(numbers["slippage"]) == sum(int(record.fills[name].sum()) for name in ("spread", "impact", "drift"))
