"""Tables: the columns of the contract, and what is in them. Round trips."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from backtest.core import records
from backtest.core.enums import CROSS_POOL, Cause
from backtest.core.records import Record
from backtest.core.spool import Spool
from backtest.results import digest as digests
from backtest.results import lazy_tables
from backtest.results.digest import digest
from backtest.results.equity import margin_ratio
from backtest.results.tables import SCHEMAS, tables
from backtest.results.trades import round_trips
from tests.unit.results_records import (
    DAY,
    START,
    bridged,
    cross,
    curve_of,
    held,
    idle,
    isolated,
    micro,
    replace,
    rows,
    shortfall,
)

CONTRACT = {
    "equity": "ts equity wallet reserve in_flight unrealized initial_margin maintenance_margin margin_ratio "
    "free_collateral gross_notional net_notional drawdown",
    "positions": "ts symbol pool qty entry_price mark notional unrealized liquidation_price",
    "orders": "order_id ts_sent ts_arrived ts_done symbol side type qty limit_price stop_price tif reduce_only "
    "post_only status reason filled_qty cause trigger ts_triggered ts_expires trail trail_unit activation parent_id "
    "group_id target_id",
    "fills": "fill_id order_id ts symbol side qty price decision_price arrival_price fee liquidity realized_pnl cause "
    "pool quote slippage spread impact drift latency",
    "funding": "ts symbol qty price rate payment",
    "liquidations": "ts pool symbol stage qty price penalty insurance bad_debt equity_before maintenance_before "
    "equity_after maintenance_after ambiguous",
    "transfers": "ts transfer_id kind state route amount fee arrives reason",
    "gas": "ts order_id kind amount",
    "guards": "ts guard symbol pool value order_id",
    "margin": "ts pool equity initial maintenance margin_ratio",
    "ledger": "ts debit credit amount_micro code ref",
    "ambiguous": "ts pool",
    "trades": "symbol side ts_entry ts_exit qty entry_price exit_price realized fees funding net hold exit_cause",
    "trades_fifo": "symbol side ts_entry ts_exit qty entry_price exit_price realized fees hold exit_reason entry_fill "
    "exit_fill",
    "attribution": "ts symbol price_moves funding fees spread impact latency penalties insurance bad_debt gas "
    "bridge_fees change",
    "marks": "ts symbol market venue distance",
}


@pytest.mark.parametrize("record", [idle(), cross(), isolated()], ids=["idle", "cross", "isolated"])
def test_columns_and_types_are_the_contract(record: records.Record) -> None:
    frames = tables(record)
    assert frames.keys() == CONTRACT.keys()
    for name, frame in frames.items():
        columns = CONTRACT[name].split()
        assert frame.columns[: len(columns)] == columns
        assert frame.schema == SCHEMAS[name]
        for column, kind in frame.schema.items():
            if column == "ts" or column.startswith("ts_"):
                assert kind == pl.Datetime("ms", "UTC")
    assert frames["ledger"].schema["amount_micro"] == pl.Int64


def test_equity_rows_are_stamped_by_their_close() -> None:
    equity = tables(cross())["equity"]
    assert equity["ts"][0] == datetime(2025, 1, 2, tzinfo=UTC)
    assert equity["ts"][-1] == datetime(2025, 1, 6, tzinfo=UTC)
    row = equity.row(1, named=True)
    assert row["free_collateral"] == 98_000 - 4000
    assert row["margin_ratio"] == 2400 / 98_000
    assert row["reserve"] == row["in_flight"] == 0
    # The deposit of 100,000 is the first peak.
    assert equity["drawdown"].to_list() == [0, 0.98 - 1, 0, 0, 0]
    assert tables(held([90.0, 95.0]))["equity"]["drawdown"].to_list() == [0.9 - 1, 0.95 - 1]


def test_margin_ratio_has_one_meaning() -> None:
    # No position: 0, whatever is left. Equity gone with a position open: no ratio.
    maintenance, equity = np.array([0.0, 0, 30, 30, 30, 30]), np.array([100.0, 0, 100, 30, 0, -5])
    np.testing.assert_array_equal(margin_ratio(maintenance, equity), [0, 0, 0.3, 1, np.nan, np.nan])
    # In a table NaN is null.
    dead = replace(idle(), curve=curve_of([-5.0, 100.0], gross=[1000.0, 0.0]))
    assert tables(dead)["equity"]["margin_ratio"].to_list() == [None, 0]


def test_positions_and_margin() -> None:
    frames = tables(cross())
    long, short = frames["positions"].rows(named=True)
    assert (long["qty"], long["entry_price"], long["notional"]) == (1, 50_025, 51_000)
    assert (long["unrealized"], long["liquidation_price"], long["pool"]) == (975, 1234.5, "cross")
    # Short 10 ETH for 29,985, now worth 29,000: a gain of 985.
    assert (short["qty"], short["entry_price"], short["notional"]) == (-10, 2998.5, -29_000)
    assert (short["unrealized"], short["liquidation_price"]) == (985, None)
    assert frames["margin"].row(0)[1:] == ("cross", 80_000, 4000, 2400, 0.03)
    assert tables(isolated())["margin"]["pool"].to_list() == ["BTC-USD", "ETH-USD"]


def test_fills_funding_and_liquidations() -> None:
    frames = tables(cross())
    first, _, flip, settled = frames["fills"].rows(named=True)
    assert (first["fill_id"], first["order_id"], first["side"], first["qty"]) == (0, 0, "buy", 1)
    assert (first["decision_price"], first["arrival_price"], first["price"]) == (49_990, 50_000, 50_025)
    assert (first["fee"], first["slippage"], first["quote"], first["liquidity"]) == (25.0125, 25, -50_025, "taker")
    assert (first["spread"], first["impact"], first["drift"], first["latency"]) == (20, 5, 0, 10)
    assert (flip["slippage"], flip["spread"], flip["drift"], flip["latency"]) == (38.25, 30, 3.25, 3.25)
    assert (flip["realized_pnl"], flip["decision_price"]) == (949.5, None)
    assert (settled["order_id"], settled["cause"], settled["pool"]) == (None, "delisting", "cross")
    assert frames["funding"]["payment"].to_list() == [-5.1, 2.9, 0]
    assert frames["funding"]["missing"].to_list() == [False, False, True]
    assert frames["funding"]["rate"].to_list() == [0.0001, 0.0001, None]
    gapped, crossed = tables(isolated())["liquidations"].rows(named=True)
    assert (gapped["pool"], gapped["stage"], gapped["qty"], gapped["bad_debt"]) == ("BTC-USD", "whole", -1, 1025)
    assert (gapped["equity_before"], gapped["penalty"], gapped["ambiguous"]) == (-1025, 0, True)
    assert (crossed["penalty"], crossed["insurance"], crossed["equity_after"]) == (320, 320, 665)
    assert crossed["maintenance_before"] == 985.000001


def test_a_shortfall_of_the_whole_pool_has_no_symbol() -> None:
    row = tables(shortfall())["liquidations"].row(0, named=True)
    assert (row["stage"], row["symbol"], row["qty"]) == ("shortfall", None, 0)
    assert (row["pool"], row["bad_debt"], row["price"]) == ("cross", 15, None)


def test_round_trips_with_a_flip() -> None:
    trades = round_trips(cross())
    btc, eth = trades.table.frame().rows(named=True)
    # The flip sells 1.5 of which 1 closes: 76,461.75 / 1.5 = 50,974.50 less 50,025; two thirds of its fee is 25.48725.
    assert (btc["symbol"], btc["side"], btc["qty"], btc["exit_cause"]) == ("BTC-USD", "long", 1, "strategy")
    assert (btc["entry_price"], btc["exit_price"], btc["realized"]) == (50_025, 50_974.5, 949.5)
    assert (btc["fees"], btc["funding"], btc["hold"]) == (50.49975, -5.1, 24)
    assert btc["net"] == 893.90025  # 949.50 − 50.49975 − 5.10
    # 29,985 − 28,014 = 1,971; fees 14.9925 + 14.007; funding 2.90
    assert (eth["side"], eth["realized"], eth["fees"], eth["funding"]) == ("short", 1971, 28.9995, 2.9)
    assert (eth["net"], eth["exit_cause"], eth["hold"]) == (1944.9005, "delisting", 48)
    # The half BTC that the flip sold is still open.
    assert trades.open == 1


def test_a_trip_of_many_fills_averages_its_prices() -> None:
    # Bought 1 at 100 and 3 at 120 (average 115), sold 2 at 130, bought 1 at 105, sold 3 at 110.
    sizes, prices = (1000, 3000, -2000, 1000, -3000), (100.0, 120.0, 130.0, 105.0, 110.0)
    fills = rows(
        records.FILL,
        *(
            {"seq": i, "ts_ms": START + i, "pool": CROSS_POOL, "lots": lots, "quote": -micro(lots / 1000 * price)}
            for i, (lots, price) in enumerate(zip(sizes, prices, strict=True))
        ),
    )
    trade = round_trips(idle(1000, fills=fills)).table.frame().row(0, named=True)
    assert trade["qty"] == 4
    assert trade["entry_price"] == 113  # (100 + 360 + 105) / 5
    assert trade["exit_price"] == 118  # (260 + 330) / 5
    assert trade["realized"] == 25  # 5 × (118 − 113)


def test_a_liquidated_trip_pays_its_penalty() -> None:
    btc, eth = round_trips(isolated()).table.frame().rows(named=True)
    assert (btc["exit_cause"], btc["net"], btc["penalty"]) == ("liquidation", -6025, 0)
    assert (eth["exit_cause"], eth["net"], eth["penalty"]) == ("liquidation", -2335, 320)  # −2,000 − 15 − 320


def test_net_of_the_trips_and_bad_debt_is_the_change_of_equity() -> None:
    record = isolated()
    net = round_trips(record).table.frame()["net"].sum()
    assert net + 1025 == 2665 - 10_000


def test_nothing_but_open_positions_is_no_trade() -> None:
    trades = round_trips(held([101.0]))
    assert (trades.table.height, trades.open) == (0, 1)
    assert trades.table.schema == SCHEMAS["trades"]


def test_funding_goes_to_the_trip_it_was_held_in() -> None:
    # A flip at seq 20 ends one trip and begins another; what is paid at that very place was earned before it.
    pool = {"pool": CROSS_POOL}
    fills = rows(
        records.FILL,
        *(
            {"seq": seq, "ts_ms": START + seq, "lots": lots, "cause": Cause.STRATEGY, **pool}
            for seq, lots in ((10, 1000), (20, -2000), (40, 1000))
        ),
    )
    funding = rows(
        records.FUNDING,
        *(
            {"seq": seq, "ts_ms": START + seq, "payment": micro(payment), **pool}
            for seq, payment in ((15, 1), (20, 2), (35, 4))
        ),
    )
    table = round_trips(idle(fills=fills, funding=funding)).table.frame()
    assert table["funding"].to_list() == [3, 4]
    assert table["ts_entry"].dt.epoch("ms").to_list() == [START + 10, START + 20]
    assert table["hold"].to_list() == [10 / 3_600_000, 20 / 3_600_000]


def test_ambiguous_candles_are_listed() -> None:
    assert tables(cross())["ambiguous"].rows() == [(datetime.fromtimestamp((START + DAY) / 1000, UTC), "cross")]


@pytest.mark.parametrize("made", [cross, isolated, shortfall, bridged, idle])
def test_tables_on_disk_are_those_in_memory(made: Callable[[], Record], monkeypatch: pytest.MonkeyPatch) -> None:
    whole, spool = tables(made()), Spool()
    monkeypatch.setattr(lazy_tables, "LARGE", 0)
    monkeypatch.setattr(lazy_tables, "PIECE", 2)
    monkeypatch.setattr(digests, "WHOLE", 0)
    stored = tables(replace(made(), spool=spool))
    assert digest(stored) == digest(whole)
    for name, frame in whole.items():
        assert stored[name].equals(frame)
        assert stored[name].schema == frame.schema
        assert stored.lazy(name).collect().equals(frame)
        first = frame.columns[0]
        assert stored.columns(name, first).equals(frame.select(first))
        assert (
            stored.lazy(name)
            .filter(pl.col(first).is_not_null())
            .head(3)
            .collect()
            .equals(frame.filter(pl.col(first).is_not_null()).head(3))
        )
    again = pickle.loads(pickle.dumps(stored))
    assert digest(again | {"fills": whole["fills"][:0]}) == digest(whole | {"fills": whole["fills"][:0]})
