"""Round trips with their exits and excursions, and the pieces that first in, first out makes of them."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.core import records
from backtest.core.enums import CROSS_POOL, Cause, OrderType
from backtest.core.records import EXTREME, Record
from backtest.results.fifo import matched
from backtest.results.tables import tables
from backtest.results.trades import round_trips
from tests.examples import examples
from tests.unit.results_records import START, cross, idle, isolated, micro, replace, rows

HOUR = 3_600_000


def traded(*fills: tuple[float, float, float], **changes: Any) -> Record:
    """Fills (quantity, price, fee), an hour apart, of one symbol with lots of 0.001; realised at average cost."""
    made, held, cost = [], 0.0, 0.0
    for n, (qty, price, fee) in enumerate(fills):
        closing = min(abs(qty), abs(held)) if held * qty < 0 else 0.0
        released = cost * closing / abs(held) if closing else 0.0
        realized = closing * price * np.sign(-qty) - released
        held, cost = held + qty, cost - released + (abs(qty) - closing) * price * np.sign(qty)
        made.append(
            {"seq": n, "order_id": n, "ts_ms": START + n * HOUR, "lots": round(qty * 1000), "pool": CROSS_POOL,
             "quote": micro(-qty * price), "fee": micro(fee), "realized": micro(realized)}
        )  # fmt: skip
    return idle(10_000, fills=rows(records.FILL, *made), **changes)


def reached(*extremes: tuple[float, float]) -> np.ndarray:
    return np.array(list(extremes), dtype=EXTREME)


NONE = (np.nan, np.nan)
COLUMNS = ("mfe", "mae", "mfe_price", "mae_price", "mfe_share", "mae_share")


def excursions(record: Record) -> list[tuple[float | None, ...]]:
    return round_trips(record).table.frame().select(COLUMNS).rows()


def test_excursions_of_a_long_and_of_a_short() -> None:
    # Long 2 from 100: up to 110 is 10 a unit, 20 in all, a tenth; down to 95 is 5, 10 in all.
    long = traded((2, 100, 0), (-2, 104, 0), extremes=reached((110, 95), NONE))
    assert excursions(long) == [(20, -10, 10, -5, 0.1, -0.05)]
    short = traded((-2, 100, 0), (2, 104, 0), extremes=reached((110, 95), NONE))
    assert excursions(short) == [(10, -20, 5, -10, 0.05, -0.1)]


def test_a_trip_that_never_went_its_way_has_no_favourable_excursion() -> None:
    assert excursions(traded((1, 100, 0), (-1, 98, 0), extremes=reached((99, 97), NONE))) == [
        (0, -3, 0, -3, 0, -0.03)
    ]  # fmt: skip
    # And one that closed in the instant in which it opened has neither.
    assert excursions(traded((1, 100, 0), (-1, 100, 0), extremes=reached((100, 100), NONE))) == [(0, 0, 0, 0, 0, 0)]


def test_excursions_are_from_the_average_cost_of_that_time() -> None:
    # 1 at 100: 90 to 108. Then 3 at 120: 4 at 115 on average, 105 to 121. Half sold: 2 at 115 still, 110 to 150.
    #   in favour: 8 × 1, 6 × 4 = 24, 35 × 2 = 70; prices 8, 6, 35; shares 0.08, 6/115, 35/115
    #   against:  10 × 1, 10 × 4 = 40, 5 × 2 = 10; prices 10, 10, 5; shares 0.1, 10/115, 5/115
    record = traded(
        (1, 100, 0), (3, 120, 0), (-2, 112, 0), (-2, 140, 0), extremes=reached((108, 90), (121, 105), (150, 110), NONE)
    )
    (found,) = excursions(record)
    assert found == pytest.approx((70, -40, 35, -10, 35 / 115, -0.1))


def test_a_flip_ends_one_excursion_and_begins_another() -> None:
    # Long 1 from 100 (up to 110, down to 99), flipped to short 1 from 105 (up to 120, down to 104).
    record = traded((1, 100, 0), (-2, 105, 0), (1, 110, 0), extremes=reached((110, 99), (120, 104), NONE))
    first, second = excursions(record)
    assert first == pytest.approx((10, -1, 10, -1, 0.1, -0.01))
    assert second == pytest.approx((1, -15, 1, -15, 1 / 105, -15 / 105))


def test_where_nobody_looked_nothing_is_known() -> None:
    assert excursions(traded((1, 100, 0), (-1, 98, 0))) == [(None,) * 6]
    # Looked, but there was no price: held within a gap of the data.
    assert excursions(traded((1, 100, 0), (-1, 98, 0), extremes=reached(NONE, NONE))) == [(None,) * 6]
    with pytest.raises(AssertionError, match="1 extremes of 2 fills"):
        excursions(traded((1, 100, 0), (-1, 98, 0), extremes=reached(NONE)))


EXITS = [
    ({"type": OrderType.MARKET}, Cause.STRATEGY, "market"),
    ({"type": OrderType.LIMIT}, Cause.STRATEGY, "limit"),
    ({"type": OrderType.LIMIT, "parent": 0}, Cause.STRATEGY, "take_profit"),
    ({"type": OrderType.STOP_MARKET}, Cause.STRATEGY, "stop"),
    ({"type": OrderType.STOP_LIMIT}, Cause.STRATEGY, "stop"),
    ({"type": OrderType.TAKE_PROFIT_MARKET}, Cause.STRATEGY, "take_profit"),
    ({"type": OrderType.TAKE_PROFIT_LIMIT}, Cause.STRATEGY, "take_profit"),
    ({"type": OrderType.TRAILING_STOP}, Cause.STRATEGY, "trailing_stop"),
    ({"type": OrderType.MARKET}, Cause.GUARD, "guard"),
    (None, Cause.LIQUIDATION, "liquidation"),
    (None, Cause.ADL, "adl"),
    (None, Cause.DELISTING, "delisting"),
]


@pytest.mark.parametrize(("order", "cause", "word"), EXITS)
def test_why_it_was_closed(order: dict[str, Any] | None, cause: Cause, word: str) -> None:
    record = traded((1, 100, 0), (-1, 98, 0))
    fills = record.fills.whole()
    fills["cause"][1] = cause
    fills["order_id"][1] = -1 if order is None else 1
    # Numbers of orders have holes, where cancels took them.
    placed = [{"order_id": 0}, *([] if order is None else [{"order_id": 1, **order}]), {"order_id": 7}]
    record = replace(record, fills=fills, orders=rows(records.ORDER, *placed))
    trip = round_trips(record).table.frame().row(0, named=True)
    assert (trip["exit_cause"], trip["exit_reason"]) == (cause.name.lower(), word)
    assert matched(record).frame()["exit_reason"].to_list() == [word]


def test_first_in_first_out() -> None:
    # Bought 1 at 100 (fee 0.1) and 3 at 120 (fee 0.6); sold 2 at 130 (fee 0.4), 2 at 110 (fee 0.3).
    #   the first sale closes the 1 at 100 and 1 of the 3 at 120, the second the 2 that are left
    record = traded((1, 100, 0.1), (3, 120, 0.6), (-2, 130, 0.4), (-2, 110, 0.3))
    pieces = matched(record).frame().rows(named=True)
    assert [(p["entry_fill"], p["exit_fill"], p["qty"], p["hold"]) for p in pieces] == [
        (0, 2, 1, 2), (1, 2, 1, 1), (1, 3, 2, 2),
    ]  # fmt: skip
    assert [(p["entry_price"], p["exit_price"], p["realized"]) for p in pieces] == [
        (100, 130, 30), (120, 130, 10), (120, 110, -20),
    ]  # fmt: skip
    # 0.1 + 0.4 / 2; 0.6 / 3 + 0.4 / 2; 0.6 × 2 / 3 + 0.3
    assert [p["fees"] for p in pieces] == [0.3, 0.4, 0.7]
    trip = round_trips(record).table.frame().row(0, named=True)
    assert (trip["realized"], trip["fees"]) == (20, 1.4)


def test_a_flip_is_an_exit_and_an_entry() -> None:
    btc = matched(cross()).frame().filter(pl.col("symbol") == "BTC-USD").row(0, named=True)
    assert (btc["side"], btc["qty"], btc["entry_fill"], btc["exit_fill"]) == ("long", 1, 0, 2)
    assert (btc["realized"], btc["exit_reason"], btc["fees"]) == (949.5, "take_profit", 50.49975)
    # Flipped twice within three fills: each piece has its side.
    pieces = matched(traded((1, 100, 0), (-3, 110, 0), (4, 105, 0), (-2, 120, 0))).frame()
    assert pieces.select("side", "qty", "realized").rows() == [("long", 1, 10), ("short", 2, 10), ("long", 2, 30)]


def test_nothing_closed_is_no_piece() -> None:
    assert matched(idle()).frame().height == 0
    assert matched(traded((1, 100, 0), (1, 110, 0))).frame().height == 0
    assert matched(traded((1, 100, 0), (1, 110, 0))).frame().schema == tables(idle())["trades_fifo"].schema


def queues(record: Record) -> list[tuple[int, int, int]]:
    """(entry fill, exit fill, lots) by a queue of what is open, lot by lot."""
    pieces: dict[tuple[int, int], int] = {}
    waiting: list[deque[tuple[int, int]]] = [deque() for _ in record.symbols]
    for n, (symbol, lots) in enumerate(
        zip(record.fills["symbol"].tolist(), record.fills["lots"].tolist(), strict=True)
    ):
        side = 1 if lots > 0 else -1
        for _ in range(abs(lots)):
            if waiting[symbol] and waiting[symbol][0][1] != side:
                entry, _ = waiting[symbol].popleft()
                pieces[entry, n] = pieces.get((entry, n), 0) + 1
            else:
                waiting[symbol].append((n, side))
    return sorted(((a, b, lots) for (a, b), lots in pieces.items()), key=lambda piece: (piece[1], piece[0]))


FILLS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(1, 6), st.booleans(), st.integers(1, 10**9), st.integers(-999, 999)),
    max_size=12,
)


@settings(max_examples=examples(300), deadline=None)
@given(FILLS)
def test_pieces_are_those_of_a_queue_and_lose_no_micro(drawn: list[tuple[int, int, bool, int, int]]) -> None:
    journal = [
        {"seq": n, "order_id": n, "ts_ms": START + n, "symbol": symbol, "pool": CROSS_POOL,
         "lots": lots if buy else -lots, "quote": -quote if buy else quote, "fee": fee}
        for n, (symbol, lots, buy, quote, fee) in enumerate(drawn)
    ]  # fmt: skip
    both = {"symbols": ("A", "B"), "step_micro": np.array([1_000_000, 1_000_000])}
    record = idle(fills=rows(records.FILL, *journal), **both)
    pieces = matched(record).frame()
    assert [(a, b, round(qty)) for a, b, qty in pieces.select("entry_fill", "exit_fill", "qty").rows()] == queues(
        record
    )
    # Close what is left: then pieces and round trips are the same money.
    held = [sum(f["lots"] for f in journal if f["symbol"] == i) for i in (0, 1)]
    last = [
        {"seq": 100 + i, "order_id": -1, "ts_ms": START + 100, "symbol": i, "pool": CROSS_POOL, "lots": -lots,
         "quote": 77 * lots, "fee": 3, "cause": Cause.LIQUIDATION}
        for i, lots in enumerate(held) if lots
    ]  # fmt: skip
    flat = idle(fills=rows(records.FILL, *journal, *last), **both)
    pieces, trips = matched(flat).frame(), round_trips(flat)
    assert trips.open == 0
    for column in ("realized", "fees"):
        of_pieces, of_trips = (sum(round(v * 1e6) for v in table[column]) for table in (pieces, trips.table.frame()))
        assert of_pieces == of_trips
    assert sum(round(v * 1e6) for v in pieces["realized"]) == int(flat.fills["quote"].sum())


def test_liquidated_pieces() -> None:
    assert matched(isolated()).frame().select("realized", "exit_reason").rows() == [
        (-6000, "liquidation"), (-2000, "liquidation"),
    ]  # fmt: skip
