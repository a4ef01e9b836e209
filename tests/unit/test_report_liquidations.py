"""What a reader is told of liquidations in steps, of deleveraging, and of the insurance fund."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from backtest.core import records
from backtest.core.enums import CROSS_POOL, Cause, Stage
from backtest.core.records import Record
from backtest.report import formatting as fmt
from backtest.report import liquidation_tables
from backtest.report.downsampling import stamps
from backtest.report.narrative import comparison_words, run_words
from backtest.report.outcome import Loss, outcome
from backtest.report.page import render_comparison
from backtest.report.run_page import render
from backtest.results.ledger import balance
from backtest.results.metrics import metrics
from backtest.results.result import Result
from backtest.results.tables import tables
from backtest.results.trades import round_trips
from tests.unit.results_records import START, closes, idle, micro, replace, rows
from tests.unit.test_report import Page
from tests.unit.test_report_accounts import Life, account
from tests.unit.test_results_liquidations import MINUTE, row, stepped

P = Stage.PARTIAL


def result_of(record: Record, label: str = "cross") -> Result:
    books, trips = balance(record), round_trips(record)
    config = {"venue": "generic", "margin": record.margin}
    summary = account(Life()).summary | {"metrics": metrics(record, books, trips), "config": config, "counts": {}}
    return Result(label, summary, tables(record, books, trips))


def crumbling(steps: int) -> Record:
    """A short of 0.001 a step, closed step by step, a second each, for nothing: a fall that never ends."""
    lots = {"lots": 1, "pool": CROSS_POOL, "cause": Cause.LIQUIDATION, "order_id": -1}
    fills = [{"seq": 0, "ts_ms": START, "lots": -steps, "pool": CROSS_POOL}]
    fills += [{"seq": 2 * n + 1, "ts_ms": START + 1000 * n, **lots} for n in range(steps)]
    losses = [row(n, P, (9, 10), (9, 9.5), seq=2 * n + 2, lots=1) for n in range(steps)]
    return idle(
        100, interval_ms=MINUTE, fills=rows(records.FILL, *fills), liquidations=rows(records.LIQUIDATION, *losses),
        curve=closes(np.tile([100.0, 100, 0, 0, 0, 0, 0], (10, 1))),
    )  # fmt: skip


def deleveraged(share: float) -> Record:
    """Cash 100; one unit sold at 100 free of cost. At 1:00 the mark is 80 and a share of the short is taken there."""
    taken = round(1000 * share)
    at = {"ts_ms": START + MINUTE, "pool": CROSS_POOL}
    short = {"seq": 1, "ts_ms": START, "pool": CROSS_POOL, "lots": -1000, "quote": micro(100), "price": 100.0}
    fills = rows(
        records.FILL, short,
        {"seq": 2, "lots": taken, "quote": -micro(80 * share), "price": 80.0, "cause": Cause.ADL, "order_id": -1, **at},
    )  # fmt: skip
    loss = row(60, Stage.DELEVERAGED, (120, 4), (120, 4 * (1 - share)), seq=3, lots=taken, price=80.0)
    wallet = 200 - 80 * share
    left = 80 * (1 - share)
    return idle(
        100, interval_ms=MINUTE, fills=fills, liquidations=rows(records.LIQUIDATION, loss), final_wallet=micro(wallet),
        final_lots=np.array([taken - 1000]), final_mark=np.array([80.0]),
        curve=closes(np.array([[100.0, 100, 0, 5, 3, 100, -100], [120, 100, 20, 5, 3, left, -left]])),
    )  # fmt: skip


def only(record: Record) -> Loss:
    (loss,) = outcome(result_of(record)).losses
    return loss


def cells(table: object) -> list[list[str]]:
    return [[cell.text for cell in line] for line in table.rows]  # type: ignore[attr-defined]


def _said(result: Result) -> list[str]:
    return run_words(result, outcome(result), "")


def test_steps_are_one_liquidation() -> None:
    out = outcome(result_of(stepped()))
    (loss,) = out.losses
    assert (loss.steps, loss.end_ms - loss.ts_ms, loss.closed) == (3, 59_500, ("BTC-USD",))
    assert (loss.insurance, loss.bad_debt, loss.adl_loss) == (50, 0, 400)
    assert out.sources["Liquidation penalties"] == -100
    assert out.sources["Paid by the insurance fund"] == 50
    assert sum(out.sources.values()) == out.change == -9000
    assert _said(result_of(stepped()))[1] == "It lost BTC-USD in 3 steps at 00:01 on 1 January 2025."


def test_the_overview_and_the_steps() -> None:
    listing = liquidation_tables.listing(outcome(result_of(stepped())))
    assert [cell.text for cell in listing.overview.head] == [
        "Time (UTC)", "Positions", "What happened", "Steps", "Took", "Health before", "Health after", "Insurance fund",
        "Cost to the counterparty",
    ]  # fmt: skip
    ended = "closed by auto-deleveraging, at its bankruptcy price"
    assert cells(listing.overview) == [
        ["2025-01-01 00:01:00.500", "BTC-USD", ended, "3", "59 s", "100.0%", "nothing held", "-50.00", "400.00"]
    ]
    (table,) = listing.steps
    assert table.title == f"BTC-USD, 2025-01-01 00:01:00.500: {ended}, 3 steps"
    # 0.4 of 1, 0.3 of 0.6, 0.3 of 0.3; 1,900 / 2,100, 1,000 / 2,100, 1,050 / 1,200, 600 / 1,100
    assert [line[1:6] + line[7:8] + line[9:] for line in cells(table)] == [
        ["BTC-USD", "part of the position", "1", "0.4", "40.0%", "-100.00", "100.0%", "90.5%"],
        ["BTC-USD", "part of the position", "0.6", "0.3", "50.0%", "+50.00", "47.6%", "87.5%"],
        ["BTC-USD", "closed by auto-deleveraging", "0.3", "0.3", "100.0%", "0.00", "54.5%", "nothing held"],
    ]


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (row(90, P, (40, 50), (40, 38)), "reduced until healthy"),
        (row(90, P, (40, 50), (40, 45)), "reduced"),
        (row(90, Stage.POSITION, (40, 50), (40, 0)), "closed in steps"),
        (row(90, Stage.BACKSTOP, (20, 50), (0, 0)), "handed to the backstop"),
        (row(90, Stage.SOCIALISED, (-5, 50), (0, 0)), "closed completely, the loss socialized"),
    ],
)
def test_how_it_ended(last: dict[str, int], words: str) -> None:
    """The first step took 0.4 of 1; the last one takes 0.001, or all the rest."""
    gone = last["maintenance_after"] == 0
    lots = -600 if gone else -1
    forced = {"pool": CROSS_POOL, "cause": Cause.LIQUIDATION}
    record = idle(
        interval_ms=MINUTE,
        fills=rows(
            records.FILL,
            {"seq": 1, "ts_ms": START, "lots": 1000, "pool": CROSS_POOL},
            {"seq": 2, "ts_ms": START + 60_500, "lots": -400, **forced},
            {"seq": 4, "ts_ms": last["ts_ms"], "lots": lots, **forced},
        ),
        liquidations=rows(
            records.LIQUIDATION, row(60.5, P, (50, 50), (50, 55), seq=3, lots=-400), last | {"seq": 5, "lots": lots}
        ),
        final_lots=np.array([600 + lots]),
        final_mark=np.array([0.0]),
        curve=closes(np.tile([100.0, 100, 0, 0, 0, 0, 0], (3, 1))),
    )
    loss = only(record)
    assert liquidation_tables.ended(loss) == words
    assert loss.closed == (("BTC-USD",) if gone else ())
    said = _said(result_of(record))[1]
    assert said.startswith("It lost BTC-USD in 2" if gone else "It had to give up a part of BTC-USD in 2 steps at")


def test_three_hundred_steps_stay_readable() -> None:
    result = result_of(crumbling(300))
    html = render(result)
    page = Page(html)
    assert "It lost BTC-USD in 300 steps at 00:00 on 1 January 2025." in page.text
    assert "First 40 of 300; all are in liquidations.parquet." in page.text
    assert page.text.count("part of the position") == 40
    assert html.count("<details><summary>") == 2  # the steps, and what was assumed
    assert "1 liquidation, 300 steps" in page.text
    marks = {trace["name"]: len(trace["x"]) for trace in page.figures["equity"]["data"] if trace["mode"] == "markers"}
    assert marks == {"Liquidation": 1, "Further step": 299}


def test_only_the_first_liquidations_are_told_step_by_step() -> None:
    # Two steps at each of twelve instants, each of which leaves nothing held.
    twice = [row(n, Stage.POSITION, (9, 10), (9, 0), seq=2 * n + k + 1, lots=1) for n in range(12) for k in (0, 1)]
    crumbs = crumbling(24)
    fills = crumbs.fills.whole()
    fills["ts_ms"][1:] = [START + 1000 * (n // 2) for n in range(24)]
    record = replace(crumbs, fills=fills, liquidations=rows(records.LIQUIDATION, *twice))
    listing = liquidation_tables.listing(outcome(result_of(record)))
    assert (len(listing.overview.rows), len(listing.steps)) == (12, 10)
    assert listing.more == "The steps of the first 10 of 12; all are in liquidations.parquet."
    said = _said(result_of(record))[1]
    assert said.startswith("It was liquidated 12 times, in 24 steps: it had to give up a part of BTC-USD in 2 steps at")
    assert "first and lost BTC-USD in 2 steps at 00:00" in said


@pytest.mark.parametrize(
    ("share", "words", "verb"), [(1.0, "the position", "closed"), (0.25, "a part of the position", "reduced")]
)
def test_deleveraging_is_told_apart_from_a_liquidation(share: float, words: str, verb: str) -> None:
    result = result_of(deleveraged(share))
    out = outcome(result)
    assert (out.losses, len(out.deleveraged)) == ((), 1)
    said = _said(result)
    assert said[1] == "It was never liquidated."
    assert said[2] == (
        f"Auto-deleveraging closed {words} in BTC-USD at 00:01 on 1 January 2025: "
        "the position it hedged was left unhedged."
    )
    page = Page(render(result))
    assert f"{verb} by auto-deleveraging; the position it hedged was left unhedged" in page.text
    (mark,) = (trace for trace in page.figures["equity"]["data"] if trace["mode"] == "markers")
    assert (mark["name"], mark["x"], mark["y"]) == ("Deleveraged", [START + MINUTE], [100.0])
    assert [trace["mode"] for trace in page.figures["margin"]["data"]] == ["lines"] * len(
        page.figures["margin"]["data"]
    )


def test_what_guards_did_is_said_marked_and_listed() -> None:
    base = account(Life())
    clock = base.tables["equity"]["ts"]
    acts = [
        (clock[4], "call=0.5", None, "cross", 0.5123, None),
        (clock[9], "stop=5%", "BTC-USD", "cross", 0.0512, 7),
        (clock[9], "stop=5%", "ETH-USD", "cross", 0.0731, 8),
        (clock[9], "age=3d", "ETH-USD", "cross", 262_800_000.0, 9),
        (clock[11], "account-loss=20%", None, None, 2_004.5, None),
        (clock[11], "account-loss=20%", "BTC-USD", "BTC-USD", 2_004.5, 10),
        (clock[12], "top-up=0.8:0.5", "BTC-USD", "BTC-USD", None, None),
    ]
    frame = pl.DataFrame(acts, schema=base.tables["guards"].schema, orient="row")
    result = Result("cross", base.summary, base.tables | {"guards": frame})
    when = [fmt.spoken(ts) for ts in stamps(frame)]
    # The two orders of the stop at one close are one act, and so are the halt and the order with it.
    said = f"uards acted 5 times, first call=0.5 at {when[0]}; account-loss=20% stopped all trading at {when[4]}."
    assert _said(result)[2] == f"G{said}"
    page = Page(render(result))
    for line in (
        "call=0.5 all cross 0.512 called the strategy",
        "stop=5% BTC-USD cross 5.12% sent order 7",
        "age=3d ETH-USD cross 3 d 1 h sent order 9",
        "account-loss=20% all all 2,004.50 stopped trading",
        "account-loss=20% BTC-USD BTC-USD 2,004.50 sent order 10",
        "top-up=0.8:0.5 BTC-USD BTC-USD n/a added margin",
    ):
        assert line in page.text
    (mark,) = (trace for trace in page.figures["equity"]["data"] if trace["mode"] == "markers")
    assert (mark["name"], len(mark["x"])) == ("Guard", 5)
    assert mark["text"][1] == "stop=5%: BTC-USD and ETH-USD"
    both = Page(render_comparison([base, Result("guarded", result.summary, result.tables)]))
    assert f"In guarded, g{said}" in both.text
    assert "Guards cross No guard acted. guarded Close (UTC)" in both.text
    only_halt = Result("cross", base.summary, base.tables | {"guards": frame[4:6]})
    assert _said(only_halt)[2] == f"Account-loss=20% stopped all trading at {when[4]}."


def test_three_modes_side_by_side() -> None:
    lives = [Life(margin=m, label=m, ambiguous=2, lost=("BTC-USD",)) for m in ("isolated", "cross", "portfolio")]
    results = [account(life) for life in lives]
    words = comparison_words(results, [outcome(result) for result in results])
    (last,) = words[2:]
    assert last.startswith("Some candles are ambiguous, 2 in isolated, 2 in cross and 2 in portfolio: the price path")
    page = Page(render_comparison(results))
    lines = [trace for trace in page.figures["equity"]["data"] if trace["mode"] == "lines" and trace["yaxis"] == "y"]
    assert [line["line"]["color"] for line in lines] == [f"var(--mode-{life.margin})" for life in lives]
    widths = [line["line"]["width"] for line in lines]
    assert widths == sorted(widths, reverse=True)
    assert len(set(widths)) == 3
    # What all assumed is said once, what only one has beside it.
    assert page.text.count("Where a mark candle is missing") == 1
    own = Result(
        "cross", results[1].summary | {"notes": [*results[1].summary["notes"], "Only here."]}, results[1].tables
    )
    mixed = Page(render_comparison([results[0], own, results[2]])).text
    assert "All accounts Where a mark candle is missing" in mixed
    assert mixed.count("Where a mark candle is missing") == 1
    assert "cross Only here." in mixed


def test_settings_that_are_not_used_are_not_shown() -> None:
    base = account(Life())
    idle_config = base.summary["config"] | {"modes": {}, "isolate_above": None, "adl": [], "adl_top": 1}
    used_config = idle_config | {"modes": {"ETH-USD": "isolated"}, "isolate_above": 0.5, "adl": ["move=5%/10m,0.5"]}
    plain, used = (
        Page(render(Result("cross", base.summary | {"config": config}, base.tables))).text
        for config in (idle_config, used_config)
    )
    for title, value in (
        ("Margin modes of single markets", "ETH-USD isolated"),
        ("Positions isolated above this share of maintenance margin", "50.00%"),
        ("Deleveraging events", "move=5%/10m,0.5"),
        ("Maximum positions per ADL event", "1"),
    ):
        assert title not in plain
        assert f"{title} {value}" in used
