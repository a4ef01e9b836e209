"""The price of being slower: one account per delay on one pass, each as if it were alone, and the curve over them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import backtest
from backtest import LatencyCurve, Strategy, UserError
from backtest.report import formatting as fmt
from backtest.report.latency_page import render_latency
from backtest.report.narrative import latency_words
from backtest.report.outcome import Outcome, outcome
from backtest.results import report_files
from tests.scenarios.scenario import MINUTE, Market, Script, Step, buy, rows, sell, write
from tests.small_market import Ended, one_line
from tests.unit.test_report import Page
from tests.unit.test_report_accounts import Life, account

Command = Callable[..., Ended]

# Flat at 100; then 100 until 20 s after the open, in a straight line to 106 at 40 s, 106 from there; 98; 110.
RUNS = Market("A", [100, (100, 106, 100, 106), 106, 98, 110, 110])
OTHER = Market("B", [50, (50, 51, 49, 50.5), (50.5, 50.5, 48, 49), 49, 52, 52])
GRID = (0, 30_000, 70_000)


class Turns(Strategy):
    """Half of the equity in each market, the other way round from one candle to the next."""

    def targets(self, candles: pl.LazyFrame) -> pl.LazyFrame:
        even = pl.col("ts").dt.minute() % 2 == 0
        return candles.select("ts", "symbol", target=pl.when(even).then(0.5).otherwise(-0.5))


def curve(folder: Path, steps: dict[int, Step], grid: Any = GRID, **settings: Any) -> LatencyCurve:
    data = write(folder, RUNS)
    asked = {"cash": 100_000, "fee_bps": 0, "allow": ("missing-funding",), **settings}
    return backtest.latency(Script(steps, MINUTE), data, grid=grid, **asked)


def test_profit_against_latency_by_hand(tmp_path: Path) -> None:
    found = curve(tmp_path, {0: buy("A", 10)})
    # Sent at the close of row 0 and filled 0 s, 30 s and 70 s later, at 100, half way from 100 to 106, and 106; worth
    # 110 in the end: 10 x 10, 10 x 7, 10 x 4. What is missing is what the price did on the way.
    assert found.curve.select("latency_ms", "final_equity", "profit", "cost", "latency", "fees").rows() == [
        (0, 100_100.0, 100.0, 0.0, 0.0, 0.0),
        (30_000, 100_070.0, 70.0, 30.0, 30.0, 0.0),
        (70_000, 100_040.0, 40.0, 60.0, 60.0, 0.0),
    ]
    assert found.curve["return"].to_list() == [0.001, 0.0007, 0.0004]
    assert found.curve.select("orders", "fills", "rejected_orders", "pool_liquidations").rows() == [(1, 1, 0, 0)] * 3
    assert [rows(r, "fills", "ts", "price") for r in found.results] == [
        [(60_000, 100.0)], [(90_000, 103.0)], [(130_000, 106.0)],
    ]  # fmt: skip
    assert found["30000ms"] is found.results[1]
    assert found.summary["curve"] == found.curve.to_dicts()


def test_slower_may_be_liquidated_rejected_or_better_off(tmp_path: Path) -> None:
    # 500 with 5,200: at 98 those who paid 106 have 5,200 - 8 x 500 = 1,200, below 3 % of 49,000.
    lost = curve(tmp_path / "lost", {0: buy("A", 500)}, cash=5_200)
    assert lost.curve["pool_liquidations"].to_list() == [0, 0, 1]
    # With 2,600 the initial margin of 500 at 106 is 2,650: who comes late is refused.
    late = curve(tmp_path / "late", {0: buy("A", 500)}, cash=2_600, grid=(0, 45_000))
    assert late.curve.select("fills", "rejected_orders").rows()[1] == (0, 1)
    # A sale is the better the later: 100, 103, 106 against 110.
    better = curve(tmp_path / "better", {0: sell("A", 10)})
    assert better.curve["cost"].to_list() == [0.0, -30.0, -60.0]
    assert better.curve["latency"].to_list() == [0.0, -30.0, -60.0]


STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "called": lambda: Script({0: buy("A", 10), 2: sell("B", 20), 3: sell("A", 15)}, MINUTE),
    "targets": Turns,
}


@pytest.mark.parametrize("kind", STRATEGIES)
@pytest.mark.parametrize("chunk_rows", [1, None])
def test_each_delay_lives_as_a_run_of_its_own(tmp_path: Path, kind: str, chunk_rows: int | None) -> None:
    data, made = write(tmp_path, RUNS, OTHER), STRATEGIES[kind]
    # The adverse move goes by the delay too; 1 ms lies inside the candle, 150 s two candles on.
    asked = {"cash": 10_000, "slippage": ("drift=1",), "allow": ("missing-funding",)}
    grid = (150_000, 0, 1, 29_999, 60_000)
    found = backtest.latency(made(), data, grid=grid, chunk_rows=chunk_rows, margin="isolated", **asked)
    assert [result.label for result in found.results] == ["0ms", "1ms", "29999ms", "60000ms", "150000ms"]
    for delay in grid:
        alone = backtest.run(made(), data, latency_ms=delay, margin="isolated", check=False, **asked)
        result = found[f"{delay}ms"]
        assert result.digest == alone.digest
        shared = {name: part for name, part in result.summary.items() if name != "delays_ms"}
        assert shared == {**alone.summary, "label": f"{delay}ms"}
    assert len({result.digest for result in found.results}) == len(grid)


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ("0,50,,200", "grid: '' is not a delay"),
        ("0,fast", "grid: 'fast' is not a delay"),
        ("0,-50", "grid: '-50' is not a delay"),
        ("0,1.5", "grid: '1.5' is not a delay"),
        ("0,1e3", "grid: '1e3' is not a delay"),
        ("0,٣", "grid: '٣' is not a delay"),
        ("0,2592000001", "grid: '2592000001' is not a delay; give whole ms from 0 to 2,592,000,000"),
        ((0, True), "in grid= (give numbers"),
        ((0, 2.0), "grid: 2.0 is not a delay"),
        ("", "grid: '' is not a delay"),
        ((), "grid: no delay; a curve needs two"),
        ("200", "grid: one delay; a curve needs two"),
        ("50,0,50", "grid: delay 50 is named twice"),
        ("0,00", "grid: delay 0 is named twice"),
        (range(51), "grid: 51 delays; give 50 at most"),
    ],
)
def test_what_is_no_grid_is_named(tmp_path: Path, grid: Any, said: str) -> None:
    with pytest.raises(UserError) as refused:
        backtest.latency("sma_cross", tmp_path / "nowhere", grid=grid)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_delay_beside_the_grid_and_several_modes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"latency\(\) has no setting 'latency_ms'"):
        curve(tmp_path / "a", {}, latency_ms=5)
    with pytest.raises(UserError, match="margin modes isolated, cross"):
        curve(tmp_path / "b", {}, margin="isolated,cross")


def test_the_command_writes_the_curve(place: Path, command: Command) -> None:
    made = ("latency", "hold.py", "--data", "market", "--grid", "5000,0,200,1000", "--out", "report")
    done = command(*made)
    assert (done.code, done.err) == (0, "")
    head = next(line for line in done.out.splitlines() if line.startswith((" Delay", "Delay")))
    assert head.split()[:2] == ["Delay", "Profit"]
    told = [line.split()[0:2] for line in done.out.splitlines() if line[:1] == " " and line.lstrip()[:1].isdigit()]
    assert told == [["0", "ms"], ["200", "ms"], ["1", "s"], ["5", "s"]]
    report = place / "report"
    assert {path.name for path in report.iterdir()} == {
        "report.html", "summary.json", "run.toml", "curve.parquet", "0ms", "200ms", "1000ms", "5000ms",
    }  # fmt: skip
    written = pl.read_parquet(report / "curve.parquet")
    summary = json.loads((report / "summary.json").read_text())
    assert (summary["kind"], summary["curve"]) == ("latency", written.to_dicts())
    assert written["latency_ms"].to_list() == [0, 200, 1_000, 5_000]
    read = report_files.read(report)
    assert isinstance(read, dict)
    ends = {result.summary["config"]["latency_ms"]: result.metrics["final_equity"] for result in read.values()}
    assert ends == dict(written.select("latency_ms", "final_equity").rows())
    # The same again over it, as JSON this time; and the report is played again from what it says itself.
    again = command(*made, "--json")
    assert (again.code, json.loads(again.out)["curve"]) == (0, written.to_dicts())
    checked = command("verify", "report")
    assert checked.code == 0, checked.err
    assert checked.out.count(",") == 3  # four digests


def test_the_command_refuses_in_one_line(place: Path, command: Command) -> None:
    one_line(command("latency", "hold.py", "--data", "market", "--grid", "0,x"), 2, "'x' is not a delay")
    one_line(command("latency", "hold.py", "--data", "market", "--latency-ms", "5"), 2, "--latency-ms")
    (place / "mine").mkdir()
    (place / "mine" / "notes.txt").write_text("keep")
    one_line(command("latency", "hold.py", "--data", "market", "--out", "mine"), 2, "is left alone")
    assert not (place / "reports").exists()


# ---- what a reader is told


def told(*changes: float, lost: tuple[int, ...] = (), fills: int = 3, ambiguous: int = 0) -> list[str]:
    """The words on delays of 0, 1 s, 2 s and so on, each with its change of equity."""
    delays = [1_000 * n for n in range(len(changes))]
    return latency_words(_outs(changes, lost, fills, ambiguous), delays, MINUTE, "USD")


def _outs(changes: tuple[float, ...], lost: tuple[int, ...], fills: int, ambiguous: int) -> list[Outcome]:
    whole = outcome(account(Life(margin="cross")))
    dead = outcome(account(Life(margin="cross", lost=("BTC-USD",)))).losses
    return [
        replace(
            whole, start=100.0, end=100.0 + change, fills=fills, ambiguous=ambiguous, losses=dead if n in lost else ()
        )
        for n, change in enumerate(changes)
    ]


PATH = "Price moves within a candle (1m) follow the assumed path inside it; finer candles are more exact."


def test_words_on_the_curve() -> None:
    assert told(30, 10, -5) == [
        "At 0 ms the account made 30.00 USD, at 2 s it lost 5.00 USD: being slower cost 35.00.",
        "The profit is gone between 1 s and 2 s.",
        "It was not liquidated at any delay.",
        PATH,
    ]
    assert told(-5, -8, 2, lost=(0, 1))[:3] == [
        "At 0 ms the account lost 5.00 USD, at 2 s it made 2.00 USD: being slower gained 7.00.",
        "Slower is not always worse: 2 s ended 10.00 higher than 1 s.",
        "It was liquidated at 0 ms and 1 s, and at no other delay.",
    ]
    assert told(4, 4, lost=(0, 1), ambiguous=2) == [
        "At 0 ms the account made 4.00 USD, at 1 s it made 4.00 USD: being slower cost nothing.",
        "It was liquidated at every delay.",
        "At one of the delays 2 candles are ambiguous: the price path inside decides about a liquidation.",
        PATH,
    ]
    assert told(0, 0, fills=0) == ["The account held no position at any delay."]
    hours = latency_words(_outs((1, 2), (), 1, 0), [0, 3_600_000], MINUTE, "")
    assert len(hours) == 3  # nothing is assumed that is shorter than a candle


def test_delays_are_written_to_the_millisecond() -> None:
    assert [fmt.delay(ms) for ms in (0, 50, 1_000, 1_500, 90_000, 120_000, 3_600_000, 5_400_000)] == [
        "0 ms", "50 ms", "1 s", "1,500 ms", "90 s", "2 min", "1 h", "90 min",
    ]  # fmt: skip


def test_the_page_shows_the_curve(tmp_path: Path) -> None:
    found = curve(tmp_path, {0: buy("A", 500)}, cash=5_200)
    page = Page(render_latency(found.results))
    assert page.fetched == []
    drawn = page.figures
    assert set(drawn) == {"curve", "behind", "equity"}
    profit, drift, cross = drawn["curve"]["data"]
    # 500 x 10 and 500 x 7. The third bought at 106 and is liquidated where the price jumps to 98: 500 x -8, and the
    # penalty of 1 % of 49,000.
    assert profit["y"] == [5_000.0, 3_500.0, -4_490.0]
    assert drift["y"] == [-1_500.0, -3_000.0]  # none without a delay
    assert (cross["name"], cross["x"], cross["y"]) == ("Liquidated", profit["x"][-1:], profit["y"][-1:])
    assert drawn["curve"]["layout"]["xaxis"]["ticktext"] == ["0 ms", "30 s", "70 s"]
    assert [line["name"] for line in drawn["behind"]["data"]] == ["30 s", "70 s"]
    # At the end of row 1 the second has its 500 at 103 and the first at 100; the third has none yet.
    assert drawn["behind"]["data"][0]["y"] == [0.0, -1_500.0, -1_500.0, -1_500.0, -1_500.0, -1_500.0]
    assert drawn["behind"]["data"][1]["y"][:2] == [0.0, -3_000.0]
    assert "Delay by delay" in page.text
    assert "It was liquidated at 70 s, and at no other delay." in page.text


def test_a_page_of_many_delays_draws_some_of_them(tmp_path: Path) -> None:
    found = curve(tmp_path, {0: buy("A", 10)}, grid=range(0, 40_000, 1_000))
    page = Page(render_latency(found.results))
    assert len(page.figures["curve"]["data"][0]["x"]) == 40
    names = [line["name"] for line in page.figures["equity"]["data"]]
    assert len(names) == 16  # equity and drawdown of eight
    assert {"0 ms", "39 s"} <= set(names)
    assert "8 of the 40 delays are drawn." in page.text
    ticks = page.figures["curve"]["layout"]["xaxis"]["ticktext"]
    assert ticks[0] == "0 ms"
    assert ticks[-1] == "39 s"
    assert len(ticks) < 12
