"""What a reader is told of orders, of makers and takers, of excursions and of where the profit came from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backtest.core import records
from backtest.core.enums import CROSS_POOL, Liquidity, OrderType, Reason, Status, TimeInForce
from backtest.core.records import EXTREME, Record
from backtest.report import order_tables, table_rows
from backtest.report.excursion_chart import POINTS, excursions_chart
from backtest.report.outcome import by_symbol, outcome
from backtest.report.page import render_comparison
from backtest.report.run_page import render
from backtest.report.table_rows import ROWS, Table
from tests.unit.results_records import START, bridged, cross, curve_of, idle, isolated, micro, replace, rows, shortfall
from tests.unit.test_report import Page
from tests.unit.test_report_accounts import Life, account
from tests.unit.test_report_liquidations import cells, result_of


def heads(table: Table) -> list[str]:
    return [cell.text for cell in table.head]


def ended(*ends: tuple[OrderType, Status, Reason, float], **more: Any) -> Record:
    """Orders of 2 units by type, end, reason and what was filled of them."""
    placed = [
        {"order_id": n, "ts_sent_ms": START + n, "ts_done_ms": START + n + 1000, "lots": 2000, "type": kind,
         "status": status, "reason": reason, "filled": round(filled * 1000), **more}
        for n, (kind, status, reason, filled) in enumerate(ends)
    ]  # fmt: skip
    return idle(orders=rows(records.ORDER, *placed))


MIXED = ended(
    (OrderType.MARKET, Status.FILLED, Reason.NONE, 2),
    (OrderType.LIMIT, Status.CANCELLED, Reason.STRATEGY, 0.5),
    (OrderType.LIMIT, Status.CANCELLED, Reason.STRATEGY, 0),
    (OrderType.LIMIT, Status.EXPIRED, Reason.GTD, 0),
    (OrderType.LIMIT, Status.REJECTED, Reason.POST_ONLY, 0),
    (OrderType.STOP_MARKET, Status.CANCELLED, Reason.OCO, 0),
    (OrderType.AMEND, Status.REJECTED, Reason.NOT_OPEN, 0),
)


def test_orders_by_kind() -> None:
    table = order_tables.by_kind(result_of(MIXED))
    assert heads(table) == ["Type", "Sent", "Filled", "Cancelled", "Expired", "Rejected", "Partly filled"]
    assert cells(table) == [
        ["market", "1", "1", "0", "0", "0", "0"],
        ["limit", "4", "0", "2", "1", "1", "1"],
        ["stop market", "1", "0", "1", "0", "0", "0"],
        ["rejected amendment", "1", "0", "0", "0", "1", "0"],
    ]
    whole = order_tables.by_kind(result_of(ended((OrderType.MARKET, Status.FILLED, Reason.NONE, 2))))
    assert heads(whole)[-1] == "Rejected"  # nothing was filled in part


def test_orders_by_reason() -> None:
    assert cells(order_tables.by_reason(result_of(MIXED))) == [
        ["cancelled", "limit", "strategy", "2", "1"],
        ["cancelled", "stop market", "oco", "1", "0"],
        ["expired", "limit", "gtd", "1", "0"],
        ["rejected", "limit", "post only", "1", "0"],
        ["rejected", "rejected amendment", "not open", "1", "0"],
    ]
    # The numbers of a refusal are each order's own: they are one reason.
    short = [(OrderType.MARKET, Status.REJECTED, Reason.MARGIN, 0.0)] * 3
    assert cells(order_tables.by_reason(result_of(ended(*short, have=micro(1), need=micro(2))))) == [
        ["rejected", "market", "margin", "3"]
    ]
    assert order_tables.by_reason(result_of(idle())).empty == "No order was sent."


def test_every_unfilled_order_is_listed_or_counted() -> None:
    table = order_tables.unfilled(result_of(MIXED))
    assert "Limit" not in heads(table)  # no order has a price
    assert [row[-2:] for row in cells(table)] == [
        ["rejected", "post only"], ["rejected", "not open"], ["expired", "gtd"], ["cancelled", "strategy"],
        ["cancelled", "strategy"], ["cancelled", "oco"],
    ]  # fmt: skip
    many = [(OrderType.LIMIT, Status.CANCELLED, Reason.IOC, 0.0)] * (ROWS + 50)
    result = result_of(ended(*many, limit_price=99.5, tif=TimeInForce.IOC))
    long = order_tables.unfilled(result)
    assert (len(long.rows), long.cut) == (ROWS, f"First {ROWS} of {ROWS + 50}; all are in orders.parquet.")
    assert cells(long)[0][4:10] == ["limit", "2", "99.5000", "ioc", "0", "cancelled"]
    assert cells(order_tables.by_reason(result)) == [["cancelled", "limit", "ioc", str(ROWS + 50)]]
    text = Page(render(result)).text
    assert f"First {ROWS} of {ROWS + 50}; all are in orders.parquet." in text


def test_makers_and_takers() -> None:
    # Took 100 for 0.05 and 0.06 of costs, made 300 for a rebate of 0.03; a liquidation is nobody's order.
    at = {"ts_ms": START, "pool": CROSS_POOL}
    costs = {"spread": micro(0.02), "impact": micro(0.03), "drift": micro(0.01)}
    maker = {"liquidity": Liquidity.MAKER, "fee": micro(-0.03)}
    fills = rows(
        records.FILL,
        {"seq": 1, "order_id": 0, "lots": 1000, "quote": -micro(100), "fee": micro(0.05), **costs, **at},
        {"seq": 2, "order_id": 1, "lots": -3000, "quote": micro(300), **maker, **at},
        {"seq": 3, "order_id": -1, "lots": 2000, "quote": -micro(150), "fee": micro(7), **at},
    )
    result = result_of(idle(1000, fills=fills, final_wallet=micro(1042.98)))
    assert cells(order_tables.liquidity(result)) == [
        ["taker", "1", "100.00", "25.00%", "-0.05", "0.00", "-0.02", "-0.03", "-0.01"],
        ["maker", "1", "300.00", "75.00%", "0.00", "+0.03", "0.00", "0.00", "0.00"],
    ]
    assert order_tables.liquidity(result_of(idle())).rows == ()


def test_the_profit_by_source_and_by_symbol() -> None:
    result = result_of(cross())
    out = outcome(result)
    assert out.sources == {
        "Price moves": 2510, "Funding": -2.2, "Fees": -92.242875, "Spread": -79, "Impact": -10, "Latency": -13.25,
        "Liquidation penalties": 0, "Paid by the insurance fund": 0, "Bad debt borne by others": 0,
        "Gas": 0, "Bridge fees": 0,
    }  # fmt: skip
    assert sum(out.sources.values()) == pytest.approx(out.change, abs=1e-9)
    table = table_rows.symbols(result)
    assert heads(table) == [
        "Symbol", "Fills", "Price moves", "Funding", "Fees", "Spread", "Impact", "Gap to the next open",
        "Change of equity",
    ]  # fmt: skip
    assert cells(table) == [
        ["BTC-USD", "2", "510.00", "-5.10", "-63.24", "-50.00", "-10.00", "-13.25", "368.41"],
        ["ETH-USD", "2", "2,000.00", "2.90", "-29.00", "-29.00", "0.00", "0.00", "1,944.90"],
    ]
    assert by_symbol(result)["change"].sum() == pytest.approx(out.change)
    assert heads(table_rows.symbols(result_of(isolated())))[-3:] == ["Penalties", "Bad debt", "Change of equity"]


def test_what_is_the_whole_pools_stands_below_its_symbols() -> None:
    rows_of = cells(table_rows.symbols(result_of(shortfall())))
    assert [(row[0], row[1], row[-1]) for row in rows_of] == [
        ("BTC-USD", "2", "-115.00"), ("of no symbol", "0", "15.00"),
    ]  # fmt: skip


def test_rows_by_symbol_add_up_with_gas_and_bridge_fees() -> None:
    """Two transfers arrived at fees of 2 and 5; gas: 1 of orders, which are the symbol's, and of no
    symbol 0.25 of cancels, 1 of deposits, 4 of withdrawals."""
    result = result_of(bridged())
    table = table_rows.symbols(result)
    assert heads(table)[-3:] == ["Gas", "Bridge fees", "Change of equity"]
    rows_of = cells(table)
    for row in rows_of:
        *parts, change = (float(text.replace(",", "")) for text in row[2:])
        assert sum(parts) == pytest.approx(change, abs=0.02)
    (own, nobody) = rows_of
    assert nobody[0] == "of no symbol"
    assert (own[-3:-1], nobody[-3:]) == (["-1.00", "0.00"], ["-5.25", "-7.00", "-12.25"])
    changes = [float(row[-1].replace(",", "")) for row in rows_of]
    assert sum(changes) == pytest.approx(outcome(result).change, abs=0.02)


def tripped(*nets: float) -> Record:
    """Trips of one unit from 100 to 100 + net, 1 above and 2 below on the way."""
    fills: list[dict[str, Any]] = []
    for net in nets:
        at = {"seq": len(fills), "ts_ms": START + len(fills), "pool": CROSS_POOL}
        fills.append({"lots": 1000, "quote": -micro(100), **at})
        fills.append({"lots": -1000, "quote": micro(100 + net), "realized": micro(net), **at, "seq": len(fills)})
    reached = np.array([(101.0, 98.0), (np.nan, np.nan)] * len(nets), dtype=EXTREME)
    wallet = micro(1000) + sum(micro(net) for net in nets)
    curve = curve_of([1000.0, wallet / 1e6], gross=[50.0, 50.0])
    return idle(1000, fills=rows(records.FILL, *fills), extremes=reached, final_wallet=wallet, curve=curve)


def test_excursions_as_points() -> None:
    chart = excursions_chart(result_of(tripped(0.5, -1.5, -2)), "USDC")
    assert chart.figure is not None
    line, won, lost = chart.figure["data"]
    assert (line["x"], line["y"]) == ([-2, 0], [-2, 0])
    assert (won["name"], won["x"], won["y"]) == ("Gained", [-2], [0.5])
    assert (lost["name"], lost["x"], sorted(lost["y"])) == ("Lost", [-2, -2], [-2, -1.5])
    assert won["text"] == ["BTC-USD long of 2025-01-01 00:00, closed by order; at best +1.00"]
    assert "Shown" not in chart.note


def test_the_points_that_moved_the_most_are_shown() -> None:
    nets = [0.001 * n for n in range(POINTS + 10)]
    chart = excursions_chart(result_of(tripped(*nets)), "")
    assert chart.figure is not None
    shown = [net for trace in chart.figure["data"][1:] for net in trace["y"]]
    assert len(shown) == POINTS
    assert min(shown) == pytest.approx(0.01)  # the ten of 0 to 0.009 are left out
    assert f"Shown: the {POINTS:,} that moved the most, of {POINTS + 10:,}." in chart.note


def test_where_there_are_no_excursions_the_page_says_why() -> None:
    blind = tripped(0.5)
    assert excursions_chart(result_of(idle()), "").empty == "No round trip was finished."
    unseen = result_of(replace(blind, extremes=blind.extremes[:0]))
    assert excursions_chart(unseen, "").empty == "Prices between the fills were not read."
    assert "At worst" not in heads(table_rows.trades(unseen))
    seen = table_rows.trades(result_of(blind))
    assert heads(seen)[-2:] == ["At best", "At worst"]
    assert cells(seen)[0][-2:] == ["1.00", "-2.00"]
    assert heads(seen)[4] == "Closed by"


def test_pages_with_orders_are_whole() -> None:
    page = Page(render(result_of(MIXED)))
    for words in ("Orders Type Sent Filled", "Why orders were not filled", "rejected amendment 1 0 0 0 1 0"):
        assert words in page.text
    both = Page(render_comparison([account(Life(rejected=2)), result_of(MIXED, "other")]))
    assert "cross Type Sent Filled Cancelled Expired Rejected market" in both.text
    assert "other Type Sent Filled Cancelled Expired Rejected Partly filled market 1 1 0 0 0 0" in both.text
    assert "rejected market margin 2" in both.text
