"""How the report writes numbers, and how it thins curves."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from backtest.report import formatting as fmt
from backtest.report.downsampling import BUCKETS, envelope, running, together, tracks
from backtest.report.page import render_comparison
from backtest.report.run_page import render
from backtest.results.ledger import COSTS
from tests.unit.test_report_accounts import Life, account


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("final_equity", 1234567.891, "1,234,567.89"),
        ("return", -0.08295, "-8.29%"),  # 8.295 in binary lies below the half
        ("max_leverage", 3.2, "3.20x"),
        ("liquidations", 1234, "1,234"),
        ("max_drawdown_days", 12.5, "12 d 12 h"),
        ("max_drawdown_days", 0, "0"),
        ("sharpe", None, "n/a"),
        ("sharpe", float("nan"), "n/a"),
        ("funding", -0.001, "0.00"),
        ("fees", 12.5, "-12.50"),
        ("fees", -1, "1.00"),  # rebates were more
        ("gas", 0, "0.00"),
        ("slippage", None, "n/a"),
        ("insurance", 12.5, "12.50"),
        ("a_metric_of_tomorrow", 2, "2.00"),
        ("cagr", 9_999.5, "999,950.00%"),
        ("cagr", 3.7e11, "over 1,000,000%"),
        ("calmar", 2e6, "over 1,000,000"),
    ],
)
def test_metric_as_text(name: str, value: float | None, shown: str) -> None:
    assert fmt.text(name, value) == shown


def test_costs_are_those_of_the_books() -> None:
    assert {name for name, metric in fmt.METRICS.items() if metric.cost} == {*COSTS, "slippage"}


def test_every_metric_has_a_title() -> None:
    assert set(account(Life()).metrics) == set(fmt.METRICS)


def test_a_new_metric_is_shown_by_its_definition_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        fmt.METRICS, "calm_days", fmt.Metric("Calm days", "days", "high", "Days without a fill", cost=True)
    )
    result = account(Life())
    result.summary["metrics"]["calm_days"] = 2.5
    assert [row for row in fmt.table(result.metrics) if row[0] == "calm_days"] == [
        ("calm_days", "Calm days", "-2 d 12 h")
    ]
    for html in (render(result), render_comparison([result, result])):
        assert "Calm days" in html
        assert "-2 d 12 h" in html


def test_an_unknown_metric_has_a_title() -> None:
    assert [row[1] for row in fmt.table({"odd_one": 1, "cagr": 0.5})] == ["Return per year (CAGR)", "Odd one"]


def test_difference_and_which_is_better() -> None:
    assert fmt.difference("return", 0.15, 0.10) == "+5.00 pp"
    assert fmt.difference("fees", 10.0, 12.5) == "+2.50"  # 10 paid is -10.00, and 12.5 is -12.50
    assert fmt.difference("fees", 10.001, 10.0) == "0.00"
    assert fmt.difference("funding", 10.0, 12.5) == "-2.50"
    assert fmt.difference("sortino", None, 1.0) == "n/a"
    assert fmt.difference("cagr", 1e9, 1.0) == "over 1,000,000 pp"
    assert fmt.difference("cagr", 1.0, 1e9) == "below -1,000,000 pp"
    assert fmt.better("final_equity", [1.0, 2.0, 2.0]) == [False, True, True]
    assert fmt.better("liquidations", [1, 0]) == [False, True]
    assert fmt.better("max_drawdown", [-0.2, -0.1]) == [False, True]
    assert fmt.better("fees", [1.0, 2.0]) == [False, False]  # fewer fees: a matter of opinion
    assert fmt.better("final_equity", [1.0, 1.0]) == [False, False]
    assert fmt.better("final_equity", [None, 1.0]) == [False, False]


def test_times_prices_and_quantities() -> None:
    # 2020-03-12 is 18,333 days after 1970: 18,333 × 86,400,000 ms.
    day = 18_333 * 86_400_000
    assert fmt.moment(day + 45_300_000) == "2020-03-12 12:35"
    assert fmt.moment(day + 45_317_250) == "2020-03-12 12:35:17.250"
    assert fmt.spoken(day + 45_300_000) == "12:35 on 12 March 2020"
    assert [fmt.price(p) for p in (43210.5, 12.34567, 0.0812345, 0.00001234)] == [
        "43,210.50", "12.3457", "0.081235", "0.00001234",
    ]  # fmt: skip
    assert [fmt.quantity(q) for q in (1.5, -0.000001, 1000.0, 0.0)] == ["1.5", "-0.000001", "1,000", "0"]
    assert [fmt.duration(ms) for ms in (250, 61_000, 3_600_000, 90_061_000)] == [
        "250 ms",
        "1 min 1 s",
        "1 h",
        "1 d 1 h",
    ]
    assert fmt.listing(["a", "b", "c"]) == "a, b and c"


def test_thinning_keeps_every_peak() -> None:
    rng = np.random.default_rng(3)
    values = np.cumsum(rng.normal(size=100_000))
    values[54_321], values[12_345] = 1e6, -1e6
    ts = np.arange(100_000, dtype=np.int64) * 60_000
    line = envelope(ts, values)
    # ⌈100,000 / 1,500⌉ = 67 samples to a bucket; each bucket keeps its lowest and its highest.
    assert line.each == 67
    assert len(line.ts) <= 2 * BUCKETS + 2
    assert {1e6, -1e6, values[0], values[-1]} <= set(line.values.tolist())
    kept = np.searchsorted(ts, line.ts)
    for start in range(0, 100_000, 67):
        bucket = values[start : start + 67]
        mine = line.values[(kept >= start) & (kept < start + 67)]
        assert (mine.min(), mine.max()) == (bucket.min(), bucket.max())
    assert (np.diff(line.ts) > 0).all()


def test_thinning_keeps_gaps_and_short_curves() -> None:
    ts = np.arange(30_000, dtype=np.int64)
    values = np.where((ts > 9_000) & (ts < 12_000), np.nan, 1.0)
    values[9_500] = 7.0  # alone among the missing: still the peak
    line = envelope(ts, values)
    assert np.nanmax(line.values) == 7.0
    assert np.isnan(line.values[(line.ts > 10_000) & (line.ts < 11_500)]).all()
    assert None in line.points()[1]
    short = envelope(ts[:3000], values[:3000])
    assert short.each == 1
    assert len(short.ts) == 3000


def test_payments_of_one_instant_are_one_step() -> None:
    line = running(np.array([10, 10, 20]), np.array([-5.0, 4.0, 2.0]), 0, 30)
    assert line.ts.tolist() == [0, 10, 20, 30]
    assert line.values.tolist() == [0.0, -1.0, 1.0, 1.0]


def test_a_row_that_is_missing_says_nothing() -> None:
    # A is bought at hour 1 and sold at hour 4; B is held to the end. The sample of hour 3 lists only A.
    hour = 3_600_000
    as_time = pl.col("ts").cast(pl.Datetime("ms", "UTC"))
    fills = pl.DataFrame({"ts": [1, 1, 4], "symbol": ["A", "B", "A"], "qty": [0.3, -2.0, -0.3], "pool": ["cross"] * 3})
    table = pl.DataFrame({"ts": [2, 2, 3, 5], "symbol": ["A", "B", "A", "B"], "notional": [5.0, -7.0, 6.0, -8.0]})
    both = (frame.with_columns(pl.col("ts") * hour).with_columns(as_time) for frame in (table, fills))
    curves = tracks(*both, "symbol", "notional", 0.0, 0, 6 * hour)
    a, b = curves["A"], curves["B"]
    assert list(zip(a.ts // hour, a.values, strict=True)) == [(0, 0), (2, 5), (3, 6), (4, 0), (6, 0)]
    assert list(zip(b.ts // hour, b.values, strict=True)) == [(0, 0), (2, -7), (5, -8), (6, -8)]
    clock, (first, second) = together([a, b], 0.0)
    assert (clock // hour).tolist() == [0, 2, 3, 4, 5, 6]
    assert (first + second).tolist() == [0, -2, -1, -7, -8, -8]


def test_a_pool_is_empty_when_all_that_it_held_is_closed() -> None:
    # In the cross pool A is held from hour 1 to 5 and again from 6, B from 2 to 3; C in a pool of its own from 1 to 4.
    hour = 3_600_000
    as_time = (pl.col("ts") * hour).cast(pl.Datetime("ms", "UTC"))
    symbols, pools = ["A", "C", "B", "B", "C", "A", "A"], ["cross", "C", *["cross"] * 2, "C", *["cross"] * 2]
    qty = [1.0, 2.0, -3.0, 3.0, -2.0, -1.0, 1.0]
    fills = pl.DataFrame({"ts": [1, 1, 2, 3, 4, 5, 6], "symbol": symbols, "qty": qty, "pool": pools})
    table = pl.DataFrame({"ts": [2, 2, 7], "pool": ["cross", "C", "cross"], "margin_ratio": [0.2, 0.4, 0.1]})
    both = (frame.with_columns(as_time.alias("ts")) for frame in (table, fills))
    curves = tracks(*both, "pool", "margin_ratio", 0.0, 0, 8 * hour)
    shown = {name: list(zip((line.ts // hour).tolist(), line.values, strict=True)) for name, line in curves.items()}
    assert shown["cross"] == [(0, 0), (2, 0.2), (5, 0), (7, 0.1), (8, 0.1)]
    assert shown["C"] == [(0, 0), (2, 0.4), (4, 0), (8, 0)]
