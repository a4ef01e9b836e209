"""What a reader is told of a chain: its halts, what was under way, what was outside the venue, what the venue saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import backtest
from backtest.report import charts, layer2
from backtest.report.figure import shaded
from backtest.report.layer2 import Section, section
from backtest.report.narrative import layer2_words
from backtest.report.outcome import outcome
from backtest.report.page import render_comparison
from backtest.report.run_page import render
from backtest.report.table_rows import Table
from backtest.results.chain_summary import figures
from backtest.results.result import Result
from backtest.results.tables import SCHEMAS, tables
from tests.scenarios.scenario import Market, Script, buy, write
from tests.unit.results_records import CHAIN, DAY, START, bridged
from tests.unit.test_report import Page
from tests.unit.test_report_accounts import START_MS, Life, account
from tests.unit.test_report_liquidations import cells, result_of

HOUR = 3_600_000
MINUTE = 60_000


def chained(result: Result, **changes: Any) -> Result:
    """The result on a chain that did nothing but what ``changes`` say."""
    never = {"messages": 0, "median": None, "p99": None, "most": None}
    risk = {"finality_ms": 0, "most_at_risk": 0.0, "most_at_risk_ms": None, "mean_at_risk": 0.0}
    about = {
        "name": "hand", "routes": [], "latency": dict.fromkeys(layer2.KINDS, never),
        "orders": {"lost": 0, "late": 0, "unpaid": 0, "stale": 0},
        "gas": {"order": 0.0, "total": 0.0}, "transfers": {}, "outages": [],
        "grace_ms": 0, "stale_ms": 0, "finality": risk | {"order_median_ms": None, "order_longest_ms": None},
        "undone": {"fills": 0, "value": 0.0},
    }  # fmt: skip
    return Result(result.label, result.summary | {"chain": about | changes}, result.tables)


def halt(begin: int, end: int, cause: str = "") -> dict[str, Any]:
    """An outage between two times in hours of the invented account."""
    return {"start_ms": START_MS + begin * HOUR, "end_ms": START_MS + end * HOUR, "cause": cause}


def with_table(result: Result, name: str, *records: dict[str, Any]) -> Result:
    frame = pl.DataFrame(list(records), schema=SCHEMAS[name], orient="row")
    return Result(result.label, result.summary, result.tables | {name: frame})


def at(hour: float) -> Any:
    return pl.Series([round(START_MS + hour * HOUR)]).cast(pl.Datetime("ms", "UTC"))[0]


def shown(result: Result) -> Section:
    (run,) = charts.runs([result], [outcome(result)])
    found = section(run, "USD")
    assert found is not None
    return found


def table(result: Result, name: str) -> Table:
    return next(one for one in shown(result).tables if one.name == name)


def told(result: Result) -> list[str]:
    return layer2_words(result, outcome(result), "USD")


def test_without_a_chain_there_is_no_such_part() -> None:
    result = account(Life())
    (run,) = charts.runs([result], [outcome(result)])
    assert section(run, "USD") is None
    assert "Layer 2" not in Page(render(result)).text
    assert "Layer 2" not in Page(render_comparison([result, account(Life(margin="isolated"))])).text


# ---- halts


def order(n: int, sent: float, arrived: float | None, done: float, reason: str | None = None) -> dict[str, Any]:
    end = {None: "filled", "outage": "rejected"}[reason]
    return {
        "order_id": n, "ts_sent": at(sent), "ts_arrived": None if arrived is None else at(arrived), "ts_done": at(done),
        "symbol": "BTC-USD", "side": "buy", "type": "market", "qty": 1.0, "status": end, "reason": reason,
        "filled_qty": 0.0,
    }  # fmt: skip


HALTS = [halt(10, 12), halt(1_200, 1_208, "software")]
ORDERS = (
    order(0, 9, 9.5, 9.5),  # arrived before
    order(1, 9.9, 12.1, 12.1),  # waited
    order(2, 11, 12.2, 12.2),  # waited
    order(3, 11.5, None, 11.6, "outage"),  # lost
    order(4, 12, 12.1, 12.1),  # sent at the return
    order(5, 1_199, 1_208, 1_208),  # waited in the second, to the instant of its end
)


def test_halts_by_hand() -> None:
    result = with_table(chained(account(Life(lost=("BTC-USD",))), outages=HALTS), "orders", *ORDERS)
    closes = result.tables["equity"]["equity"]
    rows = cells(table(result, "outages"))
    assert [row[:5] for row in rows] == [
        ["2020-01-01 10:00", "2020-01-01 12:00", "2 h", "2", "1"],
        ["2020-02-20 00:00", "2020-02-20 08:00", "8 h", "1", "0"],
    ]
    # The close at 10:00 is that of row 9, the one at 12:00 of row 11.
    ends = [[closes[9], closes[11]], [closes[1_199], closes[1_207]]]
    assert [row[5:7] for row in rows] == [[f"{one:,.2f}", f"{other:,.2f}"] for one, other in ends]
    assert [row[-1] for row in rows] == ["not given", "software"]


def test_orders_that_travel_together_count_once_everywhere() -> None:
    """A bracket of three that waits, one of three that is lost, a pair that waits; and one sent into the queue that is
    worked off after the halt, and late."""
    together = [
        order(0, 11, 12.1, 12.1), order(1, 11, 12.1, 12.1) | {"parent_id": 0},
        order(2, 11, 12.1, 12.1) | {"parent_id": 0},
        order(3, 11, None, 11.5, "outage"), order(4, 11, None, 11.5, "outage") | {"parent_id": 3},
        order(5, 11, None, 11.5, "outage") | {"parent_id": 3},
        order(6, 11.5, 12.2, 12.2) | {"group_id": 6}, order(7, 11.5, 12.2, 12.2) | {"group_id": 6},
        order(8, 12.1, 13, 13, "outage"),
        order(9, 12.1, 12.2, 12.3) | {"type": "amend"},
    ]  # fmt: skip
    result = with_table(chained(account(Life()), outages=HALTS), "orders", *together)
    rows = cells(table(result, "outages"))
    assert [row[3:5] for row in rows] == [["2", "2"], ["0", "0"]]
    assert [cell.text for cell in table(result, "outages").head][3:5] == ["Messages that waited", "Lost or late"]
    (bars,) = shown(result).charts["latency"].figure["data"]  # type: ignore[index]
    assert sum(bars["y"]) == 3  # the bracket, the pair, the late one
    for said in (shown(result).charts["latency"].note, table(result, "outages").note):
        assert "Orders sent together, such as a bracket, are one message." in said


def test_words_on_halts() -> None:
    result = account(Life(lost=("BTC-USD", "ETH-USD")))
    (loss,) = outcome(result).losses
    hour = (loss.ts_ms - START_MS) // HOUR
    closes = result.tables["equity"]["equity"]
    fell = f"from {closes[hour - 8]:,.2f} to {closes[hour - 1]:,.2f}"
    both = told(chained(result, outages=[halt(10, 12), halt(hour - 7, hour)]))
    assert both[0] == "The chain (hand) was down 2 times, for 9 h in total, first at 10:00 on 1 January 2020."
    assert both[1] == f"During the outage at 21:00 on 19 February 2020 the account's equity went {fell}."
    assert both[2] == "It was liquidated the moment the chain came back at 04:00 on 20 February 2020."
    one = told(chained(result, outages=[halt(hour - 7, hour - 1)], name="instant"))
    assert one[0] == "The chain was down for 6 h from 21:00 on 19 February 2020."
    assert one[1].startswith("Over it the account's equity went from ")
    assert one[2] == "It was liquidated 1 h after the chain came back at 03:00 on 20 February 2020."
    ends = {"lost": 1, "late": 2, "unpaid": 0, "stale": 3}
    of = "Of the order messages (orders sent together are one), "
    assert told(chained(account(Life()), orders=ends)) == [
        "The chain (hand) had no outage.",
        f"{of}1 got lost in an outage, 2 came too late after one and 3 met a stale oracle.",
    ]


def sunk(result: Result, *closes: tuple[int, float, float]) -> Result:
    """With the equity and the maintenance margin of some closes, by row."""
    equity = result.tables["equity"]
    shown = {name: equity[name].to_list() for name in ("equity", "maintenance_margin")}
    for row, own, needed in closes:
        shown["equity"][row], shown["maintenance_margin"][row] = own, needed
    return Result(
        result.label,
        result.summary,
        result.tables | {"equity": equity.with_columns(**{k: pl.Series(k, v) for k, v in shown.items()})},
    )


def test_who_was_below_maintenance_and_spared_is_told() -> None:
    """Row n closes at n + 1 hours: 10:00 begins the halt, 13:00 ends its grace."""
    calm = chained(account(Life()), outages=HALTS, grace_ms=HOUR)
    assert "No liquidation: no margin account was below its maintenance margin at a close." in Page(render(calm)).text
    assert "(candles that overlap an outage or its grace period are not checked)." in Page(render(calm)).text
    low = sunk(calm, (10, 5.0, 100.0), (11, -7.5, 100.0), (12, 99.0, 100.0))
    said = (
        "At 3 closes, first at 11:00 on 1 January 2020, its equity was below its maintenance margin, by up to "
        "107.50 USD: there are no liquidations during a chain outage or its grace period."
    )
    assert told(low)[-1] == said
    page = Page(render(low)).text
    assert "No liquidation. At 3 closes, first at 11:00 on 1 January 2020, its equity was below" in page
    assert "no pool fell below" not in page
    assert "At 3 closes" in Page(render_comparison([low, account(Life(margin="isolated"))])).text
    # Without a halt the sentences are as ever.
    plain = Page(render(account(Life()))).text
    assert "No liquidation: no margin account fell below its maintenance margin." in plain
    assert "on every price path inside the candles the same margin accounts survive." in plain


def test_who_was_below_maintenance_by_the_market_s_mark_alone_is_told() -> None:
    off = with_table(sunk(account(Life()), (20, 5.0, 100.0)), "marks", mark(21, "BTC-USD", 100, 150))
    said = (
        "At 1 close, at 21:00 on 1 January 2020, its equity was below its maintenance margin, by 95.00 USD: on the "
        "venue mark it was not."
    )
    assert said in told(off)
    lost = account(Life(lost=("BTC-USD",)))
    ending = with_table(sunk(lost, (20, 5.0, 100.0)), "marks", mark(21, "BTC-USD", 100, 150))
    assert not any("At 1 close" in sentence for sentence in told(ending))  # a liquidation takes its time
    pools = {"pool": "BTC-USD", "equity": 20.0, "initial": 100.0, "maintenance": 50.0, "margin_ratio": 2.5}
    alone = with_table(chained(account(Life(margin="isolated")), outages=HALTS), "margin", {"ts": at(11), **pools})
    assert "At 1 sample, at 11:00 on 1 January 2020, the equity of a margin account was below its" in " ".join(
        told(alone)
    )


def test_a_spike_of_leverage_leaves_the_rest_to_be_seen() -> None:
    calm = account(Life())
    (run,) = charts.runs([calm], [outcome(calm)])
    usual = charts.leverage_chart([run])
    assert "range" not in usual.figure["layout"]["yaxis"]  # type: ignore[index]
    # At one close of 2,000 there is next to no equity left.
    spiked = sunk(calm, (100, 0.01, 1.0))
    (run,) = charts.runs([spiked], [outcome(spiked)])
    cut = charts.leverage_chart([run])
    gross = spiked.tables["equity"]["gross_notional"]
    ratios = sorted(x for x in (gross / spiked.tables["equity"]["equity"]).to_list() if x > 0)
    low, high = cut.figure["layout"]["yaxis"]["range"]  # type: ignore[index]
    assert (low, high) == (0, pytest.approx(3 * ratios[int(0.99 * (len(ratios) - 1))]))
    assert f"The axis ends at {high:,.2f}x; the maximum was {gross[100] / 0.01:,.2f}x." in cut.note


def test_halts_are_shaded_on_every_chart_over_time() -> None:
    result = chained(account(Life(lost=("BTC-USD",))), outages=HALTS, grace_ms=HOUR)
    drawn = Page(render(result)).figures
    ends = [(h["start_ms"], h["end_ms"]) for h in HALTS]
    grace = [(end, end + HOUR) for _, end in ends]
    for name in ("equity", "margin", "positions", "leverage", "flows"):
        bands = [shape for shape in drawn[name]["layout"]["shapes"] if shape["type"] == "rect"]
        assert [(b["x0"], b["x1"]) for b in bands] == [ends[0], grace[0], ends[1], grace[1]]
        assert [b["name"] for b in bands if b["showlegend"]] == ["Chain halted", "Grace after it"]
    assert drawn["equity"]["layout"]["showlegend"]
    assert [s["type"] for s in drawn["margin"]["layout"]["shapes"]].count("line") == 1  # the limit is still there
    assert "shapes" not in Page(render(account(Life()))).figures["equity"]["layout"]
    assert len(shaded([(n, n + 1, n + 1) for n in range(300)])) == 200


# ---- what was under way


def test_how_long_orders_were_under_way() -> None:
    took = [0, 1, 1, 9, 10, 999, 1_000, 7_200_000]
    sent = [order(n, n, None, n) for n in range(len(took))]
    arrivals = [{**one, "ts_arrived": at(n + ms / HOUR)} for n, (one, ms) in enumerate(zip(sent, took, strict=True))]
    result = with_table(chained(account(Life())), "orders", *arrivals, order(99, 5, None, 6, "outage"))
    (bars,) = shown(result).charts["latency"].figure["data"]  # type: ignore[index]
    there = {words: n for words, n in zip(bars["text"], bars["y"], strict=True) if n}
    # Edges are powers of 10^(1/8): 1.3, 1.8, …, 7.5, 10, 13.3; 750, 1,000, 1,334; 5,623,413, 7,498,942.
    assert there == {
        "up to 1 ms: 3 messages": 3, "8 to 9 ms: 1 message": 1, "10 to 13 ms: 1 message": 1,
        "750 to 999 ms: 1 message": 1,
        "1,000 to 1,333 ms: 1 message": 1, "5,623,414 to 7,498,942 ms: 1 message": 1,
    }  # fmt: skip
    assert sum(bars["y"]) == len(took)
    assert shown(result).charts["latency"].figure["layout"]["xaxis"]["ticktext"][:3] == ["1 ms", "10 ms", "100 ms"]  # type: ignore[index]
    none = with_table(chained(account(Life())), "orders", order(0, 5, None, 6, "outage"))
    assert shown(none).charts["latency"].empty == "No order arrived."


def test_ways_and_figures_of_a_record() -> None:
    record = bridged()
    result = result_of(record)
    result = Result(
        "cross",
        result.summary | {"chain": figures(record, CHAIN, result.tables["fills"])},
        tables(record, chain=CHAIN),
    )
    assert cells(table(result, "ways")) == [
        ["Orders", "2", "9 h", "11 h 56 min", "12 h"],
        ["Deposits", "1", "2 d", "2 d", "2 d"],
        ["Withdrawals", "1", "1 d 12 h", "1 d 12 h", "1 d 12 h"],
    ]
    assert cells(table(result, "transfers")) == [
        ["2025-01-02 00:00", "to the venue", "canonical", "200.00", "-2.00", "arrived", "2025-01-04 00:00", "2 d", ""],
        ["2025-01-03 00:00", "to the reserve", "fast", "300.00", "-5.00", "arrived", "2025-01-04 12:00", "1 d 12 h",
         ""],
        ["2025-01-04 00:00", "to the venue", "canonical", "9,999.00", "", "rejected", "", "",
         "reserve: 299.00 there, 10,000.00 needed"],
        ["2025-01-06 00:00", "to the reserve", "fast", "50.00", "", "in flight at the end",
         "due 2025-01-10 00:00", "", ""],
    ]  # fmt: skip
    said = told(result)
    assert "1 fill worth 110.22 USD was undone in a reorg." in said
    assert "1 transfer was rejected, for the reason reserve." in said
    moved = result.tables["transfers"]
    refused = moved.filter(pl.col("state") == "rejected")
    more = pl.concat([moved, refused, refused.with_columns(reason=pl.lit("gated"))])
    many = Result(result.label, result.summary, result.tables | {"transfers": more})
    assert "3 transfers were rejected, 2 of them for the reason reserve." in told(many)
    facts = dict(shown(result).facts)
    gas = {"orders": "-1.00", "cancels": "-0.25", "deposits": "-1.00", "withdrawals": "-4.00"}
    assert {name: facts[f"Gas of {name}"] for name in gas} == {name: f"{paid} USD" for name, paid in gas.items()}
    assert facts["Time to finality"] == "12 h"
    assert facts["Largest value at risk"] == "110.22 USD"
    assert facts["Fills undone in a reorg"] == "1, 110.22 USD"
    # 100.10 from 1.25 d for half a day; 110.22 from 3.5 d until it is undone at 3.75 d.
    (risk,) = shown(result).charts["risk"].figure["data"]  # type: ignore[index]
    days = [0, 1.25, 1.75, 3.5, 3.75, 5]
    assert risk["y"] == [0, 100.1, 0, 110.22, 0, 0]
    assert risk["x"][1:] == [START + round(day * DAY) for day in days[1:]]
    money = {line["name"]: line["y"] for line in shown(result).charts["money"].figure["data"]}  # type: ignore[index]
    assert money["Reserve"][0] == 500
    assert money["In flight"][-1] == 0  # what was sent at the last close is in no row any more
    assert "Includes the reserve and money in flight." in Page(render(result)).text


def test_the_curve_of_equity_is_that_of_the_total() -> None:
    record = bridged()
    result = result_of(record)
    closes = result.tables["equity"]
    total = (closes["equity"] + closes["reserve"] + closes["in_flight"]).to_list()
    assert closes["in_flight"].to_list() == [0, 200, 500, 0, 0]
    (line, *_) = charts.equity_chart(charts.runs([result], [outcome(result)]), "USD").figure["data"]  # type: ignore[index]
    assert line["y"] == pytest.approx(total)


def test_a_rescue_that_came_too_late() -> None:
    result = chained(account(Life(lost=("BTC-USD", "ETH-USD"))))
    (loss,) = outcome(result).losses
    hour = (loss.ts_ms - START_MS) / HOUR
    sent = {"transfer_id": 7, "kind": "deposit", "route": "fast", "amount": 2_500.0, "fee": 0.0}
    row = {"ts": at(hour - 1), "state": "sent", "arrives": at(hour + 1), **sent}
    arrived = {"ts": at(hour + 1), "state": "arrived", "arrives": at(hour + 1), **sent}
    late = "2,500.00 was still on its way when it was liquidated at 04:00 on 20 February 2020."
    assert told(with_table(result, "transfers", row, arrived))[-1] == late
    assert told(with_table(result, "transfers", row))[-1] == late  # it never came
    there = {**arrived, "ts": at(hour)}
    assert told(with_table(result, "transfers", row, there)) == ["The chain (hand) had no outage."]


# ---- what the venue saw


def mark(hour: float, symbol: str, market: float, venue: float) -> dict[str, Any]:
    return {"ts": at(hour), "symbol": symbol, "market": market, "venue": venue, "distance": venue / market - 1}


def test_how_far_the_venues_mark_was_from_the_markets() -> None:
    seen = (
        mark(1, "A", 200, 200), mark(1, "B", 50, 50), mark(2, "A", 100, 150), mark(2, "B", 60, 60),
        mark(3, "A", 100, 40), mark(3, "B", 50, 50), mark(4, "A", 100, 150),
    )  # fmt: skip
    result = with_table(account(Life()), "marks", *seen)
    assert cells(table(result, "distances")) == [["A", "2020-01-01 03:00", "100.00", "40.0000", "-60.00%"]]
    assert told(result) == ["The venue mark of A was up to 60.00% below the market mark, at 03:00 on 1 January 2020."]
    drawn = shown(result).charts["marks"]
    assert drawn.title == "Prices, and distance of the venue mark from the market mark"
    lines = [(line["name"], line["yaxis"], line["y"]) for line in drawn.figure["data"]]  # type: ignore[index]
    assert lines == [
        ("A", "y", [100, 50, 50, 50]), ("A", "y2", [0, 0.5, -0.6, 0.5]), ("B", "y", [100, 120, 100]),
        ("B", "y2", [0, 0, 0]),
    ]  # fmt: skip
    still = with_table(account(Life()), "marks", *(mark(n, "A", 10, 10) for n in range(3)))
    assert shown(still).charts["marks"].title == "Prices"
    assert shown(still).tables == []
    assert "Layer 2" in Page(render(still)).text


def test_a_comparison_tells_of_each_account() -> None:
    lives = [Life(margin=mode, lost=("BTC-USD",)) for mode in ("isolated", "cross")]
    page = Page(render_comparison([chained(account(life), outages=HALTS) for life in lives]))
    assert page.text.count("The chain (hand) was down 2 times") == 2
    assert page.text.count("what waited was sent before its end") == 2
    assert page.figures["equity"]["layout"]["shapes"][0]["x0"] == HALTS[0]["start_ms"]


def test_a_run_through_a_halt_shows_it(tmp_path: Path) -> None:
    # The chain stands from 00:01:30 to 00:03:10. The order of 00:01 is a minute on its way, and waits for the return.
    data = write(tmp_path, Market("A", [100, 100, (100, 100, 80, 80), 80, 90, 95, 95]))
    halt = "2024-03-01T00:01:30/100s"
    result = backtest.run(
        Script({0: buy("A", 10)}, MINUTE), data, outages=(halt,), latency_ms=60_000, allow=("missing-funding",)
    )
    assert result.tables["fills"]["price"].to_list() == [80.0]
    page = Page(render(result))
    assert "The chain was down for 1 min 40 s from 00:01 on 1 March 2024." in page.text
    assert cells(table(result, "outages"))[0][2:5] == ["1 min 40 s", "1", "0"]
    assert {"marks", "latency"} <= set(page.figures)
    # Of the one hour that there is: the close of row 2, where the market mark is 80 and the venue's still 100.
    assert result.tables["marks"].select("market", "venue", "distance").rows() == [(80.0, 100.0, 0.25)]
