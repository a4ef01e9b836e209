"""What it cost that the venue went by another mark than the market's: the account beside itself by the market's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import backtest
from backtest.report import charts
from backtest.report.layer2 import section
from backtest.report.narrative import layer2_words
from backtest.report.outcome import outcome
from backtest.report.run_page import render
from backtest.results.result import Result
from tests.scenarios.scenario import MINUTE, START, Market, Script, buy, play, write
from tests.unit.test_report import Page

DIP = (100.0, 100.0, 90.0, 100.0)
"""Down to 90 after a third of the candle, and back."""
BEHIND = [100.0, DIP, 100.0, 100.0, 100.0]
LATE = "delay=60s"
AFTER = {1: buy("BTC", 15_000)}
"""At the close of the candle with the dip, at the next open; a late oracle is still to go through it."""
CROSSED = 71_134.020619
"""15,000 at 100 on 100,000: on its way to 90 health is zero where 100,000 + 15,000 (m − 100) is 0.03 · 15,000 m,
at a value of 1,443,298.969072; 1 % of it is the penalty, so 2 % are left, 28,865.979381 of 100,000."""


def by_both(folder: Path, *candles: Any, **settings: Any) -> Result:
    return play(folder, [Market("BTC", list(candles) or BEHIND)], AFTER, **settings)


def told(result: Result) -> str:
    return " ".join(layer2_words(result, outcome(result), "USDC"))


def test_a_liquidation_by_the_oracle_alone_costs_what_the_market_would_have_left(tmp_path: Path) -> None:
    result = by_both(tmp_path, oracle=LATE)
    known = result.summary["mark_cost"]
    assert known["cost"] == pytest.approx(CROSSED, abs=1e-6)
    assert result.metrics["final_equity"] == pytest.approx(100_000 - CROSSED, abs=1e-6)
    assert known["by_market"]["final_equity"] == 100_000
    assert (result.metrics["pool_liquidations"], known["by_market"]["pool_liquidations"]) == (1, 0)
    assert not known["approximate"]
    assert not any("oracle" in clause for clause in result.summary["warnings"])
    assert "four points" not in told(result)
    # 1,443,298.969072 less 1,500,000, and 1 % of it
    assert {name: value for name, value in known["flows"].items() if value} == {
        "price_moves": pytest.approx(56_701.030928, abs=1e-6),
        "penalties": pytest.approx(14_432.989691, abs=1e-6),
    }
    assert (
        "The venue mark cost 71,134.02 USDC: on the market mark the account would end with 100,000.00, and not be "
        "liquidated." in told(result)
    )


def test_an_oracle_may_save_an_account(tmp_path: Path) -> None:
    # It publishes nothing that is off by less than 20 %, so it never sees the second dip, to 90, which the market's
    # mark would have liquidated at as above.
    result = by_both(tmp_path, 100.0, 100.0, 100.0, DIP, 100.0, oracle="deviation=20%")
    known = result.summary["mark_cost"]
    assert known["cost"] == pytest.approx(-CROSSED, abs=1e-6)
    assert "The venue mark brought 71,134.02 USDC: on the market mark the account would end with 28,865.98" in told(
        result
    )
    assert "The oracle is computed at four points of a candle only" in told(result)
    assert known["approximate"]
    warned = "the oracle's deviation is approximate, computed at four points of a candle"
    assert warned in result.summary["warnings"]


def test_a_mark_that_stays_still_after_a_halt_has_a_price_too(tmp_path: Path) -> None:
    # Halted from 3:10 to 3:50, stale for a minute: the dip of minutes 4 to 5 is not seen.
    halt = tmp_path / "halt.csv"
    halt.write_text("start,end\n2024-03-01T00:03:10Z,2024-03-01T00:03:50Z\n")
    settings = {"outages": (str(halt),), "oracle": "stale=90s"}
    result = by_both(tmp_path / "stale", 100.0, 100.0, 100.0, 100.0, DIP, 100.0, 100.0, **settings)
    assert result.summary["mark_cost"]["cost"] == pytest.approx(-CROSSED, abs=1e-6)


def test_what_is_settled_on_a_mark_that_stands_still_is_told(tmp_path: Path) -> None:
    # In the halt the market is at 110, the venue mark at 100: 1 % of 100 units is 100 of funding, not 110.
    halt = tmp_path / "halt.csv"
    halt.write_text("start,end\n2024-03-01T00:03:10Z,2024-03-01T00:05:50Z\n")
    market = Market("BTC", [100.0, 100.0, 100.0, 100.0, 110.0, 110.0, 110.0], funding={4.5: 0.01})
    result = play(tmp_path / "data", [market], {1: buy("BTC", 100)}, outages=(str(halt),))
    assert result.metrics["funding"] == -100
    assert result.summary["mark_cost"]["cost"] == -10
    assert {name for name, value in result.summary["mark_cost"]["flows"].items() if value} == {"funding"}


def test_what_is_missing_for_the_second_account_alone_spoils_nothing(tmp_path: Path) -> None:
    # The settlement of minute 8 is not in the data. The account has been liquidated by then, the other has not.
    funding = {float(k): 0.0 for k in range(11) if k != 8}
    candles = [100.0, DIP, *[100.0] * 10]
    data = write(tmp_path, Market("BTC", candles, funding=funding))
    result = backtest.run(Script(AFTER, MINUTE), data, cash=100_000, oracle=LATE)
    assert result.metrics["pool_liquidations"] == 1
    assert "is missing while a position is open" in result.summary["mark_cost"]["failure"]


def test_what_a_strategy_keeps_on_its_class_is_the_first_account_s(tmp_path: Path) -> None:
    def played(folder: Path, mark_cost: bool) -> Result:
        class Memo(Script):
            calls: list[int] = []  # noqa: RUF012  shared on purpose

            def on_candle(self, market: Any, account: Any) -> None:
                self.calls.append(market.now_ms)
                if len(self.calls) == 3:
                    account.buy("BTC", 1)

        data = write(folder, Market("BTC", [100.0, 101.0, 102.0, 103.0, 104.0]))
        settings = {"cash": 100_000, "allow": ("missing-funding",), "chunk_rows": 1}
        return backtest.run(Memo({}, MINUTE), data, oracle="delay=1s", mark_cost=mark_cost, **settings)

    both, alone = played(tmp_path / "both", True), played(tmp_path / "alone", False)
    assert both.metrics["fills"] == 1
    assert both.digest == alone.digest


def test_where_the_mark_is_the_market_s_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert "mark_cost" not in by_both(tmp_path).summary


def test_the_second_account_changes_nothing_of_the_first(tmp_path: Path) -> None:
    both = by_both(tmp_path / "both", oracle=LATE)
    alone = by_both(tmp_path / "alone", oracle=LATE, mark_cost=False)
    assert "mark_cost" not in alone.summary
    assert both.digest == alone.digest
    known = both.summary.pop("mark_cost")
    assert known["cost"]
    assert both.summary["metrics"] == alone.summary["metrics"]
    assert both.summary["counts"] == alone.summary["counts"]


class Believer(Script):
    """Fails where it still has its position: the account that the oracle has liquidated never gets there."""

    def on_candle(self, market: Any, account: Any) -> None:
        super().on_candle(market, account)
        if market.now_ms >= START + 4 * MINUTE and account.position("BTC").qty:
            raise ValueError("this cannot be")


def test_a_strategy_that_fails_by_the_market_s_mark_alone_spoils_nothing(tmp_path: Path) -> None:
    data = write(tmp_path, Market("BTC", BEHIND))
    settings = {"cash": 100_000, "allow": ("missing-funding",)}
    result = backtest.run(Believer(AFTER, MINUTE), data, oracle=LATE, **settings)
    assert result.metrics["pool_liquidations"] == 1
    assert "this cannot be" in result.summary["mark_cost"]["failure"]
    assert "The effect of the venue mark is not known: on the market mark " in told(result)
    (run,) = charts.runs([result], [outcome(result)])
    shown = section(run, "USDC")
    assert shown is not None
    assert "mark_cost" not in [table.name for table in shown.tables]
    with pytest.raises(backtest.RunError, match="this cannot be"):
        backtest.run(Believer(AFTER, MINUTE), data, **settings)


def test_the_report_sets_the_two_side_by_side(tmp_path: Path) -> None:
    result = by_both(tmp_path, oracle=LATE)
    (run,) = charts.runs([result], [outcome(result)])
    shown = section(run, "USDC")
    assert shown is not None
    table = next(table for table in shown.tables if table.name == "mark_cost")
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}
    assert rows["Equity at the end"] == ["28,865.98", "100,000.00", "-71,134.02"]
    # As in the waterfall, what was paid or lost is below zero.
    assert rows["Liquidation penalties"] == ["-14,432.99", "0.00", "-14,432.99"]
    assert rows["Price moves"] == ["-56,701.03", "0.00", "-56,701.03"]
    marks = {row[0].text: [cell.mark for cell in row[1:]] for row in table.rows}
    assert marks["Liquidation penalties"] == ["minus", "", "minus"]
    assert table.head[-1].text == "Difference"
    # The mark that saves: 71,134.02 were gained, and are not marked as a loss.
    saved = by_both(tmp_path / "saved", 100.0, 100.0, 100.0, DIP, 100.0, oracle="deviation=20%")
    (other,) = charts.runs([saved], [outcome(saved)])
    ends = next(t for t in section(other, "USDC").tables if t.name == "mark_cost").rows[0]  # type: ignore[union-attr]
    assert [(cell.text, cell.mark) for cell in ends[1:]] == [("100,000.00", ""), ("28,865.98", ""), ("+71,134.02", "")]
    assert rows["Margin accounts liquidated"] == ["1", "0", ""]
    assert "Gas" not in rows
    # Without a chain nothing is under way; and what was opened and lost inside a candle was held at no close.
    assert "latency" not in shown.charts
    assert "No position was held at a close." in Page(render(result)).text
