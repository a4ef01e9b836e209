"""The first screen of a run's page: verdict, what would mislead, six figures, and checks that can all be red."""

from __future__ import annotations

import dataclasses
from typing import Any

import polars as pl
import pytest

from backtest.report.key_figures import key_figures
from backtest.report.misleading import sentences
from backtest.report.outcome import Outcome, outcome
from backtest.report.run_page import render
from backtest.report.scorecard import CHECKS, scorecard, worst
from backtest.report.verdict import verdict
from backtest.results.result import Result
from tests.unit.test_report import Page
from tests.unit.test_report_accounts import CASH, START_MS, Life, account

HOUR = 3_600_000
PLAIN = Life(synthetic=False)


def told(result: Result, **parts: Any) -> Result:
    """The result with other entries in its summary."""
    return Result(result.label, result.summary | parts, result.tables)  # type: ignore[arg-type]


def metrics(result: Result, **values: Any) -> Result:
    return told(result, metrics=result.metrics | values)


def data(result: Result, **values: Any) -> Result:
    return told(result, data=result.summary["data"] | values)


def edited(result: Result) -> Result:
    """One amount of the attribution is not what the account had."""
    frame = result.tables["attribution"].with_columns(change=pl.col("change") + 1.0)
    return Result(result.label, result.summary, result.tables | {"attribution": frame})


def unsure(result: Result) -> Result:
    frame = result.tables["liquidations"].with_columns(ambiguous=pl.lit(True))
    return Result(result.label, result.summary, result.tables | {"liquidations": frame})


def at_given_marks(result: Result) -> Result:
    return data(result, marks=dict.fromkeys(result.summary["data"]["symbols"], "given"))


FOUND = {"passed": False, "cut_ms": 1, "found": ["feature 'm' of BTC in my.py:12"], "reason": ""}
LACKING = "Venue dydx has no portfolio margin, only isolated and cross: its rules were used with it."
RED = {
    "ledger": (lambda: edited(account(PLAIN)), "differ by 2."),
    "data": (lambda: account(Life()), "Synthetic data"),
    "marks": (lambda: data(account(PLAIN), marks={"BTC-USD": "trades"}), "No mark prices for any market"),
    "funding": (lambda: metrics(account(PLAIN), missing_settlements=3), "3 funding payments of open positions"),
    "costs": (lambda: told(account(PLAIN), warnings=["no fees charged (--fee-bps is 0)"]), "No fees charged"),
    "terms": (lambda: told(account(PLAIN), notes=[LACKING]), "does not offer portfolio margin"),
    "trades": (lambda: account(Life(trades=False)), "No trade was made"),
    "orders": (lambda: account(dataclasses.replace(PLAIN, rejected=250)), "250 of 288 orders rejected (86.8%)"),
    "ambiguous": (lambda: unsure(account(Life(lost=("BTC-USD",)))), "1 liquidation depends"),
    "look_ahead": (lambda: told(account(PLAIN), look_ahead=FOUND), "feature 'm' of BTC in my.py:12"),
    "trials": (lambda: told(account(PLAIN), trials={"count": 400}), "400 trials"),
}
"""A page on which each check is red, and what it says."""


@pytest.mark.parametrize("name", [name for name, _, _ in CHECKS])
def test_each_check_can_be_red(name: str) -> None:
    make, words = RED[name]
    result = make()
    (check,) = [check for check in scorecard(result, outcome(result)) if check.name == name]
    assert (check.status, check.word) == ("red", "Warning")
    assert words in check.said
    assert f"{check.title} Warning{check.said}" in Page(render(result)).text


def test_a_sound_run_has_no_red_and_an_open_check_is_no_green() -> None:
    looked = {"passed": True, "cut_ms": 1, "found": [], "reason": ""}
    found = at_given_marks(
        told(metrics(account(PLAIN), trades=40), warnings=[], notes=[], counts={}, look_ahead=looked)
    )
    checks = {check.name: check.status for check in scorecard(found, outcome(found))}
    assert checks.pop("trials") == "open"
    assert set(checks.values()) == {"green"}
    assert worst(scorecard(found, outcome(found))) == "green"


def ended(sources: dict[str, float], **changed: Any) -> tuple[Result, Outcome]:
    """An account of which these sources of profit are known."""
    result = account(PLAIN)
    out = outcome(result)
    whole = dict.fromkeys(out.sources, 0.0) | sources
    return result, dataclasses.replace(out, sources=whole, start=CASH, end=CASH + sum(whole.values()), **changed)


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ({"Price moves": 1_500.0, "Funding": -500.0}, "+10.0%, nearest to liquidation 12.0%"),
        ({"Price moves": 1_500.0, "Funding": -500.0}, "Funding took a third of the profit."),
        ({"Price moves": 1_000.0, "Fees": -430.0, "Funding": -100.0}, "Fees took 43% of the profit."),
        ({"Price moves": 1_000.0, "Fees": -1_300.0}, "Fees of 1,300.00 exceeded the 1,000.00 that was gained before"),
        ({"Price moves": -900.0, "Funding": 200.0}, "Price moves lost 900.00; everything else gained 200.00."),
        ({"Price moves": -900.0}, "Price moves lost 900.00; nothing was gained."),
    ],
)
def test_the_verdict_names_what_decided(sources: dict[str, float], said: str) -> None:
    assert said in verdict(*ended(sources))


def test_the_verdict_dates_the_closest_moment() -> None:
    result = account(PLAIN)
    near = told(result, lowest={"drawdown_ms": None, "distance_ms": START_MS + 40 * 24 * HOUR})
    assert "nearest to liquidation 12.0% on 10 Feb 2020." in verdict(near, outcome(near))
    # Without the engine's moment the closest close counts: there the least is left per unit held.
    curve = result.tables["equity"].filter(pl.col("gross_notional") > 0)
    left = (curve["equity"] - curve["maintenance_margin"]) / curve["gross_notional"]
    closest = curve["ts"][int(left.arg_min() or 0)]
    assert f"on {closest.day} {closest:%b %Y}." in verdict(result, outcome(result))


@pytest.mark.parametrize(
    ("life", "said"),
    [
        (Life(lost=("BTC-USD",)), "Liquidated on 20 Feb 2020: BTC-USD."),
        (
            Life(margin="isolated", lost=("BTC-USD", "ETH-USD")),
            "Liquidated 2 times, first on 20 Feb 2020: BTC-USD.",
        ),
        (Life(trades=False), "No trade was made. 0.0% over 83 days."),
    ],
)
def test_the_verdict_says_what_became_of_it(life: Life, said: str) -> None:
    result = account(life)
    assert verdict(result, outcome(result)).startswith(said)


def test_what_would_mislead_stands_above_the_figures() -> None:
    result = told(account(Life(trades=False)), notes=[LACKING], warnings=["no fees charged (--fee-bps is 0)"])
    said = sentences(result, outcome(result))
    assert said == ["No trades: the strategy sent no order.", LACKING, "No fees charged (--fee-bps is 0)."]
    text = Page(render(result)).text
    assert [text.count(one) for one in said] == [1, 2, 2]  # among the assumptions and the checks, too
    assert max(text.index(one) for one in said) < text.index("Largest drawdown")


def test_six_figures_with_their_meaning() -> None:
    result = account(PLAIN)
    shown = key_figures(result, outcome(result), "USDC")
    assert [one.title for one in shown] == [
        "Return", "Largest drawdown", "Nearest to liquidation", "Largest leverage", "Costs and funding", "Sharpe",
    ]  # fmt: skip
    m = result.metrics
    charged = sum(m[name] for name in ("fees", "spread", "impact", "latency", "penalties"))  # type: ignore[literal-required]
    assert shown[4].figure == f"{m['funding'] - charged:+,.2f}"
    page = Page(render(result))
    assert all(one.meaning in page.text for one in shown)
    assert page.tags.count("button") >= len(shown)
