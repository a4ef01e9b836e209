"""What comes before the outcome: no trades and why, rejected orders, an account that is dead, a hedge that was gone."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import backtest
from backtest import Result, Strategy
from backtest.core.enums import Reason
from backtest.report.caveats import REASONS, beforehand
from backtest.report.header import scope
from backtest.report.narrative import comparison_words, run_words
from backtest.report.outcome import outcome
from backtest.report.page import render_comparison
from backtest.report.run_page import render
from backtest.report.survivor import kept
from tests.scenarios.order_harness import buy
from tests.scenarios.scenario import MINUTE, Market, Step, play, write
from tests.unit.results_records import START as MADE
from tests.unit.test_report import Page
from tests.unit.test_report_accounts import START_MS, Life, account

SETTLED = "settled as its data ended"
HOUR = 3_600_000
REJECTED = "3 of 4 orders were rejected"
FLAT = Market("BTC", [100.0] * 4)


def said(result: Result) -> list[str]:
    return run_words(result, outcome(result), "")


class Waiting(Strategy):
    """Buys once it knows features that it never knows."""

    def features(self, candle: Any) -> dict[str, Any]:
        return {"m": candle.close.rolling_mean(5), "n": candle.close.rolling_mean(2), "o": candle.volume * math.nan}

    def on_candle(self, market: Any, account: Any) -> None:
        for symbol in market.symbols:
            account.buy(symbol, 1)


def test_a_feature_that_was_never_known(tmp_path: Path) -> None:
    data = write(tmp_path, FLAT)
    result = backtest.run(Waiting, data, allow=("missing-funding",))
    assert said(result)[:2] == [
        "No trades: the strategy sent no order.",
        "Features 'm' and 'o' never had a value: their windows are longer than the period, or their input is missing.",
    ]
    text = Page(render(result)).text
    assert text.index("No trades:") < text.index("Equity at the end")


def test_one_that_only_a_short_market_lacks_is_named_with_it(tmp_path: Path) -> None:
    class Brief(Waiting):
        every = "2m"

        def features(self, candle: Any) -> dict[str, Any]:
            return {"m": candle.close.rolling_mean(3)}

    late = Market("NEW", [None] * 6 + [50.0] * 4)
    result = backtest.run(Brief, write(tmp_path, Market("BTC", [100.0] * 10), late), allow=("missing-funding",))
    assert result.summary["strategy"]["never_known"] == ["m of NEW"]
    assert said(result)[0] == (
        "Feature 'm' of NEW never had a value: its window is longer than the period, or its input is missing."
    )


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ({}, "No trades: the strategy sent no order."),
        (
            {0: buy(math.nan), 1: buy(math.nan)},
            "No trades: 2 of 2 orders were rejected (quantity is NaN), first at 00:01 on 1 March 2024.",
        ),
        (
            {0: buy(1e6), 1: buy(-1), 2: buy(1e6)},
            "No trades: 3 of 3 orders were rejected (not enough margin: 2, quantity is 0 or less: 1), first at",
        ),
        ({0: buy(1, limit=50)}, "No trades: 0 of 1 order was filled (still open when the run ended)."),
        (
            {0: buy(1), 1: buy(0.0001), 2: buy(0.0001)},
            "2 of 3 orders were rejected (smaller than one lot), first at 00:02 on 1 March 2024.",
        ),
        ({0: buy(1), 1: buy(0.0001)}, "The account started with"),
    ],
)
def test_why_nothing_or_little_was_traded(tmp_path: Path, steps: dict[int, Step], words: str) -> None:
    assert said(play(tmp_path, [FLAT], steps))[0].startswith(words)


def test_what_all_accounts_share_is_said_once(tmp_path: Path) -> None:
    results = [account(Life(margin=margin, rejected=250)) for margin in ("isolated", "cross")]
    outs = [outcome(result) for result in results]
    (both,) = beforehand(results, outs)
    assert both == "250 of 288 orders were rejected (not enough margin), first at 01:00 on 1 January 2020."
    assert comparison_words(results, outs)[0] == both
    text = Page(render_comparison(results)).text
    assert text.index(both) < text.index("Equity at the end")


def test_every_reason_has_its_words() -> None:
    assert set(REASONS) == {reason.name.lower() for reason in Reason} - {"none", "limit_size"}


@pytest.mark.parametrize(
    ("left", "dead"),
    [
        ([100.0, 0.99, 50.0, 0.5, -3.0, 0.99], 4),
        ([0.2] * 3, 1),
        ([100.0, 0.5, 1.0], None),
    ],
)
def test_an_account_is_dead_while_less_than_a_hundredth_is_left(left: list[float], dead: int | None) -> None:
    result = account(Life(rows=len(left), trades=False))
    closes = result.tables["equity"].with_columns(equity=pl.Series(left) - 0.1, reserve=pl.lit(0.1))
    metrics = result.metrics | {"start_cash": 100.0, "final_equity": left[-1]}
    made = Result("cross", result.summary | {"metrics": metrics}, result.tables | {"equity": closes})
    assert outcome(made).dead_ms == (None if dead is None else START_MS + dead * HOUR)
    told = (
        f"The account has been wiped out since 0{dead}:00 on 1 January 2020: "
        f"{left[-1]:.2f} of 100.00 was left at the end."
    )
    assert (told in said(made)) is (dead is not None)


def test_the_top_says_what_the_results_are_about() -> None:
    lives = (Life(margin="isolated", symbols=tuple(f"S{n}" for n in range(8))), Life())
    results = [account(life) for life in lives]
    assert scope(results) == [
        ("Data", "sample: invented, seed 7"),
        ("Period", "2020-01-01 00:00 to 2020-03-24 08:00 UTC, 1h candles"),
        ("Venue", "generic"),
        ("Markets", "10: S0, S1, S2, S3, S4, S5, …"),
        ("Trades", f"isolated {results[0].metrics['trades']}; cross {results[1].metrics['trades']}"),
    ]
    still = Result(
        "cross", {**results[1].summary, "metrics": {**results[1].metrics, "open_trades": 2}}, results[1].tables
    )
    assert scope([still, still])[-1] == ("Trades", f"{still.metrics['trades']} (and 2 open at the end) each")
    text = Page(render(results[1])).text
    assert text.index("Period 2020-01-01") < text.index("Equity at the end")


def test_a_gain_by_latency_needs_a_latency() -> None:
    late = account(Life())
    orders = late.tables["orders"].with_columns(ts_arrived="ts_sent")
    at_once = Result("cross", late.summary, late.tables | {"orders": orders})
    assert "Gap to the next open" not in Page(render(late)).text
    text = Page(render(at_once)).text
    assert f"Gap to the next open {-late.metrics['latency']:,.2f}" in text
    assert "Latency 250 ms" in text  # the setting; no other line has the word
    assert text.count("Latency") == 1


def test_assumptions_are_folded() -> None:
    html = render(account(Life()))
    page = Page(html)
    assert "What was assumed, skipped or filled in 1 assumption and 2 counts" in page.text
    assert html.count("<details><summary>") == 1


def fills(*trades: tuple[int, str, float, str]) -> pl.DataFrame:
    frame = account(Life()).tables["fills"].clear()
    rows = [
        {"ts": MADE + minute * MINUTE, "symbol": s, "qty": float(qty), "cause": cause}
        for minute, s, qty, cause in trades
    ]
    return pl.concat([frame, pl.DataFrame(rows).cast({"ts": frame.schema["ts"]})], how="diagonal")


@pytest.mark.parametrize(
    ("trades", "told"),
    [
        (
            [(1, "BTC", 1, "strategy"), (2, "ETH", -1, "strategy"), (5, "ETH", 1, "delisting")],
            f"kept BTC, but its hedge ETH was gone ({SETTLED} at 00:05 on 1 January 2025) and {REJECTED}",
        ),
        # Bought back before the BTC was bought; on the same side; held to the end.
        (
            [(1, "ETH", -1, "strategy"), (2, "ETH", 1, "strategy"), (3, "BTC", 1, "strategy")],
            f"kept BTC, but {REJECTED}",
        ),
        (
            [(1, "BTC", 1, "strategy"), (2, "ETH", 1, "strategy"), (5, "ETH", -1, "adl")],
            f"kept BTC, but {REJECTED}",
        ),
        (
            [(1, "BTC", 1, "strategy"), (2, "ETH", -1, "strategy")],
            f"kept both positions, BTC and ETH, but {REJECTED}",
        ),
    ],
)
def test_a_hedge_that_was_gone(trades: list[tuple[int, str, float, str]], told: str) -> None:
    base = account(Life())
    metrics = base.metrics | {"rejected_orders": 3, "orders": 4}
    held = Result("cross", base.summary | {"metrics": metrics}, base.tables | {"fills": fills(*trades)})
    out = outcome(held)
    (loss,) = outcome(account(Life(margin="isolated", lost=("BTC-USD",)))).losses
    lost = dataclasses.replace(out, losses=(dataclasses.replace(loss, symbols=("BTC",), ts_ms=MADE + 10 * MINUTE),))
    assert kept(held, out, [lost, out]) == f" and {told}"
